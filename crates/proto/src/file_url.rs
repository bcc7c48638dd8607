//! Addresses of files in messages (communities-files-push 2.5, client-messages 6.4; docs/protocol/files).

use conclave_crypto::Ed25519Public;

use crate::chunk::BlobId;
use crate::community_url::{InvalidCommunityUrl, host_and_port, scheme, server};

/// Characters of the longest address that is read: room for a long host and every known part of the fragment.
const MAX_URL: usize = 1024;
/// Characters of the longest id. (communities-files-push 2.2)
const MAX_ID: usize = 44;
/// The file server that every client knows, and its key. (client-messages 6.4)
const WELL_KNOWN_HOST: &str = "filev2.getsession.org";
const WELL_KNOWN_KEY: &str = "b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371";
/// Other hosts of those who run it: addresses of theirs without a key mean the same key, as Android has it.
const WELL_KNOWN_DOMAIN: &str = ".getsession.org";

/// Where a file is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileUrl {
    /// Whether it is asked for by https.
    pub https: bool,
    /// The host, in lowercase.
    pub host: String,
    /// The port, if it is not the scheme's own.
    pub port: Option<u16>,
    /// What the file server calls it.
    pub id: String,
    /// The file server's key; absent for the one that every client knows.
    pub key: Option<Ed25519Public>,
    /// Whether it is encrypted as a deterministic stream (client-messages 6.3).
    pub deterministic: bool,
}

/// Why text is no file's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the address of a file: http://HOST/file/ID")]
pub struct InvalidFileUrl;

impl From<InvalidCommunityUrl> for InvalidFileUrl {
    fn from(_: InvalidCommunityUrl) -> Self {
        Self
    }
}

impl FileUrl {
    /// Reads an address. Parts of the fragment that nobody knows are ignored; a key that is none counts as absent.
    ///
    /// # Errors
    /// If it names no file on a file server: a community's file has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidFileUrl> {
        if text.len() > MAX_URL || !text.contains("://") {
            return Err(InvalidFileUrl);
        }
        let (https, rest) = scheme(text)?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').ok_or(InvalidFileUrl)?;
        let (host, port) = host_and_port(authority, https)?;
        let id = path.strip_prefix("file/").or_else(|| path.strip_prefix("files/")).ok_or(InvalidFileUrl)?;
        if !is_file_id(id) {
            return Err(InvalidFileUrl);
        }
        let (mut key, mut deterministic) = (None, false);
        for part in fragment.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "p" => {
                    let mut bytes = [0; 32];
                    key = hex::decode_to_slice(value, &mut bytes)
                        .ok()
                        .and_then(|()| Ed25519Public::from_bytes(bytes).ok());
                }
                "d" => deterministic = true,
                _ => {}
            }
        }
        Ok(Self { https, host, port, id: id.to_owned(), key, deterministic })
    }

    /// The id as one of a file kept in swarms, if it is one: then it does not matter which server is named.
    pub fn blob(&self) -> Option<BlobId> {
        self.id.parse().ok()
    }

    /// Where a file is that a message names by a number alone, as programs did before addresses: at the file server that every
    /// client knows.
    pub fn of_number(number: u64) -> Self {
        Self {
            https: false,
            host: WELL_KNOWN_HOST.to_owned(),
            port: None,
            id: number.to_string(),
            key: None,
            deterministic: false,
        }
    }

    /// The id as a number, if it is one: what programs without addresses go by.
    pub fn number(&self) -> Option<u64> {
        self.id.parse().ok()
    }

    /// Whether it is one of the file servers that every client knows: their files are never kept in swarms.
    pub fn is_well_known(&self) -> bool {
        self.host.ends_with(WELL_KNOWN_DOMAIN)
    }

    /// The key of the file server: the one that is named, or else the known one's. `None` if nobody says it; nothing can be
    /// asked there then.
    pub fn server_key(&self) -> Option<Ed25519Public> {
        let known = || Ed25519Public::from_hex(WELL_KNOWN_KEY).ok().filter(|_| self.is_well_known());
        self.key.or_else(known)
    }

    /// Scheme, host and port of the file server.
    pub fn server(&self) -> String {
        server(self.https, &self.host, self.port)
    }
}

