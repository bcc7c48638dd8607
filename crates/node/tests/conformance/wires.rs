//! The three ways a client's request reaches a node.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use conclave_onion::request::{Destination, seal};
use conclave_proto::SnodeRecord;
use conclave_proto::rpc::answers::read_error_frame;
use conclave_transport::Deadline;
use conclave_transport::https::{Client, Target};
use conclave_transport::quic::{Connection, Lane, RequestError};
use rand_core::OsRng;
use serde_json::Value;

/// A transport, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `POST /storage_rpc/v1`.
    Https,
    /// `oxenstorage`.
    Quic,
    /// Three hops, then the node.
    Onion,
}

pub const ALL: &[Way] = &[Way::Https, Way::Quic, Way::Onion];

impl Way {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Quic => "quic",
            Self::Onion => "onion",
        }
    }
}

/// Status and body of what was answered, as bytes.
pub type Answered<'a> = Pin<Box<dyn Future<Output = (u16, Vec<u8>)> + Send + 'a>>;

/// A way to ask one node.
pub trait Transport: Send + Sync {
    /// Which it is.
    fn way(&self) -> Way;

    /// Asks with the text of the parameters.
    fn send<'a>(&'a self, method: &'a str, params: &'a str) -> Answered<'a>;

    /// Asks with a whole body, where method and parameters are in one.
    fn post(&self, body: Vec<u8>) -> Answered<'_>;
}

/// Long enough for the slowest machine; nothing waits for it to pass.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn envelope(method: &str, params: &str) -> Vec<u8> {
    format!(r#"{{"method":{},"params":{params}}}"#, Value::from(method)).into_bytes()
}

pub struct Https {
    pub client: Client,
    pub target: Target,
}

impl Transport for Https {
    fn way(&self) -> Way {
        Way::Https
    }

    fn send<'a>(&'a self, method: &'a str, params: &'a str) -> Answered<'a> {
        self.post(envelope(method, params))
    }

    fn post(&self, body: Vec<u8>) -> Answered<'_> {
        Box::pin(async move {
            let asked = self.client.post(&self.target, "/storage_rpc/v1", "application/json", body, soon());
            let response = asked.await.unwrap();
            (response.status, response.body.to_vec())
        })
    }
}

pub struct Quic {
    pub connection: Connection,
}

impl Transport for Quic {
    fn way(&self) -> Way {
        Way::Quic
    }

    fn send<'a>(&'a self, method: &'a str, params: &'a str) -> Answered<'a> {
        Box::pin(async move {
            let (status, body) = ask(&self.connection, method, params.as_bytes()).await;
            // Structured results are `[status, result]`, which is none of the cases' business.
            match serde_json::from_slice(&body) {
                Ok(Value::Array(pair)) => {
                    assert_eq!((pair.len(), &pair[0]), (2, &status.into()), "{pair:?}");
                    (status, pair[1].to_string().into_bytes())
                }
                Ok(Value::Object(bare)) => panic!("a result without its list: {bare:?}"),
                _ => (status, body),
            }
        })
    }

    fn post(&self, _: Vec<u8>) -> Answered<'_> {
        panic!("over QUIC the method is no part of the body")
    }
}

/// Asks over QUIC: 200 and the reply, or status and body of the error frame. An error without a status is 0 and its text.
pub async fn ask(connection: &Connection, endpoint: &str, body: &[u8]) -> (u16, Vec<u8>) {
    match connection.request(Lane::Commands, endpoint, body, soon()).await {
        Ok(reply) => (200, reply.to_vec()),
        Err(RequestError::Remote(error)) => match read_error_frame(&error) {
            Some((status, body)) => (status, body.to_vec()),
            None => (0, error.to_vec()),
        },
        Err(other) => panic!("{endpoint}: {other}"),
    }
}

pub struct Onion {
    pub client: Client,
    pub guard: Target,
    pub hops: [SnodeRecord; 3],
    pub destination: SnodeRecord,
}

impl Transport for Onion {
    fn way(&self) -> Way {
        Way::Onion
    }

    fn send<'a>(&'a self, method: &'a str, params: &'a str) -> Answered<'a> {
        self.post(envelope(method, params))
    }

    fn post(&self, body: Vec<u8>) -> Answered<'_> {
        Box::pin(async move {
            let destination = Destination::Snode { node: &self.destination, body: &body };
            let sealed = seal(&self.hops, destination, &mut OsRng).unwrap();
            let asked = self.client.post(&self.guard, "/onion_req/v2", "", sealed.body, soon());
            let response = asked.await.unwrap();
            assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
            let reply = sealed.reply.open_snode(&response.body).unwrap();
            let body = match reply.body {
                Value::String(text) => text,
                structured => structured.to_string(),
            };
            (reply.status, body.into_bytes())
        })
    }
}
