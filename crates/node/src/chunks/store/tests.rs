use std::collections::BTreeMap;
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_proto::rpc::Request;
use conclave_proto::rpc::chunk::ChunkRequest;
use conclave_testkit::rng;
use rand_core::RngCore as _;

use super::writer::Dies;
use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);
const LARGE: u64 = 1 << 30;

fn secret(n: u8) -> Ed25519Secret {
    Ed25519Secret::from_seed(&[n; 32])
}

fn key(n: u8) -> Ed25519Public {
    secret(n).public()
}

fn chunk(n: u16, size: usize) -> Chunk {
    let data: Vec<u8> = n.to_be_bytes().into_iter().cycle().take(size).collect();
    Chunk::check(ChunkHash::of(&data), Arc::new(data)).unwrap()
}

fn open(dir: &Path, max_bytes: u64) -> ChunkStore {
    ChunkStore::open(dir, &Options::new(max_bytes)).unwrap()
}

fn until(expiry: Timestamp) -> Claim {
    Claim::Client(expiry)
}

fn signed_change(hashes: &[ChunkHash], n: u8, expiry: Option<Timestamp>) -> (ChunkChange, Vec<u8>) {
    let change = ChunkChange::signed(hashes.to_vec(), &secret(n), expiry, NOW);
    let proof = Request::ConclaveChunk(ChunkRequest::Change(change.clone())).to_bt();
    (change, proof)
}

impl ChunkStore {
    async fn has(&self, chunk: &Chunk, now: Timestamp) -> bool {
        matches!(self.get(chunk.hash, now).await.unwrap(), Found::Here(found, _) if found == *chunk)
    }

    fn file(&self, chunk: &Chunk) -> PathBuf {
        self.inner.folder.path(&chunk.hash)
    }
}

/// All files with a chunk's name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(dir.join(FOLDER)).unwrap().map(|folder| folder.unwrap().path());
    let files =
        folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    files.collect()
}

#[tokio::test]
async fn a_chunk_lives_until_its_last_promise_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), LARGE);
    let chunk = chunk(1, 3000);
    store.put(&chunk, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
    store.put(&chunk, key(2), until(NOW.plus(DAY * 3)), NOW).await.unwrap();
    store.sweep(NOW.plus(DAY * 2)).await.unwrap();
    assert!(store.has(&chunk, NOW.plus(DAY * 2)).await);
    assert!(!store.has(&chunk, NOW.plus(DAY * 3)).await, "its time is over, swept or not");
    store.sweep(NOW.plus(DAY * 3)).await.unwrap();
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(store.stats().await.unwrap(), ChunkStats::default());
}

#[tokio::test]
async fn damaged_and_missing_files_are_never_handed_out_and_can_be_restored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), LARGE);
    let chunk = chunk(1, 3000);
    store.put(&chunk, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
    for damage in [b"".as_slice(), b"something else", &[7; 600_000]] {
        std::fs::write(store.file(&chunk), damage).unwrap();
        assert!(matches!(store.get(chunk.hash, NOW).await.unwrap(), Found::Lost(_)));
        assert!(!store.file(&chunk).exists(), "set aside");
        store.restore(&chunk).await.unwrap();
        assert!(store.has(&chunk, NOW).await);
    }
    drop(store);
    std::fs::write(dir.path().join(FOLDER).join("ab").join("what is this"), "").unwrap();
    std::fs::remove_file(dir.path().join(FOLDER).join(&chunk.hash.to_hex()[..2]).join(chunk.hash.to_hex()))
        .unwrap();
    let store = open(dir.path(), LARGE);
    assert!(matches!(store.get(chunk.hash, NOW).await.unwrap(), Found::Lost(_)));
    store.put(&chunk, key(2), until(NOW.plus(DAY)), NOW).await.unwrap();
    assert!(store.has(&chunk, NOW).await, "a new store restores it too");
}

