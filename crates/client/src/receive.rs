//! Receiving: asking members of the account's own swarm what came after their cursor.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_crypto::{Account, AccountId, Ed25519Public};
use conclave_proto::rpc::answers::RetrieveAnswer;
use conclave_proto::rpc::{Auth, Request, Retrieve, TimedAuth, signing};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Shared;
use crate::error::Error;
use crate::network::{HeldPath, NetworkError};
use crate::outbox::in_order_of_trust;
use crate::store::{ReceivedBatch, ReceivedItem};
use crate::types::FetchReport;
use crate::wire;
use watch::Watched;

/// Between two rounds while all is well.
const INTERVAL: Duration = Duration::from_secs(1);
/// The longest pause after failures. (storage-and-onion 9.1)
const LONGEST_INTERVAL: Duration = Duration::from_secs(15);
/// How often all members are asked: one that withholds what it has only delays it.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long a round takes at least for those who have not answered yet, when enough have.
const GRACE: Duration = Duration::from_millis(1_500);
/// Pages of one member in one round: a full inbox of small messages has some tens.
const MAX_PAGES: usize = 100;

/// Receives until told to stop: asks everybody now and then, and has two members tell of what comes in between.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let places = [HeldPath::default(), HeldPath::default()];
    let watched = Watched::default();
    tokio::select! {
        () = sweep(&shared) => {}
        () = watch::run(&shared, &watched, 0, &places) => {}
        () = watch::run(&shared, &watched, 1, &places) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

/// Asks all members again and again. Never ends.
async fn sweep(shared: &Arc<Shared>) {
    let mut failures: u32 = 0;
    loop {
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
        tokio::time::sleep(pause).await;
    }
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
/// # Errors
/// If there is no node list, or the database fails. Members that do not answer are counted.
pub(crate) async fn round(shared: &Arc<Shared>) -> Result<FetchReport, Error> {
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
            let read = drain(&worker, &member, &account).await;
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
    match failure {
        Some(error) if report.answered == 0 => Err(error),
        _ => Ok(report),
    }
}

/// Reads everything a member has after its cursor. Returns how many messages were new.
async fn drain(shared: &Arc<Shared>, member: &SnodeRecord, account: &AccountId) -> Result<u32, Error> {
    let mut new = 0;
    for _ in 0..MAX_PAGES {
        let page = page(shared, member, account).await?;
        let more = page.more && !page.messages.is_empty();
        new += take_in(shared, member, account, page).await?;
        if !more {
            break;
        }
    }
    Ok(new)
}

async fn page(shared: &Shared, member: &SnodeRecord, account: &AccountId) -> Result<RetrieveAnswer, Error> {
    let (snode, owner) = (member.ed25519, *account);
    let cursor = shared.store.run(move |store| store.cursor(&snode, &owner, Namespace::DIRECT)).await?;
    let last_hash = cursor.and_then(|hash| hash.parse().ok());
    let mut relearnt = false;
    loop {
        let timestamp = shared.network.now();
        let signed = signing::retrieve(Namespace::DIRECT, timestamp);
        let request = Request::Retrieve(Retrieve {
            account: *account,
            namespace: Namespace::DIRECT,
            last_hash,
            max_count: None,
            max_size: Some(-2),
            auth: Some(TimedAuth { auth: Auth::by_account(shared.account.ed25519(), &signed), timestamp }),
        });
        let reply = shared.network.ask(member, &request).await?;
        match reply.status {
            200 => {
                return RetrieveAnswer::from_json(&reply.body)
                    .ok_or_else(|| NetworkError::Unreadable("no page of messages".to_owned()).into());
            }
            406 | 425 if !relearnt => {
                relearnt = true;
                shared.network.relearn_time().await;
            }
            406 | 425 => {
                return Err(NetworkError::Clock { offset_ms: shared.network.clock_offset() }.into());
            }
            status => {
                if status == 421 {
                    let _ = shared.network.refresh().await;
                }
                let text = reply.body.as_str().unwrap_or("the body is not text").to_owned();
                return Err(NetworkError::Refused { status, text }.into());
            }
        }
    }
}

async fn take_in(
    shared: &Shared,
    member: &SnodeRecord,
    account: &AccountId,
    page: RetrieveAnswer,
) -> Result<u32, Error> {
    let Some(last) = page.messages.last() else { return Ok(0) };
    let last_hash = Some(last.hash.to_string());
    let hashes: Vec<String> = page.messages.iter().map(|message| message.hash.to_string()).collect();
    let unseen: BTreeSet<String> =
        shared.store.run(move |store| store.unseen(&hashes)).await?.into_iter().collect();
    let items = opened(&shared.account, account, &page, &unseen);
    let batch = ReceivedBatch {
        snode: member.ed25519,
        account: *account,
        namespace: Namespace::DIRECT,
        last_hash,
        items,
    };
    let now: Timestamp = shared.network.now();
    let received = shared.store.run(move |store| store.insert_received(&batch, now)).await?;
    if received.undecryptable > 0 {
        tracing::debug!(count = received.undecryptable, "items that nobody can open");
    }
    let new = u32::try_from(received.shown.len()).unwrap_or(u32::MAX);
    for message in &received.shown {
        shared.tell_message(message);
    }
    Ok(new)
}

/// What the unseen items of a page say. An item whose data does not belong to its hash is as if it were not there: noting
/// the hash would let one member hide the message that others keep under it.
fn opened(
    keys: &Account,
    account: &AccountId,
    page: &RetrieveAnswer,
    unseen: &BTreeSet<String>,
) -> Vec<ReceivedItem> {
    page.messages
        .iter()
        .filter(|message| unseen.contains(message.hash.as_str()))
        .filter(|message| message.hash == MessageHash::of(account, Namespace::DIRECT, &message.data))
        .map(|message| ReceivedItem {
            hash: message.hash.to_string(),
            expires_at: message.expiration,
            content: wire::open(keys, &message.data),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use conclave_crypto::RecoveryPhrase;
    use conclave_proto::rpc::answers::StoredMessage;
    use conclave_testkit::{personas, rng};

    use super::*;
    use crate::store::ClientStore;
    use crate::wire::Outgoing;

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

        /// What a member answered, taken in as [`take_in`] does; the texts that were new.
        fn take_in(&self, member: u8, page: &RetrieveAnswer) -> Vec<String> {
            let own = *self.keys.id();
            let hashes: Vec<String> = page.messages.iter().map(|message| message.hash.to_string()).collect();
            let unseen = self.store.unseen(&hashes).unwrap().into_iter().collect();
            let batch = ReceivedBatch {
                snode: conclave_crypto::Ed25519Secret::from_seed(&[member; 32]).public(),
                account: own,
                namespace: Namespace::DIRECT,
                last_hash: hashes.last().cloned(),
                items: opened(&self.keys, &own, page, &unseen),
            };
            let received = self.store.insert_received(&batch, NOW).unwrap();
            received.shown.into_iter().map(|row| row.text).collect()
        }

        fn alice_writes(&self, text: &str, at: u64) -> StoredMessage {
            let alice = Account::from_phrase(&RecoveryPhrase::from_seed16(&personas::alice().seed()));
            let outgoing =
                Outgoing { text, name: "Alice", sent_at: Timestamp(NOW.0 + at), sync_target: None };
            let data = wire::seal(&alice, &self.keys.id().x25519().unwrap(), outgoing, &mut rng(at));
            self.stored(data)
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
        let real = inbox.alice_writes("the real one", 1);
        let forged = StoredMessage { data: b"rubbish".to_vec(), ..real.clone() };
        assert!(inbox.take_in(1, &page(&[&forged])).is_empty());
        assert_eq!(inbox.take_in(2, &page(&[&real])), ["the real one"], "an honest member still brings it");
        assert!(inbox.take_in(1, &page(&[&real])).is_empty(), "once");
    }

    #[test]
    fn what_nobody_can_open_does_not_end_a_batch_and_is_not_opened_again() {
        let inbox = Inbox::of_bob();
        let (first, last) = (inbox.alice_writes("before", 1), inbox.alice_writes("after", 2));
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
        let alice = Account::from_phrase(&RecoveryPhrase::from_seed16(&personas::alice().seed()));
        let outgoing = Outgoing { text: "hello", name: "Alice", sent_at: NOW, sync_target: None };
        let key = inbox.keys.id().x25519().unwrap();
        let sealed = |seed| inbox.stored(wire::seal(&alice, &key, outgoing, &mut rng(seed)));
        let (first, again) = (sealed(1), sealed(2));
        assert_ne!(first.hash, again.hash);
        assert_eq!(inbox.take_in(1, &page(&[&first, &again])), ["hello"]);
    }
}
