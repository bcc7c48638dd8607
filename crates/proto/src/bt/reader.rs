//! Reading bt bytes piece by piece, without copying.

use super::scan::{Cursor, Token};
use super::{BtError, Int, Value};

/// A key, or the bytes before a signature; and what belongs to it.
type Pair<'a, T> = (&'a [u8], T);

/// Reads a dictionary forward. Ask for keys in ascending order: asking moves past every smaller
/// key, and a key that stands behind a greater one is not found.
#[derive(Clone, Debug)]
pub struct DictReader<'a> {
    cursor: Cursor<'a>,
}

impl<'a> DictReader<'a> {
    /// A reader over `bytes`, which must be one whole dictionary, well-formed throughout.
    ///
    /// # Errors
    /// If it is not.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BtError> {
        whole(bytes, b'd').map(|cursor| Self { cursor })
    }

    /// The next key, without moving; `None` at the end.
    ///
    /// # Errors
    /// Not after [`Self::new`] succeeded.
    pub fn peek_key(&self) -> Result<Option<&'a [u8]>, BtError> {
        Ok(self.key()?.map(|(key, _)| key))
    }

    /// The next key and the encoding of its value, in the order they stand.
    ///
    /// # Errors
    /// Not after [`Self::new`] succeeded.
    pub fn next_raw(&mut self) -> Result<Option<Pair<'a, &'a [u8]>>, BtError> {
        let Some((key, behind)) = self.key()? else { return Ok(None) };
        self.cursor = behind;
        Ok(Some((key, self.cursor.skip_value()?)))
    }

    /// The encoding of the value of `key`.
    ///
    /// # Errors
    /// Not after [`Self::new`] succeeded.
    pub fn take_raw(&mut self, key: impl AsRef<[u8]>) -> Result<Option<&'a [u8]>, BtError> {
        Ok(match self.seek(key.as_ref())? {
            true => self.next_raw()?.map(|(_, raw)| raw),
            false => None,
        })
    }

    /// The byte string of `key`.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_bytes(&mut self, key: impl AsRef<[u8]>) -> Result<Option<&'a [u8]>, BtError> {
        self.take(key.as_ref(), "a byte string", bytes_of)
    }

    /// The byte string of `key` as UTF-8 text.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_text(&mut self, key: impl AsRef<[u8]>) -> Result<Option<&'a str>, BtError> {
        self.take(key.as_ref(), "text", |raw| bytes_of(raw).and_then(|b| std::str::from_utf8(b).ok()))
    }

    /// The byte string of `key`, of exactly `N` bytes.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_array<const N: usize>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<[u8; N]>, BtError> {
        self.take(key.as_ref(), "a byte string of the right length", |raw| bytes_of(raw)?.try_into().ok())
    }

    /// The integer of `key`.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_int(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Int>, BtError> {
        self.take(key.as_ref(), "an integer", int_of)
    }

    /// The integer of `key`, not negative.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_u64(&mut self, key: impl AsRef<[u8]>) -> Result<Option<u64>, BtError> {
        self.take(key.as_ref(), "an unsigned integer", |raw| int_of(raw)?.as_u64())
    }

    /// The integer of `key`, within `i64`.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_i64(&mut self, key: impl AsRef<[u8]>) -> Result<Option<i64>, BtError> {
        self.take(key.as_ref(), "a signed integer", |raw| int_of(raw)?.as_i64())
    }

    /// The list of `key`.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_list(&mut self, key: impl AsRef<[u8]>) -> Result<Option<ListReader<'a>>, BtError> {
        self.take(key.as_ref(), "a list", |raw| ListReader::new(raw).ok())
    }

    /// The dictionary of `key`.
    ///
    /// # Errors
    /// If something else stands there.
    pub fn take_dict(&mut self, key: impl AsRef<[u8]>) -> Result<Option<DictReader<'a>>, BtError> {
        self.take(key.as_ref(), "a dictionary", |raw| DictReader::new(raw).ok())
    }

    /// The whole value of `key`, read as [`Value::decode_in_order`] does.
    ///
    /// # Errors
    /// If it cannot be a value, for instance by a number beyond 64 bits.
    pub fn take_value(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Value>, BtError> {
        self.take_raw(key)?.map(Value::decode_in_order).transpose()
    }

    /// The signature under `key` and the bytes it covers: everything before the key. `None` if the
    /// key is missing (config-and-groups 1, signature append rule).
    ///
    /// # Errors
    /// If something else than 64 bytes stands there, or anything follows.
    pub fn take_signed(&mut self, key: impl AsRef<[u8]>) -> Result<Option<Pair<'a, [u8; 64]>>, BtError> {
        if !self.seek(key.as_ref())? {
            return Ok(None);
        }
        let signed = self.cursor.input.get(..self.cursor.at).unwrap_or_default();
        let signature = self.take_array(&key)?;
        if self.peek_key()?.is_some() {
            return Err(BtError::Trailing(self.cursor.at));
        }
        Ok(signature.map(|signature| (signed, signature)))
    }

    fn take<T>(
        &mut self,
        key: &[u8],
        expected: &'static str,
        read: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<Option<T>, BtError> {
        let Some(raw) = self.take_raw(key)? else { return Ok(None) };
        let wrong = || BtError::WrongType { key: String::from_utf8_lossy(key).into_owned(), expected };
        read(raw).map(Some).ok_or_else(wrong)
    }

    /// Moves past smaller keys; whether the next one is `key`.
    fn seek(&mut self, key: &[u8]) -> Result<bool, BtError> {
        while let Some((next, behind)) = self.key()? {
            if next >= key {
                return Ok(next == key);
            }
            self.cursor = behind;
            self.cursor.skip_value()?;
        }
        Ok(false)
    }

    fn key(&self) -> Result<Option<Pair<'a, Cursor<'a>>>, BtError> {
        let mut cursor = self.cursor;
        match cursor.token()? {
            Token::Bytes(key) => Ok(Some((key, cursor))),
            Token::End => Ok(None),
            _ => Err(BtError::Unexpected(self.cursor.at)),
        }
    }
}

