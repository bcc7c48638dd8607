//! Files in messages: what everybody sees of them, what only those who take large ones do, and what only one's own devices do
//! (docs/protocol/files).

use conclave_crypto::{CryptoRngCore, Ed25519Secret};
use conclave_proto::content::{AttachmentPointer, ConclaveExtension, Content, conclave_extension};
use conclave_proto::file_url::FileUrl;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{File, MAX_ATTACHMENTS, Pointer};

/// Bytes of the largest file that other programs take. Of larger ones they get a text that names them.
pub(crate) const OTHERS_TAKE: u64 = 10_000_000;
/// Files that such a text names; of more it says how many.
const NAMED: usize = 8;
/// Characters of a name in such a text.
const MAX_NAME: usize = 100;

/// The secret of a file that was sent from this account, made for it alone: whoever has it may delete the file's chunks.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// Another one each time: a file that was deleted and is sent once more has to live.
    pub fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    /// The key pair.
    pub fn secret(&self) -> Ed25519Secret {
        Ed25519Secret::from_seed(&self.0)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of_bytes(bytes: Vec<u8>) -> Option<Self> {
        Zeroizing::new(bytes).as_slice().try_into().ok().map(Self)
    }
}

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(hidden)")
    }
}

/// What a message says of its files.
pub(super) struct Written {
    /// For everybody.
    pub(super) attachments: Vec<AttachmentPointer>,
    /// Those that others could not fetch.
    pub(super) large: Vec<conclave_extension::LargeFile>,
    /// What stands behind the text, for others.
    pub(super) for_others: String,
}

/// Divides files into those that everybody takes and the others, which are named behind a text.
pub(super) fn write(files: &[(File, Pointer)], has_text: bool) -> Written {
    let (mut attachments, mut large, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (file, pointer)) in (0_u32..).zip(files) {
        if file.size > OTHERS_TAKE {
            large.push(conclave_extension::LargeFile { place, file: pointer.to_content(file) });
            named.push(file);
        } else {
            attachments.push(pointer.to_content(file));
        }
    }
    let mut for_others = String::new();
    if !named.is_empty() {
        let mut lines: Vec<String> = named.iter().take(NAMED).map(|file| line_for_others(file)).collect();
        if named.len() > NAMED {
            lines.push(format!("[and {} more]", named.len().saturating_sub(NAMED)));
        }
        for_others = format!("{}{}", if has_text { "\n\n" } else { "" }, lines.join("\n"));
    }
    Written { attachments, large, for_others }
}

/// What others read of a file that they could not fetch.
fn line_for_others(file: &File) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    let name: String =
        file.name.as_deref().unwrap_or_default().chars().filter(|c| !odd(*c)).take(MAX_NAME).collect();
    let name = if name.trim().is_empty() { "a file" } else { name.trim() };
    let tenths = file.size.div_ceil(100_000);
    format!("[{name}, {}.{} MB: too large for this app]", tenths / 10, tenths % 10)
}

/// The text of a message for those who see its large files.
pub(super) fn own_part<'a>(body: &'a str, extension: Option<&ConclaveExtension>) -> &'a str {
    let Some(extension) = extension.filter(|ours| !ours.large_files.is_empty()) else { return body };
    let suffix = usize::try_from(extension.for_others()).unwrap_or(usize::MAX);
    body.len().checked_sub(suffix).and_then(|end| body.get(..end)).unwrap_or(body)
}

/// All files of a message in their order. `None` if they are too many.
pub(super) fn read<'a>(
    attachments: &'a [AttachmentPointer],
    extension: Option<&'a ConclaveExtension>,
) -> Option<Vec<&'a AttachmentPointer>> {
    let large = extension.map_or(&[][..], |ours| &ours.large_files);
    let total = attachments.len().saturating_add(large.len());
    if total > MAX_ATTACHMENTS {
        return None;
    }
    let mut places: Vec<Option<&AttachmentPointer>> = vec![None; total];
    // Those that claim a place that is none, or is taken, come where there is one.
    let mut strays = Vec::new();
    for large in large {
        match usize::try_from(large.place).ok().and_then(|place| places.get_mut(place)) {
            Some(place @ None) => *place = Some(&large.file),
            _ => strays.push(&large.file),
        }
    }
    let mut others = attachments.iter().chain(strays);
    Some(places.into_iter().filter_map(|place| place.or_else(|| others.next())).collect())
}

