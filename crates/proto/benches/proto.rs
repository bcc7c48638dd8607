//! What encoding and decoding cost.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use conclave_crypto::{AccountId, Ed25519Secret};
use conclave_proto::content::{Content, DataMessage, Decoded};
use conclave_proto::rpc::{Auth, Lifetime, Request, Store, signing};
use conclave_proto::{Namespace, Timestamp};
use criterion::{Criterion, criterion_group, criterion_main};

fn content(c: &mut Criterion) {
    let data = DataMessage::text(&"hello ".repeat(20), None).with_profile_name("Alice");
    let content = Content::with_data(data, Timestamp(1_700_000_000_000));
    let bytes = content.to_bytes();
    c.bench_function("content/encode a text", |b| b.iter(|| black_box(&content).to_bytes()));
    c.bench_function("content/decode a text", |b| {
        b.iter(|| Decoded::<Content>::decode(black_box(&bytes)).unwrap());
    });
}

fn store(c: &mut Criterion) {
    let key = Ed25519Secret::from_seed(&[7; 32]);
    let (namespace, timestamp) = (Namespace(2), Timestamp(1_700_000_000_000));
    let request = Request::Store(Store {
        account: AccountId::of_account(&key.public().to_x25519()),
        namespace,
        timestamp,
        lifetime: Lifetime::Ttl(14 * 86_400_000),
        data: vec![0xa5; 1024],
        auth: Some(Auth::by_account(&key, &signing::store(namespace, timestamp))),
        sig_timestamp: None,
    });
    let (json, bt) = (request.to_json_body(), request.to_bt());
    c.bench_function("store/encode JSON", |b| b.iter(|| black_box(&request).to_json_body()));
    c.bench_function("store/decode JSON", |b| b.iter(|| Request::from_json_body(black_box(&json)).unwrap()));
    c.bench_function("store/encode bt", |b| b.iter(|| black_box(&request).to_bt()));
    c.bench_function("store/decode bt", |b| b.iter(|| Request::from_bt("store", black_box(&bt)).unwrap()));
    c.bench_function("store/verify", |b| b.iter(|| black_box(&request).verify().unwrap()));
}

criterion_group!(benches, content, store);
criterion_main!(benches);
