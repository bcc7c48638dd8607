//! Storage RPC: what clients ask of service nodes, and nodes of each other, in JSON and in bt
//! (storage-and-onion 2).
//!
//! A [`Request`] is parsed: every field has its type, aliases are resolved, `null` counts as absent,
//! unknown keys are ignored, and what was wrong is said in the words clients know. It is not yet
//! allowed: [`Request::verify`] checks its signature, and clocks, swarms and revocations are the
//! node's. Signed bytes stand in [`signing`], credentials in [`auth`], the answers of single nodes in
//! [`results`] and whole answers in [`answers`].

pub mod answers;
pub mod auth;
pub mod chunk;
mod fields;
mod forwarded;
mod parse;
mod requests;
pub mod results;
pub mod signing;
pub mod status;
mod value;
mod wait;
mod write;

use conclave_crypto::AccountId;

pub use answers::{Answer, Body};
pub use auth::{Auth, AuthRejected, Authority, Rights, SubaccountAuth, SubaccountToken};
pub use chunk::ChunkRequest;
pub use forwarded::Forwarded;
pub use requests::{
    Conditions, Delete, DeleteAll, DeleteBefore, Expire, ExpireAll, ExpireMode, GetExpiries, IfElse,
    Lifetime, NodeState, OxendRequest, Retrieve, Revocation, RevokedSubaccounts, Scope, Store, TimedAuth,
};
pub use value::{Dict, Value};
pub use wait::{CONCLAVE_WAIT, MAX_POSITIONS, MAX_WAIT_MS, Wait, WaitAnswer};

/// Bytes of a stored message (2.7).
pub const MAX_STORE_DATA: usize = 76_800;
/// Requests in one batch or sequence (2.19).
pub const MAX_BATCH: usize = 20;
/// Tokens revoked at once (2.15).
pub const MAX_REVOKE: usize = 50;
/// Our method that gives the signed directory, and the field of its answer that holds it.
pub const CONCLAVE_DIRECTORY: &str = crate::seed::DIRECTORY_FIELD;
/// What [`OxendRequest`] may ask for (2.17).
pub const OXEND_ENDPOINTS: [&str; 2] = ["get_service_nodes", "ons_resolve"];

/// One request, with its parameters checked for form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of that name; its parameters are documented there")]
pub enum Request {
    Store(Store),
    Retrieve(Retrieve),
    Delete(Delete),
    DeleteAll(DeleteAll),
    DeleteBefore(DeleteBefore),
    Expire(Expire),
    ExpireAll(ExpireAll),
    GetExpiries(GetExpiries),
    RevokeSubaccount(Revocation),
    UnrevokeSubaccount(Revocation),
    RevokedSubaccounts(RevokedSubaccounts),
    GetSwarm(AccountId),
    Info,
    OxendRequest(OxendRequest),
    ActiveNodesBin,
    /// Ours: the signed directory (docs/protocol/extensions).
    ConclaveDirectory,
    /// Ours: see [`Wait`].
    ConclaveWait(Wait),
    /// Ours: see [`ChunkRequest`].
    ConclaveChunk(ChunkRequest),
    Batch(Vec<Request>),
    Sequence(Vec<Request>),
    IfElse(Box<IfElse>),
}

/// Why a request cannot be read: status and text as the answer carries them. The asker's fault;
/// asking the same again fails the same way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {body}")]
pub struct RpcError {
    /// The status.
    pub code: u16,
    /// The answer's body.
    pub body: String,
}

impl RpcError {
    /// 400 with a text of its own.
    pub fn bad_request(body: impl Into<String>) -> Self {
        Self { code: 400, body: body.into() }
    }

    /// 400 `no method <name>`: how a request for a method that does not exist is refused.
    pub fn no_method(name: &str) -> Self {
        Self::bad_request(format!("no method {}", shown(name)))
    }

    /// 400 `invalid request: <detail>`.
    pub fn invalid(detail: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("invalid request: {detail}"))
    }
}

