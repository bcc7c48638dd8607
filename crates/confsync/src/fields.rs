//! What several documents have in common: records of fields, and the kinds of fields there are
//! (config-and-groups 6).
//!
//! A record is read into a struct and written back by comparison: only keys whose meaning differs
//! between what was there and what is to be there are touched. So keys of newer programs, and
//! spellings that read the same, stay as they are, and writing what was read changes nothing.

use std::collections::BTreeSet;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::Expiration;

use crate::data::{Dict, Scalar};
use crate::document::{Document, EditError};

/// The longest name, in bytes. Longer ones are cut between characters.
pub const MAX_NAME: usize = 100;

/// The longest address of a picture, in bytes.
pub const MAX_PICTURE_URL: usize = 223;

/// Seconds beyond this are the milliseconds of an older program.
const LATEST_SECOND: i64 = 1_000_000_000_000;

/// A profile picture: where it is, and the key it is encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Where the encrypted file can be fetched; at most [`MAX_PICTURE_URL`] bytes.
    pub url: String,
    /// Decrypts it.
    pub key: [u8; 32],
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Picture(hidden)")
    }
}

/// What of a conversation is notified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// As the settings say.
    #[default]
    Default,
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// When one is mentioned. Direct chats have no mentions: there it is stored as [`Self::All`].
    Mentions,
}

/// A struct that stands for a record.
pub(crate) trait Record {
    /// Keys that are always there, with what stands in them if nothing does: they keep a record from
    /// vanishing when nothing else is in it.
    const ALWAYS: &'static [&'static str] = &[];

    /// The record's known fields, as they are written.
    fn write(&self) -> Dict;
}

/// Writes a record, given how the one that is there now reads.
pub(crate) fn store<R: Record>(
    document: &mut Document,
    path: &[&[u8]],
    before: Option<&R>,
    after: &R,
) -> Result<bool, EditError> {
    let mut record = document.data().dict_at(path).cloned().unwrap_or_default();
    let before = before.map(R::write).unwrap_or_default();
    let after = after.write();
    for (key, _) in before.iter().filter(|(key, _)| after.value(key).is_none()) {
        record.remove(key);
    }
    for (key, value) in after.iter().filter(|(key, value)| before.value(key) != Some(value)) {
        record.insert(key, value.clone());
    }
    for key in R::ALWAYS {
        if record.value(key).is_none() {
            record.insert(key, after.bytes(key).unwrap_or_default());
        }
    }
    document.put(path, Some(record.into()))
}

/// Cuts a text to at most `limit` bytes, between characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

/// Reading and writing of the kinds of fields.
pub(crate) trait Fields {
    fn words(&self, key: &str) -> String;
    fn name(&self, key: &str) -> String;
    fn put_text(&mut self, key: &str, text: &str, limit: usize);
    fn flag(&self, key: &str) -> bool;
    fn put_flag(&mut self, key: &str, flag: bool);
    fn put_nonzero(&mut self, key: &str, number: i64);
    fn priority(&self) -> i32;
    fn notify(&self) -> Notify;
    fn put_notify(&mut self, notify: Notify, mentions: bool);
    fn time(&self, key: &str) -> Option<Timestamp>;
    fn put_time(&mut self, key: &str, time: Option<Timestamp>);
    fn seconds(&self, key: &str) -> u32;
    fn expiration(&self) -> Expiration;
    fn put_expiration(&mut self, expiration: Expiration);
    fn picture(&self, url: &str, key: &str) -> Option<Picture>;
    fn put_picture(&mut self, url: &str, key: &str, picture: Option<&Picture>);
    fn numbers(&self, key: &str) -> BTreeSet<i64>;
    fn put_numbers(&mut self, key: &str, numbers: &BTreeSet<i64>);
}

impl Fields for Dict {
    /// The text of a key, empty if there is none.
    fn words(&self, key: &str) -> String {
        self.text(key).unwrap_or_default().into_owned()
    }

    /// A name: what another program has written beyond [`MAX_NAME`] bytes is not read.
    fn name(&self, key: &str) -> String {
        cut(&self.words(key), MAX_NAME).to_owned()
    }

    fn put_text(&mut self, key: &str, text: &str, limit: usize) {
        let text = cut(text, limit);
        if !text.is_empty() {
            self.insert(key, text);
        }
    }

    fn flag(&self, key: &str) -> bool {
        self.int(key).is_some_and(|number| number != 0)
    }

    fn put_flag(&mut self, key: &str, flag: bool) {
        self.put_nonzero(key, flag.into());
    }

