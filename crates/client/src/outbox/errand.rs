//! What is asked of one swarm in one request, and what its answer means. No network: the same decisions serve the client
//! and its simulation.

use std::sync::Arc;
use std::time::Duration;

use conclave_crypto::{Account, AccountId, CryptoRngCore};
use conclave_proto::rpc::answers::SwarmAnswer;
use conclave_proto::rpc::{Auth, Delete, Expire, ExpireMode, Lifetime, Request, Store, signing};
use conclave_proto::{MessageHash, Namespace, SnodeRecord, Timestamp};
use serde_json::Value;

use crate::store::{
    Changes, ClientStore, Copy, DocumentPush, DueCopy, Others, OwnSwarmTask, StoreError, StoredCopy,
};
use crate::wire;

/// How long swarms keep documents. (client-messages 5.2)
const DOCUMENT_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Requests in one sequence: nodes take 20.
const MAX_PARTS: usize = 20;
/// Copies for other devices that go in one sequence, so that there is room for documents.
pub(crate) const OWN_COPIES: usize = 8;
/// Deletions and new expiries that go in one sequence.
const OWN_TASKS: usize = 50;
/// How often the own swarm is asked to delete something, over some days.
const OWN_TASK_TRIES: u32 = 40;
/// Members that have to refuse something, unless the swarm has fewer, before it is given up.
const REFUSALS: usize = 2;
/// Pauses between attempts: this, doubled each time, at most the other.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long to wait after `attempts` failed ones: doubling, with up to a quarter more at random, so that many clients do
/// not come back at once.
pub(crate) fn pause_after(attempts: u32, random: u32) -> Duration {
    let base = FIRST_PAUSE.saturating_mul(1u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    base + base.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX))
}

/// Something that is asked of a swarm.
#[derive(Clone, Debug)]
enum Task {
    /// To keep a copy of something said.
    Copy { due: DueCopy, data: Arc<[u8]>, hash: MessageHash },
    /// To keep a document, in one or several entries.
    Document { push: DocumentPush, hashes: Vec<MessageHash> },
    /// To delete what documents have made superfluous.
    Obsolete { hashes: Vec<MessageHash> },
    /// To delete messages.
    Delete { tasks: Vec<OwnSwarmTask>, hashes: Vec<MessageHash> },
    /// To let messages go earlier.
    Shorten { tasks: Vec<OwnSwarmTask>, hashes: Vec<MessageHash> },
}

/// What is asked of one swarm in one request.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    account: AccountId,
    tasks: Vec<Task>,
    /// One part after the other, up to the first that fails; else all at once, each by itself.
    in_order: bool,
}

/// What became of one part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// So many members signed for it.
    Signed(u32),
    /// The member says no. Its word alone fails nothing: it may lie, or be the one that is wrong.
    Refused(String),
    /// Not done, and worth another try.
    Failed(String),
}

