//! Addresses of community rooms, as people pass them on:
//! `https://host[:port]/[r/]room?public_key=<64 hex>`, the key also in base64 or base32z.

use std::borrow::Cow;

/// Longest room token (communities: 64 letters, digits, `-` and `_`).
const MAX_ROOM: usize = 64;

/// Longest host name (RFC 1035).
const MAX_HOST: usize = 253;

/// The address of a room, and the key of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommunityUrl {
    /// Whether the server is reached by TLS. Without `http://` or `https://`, as libsession has it: no.
    pub https: bool,
    /// Host name or address, in lowercase.
    pub host: String,
    /// The port, if it is not the scheme's own.
    pub port: Option<u16>,
    /// The room's token.
    pub room: String,
    /// The server's X25519 key: requests are sealed to it, so it is what one trusts. Not judged here;
    /// whoever seals finds out whether it can be used.
    pub public_key: [u8; 32],
}

/// Why text is no address of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommunityUrl {
    /// Something else than `http` and `https`.
    #[error("a community address begins with https:// or http://")]
    Scheme,
    /// No host, or characters a host does not have.
    #[error("the community address has no valid host")]
    Host,
    /// Not a port.
    #[error("the community address has no valid port")]
    Port,
    /// No room, or characters a room does not have.
    #[error("the community address names no valid room: letters, digits, '-' and '_'")]
    Room,
    /// No `public_key`, or not 32 bytes in one of the forms.
    #[error("the community address has no valid public_key of 64 hex digits")]
    PublicKey,
}

impl CommunityUrl {
    /// Reads an address; the scheme may be missing.
    ///
    /// # Errors
    /// Names the part that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidCommunityUrl> {
        let (https, rest) = scheme(text)?;
        let (authority, path) = rest.split_once('/').ok_or(InvalidCommunityUrl::Room)?;
        let (host, port) = host_and_port(authority, https)?;
        let (path, query) = path.split_once('?').ok_or(InvalidCommunityUrl::PublicKey)?;
        let room = path.strip_prefix("r/").unwrap_or(path);
        if !is_room(room) {
            return Err(InvalidCommunityUrl::Room);
        }
        let key = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("public_key="))
            .ok_or(InvalidCommunityUrl::PublicKey)?;
        Ok(Self {
            https,
            host,
            port,
            room: room.to_owned(),
            public_key: public_key(key).ok_or(InvalidCommunityUrl::PublicKey)?,
        })
    }

    /// Scheme, host and port: where the server is.
    pub fn server(&self) -> String {
        server(self.https, &self.host, self.port)
    }
}

/// The one spelling of a server's address, as [`CommunityUrl::server`] has it (config-and-groups 6.4).
///
/// # Errors
/// If it has a path, or a part of it is wrong.
pub fn canonical_server(address: &str) -> Result<String, InvalidCommunityUrl> {
    let (https, rest) = scheme(address)?;
    let (host, port) = host_and_port(rest.strip_suffix('/').unwrap_or(rest), https)?;
    Ok(server(https, &host, port))
}

/// Whether text can be a room's token, of either case.
pub fn is_room(text: &str) -> bool {
    let of_room = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !text.is_empty() && text.len() <= MAX_ROOM && text.bytes().all(of_room)
}

/// Whether it is https, and what stands behind the scheme.
pub(crate) fn scheme(text: &str) -> Result<(bool, &str), InvalidCommunityUrl> {
    match text.trim().split_once("://") {
        None => Ok((false, text.trim())),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((true, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((false, rest)),
        Some(_) => Err(InvalidCommunityUrl::Scheme),
    }
}

/// The host in lowercase, and the port if it is not the scheme's own.
pub(crate) fn host_and_port(
    authority: &str,
    https: bool,
) -> Result<(String, Option<u16>), InvalidCommunityUrl> {
    let (host, port) = match authority.rsplit_once(':') {
        None => (authority, None),
        Some((host, port)) => {
            let port = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
            (host, Some(port.and_then(|port| port.parse().ok()).ok_or(InvalidCommunityUrl::Port)?))
        }
    };
    let of_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    if host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(of_host) {
        return Err(InvalidCommunityUrl::Host);
    }
    Ok((host.to_ascii_lowercase(), port.filter(|port| *port != if https { 443 } else { 80 })))
}

/// A key as 64 hex digits, or as others write it too: base64 or base32z.
fn public_key(text: &str) -> Option<[u8; 32]> {
    let bytes = match text.len() {
        64 => hex::decode(text).ok(),
        43 | 44 => crate::base64::decode(text),
        52 => crate::base32z::decode(text),
        _ => None,
    };
    bytes?.try_into().ok()
}

pub(crate) fn server(https: bool, host: &str, port: Option<u16>) -> String {
    let scheme = if https { "https" } else { "http" };
    let port = port.map_or(Cow::Borrowed(""), |port| format!(":{port}").into());
    format!("{scheme}://{host}{port}")
}

impl std::fmt::Display for CommunityUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}?public_key={}", self.server(), self.room, hex::encode(self.public_key))
    }
}
