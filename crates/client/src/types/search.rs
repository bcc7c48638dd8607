//! What is looked for, and what was found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Message, SearchCursor, SearchKind};

/// What to look for in all messages. All that is given has to hold; at least a word, a chat, an author or a kind has to be given.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Search {
    /// Words, in any order; the last may be a beginning. Nothing in it is syntax. At most 1,024 bytes.
    pub text: String,
    /// Only in this chat: an account id, the name of a contact, or `me`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// Only by this author, named as a chat is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Only messages that hold this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<SearchKind>,
    /// Not sent before this time, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Not sent after this time, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Go on where an earlier page ended ([`SearchResult::next`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<SearchCursor>,
    /// At most so many hits, and never more than 1,000; 0 is 50.
    pub limit: u32,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Search({} bytes, limit {})", self.text.len(), self.limit)
    }
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchResult {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// With this the next page begins; `null` after the last.
    pub next: Option<SearchCursor>,
    /// Old messages are still being indexed: some may be missing.
    pub incomplete: bool,
}

/// A message that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// The message.
    pub message: Message,
    /// What to mark in its text: begin and end, in bytes, in order. Empty if it was found by something else than its text.
    pub marks: Vec<(usize, usize)>,
}
