//! Ours: `conclave_wait`, which is answered when a mailbox has something new (docs/protocol/extensions).
//!
//! It takes the place of polling where a node announces it in `info`. Never inside batch, sequence or ifelse: one that
//! waits would hold up the others.

use conclave_crypto::AccountId;

use super::answers::{Answer, RetrieveAnswer, Stamp};
use super::fields::Fields;
use super::{Dict, TimedAuth, Value};
use crate::{MessageHash, Namespace};

/// The method's name.
pub const CONCLAVE_WAIT: &str = "conclave_wait";
/// The longest wait, in milliseconds: well below what hops give an onion request.
pub const MAX_WAIT_MS: u64 = 20_000;
/// Mailboxes in one request: all that one account has, and more.
pub const MAX_POSITIONS: usize = 16;

/// Waits for news of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The mailboxes' owner.
    pub account: AccountId,
    /// Which mailboxes, and the last message known of each on this node, as in `retrieve`. At least one, at most
    /// [`MAX_POSITIONS`], no mailbox twice.
    pub positions: Vec<(Namespace, Option<MessageHash>)>,
    /// How long at most, in milliseconds; more than [`MAX_WAIT_MS`] counts as that.
    pub max_ms: u64,
    /// Needs the right to read, in any namespace.
    pub auth: TimedAuth,
}

/// What came, by mailbox; empty when the time was over first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitAnswer {
    /// A page of each mailbox that has something after the position given.
    pub news: Vec<(Namespace, RetrieveAnswer)>,
}

impl WaitAnswer {
    /// As an answer.
    pub fn to_answer(&self, stamp: Stamp) -> Answer {
        let news = self.news.iter().map(|(namespace, page)| {
            let mut entry = page.to_dict();
            entry.insert("namespace".to_owned(), (*namespace).into());
            Value::Dict(entry)
        });
        let mut result = Dict::from([("news".to_owned(), news.collect::<Vec<_>>().into())]);
        stamp.add_to(&mut result);
        Answer::ok(result)
    }

    /// Reads an answer. `None` if any part of it cannot be read.
    pub fn from_json(answer: &serde_json::Value) -> Option<Self> {
        let entries = Fields::Json(answer.as_object()?).field("news")?.list()?;
        let entry = |entry: super::fields::Field<'_>| {
            let fields = entry.fields()?;
            let namespace = fields.field("namespace")?.int()?.as_i64()?;
            let Fields::Json(object) = fields else { return None };
            let page = RetrieveAnswer::from_fields(object)?;
            Some((Namespace(i16::try_from(namespace).ok()?), page))
        };
        Some(Self { news: entries.into_iter().map(entry).collect::<Option<_>>()? })
    }
}