    fn put_nonzero(&mut self, key: &str, number: i64) {
        if number != 0 {
            self.insert(key, number);
        }
    }

    fn priority(&self) -> i32 {
        let bounds = i64::from(i32::MIN)..=i64::from(i32::MAX);
        self.int("+")
            .map_or(0, |number| i32::try_from(number.clamp(*bounds.start(), *bounds.end())).unwrap_or(0))
    }

    fn notify(&self) -> Notify {
        match self.int("@") {
            Some(1) => Notify::All,
            Some(2) => Notify::Nothing,
            Some(3) => Notify::Mentions,
            _ => Notify::Default,
        }
    }

    fn put_notify(&mut self, notify: Notify, mentions: bool) {
        let number = match notify {
            Notify::Default => 0,
            Notify::All => 1,
            Notify::Nothing => 2,
            Notify::Mentions if mentions => 3,
            Notify::Mentions => 1,
        };
        self.put_nonzero("@", number);
    }

    /// A time in seconds.
    fn time(&self, key: &str) -> Option<Timestamp> {
        let number = self.int(key).filter(|number| *number > 0)?;
        let millis = if number > LATEST_SECOND { number } else { number.saturating_mul(1000) };
        Some(Timestamp(millis.unsigned_abs()))
    }

    fn put_time(&mut self, key: &str, time: Option<Timestamp>) {
        self.put_nonzero(key, seconds_of(time.unwrap_or_default()));
    }

    /// A duration in seconds, 0 if there is none.
    fn seconds(&self, key: &str) -> u32 {
        self.int(key).map_or(0, |number| u32::try_from(number.max(0)).unwrap_or(u32::MAX))
    }

    fn expiration(&self) -> Expiration {
        match (self.int("e"), self.seconds("E")) {
            (_, 0) => Expiration::Off,
            (Some(1), seconds) => Expiration::AfterSend(seconds),
            (Some(2), seconds) => Expiration::AfterRead(seconds),
            _ => Expiration::Off,
        }
    }

    fn put_expiration(&mut self, expiration: Expiration) {
        let (mode, seconds) = match expiration {
            Expiration::Off | Expiration::AfterRead(0) | Expiration::AfterSend(0) => return,
            Expiration::AfterSend(seconds) => (1, seconds),
            Expiration::AfterRead(seconds) => (2, seconds),
        };
        self.insert("e", mode);
        self.insert("E", i64::from(seconds));
    }

    /// A picture, if both halves of it are there.
    fn picture(&self, url: &str, key: &str) -> Option<Picture> {
        let key = self.bytes(key)?.try_into().ok()?;
        let url = self.words(url);
        // A longer one could not be written again, and with it nothing else of its record.
        (!url.is_empty() && url.len() <= MAX_PICTURE_URL).then_some(Picture { url, key })
    }

    fn put_picture(&mut self, url: &str, key: &str, picture: Option<&Picture>) {
        if let Some(picture) =
            picture.filter(|picture| !picture.url.is_empty() && picture.url.len() <= MAX_PICTURE_URL)
        {
            self.insert(url, picture.url.as_str());
            self.insert(key, picture.key.as_slice());
        }
    }

    fn numbers(&self, key: &str) -> BTreeSet<i64> {
        let number = |scalar: &Scalar| match scalar {
            Scalar::Int(number) => Some(*number),
            Scalar::Bytes(_) => None,
        };
        self.set(key).into_iter().flatten().filter_map(number).collect()
    }

    fn put_numbers(&mut self, key: &str, numbers: &BTreeSet<i64>) {
        if !numbers.is_empty() {
            self.insert(key, numbers.iter().map(|number| Scalar::Int(*number)).collect::<BTreeSet<_>>());
        }
    }
}

/// A time as the documents write it.
pub(crate) fn seconds_of(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis() / 1000).unwrap_or(i64::MAX)
}

/// An error if a picture's address is too long.
pub(crate) fn check_picture(picture: Option<&Picture>) -> Result<(), EditError> {
    match picture {
        Some(picture) if picture.url.len() > MAX_PICTURE_URL => {
            Err(EditError::Invalid("the address of a picture has at most 223 bytes"))
        }
        _ => Ok(()),
    }
}

/// The ids among the keys of a dictionary, with their records.
pub(crate) fn records_by_id<'d>(
    document: &'d Document,
    key: &str,
    prefix: impl Fn(u8) -> bool,
) -> impl Iterator<Item = (AccountId, &'d Dict)> {
    let all = document.data().dict(key);
    all.into_iter().flat_map(Dict::iter).filter_map(move |(key, value)| {
        let id = AccountId::from_slice(key).ok().filter(|id| prefix(id.prefix().to_byte()))?;
        match value {
            crate::data::Value::Dict(record) => Some((id, record)),
            _ => None,
        }
    })
}