impl std::fmt::Display for FileUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/file/{}", self.server(), self.id)?;
        let key = self.key.map(|key| format!("p={}", key.to_hex()));
        let parts: Vec<String> = key.into_iter().chain(self.deterministic.then(|| "d".to_owned())).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, "#{}", parts.join("&")) }
    }
}

/// Whether text can be a file server's id: letters, digits, `-` and `_`, at most 44. (communities-files-push 2.2)
pub fn is_file_id(text: &str) -> bool {
    let of_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(of_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkHash;

    const KEY: &str = "b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371";

    #[test]
    fn addresses_of_other_clients_are_read() {
        let url = FileUrl::parse("http://filev2.getsession.org/file/1234567890").unwrap();
        assert_eq!(
            (url.id.as_str(), url.key, url.deterministic, url.blob()),
            ("1234567890", None, false, None)
        );
        assert_eq!(url.server(), "http://filev2.getsession.org");
        let url =
            FileUrl::parse(&format!("https://Files.Example:8443/files/ab_-9#d&p={KEY}&e=00&later")).unwrap();
        assert_eq!(url.server(), "https://files.example:8443");
        assert_eq!(url.key.unwrap().to_hex(), KEY);
        assert!(url.deterministic);
        assert!(FileUrl::parse("http://a.example/file/1#d=").unwrap().deterministic);
    }

    #[test]
    fn an_address_of_ours_names_the_blob_and_comes_back_from_its_text() {
        let id = BlobId::of_manifest(ChunkHash::of(b"list"));
        let text = format!("http://192.0.2.1:22100/file/{id}#p={KEY}&d");
        let url = FileUrl::parse(&text).unwrap();
        assert_eq!(url.blob(), Some(id));
        assert_eq!(url.to_string(), text);
    }

    #[test]
    fn the_file_server_that_every_client_knows_needs_no_key_and_others_do() {
        let key = |text: &str| FileUrl::parse(text).unwrap().server_key().map(|key| key.to_hex());
        assert_eq!(key("http://filev2.getsession.org/file/1").as_deref(), Some(KEY));
        assert_eq!(key("http://open.getsession.org/file/1#d").as_deref(), Some(KEY));
        let other = "3ccd241cffc9b3618044b97d036d8614593d8b017c340f1dee8773385517654b";
        assert_eq!(key(&format!("http://filev2.getsession.org/file/1#p={other}")).as_deref(), Some(other));
        for without in [
            "http://a.example/file/1",
            "http://getsession.org.example/file/1",
            "http://evilgetsession.org/file/1",
        ] {
            assert_eq!(key(without), None, "{without}");
        }
        // The same key, as requests are sealed to it.
        let x25519 = "09324794aa9c11948189762d198c618148e9136ac9582068180661208927ef34";
        assert_eq!(FileUrl::of_number(7).server_key().unwrap().to_x25519().to_hex(), x25519);
        assert_eq!(FileUrl::of_number(7).to_string(), "http://filev2.getsession.org/file/7");
        assert_eq!(
            (FileUrl::of_number(7).number(), FileUrl::parse("http://a.example/file/ab").unwrap().number()),
            (Some(7), None)
        );
    }

    #[test]
    fn what_names_no_file_is_refused() {
        for text in [
            "",
            "file/1",
            "ftp://a.example/file/1",
            "http://a.example/file/",
            "http://a.example/file/../1",
            "http://a.example/file/1/info",
            "http://a.example/room/x/file/1",
            "http://a.example/1",
            "javascript://a/file/1",
            &format!("http://a.example/file/{}", "a".repeat(45)),
            &format!("http://a.example/file/1#{}", "x".repeat(1024)),
        ] {
            assert_eq!(FileUrl::parse(text), Err(InvalidFileUrl), "{text}");
        }
    }
}
