//! MP4, as boxes. Facts: ISO 14496-12, sections 4 and 8.

use crate::MediaError;
use crate::read::Reader;

/// What is needed to play what is in a file. All else says something about it.
const KEPT: [&[u8; 4]; 12] = [
    b"ftyp", b"moov", b"mdat", b"free", b"moof", b"mfra", b"styp", b"sidx", b"pdin", b"trak", b"mdia",
    b"edts",
];
/// The same, within those that are looked into.
const KEPT_WITHIN: [&[u8; 4]; 8] = [b"mvhd", b"tkhd", b"mdhd", b"mvex", b"iods", b"hdlr", b"minf", b"tref"];
/// Boxes of boxes that are looked into.
const LOOKED_INTO: [&[u8; 4]; 3] = [b"moov", b"trak", b"mdia"];

/// Takes out of a film or recording what it says beside pictures and sound: places, dates, titles, covers. What is taken out becomes
/// empty space of the same length, since a file names its samples by where they stand.
pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut stripped = bytes.to_vec();
    let kept = strip_boxes(&mut stripped, 0)?;
    stripped.truncate(kept);
    Ok(stripped)
}

/// Empties boxes; says how many bytes are boxes at all.
fn strip_boxes(bytes: &mut [u8], depth: u8) -> Result<usize, MediaError> {
    let mut start = 0;
    while bytes.len() - start >= 8 {
        let rest = bytes.get_mut(start..).unwrap_or_default();
        let (head, length) = head_of(rest)?;
        let kind: [u8; 4] = Reader(rest.get(4..).unwrap_or_default()).array()?;
        let this = rest.get_mut(..length).ok_or_else(|| MediaError::damaged("it was cut short"))?;
        let content = this.get_mut(head..).ok_or_else(|| MediaError::damaged("a box has no length"))?;
        let is_kept = KEPT.contains(&&kind) || depth > 0 && KEPT_WITHIN.contains(&&kind);
        if &kind == b"free" || !is_kept {
            content.fill(0);
            this.get_mut(4..8).unwrap_or_default().copy_from_slice(b"free");
        } else if LOOKED_INTO.contains(&&kind) && depth < 4 {
            strip_boxes(content, depth + 1)?;
        } else if matches!(&kind, b"mvhd" | b"tkhd" | b"mdhd") {
            // When it was made and changed: two numbers of four bytes, of eight in version 1.
            let length = if content.first() == Some(&1) { 16 } else { 8 };
            content.get_mut(4..4 + length).unwrap_or_default().fill(0);
        }
        start += length;
    }
    Ok(start)
}

/// Bytes of a box's head, and of the whole box.
fn head_of(bytes: &[u8]) -> Result<(usize, usize), MediaError> {
    let mut reader = Reader(bytes);
    let length = reader.u32_be()?;
    let (head, length) = match length {
        // To the end.
        0 => (8, bytes.len()),
        1 => {
            reader.take(4)?;
            let length = u64::from_be_bytes(reader.array()?);
            (16, usize::try_from(length).unwrap_or(usize::MAX))
        }
        length => (8, usize::try_from(length).unwrap_or(usize::MAX)),
    };
    if length < head {
        return Err(MediaError::damaged("a box has no length"));
    }
    Ok((head, length))
}