impl Errand {
    /// To bring these to their recipient, who is the same of all. In whatever order they arrive, they are shown by when they
    /// were sent.
    ///
    /// # Errors
    /// If the recipient's id is no account's: nobody can ever read it.
    pub(crate) fn to_recipient(
        keys: &Account,
        copies: Vec<DueCopy>,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, conclave_crypto::InvalidKey> {
        let account = copies.first().map_or(*keys.id(), |due| due.recipient);
        let tasks = copies.into_iter().map(|due| Task::copy(keys, due, rng)).collect::<Result<_, _>>()?;
        Ok(Self { account, tasks, in_order: false })
    }

    /// Everything that waits for the account's own swarm; `None` if nothing does. With `push`, documents, too. Whatever the
    /// reason for asking, all of it goes along: messages arrive with the settings they caused.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn to_own_swarm(
        keys: &Account,
        store: &ClientStore,
        copies: Vec<DueCopy>,
        push: bool,
        now: Timestamp,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Option<Self>, StoreError> {
        let account = *keys.id();
        let mut tasks = Vec::new();
        for due in copies.into_iter().take(OWN_COPIES) {
            match Task::copy(keys, due, rng) {
                Ok(task) => tasks.push(task),
                Err(error) => return Err(StoreError::Bug(error.to_string())),
            }
        }
        let own_tasks = store.own_swarm_tasks(now, OWN_TASKS)?;
        if push {
            let mut parts = tasks.len();
            let mut obsolete = Vec::new();
            for push in store.document_pushes(now)? {
                // Deletions take up to three more.
                if parts + push.entries.len() + 3 > MAX_PARTS && parts > 0 {
                    break;
                }
                parts += push.entries.len();
                let hash = |entry: &Vec<u8>| MessageHash::of(&account, push.namespace, entry);
                let hashes = push.entries.iter().map(hash).collect();
                obsolete.extend(push.obsolete.iter().filter_map(|hash| hash.parse::<MessageHash>().ok()));
                tasks.push(Task::Document { push, hashes });
            }
            if !obsolete.is_empty() {
                tasks.push(Task::Obsolete { hashes: obsolete });
            }
        }
        let (shorten, delete): (Vec<_>, Vec<_>) =
            own_tasks.into_iter().partition(|task| task.expiry.is_some());
        let hashes = |tasks: &[OwnSwarmTask]| -> Vec<MessageHash> {
            tasks.iter().filter_map(|task| task.hash.parse().ok()).collect()
        };
        for (tasks_of_kind, deletes) in [(shorten, false), (delete, true)] {
            let hashes = hashes(&tasks_of_kind);
            if hashes.len() != tasks_of_kind.len() {
                return Err(StoreError::Bug("a kept hash is none".to_owned()));
            }
            match (hashes.is_empty(), deletes) {
                (true, _) => {}
                (false, true) => tasks.push(Task::Delete { tasks: tasks_of_kind, hashes }),
                (false, false) => tasks.push(Task::Shorten { tasks: tasks_of_kind, hashes }),
            }
        }
        Ok((!tasks.is_empty()).then_some(Self { account, tasks, in_order: true }))
    }

    /// Whose swarm is asked.
    pub(crate) const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Whether documents go along.
    pub(crate) fn has_documents(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task, Task::Document { .. }))
    }

    /// The parts as one request.
    pub(crate) fn as_one(&self, parts: Vec<Request>) -> Request {
        if self.in_order { Request::Sequence(parts) } else { Request::Batch(parts) }
    }

    /// The parts of what is asked, signed for `now`.
    ///
    /// The time of a store is that of storing, not of writing: what waited for weeks, or was written under a wrong clock,
    /// is taken all the same (storage-and-onion 2.7), and lives as long as any other.
    pub(crate) fn requests(&self, keys: &Account, now: Timestamp) -> Vec<Request> {
        let account = self.account;
        let key = keys.ed25519();
        let keep = |namespace: Namespace, data: &[u8], ttl: Duration, auth: Option<Auth>| {
            Request::Store(Store {
                account,
                namespace,
                timestamp: now,
                lifetime: Lifetime::Ttl(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
                data: data.to_vec(),
                auth,
                sig_timestamp: None,
            })
        };
        let delete = |hashes: &[MessageHash]| {
            let auth = Auth::by_account(key, &signing::delete(hashes));
            Request::Delete(Delete { account, messages: hashes.to_vec(), required: false, auth })
        };
        let mut requests = Vec::new();
        for task in &self.tasks {
            match task {
                Task::Copy { due, data, .. } => requests.push(keep(Namespace::DIRECT, data, due.ttl, None)),
                Task::Document { push, .. } => {
                    requests.extend(push.entries.iter().map(|entry| {
                        let auth = Auth::by_account(key, &signing::store(push.namespace, now));
                        keep(push.namespace, entry, DOCUMENT_TTL, Some(auth))
                    }));
                }
                Task::Obsolete { hashes } | Task::Delete { hashes, .. } => requests.push(delete(hashes)),
                Task::Shorten { tasks, hashes } => {
                    let expiry: Vec<Timestamp> =
                        tasks.iter().map(|task| task.expiry.unwrap_or_default().max(now)).collect();
                    let auth = Auth::by_account(key, &signing::expire(ExpireMode::Shorten, &expiry, hashes));
                    requests.push(Request::Expire(Expire {
                        account,
                        messages: hashes.clone(),
                        expiry,
                        mode: ExpireMode::Shorten,
                        auth,
                    }));
                }
            }
        }
        requests
    }

    /// What a member's answers to [`Self::requests`] mean, one for each request. Signatures count only when they hold with
    /// the keys of the node list.
    pub(crate) fn judge(
        requests: &[Request],
        answers: &[(u16, Value)],
        swarm: &[SnodeRecord],
    ) -> Vec<Verdict> {
        let verdict = |(at, request): (usize, &Request)| {
            let Some((status, body)) = answers.get(at) else {
                return Verdict::Failed("a part before it was not done".to_owned());
            };
            let text = || body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            match status {
                200 => match signatures(request, body, swarm) {
                    0 => Verdict::Failed("a member answered without a signature that holds".to_owned()),
                    signed => Verdict::Signed(signed),
                },
                400 | 403 => Verdict::Refused(format!("refused: {status} {}", text())),
                421 => Verdict::Failed("the account has moved to another swarm".to_owned()),
                _ => Verdict::Failed(format!("a member failed: {status} {}", text())),
            }
        };
        requests.iter().enumerate().map(verdict).collect()
    }

    /// Whether a member did anything of what it was asked.
    pub(crate) fn is_progress(verdicts: &[Verdict]) -> bool {
        verdicts.iter().any(|verdict| matches!(verdict, Verdict::Signed(_)))
    }

    /// Whether an attempt speaks against the list of the swarm's members: fewer than a majority did something of it, or none
    /// (`None`). What a member refuses speaks against the request.
    pub(crate) fn casts_doubt(verdicts: Option<&[Verdict]>, swarm: usize) -> bool {
        let Some(verdicts) = verdicts else { return true };
        let most = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Signed(by) => Some(*by),
            Verdict::Refused(_) | Verdict::Failed(_) => None,
        });
        most.max().is_none_or(|by| usize::try_from(by).unwrap_or(usize::MAX).saturating_mul(2) <= swarm)
    }

    /// Whether the swarm, and not just a member, refuses: all that were asked do, and they are several unless the swarm has
    /// no more.
    pub(crate) fn is_refused(refused: usize, asked: usize, swarm: usize) -> bool {
        refused > 0 && refused == asked && refused >= swarm.min(REFUSALS)
    }

    /// Notes what a member did. `random` spreads the next tries.
    ///
    /// # Errors
    /// What the database says; everything is tried again then.
    pub(crate) fn note(
        &self,
        store: &ClientStore,
        verdicts: &[Verdict],
        swarm: u32,
        now: Timestamp,
        random: u32,
    ) -> Result<Vec<Changes>, StoreError> {
        let is_majority = |signed: u32| signed.saturating_mul(2) > swarm;
        let mut verdicts = verdicts.iter();
        let mut all = Vec::new();
        for task in &self.tasks {
            let mut signed = u32::MAX;
            let mut reason = None;
            for verdict in verdicts.by_ref().take(task.parts()) {
                match verdict {
                    Verdict::Signed(by) => signed = signed.min(*by),
                    Verdict::Refused(why) | Verdict::Failed(why) => {
                        signed = 0;
                        reason.get_or_insert(why.as_str());
                    }
                }
            }
            if signed == u32::MAX {
                signed = 0;
            }
            match task {
                Task::Copy { due, hash, .. } => {
                    all.push(note_copy(store, due, hash, signed, swarm, reason, now, random)?);
                }
                Task::Document { push, hashes } if is_majority(signed) => {
                    let hashes = hashes.iter().map(ToString::to_string).collect();
                    store.documents_stored(&[(push.namespace, push.seqno, hashes)], now)?;
                }
                Task::Delete { tasks, .. } | Task::Shorten { tasks, .. } => {
                    if is_majority(signed) {
                        store.own_swarm_did(tasks)?;
                    } else {
                        let attempts = tasks.iter().map(|task| task.attempts).max().unwrap_or(0);
                        let next = now.plus(pause_after(attempts, random));
                        store.own_swarm_failed(tasks, next, OWN_TASK_TRIES)?;
                    }
                }
                // The document hands them out again until its push is confirmed; afterwards they expire.
                Task::Document { .. } | Task::Obsolete { .. } => {}
            }
        }
        Ok(all)
    }

    /// Notes that no member did anything. With `refused` the whole swarm says no, and means what is said.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn note_failure(
        &self,
        store: &ClientStore,
        reason: &str,
        refused: bool,
        now: Timestamp,
        random: u32,
    ) -> Result<Vec<Changes>, StoreError> {
        let mut all = Vec::new();
        for task in &self.tasks {
            match task {
                Task::Copy { due, .. } if refused && self.tasks.len() == 1 => {
                    all.push(store.mark_failed(&due.id, due.copy, reason, now)?);
                }
                Task::Copy { due, .. } => {
                    let next = now.plus(pause_after(due.attempts, random));
                    store.record_attempt(&due.id, due.copy, reason, next, Others::WaitToo)?;
                }
                Task::Delete { tasks, .. } | Task::Shorten { tasks, .. } => {
                    let attempts = tasks.iter().map(|task| task.attempts).max().unwrap_or(0);
                    store.own_swarm_failed(tasks, now.plus(pause_after(attempts, random)), OWN_TASK_TRIES)?;
                }
                Task::Document { .. } | Task::Obsolete { .. } => {}
            }
        }
        Ok(all)
    }
}

