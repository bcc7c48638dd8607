//! What other programs made; see `samples/make`.

use std::path::PathBuf;

pub fn sample(name: &str) -> Vec<u8> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples")).unwrap();
    let mut names: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "make")
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), sample(&name))).collect()
}

pub fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Whether anything is left of what the samples say of whoever made them: words, places as EXIF writes them, and the marks that
/// such things begin with.
pub fn says_something(bytes: &[u8]) -> Option<&'static str> {
    let words: [(&'static str, &[u8]); 9] = [
        ("a word", b"of-a-secret"),
        ("a word of two bytes a letter", b"o\0f\0-\0a\0-\0s\0e\0c\0r\0e\0t\0"),
        ("GPS, 52 and 30 with the low byte first", &[52, 0, 0, 0, 1, 0, 0, 0, 30, 0, 0, 0, 1, 0, 0, 0]),
        ("GPS, 52 and 30 with the high byte first", &[0, 0, 0, 52, 0, 0, 0, 1, 0, 0, 0, 30, 0, 0, 0, 1]),
        ("a date", b"2026:11:29"),
        ("a date", b"2026-11-29"),
        ("XMP", b"xmpmeta"),
        ("a tag", b"ID3"),
        ("a tag", b"TAG"),
    ];
    words.iter().find(|(_, word)| contains(bytes, word)).map(|(name, _)| *name)
}