/// Reads a list element by element.
#[derive(Clone, Debug)]
pub struct ListReader<'a> {
    cursor: Cursor<'a>,
    taken: usize,
}

impl<'a> ListReader<'a> {
    /// A reader over `bytes`, which must be one whole list, well-formed throughout.
    ///
    /// # Errors
    /// If it is not.
    pub fn new(bytes: &'a [u8]) -> Result<Self, BtError> {
        whole(bytes, b'l').map(|cursor| Self { cursor, taken: 0 })
    }

    /// Whether no element is left.
    pub fn is_empty(&self) -> bool {
        matches!(self.cursor.peek(), Ok(b'e') | Err(_))
    }

    /// The encoding of the next element; `None` at the end.
    ///
    /// # Errors
    /// Not after [`Self::new`] succeeded.
    pub fn next_raw(&mut self) -> Result<Option<&'a [u8]>, BtError> {
        if self.is_empty() {
            return Ok(None);
        }
        self.taken = self.taken.saturating_add(1);
        self.cursor.skip_value().map(Some)
    }

    /// The next element as a byte string.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn bytes(&mut self) -> Result<&'a [u8], BtError> {
        self.take("a byte string", bytes_of)
    }

    /// The next element as UTF-8 text.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn text(&mut self) -> Result<&'a str, BtError> {
        self.take("text", |raw| bytes_of(raw).and_then(|b| std::str::from_utf8(b).ok()))
    }

    /// The next element as an integer.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn int(&mut self) -> Result<Int, BtError> {
        self.take("an integer", int_of)
    }

    /// The next element as an integer that is not negative.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn u64(&mut self) -> Result<u64, BtError> {
        self.take("an unsigned integer", |raw| int_of(raw)?.as_u64())
    }

    /// The next element as an integer within `i64`.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn i64(&mut self) -> Result<i64, BtError> {
        self.take("a signed integer", |raw| int_of(raw)?.as_i64())
    }

    /// The next element as a list.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn list(&mut self) -> Result<ListReader<'a>, BtError> {
        self.take("a list", |raw| ListReader::new(raw).ok())
    }

    /// The next element as a dictionary.
    ///
    /// # Errors
    /// If there is none, or something else stands there.
    pub fn dict(&mut self) -> Result<DictReader<'a>, BtError> {
        self.take("a dictionary", |raw| DictReader::new(raw).ok())
    }

    fn take<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<T, BtError> {
        let key = format!("[{}]", self.taken);
        match self.next_raw()? {
            None => Err(BtError::Missing(key)),
            Some(raw) => read(raw).ok_or(BtError::WrongType { key, expected }),
        }
    }
}

/// A cursor behind the opening bracket of the one container that `bytes` must be.
fn whole(bytes: &[u8], opening: u8) -> Result<Cursor<'_>, BtError> {
    let mut cursor = Cursor { input: bytes, at: 0 };
    if cursor.peek()? != opening {
        return Err(BtError::Unexpected(0));
    }
    cursor.skip_value()?;
    if !cursor.rest().is_empty() {
        return Err(BtError::Trailing(cursor.at));
    }
    Ok(Cursor { input: bytes, at: 1 })
}

fn bytes_of(raw: &[u8]) -> Option<&[u8]> {
    match (Cursor { input: raw, at: 0 }).token() {
        Ok(Token::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

fn int_of(raw: &[u8]) -> Option<Int> {
    match (Cursor { input: raw, at: 0 }).token() {
        Ok(Token::Int(text)) => Int::parse(text, 0).ok(),
        _ => None,
    }
}