impl Task {
    /// Seals something for whom it is for.
    fn copy(
        keys: &Account,
        due: DueCopy,
        rng: &mut impl CryptoRngCore,
    ) -> Result<Self, conclave_crypto::InvalidKey> {
        let key = due.recipient.x25519()?;
        let data: Arc<[u8]> = wire::seal(keys, &key, &due.content, due.sent_at, rng).into();
        let hash = MessageHash::of(&due.recipient, Namespace::DIRECT, &data);
        Ok(Self::Copy { due, data, hash })
    }

    /// How many requests it takes.
    const fn parts(&self) -> usize {
        match self {
            Self::Document { push, .. } => push.entries.len(),
            _ => 1,
        }
    }
}

/// Notes how many signed for a copy; with no majority it is tried again.
#[expect(clippy::too_many_arguments, reason = "one fact each, and one caller")]
fn note_copy(
    store: &ClientStore,
    due: &DueCopy,
    hash: &MessageHash,
    signed: u32,
    swarm: u32,
    reason: Option<&str>,
    now: Timestamp,
    random: u32,
) -> Result<Changes, StoreError> {
    let stored = StoredCopy { signed, swarm, hash: hash.as_str(), expires_at: now.plus(due.ttl) };
    let changes = store.mark_stored(&due.id, due.copy, &stored, now)?;
    if signed.saturating_mul(2) <= swarm {
        let too_few = || format!("{signed} of {swarm} members of the swarm have it");
        let reason = reason.map_or_else(too_few, str::to_owned);
        let next = now.plus(pause_after(due.attempts, random));
        store.record_attempt(&due.id, due.copy, &reason, next, Others::Alone)?;
    } else if due.attempts > 0 && due.copy == Copy::Recipient {
        // The others to the same swarm waited because of this one.
        store.hurry(&due.recipient, due.copy, now)?;
    }
    Ok(changes)
}

