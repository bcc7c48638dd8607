//! GIF, as blocks. Facts: CompuServe's GIF89a, sections 17 to 27; Netscape's application extension 2.0.

use super::Stripped;
use crate::MediaError;
use crate::read::Reader;

const PICTURE: u8 = 0x2c;
const EXTENSION: u8 = 0x21;
const TRAILER: u8 = 0x3b;
/// How the next picture is shown.
const CONTROL: u8 = 0xf9;
/// A text that is drawn over the picture; no program draws it today.
const PLAIN_TEXT: u8 = 0x01;
const APPLICATION: u8 = 0xff;

pub(super) fn strip(bytes: &[u8]) -> Result<Stripped, MediaError> {
    let mut reader = Reader(bytes);
    let signature = reader.take(6)?;
    if !matches!(signature, b"GIF87a" | b"GIF89a") {
        return Err(MediaError::damaged("it does not begin as a GIF file"));
    }
    let screen: [u8; 7] = reader.array()?;
    let [w0, w1, h0, h1, flags, _, _] = screen;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(signature);
    out.extend_from_slice(&screen);
    out.extend_from_slice(reader.take(table_length(flags))?);
    let mut control: &[u8] = &[];
    let mut has_pixels = false;
    loop {
        match reader.byte()? {
            TRAILER => break,
            PICTURE => {
                let place: [u8; 9] = reader.array()?;
                let [.., flags] = place;
                out.extend_from_slice(control);
                control = &[];
                out.push(PICTURE);
                out.extend_from_slice(&place);
                out.extend_from_slice(reader.take(table_length(flags))?);
                // How many bits a code has at first.
                out.push(reader.byte()?);
                out.extend_from_slice(blocks(&mut reader)?);
                has_pixels = true;
            }
            EXTENSION => {
                let label = reader.byte()?;
                let content = blocks(&mut reader)?;
                match label {
                    CONTROL => control = control_of(bytes, reader, content),
                    PLAIN_TEXT => control = &[],
                    APPLICATION => {
                        if let Some(repeat) = repeat_of(content) {
                            out.extend_from_slice(&repeat);
                        }
                    }
                    _ => {}
                }
            }
            _ => return Err(MediaError::damaged("it has a block of no known kind")),
        }
    }
    if !has_pixels {
        return Err(MediaError::damaged("it has no pixels"));
    }
    out.push(TRAILER);
    Ok(Stripped {
        bytes: out,
        content_type: "image/gif",
        width: u16::from_le_bytes([w0, w1]).into(),
        height: u16::from_le_bytes([h0, h1]).into(),
    })
}

/// Bytes of the table of colours that flags announce.
const fn table_length(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Blocks, each with its length before it, and the empty one that ends them.
fn blocks<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], MediaError> {
    let mut ahead = *reader;
    loop {
        let length = ahead.byte()?;
        if length == 0 {
            break;
        }
        ahead.take(length.into())?;
    }
    reader.take(reader.0.len() - ahead.0.len())
}

/// The whole extension that says how the next picture is shown, if it has the one form there is.
fn control_of<'a>(bytes: &'a [u8], behind: Reader<'_>, content: &[u8]) -> &'a [u8] {
    let end = bytes.len() - behind.0.len();
    match content {
        [4, _, _, _, _, 0] => bytes.get(end - content.len() - 2..end).unwrap_or_default(),
        _ => &[],
    }
}

/// How often it repeats; of other programs' additions, nothing is kept.
fn repeat_of(content: &[u8]) -> Option<Vec<u8>> {
    let name = content.get(..12)?;
    let is_known = matches!(name, b"\x0bNETSCAPE2.0" | b"\x0bANIMEXTS1.0");
    let [3, 1, low, high] = *content.get(12..16)? else { return None };
    is_known.then(|| [&[EXTENSION, APPLICATION], name, &[3, 1, low, high, 0]].concat())
}