#[tokio::test]
async fn a_deletion_is_remembered_with_its_proof() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), LARGE);
    let (one, two) = (chunk(1, 3000), chunk(2, 10));
    for chunk in [&one, &two] {
        store.put(chunk, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
    }
    let (change, proof) = signed_change(&[one.hash, two.hash, ChunkHash([9; 32])], 1, None);
    let done = store.change(change.clone(), proof.clone(), NOW).await.unwrap();
    assert_eq!(done, (vec![one.hash, two.hash], None));
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(store.proof(two.hash, key(1)).await.unwrap(), Some(proof.clone()));
    let refused = store.put(&one, key(1), until(NOW.plus(DAY * 2)), NOW.plus(DAY)).await;
    assert!(matches!(refused, Err(ChunkStoreError::Refused(_, RefusedChunk(Refused::Deleted)))));
    assert_eq!(store.change(change, proof, NOW).await.unwrap().0.len(), 2, "done is done");
    store.sweep(NOW.plus(DAY * 90)).await.unwrap();
    assert_eq!(store.proof(two.hash, key(1)).await.unwrap(), None);
    let proofs: i64 =
        store.read(|db| db.query_row("SELECT count(*) FROM proofs", [], |row| row.get(0))).await.unwrap();
    assert_eq!(proofs, 0);
}

#[tokio::test]
async fn a_full_store_keeps_small_files_and_takes_from_the_heaviest() {
    let dir = tempfile::tempdir().unwrap();
    // Ten chunks of 99 KiB and one for each promise.
    let store = open(dir.path(), 1_000 * 1024);
    let large: Vec<Chunk> = (0..10).map(|n| chunk(n, 99 * 1024)).collect();
    for chunk in &large {
        store.put(chunk, key(1), until(NOW.plus(DAY * 30)), NOW).await.unwrap();
    }
    let more = store.put(&chunk(20, 99 * 1024), key(1), until(NOW.plus(DAY * 30)), NOW).await;
    assert!(matches!(more, Err(ChunkStoreError::Refused(_, RefusedChunk(Refused::Full)))), "{more:?}");
    let small = chunk(30, 150 * 1024);
    store.put(&small, key(2), until(NOW.plus(DAY)), NOW).await.unwrap();
    assert_eq!(store.evicted(), 2);
    assert_eq!(store.stats().await.unwrap().chunks, 9);
    // Who comes with a new key for each chunk does not push out who was there with as much.
    for n in 0..50 {
        let _ =
            store.put(&chunk(100 + n, 200 * 1024), key(100 + n as u8), until(NOW.plus(DAY * 30)), NOW).await;
    }
    assert!(store.has(&small, NOW).await);
    let mut left = 0;
    for chunk in &large {
        left += usize::from(store.has(chunk, NOW).await);
    }
    assert!(left >= 1, "{left}");
    store.sweep(NOW.plus(DAY * 31)).await.unwrap();
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_sums_are_what_the_list_comes_to_whatever_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let max = 200 * 1024;
    let store = open(dir.path(), max);
    let mut random = rng(7);
    let mut now = NOW;
    let chunks: Vec<Chunk> = (0..12).map(|n| chunk(n, 1 + usize::from(n) * 3_000)).collect();
    for _ in 0..600 {
        let mut die = |sides: u32| random.next_u32() % sides;
        now = now.plus(DAY * (die(10) / 9));
        let (chunk, file) = (&chunks[die(12) as usize], 1 + die(5) as u8);
        let expiry = now.plus(DAY * die(35));
        match die(6) {
            0 => {
                let change = ChunkChange::signed(vec![chunk.hash], &secret(file), None, now);
                store.change(change, vec![file], now).await.unwrap();
            }
            1 => {
                let change = ChunkChange::signed(vec![chunk.hash], &secret(file), Some(expiry), now);
                store.change(change, Vec::new(), now).await.unwrap();
            }
            2 if die(4) == 0 => store.remove(chunk.hash).await.unwrap(),
            3 => store.sweep(now).await.unwrap(),
            _ => drop(store.put(chunk, key(file), until(expiry), now).await),
        }
    }
    let sums =
        "SELECT key, sum(units), sum(units * (expiry / 1000)) FROM commitments GROUP BY key ORDER BY key";
    let of = |sql: &'static str| {
        store.read(move |db| {
            let mut all = db.prepare(sql)?;
            let rows = all.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(Vec<u8>, i64, i64)>>>()
        })
    };
    assert_eq!(of(sums).await.unwrap(), of("SELECT key, units, ends FROM files ORDER BY key").await.unwrap());
    let used = move |db: &Connection| work::Books::open(db, max).map(|books| books.used);
    let counted = store.read(used).await.unwrap();
    let kept = store.inner.writer.write(|work| Ok(work.books.used)).await.unwrap();
    assert_eq!(kept, counted);
    assert!(counted <= 200, "{counted}");
    let named: i64 =
        store.read(|db| db.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0))).await.unwrap();
    assert_eq!(files(dir.path()).len(), usize::try_from(named).unwrap());
}