/// A stranger's text for an error message: echoed, but not at any length.
pub fn shown(text: &str) -> String {
    /// Characters of it: names are shorter, and an answer is to stay one line.
    const MAX_SHOWN: usize = 80;
    text.chars().take(MAX_SHOWN).collect()
}

/// A request whose credentials do not hold, with the answer to give (2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{answer} ({cause})")]
pub struct NotAuthorised {
    /// Why, for logs.
    #[source]
    pub cause: AuthRejected,
    /// What the asker is told.
    pub answer: RpcError,
}

impl Request {
    /// Reads the HTTPS and onion form `{"method", "params"}` (2.1).
    ///
    /// # Errors
    /// The answer to give.
    pub fn from_json_body(body: &[u8]) -> Result<Self, RpcError> {
        parse::json_body(body)
    }

    /// Reads the parameters of `method` from JSON.
    ///
    /// # Errors
    /// The answer to give.
    pub fn from_json(method: &str, params: &serde_json::Value) -> Result<Self, RpcError> {
        parse::json(method, params)
    }

    /// Reads the parameters of `method` from a bt dictionary.
    ///
    /// # Errors
    /// The answer to give.
    pub fn from_bt(method: &str, params: &[u8]) -> Result<Self, RpcError> {
        parse::bt(method, params)
    }

    /// Reads the parameters as they come over QUIC and OxenMQ: bt if they begin with `d`, else a JSON
    /// object, nothing being `{}` (1.2, 1.3).
    ///
    /// # Errors
    /// The answer to give.
    pub fn from_either(method: &str, params: &[u8]) -> Result<Self, RpcError> {
        parse::either(method, params)
    }

    /// Reads what another node of the swarm forwards (2.6).
    ///
    /// # Errors
    /// The answer to give; methods that are not forwarded are refused.
    pub fn from_forwarded(method: &str, params: &[u8]) -> Result<Self, RpcError> {
        Forwarded::from_bt(method, params).map(|forwarded| forwarded.request)
    }

    /// `{"method", "params"}` as JSON text.
    pub fn to_json_body(&self) -> Vec<u8> {
        serde_json::json!({ "method": self.method(), "params": self.to_json() }).to_string().into_bytes()
    }

