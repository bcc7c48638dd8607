//! The encrypted store at size: messages taken in per second, opening, searching, memory; as a table, with the plain
//! primitive of the same run beside it.
//!
//! `cargo bench -p conclave-client -- 1000000` fills a store with a million messages; 20,000 is the default. `TMPDIR` says
//! which disk. Texts are made up: words of a Zipf distribution, every fourth text Chinese characters of one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use conclave_client::doors;
use conclave_client::profile::{DataDir, DisplayName, NewProfile, Profile, ProfileName, Protection, Unlock};
use conclave_client::said::{Heard, Post, Said};
use conclave_client::store::{ClientStore, Deletion, Opened, ReceivedBatch, ReceivedItem, SearchQuery};
use conclave_crypto::{
    Account, AccountId, Ed25519Secret, RecoveryPhrase, RngCore as _, padding, session_protocol,
};
use conclave_proto::content::{Content, DataMessage, Envelope};
use conclave_proto::{Namespace, Timestamp};
use conclave_testkit::rng;

const BEGIN: u64 = 1_600_000_000_000;
/// Between two messages of the made-up history.
const STEP: u64 = 100_000;
/// Chats that the messages are in.
const CHATS: usize = 200;
/// Messages of one transaction: what a member returns at once.
const BATCH: usize = 100;
/// Envelopes that are sealed and opened.
const SEALED: usize = 2_000;
const RUNS: usize = 7;
/// Asks a copy of this program to open the profile there, and to say how that went.
const OPEN: &str = "CONCLAVE_BENCH_OPEN";

fn main() {
    if let Some(data) = std::env::var_os(OPEN) {
        return cold(data.as_ref());
    }
    let size = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let size: usize =
        size.or_else(|| std::env::var("CONCLAVE_BENCH_MESSAGES").ok()?.parse().ok()).unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let profile = make(dir.path());
    println!("{size} messages in {CHATS} chats, in {}\n", std::env::temp_dir().display());
    println!("{:<44} {:>14}   beside", "", "");
    ingest(dir.path());
    let texts = Texts::new();
    fill(&profile, &texts, size);
    open_and_search(&profile, size);
    let out = Command::new(std::env::current_exe().unwrap()).env(OPEN, dir.path()).output().unwrap();
    print!("{}", String::from_utf8_lossy(&out.stdout));
}

fn row(what: &str, figure: &str, beside: &str) {
    println!("{what:<44} {figure:>14}   {beside}");
}

fn person(number: usize) -> Account {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    Account::from_phrase(&RecoveryPhrase::from_seed16(&seed))
}

fn make(data: &Path) -> Profile {
    let profile = DataDir::new(data).profile(&ProfileName::default());
    let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
    let display_name = DisplayName::new("Alice").unwrap();
    let new = NewProfile { phrase: &phrase, display_name: &display_name, network: None, restored: false };
    drop(profile.create(&new, &Protection::KeyFile, &mut rng(1)).unwrap());
    profile
}

/// Made-up texts: a word in front has more chances, as in languages.
struct Texts {
    words: Vec<String>,
    signs: Vec<char>,
}

impl Texts {
    fn new() -> Self {
        let mut rng = rng(2);
        let syllables = ["ba", "ne", "ko", "ri", "sta", "mo", "lu", "ver", "in", "da", "tes", "hal"];
        let mut words: Vec<String> = (0..50_000)
            .map(|_| (0..2 + rng.next_u32() % 4).map(|_| syllables[rng.next_u32() as usize % 12]).collect())
            .collect();
        words[0] = "and".to_owned();
        let signs = (0..3_000u32).filter_map(|n| char::from_u32(0x4e00 + n)).collect();
        Self { words, signs }
    }

    fn text(&self, number: usize, rng: &mut impl conclave_crypto::RngCore) -> String {
        // Of n things, the one at n^u: the first come up as often as Zipf says.
        let mut pick = |n: usize| {
            let u = f64::from(rng.next_u32()) / f64::from(u32::MAX);
            ((n as f64).powf(u) as usize).saturating_sub(1).min(n - 1)
        };
        let mut text = String::new();
        if number % 4 == 3 {
            for _ in 0..4 + pick(40) {
                text.push(self.signs[pick(self.signs.len())]);
            }
        } else {
            for _ in 0..4 + pick(20) {
                text.push_str(&self.words[pick(self.words.len())]);
                text.push(' ');
            }
        }
        if number % 10_007 == 5 {
            text.push_str(" zanzibar 桑给巴尔");
        }
        text
    }
}

