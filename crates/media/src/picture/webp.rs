//! WebP, as chunks of a RIFF file. Facts: RFC 9649, section 2.

use image::metadata::Orientation;

use super::{Stripped, exif_of, orientation_of, shown};
use crate::MediaError;
use crate::read::Reader;

/// Flags of the head of an extended file.
const HAS_EXIF: u8 = 0b0000_1000;
const HAS_XMP: u8 = 0b0000_0100;

/// Takes the next chunk: its name and its content.
fn chunk<'a>(reader: &mut Reader<'a>) -> Result<([u8; 4], &'a [u8]), MediaError> {
    let kind = reader.array()?;
    let length = usize::try_from(reader.u32_le()?).unwrap_or(usize::MAX);
    let content = reader.take(length)?;
    // Lengths are even; whoever forgot that at the end of a file is understood.
    if length % 2 == 1 && !reader.is_empty() {
        reader.byte()?;
    }
    Ok((kind, content))
}

fn put(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    out.extend_from_slice(kind);
    out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(content);
    if content.len() % 2 == 1 {
        out.push(0);
    }
}

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, MediaError> {
    let mut file = Reader(bytes);
    let is_riff = file.take(4)? == b"RIFF";
    let length = usize::try_from(file.u32_le()?).unwrap_or(usize::MAX);
    // What stands behind the end was never part of the picture.
    let mut reader = Reader(file.take(length)?);
    if !is_riff || reader.take(4)? != b"WEBP" {
        return Err(MediaError::damaged("it does not begin as a WebP file"));
    }
    let mut orientation = Orientation::NoTransforms;
    let mut size = None;
    let mut is_extended = false;
    let mut has_pixels = false;
    let mut body = Vec::with_capacity(bytes.len());
    while !reader.is_empty() {
        let (kind, content) = chunk(&mut reader)?;
        match &kind {
            b"VP8X" if body.is_empty() => {
                let mut head: [u8; 10] = Reader(content).array()?;
                size = Some(size_of_extended(&head)?);
                if let Some(flags) = head.first_mut() {
                    *flags &= !(HAS_EXIF | HAS_XMP);
                }
                is_extended = true;
                put(&mut body, &kind, &head);
            }
            b"VP8 " | b"VP8L" => {
                has_pixels = true;
                if size.is_none() {
                    size = Some(size_of_frame(&kind, content)?);
                }
                put(&mut body, &kind, content);
            }
            b"ANMF" => {
                has_pixels = true;
                put(&mut body, &kind, &frame_of(content)?);
            }
            b"ALPH" | b"ANIM" | b"ICCP" => put(&mut body, &kind, content),
            b"EXIF" => orientation = orientation_of(content),
            _ => {}
        }
    }
    let (width, height) =
        size.filter(|_| has_pixels).ok_or_else(|| MediaError::damaged("it has no pixels"))?;
    // Files of the simple form have no such chunk, and readers would not look for it.
    if !is_extended {
        orientation = Orientation::NoTransforms;
    }
    if orientation != Orientation::NoTransforms {
        put(&mut body, b"EXIF", &exif_of(orientation));
        // The head is the first chunk; its flags follow name and length.
        if let Some(flags) = body.get_mut(8) {
            *flags |= HAS_EXIF;
        }
    }
    let (width, height) = shown(orientation, width, height);
    let mut stripped = Vec::with_capacity(body.len() + 12);
    put(&mut stripped, b"RIFF", &[b"WEBP", body.as_slice()].concat());
    Ok(Stripped { bytes: stripped, content_type: "image/webp", width, height })
}

/// A frame of one that moves: where it is, and the chunks of its pixels.
fn frame_of(content: &[u8]) -> Result<Vec<u8>, MediaError> {
    let mut reader = Reader(content);
    let mut frame = reader.take(16)?.to_vec();
    while !reader.is_empty() {
        let (kind, content) = chunk(&mut reader)?;
        if matches!(&kind, b"VP8 " | b"VP8L" | b"ALPH") {
            put(&mut frame, &kind, content);
        }
    }
    Ok(frame)
}

fn size_of_extended(head: &[u8]) -> Result<(u32, u32), MediaError> {
    let mut reader = Reader(head);
    reader.take(4)?;
    Ok((reader.u24_le()? + 1, reader.u24_le()? + 1))
}

fn size_of_frame(kind: &[u8; 4], content: &[u8]) -> Result<(u32, u32), MediaError> {
    let mut reader = Reader(content);
    if kind == b"VP8L" {
        reader.take(1)?;
        let bits = reader.u32_le()?;
        return Ok(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1));
    }
    // Three bytes of flags, three that mark a whole picture.
    reader.take(6)?;
    Ok((u32::from(reader.u16_le()? & 0x3fff), u32::from(reader.u16_le()? & 0x3fff)))
}
