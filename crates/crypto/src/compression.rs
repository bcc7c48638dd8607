//! Zstandard (RFC 8878) as group messages and configs use it: one frame, level 1, and a ceiling
//! for what a stranger's frame may grow to.

/// The level everyone writes with: more gains little on small messages.
const LEVEL: i32 = 1;

/// A frame that is broken or grows beyond what was allowed. The sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compressed data is broken or expands to more than {limit} bytes")]
pub struct DecompressError {
    /// The bytes it may have had.
    pub limit: usize,
}

/// The compressed form. Its bytes differ between versions of zstd: compare what they expand to.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, LEVEL).expect("level 1 exists, and the buffer has the size zstd asks for")
}

/// What a frame expands to, at most `limit` bytes.
///
/// # Errors
/// [`DecompressError`].
pub fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    if bytes.is_empty() {
        // zstd reads nothing as no frames, and so as valid; the formats have exactly one.
        return Err(DecompressError { limit });
    }
    let mut expanded = zstd::bulk::decompress(bytes, limit).map_err(|_| DecompressError { limit })?;
    expanded.shrink_to_fit();
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_refused_at_the_ceiling() {
        let bomb = compress(&vec![0; 2_000_000]);
        assert!(bomb.len() < 1000);
        assert_eq!(decompress(&bomb, 1_999_999), Err(DecompressError { limit: 1_999_999 }));
        assert_eq!(decompress(&bomb, 2_000_000).unwrap().len(), 2_000_000);
        assert!(decompress(b"no frame", 100).is_err());
        assert!(decompress(b"", 100).is_err());
        assert!(decompress(&bomb[..bomb.len() - 1], 2_000_000).is_err());
    }
}
