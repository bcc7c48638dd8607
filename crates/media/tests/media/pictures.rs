//! Promises about pictures, kept with pictures that other programs made.

use std::io::{Cursor, Write as _};

use crate::support::{contains, sample, says_something};
use conclave_media::{MAX_PICTURE_BYTES, MediaError, preview, square, strip};
use image::metadata::Orientation;
use image::{AnimationDecoder as _, DynamicImage, ImageDecoder as _, ImageReader};

const PICTURES: [&str; 11] = [
    "gps.jpg",
    "progressive.jpg",
    "grey.jpg",
    "cmyk.jpg",
    "texts.png",
    "glass.png",
    "moving.png",
    "moving.gif",
    "gps.webp",
    "plain.webp",
    "moving.webp",
];

/// The picture as a program shows it.
fn shown(bytes: &[u8]) -> DynamicImage {
    let mut decoder =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
    let exif = decoder.exif_metadata().unwrap().unwrap_or_default();
    // One of the samples has a head before it that does not belong there.
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif);
    let orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).unwrap();
    picture.apply_orientation(orientation);
    picture
}

#[test]
fn nothing_is_left_of_place_time_camera_and_texts_and_no_pixel_is_lost() {
    for name in PICTURES {
        let whole = sample(name);
        let stripped = strip(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(says_something(&stripped.bytes), None, "{name}");
        assert!(stripped.bytes.len() <= whole.len(), "{name} became larger");
        let (before, after) = (shown(&whole), shown(&stripped.bytes));
        assert_eq!((stripped.width, stripped.height), (before.width(), before.height()), "{name}");
        assert!(before == after, "{name} is another picture");
        // There is nothing left to take out.
        assert_eq!(strip(&stripped.bytes).unwrap(), stripped, "{name}");
    }
}

#[test]
fn the_samples_say_what_the_tests_look_for() {
    for name in ["gps.jpg", "progressive.jpg", "texts.png", "moving.gif", "gps.webp", "moving.webp"] {
        assert!(says_something(&sample(name)).is_some(), "{name}");
    }
    let place = [52_u8, 0, 0, 0, 1, 0, 0, 0];
    let backwards = [0, 0, 0, 52, 0, 0, 0, 1];
    assert!(
        contains(&sample("gps.jpg"), &place) || contains(&sample("gps.jpg"), &backwards),
        "the place is in it"
    );
}

#[test]
fn a_picture_stays_upright_with_and_without_its_metadata() {
    for name in ["gps.jpg", "progressive.jpg", "texts.png", "gps.webp"] {
        let stripped = strip(&sample(name)).unwrap();
        assert_eq!((stripped.width, stripped.height), (24, 40), "{name} was taken with the camera turned");
        for bytes in [stripped.bytes.clone(), preview(&stripped.bytes, 1000).unwrap().bytes] {
            let picture = shown(&bytes).to_rgb8();
            // Turned by 90 degrees, what was above is right: red above, green below; blue is left.
            let [above, below, left] = [(20, 4), (20, 36), (3, 20)].map(|(x, y)| picture.get_pixel(x, y).0);
            assert!(
                above[0] > 150 && below[1] > 150 && left[2] > 150,
                "{name}: {above:?} {below:?} {left:?}"
            );
        }
    }
}

#[test]
fn what_moves_goes_on_moving() {
    let gif = |bytes: &[u8]| {
        image::codecs::gif::GifDecoder::new(Cursor::new(bytes.to_vec())).unwrap().into_frames().count()
    };
    let webp = |bytes: &[u8]| {
        image::codecs::webp::WebPDecoder::new(Cursor::new(bytes.to_vec())).unwrap().into_frames().count()
    };
    let png = |bytes: &[u8]| {
        let decoder = image::codecs::png::PngDecoder::new(Cursor::new(bytes.to_vec())).unwrap();
        decoder.apng().unwrap().into_frames().count()
    };
    type Count = fn(&[u8]) -> usize;
    let counts: [(&str, Count); 3] = [("moving.gif", gif), ("moving.webp", webp), ("moving.png", png)];
    for (name, count) in counts {
        let whole = sample(name);
        let stripped = strip(&whole).unwrap().bytes;
        assert_eq!((count(&whole), count(&stripped)), (2, 2), "{name}");
    }
    assert!(
        contains(&strip(&sample("moving.gif")).unwrap().bytes, b"NETSCAPE2.0\x03\x01"),
        "it repeats as before"
    );
}

#[test]
fn whatever_hangs_on_behind_the_end_is_left_behind() {
    for name in PICTURES {
        let whole = sample(name);
        let hidden = [whole.as_slice(), b"PK\x03\x04 of-a-secret", &whole].concat();
        assert_eq!(strip(&hidden).unwrap(), strip(&whole).unwrap(), "{name}");
    }
}

#[test]
fn a_small_copy_in_a_picture_is_taken_out_of_it() {
    // JFIF's own small copy, of one pixel, and EXIF's stand in the head; the head is written anew.
    let mut jpeg = sample("grey.jpg");
    assert_eq!(&jpeg[2..4], &[0xff, 0xe0]);
    let with_copy = [
        &[0xff, 0xd8, 0xff, 0xe0, 0, 19][..],
        b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc",
        &jpeg.split_off(20),
    ]
    .concat();
    let stripped = strip(&with_copy).unwrap().bytes;
    assert!(!contains(&stripped, b"abc") && contains(&stripped, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"));
}

#[test]
fn a_preview_is_small_and_never_larger_than_the_picture() {
    for name in PICTURES {
        let whole = sample(name);
        let picture = shown(&whole);
        let same = preview(&whole, 500).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((same.width, same.height), (picture.width(), picture.height()), "{name}");
        let small = preview(&whole, 10).unwrap();
        assert_eq!(small.width.max(small.height), 10, "{name}");
        let decoded = shown(&small.bytes);
        assert_eq!((decoded.width(), decoded.height()), (small.width, small.height), "{name}");
        assert_eq!(conclave_media::content_type(&small.bytes), Some(small.content_type), "{name}");
        assert_eq!(says_something(&small.bytes), None, "{name}");
        assert!(preview(&whole, 0).is_ok_and(|tiny| tiny.width == 1 && tiny.height == 1), "{name}");
    }
    assert_eq!(
        preview(&sample("glass.png"), 10).unwrap().content_type,
        "image/png",
        "something is transparent"
    );
    assert_eq!(preview(&sample("texts.png"), 10).unwrap().content_type, "image/jpeg");
}

#[test]
fn a_square_is_the_middle() {
    let cut = square(&sample("gps.jpg"), 600).unwrap();
    assert_eq!((cut.width, cut.height), (24, 24));
    assert_eq!(says_something(&cut.bytes), None);
    let small = square(&sample("gps.jpg"), 8).unwrap();
    assert_eq!((small.width, small.height), (8, 8));
}

#[test]
fn what_is_no_picture_is_called_what_it_is_whatever_its_name_says() {
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;
    let html = b"<!DOCTYPE html><html><img src=x onerror=alert(1)></html>";
    for bytes in
        [&b""[..], b"x", b"hello", svg, html, b"%PDF-1.7\n", b"\x7fELF\x02\x01\x01", &sample("tagged.mp3")]
    {
        assert!(matches!(strip(bytes), Err(MediaError::NotAPicture { .. })), "{bytes:?}");
        assert!(matches!(preview(bytes, 100), Err(MediaError::NotAPicture { .. })), "{bytes:?}");
    }
    let pdf = strip(b"%PDF-1.7\n").unwrap_err();
    assert_eq!(pdf.to_string(), "this is not a picture of a known type, but application/pdf");
    // A type whose insides this program does not know is not said to be clean.
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic";
    assert!(matches!(strip(heic), Err(MediaError::Unsupported { found: "image/heif", .. })));
}

#[test]
fn a_picture_that_was_cut_short_is_an_error_at_every_length() {
    for name in PICTURES {
        let whole = sample(name);
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(strip(cut).is_err(), "{name} of {length} bytes");
            // Decoders fill up what is missing at the end, or refuse; neither is the end of the program.
            let _ = preview(cut, 16);
        }
    }
}

/// A PNG file that says it has so many pixels, and has these bytes for them.
fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
        out.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
        let body = [&kind[..], content].concat();
        out.extend_from_slice(&body);
        out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    chunk(&mut out, b"IHDR", &head);
    chunk(&mut out, b"IDAT", pixels);
    chunk(&mut out, b"IEND", b"");
    out
}

#[test]
fn a_picture_that_would_fill_the_memory_is_refused_by_what_it_says_of_itself() {
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        deflated.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let deflated = deflated.finish().unwrap();
    let too_large = |bytes: &[u8]| matches!(preview(bytes, 100), Err(MediaError::TooLarge { .. }));
    assert!(too_large(&png(50_000, 50_000, &deflated)), "10 gigabytes");
    assert!(too_large(&png(32_000, 32_000, &deflated)), "4 gigabytes");
    assert!(too_large(&png(u32::MAX >> 1, 1, &deflated)), "one very long line");
    assert!(too_large(&png(8_000, 8_000, &deflated)), "more pixels than may be");
    assert!(preview(&png(10, 10, &deflated), 100).is_ok(), "what is not asked for is not unpacked");
    assert!(
        preview(&png(0, 10, &deflated), 100).is_err() && strip(&png(0, 10, &deflated)).is_err(),
        "no pixels"
    );
    let mut gif = sample("moving.gif");
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert!(too_large(&gif), "16 gigabytes");
    let mut jpeg = sample("progressive.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    // 32 megapixels: as one round they would do, as many rounds they take too much.
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x16, 0x00, 0x16, 0x00]);
    assert!(too_large(&jpeg), "rounds");
    let mut webp = sample("plain.webp");
    let head = webp.windows(4).position(|name| name == b"VP8L").unwrap();
    webp[head + 9..head + 13].copy_from_slice(&[0xfe, 0xbf, 0xff, 0x0f]);
    assert!(too_large(&webp), "268 megapixels");
    let whole = [sample("texts.png"), vec![0; MAX_PICTURE_BYTES]].concat();
    assert!(too_large(&whole) && matches!(strip(&whole), Err(MediaError::TooLarge { .. })));
}

#[test]
fn parts_that_nobody_knows_are_not_called_clean() {
    let unknown = |kind: &[u8; 4]| {
        let base = png(1, 1, &[]);
        let mut out = base[..33].to_vec();
        out.extend_from_slice(&6_u32.to_be_bytes());
        let body = [&kind[..], b"secret"].concat();
        out.extend_from_slice(&body);
        out.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        out.extend_from_slice(&base[33..]);
        strip(&out)
    };
    assert!(matches!(unknown(b"CgBI"), Err(MediaError::Unsupported { .. })), "it may be the pixels");
    assert!(!contains(&unknown(b"teXt").unwrap().bytes, b"secret"), "what only adds is left out");
}
