//! What a message and an onion layer cost, beside the bare primitives they are made of: the difference
//! is what our code adds.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use chacha20poly1305::{AeadInPlace, KeyInit, XChaCha20Poly1305};
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{Ed25519Secret, RecoveryPhrase, X25519Pair, padding, session_protocol};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_core::OsRng;

fn messages(c: &mut Criterion) {
    let alice = Ed25519Secret::generate(&mut OsRng);
    let bob = X25519Pair::generate(&mut OsRng);
    for (name, size) in [("160 B", 160usize), ("2 KiB", 2048)] {
        let mut group = c.benchmark_group("message");
        group.throughput(Throughput::Bytes(size as u64));
        let content = vec![7u8; size];
        group.bench_function(BenchmarkId::new("seal", name), |b| {
            b.iter(|| session_protocol::seal(&alice, bob.public(), black_box(&content), &mut OsRng));
        });
        let sealed = session_protocol::seal(&alice, bob.public(), &content, &mut OsRng);
        group.bench_function(BenchmarkId::new("open", name), |b| {
            b.iter(|| session_protocol::open(&bob, black_box(&sealed)).unwrap());
        });
        group.bench_function(BenchmarkId::new("pad and unpad", name), |b| {
            b.iter(|| padding::unpad_content(&padding::pad_content(black_box(&content))).len());
        });
    }
}

fn layers(c: &mut Criterion) {
    let client = X25519Pair::generate(&mut OsRng);
    let server = X25519Pair::generate(&mut OsRng);
    for (name, size) in [("1 KiB", 1024usize), ("76 KiB", 76 * 1024)] {
        let mut group = c.benchmark_group("layer");
        group.throughput(Throughput::Bytes(size as u64));
        let plaintext = vec![7u8; size];
        for enc_type in [EncType::XChaCha20, EncType::AesGcm] {
            let seal = || ChannelKeys::for_client(enc_type, &client, server.public());
            group.bench_function(BenchmarkId::new(format!("seal {enc_type}"), name), |b| {
                b.iter(|| seal().seal(black_box(&plaintext), &mut OsRng));
            });
            let blob = seal().seal(&plaintext, &mut OsRng);
            group.bench_function(BenchmarkId::new(format!("open {enc_type}"), name), |b| {
                b.iter_batched_ref(
                    || blob.clone(),
                    |blob| {
                        let keys = ChannelKeys::for_server(enc_type, &server, client.public());
                        keys.open_in_place(blob).unwrap().len()
                    },
                    BatchSize::SmallInput,
                );
            });
        }

        // The bare primitives of "open xchacha20": one X25519, one AEAD in place.
        let secret = x25519_dalek::StaticSecret::random_from_rng(OsRng);
        let public = x25519_dalek::PublicKey::from(*client.public().as_bytes());
        let cipher = XChaCha20Poly1305::new(&[9; 32].into());
        let mut body = plaintext.clone();
        let tag = cipher.encrypt_in_place_detached(&[1; 24].into(), b"", &mut body).unwrap();
        group.bench_function(BenchmarkId::new("bare X25519 and XChaCha20-Poly1305", name), |b| {
            b.iter_batched_ref(
                || body.clone(),
                |body| {
                    black_box(secret.diffie_hellman(black_box(&public)));
                    cipher.decrypt_in_place_detached(&[1; 24].into(), b"", body, &tag).unwrap();
                },
                BatchSize::SmallInput,
            );
        });
    }
    c.bench_function("bare X25519", |b| {
        let secret = x25519_dalek::StaticSecret::random_from_rng(OsRng);
        let public = x25519_dalek::PublicKey::from(*client.public().as_bytes());
        b.iter(|| secret.diffie_hellman(black_box(&public)));
    });
}

fn phrases(c: &mut Criterion) {
    let words = RecoveryPhrase::generate(&mut OsRng).words();
    c.bench_function("phrase/parse", |b| b.iter(|| RecoveryPhrase::parse(black_box(&words)).unwrap()));
}

criterion_group!(benches, messages, layers, phrases);
criterion_main!(benches);
