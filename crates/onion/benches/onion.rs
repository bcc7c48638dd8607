//! Sealing three layers, and peeling one beside the bare X25519 and cipher it contains.
//!
//! The baseline is what peeling cannot do without: one X25519 agreement, one key derivation, one
//! AEAD over the layer in place. Peeling adds the copy of the layer, the reading of its JSON and
//! the check of the next node's key. The promise is a ratio within 1.2.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::hint::black_box;

use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::{Ed25519Secret, X25519Pair};
use conclave_onion::peel;
use conclave_onion::request::{Destination, seal_with_cipher};
use conclave_proto::{SnodeRecord, SwarmId, Version};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand_core::OsRng;

const SIZES: [(&str, usize); 2] = [("1 KiB", 1024), ("76 KiB", 76 * 1024)];

fn nodes() -> Vec<(SnodeRecord, X25519Pair)> {
    (1..=4u8)
        .map(|number| {
            let secret = Ed25519Secret::from_seed(&[number; 32]);
            let ed25519 = secret.public();
            let record = SnodeRecord {
                ed25519,
                x25519: ed25519.to_x25519(),
                ip: [127, 0, 0, 1].into(),
                https_port: 1,
                quic_port: 1,
                swarm: SwarmId(0),
                version: Version([0, 1, 0]),
            };
            (record, X25519Pair::new(secret.to_x25519()))
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
            group.bench_function("bare X25519 and cipher", |bencher| {
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

criterion_group!(benches, onion);
criterion_main!(benches);