fn item(number: usize, content: Opened) -> ReceivedItem {
    let sent_at = Timestamp(BEGIN + u64::try_from(number).unwrap() * STEP);
    ReceivedItem {
        hash: format!("{number:043}"),
        stored_at: sent_at,
        expires_at: sent_at.plus(Duration::from_secs(1_209_600)),
        content,
    }
}

fn batch(items: Vec<ReceivedItem>) -> ReceivedBatch {
    ReceivedBatch {
        snode: Ed25519Secret::from_seed(&[9; 32]).public(),
        account: *person(0).id(),
        namespace: Namespace::DIRECT,
        last_hash: items.last().map(|item| item.hash.clone()),
        items,
    }
}

fn heard(author: &AccountId, sent_at: Timestamp, text: String) -> Opened {
    let content = Content::with_data(DataMessage::text(&text, None), sent_at);
    Opened::Heard(Heard {
        author: *author,
        sent_at,
        sync_target: None,
        said: Said::Post(Post { text, ..Post::default() }),
        expiration: Default::default(),
        profile: None,
        wants_delivered: false,
        content: content.to_bytes(),
    })
}

/// From what a member returned to what is durable: opening envelopes, then the transaction; beside plain SQLite that keeps
/// the same texts with the same care.
fn ingest(data: &Path) {
    let texts = Texts::new();
    let mut rng = rng(3);
    let owner = Account::from_phrase(&RecoveryPhrase::from_seed16(&[1; 16]));
    let recipient = owner.id().x25519().unwrap();
    let sealed: Vec<(String, Vec<u8>)> = (0..SEALED)
        .map(|number| {
            let sender = person(1 + number % CHATS);
            let sent_at = item(number, Opened::Own).stored_at;
            let text = texts.text(number, &mut rng);
            let content = Content::with_data(DataMessage::text(&text, None), sent_at);
            let padded = padding::pad_content(&content.to_bytes());
            let sealed = session_protocol::seal(sender.ed25519(), &recipient, &padded, &mut rng);
            (text, Envelope::one_to_one(sent_at, sealed, [0; 64]).wrap())
        })
        .collect();

    let start = Instant::now();
    let opened: Vec<Opened> = sealed.iter().map(|(_, data)| doors::open_message(&owner, data)).collect();
    let opening = start.elapsed();
    assert!(opened.iter().all(|one| matches!(one, Opened::Heard(_))));

    let place = data.join("ingest");
    let store = make(&place).open(&Unlock::KeyFile).unwrap();
    let items: Vec<ReceivedItem> = opened.into_iter().enumerate().map(|(n, it)| item(n, it)).collect();
    let now = items.last().unwrap().stored_at;
    let batches: Vec<ReceivedBatch> = items.chunks(BATCH).map(|items| batch(items.to_vec())).collect();
    let start = Instant::now();
    for batch in &batches {
        store.store().insert_received(batch, now).unwrap();
    }
    let storing = start.elapsed();

    let mut plain = rusqlite::Connection::open(data.join("plain")).unwrap();
    plain
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE message (row INTEGER PRIMARY KEY, sent_at INTEGER, text TEXT, content BLOB);
             CREATE INDEX in_time ON message (sent_at);",
        )
        .unwrap();
    let start = Instant::now();
    for (number, part) in sealed.chunks(BATCH).enumerate() {
        let tx = plain.transaction().unwrap();
        for (n, (text, _)) in part.iter().enumerate() {
            tx.prepare_cached("INSERT INTO message (sent_at, text, content) VALUES (?1, ?2, ?2)")
                .unwrap()
                .execute((i64::try_from(number * BATCH + n).unwrap(), text))
                .unwrap();
        }
        tx.commit().unwrap();
    }
    let bare = start.elapsed();
    let each = |time: Duration| SEALED as f64 / time.as_secs_f64();
    let all = opening + storing;
    let times = |a: Duration, b: Duration| format!("× {:.1}", a.as_secs_f64() / b.as_secs_f64());
    row("open envelopes and store, messages/s", &format!("{:.0}", each(all)), "");
    row("  open envelopes", &format!("{:.0}", each(opening)), "");
    let beside = format!("{:.0} plain SQLite inserts/s, time {}", each(bare), times(storing, bare));
    row(&format!("  store, {BATCH} in a transaction"), &format!("{:.0}", each(storing)), &beside);
}

