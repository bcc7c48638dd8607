//! Requests to servers that read onion requests themselves (community and file servers): sealed for the server, passed on by the
//! last node of a path, answered sealed (storage-and-onion 6.3, 6.5).
//!
//! Where a server is said to be comes from strangers. What it answers, or that it answers nothing, is therefore no news of the
//! path, except where only a node can have said it.

use std::time::Duration;

use conclave_onion::outcome::{Outcome, Retry, retry_delay};
use conclave_onion::request::{Destination, Server, UnreadableReply, seal};
use conclave_onion::{Path, Target};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_transport::Deadline;
use rand_core::OsRng;

use super::{MAX_TRIES, Network, NetworkError};

/// Where a server reads onion requests of the fourth form.
pub(crate) const V4_TARGET: &str = "/oxen/v4/lsrpc";
/// Characters of a server's words that are shown.
const MAX_WORDS: usize = 200;

impl Network {
    /// Asks a server something, through a path, and tries other paths where that can help. A request that was done may be
    /// done again, if its answer was lost.
    ///
    /// The answer is the server's own, whatever its code; only what prevents an answer is an error. `patience` is for each
    /// attempt. Request and answer are in memory as a whole, some three times: how many of them at once is the caller's to
    /// bound.
    ///
    /// # Errors
    /// [`NetworkError`]; [`NetworkError::Server`] if what is there cannot read the request, or cannot be reached.
    pub async fn ask_server(
        &self,
        server: &Server,
        request: &V4Request,
        patience: Duration,
    ) -> Result<V4Reply, NetworkError> {
        self.directory().await?;
        let mut last: Option<Path> = None;
        for attempt in 0.. {
            let path = self.path(Target::Server, last.take());
            self.keep_guards();
            let path = path?;
            let (outcome, result) = self.to_server(&path, server, request, patience).await;
            self.note_outcome(&path, Target::Server, &outcome, result.is_ok()).await;
            let error = match result {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let retry = match (&error, outcome.retry(attempt)) {
                // Another node may pass it on.
                (NetworkError::NotPassedOn(_), _) => Retry::After(retry_delay(attempt)),
                // Another path leads to the same server.
                (NetworkError::Server { status: 400..=499, .. }, _) => Retry::Never,
                (_, retry) => retry,
            };
            match retry {
                Retry::Now if attempt + 1 < MAX_TRIES => {}
                Retry::After(pause) if attempt + 1 < MAX_TRIES => tokio::time::sleep(pause).await,
                _ => {
                    self.note_trouble(&error);
                    return Err(error);
                }
            }
            last = Some(path);
        }
        Err(NetworkError::Timeout)
    }

    /// One attempt over one path.
    async fn to_server(
        &self,
        path: &Path,
        server: &Server,
        request: &V4Request,
        patience: Duration,
    ) -> (Outcome, Result<V4Reply, NetworkError>) {
        let destination = Destination::Server { server, request };
        let sealed = seal(path.hops(), destination, &mut OsRng).expect("a path has at least one hop");
        let response = match self.post(path, sealed.body, Deadline::after(patience)).await {
            Ok(response) => response,
            Err((outcome, error)) => return (outcome, Err(error)),
        };
        match Outcome::from_http(response.status, &response.body) {
            Outcome::Worked => {}
            outcome @ Outcome::Unexplained(status) => {
                let error = NetworkError::Server { status, text: words(&response.body) };
                return (outcome, Err(error));
            }
            outcome => {
                let error = NetworkError::of_path(&outcome, response.status);
                return (outcome, Err(error));
            }
        }
        match sealed.reply.open_server(&response.body) {
            Ok(reply) => (Outcome::Worked, Ok(reply)),
            Err(UnreadableReply::ExitRefused { text, .. }) => {
                (Outcome::Malformed, Err(NetworkError::NotPassedOn(words(text.as_bytes()))))
            }
            // Whatever is at the address may answer anything with 200: it is the server that is not believed, not the path.
            Err(error) => {
                (Outcome::Unexplained(response.status), Err(NetworkError::Unreadable(error.to_string())))
            }
        }
    }
}

/// The beginning of what somebody says, if it is text at all, on one line.
fn words(body: &[u8]) -> String {
    let beginning = body.get(..body.len().min(4 * MAX_WORDS)).unwrap_or_default();
    let text = String::from_utf8_lossy(beginning);
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect::<String>().trim().to_owned()
}
