//! Durable stores per second, alone and with 64 callers at once, beside what the disk can do at all: a write and
//! `fdatasync` of as many bytes, in the same run and on the same file system. Twice, since an append also syncs the new
//! length of the file: the store's log is mostly overwritten in place, so the second is its measure.
//!
//! `TMPDIR` says which disk; on a memory file system the figures mean nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use conclave_crypto::{AccountId, IdPrefix};
use conclave_node::store::{MAX_RETRIEVE, MessageStore, NewMessage, Options, Query};
use conclave_proto::{MessageHash, Namespace, Timestamp};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::task::JoinSet;

/// A short text, sealed and padded.
const SIZE: usize = 1_024;
/// Mailboxes that the messages go to.
const ACCOUNTS: u64 = 1_000;

fn message(number: u64) -> NewMessage {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&(number % ACCOUNTS).to_be_bytes());
    let owner = AccountId::new(IdPrefix::Account, &key);
    let mut data = vec![0x5a; SIZE];
    data[..8].copy_from_slice(&number.to_be_bytes());
    NewMessage {
        owner,
        namespace: Namespace::DIRECT,
        hash: MessageHash::of(&owner, Namespace::DIRECT, &data),
        timestamp: Timestamp(number),
        expiry: Timestamp(number + 1_000_000),
        data,
    }
}

/// Stores `count` messages from `writers` callers; the time it took.
fn stores(
    runtime: &tokio::runtime::Runtime,
    store: &MessageStore,
    next: &mut u64,
    count: u64,
    writers: u64,
) -> Duration {
    let messages: Vec<NewMessage> = (*next..*next + count).map(message).collect();
    *next += count;
    let start = Instant::now();
    runtime.block_on(async {
        let mut callers = JoinSet::new();
        let each = messages.len().div_ceil(usize::try_from(writers).unwrap());
        for part in messages.chunks(each) {
            let (store, part) = (store.clone(), part.to_vec());
            callers.spawn(async move {
                for message in part {
                    store.store(message.clone(), message.timestamp).await.unwrap();
                }
            });
        }
        callers.join_all().await;
    });
    start.elapsed()
}

fn bench(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut group = criterion.benchmark_group("durable");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));

    let mut file = std::fs::File::create(dir.path().join("bare")).unwrap();
    group.bench_function("bare append and fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all(&[0x5a; SIZE]).unwrap();
            file.sync_data().unwrap();
        });
    });

    file.rewind().unwrap();
    file.set_len(0).unwrap();
    file.write_all(&vec![0; 4 * 1024 * 1024]).unwrap();
    file.sync_all().unwrap();
    let mut block = 0u64;
    group.bench_function("bare overwrite and fdatasync", |bencher| {
        bencher.iter(|| {
            file.seek(SeekFrom::Start(block % 4_096 * SIZE as u64)).unwrap();
            file.write_all(&[0x5a; SIZE]).unwrap();
            file.sync_data().unwrap();
            block += 1;
        });
    });

    let mut next = 0;
    let store = MessageStore::open(&dir.path().join("messages.sqlite"), Options::default()).unwrap();
    for writers in [1, 64] {
        group.bench_with_input(BenchmarkId::new("stores", writers), &writers, |bencher, writers| {
            bencher.iter_custom(|count| stores(&runtime, &store, &mut next, count, *writers));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("reading");
    let owner = message(0).owner;
    let page = |max_count| {
        store
            .retrieve(&Query {
                owner: &owner,
                namespace: Namespace::DIRECT,
                after: None,
                max_count: Some(max_count),
                max_size: MAX_RETRIEVE,
            })
            .unwrap()
    };
    group.bench_function("retrieve 1", |bencher| bencher.iter(|| page(1)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
