//! Bodies in pieces.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

/// Up to this length the pieces are joined: one copy costs less than three pieces do.
const JOINED: usize = 16 * 1024;

/// What a request or an answer carries: pieces that go out one after the other as if they were one. Whoever passes on what is
/// large puts something before and after it without copying it.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pieces: Vec<Bytes>,
    kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl Body {
    /// Its length, in bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.len()))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// The body between what comes before and after it.
    #[must_use]
    pub fn between(mut self, before: impl Into<Bytes>, after: impl Into<Bytes>) -> Self {
        self.pieces.insert(0, before.into());
        self.pieces.push(after.into());
        self
    }

    /// The body, which keeps something until its last byte is at the other side; instead of what it kept before.
    #[must_use]
    pub fn keeping(self, kept: impl Any + Send + Sync) -> Self {
        Self { kept: Some(Arc::new(kept)), ..self }
    }

    /// The pieces that are to be written, none of them empty.
    pub(super) fn into_pieces(mut self) -> Vec<Bytes> {
        if self.len() <= JOINED {
            self.pieces = vec![Bytes::from(self.pieces.concat())];
        }
        self.pieces.retain(|piece| !piece.is_empty());
        // By each piece: whoever gives up half-way drops some of them, while others are still on their way.
        let Some(kept) = self.kept else { return self.pieces };
        let keep = |piece| Bytes::from_owner(Keeping { piece, _kept: Arc::clone(&kept) });
        self.pieces.into_iter().map(keep).collect()
    }
}

/// A piece, and what is kept until it is gone.
struct Keeping {
    piece: Bytes,
    _kept: Arc<dyn Any + Send + Sync>,
}

impl AsRef<[u8]> for Keeping {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { pieces: vec![bytes], kept: None }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

/// Copies it.
impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Bytes::copy_from_slice(bytes).into()
    }
}

/// Copies it.
impl From<&Vec<u8>> for Body {
    fn from(bytes: &Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

/// Copies it.
impl<const LENGTH: usize> From<&[u8; LENGTH]> for Body {
    fn from(bytes: &[u8; LENGTH]) -> Self {
        bytes.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_goes_out_from_where_it_lies() {
        let large = Bytes::from(vec![7; JOINED]);
        let body = Body::from(large.clone()).between("before", Bytes::new()).between(Bytes::new(), "after");
        assert_eq!(body.len(), JOINED + 11);
        let pieces = body.into_pieces();
        assert_eq!(pieces, [Bytes::from("before"), large.clone(), "after".into()]);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn a_small_body_goes_out_as_one_piece() {
        assert_eq!(Body::from(b"bc").between("a", "d").into_pieces(), [Bytes::from("abcd")]);
        assert!(Body::from(b"").between("", "").is_empty());
    }

    #[test]
    fn what_a_body_keeps_is_kept_until_the_last_of_its_pieces_is_gone() {
        for (length, number) in [(3, 1), (JOINED + 1, 3)] {
            for stays in 0..number {
                let kept = Arc::new(());
                let body = Body::from(vec![7; length]).keeping(Arc::clone(&kept)).between("before", "after");
                let mut pieces = body.into_pieces();
                assert_eq!(pieces.len(), number);
                let last = pieces.remove(stays);
                drop(pieces);
                assert_eq!(Arc::strong_count(&kept), 2, "piece {stays} of {number}");
                drop(last);
                assert_eq!(Arc::strong_count(&kept), 1, "{length}");
            }
        }
    }
}
