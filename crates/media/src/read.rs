//! Bytes, read in order, by the numbers in them.

use crate::MediaError;

/// What has not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], MediaError> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| MediaError::damaged("it was cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| MediaError::damaged("it was cut short"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, MediaError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16_be(&mut self) -> Result<u16, MediaError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u16_le(&mut self) -> Result<u16, MediaError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u24_le(&mut self) -> Result<u32, MediaError> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(crate) fn u32_be(&mut self) -> Result<u32, MediaError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u32_le(&mut self) -> Result<u32, MediaError> {
        self.array().map(u32::from_le_bytes)
    }
}