/// A serialized `Content` with another address for one of its files. `None` if it has no such file.
pub(crate) fn with_file_url(content: &[u8], place: u32, url: &str) -> Option<Vec<u8>> {
    let mut content = Content::from_bytes(content).ok()?;
    let large = content.conclave.as_mut().map_or(&mut [][..], |ours| &mut ours.large_files);
    let before = large.iter().filter(|large| large.place < place).count();
    let pointer = match large.iter_mut().find(|large| large.place == place) {
        Some(large) => &mut large.file,
        None => {
            let at = usize::try_from(place).ok()?.checked_sub(before)?;
            content.data_message.as_mut()?.attachments.get_mut(at)?
        }
    };
    pointer.url = Some(url.to_owned());
    pointer.id = number_of(Some(url));
    Some(content.to_bytes())
}

/// A serialized `Content` for one's own devices, with what deletes its files. `None` if it cannot be read.
pub(crate) fn with_file_keys(content: &[u8], keys: &[(u32, FileKey)]) -> Option<Vec<u8>> {
    let mut content = Content::from_bytes(content).ok()?;
    let key = |(place, key): &(u32, FileKey)| conclave_extension::FileKey {
        place: *place,
        seed: key.as_bytes().to_vec(),
    };
    content.conclave.get_or_insert_default().file_keys = keys.iter().map(key).collect();
    Some(content.to_bytes())
}

/// What deletes the files of a message, as one's own device says.
pub(super) fn keys_in(extension: Option<&ConclaveExtension>) -> Vec<(u32, FileKey)> {
    let said = extension.map_or(&[][..], |ours| &ours.file_keys);
    let keys = said.iter().take(MAX_ATTACHMENTS);
    keys.filter_map(|key| Some((key.place, FileKey::of_bytes(key.seed.clone())?))).collect()
}

