//! The page itself: files built into the program, and what goes with each of them.
//!
//! A file is found by its exact name in a table, so no path leads out of it. Without the page (built without Node.js) there is
//! one small file that says so.

use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};

/// A file of the page.
pub(crate) struct Asset {
    /// `/assets/index-….js`
    path: &'static str,
    content_type: &'static str,
    /// Its name changes with its content, so that a browser may keep it.
    hashed: bool,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Nothing but this server's own files, no inline script or style, no frame around us, no string that becomes script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; font-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Why the program has no page; `None` if it has one.
pub fn missing() -> Option<&'static str> {
    MISSING
}

/// Bytes of the page as they go to a browser that takes the best compression, without `except`.
pub fn compressed_size(except: fn(&str) -> bool) -> usize {
    let sent = |asset: &Asset| asset.brotli.or(asset.gzip).unwrap_or(asset.plain).len();
    ASSETS.iter().filter(|asset| !except(asset.path)).map(sent).sum()
}

/// A file as it is answered.
pub(crate) struct Found {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The file of a path, in a form the browser takes.
pub(crate) fn find(path: &str, request: &HeaderMap) -> Option<Found> {
    let path = if path == "/" { "/index.html" } else { path };
    if let (Some(reason), "/index.html") = (MISSING, path) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        return Some(Found { headers, body: Bytes::from(without_page(reason)) });
    }
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if asset.hashed {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    }
    let taken = |encoding: &str| takes(request, encoding);
    let (encoding, body) = match (asset.brotli, asset.gzip) {
        (Some(brotli), _) if taken("br") => (Some("br"), brotli),
        (_, Some(gzip)) if taken("gzip") => (Some("gzip"), gzip),
        _ => (None, asset.plain),
    };
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(Found { headers, body: Bytes::from_static(body) })
}

/// What every answer carries, whatever it is.
pub(crate) fn guard(headers: &mut HeaderMap) {
    let always = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What comes with files is stricter.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn takes(request: &HeaderMap, encoding: &str) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut offers = values.flat_map(|value| value.split(','));
    offers.any(|offer| {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn without_page(reason: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Conclave</title>\n\
         <h1>Built without the page</h1>\n<p>{reason}</p>\n\
         <p>The commands work: <code>conclave --help</code>.</p></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(encodings: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(encodings).unwrap())])
    }

    #[test]
    fn only_names_in_the_table_are_found() {
        for path in
            ["/..", "/../Cargo.toml", "/assets/../index.html", "/%2e%2e/etc/passwd", "//index.html", "", "/x"]
        {
            assert!(find(path, &HeaderMap::new()).is_none(), "{path}");
        }
        let page = find("/", &HeaderMap::new()).unwrap();
        assert_eq!(page.headers.get(CONTENT_TYPE).unwrap(), "text/html; charset=utf-8");
        assert!(
            page.headers.get(CACHE_CONTROL).is_none(),
            "the first file names the others and is never kept"
        );
    }

    #[test]
    fn a_browser_gets_only_encodings_it_takes() {
        assert!(takes(&accepting("gzip, deflate, br"), "br"));
        assert!(takes(&accepting("GZIP;q=0.5"), "gzip"));
        for refused in ["", "gzip", "br;q=0", "bro", "*"] {
            assert!(!takes(&accepting(refused), "br"), "{refused}");
        }
    }

    #[test]
    fn the_page_is_small() {
        // Emoji names come later, in a file of their own.
        let size = compressed_size(|path| path.contains("emoji"));
        assert!(size <= 200_000, "{size} bytes");
    }

    #[test]
    fn what_is_built_in_needs_nothing_inline() {
        for asset in ASSETS.iter().filter(|asset| asset.content_type.starts_with("text/html")) {
            let text = std::str::from_utf8(asset.plain).unwrap();
            assert!(!text.contains("style=") && !text.contains("<style"), "{}", asset.path);
            let scripts: Vec<_> = text.match_indices("<script").map(|(at, _)| &text[at..]).collect();
            for script in scripts {
                let (tag, rest) = script.split_once('>').unwrap();
                assert!(tag.contains("src=") && rest.starts_with("</script>"), "{tag}");
            }
        }
    }
}
