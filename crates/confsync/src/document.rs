//! A document as one device has it (config-and-groups 4): its newest version, whether that still has to
//! be pushed, where it is stored, and which older entries may go.
//!
//! Performs no IO. The caller stores what [`Document::push`] returns and says so with
//! [`Document::confirm_pushed`]; hands everything it fetched to [`Document::merge`]; and keeps
//! [`Document::dump`] whenever [`Document::needs_dump`] says so, before it acts on anything else.

use std::collections::BTreeSet;

use conclave_crypto::{AccountId, Ed25519Public, Ed25519Secret, Zeroizing};
use conclave_proto::{MessageHash, Timestamp, bt};

use crate::data::{Dict, Value};
use crate::diff::{Again, Diff};
use crate::kind::Kind;
use crate::merge::{Outcome, merge};
use crate::message::{Draft, LAG, MAX_SEQNO, Message, Version};
use crate::parts::{Added, Parts};
use crate::sealing::{self, Opened, Owner, Rejected};

/// Whose document it is, and what we may do with it.
#[derive(Clone)]
pub(crate) enum Authority {
    /// Of our account.
    Account(Owner),
    /// Of a group: read by its members, changed by who has its secret.
    Group { public: Ed25519Public, secret: Option<Ed25519Secret> },
    /// Of this device.
    Device,
}

/// Where a document stands. Of the newest version there are the message, or what it will be made of.
#[derive(Clone)]
pub(crate) enum State {
    /// Pushed, or nothing to push.
    Clean(Message),
    /// Changed since: the version that was changed, and the next one, which nobody else has seen.
    Dirty(Box<(Message, Draft)>),
    /// To be pushed, or pushed and not known to have arrived.
    Waiting(Message),
}

/// A mergeable document. The views (`UserProfile`, `Contacts`, …) make them and say what is in them.
#[derive(Clone)]
pub struct Document {
    pub(crate) kind: Kind,
    authority: Authority,
    keys: Vec<Zeroizing<[u8; 32]>>,
    pub(crate) state: State,
    /// Where the newest version is stored, as far as we know.
    pub(crate) stored: BTreeSet<String>,
    /// Entries that the newest version has made superfluous.
    pub(crate) obsolete: BTreeSet<String>,
    /// Obsolete entries that were handed out with a push that is not confirmed.
    pub(crate) handed_out: BTreeSet<String>,
    /// The first version with changes of ours that was pushed and is not known to have arrived.
    pub(crate) unconfirmed: Option<Version>,
    pub(crate) parts: Parts,
    /// What the document's kind remembers on this device only.
    pub(crate) extra: bt::Value,
    needs_dump: bool,
}

/// What to store.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// For [`Document::confirm_pushed`].
    pub seqno: i64,
    /// The entries to store in the document's namespace: one, or several if it is large.
    pub messages: Vec<Vec<u8>>,
    /// The entries to delete, after all of `messages` are stored and only then.
    pub obsolete: Vec<String>,
}

/// What came of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The storage hashes of the entries that were understood, in the order they were given.
    pub understood: Vec<String>,
    /// Those that were not, and why. They may be of a newer program: leave them where they are.
    pub rejected: Vec<(String, Rejected)>,
    /// Whether what the document holds may be different now.
    pub changed: bool,
    /// Whether changes of this device were dropped that nobody is known to have: the others have moved on by so many versions
    /// that theirs are not merged with it any more. What is missing now was not taken away by anybody.
    pub forgotten: bool,
}

/// Why a document was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It is a group's, and we are not its admin.
    #[error("only admins of the group can change this")]
    ReadOnly,
    /// Somebody has used up the version numbers; only a new account or group helps.
    #[error("the document has no version numbers left")]
    Exhausted,
    /// A value that the document cannot hold.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Why a document cannot be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// More than the format allows: nothing is stored until something is removed.
    #[error("the document is too large to be synced: remove entries that are no longer needed")]
    TooLarge,
    /// A group's document before its first key: push again when there is one.
    #[error("there is no key to encrypt the document with")]
    NoKey,
    /// It stays on this device.
    #[error("this document stays on this device")]
    Local,
}

impl Document {
    pub(crate) fn new(kind: Kind, authority: Authority, keys: Vec<Zeroizing<[u8; 32]>>) -> Self {
        Self {
            kind,
            authority,
            keys,
            state: State::Clean(Message::empty()),
            stored: BTreeSet::new(),
            obsolete: BTreeSet::new(),
            handed_out: BTreeSet::new(),
            unconfirmed: None,
            parts: Parts::default(),
            extra: bt::Value::Dict(Default::default()),
            needs_dump: false,
        }
    }

