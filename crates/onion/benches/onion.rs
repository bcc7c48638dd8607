//! Sealing three layers, and peeling one beside the bare X25519 and cipher it contains.
//!
//! The baseline is what peeling cannot do without: one X25519 agreement and one XChaCha20-Poly1305
//! over the layer in place. Peeling adds the derivation of the key, the reading of a line of JSON,
//! the check of the next node's key, and moving the inner layer to the front of its buffer. The
//! promise is a ratio within 1.2, peeling to bare, of one run: absolute times are the machine's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{Ed25519Secret, X25519Pair, X25519Secret, bare};
use conclave_onion::peel::{self, Layer};
use conclave_onion::request::{Destination, seal_with_cipher};
use conclave_proto::{SnodeRecord, SwarmId, Version};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand_core::OsRng;

const SIZES: [(&str, usize); 2] = [("1 KiB", 1024), ("76 KiB", 76 * 1024)];

const fn x25519_secret(number: u8) -> [u8; 32] {
    [100 + number; 32]
}

fn nodes() -> Vec<(SnodeRecord, X25519Pair)> {
    (1..=4u8)
        .map(|number| {
            let x25519 = X25519Pair::new(X25519Secret::from_bytes(x25519_secret(number)));
            let record = SnodeRecord {
                ed25519: Ed25519Secret::from_seed(&[number; 32]).public(),
                x25519: *x25519.public(),
                ip: [127, 0, 0, 1].into(),
                https_port: 1,
                quic_port: 1,
                swarm: SwarmId(0),
                version: Version([0, 1, 0]),
            };
            (record, x25519)
        })
        .collect()
}

fn onion(criterion: &mut Criterion) {
    let nodes = nodes();
    let hops: Vec<SnodeRecord> = nodes[..3].iter().map(|(record, _)| *record).collect();
    for enc_type in [EncType::XChaCha20, EncType::AesGcm] {
        for (name, size) in SIZES {
            let body = vec![b'x'; size];
            let destination = Destination::Snode { node: &nodes[3].0, body: &body };
            let mut group = criterion.benchmark_group(format!("onion {enc_type} {name}"));
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function("seal three layers and the destination's", |bencher| {
                bencher
                    .iter(|| seal_with_cipher(enc_type, &hops, black_box(destination), &mut OsRng).unwrap());
            });
            let sealed = seal_with_cipher(enc_type, &hops, destination, &mut OsRng).unwrap();
            let (layer, _) = peel::parse_guard_body(&sealed.body).unwrap();
            let guard = &nodes[0].1;
            if enc_type == EncType::XChaCha20 {
                bare_primitives(&mut group, &x25519_secret(1), &layer);
            }
            group.bench_function("agree on the key and decrypt", |bencher| {
                bencher.iter_batched_ref(
                    || layer.data.clone(),
                    |data| {
                        let keys = ChannelKeys::for_server(enc_type, guard, black_box(&layer.ephemeral_key));
                        keys.open_in_place(data).unwrap().len()
                    },
                    BatchSize::SmallInput,
                );
            });
            group.bench_function("peel a relayed layer", |bencher| {
                bencher.iter_batched(
                    || layer.clone(),
                    |layer| peel::peel_owned(guard, layer).unwrap(),
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

/// What peeling this layer cannot do without: one X25519, one XChaCha20-Poly1305 in place.
fn bare_primitives(group: &mut BenchmarkGroup<'_, WallTime>, secret: &[u8; 32], layer: &Layer) {
    let client = layer.ephemeral_key.as_bytes();
    let server = X25519Pair::new(X25519Secret::from_bytes(*secret));
    let key = blake2b_256(&[&bare::x25519(secret, client), client, server.public().as_bytes()]);
    group.bench_function("bare X25519 and cipher", |bencher| {
        bencher.iter_batched_ref(
            || layer.data.clone(),
            |data| {
                black_box(bare::x25519(secret, black_box(client)));
                let (nonce, rest) = data.split_first_chunk_mut().unwrap();
                let (body, tag) = rest.split_last_chunk_mut().unwrap();
                assert!(bare::xchacha20_poly1305_open(&key, nonce, body, tag));
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, onion);
criterion_main!(benches);