    /// The parameters as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        write::json(self)
    }

    /// The parameters as a bt dictionary.
    pub fn to_bt(&self) -> Vec<u8> {
        write::bt(self)
    }

    /// The parameters as an entry node forwards them to the other members of its swarm (2.6).
    pub fn to_forwarded(&self) -> Vec<u8> {
        write::forwarded(self, None)
    }

    /// The method's name on the wire.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Retrieve(_) => "retrieve",
            Self::Delete(_) => "delete",
            Self::DeleteAll(_) => "delete_all",
            Self::DeleteBefore(_) => "delete_before",
            Self::Expire(_) => "expire",
            Self::ExpireAll(_) => "expire_all",
            Self::GetExpiries(_) => "get_expiries",
            Self::RevokeSubaccount(_) => "revoke_subaccount",
            Self::UnrevokeSubaccount(_) => "unrevoke_subaccount",
            Self::RevokedSubaccounts(_) => "revoked_subaccounts",
            Self::GetSwarm(_) => "get_swarm",
            Self::Info => "info",
            Self::OxendRequest(_) => "oxend_request",
            Self::ActiveNodesBin => "active_nodes_bin",
            Self::ConclaveDirectory => CONCLAVE_DIRECTORY,
            Self::ConclaveWait(_) => CONCLAVE_WAIT,
            Self::ConclaveChunk(r) => r.method(),
            Self::Batch(_) => "batch",
            Self::Sequence(_) => "sequence",
            Self::IfElse(_) => "ifelse",
        }
    }

    /// Whether the request goes to every member of the swarm (2.6).
    pub const fn is_recursive(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::Delete(_)
                | Self::DeleteAll(_)
                | Self::DeleteBefore(_)
                | Self::Expire(_)
                | Self::ExpireAll(_)
                | Self::RevokeSubaccount(_)
                | Self::UnrevokeSubaccount(_)
        )
    }

    /// The account whose mailboxes the request touches: only its swarm may answer (2.5). `None` for
    /// what any node answers, `get_swarm` included.
    pub const fn account(&self) -> Option<&AccountId> {
        Some(match self {
            Self::Store(r) => &r.account,
            Self::Retrieve(r) => &r.account,
            Self::Delete(r) => &r.account,
            Self::DeleteAll(r) => &r.account,
            Self::DeleteBefore(r) => &r.account,
            Self::Expire(r) => &r.account,
            Self::ExpireAll(r) => &r.account,
            Self::GetExpiries(r) => &r.account,
            Self::RevokeSubaccount(r) | Self::UnrevokeSubaccount(r) => &r.account,
            Self::RevokedSubaccounts(r) => &r.account,
            Self::ConclaveWait(r) => &r.account,
            _ => return None,
        })
    }

    /// The credentials, if there are any.
    pub const fn auth(&self) -> Option<&Auth> {
        match self {
            Self::Store(r) => r.auth.as_ref(),
            Self::Retrieve(r) => match &r.auth {
                Some(timed) => Some(&timed.auth),
                None => None,
            },
            Self::Delete(r) => Some(&r.auth),
            Self::DeleteAll(r) => Some(&r.auth),
            Self::DeleteBefore(r) => Some(&r.auth),
            Self::Expire(r) => Some(&r.auth),
            Self::ExpireAll(r) => Some(&r.auth),
            Self::GetExpiries(r) => Some(&r.auth),
            Self::RevokeSubaccount(r) | Self::UnrevokeSubaccount(r) => Some(&r.auth),
            Self::RevokedSubaccounts(r) => Some(&r.auth),
            Self::ConclaveWait(r) => Some(&r.auth.auth),
            _ => None,
        }
    }

    /// Checks that whoever may ask this has signed it (2.3). Clock and revocation list remain to be
    /// checked by the caller, the latter for an [`Authority::Subaccount`] only.
    ///
    /// # Errors
    /// With the answer to give.
    pub fn verify(&self) -> Result<Authority, NotAuthorised> {
        let (Some(account), false) = (self.account(), self.is_open()) else { return Ok(Authority::Anyone) };
        let missing = || NotAuthorised { cause: AuthRejected::Missing, answer: self.unsigned() };
        let (Some(auth), Some(signed)) = (self.auth(), signing::request(self)) else {
            return Err(missing());
        };
        let result = match signing::needed_rights(self) {
            Some(needed) => auth.verify(account, &signed, needed),
            None => Auth { subaccount: None, ..*auth }.verify(account, &signed, Rights::NONE),
        };
        result.map_err(|cause| NotAuthorised { cause, answer: self.bad_signature() })
    }

    /// Whether anyone may ask this. A signature on a public store is ignored; one on a public
    /// retrieve counts.
    fn is_open(&self) -> bool {
        match self {
            Self::Store(r) => r.namespace.is_public_inbox(),
            Self::Retrieve(r) => r.namespace.is_unauthenticated_retrieve() && r.auth.is_none(),
            _ => false,
        }
    }

    fn unsigned(&self) -> RpcError {
        RpcError {
            code: 401,
            body: match self {
                Self::Store(r) => format!("store: signature required to store to namespace {}", r.namespace),
                other => format!("{}: request signature required", other.method()),
            },
        }
    }

    /// The answer to whoever may not ask this: a wrong signature, or a revoked subaccount, which is
    /// not told apart (2.3, 2.4).
    pub fn bad_signature(&self) -> RpcError {
        let name = match self {
            Self::Delete(_) => "delete_msgs",
            Self::Expire(_) => "expire:",
            other => other.method(),
        };
        RpcError { code: 401, body: format!("{name} signature verification failed") }
    }
}
