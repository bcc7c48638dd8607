//! Addresses as network files write them.

use super::Address;

/// Address and path of an `https://` URL; `None` for anything else.
pub fn split_url(url: &str) -> Option<(Address, String)> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let address = match authority.parse() {
        Ok(address) => Address::Ip(address),
        Err(_) => {
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (authority, 443),
            };
            match host.trim_start_matches('[').trim_end_matches(']').parse() {
                Ok(ip) => Address::Ip(std::net::SocketAddr::new(ip, port)),
                Err(_) => Address::Name(host.to_owned(), port),
            }
        }
    };
    Some((address, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_into_address_and_path() {
        for (url, expected) in [
            (
                "https://127.0.0.1:8443/json_rpc",
                Some((Address::Ip("127.0.0.1:8443".parse().unwrap()), "/json_rpc")),
            ),
            ("https://192.0.2.1/x", Some((Address::Ip("192.0.2.1:443".parse().unwrap()), "/x"))),
            ("https://[2001:db8::1]:9/x", Some((Address::Ip("[2001:db8::1]:9".parse().unwrap()), "/x"))),
            (
                "https://seed.example.org:4443/json_rpc",
                Some((Address::Name("seed.example.org".into(), 4443), "/json_rpc")),
            ),
            ("https://seed.example.org", Some((Address::Name("seed.example.org".into(), 443), "/"))),
            ("http://seed.example.org/x", None),
            ("https://seed.example.org:x/", None),
        ] {
            assert_eq!(split_url(url), expected.map(|(address, path)| (address, path.to_owned())), "{url}");
        }
    }
}
