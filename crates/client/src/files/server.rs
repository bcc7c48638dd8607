//! Files at the file servers of other programs (communities-files-push 2, client-messages 6.4): one onion request for a whole
//! file, in either direction.
//!
//! Where a file server is said to be, and what it hands out, is whoever sent the message's word: what comes is no larger than
//! announced, and is checked like every other file before it counts as here.

use std::time::Duration;

use conclave_onion::request::Server;
use conclave_proto::file_url::{FileUrl, is_file_id};
use conclave_proto::network::FileServer;
use conclave_proto::v4::{V4Reply, V4Request};

use super::Trouble;
use crate::network::{Network, NetworkError, V4_TARGET};

/// Bytes of the largest file's content that is brought to a file server: encrypted, padded and in its layers it still fits into
/// what service nodes pass on. (storage-and-onion 6.8)
pub(crate) const MAX_CONTENT: u64 = 9_800_000;
/// Bytes of the largest encrypted file that any file server keeps. (communities-files-push 2.3)
const MAX_BLOB: u64 = 10_223_616;
/// How long one attempt may take. (client-messages 6.4)
const PATIENCE: Duration = Duration::from_secs(30);
/// When a server that has too much to do does not say when to come again.
const BUSY: Duration = Duration::from_secs(30);
/// No server makes us wait longer.
const LONGEST_BUSY: Duration = Duration::from_secs(60 * 60);

/// Why a file server gave no file, or took none.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// Nobody says with which key it is asked.
    #[error("the message does not say the key of the file server {0}, so it cannot be asked")]
    NoKey(String),
    /// It does not have the file, or not any more.
    #[error("the file server {0} does not have the file; it may have expired")]
    Gone(String),
    /// The file is larger than its message says, or than a file server may hand out.
    #[error(
        "the file at the file server {server} is too large: {size} bytes where at most {limit} are expected"
    )]
    TooLarge {
        /// Which.
        server: String,
        /// How large.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// It cannot read what is sealed to the key it is said to have, or is no file server.
    #[error(
        "what is at {server} has another key than the message says, or is no file server (status {status})"
    )]
    WrongKey {
        /// Which.
        server: String,
        /// What it answers.
        status: u16,
    },
    /// It does not do it.
    #[error("the file server {server} refuses: status {status}")]
    Refused {
        /// Which.
        server: String,
        /// Its status.
        status: u16,
    },
    /// It would do it later.
    #[error("the file server {server} has too much to do: status {status}")]
    Busy {
        /// Which.
        server: String,
        /// Its status.
        status: u16,
        /// When to ask again.
        after: Duration,
    },
    /// What it answers to an upload is not where the file is.
    #[error("the file server {0} does not say where it keeps the file")]
    Nonsense(String),
    /// There was no answer.
    #[error("the file server {server} was not reached: {cause}")]
    Network {
        /// Which.
        server: String,
        /// Why.
        #[source]
        cause: NetworkError,
    },
}

impl From<ServerError> for Trouble {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Busy { after, .. } => Self::Later(error.to_string(), Some(after)),
            ServerError::Network { .. } => Self::Later(error.to_string(), None),
            _ => Self::Never(error.to_string()),
        }
    }
}

/// A file server that can be asked.
struct Place {
    server: Server,
    /// As people read it.
    name: String,
}

impl Place {
    fn of(url: &FileUrl) -> Result<Self, ServerError> {
        let name = url.server();
        let key = url.server_key().ok_or_else(|| ServerError::NoKey(name.clone()))?;
        let server = Server {
            host: url.host.clone(),
            port: url.port.unwrap_or(if url.https { 443 } else { 80 }),
            https: url.https,
            target: V4_TARGET.to_owned(),
            x25519: key.to_x25519(),
        };
        Ok(Self { server, name })
    }

    async fn ask(&self, network: &Network, request: &V4Request) -> Result<V4Reply, ServerError> {
        let server = self.name.clone();
        let reply = match network.ask_server(&self.server, request, PATIENCE).await {
            Ok(reply) => reply,
            Err(NetworkError::Server { status: status @ (400..=412 | 414..=428), .. }) => {
                return Err(ServerError::WrongKey { server, status });
            }
            Err(cause) => return Err(ServerError::Network { server, cause }),
        };
        match reply.code {
            200..=299 => Ok(reply),
            404 => Err(ServerError::Gone(server)),
            status @ (429 | 500 | 502 | 503 | 504 | 507) => {
                let after = reply.headers.get("retry-after").and_then(|seconds| seconds.trim().parse().ok());
                let after = after.map_or(BUSY, Duration::from_secs).min(LONGEST_BUSY);
                Err(ServerError::Busy { server, status, after })
            }
            status => Err(ServerError::Refused { server, status }),
        }
    }
}