#[tokio::test]
async fn wherever_the_process_dies_what_was_promised_is_whole_and_nothing_is_left_over() {
    for dies in [Dies::Named, Dies::Synced, Dies::Committed] {
        let dir = tempfile::tempdir().unwrap();
        let (old, new, gone) = (chunk(1, 3000), chunk(2, 4000), chunk(3, 5000));
        let store = open(dir.path(), LARGE);
        store.put(&old, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
        store.put(&gone, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
        drop(store);
        for deletes in [false, true] {
            let options = Options { dies: Some(dies), ..Options::new(LARGE) };
            let store = ChunkStore::open(dir.path(), &options).unwrap();
            if deletes {
                let (change, proof) = signed_change(&[gone.hash], 1, None);
                store.change(change, proof, NOW).await.unwrap_err();
            } else {
                store.put(&new, key(1), until(NOW.plus(DAY)), NOW).await.unwrap_err();
            }
        }
        // Bytes that had not even got a name.
        std::fs::write(dir.path().join(FOLDER).join("new").join("77"), "half").unwrap();
        let store = open(dir.path(), LARGE);
        let committed = dies == Dies::Committed;
        assert!(store.has(&old, NOW).await, "{dies:?}");
        assert_eq!(store.has(&new, NOW).await, committed, "{dies:?}");
        assert_eq!(store.has(&gone, NOW).await, !committed, "{dies:?}");
        assert_eq!(files(dir.path()).len(), 2, "{dies:?}");
        store.put(&new, key(1), until(NOW.plus(DAY)), NOW).await.unwrap();
        assert!(store.has(&new, NOW).await, "{dies:?}");
    }
}

#[tokio::test]
async fn many_at_once_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), LARGE);
    let mut putting = Vec::new();
    for n in 0..60 {
        let store = store.clone();
        putting.push(tokio::spawn(async move {
            let chunk = chunk(n % 40, 2000);
            store.put(&chunk, key(n as u8 % 7), until(NOW.plus(DAY)), NOW).await.map(|_| chunk)
        }));
    }
    for put in putting {
        let chunk = put.await.unwrap().unwrap();
        assert!(store.has(&chunk, NOW).await);
    }
    assert_eq!(store.stats().await.unwrap().chunks, 40);
}

#[tokio::test]
async fn names_come_in_order_page_by_page_and_digests_tell_where_they_differ() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path(), LARGE), open(other.path(), LARGE));
    let mut all = BTreeMap::new();
    for n in 0..40 {
        let (chunk, key, expiry) =
            (chunk(n, 10), key(1 + n as u8 % 3), NOW.plus(DAY * (1 + u32::from(n) % 9)));
        one.put(&chunk, key, until(expiry), NOW).await.unwrap();
        // Told by another member, some days later: what was said when it began is no part of it.
        let claim = Claim::Member { first: NOW.minus(DAY), expiry };
        other.put(&chunk, key, claim, NOW).await.unwrap();
        all.insert((chunk.hash, key), expiry);
    }
    let digests = one.digests(NOW).await.unwrap();
    assert_eq!(digests, other.digests(NOW).await.unwrap());
    assert_ne!(digests, one.digests(NOW.plus(DAY * 2)).await.unwrap());
    let lost = chunk(5, 10);
    std::fs::remove_file(other.file(&lost)).unwrap();
    assert!(matches!(other.get(lost.hash, NOW).await.unwrap(), Found::Lost(_)));
    assert_eq!(digests.differing(&other.digests(NOW).await.unwrap()), [lost.hash.0[0]]);
    let mut named = BTreeMap::new();
    for bucket in 0..=u8::MAX {
        let names = one.names(bucket, NOW, None).await.unwrap();
        assert!(!names.more && names.names.iter().all(|name| name.hash.0[0] == bucket));
        for name in &names.names {
            let after = one.names(bucket, NOW, Some((name.hash, name.key))).await.unwrap().names;
            assert!(after.iter().all(|later| (later.hash, later.key) > (name.hash, name.key)));
            named.insert((name.hash, name.key), name.expiry);
        }
    }
    assert_eq!(named, all);
}
