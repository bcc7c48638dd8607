//! Pictures: small copies of them, and themselves without what they say of whoever took them.

mod gif;
mod jpeg;
mod png;
mod webp;

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::guard::guarded;
use crate::{MAX_MEMORY, MAX_PICTURE_BYTES, MAX_PIXELS, MAX_SIDE, MediaError, content_type};

/// Of 100; where people see no difference at the size of a preview.
const PREVIEW_QUALITY: u8 = 82;

/// What is not done with pictures that are not known wholly.
const STRIPPING: &str = "taking out what it says of who took it";

/// A small copy of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The picture, with nothing beside its pixels.
    pub bytes: Vec<u8>,
    /// `image/jpeg`, or `image/png` where something is transparent.
    pub content_type: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A picture without what it said of whoever took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// The picture.
    pub bytes: Vec<u8>,
    /// Its MIME type, as [`content_type`] says it.
    pub content_type: &'static str,
    /// Pixels, as it is shown.
    pub width: u32,
    /// Pixels, as it is shown.
    pub height: u32,
}

/// A copy of a picture whose longest side is at most so many pixels, never larger than the picture; of one that moves, its first
/// frame. It is upright, whatever the camera's position, and has nothing beside its pixels.
///
/// # Errors
/// [`MediaError`]: the bytes are no picture, or damaged, or a limit of this crate stands against it.
pub fn preview(bytes: &[u8], longest_side: u32) -> Result<Preview, MediaError> {
    let picture = decode(bytes)?;
    let side = longest_side.max(1);
    let small = if picture.width() > side || picture.height() > side {
        picture.thumbnail(side, side)
    } else {
        picture
    };
    encode(small)
}

/// The middle of a picture, as a square of at most so many pixels a side; otherwise as [`preview`].
///
/// # Errors
/// As [`preview`].
pub fn square(bytes: &[u8], side: u32) -> Result<Preview, MediaError> {
    let picture = decode(bytes)?;
    let (width, height) = (picture.width(), picture.height());
    let edge = width.min(height);
    let middle = picture.crop_imm((width - edge) / 2, (height - edge) / 2, edge, edge);
    let side = side.clamp(1, edge.max(1));
    encode(if edge > side { middle.thumbnail_exact(side, side) } else { middle })
}

/// Takes out of a picture all that is not needed to show it: where and when and with what it was taken (EXIF, XMP, IPTC), comments
/// and texts, smaller copies of it, further pictures and films behind its end. Pixels are copied as they are, so that nothing is
/// lost; what moves goes on moving. What stays beside pixels: which way is up, the profile of its colours, how often it repeats.
///
/// # Errors
/// [`MediaError::NotAPicture`]; [`MediaError::Unsupported`] for types, or parts of a type, that this program does not know all of,
/// so that it could not promise anything; [`MediaError::Damaged`]; [`MediaError::TooLarge`].
pub fn strip(bytes: &[u8]) -> Result<Stripped, MediaError> {
    MediaError::within("bytes", bytes.len() as u64, MAX_PICTURE_BYTES as u64)?;
    let stripped = match format_of(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::strip(bytes),
        Ok(ImageFormat::Png) => png::strip(bytes),
        Ok(ImageFormat::Gif) => gif::strip(bytes),
        Ok(ImageFormat::WebP) => webp::strip(bytes),
        Ok(_) => Err(MediaError::NotAPicture { found: None }),
        Err(MediaError::NotAPicture { found: Some(found) }) if found.starts_with("image/") => {
            Err(MediaError::Unsupported { doing: STRIPPING, found })
        }
        Err(other) => Err(other),
    }?;
    if stripped.width == 0 || stripped.height == 0 {
        return Err(MediaError::damaged("it has no pixels"));
    }
    Ok(stripped)
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat, MediaError> {
    match content_type(bytes) {
        Some("image/jpeg") => Ok(ImageFormat::Jpeg),
        Some("image/png") => Ok(ImageFormat::Png),
        Some("image/gif") => Ok(ImageFormat::Gif),
        Some("image/webp") => Ok(ImageFormat::WebP),
        found => Err(MediaError::NotAPicture { found }),
    }
}

/// Decodes a picture and turns it upright.
fn decode(bytes: &[u8]) -> Result<DynamicImage, MediaError> {
    MediaError::within("bytes", bytes.len() as u64, MAX_PICTURE_BYTES as u64)?;
    let format = format_of(bytes)?;
    guarded(|| {
        let mut limits = Limits::default();
        limits.max_image_width = Some(MAX_SIDE);
        limits.max_image_height = Some(MAX_SIDE);
        limits.max_alloc = Some(MAX_MEMORY);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(refusal)?;
        let (width, height) = decoder.dimensions();
        MediaError::within("pixels on a side", width.max(height).into(), MAX_SIDE.into())?;
        let pixels = u64::from(width) * u64::from(height);
        MediaError::within("pixels", pixels, MAX_PIXELS)?;
        let memory = decoder.total_bytes().saturating_add(pixels * beside_pixels(format, bytes));
        MediaError::within("bytes when it is decoded", memory, MAX_MEMORY)?;
        if pixels == 0 {
            return Err(MediaError::damaged("it has no pixels"));
        }
        let exif = decoder.exif_metadata().ok().flatten();
        let orientation = exif.map_or(Orientation::NoTransforms, |exif| orientation_of(&exif));
        let mut picture = DynamicImage::from_decoder(decoder).map_err(refusal)?;
        picture.apply_orientation(orientation);
        Ok(picture)
    })
}

/// Bytes of memory for each pixel that a decoder takes beside what it decodes to.
fn beside_pixels(format: ImageFormat, bytes: &[u8]) -> u64 {
    match format {
        // Coefficients of up to four colours, which are all there before the first pixel is.
        ImageFormat::Jpeg if jpeg::is_progressive(bytes) => 8,
        ImageFormat::Gif | ImageFormat::WebP => 4,
        _ => 0,
    }
}

fn refusal(error: ImageError) -> MediaError {
    match error {
        ImageError::Limits(_) => MediaError::TooLarge {
            of: "bytes when it is decoded, or more",
            is: MAX_MEMORY,
            limit: MAX_MEMORY,
        },
        other => MediaError::Damaged(other.to_string().chars().take(200).collect()),
    }
}

fn encode(picture: DynamicImage) -> Result<Preview, MediaError> {
    let (width, height) = (picture.width(), picture.height());
    let mut bytes = Vec::new();
    let is_opaque =
        !picture.color().has_alpha() || picture.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX);
    let written = if is_opaque {
        picture.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, PREVIEW_QUALITY))
    } else {
        picture.to_rgba8().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
    };
    written.map_err(refusal)?;
    let content_type = if is_opaque { "image/jpeg" } else { "image/png" };
    Ok(Preview { bytes, content_type, width, height })
}

/// Which way is up, by a picture's EXIF. What it says otherwise is not read. It begins as in a JPEG file in some others too.
fn orientation_of(exif: &[u8]) -> Orientation {
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
        .unwrap_or(Orientation::NoTransforms)
}

/// EXIF that says which way is up and nothing else: a TIFF file of one number. (TIFF 6.0, section 2; EXIF 2.3, 4.6.4)
fn exif_of(orientation: Orientation) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation.to_exif(), 0, 0, 0, 0, 0, 0, 0]);
    exif
}

/// Width and height as they are shown.
const fn shown(orientation: Orientation, width: u32, height: u32) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    }
}
