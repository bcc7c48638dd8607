//! Receiving: asking members of the account's own swarm what came after their cursor.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::{Account, Ed25519Public};
use conclave_proto::rpc::answers::{RetrieveAnswer, read_batch_answer};
use conclave_proto::rpc::{Auth, Request, Retrieve, TimedAuth, signing};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Shared;
use crate::error::Error;
use crate::network::{HeldPath, NetworkError};
use crate::outbox::in_order_of_trust;
use crate::store::{
    Changes, ClientStore, DOCUMENT_NAMESPACES, ReceivedBatch, ReceivedEntries, ReceivedItem, StoreError,
};
use crate::types::FetchReport;
use crate::{wake, wire};
use watch::Watched;

/// Everything an account has in its swarm: settings before messages, which are judged by them (client-messages 4.0).
pub(crate) const MAILBOXES: [Namespace; 5] = [
    DOCUMENT_NAMESPACES[0],
    DOCUMENT_NAMESPACES[1],
    DOCUMENT_NAMESPACES[2],
    DOCUMENT_NAMESPACES[3],
    Namespace::DIRECT,
];

/// Between two questions to a member that offers no waiting, while people talk.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause between them, when nothing has happened for long.
const QUIET_INTERVAL: Duration = Duration::from_secs(10);
/// The longest pause after failures. (storage-and-onion 9.1)
const LONGEST_INTERVAL: Duration = Duration::from_secs(15);
/// How often all members are asked: one that withholds what it has only delays it.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long a round takes at least for those who have not answered yet, when enough have.
pub(crate) const GRACE: Duration = Duration::from_millis(1_500);
/// The size of a page: this part of what an answer may hold (client-messages 5.3), which is a megabyte. All members give their
/// pages at once, and each is in memory several times over while it is unpacked, so larger ones cost much memory and save
/// little time: opening what is in a page takes longer than asking for the next.
const PAGE: i64 = -8;
/// Pages of one member in one round: a full inbox of small messages has a hundred or two.
pub(crate) const MAX_PAGES: usize = 400;

