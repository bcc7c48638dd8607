//! What came of a request, whose fault it was, and whether to try again (storage-and-onion 6.7, 6.9, 9.3).
//!
//! Texts are matched literally, because the network's programs know no other way to say which hop
//! failed. Anything along a path can invent them, so they move blame by rules ([`crate::path`]),
//! never by trust. This module sends nothing and counts nothing.

use std::time::Duration;

use conclave_crypto::Ed25519Public;

/// The pause before the first repetition; each further one doubles it.
pub const RETRY_BASE: Duration = Duration::from_millis(200);
/// Pauses grow no longer than this: who waits for a message notices.
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// Error texts are short; a longer body is an answer or rubbish, and is not searched.
const MAX_TEXT: usize = 256;

/// Whether, and after how long, the same request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once: with another path or destination than before.
    Now,
    /// After a pause.
    After(Duration),
    /// Not as it is.
    Never,
}

/// The pause after `attempt` failures before this one: 200 ms · 2ⁿ, at most 5 s.
pub fn retry_delay(attempt: u32) -> Duration {
    RETRY_BASE.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(RETRY_MAX)
}

/// What came of one request over one path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The path carried the request and, in a decrypted reply, the destination did it.
    Worked,
    /// This machine has no network at all. Nobody else's fault. Only the shell can know it.
    Offline,
    /// No connection to the guard. Only the shell can know it.
    GuardUnreachable,
    /// The guard is not ready or overloaded.
    GuardBusy,
    /// The guard or a relay wants no more bytes of us before so many milliseconds are over (docs/protocol/files). Nobody's
    /// fault: what is small still goes.
    Metered(u64),
    /// A hop does not know the next node, or not where it is.
    NodeNotFound(Ed25519Public),
    /// A hop or the destination says it is not ready.
    NodeNotReady(Ed25519Public),
    /// No answer in time: a hop's clock (504) or, as told by the shell, ours.
    PathTimeout,
    /// A hop could not read its layer, or the next hop's answer.
    PathBroken,
    /// The answer came, but cannot be decrypted or read.
    UnreadableReply,
    /// Any other status at the guard. For a server destination this may be the server's own.
    Unexplained(u16),
    /// Our clock is off by more than the network tolerates: learn the offset first.
    Clock,
    /// Another swarm has the account; the body (JSON text, storage-and-onion 2.13) says which.
    WrongSwarm(String),
    /// The signature or the membership was refused.
    Unauthorised,
    /// The destination finds the request malformed.
    Malformed,
    /// The destination cannot follow the network any more.
    DestinationGone,
    /// The destination failed with this status.
    DestinationFailed(u16),
}

impl Outcome {
    /// Classifies what the guard answered, before anything is decrypted. A 200 gives
    /// [`Self::Worked`]: open the reply and classify that with [`Self::from_reply`].
    pub fn from_http(status: u16, body: &[u8]) -> Self {
        let text = short_text(body);
        match status {
            200 => Self::Worked,
            400 if text == "Invalid ciphertext"
                || text.starts_with("Invalid internal onion request")
                || text == "onion request max path length exceeded" =>
            {
                Self::PathBroken
            }
            500 if text == "Invalid response from snode" => Self::PathBroken,
            502 => named(text, "Next node not found: ")
                .or_else(|| named(text, "Next node is currently unreachable: "))
                .map_or(Self::Unexplained(status), Self::NodeNotFound),
            503 => match named(text, "Snode not ready: ") {
                Some(node) => Self::NodeNotReady(node),
                None if text.starts_with("Service node is not ready") || text.starts_with("Server busy") => {
                    Self::GuardBusy
                }
                None => Self::Unexplained(status),
            },
            429 => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(body) => body.get("retry_after_ms").and_then(serde_json::Value::as_u64),
                Err(_) => None,
            }
            .map_or(Self::Unexplained(status), Self::Metered),
            504 if text == "Request time out" => Self::PathTimeout,
            _ => Self::Unexplained(status),
        }
    }

    /// Classifies a decrypted reply of a snode or server: its own status and body.
    pub fn from_reply(status: u16, body: &[u8]) -> Self {
        match status {
            200..=299 => Self::Worked,
            400 => Self::Malformed,
            401 => Self::Unauthorised,
            406 | 425 => Self::Clock,
            421 => Self::WrongSwarm(String::from_utf8_lossy(body).into_owned()),
            502 if short_text(body) == "oxend returned unparsable data" => Self::DestinationGone,
            503 => match named(short_text(body), "Snode not ready: ") {
                Some(node) => Self::NodeNotReady(node),
                None => Self::DestinationFailed(status),
            },
            _ => Self::DestinationFailed(status),
        }
    }

    /// Whether and when to try again, after `attempt` failures before this one. The caller bounds
    /// the attempts, and takes a fresh path and, where the destination is at fault, another one.
    pub fn retry(&self, attempt: u32) -> Retry {
        match self {
            // Of what is metered, whoever sends much knows when to go on.
            Self::Worked | Self::Clock | Self::Unauthorised | Self::Malformed | Self::Metered(_) => {
                Retry::Never
            }
            // The first redirect costs nothing; a second in a row may be a circle.
            Self::WrongSwarm(_) | Self::NodeNotFound(_) if attempt == 0 => Retry::Now,
            _ => Retry::After(retry_delay(attempt)),
        }
    }
}

