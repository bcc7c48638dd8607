//! Subscriptions to new messages, for push servers (storage-and-onion 8.2).
//!
//! Clock and swarm are the node's to check. Revocations do not count here, says the reference.

use conclave_crypto::{AccountId, Ed25519Public, Signature};

use crate::bt::{BtError, DictReader, DictWriter, ListReader, ListWriter};
use crate::rpc::{Auth, AuthRejected, Authority, Rights, SubaccountAuth, SubaccountToken};
use crate::{Namespace, Timestamp};

/// Subscriptions in one request: what a push server renews at once. Bounds the work of one frame.
pub const MAX_SUBSCRIPTIONS: usize = 10_000;

/// Whose messages are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// `P`: the account of this Ed25519 key.
    Key(Ed25519Public),
    /// `p`: an id whose key is Ed25519 already, normally a group's.
    Id(AccountId),
}

impl Watched {
    /// The account.
    pub fn account(&self) -> AccountId {
        match self {
            Self::Key(key) => AccountId::of_account(&key.to_x25519()),
            Self::Id(account) => *account,
        }
    }
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose messages.
    pub watched: Watched,
    /// A subaccount that may read.
    pub subaccount: Option<SubaccountAuth>,
    /// Whether notifications carry the message.
    pub with_data: bool,
    /// Which mailboxes, strictly ascending, at least one.
    pub namespaces: Vec<Namespace>,
    /// When it was signed, in *seconds* since the epoch.
    pub signed_at: u64,
    /// Over [`signed_bytes`].
    pub signature: Signature,
}

/// Why a subscription is refused, with the code of its answer. The subscriber's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// 1
    #[error("malformed subscription")]
    Arguments,
    /// 2
    #[error("invalid or contradictory account key")]
    Pubkey,
    /// 3
    #[error("namespaces missing or not ascending")]
    Namespaces,
    /// 4
    #[error("timestamp missing or too far from now")]
    Timestamp,
    /// 5
    #[error("signature verification failed")]
    Signature,
    /// 6
    #[error("account belongs to another swarm")]
    WrongSwarm,
}

impl MonitorError {
    /// The `errcode` of the answer.
    pub const fn code(self) -> u64 {
        match self {
            Self::Arguments => 1,
            Self::Pubkey => 2,
            Self::Namespaces => 3,
            Self::Timestamp => 4,
            Self::Signature => 5,
            Self::WrongSwarm => 6,
        }
    }
}

/// What a subscription's signature covers.
pub fn signed_bytes(account: &AccountId, signed_at: u64, with_data: bool, spaces: &[Namespace]) -> Vec<u8> {
    let spaces = spaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    format!("MONITOR{}{signed_at}{}{spaces}", account.to_hex(), u8::from(with_data)).into_bytes()
}

impl Subscription {
    /// As a bt dictionary.
    pub fn to_dict(&self) -> DictWriter {
        let mut dict = DictWriter::new();
        match &self.watched {
            Watched::Key(key) => dict.bytes("P", key.as_bytes()),
            Watched::Id(account) => dict.bytes("p", account.as_bytes()),
        };
        if let Some(subaccount) = &self.subaccount {
            dict.bytes("S", subaccount.signature.as_bytes()).bytes("T", subaccount.token.0);
        }
        if self.with_data {
            dict.int("d", 1u64);
        }
        let mut spaces = ListWriter::new();
        for space in &self.namespaces {
            spaces.int(i64::from(space.0));
        }
        dict.list("n", spaces).bytes("s", self.signature.as_bytes()).int("t", self.signed_at);
        dict
    }

    /// Reads a bt dictionary.
    ///
    /// # Errors
    /// With the code to answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, MonitorError> {
        let mut dict = DictReader::new(bytes).map_err(|_| MonitorError::Arguments)?;
        let key = dict.take_array("P").map_err(|_| MonitorError::Pubkey)?;
        let sig = dict.take_array("S").map_err(|_| MonitorError::Arguments)?;
        let token = dict.take_array("T").map_err(|_| MonitorError::Arguments)?;
        let with_data = dict.take_u64("d").map_err(|_| MonitorError::Arguments)?.unwrap_or(0);
        let spaces = dict.take_list("n").ok().flatten().ok_or(MonitorError::Namespaces)?;
        let account = dict.take_bytes("p").map_err(|_| MonitorError::Pubkey)?;
        let signature = dict.take_array("s").ok().flatten().ok_or(MonitorError::Arguments)?;
        let signed_at = dict.take_u64("t").ok().flatten().ok_or(MonitorError::Timestamp)?;
        let watched = match (key, account) {
            (Some(key), None) => Ed25519Public::from_bytes(key).ok().map(Watched::Key),
            (None, Some(account)) => AccountId::from_slice(account).ok().map(Watched::Id),
            _ => None,
        };
        let subaccount = match (sig, token) {
            (Some(signature), Some(token)) => Some(SubaccountAuth {
                token: SubaccountToken(token),
                signature: Signature::from_bytes(signature),
            }),
            (None, None) => None,
            _ => return Err(MonitorError::Arguments),
        };
        Ok(Self {
            watched: watched.ok_or(MonitorError::Pubkey)?,
            subaccount,
            with_data: match with_data {
                0 => false,
                1 => true,
                _ => return Err(MonitorError::Arguments),
            },
            namespaces: namespaces(spaces)?,
            signed_at,
            signature: Signature::from_bytes(signature),
        })
    }

    /// Whether someone who may read the account's messages signed this.
    ///
    /// # Errors
    /// Says which step failed; answer [`MonitorError::Signature`].
    pub fn verify(&self) -> Result<Authority, AuthRejected> {
        let account = self.watched.account();
        let pubkey_ed25519 = match &self.watched {
            Watched::Key(key) => Some(*key.as_bytes()),
            Watched::Id(_) => None,
        };
        let auth = Auth { pubkey_ed25519, signature: self.signature, subaccount: self.subaccount };
        let signed = signed_bytes(&account, self.signed_at, self.with_data, &self.namespaces);
        auth.verify(&account, &signed, Rights::READ)
    }
}