/// How many members' signatures over what they did hold.
fn signatures(request: &Request, answer: &Value, swarm: &[SnodeRecord]) -> u32 {
    let Some(answer) = SwarmAnswer::from_json(request, answer) else { return 0 };
    u32::try_from(answer.verified(request, swarm).len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ() {
        let pauses: Vec<u64> = (0..9).map(|n| pause_after(n, 0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_after(40, 0), LONGEST_PAUSE);
        assert_eq!(pause_after(6, u32::MAX), Duration::from_secs(75));
    }

    #[test]
    fn a_list_is_doubted_when_fewer_than_a_majority_of_its_members_answer() {
        let failed = || Verdict::Failed("no answer".to_owned());
        for (verdicts, swarm, expected) in [
            (None, 5, true),
            (Some(vec![]), 5, true),
            (Some(vec![failed()]), 5, true),
            (Some(vec![Verdict::Signed(2)]), 5, true),
            (Some(vec![Verdict::Signed(2)]), 4, true),
            (Some(vec![Verdict::Signed(3)]), 5, false),
            (Some(vec![failed(), Verdict::Signed(3)]), 5, false),
        ] {
            assert_eq!(Errand::casts_doubt(verdicts.as_deref(), swarm), expected, "{verdicts:?} of {swarm}");
        }
    }

    #[test]
    fn one_member_s_refusal_fails_no_message() {
        for (refused, asked, swarm, expected) in [
            (0, 0, 5, false),
            (0, 3, 5, false),
            (1, 1, 5, false),
            (1, 3, 5, false),
            (2, 3, 5, false),
            (2, 2, 5, true),
            (3, 3, 5, true),
            (1, 1, 1, true),
        ] {
            assert_eq!(
                Errand::is_refused(refused, asked, swarm),
                expected,
                "{refused} of {asked} of {swarm}"
            );
        }
    }
}
