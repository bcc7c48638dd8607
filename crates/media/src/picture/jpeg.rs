//! JPEG, as segments. Facts: ITU T.81, annex B; JFIF 1.02; ICC.1, annex B.4; Adobe technical note 5116.

use image::metadata::Orientation;

use super::{STRIPPING, Stripped, exif_of, orientation_of, shown};
use crate::MediaError;
use crate::read::Reader;

const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
const COMMENT: u8 = 0xfe;

const EXIF: &[u8] = b"Exif\0\0";
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// A part of a picture: its marker, and what follows.
struct Segment<'a> {
    marker: u8,
    content: &'a [u8],
    /// Behind the head of a scan: its coded pixels.
    coded: &'a [u8],
}

/// Takes the next segment; `None` for the end.
fn segment<'a>(reader: &mut Reader<'a>) -> Result<Option<Segment<'a>>, MediaError> {
    if reader.byte()? != 0xff {
        return Err(MediaError::damaged("there is something between its segments"));
    }
    // A marker may have any number of these before it.
    let mut marker = reader.byte()?;
    while marker == 0xff {
        marker = reader.byte()?;
    }
    if marker == END {
        return Ok(None);
    }
    // 0x00 and 0x01 and restarts have no length, and no place here.
    if !(0xc0..=0xfe).contains(&marker) || (0xd0..=START).contains(&marker) {
        return Err(MediaError::damaged("it has a marker where none may be"));
    }
    let length =
        reader.u16_be()?.checked_sub(2).ok_or_else(|| MediaError::damaged("a segment has no length"))?;
    let content = reader.take(length.into())?;
    let coded = if marker == SCAN { reader.take(coded_length(reader.0))? } else { &[] };
    Ok(Some(Segment { marker, content, coded }))
}

/// Bytes until the next marker that is not part of the coded pixels.
fn coded_length(bytes: &[u8]) -> usize {
    let is_end = |pair: &[u8]| matches!(pair, [0xff, next] if *next != 0 && !(0xd0..=0xd7).contains(next));
    bytes.windows(2).position(is_end).unwrap_or(bytes.len())
}

const fn is_frame(marker: u8) -> bool {
    // 0xc4, 0xc8 and 0xcc are tables and a number that is reserved.
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)
}

/// Whether its pixels come in several rounds, so that a decoder has to keep all rounds in memory.
pub(super) fn is_progressive(bytes: &[u8]) -> bool {
    let mut reader = Reader(bytes.get(2..).unwrap_or_default());
    while let Ok(Some(segment)) = segment(&mut reader) {
        match segment.marker {
            0xc2 | 0xc6 | 0xca | 0xce => return true,
            marker if is_frame(marker) => return false,
            _ => {}
        }
    }
    // Whoever writes it so that it is not understood here gets no more memory for it.
    true
}

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, MediaError> {
    let mut reader = Reader(bytes);
    if reader.take(2)? != [0xff, START] {
        return Err(MediaError::damaged("it does not begin as a JPEG file"));
    }
    let mut orientation = Orientation::NoTransforms;
    let mut size = None;
    let mut head = Vec::new();
    let mut body = Vec::with_capacity(bytes.len());
    while let Some(Segment { marker, content, coded }) = segment(&mut reader)? {
        match marker {
            APP0 => {
                if let Some(jfif) = jfif_of(content) {
                    put(&mut head, APP0, &jfif);
                }
            }
            APP1 => {
                if let Some(exif) =
                    content.strip_prefix(EXIF).filter(|_| orientation == Orientation::NoTransforms)
                {
                    orientation = orientation_of(exif);
                }
            }
            // Without these, colours are others: which ones are meant, and how they are coded.
            APP2 if content.starts_with(PROFILE) => put(&mut body, marker, content),
            APP14 if content.starts_with(b"Adobe") => {
                put(&mut body, marker, content.get(..12).unwrap_or(content))
            }
            0xe0..=0xef | COMMENT => {}
            // Hierarchical pictures, and numbers without a meaning.
            0xde | 0xdf | 0xf0..=0xfd | 0xc8 => {
                return Err(MediaError::Unsupported {
                    doing: STRIPPING,
                    found: "a JPEG file of a rare kind",
                });
            }
            _ => {
                if is_frame(marker) && size.is_none() {
                    let mut frame = Reader(content.get(1..).unwrap_or_default());
                    let height = frame.u16_be()?;
                    size = Some((u32::from(frame.u16_be()?), u32::from(height)));
                }
                put(&mut body, marker, content);
                body.extend_from_slice(coded);
            }
        }
    }
    let (width, height) = size.ok_or_else(|| MediaError::damaged("it has no pixels"))?;
    let (width, height) = shown(orientation, width, height);
    let mut stripped = Vec::with_capacity(body.len() + head.len() + 64);
    stripped.extend_from_slice(&[0xff, START]);
    stripped.extend_from_slice(&head);
    if orientation != Orientation::NoTransforms {
        put(&mut stripped, APP1, &[EXIF, &exif_of(orientation)].concat());
    }
    stripped.extend_from_slice(&body);
    // What stands behind the end was never part of the picture.
    stripped.extend_from_slice(&[0xff, END]);
    Ok(Stripped { bytes: stripped, content_type: "image/jpeg", width, height })
}

/// The head that most files have, without the small copy of the picture that may be in it.
fn jfif_of(content: &[u8]) -> Option<Vec<u8>> {
    let numbers = content.strip_prefix(b"JFIF\0")?.get(..7)?;
    Some([b"JFIF\0", numbers, &[0, 0]].concat())
}

/// Writes a segment. What is written was read from one, or is shorter, so that its length fits.
fn put(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(content);
}
