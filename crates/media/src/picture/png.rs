//! PNG, as chunks. Facts: the W3C's PNG specification, third edition, sections 5, 11 and 14.

use image::metadata::Orientation;

use super::{STRIPPING, Stripped, exif_of, orientation_of, shown};
use crate::MediaError;
use crate::read::Reader;

const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// What is needed to show a picture: its pixels, its colours, its frames, and how large a pixel is.
const KEPT: [&[u8; 4]; 17] = [
    b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV",
    b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, MediaError> {
    let mut reader = Reader(bytes);
    if reader.take(8)? != SIGNATURE {
        return Err(MediaError::damaged("it does not begin as a PNG file"));
    }
    let mut size = None;
    let mut orientation = Orientation::NoTransforms;
    let mut has_pixels = false;
    let mut body = Vec::with_capacity(bytes.len());
    loop {
        let length = usize::try_from(reader.u32_be()?).unwrap_or(usize::MAX);
        let kind: [u8; 4] = reader.array()?;
        let content = reader.take(length)?;
        if reader.u32_be()? != checksum(&kind, content) {
            return Err(MediaError::damaged("a checksum is wrong"));
        }
        if size.is_none() {
            if &kind != b"IHDR" {
                return Err(MediaError::damaged("it does not begin as a PNG file"));
            }
            let mut head = Reader(content);
            size = Some((head.u32_be()?, head.u32_be()?));
        }
        has_pixels |= &kind == b"IDAT";
        match &kind {
            b"IEND" => break,
            b"eXIf" => orientation = orientation_of(content),
            kind if KEPT.contains(&kind) => put(&mut body, kind, content),
            // By the letter's case: nobody can show the picture who does not know this chunk.
            [first, ..] if first.is_ascii_uppercase() => {
                return Err(MediaError::Unsupported { doing: STRIPPING, found: "a PNG file of a rare kind" });
            }
            _ => {}
        }
    }
    let (width, height) =
        size.filter(|_| has_pixels).ok_or_else(|| MediaError::damaged("it has no pixels"))?;
    let (width, height) = shown(orientation, width, height);
    let mut stripped = Vec::with_capacity(body.len() + 64);
    stripped.extend_from_slice(SIGNATURE);
    // Head, 13 bytes in a chunk, then which way is up, then the rest.
    let (head, rest) = body.split_at_checked(12 + 13).ok_or_else(|| MediaError::damaged("it has no head"))?;
    stripped.extend_from_slice(head);
    if orientation != Orientation::NoTransforms {
        put(&mut stripped, b"eXIf", &exif_of(orientation));
    }
    stripped.extend_from_slice(rest);
    put(&mut stripped, b"IEND", &[]);
    Ok(Stripped { bytes: stripped, content_type: "image/png", width, height })
}

fn checksum(kind: &[u8; 4], content: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(content);
    checksum.finalize()
}

/// Writes a chunk, which is no longer than one that was read.
fn put(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(kind);
    out.extend_from_slice(content);
    out.extend_from_slice(&checksum(kind, content).to_be_bytes());
}
