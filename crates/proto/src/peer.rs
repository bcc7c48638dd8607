//! What nodes say to each other besides frames: onion relay, forwarded writes, pushed messages
//! (storage-and-onion 4.5, 5.1, 5.2, 5.6).

use bytes::Bytes;
use conclave_crypto::AccountId;

use crate::bt::{BtError, DictReader, DictWriter, ListReader, ListWriter};
use crate::{Namespace, Timestamp};

/// How many hops an onion request may take (5.2).
pub const MAX_HOPS: u64 = 15;

/// The cipher of a layer whose sender names none.
pub const DEFAULT_ENC_TYPE: &str = "aes-gcm";

/// An onion layer on its way to the next node (5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnionRelay {
    /// The layer, sealed for the next node.
    pub data: Vec<u8>,
    /// Its cipher's name. Not judged here: the node that peels it does.
    pub enc_type: String,
    /// The client's ephemeral key for it.
    pub ephemeral_key: [u8; 32],
    /// The hop the receiver is, from 1.
    pub hop_no: u64,
}

/// Why a peer's message cannot be read. The peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Not the bt it should be.
    #[error("{0}")]
    Bt(#[from] BtError),
    /// More than [`MAX_HOPS`].
    #[error("onion request max path length exceeded")]
    TooManyHops,
    /// A pushed batch in a version nobody speaks any more, or yet: ignore it (4.5).
    #[error("pushed messages of version {0} are not understood")]
    Version(u8),
    /// A pushed message's account is not 33 bytes.
    #[error("a pushed message has no usable account id")]
    Account,
}

impl OnionRelay {
    /// What comes before [`Self::data`] in [`Self::encode`], and what after it: the layer itself need not be copied.
    pub fn around(&self) -> (Vec<u8>, Vec<u8>) {
        let behind = DictWriter::new()
            .bytes("enc_type", &self.enc_type)
            .bytes("ephemeral_key", self.ephemeral_key)
            .int("hop_no", self.hop_no)
            .finish();
        // `data` is the first key of all.
        let (open, behind) = behind.split_at(1);
        ([open, format!("4:data{}:", self.data.len()).as_bytes()].concat(), behind.to_vec())
    }

    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let (before, behind) = self.around();
        [before.as_slice(), &self.data, &behind].concat()
    }

    /// Reads a bt dictionary. A missing cipher is [`DEFAULT_ENC_TYPE`], a hop below 1 is 1. The layer stays in its buffer if
    /// nobody else holds that.
    ///
    /// # Errors
    /// For a missing field, and for more than [`MAX_HOPS`] hops.
    pub fn decode(bytes: Bytes) -> Result<Self, PeerError> {
        let mut dict = DictReader::new(&bytes)?;
        let missing = |key: &str| BtError::Missing(key.to_owned());
        let data = dict.take_bytes("data")?.ok_or_else(|| missing("data"))?;
        let data = bytes.slice_ref(data);
        let enc_type = dict.take_text("enc_type")?.unwrap_or(DEFAULT_ENC_TYPE).to_owned();
        let ephemeral_key = dict.take_array("ephemeral_key")?.ok_or_else(|| missing("ephemeral_key"))?;
        let hop_no = dict.take_i64("hop_no")?.ok_or_else(|| missing("hop_no"))?;
        let hop_no = u64::try_from(hop_no).unwrap_or(0).max(1);
        if hop_no > MAX_HOPS {
            return Err(PeerError::TooManyHops);
        }
        drop(bytes);
        Ok(Self { data: data.into(), enc_type, ephemeral_key, hop_no })
    }
}

/// `[code, body]`: how a node answers a relayed layer over QUIC (5.6). Here what comes before a body of `length` bytes, and
/// what after it: an answer passes through without being copied.
pub fn around_relay_reply(code: u16, length: usize) -> (Vec<u8>, &'static [u8]) {
    (format!("li{code}e{length}:").into_bytes(), b"e")
}

/// Reads [`around_relay_reply`] with its body.
///
/// # Errors
/// If it is none.
pub fn decode_relay_reply(bytes: &[u8]) -> Result<(u16, &[u8]), BtError> {
    let mut list = ListReader::new(bytes)?;
    let code = list.u64()?;
    let code = u16::try_from(code)
        .map_err(|_| BtError::WrongType { key: "[0]".to_owned(), expected: "a status" })?;
    Ok((code, list.bytes()?))
}

/// `[method, params]`: a forwarded write over QUIC (5.6).
pub fn encode_storage_cc(method: &str, params: &[u8]) -> Vec<u8> {
    ListWriter::new().bytes(method).bytes(params).finish()
}

/// Reads [`encode_storage_cc`].
///
/// # Errors
/// If it is none.
pub fn decode_storage_cc(bytes: &[u8]) -> Result<(&str, &[u8]), BtError> {
    let mut list = ListReader::new(bytes)?;
    Ok((list.text()?, list.bytes()?))
}

/// A stored message handed to another node (4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedMessage {
    /// The owner.
    pub account: AccountId,
    /// Its hash, as the pusher has it; not computed again, so not necessarily one.
    pub hash: Vec<u8>,
    /// When it says it was sent.
    pub timestamp: Timestamp,
    /// When it is forgotten.
    pub expiry: Timestamp,
    /// What was stored.
    pub data: Vec<u8>,
    /// The mailbox; pushers before 2.11.3 lose it and mean 0.
    pub namespace: Namespace,
}

/// The one version of the push format that is spoken.
const PUSH_VERSION: u8 = 1;

/// A batch of pushed messages. Callers keep it within what a frame takes.
pub fn encode_push(messages: &[PushedMessage]) -> Vec<u8> {
    let mut list = ListWriter::new();
    for message in messages {
        let mut item = ListWriter::new();
        item.bytes(message.account.as_bytes())
            .bytes(&message.hash)
            .int(message.timestamp.0)
            .int(message.expiry.0)
            .bytes(&message.data)
            .int(i64::from(message.namespace.0));
        list.list(item);
    }
    let mut out = vec![PUSH_VERSION];
    out.extend(list.finish());
    out
}

/// Reads a batch of pushed messages, of five elements each or six.
///
/// # Errors
/// If any of it cannot be read.
pub fn decode_push(bytes: &[u8]) -> Result<Vec<PushedMessage>, PeerError> {
    let (version, rest) = bytes.split_first().ok_or(BtError::Truncated(0))?;
    if *version != PUSH_VERSION {
        return Err(PeerError::Version(*version));
    }
    let mut list = ListReader::new(rest)?;
    let mut messages = Vec::new();
    while !list.is_empty() {
        let mut item = list.list()?;
        let wrong = |expected| BtError::WrongType { key: "[5]".to_owned(), expected };
        messages.push(PushedMessage {
            account: AccountId::from_slice(item.bytes()?).map_err(|_| PeerError::Account)?,
            hash: item.bytes()?.to_vec(),
            timestamp: Timestamp(item.u64()?),
            expiry: Timestamp(item.u64()?),
            data: item.bytes()?.to_vec(),
            namespace: match item.is_empty() {
                true => Namespace::DIRECT,
                false => Namespace(item.i64()?.try_into().map_err(|_| wrong("a namespace"))?),
            },
        });
    }
    Ok(messages)
}