fn fill(profile: &Profile, texts: &Texts, size: usize) {
    let owned = profile.open(&Unlock::KeyFile).unwrap();
    let people: Vec<AccountId> = (1..=CHATS).map(|number| *person(number).id()).collect();
    let mut rng = rng(4);
    let start = Instant::now();
    let mut at = 0;
    while at < size {
        let until = size.min(at + 1_000);
        let items: Vec<ReceivedItem> = (at..until)
            .map(|number| {
                let text = texts.text(number, &mut rng);
                let author = &people[number * 37 % CHATS];
                item(number, heard(author, item(number, Opened::Own).stored_at, text))
            })
            .collect();
        let now = items.last().unwrap().stored_at;
        owned.store().insert_received(&batch(items), now).unwrap();
        at = until;
    }
    let figure = format!("{:.0}", size as f64 / start.elapsed().as_secs_f64());
    let bytes = std::fs::metadata(profile.database_path()).unwrap().len();
    row("fill, 1,000 in a transaction, messages/s", &figure, &format!("{} MiB on the disk", bytes >> 20));
}

fn open_and_search(profile: &Profile, size: usize) {
    let start = Instant::now();
    let owned = profile.open(&Unlock::KeyFile).unwrap();
    row("open", &millis(start.elapsed()), "");
    let store = owned.store();
    let chat = Some(*person(2).id());
    let questions = [
        ("rare word", "zanzibar", None),
        ("common word", "and", None),
        ("common word, one chat", "and", chat),
        ("common beginning", "ba", None),
        ("longer beginning", "bane", None),
        ("common and rare word", "and zanzibar", None),
        ("no such word", "qqqq", None),
        ("Chinese, one common sign", "一", None),
        ("Chinese, two common signs", "一丁", None),
        ("Chinese, a rare word", "桑给巴尔", None),
        ("all of one chat", "", chat),
    ];
    for (what, text, chat) in questions {
        let query = SearchQuery { text: text.to_owned(), chat, limit: 50, ..SearchQuery::default() };
        let mut times = Vec::new();
        let mut hits = 0;
        for _ in 0..RUNS {
            let start = Instant::now();
            hits = store.search(&query).unwrap().hits.len();
            times.push(start.elapsed());
        }
        let first = times[0];
        times.sort();
        let beside = format!("first time {}, {hits} hits", millis(first));
        row(&format!("search: {what}"), &millis(times[RUNS / 2]), &beside);
    }
    scan(store, size);
    // With common words: each has to be taken out of a long list.
    let query = SearchQuery { text: "and".to_owned(), limit: RUNS, ..SearchQuery::default() };
    let mut times = Vec::new();
    for hit in store.search(&query).unwrap().hits {
        let start = Instant::now();
        store.delete(&hit.message.id, Deletion::ThisDevice, hit.message.arrived_at).unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    row("delete a message, words and all", &millis(times[times.len() / 2]), "");
}

/// What a search would be without an index.
fn scan(store: &ClientStore, size: usize) {
    let start = Instant::now();
    let mut read = 0;
    let mut found = 0;
    // A part of it, to be multiplied.
    for number in 1..=CHATS.min(10) {
        let rows = store.history(person(number).id(), 1_000, None).unwrap();
        read += rows.len();
        found += rows.iter().filter(|row| row.text.contains("zanzibar")).count();
    }
    let all = start.elapsed().mul_f64(size as f64 / read.max(1) as f64);
    row("  beside: reading every text", &millis(all), &format!("from {read} read ({found} found)"));
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// In a process of its own: how soon the first page is there, and how much memory it takes to have it open.
fn cold(data: &Path) {
    let start = Instant::now();
    let profile = DataDir::new(data).profile(&ProfileName::default());
    let owned = profile.open(&Unlock::KeyFile).unwrap();
    let chats = owned.store().chats(50).unwrap();
    row("cold start: open and list 50 chats", &millis(start.elapsed()), &format!("{} chats", chats.len()));
    row("memory then", &memory(), "");
    let query = SearchQuery { text: "and".to_owned(), limit: 50, ..SearchQuery::default() };
    owned.store().search(&query).unwrap();
    row("memory after a search", &memory(), "");
}

/// Resident memory of this process, as Linux says.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or_else(|| "?".to_owned(), |kib| format!("{} MiB", kib >> 10))
}
