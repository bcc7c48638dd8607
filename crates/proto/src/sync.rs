//! Ours: how members of a swarm compare what they keep, and hand each other what one lacks (docs/protocol/extensions,
//! docs/decisions/0007).
//!
//! What is compared is names: of messages with their states, and of the operations that took something away. Everything a
//! peer sends is bounded here; whether it may be believed is the node's to check.

use conclave_crypto::AccountId;

use crate::bt::{BtError, DictReader, DictWriter, ListReader, ListWriter};
use crate::{Namespace, Timestamp};

/// Asks for the digests of everything.
pub const DIGESTS: &str = "conclave_digests";
/// Asks for the names in one bucket.
pub const KEYS: &str = "conclave_keys";
/// Asks for messages and operations by name.
pub const FETCH: &str = "conclave_fetch";
/// Asks which of these names the other lacks.
pub const OFFER: &str = "conclave_offer";
/// Hands over messages and operations.
pub const COPIES: &str = "conclave_copies";

/// Parts into which all accounts are divided, by the first bits of their keys.
pub const BUCKETS: usize = 1024;
/// Bytes of a digest.
pub const DIGEST_LENGTH: usize = 16;
/// Names in one answer or offer: with accounts of one message each, some 5 MB.
pub const MAX_KEYS: usize = 50_000;
/// Bytes of a message's name with its state.
const NAMED: usize = 32 + State::LENGTH;
/// Bytes of messages and requests in one batch, but at least one of them.
pub const MAX_BATCH_BYTES: usize = 1_000_000;
/// Raises of one message: more than any honest one has.
const MAX_RAISES: usize = 64;

/// A name: the bytes of a message hash, or of an operation.
pub type Name = [u8; 32];

/// What members must agree on about a message they have. Two that differ in it give each other their copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// Until when it lives.
    pub expiry: Timestamp,
    /// When a client last stored it: what was deleted before that does not concern it.
    pub stored_at: Timestamp,
    /// When that store said it was sent. Of two stores in one millisecond the later one counts.
    pub timestamp: Timestamp,
}

impl State {
    /// Bytes of a state on the wire.
    pub const LENGTH: usize = 24;

    /// The times, big-endian.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let times = [self.expiry, self.stored_at, self.timestamp];
        for (place, time) in bytes.as_chunks_mut().0.iter_mut().zip(times) {
            *place = time.0.to_be_bytes();
        }
        bytes
    }

    /// Reads them.
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let mut times = bytes.as_chunks().0.iter().map(|time| Timestamp(u64::from_be_bytes(*time)));
        let mut next = || times.next().unwrap_or_default();
        Self { expiry: next(), stored_at: next(), timestamp: next() }
    }
}

/// Why a message between members cannot be read. The sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSync {
    /// Not the bt it should be.
    #[error("{0}")]
    Bt(#[from] BtError),
    /// A value that cannot be.
    #[error("a value that cannot be: {0}")]
    Value(&'static str),
    /// More than one message may hold.
    #[error("too much at once")]
    TooMany,
}

/// The bucket of an account.
pub fn bucket_of(account: &AccountId) -> usize {
    let [high, low, ..] = account.key_bytes();
    usize::from(*high) * 4 + usize::from(*low >> 6)
}

/// Asks for the digests of everything that is still there at `cutoff`: what expires about now is gone on one member sooner
/// than on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestsRequest {
    /// What expires before is left out.
    pub cutoff: Timestamp,
}

/// One digest for each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests(pub Vec<[u8; DIGEST_LENGTH]>);

/// Asks for the names in a bucket, behind a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysRequest {
    /// As in [`DigestsRequest`].
    pub cutoff: Timestamp,
    /// Which bucket.
    pub bucket: usize,
    /// Only what comes after this message of this account.
    pub after: Option<(AccountId, Name)>,
}

/// What somebody has of one account, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKeys {
    /// Which account.
    pub account: AccountId,
    /// Messages, with their states.
    pub messages: Vec<(Name, State)>,
    /// Operations.
    pub operations: Vec<Name>,
}

impl AccountKeys {
    /// How many names.
    pub const fn count(&self) -> usize {
        self.messages.len() + self.operations.len()
    }
}

/// Names, account by account; the operations of an account with the first of its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// In the order of accounts.
    pub accounts: Vec<AccountKeys>,
    /// Whether more follow behind the last message of the last account.
    pub more: bool,
}

/// A message as it travels between members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Whose.
    pub account: AccountId,
    /// In which mailbox.
    pub namespace: Namespace,
    /// When it says it was sent.
    pub timestamp: Timestamp,
    /// When a client last stored it.
    pub stored_at: Timestamp,
    /// When which lives were asked for.
    pub raises: Vec<(Timestamp, Timestamp)>,
    /// The message.
    pub data: Vec<u8>,
}