/// Receives until told to stop: asks everybody now and then, and has two members tell of what comes in between.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let places = [HeldPath::default(), HeldPath::default()];
    let watched = Watched::default();
    let watching = async {
        found_documents(&shared).await;
        tokio::join!(watch::run(&shared, &watched, 0, &places), watch::run(&shared, &watched, 1, &places))
    };
    tokio::select! {
        () = sweep(&shared) => {}
        _ = watching => {}
        () = wake::run(&shared) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

/// Waits until the account's settings have been looked for.
async fn found_documents(shared: &Arc<Shared>) {
    loop {
        let found = shared.documents_found.notified();
        tokio::pin!(found);
        found.as_mut().enable();
        // A disk that cannot be read now is found out by whoever reads next.
        if !shared.store.run(|store| store.looks_for_documents()).await.unwrap_or(false) {
            return;
        }
        found.await;
    }
}

/// Asks all members again and again. Never ends.
async fn sweep(shared: &Arc<Shared>) {
    let mut failures: u32 = 0;
    // From before each round: what changes during one is not missed.
    let mut ways = shared.ways.subscribe();
    loop {
        ways.borrow_and_update();
        let now = shared.network.now();
        let tidied = shared.store.run(move |store| {
            store.tidy(now)?;
            store.compact_if_due(now)
        });
        if let Err(error) = tidied.await {
            tracing::warn!(%error, "what is of no use any more could not be forgotten");
        }
        let pause = match round(shared).await {
            Ok(report) if report.answered > 0 => {
                failures = 0;
                SWEEP_EVERY
            }
            _ => {
                failures = failures.saturating_add(1);
                pause_after(failures)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = ways.changed() => {}
        }
    }
}

/// How long to wait between two questions when nothing has happened for `quiet`: a second while people talk (a minute after
/// the last word), then longer and longer.
fn pause_when_quiet(quiet: Duration) -> Duration {
    (quiet / 60).clamp(INTERVAL, QUIET_INTERVAL)
}

/// How long to wait after so many failures in a row.
fn pause_after(failures: u32) -> Duration {
    INTERVAL.saturating_mul(1 << failures.min(4)).min(LONGEST_INTERVAL)
}

/// Which members are being read. Reading one twice at once would fetch the same pages twice.
#[derive(Debug, Default)]
pub(crate) struct Reading(Mutex<BTreeMap<Ed25519Public, Arc<tokio::sync::Mutex<()>>>>);

impl Reading {
    fn of(&self, member: &SnodeRecord) -> Arc<tokio::sync::Mutex<()>> {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Former members are forgotten with the first reader that comes after them.
        members.retain(|key, lock| *key == member.ed25519 || Arc::strong_count(lock) > 1);
        Arc::clone(members.entry(member.ed25519).or_default())
    }
}

/// Asks all members of the own swarm. Those that are silent are not waited for long once enough have
/// answered; what they still bring is taken in.
///
/// An account that was restored asks for its settings first, and for messages only when a majority has said what settings
/// there are: what was deleted must not come back because one member hides that it was.
///
/// # Errors
/// If there is no node list, or the database fails. Members that do not answer are counted.
pub(crate) async fn round(shared: &Arc<Shared>) -> Result<FetchReport, Error> {
    if shared.store.run(|store| store.looks_for_documents()).await? {
        let report = ask_all(shared, &DOCUMENT_NAMESPACES).await?;
        if report.answered.saturating_mul(2) <= report.members {
            return Ok(report);
        }
    }
    let report = ask_all(shared, &MAILBOXES).await?;
    if report.answered.saturating_mul(2) > report.members {
        let now = shared.network.now();
        let changes = shared.store.run(move |store| store.begin_documents(true, now)).await?;
        shared.tell(changes);
        shared.documents_found.notify_waiters();
    }
    Ok(report)
}

async fn ask_all(shared: &Arc<Shared>, mailboxes: &'static [Namespace]) -> Result<FetchReport, Error> {
    let account = *shared.account.id();
    let directory = shared.network.directory().await?;
    let swarm: Vec<SnodeRecord> = directory
        .swarm_of(&account)
        .map(|swarm| directory.members(swarm).copied().collect())
        .unwrap_or_default();
    let members = in_order_of_trust(&shared.network, &swarm);
    let enough = u32::try_from(swarm.len() / 2 + 1).unwrap_or(u32::MAX);
    let (tell, mut told) = mpsc::channel(members.len().max(1));
    for member in members {
        let turn = shared.reading.of(&member);
        let (worker, tell) = (Arc::clone(shared), tell.clone());
        shared.spawn(async move {
            let turn = turn.lock().await;
            let read = drain(&worker, &member, mailboxes).await;
            drop(turn);
            let _ = tell.send(read).await;
        });
    }
    drop(tell);
    let mut report =
        FetchReport { members: u32::try_from(swarm.len()).unwrap_or(u32::MAX), ..FetchReport::default() };
    let mut failure = None;
    let grace = Instant::now() + GRACE;
    loop {
        let read = if report.answered >= enough {
            tokio::time::timeout_at(grace, told.recv()).await.unwrap_or(None)
        } else {
            told.recv().await
        };
        match read {
            None => break,
            Some(Ok(new)) => {
                report.answered += 1;
                report.new_messages += new;
            }
            // A member that fails is one thing, the own disk another.
            Some(Err(Error::Network(error))) => failure = Some(Error::Network(error)),
            Some(Err(error)) => return Err(error),
        }
    }
    if report.answered < enough {
        shared.network.doubt_list();
    }
    match failure {
        Some(error) if report.answered == 0 => Err(error),
        _ => Ok(report),
    }
}

/// Reads everything a member has in these mailboxes after its cursors. Returns how many messages were new.
async fn drain(shared: &Arc<Shared>, member: &SnodeRecord, mailboxes: &[Namespace]) -> Result<u32, Error> {
    let mut new = 0;
    let mut unread = mailboxes.to_vec();
    for _ in 0..MAX_PAGES {
        let pages = pages(shared, member, &unread).await?;
        unread.clear();
        for (namespace, page) in pages {
            if page.more && !page.messages.is_empty() {
                unread.push(namespace);
            }
            new += take_in(shared, member, namespace, page).await?;
        }
        if unread.is_empty() {
            break;
        }
    }
    Ok(new)
}

/// The next page of each mailbox, in the given order.
async fn pages(
    shared: &Shared,
    member: &SnodeRecord,
    mailboxes: &[Namespace],
) -> Result<Vec<(Namespace, RetrieveAnswer)>, Error> {
    let account = *shared.account.id();
    let mut positions = Vec::new();
    for namespace in mailboxes {
        positions.push((*namespace, cursor(shared, member, *namespace).await?));
    }
    let mut relearnt = false;
    loop {
        let timestamp = shared.network.now();
        let requests = positions
            .iter()
            .map(|(namespace, last_hash)| {
                let signed = signing::retrieve(*namespace, timestamp);
                Request::Retrieve(Retrieve {
                    account,
                    namespace: *namespace,
                    last_hash: *last_hash,
                    max_count: None,
                    max_size: Some(PAGE),
                    auth: Some(TimedAuth {
                        auth: Auth::by_account(shared.account.ed25519(), &signed),
                        timestamp,
                    }),
                })
            })
            .collect();
        let reply = shared.network.ask(member, &Request::Batch(requests)).await?;
        let answers = match read_batch_answer(&reply.body) {
            Some(answers) if reply.status == 200 => answers,
            _ => vec![(reply.status, reply.body)],
        };
        let Some((status, body)) = answers.iter().find(|(status, _)| *status != 200) else {
            let unreadable = || NetworkError::Unreadable("no page of messages".to_owned());
            if answers.len() != positions.len() {
                return Err(unreadable().into());
            }
            return mailboxes
                .iter()
                .zip(&answers)
                .map(|(namespace, (_, body))| {
                    RetrieveAnswer::from_json(body)
                        .map(|page| (*namespace, page))
                        .ok_or_else(|| unreadable().into())
                })
                .collect();
        };
        match status {
            406 | 425 if !relearnt => {
                relearnt = true;
                shared.network.relearn_time().await;
            }
            406 | 425 => {
                return Err(NetworkError::Clock { offset_ms: shared.network.clock_offset() }.into());
            }
            status => {
                if *status == 421 {
                    let _ = shared.network.refresh().await;
                }
                let text = body.as_str().unwrap_or("the body is not text").to_owned();
                return Err(NetworkError::Refused { status: *status, text }.into());
            }
        }
    }
}

async fn cursor(
    shared: &Shared,
    member: &SnodeRecord,
    namespace: Namespace,
) -> Result<Option<MessageHash>, Error> {
    let (snode, owner) = (member.ed25519, *shared.account.id());
    let cursor = shared.store.run(move |store| store.cursor(&snode, &owner, namespace)).await?;
    Ok(cursor.and_then(|hash| hash.parse().ok()))
}

/// Takes a page in; how many messages were new.
async fn take_in(
    shared: &Shared,
    member: &SnodeRecord,
    namespace: Namespace,
    page: RetrieveAnswer,
) -> Result<u32, Error> {
    if page.messages.is_empty() {
        return Ok(0);
    }
    shared.learn_time_once().await;
    let now = shared.network.now();
    let (keys, snode) = (Arc::clone(&shared.account), member.ed25519);
    // Opening hundreds of messages takes a while: not on a thread that others wait for.
    let changes =
        shared.store.run(move |store| take_page(store, &keys, snode, namespace, &page, now)).await?;
    if changes.undecryptable > 0 {
        tracing::debug!(count = changes.undecryptable, "items that nobody can open");
    }
    let new = u32::try_from(changes.shown.len()).unwrap_or(u32::MAX);
    shared.tell(changes);
    Ok(new)
}

/// What the database makes of a page. An item whose data does not belong to its hash is as if it were not there: noting
/// the hash would let one member hide the message that others keep under it.
pub(crate) fn take_page(
    store: &ClientStore,
    keys: &Account,
    snode: Ed25519Public,
    namespace: Namespace,
    page: &RetrieveAnswer,
    now: Timestamp,
) -> Result<Changes, StoreError> {
    let account = *keys.id();
    let last_hash = page.messages.last().map(|message| message.hash.to_string());
    let honest = page
        .messages
        .iter()
        .filter(|message| message.hash == MessageHash::of(&account, namespace, &message.data));
    if namespace != Namespace::DIRECT {
        let entries = honest
            .map(|message| (message.hash.to_string(), message.timestamp, message.data.clone()))
            .collect();
        return store.merge_entries(&ReceivedEntries { snode, namespace, last_hash, entries }, now);
    }
    let hashes: Vec<String> = page.messages.iter().map(|message| message.hash.to_string()).collect();
    let unseen: BTreeSet<String> = store.unseen(&hashes)?.into_iter().collect();
    let items = honest
        .filter(|message| unseen.contains(message.hash.as_str()))
        .map(|message| ReceivedItem {
            hash: message.hash.to_string(),
            stored_at: message.timestamp,
            expires_at: message.expiration,
            content: wire::open(keys, &message.data),
        })
        .collect();
    store.insert_received(&ReceivedBatch { snode, account, namespace, last_hash, items }, now)
}

#[cfg(test)]
mod tests {
    use conclave_crypto::RecoveryPhrase;
    use conclave_proto::rpc::answers::StoredMessage;
    use conclave_testkit::{personas, rng};

    use super::*;
    use crate::said::Speech;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    struct Inbox {
        keys: Account,
        store: ClientStore,
    }

    impl Inbox {
        fn of_bob() -> Self {
            let phrase = RecoveryPhrase::from_seed16(&personas::bob().seed());
            let store = ClientStore::open_in_memory().unwrap();
            store.set_account(&phrase, "Bob").unwrap();
            Self { keys: Account::from_phrase(&phrase), store }
        }

        /// What a member answered, taken in; the texts that were new.
        fn take_in(&self, member: u8, page: &RetrieveAnswer) -> Vec<String> {
            let snode = conclave_crypto::Ed25519Secret::from_seed(&[member; 32]).public();
            let changes = take_page(&self.store, &self.keys, snode, Namespace::DIRECT, page, NOW).unwrap();
            changes.shown.into_iter().map(|row| row.text).collect()
        }

        fn alice_writes(&self, text: &str, at: u64, seed: u64) -> StoredMessage {
            let alice = Account::from_phrase(&RecoveryPhrase::from_seed16(&personas::alice().seed()));
            let sent_at = Timestamp(NOW.0 + at);
            let speech = Speech::Post { text, quote: None, preview: None, invitation: None, files: &[] };
            let content = speech.content(sent_at, Default::default(), None, false).to_bytes();
            let key = self.keys.id().x25519().unwrap();
            self.stored(wire::seal(&alice, &key, &content, sent_at, &mut rng(seed)))
        }

        fn stored(&self, data: Vec<u8>) -> StoredMessage {
            let hash = MessageHash::of(self.keys.id(), Namespace::DIRECT, &data);
            StoredMessage { hash, timestamp: NOW, expiration: NOW.plus(Duration::from_secs(9_999)), data }
        }
    }

    fn page(messages: &[&StoredMessage]) -> RetrieveAnswer {
        RetrieveAnswer { messages: messages.iter().map(|message| (*message).clone()).collect(), more: false }
    }

    #[test]
    fn a_member_cannot_hide_a_message_by_giving_other_data_under_its_hash() {
        let inbox = Inbox::of_bob();
        let real = inbox.alice_writes("the real one", 1, 1);
        let forged = StoredMessage { data: b"rubbish".to_vec(), ..real.clone() };
        assert!(inbox.take_in(1, &page(&[&forged])).is_empty());
        assert_eq!(inbox.take_in(2, &page(&[&real])), ["the real one"], "an honest member still brings it");
        assert!(inbox.take_in(1, &page(&[&real])).is_empty(), "once");
    }

    #[test]
    fn what_nobody_can_open_does_not_end_a_batch_and_is_not_opened_again() {
        let inbox = Inbox::of_bob();
        let (first, last) = (inbox.alice_writes("before", 1, 1), inbox.alice_writes("after", 2, 2));
        let rubbish = inbox.stored(b"rubbish".to_vec());
        let empty = inbox.stored(Vec::new());
        let version_two = inbox.stored(vec![0; 200]);
        let all = page(&[&first, &rubbish, &empty, &version_two, &last]);
        assert_eq!(inbox.take_in(1, &all), ["before", "after"]);
        assert!(inbox.take_in(2, &all).is_empty(), "all five are known");
        let hashes: Vec<String> = all.messages.iter().map(|message| message.hash.to_string()).collect();
        assert!(inbox.store.unseen(&hashes).unwrap().is_empty());
    }

    #[test]
    fn the_same_message_sealed_anew_is_shown_once() {
        let inbox = Inbox::of_bob();
        let (first, again) = (inbox.alice_writes("hello", 1, 1), inbox.alice_writes("hello", 1, 2));
        assert_ne!(first.hash, again.hash);
        assert_eq!(inbox.take_in(1, &page(&[&first, &again])), ["hello"]);
    }

    #[test]
    fn who_talks_is_asked_every_second_and_who_is_quiet_every_ten() {
        let pause = |quiet| pause_when_quiet(Duration::from_secs(quiet)).as_secs();
        assert_eq!([0, 30, 60, 150, 300, 600, 86_400].map(pause), [1, 1, 1, 2, 5, 10, 10]);
    }
}
