//! Getting from another member what this one lacks: one comparison, step by step.
//!
//! Performs no IO. [`Pull::begin`] and each answer lead to a [`Step`]; the caller asks the member, takes in what comes (by
//! the rules of the store, checking what needs checking), and goes on. Nothing the member says is believed here: names it
//! makes up are asked for in vain, and how much is asked for in one comparison is bounded.

use std::collections::VecDeque;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::sync::{
    self, AccountKeys, Copies, Digests, DigestsRequest, InvalidSync, Keys, KeysRequest, Name,
};

/// Names asked for at once. With the largest messages the answer still comes in parts.
const NAMES_AT_ONCE: usize = 500;
/// Pages of names read of one bucket: more than any honest member needs.
const MAX_PAGES: usize = 256;
/// Answers to one request for messages: a member that says "more" for ever is not asked for ever.
const MAX_PARTS: usize = 2_000;

/// What a comparison has to know of this node's own store.
pub trait Local {
    /// What goes wrong.
    type Error;

    /// The own digests.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn digests(&self, cutoff: Timestamp) -> Result<Digests, Self::Error>;

    /// What of these is wanted: lacks here, and belongs here.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn wanted(&self, keys: &AccountKeys) -> Result<AccountKeys, Self::Error>;
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the member, then [`Pull::answered`].
    Ask {
        /// The endpoint.
        endpoint: &'static str,
        /// The body.
        body: Vec<u8>,
    },
    /// Take these in, then [`Pull::taken_in`].
    TakeIn(Copies),
    /// The comparison is over.
    Done,
}

/// Why a comparison ends early.
#[derive(Debug, thiserror::Error)]
pub enum PullError<E> {
    /// The member answered what is no answer.
    #[error("a member's answer cannot be read: {0}")]
    Invalid(#[from] InvalidSync),
    /// The own store failed.
    #[error("the own store: {0}")]
    Local(E),
}

/// One comparison with one member.
#[derive(Debug)]
pub struct Pull {
    cutoff: Timestamp,
    state: State,
    buckets: VecDeque<usize>,
    pages: usize,
    /// Where the names of the bucket in front go on; `None` if its next page is the first.
    after: Option<(AccountId, Name)>,
    wanted: VecDeque<AccountKeys>,
    parts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Digests,
    Keys,
    Copies,
}

impl Pull {
    /// Begins to compare everything that is still there at `cutoff`.
    pub fn begin(cutoff: Timestamp) -> (Self, Step) {
        let pull = Self {
            cutoff,
            state: State::Digests,
            buckets: VecDeque::new(),
            pages: 0,
            after: None,
            wanted: VecDeque::new(),
            parts: 0,
        };
        (pull, Step::Ask { endpoint: sync::DIGESTS, body: DigestsRequest { cutoff }.encode() })
    }

    /// Goes on with the member's answer.
    ///
    /// # Errors
    /// [`PullError`]; the comparison is over then.
    pub fn answered<L: Local>(&mut self, answer: &[u8], local: &L) -> Result<Step, PullError<L::Error>> {
        match self.state {
            State::Digests => {
                let theirs = Digests::decode(answer)?;
                let ours = local.digests(self.cutoff).map_err(PullError::Local)?;
                let pairs = theirs.0.iter().zip(&ours.0).enumerate();
                self.buckets = pairs.filter(|(_, (a, b))| a != b).map(|(bucket, _)| bucket).collect();
                Ok(self.next())
            }
            State::Keys => {
                let keys = Keys::decode(answer)?;
                for account in &keys.accounts {
                    let wanted = local.wanted(account).map_err(PullError::Local)?;
                    if wanted.count() > 0 {
                        self.wanted.push_back(wanted);
                    }
                }
                self.pages += 1;
                let last = keys.accounts.last().map(|keys| {
                    let name = keys.messages.last().map_or([0xff; 32], |(name, _)| *name);
                    (keys.account, name)
                });
                // A page that gets nowhere is the last one.
                let goes_on = keys.more && self.pages < MAX_PAGES && last > self.after;
                if goes_on {
                    self.after = last;
                } else {
                    self.buckets.pop_front();
                    (self.after, self.pages) = (None, 0);
                }
                Ok(self.next())
            }
            State::Copies => {
                let copies = Copies::decode(answer)?;
                self.parts += 1;
                self.strike_off(&copies);
                Ok(Step::TakeIn(copies))
            }
        }
    }

    /// Goes on after what came has been taken in.
    pub fn taken_in(&mut self) -> Step {
        self.next()
    }

    fn next(&mut self) -> Step {
        if !self.wanted.is_empty() {
            self.state = State::Copies;
            return Step::Ask {
                endpoint: sync::FETCH,
                body: Keys { accounts: self.batch(), more: false }.encode(),
            };
        }
        self.parts = 0;
        let Some(bucket) = self.buckets.front() else { return Step::Done };
        self.state = State::Keys;
        let request = KeysRequest { cutoff: self.cutoff, bucket: *bucket, after: self.after };
        Step::Ask { endpoint: sync::KEYS, body: request.encode() }
    }

    /// The first names that are wanted.
    fn batch(&self) -> Vec<AccountKeys> {
        let mut room = NAMES_AT_ONCE;
        let mut batch = Vec::new();
        for wanted in &self.wanted {
            if room == 0 {
                break;
            }
            let operations: Vec<Name> = wanted.operations.iter().take(room).copied().collect();
            room -= operations.len();
            let messages: Vec<_> = wanted.messages.iter().take(room).copied().collect();
            room -= messages.len();
            batch.push(AccountKeys { account: wanted.account, messages, operations });
        }
        batch
    }

    /// Takes off the list what has come, or, if this was all the member had to give, what was asked for. Answers bring
    /// things in the order in which they were asked for, as many as fit.
    fn strike_off(&mut self, copies: &Copies) {
        let all = !copies.more || self.parts >= MAX_PARTS;
        let mut operations = if all { usize::MAX } else { copies.operations.len() };
        let mut messages = if all { usize::MAX } else { copies.messages.len() };
        if operations == 0 && messages == 0 {
            // It says "more" and gives nothing.
            (operations, messages) = (usize::MAX, usize::MAX);
        }
        let mut room = NAMES_AT_ONCE;
        for wanted in &mut self.wanted {
            let gone = operations.min(wanted.operations.len()).min(room);
            wanted.operations.drain(..gone);
            operations -= gone;
            room -= gone;
            let gone = messages.min(wanted.messages.len()).min(room);
            wanted.messages.drain(..gone);
            messages -= gone;
            room -= gone;
            if room == 0 || (operations == 0 && messages == 0) {
                break;
            }
        }
        self.wanted.retain(|wanted| wanted.count() > 0);
    }
}