/// Messages and operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Messages.
    pub messages: Vec<Copy>,
    /// Signed requests, each as one member forwards it to another.
    pub operations: Vec<Vec<u8>>,
    /// In an answer: what was asked for and did not fit is still to be asked for.
    pub more: bool,
}

impl DigestsRequest {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        DictWriter::new().int("t", self.cutoff.0).finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSync> {
        let mut dict = DictReader::new(bytes)?;
        Ok(Self { cutoff: Timestamp(dict.take_u64("t")?.ok_or(InvalidSync::Value("cutoff"))?) })
    }
}

impl Digests {
    /// All, one after the other.
    pub fn encode(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Reads them.
    ///
    /// # Errors
    /// If there are not as many as there are buckets.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSync> {
        let (digests, []) = bytes.as_chunks() else { return Err(InvalidSync::Value("length")) };
        if digests.len() != BUCKETS {
            return Err(InvalidSync::Value("number of digests"));
        }
        Ok(Self(digests.to_vec()))
    }
}

impl KeysRequest {
    /// As a bt dictionary.
    pub fn encode(&self) -> Vec<u8> {
        let mut dict = DictWriter::new();
        dict.int("b", self.bucket as u64).int("t", self.cutoff.0);
        if let Some((account, name)) = &self.after {
            dict.bytes("a", account.as_bytes()).bytes("n", name);
        }
        dict.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it is none, or there is no such bucket.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSync> {
        let mut dict = DictReader::new(bytes)?;
        let account = dict.take_bytes("a")?.map(account).transpose()?;
        let bucket = usize::try_from(dict.take_u64("b")?.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        if bucket >= BUCKETS {
            return Err(InvalidSync::Value("bucket"));
        }
        let name = dict.take_array("n")?.unwrap_or([0; 32]);
        let cutoff = Timestamp(dict.take_u64("t")?.ok_or(InvalidSync::Value("cutoff"))?);
        Ok(Self { cutoff, bucket, after: account.map(|account| (account, name)) })
    }
}

impl Keys {
    /// As a bt list: whether there is more, then the accounts.
    pub fn encode(&self) -> Vec<u8> {
        let mut list = ListWriter::new();
        list.int(u64::from(self.more));
        for keys in &self.accounts {
            let mut messages = Vec::with_capacity(keys.messages.len() * NAMED);
            for (name, state) in &keys.messages {
                messages.extend_from_slice(name);
                messages.extend_from_slice(&state.to_bytes());
            }
            let mut entry = ListWriter::new();
            entry.bytes(keys.account.as_bytes()).bytes(messages).bytes(keys.operations.concat());
            list.list(entry);
        }
        list.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it is none, or has more than [`MAX_KEYS`] names.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSync> {
        let mut list = ListReader::new(bytes)?;
        let more = list.u64()? != 0;
        let (mut accounts, mut count) = (Vec::new(), 0);
        while !list.is_empty() {
            let mut entry = list.list()?;
            let account = account(entry.bytes()?)?;
            let (messages, []) = entry.bytes()?.as_chunks::<NAMED>() else {
                return Err(InvalidSync::Value("names of messages"));
            };
            let (operations, []) = entry.bytes()?.as_chunks::<32>() else {
                return Err(InvalidSync::Value("names of operations"));
            };
            let messages = messages.iter().map(|entry| {
                let mut name = [0; 32];
                let mut state = [0; State::LENGTH];
                let (head, tail) = entry.split_at(32);
                name.copy_from_slice(head);
                state.copy_from_slice(tail);
                (name, State::from_bytes(state))
            });
            let keys = AccountKeys { account, messages: messages.collect(), operations: operations.to_vec() };
            // An account counts too, or empty ones would be free.
            count += keys.count() + 1;
            if count > 2 * MAX_KEYS {
                return Err(InvalidSync::TooMany);
            }
            accounts.push(keys);
        }
        Ok(Self { accounts, more })
    }
}

impl Copies {
    /// Bytes of what is inside, which [`MAX_BATCH_BYTES`] bounds.
    pub fn size(&self) -> usize {
        let messages = self.messages.iter().map(|copy| copy.data.len() + 150);
        messages.chain(self.operations.iter().map(|request| request.len() + 10)).sum()
    }

    /// As a bt list: whether there is more, the messages, the operations.
    pub fn encode(&self) -> Vec<u8> {
        let mut messages = ListWriter::new();
        for copy in &self.messages {
            let raises: Vec<u8> = copy
                .raises
                .iter()
                .flat_map(|(at, expiry)| [at.0.to_be_bytes(), expiry.0.to_be_bytes()])
                .flatten()
                .collect();
            let mut entry = ListWriter::new();
            entry
                .bytes(copy.account.as_bytes())
                .int(i64::from(copy.namespace.0))
                .int(copy.timestamp.0)
                .int(copy.stored_at.0)
                .bytes(raises)
                .bytes(&copy.data);
            messages.list(entry);
        }
        let mut operations = ListWriter::new();
        for request in &self.operations {
            operations.bytes(request);
        }
        ListWriter::new().int(u64::from(self.more)).list(messages).list(operations).finish()
    }

    /// Reads it. The number of messages is bounded by the size of a frame.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidSync> {
        let mut list = ListReader::new(bytes)?;
        let more = list.u64()? != 0;
        let (mut raw_messages, mut raw_operations) = (list.list()?, list.list()?);
        let mut messages = Vec::new();
        while !raw_messages.is_empty() {
            let mut entry = raw_messages.list()?;
            let account = account(entry.bytes()?)?;
            let namespace = entry.i64()?;
            let namespace = Namespace(i16::try_from(namespace).map_err(|_| InvalidSync::Value("namespace"))?);
            let timestamp = Timestamp(entry.u64()?);
            let stored_at = Timestamp(entry.u64()?);
            let (raises, []) = entry.bytes()?.as_chunks::<16>() else {
                return Err(InvalidSync::Value("raises"));
            };
            if raises.len() > MAX_RAISES {
                return Err(InvalidSync::TooMany);
            }
            let raises = raises.iter().map(|raise| two_times(*raise).into()).collect();
            let data = entry.bytes()?.to_vec();
            if data.len() > crate::rpc::MAX_STORE_DATA {
                return Err(InvalidSync::Value("data"));
            }
            messages.push(Copy { account, namespace, timestamp, stored_at, raises, data });
        }
        let mut operations = Vec::new();
        while !raw_operations.is_empty() {
            operations.push(raw_operations.bytes()?.to_vec());
        }
        Ok(Self { messages, operations, more })
    }
}

fn two_times(bytes: [u8; 16]) -> [Timestamp; 2] {
    let number = u128::from_be_bytes(bytes);
    [number >> 64, number & u128::from(u64::MAX)]
        .map(|time| Timestamp(u64::try_from(time).unwrap_or(u64::MAX)))
}

fn account(bytes: &[u8]) -> Result<AccountId, InvalidSync> {
    AccountId::from_slice(bytes).map_err(|_| InvalidSync::Value("account"))
}

#[cfg(test)]
mod tests {
    use conclave_crypto::IdPrefix;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn any_account() -> impl Strategy<Value = AccountId> {
        any::<[u8; 32]>().prop_map(|key| AccountId::new(IdPrefix::Account, &key))
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        any::<u64>().prop_map(Timestamp)
    }

    fn state() -> impl Strategy<Value = State> {
        (time(), time(), time()).prop_map(|(expiry, stored_at, timestamp)| State {
            expiry,
            stored_at,
            timestamp,
        })
    }

    prop_compose! {
        fn copies()(
            messages in vec((any_account(), any::<i16>(), time(), time(), vec((time(), time()), 0..4), vec(any::<u8>(), 0..50)), 0..4),
            operations in vec(vec(any::<u8>(), 0..50), 0..4),
            more: bool,
        ) -> Copies {
            let copy = |(account, namespace, timestamp, stored_at, raises, data)| Copy {
                account, namespace: Namespace(namespace), timestamp, stored_at, raises, data,
            };
            Copies { messages: messages.into_iter().map(copy).collect(), operations, more }
        }
    }

    proptest! {
        #[test]
        fn what_members_say_is_read_as_it_was_written(
            accounts in vec((any_account(), vec((any::<Name>(), state()), 0..4), vec(any::<Name>(), 0..4)), 0..4),
            more: bool, copies in copies(), bucket in 0..BUCKETS, cutoff in time(), after in proptest::option::of((any_account(), any::<Name>())),
        ) {
            let accounts =
                accounts.into_iter().map(|(account, messages, operations)| AccountKeys { account, messages, operations });
            let keys = Keys { accounts: accounts.collect(), more };
            prop_assert_eq!(Keys::decode(&keys.encode()), Ok(keys));
            prop_assert_eq!(Copies::decode(&copies.encode()), Ok(copies));
            let request = KeysRequest { cutoff, bucket, after };
            prop_assert_eq!(KeysRequest::decode(&request.encode()), Ok(request));
            let request = DigestsRequest { cutoff };
            prop_assert_eq!(DigestsRequest::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn every_account_has_one_bucket(account in any_account()) {
            prop_assert!(bucket_of(&account) < BUCKETS);
        }
    }

    #[test]
    fn there_are_as_many_digests_as_buckets() {
        let digests = Digests(vec![[7; DIGEST_LENGTH]; BUCKETS]);
        assert_eq!(Digests::decode(&digests.encode()), Ok(digests.clone()));
        assert!(Digests::decode(&digests.encode()[DIGEST_LENGTH..]).is_err());
        assert!(Digests::decode(b"le").is_err());
    }
}