fn namespaces(mut list: ListReader<'_>) -> Result<Vec<Namespace>, MonitorError> {
    let mut out: Vec<Namespace> = Vec::new();
    while !list.is_empty() {
        let number = list.i64().ok().and_then(|number| number.try_into().ok());
        let space = Namespace(number.ok_or(MonitorError::Namespaces)?);
        if out.last().is_some_and(|last| *last >= space) {
            return Err(MonitorError::Namespaces);
        }
        out.push(space);
    }
    if out.is_empty() { Err(MonitorError::Namespaces) } else { Ok(out) }
}

/// A request: one subscription, or a list of them, each read for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRequest {
    /// Whether they came as a list, and are answered by one.
    pub many: bool,
    /// The subscriptions, or what is wrong with them.
    pub subscriptions: Vec<Result<Subscription, MonitorError>>,
}

impl MonitorRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// If it is neither a dictionary nor a list of at most [`MAX_SUBSCRIPTIONS`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MonitorError> {
        if bytes.starts_with(b"d") {
            return Ok(Self { many: false, subscriptions: vec![Subscription::decode(bytes)] });
        }
        let mut list = ListReader::new(bytes).map_err(|_| MonitorError::Arguments)?;
        let mut subscriptions = Vec::new();
        while let Some(raw) = list.next_raw().map_err(|_| MonitorError::Arguments)? {
            if subscriptions.len() >= MAX_SUBSCRIPTIONS {
                return Err(MonitorError::Arguments);
            }
            subscriptions.push(Subscription::decode(raw));
        }
        Ok(Self { many: true, subscriptions })
    }
}

/// The answer to one subscription.
pub fn reply(result: Result<(), MonitorError>) -> DictWriter {
    let mut dict = DictWriter::new();
    match result {
        Ok(()) => dict.int("success", 1u64),
        Err(error) => dict.int("errcode", error.code()).bytes("error", error.to_string()),
    };
    dict
}

/// The answer to a list of subscriptions.
pub fn replies(results: impl IntoIterator<Item = Result<(), MonitorError>>) -> Vec<u8> {
    let mut list = ListWriter::new();
    for result in results {
        list.dict(reply(result));
    }
    list.finish()
}

/// A newly stored message, as told to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Whose.
    pub account: AccountId,
    /// Its hash.
    pub hash: String,
    /// The mailbox.
    pub namespace: Namespace,
    /// When it says it was sent.
    pub timestamp: Timestamp,
    /// When it is forgotten.
    pub expiry: Timestamp,
    /// What was stored, if asked for.
    pub data: Option<Vec<u8>>,
}

impl Notification {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictWriter::new();
        dict.bytes("@", self.account.as_bytes())
            .bytes("h", &self.hash)
            .int("n", i64::from(self.namespace.0))
            .int("t", self.timestamp.0)
            .int("z", self.expiry.0);
        if let Some(data) = &self.data {
            dict.bytes("~", data);
        }
        dict.finish()
    }

    /// Reads a bt dictionary.
    ///
    /// # Errors
    /// If a field is missing or of another type.
    pub fn decode(bytes: &[u8]) -> Result<Self, BtError> {
        let wrong = |key: &str, expected| BtError::WrongType { key: key.to_owned(), expected };
        let missing = |key: &str| BtError::Missing(key.to_owned());
        let mut dict = DictReader::new(bytes)?;
        let account = dict.take_bytes("@")?.ok_or_else(|| missing("@"))?;
        Ok(Self {
            account: AccountId::from_slice(account).map_err(|_| wrong("@", "an account id"))?,
            hash: dict.take_text("h")?.ok_or_else(|| missing("h"))?.to_owned(),
            namespace: Namespace(
                dict.take_i64("n")?
                    .ok_or_else(|| missing("n"))?
                    .try_into()
                    .map_err(|_| wrong("n", "a namespace"))?,
            ),
            timestamp: Timestamp(dict.take_u64("t")?.ok_or_else(|| missing("t"))?),
            expiry: Timestamp(dict.take_u64("z")?.ok_or_else(|| missing("z"))?),
            data: dict.take_bytes("~")?.map(<[u8]>::to_vec),
        })
    }
}