/// Fetches the encrypted file at `url`, of at most `limit` bytes.
pub(super) async fn get(network: &Network, url: &FileUrl, limit: u64) -> Result<Vec<u8>, ServerError> {
    let place = Place::of(url)?;
    let request = V4Request {
        method: "GET".to_owned(),
        endpoint: format!("/file/{}", url.id),
        headers: [].into(),
        body: Vec::new(),
    };
    let data = place.ask(network, &request).await?.body;
    let (size, limit) = (u64::try_from(data.len()).unwrap_or(u64::MAX), limit.min(MAX_BLOB));
    if size > limit {
        return Err(ServerError::TooLarge { server: place.name, size, limit });
    }
    Ok(data)
}

/// Brings an encrypted file to a file server; gives its address there. Doing it twice does no harm.
pub(super) async fn put(network: &Network, to: &FileServer, data: Vec<u8>) -> Result<FileUrl, ServerError> {
    let mut url = FileUrl {
        https: to.https,
        host: to.host.clone(),
        port: to.port,
        id: String::new(),
        key: Some(to.key),
        deterministic: false,
    };
    let place = Place::of(&url)?;
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = V4Request {
        method: "POST".to_owned(),
        endpoint: "/file".to_owned(),
        headers: [
            header("Content-Type", "application/octet-stream"),
            header("Content-Disposition", "attachment"),
        ]
        .into(),
        body: data,
    };
    let reply = match place.ask(network, &request).await {
        Err(ServerError::Refused { server, status: 413 }) => {
            let size = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
            return Err(ServerError::TooLarge { server, size, limit: size.saturating_sub(1) });
        }
        reply => reply?,
    };
    url.id = id_in(&reply.body).ok_or(ServerError::Nonsense(place.name))?;
    // Others read addresses of the server they all know without its key, and some only so.
    let known = FileUrl { key: None, ..url.clone() };
    Ok(if known.server_key() == url.key { known } else { url })
}

/// The id in a server's answer, text or number. (communities-files-push 2.1)
fn id_in(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let id = match answer.get("id")? {
        serde_json::Value::String(id) => id.clone(),
        serde_json::Value::Number(id) => id.as_u64()?.to_string(),
        _ => return None,
    };
    is_file_id(&id).then_some(id)
}

#[cfg(test)]
mod tests {
    use conclave_crypto::attachment::legacy::padded_size;
    use conclave_proto::btstream::MAX_FRAME;

    use super::*;

    #[test]
    fn the_largest_file_for_a_file_server_fits_into_what_hops_pass_on() {
        // Vector, padding block and digest; and four layers with what they say.
        let blob = padded_size(usize::try_from(MAX_CONTENT).unwrap()) + 16 + 16 + 32;
        assert!(blob + 8 * 1024 <= MAX_FRAME, "{blob}");
    }

    #[test]
    fn the_id_of_an_upload_is_read_as_text_and_as_a_number_and_nothing_else_is_taken_for_one() {
        for (body, id) in [
            (
                r#"{"id":"tKO2VVg1JPHwgZuvqK_7bDHJeSr4UJ_8i13ETlwAn0jB","expires":1791209600.0}"#,
                Some("tKO2VVg1JPHwgZuvqK_7bDHJeSr4UJ_8i13ETlwAn0jB"),
            ),
            (r#"{"id":"1234567890123"}"#, Some("1234567890123")),
            (r#"{"id":1234567890123}"#, Some("1234567890123")),
            (r#"{"id":-1}"#, None),
            (r#"{"id":"../x"}"#, None),
            (r#"{"id":""}"#, None),
            (r#"{"status_code":200}"#, None),
            ("no json", None),
        ] {
            assert_eq!(id_in(body.as_bytes()).as_deref(), id, "{body}");
        }
    }

    #[test]
    fn a_server_of_unknown_key_is_not_asked_and_the_known_one_is_asked_with_its_key() {
        let url = FileUrl::parse("https://files.example:8443/file/1").unwrap();
        assert!(
            matches!(Place::of(&url), Err(ServerError::NoKey(server)) if server == "https://files.example:8443")
        );
        let place = Place::of(&FileUrl::of_number(7)).unwrap();
        let server = Server {
            host: "filev2.getsession.org".to_owned(),
            port: 80,
            https: false,
            target: "/oxen/v4/lsrpc".to_owned(),
            x25519: FileUrl::of_number(7).server_key().unwrap().to_x25519(),
        };
        assert_eq!(place.server, server);
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        let server = || "http://files.example".to_owned();
        let never = [
            ServerError::NoKey(server()),
            ServerError::Gone(server()),
            ServerError::TooLarge { server: server(), size: 2, limit: 1 },
            ServerError::WrongKey { server: server(), status: 400 },
            ServerError::Refused { server: server(), status: 403 },
            ServerError::Nonsense(server()),
        ];
        for error in never {
            assert!(matches!(Trouble::from(error), Trouble::Never(_)));
        }
        let cause = NetworkError::Server { status: 504, text: String::new() };
        let lost = Trouble::from(ServerError::Network { server: server(), cause });
        assert!(matches!(lost, Trouble::Later(_, None)));
        let after = Duration::from_secs(7);
        let busy = Trouble::from(ServerError::Busy { server: server(), status: 503, after });
        assert!(matches!(busy, Trouble::Later(_, Some(pause)) if pause == after));
    }
}
