//! How a host is spelled: as a name, or as an address in its one plain form.
//!
//! Resolvers and libraries read `127.1`, `0x7f.1`, `2130706433`, full-width digits and more as addresses. Nothing that
//! could be read so, other than four plain decimal numbers or an IPv6 address in brackets, is taken here, so nobody
//! further down gets to interpret it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
/// The longest part of one.
const MAX_LABEL: usize = 63;

/// A host whose spelling leaves no doubt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// A name to be looked up: lower case, without a final dot.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads what a client wrote; `None` for everything that is neither.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            // Rust's parser knows no zones (`%eth0`), which would be refused anyway.
            return inside.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|v6| Self::Address(v6.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > MAX_NAME || !name.split('.').all(is_label) {
            return None;
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            // Four decimal numbers without leading zeros, or nothing (RFC 6943 section 3.1.1; WHATWG URL "ends in a number").
            return name.parse::<Ipv4Addr>().ok().map(|v4| Self::Address(v4.into()));
        }
        Some(Self::Name(name))
    }

    /// Whether it is a name of one part only: such names mean something else on every machine.
    pub(super) fn is_local_name(&self) -> bool {
        matches!(self, Self::Name(name) if !name.contains('.'))
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(allowed)
}

/// Whether the last part of a name makes resolvers take the whole for an address.
fn is_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A server that an operator lets the node pass requests on to, wherever it is: `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedServer {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// The text is not a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host and port, like `chat.example.org:443`, `192.168.1.5:8080` or `[fd00::5]:443`")]
pub struct InvalidServer(String);

impl std::str::FromStr for AllowedServer {
    type Err = InvalidServer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidServer(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = Host::parse(host).ok_or_else(invalid)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?;
        Ok(Self { host, port })
    }
}

impl TryFrom<String> for AllowedServer {
    type Error = InvalidServer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AllowedServer> for String {
    fn from(server: AllowedServer) -> Self {
        format!("{}:{}", server.host, server.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_plain_addresses_are_read() {
        let name = |text: &str| Some(Host::Name(text.to_owned()));
        let address = |text: &str| Some(Host::Address(text.parse().unwrap()));
        let cases = [
            ("example.org", name("example.org")),
            ("EXAMPLE.org.", name("example.org")),
            ("xn--bcher-kva.example", name("xn--bcher-kva.example")),
            ("a_b.example", name("a_b.example")),
            ("1.2.3.4.example", name("1.2.3.4.example")),
            ("0x7f.example", name("0x7f.example")),
            ("localhost", name("localhost")),
            ("127.0.0.1", address("127.0.0.1")),
            ("127.0.0.1.", address("127.0.0.1")),
            ("[::1]", address("::1")),
            ("[::FFFF:1.2.3.4]", address("::ffff:1.2.3.4")),
        ];
        for (text, expected) in cases {
            assert_eq!(Host::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_somebody_else_might_read_as_an_address_is_no_host() {
        let label = "a".repeat(64);
        let long = format!("{}a", "abc.".repeat(64));
        let cases = [
            "",
            ".",
            "..",
            "example..org",
            ".example.org",
            "example.org..",
            &label,
            &long,
            // Decimal, octal, hexadecimal and short forms.
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0X7F000001",
            "0x",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "127.0.0.1.1",
            "256.0.0.1",
            "1.2.3.4.5",
            "127.0.0.0x1",
            "example.1",
            "example.0x1f",
            "00.00.00.00",
            // Brackets and zones.
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[127.0.0.1]",
            "[example.org]",
            "[fe80::1%eth0]",
            "[fe80::1%25eth0]",
            "[::1]]",
            "[[::1]]",
            "[::1].",
            // Parts of a URL.
            "user@example.org",
            "user:pass@example.org",
            "example.org:443",
            "example.org/",
            "example.org?x",
            "example.org#x",
            "example.org\\x",
            "http://example.org",
            "%31%32%37.0.0.1",
            "example%2eorg",
            "example.org%00",
            // Characters that normalise to others, and such that end a line.
            "１２７.０.０.１",
            "127。0。0。1",
            "ⓛocalhost",
            "exämple.org",
            "example.org\r\nx: y",
            "exam ple.org",
            "example.org\0",
            "\u{200b}localhost",
            "127.0.0.1\u{2024}",
        ];
        for text in cases {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn allowed_servers_are_a_host_and_a_port() {
        for text in ["chat.example.org:443", "127.0.0.1:8080", "[fd00::5]:443", "localhost:1"] {
            assert_eq!(String::from(text.parse::<AllowedServer>().unwrap()), text);
        }
        for text in [
            "",
            "example.org",
            ":443",
            "example.org:",
            "example.org:0",
            "example.org:65536",
            "::1:443",
            "https://example.org:443",
            "127.1:80",
        ] {
            assert!(text.parse::<AllowedServer>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever is written: one reading, which is written in one way and read so again; and no name that a resolver could
        /// take for an address.
        #[test]
        fn a_host_has_one_spelling(text in r"[0-9a-fA-FxX.:\[\]%@lo-]{0,24}|\PC{0,12}|[0-9]{1,4}(\.[0-9]{1,4}){0,4}\.?") {
            if let Some(host) = Host::parse(&text) {
                assert_eq!(Host::parse(&host.to_string()), Some(host.clone()), "{text:?}");
                if let Host::Name(name) = host {
                    let last = name.rsplit('.').next().unwrap();
                    assert!(last.bytes().any(|byte| !byte.is_ascii_hexdigit() && byte != b'x')
                        || !(last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit())), "{text:?}");
                    assert!(name.parse::<IpAddr>().is_err(), "{text:?}");
                }
            }
        }
    }
}