    /// An empty document of an account. Its key is the account's seed (4.4).
    pub(crate) fn of_account(kind: Kind, account: &Ed25519Secret) -> Self {
        Self::new(kind, Authority::Account(Owner::new(account)), vec![account.seed()])
    }

    /// What kind of document this is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it holds, local changes included.
    pub fn data(&self) -> &Dict {
        match &self.state {
            State::Clean(message) | State::Waiting(message) => message.data(),
            State::Dirty(changed) => changed.1.data(),
        }
    }

    /// The number of the newest version; 0 before the first.
    pub fn seqno(&self) -> i64 {
        match &self.state {
            State::Clean(message) | State::Waiting(message) => message.version().seqno,
            State::Dirty(changed) => changed.1.seqno(),
        }
    }

    /// Whether we may not change it.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.authority, Authority::Group { secret: None, .. })
    }

    /// Sets the value at the end of a path of keys, or removes it. Views do this; it is public for what
    /// no view knows. Returns whether anything is different now.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn put(&mut self, path: &[&[u8]], value: Option<Value>) -> Result<bool, EditError> {
        if self.is_read_only() {
            return Err(EditError::ReadOnly);
        }
        // A value that is empty is none, and none where none is is no change.
        let mut probe = Dict::new();
        probe.put(&[b"v"], value);
        let value = probe.value(b"v").cloned();
        if self.data().at(path) == value.as_ref() {
            return Ok(false);
        }
        self.draft()?.data_mut().put(path, value);
        Ok(true)
    }

    /// The next version, begun if it is not yet.
    fn draft(&mut self) -> Result<&mut Draft, EditError> {
        // A merge, too, is followed and not changed: it says everything anew, and other devices that merge the same say the
        // same. A change made in it would be one of two versions with the same number, and what was taken away would come
        // back with the other.
        if let State::Clean(message) | State::Waiting(message) = &self.state {
            if message.version().seqno >= MAX_SEQNO {
                return Err(EditError::Exhausted);
            }
            self.state = State::Dirty(Box::new((message.clone(), message.next())));
        }
        self.needs_dump = true;
        self.obsolete.append(&mut self.stored);
        match &mut self.state {
            State::Dirty(changed) => Ok(&mut changed.1),
            _ => unreachable!("made dirty above"),
        }
    }

    /// Whether there is something to push.
    pub const fn needs_push(&self) -> bool {
        !matches!(self.state, State::Clean(_)) && !matches!(self.authority, Authority::Device)
    }

    /// What to store now, and what may be deleted afterwards. Of a document that was pushed already it is
    /// the same again: to repeat a push that failed, or to put back what has expired in the swarm.
    ///
    /// `now` serves what ages by the clock (read positions).
    ///
    /// # Errors
    /// [`PushError`]; the document is as it was.
    pub fn push(&mut self, now: Timestamp) -> Result<Push, PushError> {
        if matches!(self.authority, Authority::Device) {
            return Err(PushError::Local);
        }
        let key = self.keys.first().ok_or(PushError::NoKey)?.clone();
        if self.kind == Kind::Conversations {
            crate::conversations::forget_old(self, now);
        }
        let message = match &self.state {
            State::Clean(message) | State::Waiting(message) => message.clone(),
            State::Dirty(changed) => changed.1.finish(self.signer()),
        };
        let seqno = message.version().seqno;
        let messages = sealing::seal(message.as_bytes(), seqno, self.kind, &key, self.owner())
            .ok_or(PushError::TooLarge)?;
        if matches!(self.state, State::Dirty(_)) {
            self.unconfirmed.get_or_insert(message.version());
            self.state = State::Waiting(message);
            self.needs_dump = true;
        }
        if self.is_read_only() {
            return Ok(Push { seqno, messages, obsolete: Vec::new() });
        }
        // A change that was taken back can lead to bytes that were stored before. They have the same hash.
        let hashes: Vec<String> = messages.iter().filter_map(|entry| self.storage_hash(entry)).collect();
        for hash in hashes {
            self.needs_dump |= self.obsolete.remove(&hash) | self.handed_out.remove(&hash);
        }
        if !self.obsolete.is_empty() {
            self.needs_dump = true;
            self.handed_out.append(&mut self.obsolete);
        }
        // The reference forgets them here. Until a push is confirmed nobody knows whether they are deleted,
        // and deleting twice does no harm.
        Ok(Push { seqno, messages, obsolete: self.handed_out.iter().cloned().collect() })
    }

    /// All messages of a push are stored, under these hashes. Without effect if the document has changed
    /// since, by an edit or a merge.
    pub fn confirm_pushed<H: Into<String>>(&mut self, seqno: i64, hashes: impl IntoIterator<Item = H>) {
        if let State::Waiting(message) = &self.state
            && message.version().seqno == seqno
        {
            self.state = State::Clean(message.clone());
            self.unconfirmed = None;
            self.stored.extend(hashes.into_iter().map(Into::into));
            self.handed_out.clear();
            self.keep_stored();
            self.needs_dump = true;
        }
    }

    /// Takes what was fetched from the document's namespace: storage hashes and entries, old and new, own
    /// and others', in any order and as often as they come.
    pub fn merge<'a>(
        &mut self,
        fetched: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        now: Timestamp,
    ) -> Merged {
        let mut report = Merged::default();
        self.needs_dump |= self.parts.expire(now);
        let mut messages: Vec<(BTreeSet<String>, Message)> = Vec::new();
        for (hash, entry) in fetched {
            match self.read(hash, entry, now) {
                Ok(read) => {
                    report.understood.push(hash.to_owned());
                    messages.extend(read);
                }
                Err(reason) => report.rejected.push((hash.to_owned(), reason)),
            }
        }
        if !messages.is_empty() {
            let before = (self.stored.clone(), self.obsolete.clone());
            let left_behind = self.is_left_behind(&messages);
            report.changed = self.merge_messages(messages);
            report.forgotten = left_behind && report.changed;
            if report.forgotten {
                self.unconfirmed = None;
            }
            self.keep_stored();
            if self.is_read_only() {
                // Members delete nothing, and must not begin with it the day they become admins.
                self.obsolete.clear();
            }
            self.needs_dump |= report.changed || before != (self.stored.clone(), self.obsolete.clone());
        }
        report
    }

    /// The message that an entry holds or completes.
    fn read(
        &mut self,
        hash: &str,
        entry: &[u8],
        now: Timestamp,
    ) -> Result<Option<(BTreeSet<String>, Message)>, Rejected> {
        let keys = self.keys.iter().map(|key| &**key);
        let (hashes, bytes) = match sealing::open(entry, self.kind, keys, self.owner())? {
            Opened::Message(bytes) => (BTreeSet::from([hash.to_owned()]), bytes),
            Opened::Part(part) => {
                self.needs_dump = true;
                match self.parts.add(hash, part, now)? {
                    Added::Kept => return Ok(None),
                    Added::Complete { whole, hashes } => (hashes, sealing::expand_whole(&whole)?),
                }
            }
        };
        Ok(Some((hashes, Message::parse(&bytes, self.verifier())?)))
    }

    /// Whether pushed changes of ours are not known to have arrived, and are too old to be merged with these.
    fn is_left_behind(&mut self, fetched: &[(BTreeSet<String>, Message)]) -> bool {
        let Some(ours) = self.unconfirmed else { return false };
        let others = || fetched.iter().map(|(_, message)| message);
        if others().any(|other| other.version() == ours || other.lagged().contains_key(&ours)) {
            self.unconfirmed = None;
            self.needs_dump = true;
            return false;
        }
        let newest = others().map(|other| other.version().seqno).max().unwrap_or_default().max(self.seqno());
        ours.seqno.saturating_add(LAG) <= newest
    }

    /// Merges what could be read (4.3); whether the data may have changed.
    ///
    /// Changes that were never pushed are not merged by their number, or they would be forgotten when it is old. They are made
    /// once more to what comes of the others, as far as those have not changed the same.
    fn merge_messages(&mut self, fetched: Vec<(BTreeSet<String>, Message)>) -> bool {
        let (own, changes) = match &self.state {
            State::Clean(message) | State::Waiting(message) => (message.clone(), None),
            State::Dirty(changed) => (changed.0.clone(), Some(changed.1.clone())),
        };
        let has_own = own.version().seqno != 0;
        let all: Vec<&Message> =
            has_own.then_some(&own).into_iter().chain(fetched.iter().map(|(_, message)| message)).collect();
        let Some(outcome) = merge(&all, !self.is_read_only()) else { return false };
        let (merged, newest) = match outcome {
            Outcome::Adopted(place) => match all.get(place) {
                Some(message) => (None, (*message).clone()),
                None => return false,
            },
            Outcome::Merged(mut draft) => {
                // As the reference does it, which decides about the bytes: all devices that merge the same have to
                // write the same.
                draft.base = Dict::new();
                let message = draft.finish(self.signer());
                (Some(message.version()), message)
            }
        };
        // Also of a member, who cannot merge, and stays with what came first.
        let unchanged = merged.is_none() && has_own && newest.version().seqno == own.version().seqno;
        let keeps = if unchanged { own.version() } else { newest.version() };
        let mut copies = BTreeSet::new();
        for (hashes, message) in fetched {
            // An entry with the same bytes inside is no older version: another device's push of the same merge, or our own that
            // we do not know to have arrived. It goes when the version does, which with the next change it has.
            let same = changes.is_none() && keeps == message.version();
            if same { &mut copies } else { &mut self.obsolete }.extend(hashes);
        }
        if unchanged {
            self.stored.extend(copies);
            return false;
        }
        self.obsolete.append(&mut self.stored);
        self.state = match changes.and_then(|changes| self.changed_again(&own, &changes, &newest)) {
            Some(again) => State::Dirty(Box::new((newest, again))),
            None if merged.is_some() => State::Waiting(newest),
            None => {
                self.stored = copies;
                State::Clean(newest)
            }
        };
        true
    }

    /// The changes that lead from `own` to `changes`, made to `newest` instead; `None` if they are in it already,
    /// or nothing can follow.
    fn changed_again(&self, own: &Message, changes: &Draft, newest: &Message) -> Option<Draft> {
        if newest.version().seqno >= MAX_SEQNO {
            return None;
        }
        let ours = Diff::between(own.data(), changes.data());
        let mut again = newest.next();
        let how = Again {
            // Read positions age out of the document while their conversations live on.
            revives: self.kind == Kind::Conversations,
            // Whoever was away for long may not know what became of what he took away.
            removes: newest.version().seqno < own.version().seqno.saturating_add(LAG),
        };
        ours.make_again(own.data(), changes.data(), again.data_mut(), how);
        again.data_mut().prune();
        // Without changes from the beginning, it is the writing that was wanted, under another key.
        (ours.is_empty() || again.data() != newest.data()).then_some(again)
    }

    /// What holds the newest version is never obsolete.
    fn keep_stored(&mut self) {
        self.obsolete.retain(|hash| !self.stored.contains(hash));
        self.handed_out.retain(|hash| !self.stored.contains(hash));
    }

    /// Where the newest version is stored, if it is pushed and confirmed.
    pub fn current_hashes(&self) -> impl Iterator<Item = &str> {
        let stored = matches!(self.state, State::Clean(_)).then_some(&self.stored);
        stored.into_iter().flatten().map(String::as_str)
    }

    /// Everything whose life in the swarm is to be extended: the newest version and what may become one.
    pub fn active_hashes(&self) -> BTreeSet<&str> {
        self.stored.iter().map(String::as_str).chain(self.parts.hashes()).collect()
    }

    /// Whether [`Self::dump`] would be different from the last one.
    pub const fn needs_dump(&self) -> bool {
        self.needs_dump
    }

    pub(crate) const fn mark_changed(&mut self) {
        self.needs_dump = true;
    }

    pub(crate) const fn mark_dumped(&mut self) {
        self.needs_dump = false;
    }

    /// The keys of a group's document, newest first: the first encrypts, all are tried for opening. With
    /// `rewrite` the document is pushed again under the new key, if we may.
    ///
    /// # Errors
    /// [`EditError`], of `rewrite` only; the keys are set then, too.
    pub(crate) fn set_keys(&mut self, keys: &[[u8; 32]], rewrite: bool) -> Result<(), EditError> {
        self.keys = keys.iter().copied().map(Zeroizing::new).collect();
        if !rewrite {
            return Ok(());
        }
        if self.is_read_only() {
            return Err(EditError::ReadOnly);
        }
        self.draft().map(drop)
    }

    /// From now on we are admin.
    pub(crate) fn set_signer(&mut self, group: &Ed25519Secret) -> Result<(), EditError> {
        match &mut self.authority {
            Authority::Group { public, secret } if *public == group.public() => {
                *secret = Some(group.clone());
                Ok(())
            }
            _ => Err(EditError::Invalid("the key belongs to another group")),
        }
    }

    /// The hash under which the swarm knows an entry.
    fn storage_hash(&self, entry: &[u8]) -> Option<String> {
        let owner = match &self.authority {
            Authority::Account(owner) => owner.account_id(),
            Authority::Group { public, .. } => AccountId::of_group(public),
            Authority::Device => return None,
        };
        Some(MessageHash::of(&owner, self.kind.namespace()?, entry).to_string())
    }

    fn owner(&self) -> Option<&Owner> {
        match &self.authority {
            Authority::Account(owner) => Some(owner),
            _ => None,
        }
    }

    fn signer(&self) -> Option<&Ed25519Secret> {
        match &self.authority {
            Authority::Group { secret, .. } => secret.as_ref(),
            _ => None,
        }
    }

    fn verifier(&self) -> Option<&Ed25519Public> {
        match &self.authority {
            Authority::Group { public, .. } => Some(public),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Clean(_) => "clean",
            State::Dirty(_) => "dirty",
            State::Waiting(_) => "waiting",
        };
        write!(f, "Document({:?}, version {}, {state})", self.kind, self.seqno())
    }
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Push(version {}, {} entries, {} obsolete)",
            self.seqno,
            self.messages.len(),
            self.obsolete.len()
        )
    }
}