/// The node a text names after `prefix`, if it does name one.
fn named(text: &str, prefix: &str) -> Option<Ed25519Public> {
    Ed25519Public::from_hex(text.strip_prefix(prefix)?).ok()
}

/// The body as text without surrounding white space; nothing if it is longer than any error text.
fn short_text(body: &[u8]) -> &str {
    if body.len() > MAX_TEXT {
        return "";
    }
    std::str::from_utf8(body).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";

    #[test]
    fn every_error_text_of_the_network_is_understood() {
        let key = Ed25519Public::from_hex(KEY).unwrap();
        let cases = [
            (200, String::new(), Outcome::Worked),
            (400, "Error parsing onion request: bad json".into(), Outcome::Unexplained(400)),
            (400, "Invalid ciphertext\n".into(), Outcome::PathBroken),
            (400, "Invalid internal onion request: x".into(), Outcome::PathBroken),
            (400, "onion request max path length exceeded".into(), Outcome::PathBroken),
            (500, "Invalid response from snode".into(), Outcome::PathBroken),
            (502, format!("Next node not found: {KEY}"), Outcome::NodeNotFound(key)),
            (502, format!("Next node is currently unreachable: {KEY}\n"), Outcome::NodeNotFound(key)),
            (502, "Next node not found: nonsense".into(), Outcome::Unexplained(502)),
            (502, "could not resolve host".into(), Outcome::Unexplained(502)),
            (503, format!("Snode not ready: {KEY}"), Outcome::NodeNotReady(key)),
            (503, "Service node is not ready: not in any swarm\n".into(), Outcome::GuardBusy),
            (503, "Server busy, try again later".into(), Outcome::GuardBusy),
            (429, r#"{"reason":"Too many bytes","retry_after_ms":1500}"#.into(), Outcome::Metered(1_500)),
            (429, "Too many requests".into(), Outcome::Unexplained(429)),
            (504, "Request time out".into(), Outcome::PathTimeout),
            (418, "teapot".into(), Outcome::Unexplained(418)),
        ];
        for (status, body, expected) in cases {
            assert_eq!(Outcome::from_http(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn every_status_of_a_destination_is_understood() {
        let key = Ed25519Public::from_hex(KEY).unwrap();
        let cases = [
            (200, "", Outcome::Worked),
            (400, "", Outcome::Malformed),
            (401, "", Outcome::Unauthorised),
            (406, "", Outcome::Clock),
            (425, "", Outcome::Clock),
            (421, "{\"snodes\":[]}", Outcome::WrongSwarm("{\"snodes\":[]}".into())),
            (502, "oxend returned unparsable data", Outcome::DestinationGone),
            (503, &format!("Snode not ready: {KEY}"), Outcome::NodeNotReady(key)),
            (429, "", Outcome::DestinationFailed(429)),
            (500, "", Outcome::DestinationFailed(500)),
        ];
        for (status, body, expected) in cases {
            assert_eq!(Outcome::from_reply(status, body.as_bytes()), expected, "{status} {body}");
        }
    }

    #[test]
    fn pauses_double_up_to_five_seconds() {
        let pauses: Vec<u128> = (0..6).map(|n| retry_delay(n).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000]);
        assert_eq!(retry_delay(u32::MAX), RETRY_MAX);
        assert_eq!(Outcome::Clock.retry(0), Retry::Never);
        assert_eq!(Outcome::WrongSwarm(String::new()).retry(0), Retry::Now);
        assert_eq!(Outcome::PathTimeout.retry(1), Retry::After(Duration::from_millis(400)));
    }
}
