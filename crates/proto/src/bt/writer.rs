//! Building bt bytes piece by piece.

use std::collections::BTreeMap;

use super::value::{write_bytes, write_int};
use super::{BtError, Int, Value};

/// Builds a dictionary. Keys may come in any order and are written sorted; a key given twice keeps
/// its last value.
#[derive(Clone, Debug, Default)]
pub struct DictWriter(BTreeMap<Vec<u8>, Vec<u8>>);

impl DictWriter {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a byte string.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.set(key, |out| write_bytes(out, bytes.as_ref()))
    }

    /// Sets an integer.
    pub fn int(&mut self, key: impl AsRef<[u8]>, number: impl Into<Int>) -> &mut Self {
        self.set(key, |out| write_int(out, number.into()))
    }

    /// Sets a whole value.
    pub fn value(&mut self, key: impl AsRef<[u8]>, value: &Value) -> &mut Self {
        self.set(key, |out| value.write(out))
    }

    /// Sets a list.
    pub fn list(&mut self, key: impl AsRef<[u8]>, mut list: ListWriter) -> &mut Self {
        self.set(key, |out| out.extend(list.finish()))
    }

    /// Sets a dictionary.
    pub fn dict(&mut self, key: impl AsRef<[u8]>, dict: DictWriter) -> &mut Self {
        self.set(key, |out| out.extend(dict.finish()))
    }

    /// The encoding.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = self.open();
        out.push(b'e');
        out
    }

    /// The encoding with a signature appended under `key`. `sign` is given everything before that
    /// key (config-and-groups 1, signature append rule).
    ///
    /// # Errors
    /// [`BtError::KeyOrder`] if `key` does not sort behind all others: nothing may follow a signature.
    pub fn finish_signed(
        &self,
        key: impl AsRef<[u8]>,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Result<Vec<u8>, BtError> {
        let mut out = self.open();
        if self.0.last_key_value().is_some_and(|(last, _)| last.as_slice() >= key.as_ref()) {
            return Err(BtError::KeyOrder(out.len()));
        }
        let signature = sign(&out);
        write_bytes(&mut out, key.as_ref());
        write_bytes(&mut out, &signature);
        out.push(b'e');
        Ok(out)
    }

    fn open(&self) -> Vec<u8> {
        let mut out = vec![b'd'];
        for (key, value) in &self.0 {
            write_bytes(&mut out, key);
            out.extend_from_slice(value);
        }
        out
    }

    fn set(&mut self, key: impl AsRef<[u8]>, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let mut value = Vec::new();
        write(&mut value);
        self.0.insert(key.as_ref().to_vec(), value);
        self
    }
}

/// Builds a list, in the buffer that it ends in: what is large is copied once.
#[derive(Clone, Debug, Default)]
pub struct ListWriter(Vec<u8>);

impl ListWriter {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a byte string.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let (out, bytes) = (self.begun(), bytes.as_ref());
        // With its length and the end of the list, so that neither moves it.
        out.reserve(bytes.len().saturating_add(24));
        write_bytes(out, bytes);
        self
    }

    /// Appends an integer.
    pub fn int(&mut self, number: impl Into<Int>) -> &mut Self {
        write_int(self.begun(), number.into());
        self
    }

    /// Appends a whole value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        value.write(self.begun());
        self
    }

    /// Appends a list.
    pub fn list(&mut self, mut list: ListWriter) -> &mut Self {
        self.begun().extend(list.finish());
        self
    }

    /// Appends a dictionary.
    pub fn dict(&mut self, dict: DictWriter) -> &mut Self {
        self.begun().extend(dict.finish());
        self
    }

    /// The encoding. The writer is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        self.begun().push(b'e');
        std::mem::take(&mut self.0)
    }

    fn begun(&mut self) -> &mut Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'l');
        }
        &mut self.0
    }
}
