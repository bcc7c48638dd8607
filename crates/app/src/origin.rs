//! Whose page speaks to us: the checks that keep out other sites in the same browser.
//!
//! A site whose name was made to point at this machine (DNS rebinding) names itself in `Host`; a page of another origin, also
//! of another port, names itself in `Origin`, which a page cannot choose.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

/// Whether a request names this server and no other.
pub(crate) fn host_is_ours(headers: &HeaderMap, port: u16) -> bool {
    only(headers, &HOST).is_some_and(|host| is_our_host(host, port))
}

/// Whether a request comes from a page of this server.
pub(crate) fn origin_is_ours(headers: &HeaderMap, port: u16) -> bool {
    let (Some(host), Some(origin)) = (only(headers, &HOST), only(headers, &ORIGIN)) else { return false };
    is_our_host(host, port) && origin.strip_prefix("http://") == Some(host)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_our_host(host: &str, port: u16) -> bool {
    let name = match host.rsplit_once(':') {
        // Written like this and not otherwise: `080` is nobody's port.
        Some((name, given)) if given == port.to_string() => name,
        None if port == 80 => host,
        _ => return false,
    };
    matches!(name, "127.0.0.1" | "localhost")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(host: &[&str], origin: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        for origin in origin {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_names_are_ours() {
        for host in ["127.0.0.1:4711", "localhost:4711"] {
            assert!(host_is_ours(&headers(&[host], &[]), 4711), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.1:04711",
            "127.0.0.1:4711.",
            "127.0.0.2:4711",
            "evil.example:4711",
            "localhost.evil.example:4711",
            "evil.example",
            "[::1]:4711",
            "0.0.0.0:4711",
            "127.0.0.1:4711:4711",
            "LOCALHOST:4711",
            " localhost:4711",
        ] {
            assert!(!host_is_ours(&headers(&[host], &[]), 4711), "{host:?}");
        }
        assert!(!host_is_ours(&headers(&[], &[]), 4711));
        assert!(!host_is_ours(&headers(&["127.0.0.1:4711", "evil.example"], &[]), 4711), "named twice");
        assert!(host_is_ours(&headers(&["localhost"], &[]), 80));
    }

    #[test]
    fn only_our_own_page_is_our_origin() {
        let ours = |origin: &[&str]| origin_is_ours(&headers(&["127.0.0.1:4711"], origin), 4711);
        assert!(ours(&["http://127.0.0.1:4711"]));
        for origin in [
            "null",
            "",
            "https://127.0.0.1:4711",
            "http://127.0.0.1:4712",
            "http://127.0.0.1",
            "http://localhost:4711",
            "http://evil.example",
            "http://127.0.0.1:4711.evil.example",
            "http://127.0.0.1:4711/",
            "file://",
        ] {
            assert!(!ours(&[origin]), "{origin:?}");
        }
        assert!(!ours(&[]) && !ours(&["http://127.0.0.1:4711", "http://evil.example"]));
        assert!(!origin_is_ours(&headers(&["evil.example:4711"], &["http://evil.example:4711"]), 4711));
    }
}