/// The number that programs without addresses go by; 0 for none. (client-messages 2.5)
pub(super) fn number_of(url: Option<&str>) -> u64 {
    url.and_then(|url| FileUrl::parse(url).ok()?.number()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::{Said, Speech};
    use conclave_proto::Timestamp;
    use conclave_proto::content::Expiration;

    const NOW: Timestamp = Timestamp(1_700_000_000_123);

    fn file(name: &str, size: u64) -> (File, Pointer) {
        let file = File { name: Some(name.to_owned()), size, ..File::default() };
        let url = format!("http://a.example/file/{name}");
        (file, Pointer { url: Some(url), key: vec![size as u8; 32], digest: None })
    }

    fn content(text: &str, files: &[(File, Pointer)]) -> Content {
        let speech = Speech::Post { text, quote: None, preview: None, invitation: None, files };
        speech.content(NOW, Expiration::Off, None, false)
    }

    fn shown(content: &Content) -> (String, Vec<String>) {
        match Said::read(&Content::from_bytes(&content.to_bytes()).unwrap(), NOW) {
            Said::Post(post) => {
                let names = post.details.files.iter().map(|file| file.name.clone().unwrap()).collect();
                assert_eq!(post.details.files.len(), post.pointers.len());
                (post.text, names)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn others_read_of_a_large_file_what_it_is_called_and_how_large_it_is_and_we_see_the_file_and_nothing_twice()
     {
        let files = [file("film", 30_000_000), file("notes", 10_000_000), file("disk", 10_000_001)];
        for text in ["look at this", ""] {
            let content = content(text, &files);
            // What programs see that know no field of ours.
            let theirs = content.data_message.as_ref().unwrap();
            let body = theirs.body.as_deref().unwrap();
            assert!(body.starts_with(text), "{body}");
            let lines: Vec<&str> = body.lines().rev().take(2).collect();
            assert_eq!(
                lines,
                ["[disk, 10.1 MB: too large for this app]", "[film, 30.0 MB: too large for this app]"]
            );
            let names: Vec<_> = theirs.attachments.iter().map(|file| file.file_name.as_deref()).collect();
            assert_eq!(names, [Some("notes")], "what they cannot fetch they do not try to");
            assert_eq!(
                shown(&content),
                (text.to_owned(), vec!["film".into(), "notes".into(), "disk".into()])
            );
        }
        let small = content("hi", &[file("a", 10_000_000)]);
        assert_eq!((small.data_message.unwrap().body.as_deref(), small.conclave), (Some("hi"), None));
    }

    #[test]
    fn the_text_for_others_is_short_however_many_files_there_are_and_a_name_forges_no_line() {
        let mut files: Vec<_> =
            (0..32).map(|n| file(&format!("{n}-{}", "x".repeat(255)), 20_000_000)).collect();
        files[0].0.name = Some("a\n\u{202e}b: too large]\n[c".to_owned());
        files[1].0.name = None;
        let content = content("", &files);
        let body = content.data_message.as_ref().unwrap().body.clone().unwrap();
        assert_eq!(body.lines().count(), 9);
        assert!(body.len() < 2_000 && body.ends_with("[and 24 more]"), "{body}");
        assert!(
            body.starts_with("[ab: too large][c, 20.0 MB") && body.contains("[a file, 20.0 MB"),
            "{body}"
        );
        let mut named = files.clone();
        named[1].0.name = Some("1".to_owned());
        assert_eq!(shown(&self::content("", &named)).1.len(), 32);
    }

    #[test]
    fn a_sender_who_says_nonsense_of_places_and_lengths_hides_no_file_and_breaks_no_text() {
        let mut content = content("é", &[file("a", 1), file("b", 20_000_000), file("c", 20_000_000)]);
        for (places, for_others) in [([0, 0], 1_000_000), ([7, 7], 0), ([2, 1], u32::MAX), ([1, 0], 1)] {
            let ours = content.conclave.as_mut().unwrap();
            for (large, place) in ours.large_files.iter_mut().zip(places) {
                large.place = place;
            }
            ours.for_others = Some(for_others);
            let (text, mut names) = shown(&content);
            names.sort();
            assert_eq!(names, ["a", "b", "c"]);
            assert!(text.starts_with('é'));
        }
        // Nothing is cut off a text that stands for no file.
        content.conclave.as_mut().unwrap().large_files.clear();
        content.conclave.as_mut().unwrap().for_others = Some(1);
        assert!(shown(&content).0.ends_with("app]"));
        let many: Vec<_> = (0..33).map(|_| file("x", 20_000_000)).collect();
        let content = self::content("", &many);
        assert!(matches!(Said::read(&content, NOW), Said::Unknown), "as of other files");
    }

    #[test]
    fn the_address_of_each_file_can_be_told_later() {
        let content = content("", &[file("a", 1), file("b", 20_000_000), file("c", 1)]).to_bytes();
        let content = with_file_url(&content, 2, "http://a.example/file/77").unwrap();
        let content = with_file_url(&content, 1, "http://a.example/file/88").unwrap();
        assert_eq!(with_file_url(&content, 3, "http://a.example/file/9"), None);
        let content = Content::from_bytes(&content).unwrap();
        let Said::Post(post) = Said::read(&content, NOW) else { panic!("no post") };
        let urls: Vec<_> = post.pointers.iter().map(|pointer| pointer.url.clone().unwrap()).collect();
        assert_eq!(urls, ["http://a.example/file/a", "http://a.example/file/88", "http://a.example/file/77"]);
        assert_eq!(content.data_message.unwrap().attachments[1].id, 77);
    }
}
