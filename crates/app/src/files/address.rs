//! What a request for a file asks for: `/api/files/TOKEN/…` and what stands behind it.

use conclave_client::types::MessageId;
use percent_encoding::percent_decode_str;

/// The longest text that stands behind a name in a query, in bytes as they are sent.
const MAX_VALUE: usize = 4 * 1024;
/// The largest side of a picture that is asked for, in pixels.
pub(super) const LARGEST_PREVIEW: u32 = 2_560;

/// The length of an account id's text.
const ACCOUNT: usize = 66;
/// The length of what tells a profile picture from others.
const MARK: usize = 16;

/// Where the files of a page are.
pub(crate) const PREFIX: &str = "/api/files/";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// To take in a file: `upload`.
    Upload,
    /// To take in a picture, the account's own: `picture`.
    Picture,
    /// A picture of a file in the tray: `tray/ID`.
    Tray(String),
    /// The profile picture of somebody: `face/ACCOUNT-MARK`. The mark is another one for each picture, so that a browser may keep what
    /// it got.
    Face(String),
    /// A file of a message: `MESSAGE/PLACE`.
    File(MessageId, u32),
}

/// The token of a path and what it asks for. `None` if it is no such path.
pub(super) fn read(path: &str) -> Option<(&str, Address)> {
    let mut parts = path.strip_prefix(PREFIX)?.split('/');
    let (token, first, second) = (parts.next()?, parts.next()?, parts.next());
    let is_all = parts.next().is_none();
    let address = match (first, second) {
        ("upload", None) => Address::Upload,
        ("picture", None) => Address::Picture,
        ("tray", Some(id)) if !id.is_empty() && id.len() <= 64 => Address::Tray(id.to_owned()),
        ("face", Some(name)) => {
            let (account, mark) = name.split_once('-')?;
            (is_account(account) && is_hex(mark, MARK)).then(|| Address::Face(account.to_owned()))?
        }
        (message, Some(place)) => {
            // As it is written and no other way: `+1` and `01` are nobody's.
            let number = place.parse().ok().filter(|number: &u32| number.to_string() == place)?;
            Address::File(MessageId::parse(message)?, number)
        }
        _ => return None,
    };
    is_all.then_some((token, address))
}

/// Whether it is the text of an account id.
pub(super) fn is_account(text: &str) -> bool {
    is_hex(text, ACCOUNT)
}

/// Whether it is so many hex digits, as they are written here.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// How the content of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// To be kept by the browser.
    Save,
    /// To be played, if it is a sound or a video.
    Play,
    /// How long a sound is, and how loud along its way.
    Sound,
    /// As a picture of at most so many pixels a side.
    Preview(u32),
}

impl Form {
    /// Of a query; `None` if it says something else.
    pub(super) fn of(query: Option<&str>) -> Option<Self> {
        match query {
            None | Some("save") => Some(Self::Save),
            Some("play") => Some(Self::Play),
            Some("sound") => Some(Self::Sound),
            Some(query) => {
                let side = query.strip_prefix("preview=")?.parse().ok()?;
                (1..=LARGEST_PREVIEW).contains(&side).then_some(Self::Preview(side))
            }
        }
    }
}

/// The text behind a name in a query; `None` if it is not there, not UTF-8, or too long.
pub(super) fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, text) = pairs.find(|(found, text)| *found == name && text.len() <= MAX_VALUE)?;
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_are_written_in_the_one_way_are_read() {
        let id = "0123456789abcdef0123456789abcdef";
        let file = |place| Some(("T", Address::File(MessageId::parse(id).unwrap(), place)));
        assert_eq!(read(&format!("/api/files/T/{id}/0")), file(0));
        assert_eq!(read(&format!("/api/files/T/{id}/31")), file(31));
        assert_eq!(read("/api/files/T/upload"), Some(("T", Address::Upload)));
        assert_eq!(read("/api/files/T/picture"), Some(("T", Address::Picture)));
        assert_eq!(read("/api/files/T/tray/abc"), Some(("T", Address::Tray("abc".to_owned()))));
        let account = format!("05{}", "ab".repeat(32));
        let face = format!("/api/files/T/face/{account}-0123456789abcdef");
        assert_eq!(read(&face), Some(("T", Address::Face(account.clone()))));
        assert_eq!(read(&format!("/api/files/T/face/{account}")), None);
        assert_eq!(read(&face.to_uppercase().replace("/API/FILES/T/FACE", "/api/files/T/face")), None);
        for path in [
            "/api/files/",
            "/api/files/T",
            "/api/files/T/",
            "/api/files/T/other",
            "/api/files/T/upload/x",
            "/api/files/T/picture/x",
            "/api/files/T/tray/",
            "/api/files/T/tray/a/b",
            "/api/files/T/../../etc/passwd",
            &format!("/api/files/T/{id}"),
            &format!("/api/files/T/{id}/"),
            &format!("/api/files/T/{id}/-1"),
            &format!("/api/files/T/{id}/01"),
            &format!("/api/files/T/{id}/+1"),
            &format!("/api/files/T/{id}/1/x"),
            &format!("/api/files/T/{}/1", id.to_uppercase()),
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn a_form_is_one_of_four() {
        assert_eq!(Form::of(None), Some(Form::Save));
        assert_eq!(Form::of(Some("play")), Some(Form::Play));
        assert_eq!(Form::of(Some("sound")), Some(Form::Sound));
        assert_eq!(Form::of(Some("preview=512")), Some(Form::Preview(512)));
        for other in
            ["", "preview", "preview=", "preview=0", "preview=2561", "preview=-1", "inline", "play=1"]
        {
            assert_eq!(Form::of(Some(other)), None, "{other}");
        }
    }

    #[test]
    fn a_value_is_text_and_bounded() {
        assert_eq!(value("a=1&name=%C3%A4%20b%2F", "name").as_deref(), Some("ä b/"));
        assert_eq!(value("name=%FF", "name"), None);
        assert_eq!(value("named=x", "name"), None);
        assert_eq!(value(&format!("name={}", "x".repeat(5_000)), "name"), None);
    }
}