/// Makes a view out of a document of one kind.
macro_rules! view {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        ///
        /// Everything a [`Document`](crate::Document) can do it can do, too.
        #[derive(Clone, Debug)]
        pub struct $name {
            document: $crate::document::Document,
        }

        impl std::ops::Deref for $name {
            type Target = $crate::document::Document;
            fn deref(&self) -> &Self::Target {
                &self.document
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.document
            }
        }
    };
    ($(#[$about:meta])* $name:ident of device: $kind:expr) => {
        view!($(#[$about])* $name);

        impl $name {
            /// An empty document.
            pub fn new() -> Self {
                let authority = $crate::document::Authority::Device;
                Self { document: $crate::document::Document::new($kind, authority, Vec::new()) }
            }

            /// What [`Document::dump`](crate::Document::dump) kept.
            ///
            /// # Errors
            /// If it is damaged, or of a newer program.
            pub fn load(dump: &[u8]) -> Result<Self, $crate::DumpError> {
                let mut view = Self::new();
                view.document.load_dump(dump)?;
                Ok(view)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    ($(#[$about:meta])* $name:ident of account: $kind:expr) => {
        view!($(#[$about])* $name);

        impl $name {
            /// An empty document of an account.
            pub fn new(account: &conclave_crypto::Ed25519Secret) -> Self {
                Self { document: $crate::document::Document::of_account($kind, account) }
            }

            /// What [`Document::dump`](crate::Document::dump) kept.
            ///
            /// # Errors
            /// If it is damaged, or of a newer program.
            pub fn load(
                account: &conclave_crypto::Ed25519Secret,
                dump: &[u8],
            ) -> Result<Self, $crate::DumpError> {
                let mut view = Self::new(account);
                view.document.load_dump(dump)?;
                Ok(view)
            }
        }
    };
    ($(#[$about:meta])* $name:ident of group: $kind:expr) => {
        view!($(#[$about])* $name);

        impl $name {
            /// The document of a group, as its members see it, before it was first fetched. `keys` are the
            /// group's, newest first.
            pub fn new(group: &conclave_crypto::Ed25519Public, keys: &[[u8; 32]]) -> Self {
                let authority = $crate::document::Authority::Group { public: *group, secret: None };
                let mut document = $crate::document::Document::new($kind, authority, Vec::new());
                // Setting keys alone cannot fail.
                let _ = document.set_keys(keys, false);
                Self { document }
            }

            /// What [`Document::dump`](crate::Document::dump) kept.
            ///
            /// # Errors
            /// If it is damaged, or of a newer program.
            pub fn load(
                group: &conclave_crypto::Ed25519Public,
                keys: &[[u8; 32]],
                dump: &[u8],
            ) -> Result<Self, $crate::DumpError> {
                let mut view = Self::new(group, keys);
                view.document.load_dump(dump)?;
                Ok(view)
            }

            /// With the group's secret: from now on it can be changed.
            ///
            /// # Errors
            /// If it is another group's.
            pub fn become_admin(
                &mut self,
                group: &conclave_crypto::Ed25519Secret,
            ) -> Result<(), $crate::EditError> {
                self.document.set_signer(group)
            }

            /// New keys, newest first; all before are forgotten. With `rewrite`, as after a change of keys,
            /// the document is pushed again under the first.
            ///
            /// # Errors
            /// Of `rewrite`, if we are no admin; the keys are set nevertheless.
            pub fn replace_keys(&mut self, keys: &[[u8; 32]], rewrite: bool) -> Result<(), $crate::EditError> {
                self.document.set_keys(keys, rewrite)
            }
        }
    };
}
pub(crate) use view;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut("ab", 2), "ab");
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("日本", 5), "日");
    }

    #[test]
    fn times_of_older_programs_read_in_milliseconds() {
        let record = Dict::decode(b"d1:ji1700000000e1:ti1700000000123ee").unwrap();
        assert_eq!(record.time("j"), Some(Timestamp(1_700_000_000_000)));
        assert_eq!(record.time("t"), Some(Timestamp(1_700_000_000_123)));
        assert_eq!(record.time("x"), None);
    }

    #[test]
    fn half_a_picture_is_none() {
        assert_eq!(Dict::decode(b"d1:p3:urle").unwrap().picture("p", "q"), None);
        assert_eq!(Dict::decode(b"d1:p3:url1:q3:keye").unwrap().picture("p", "q"), None);
    }
}
