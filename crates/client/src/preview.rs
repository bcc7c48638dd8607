//! What a link leads to, looked up by the sender of a message (client-messages 4.4).
//!
//! Only ever when the user asks for it: whoever runs the site learns that somebody with this machine's address, or that of
//! the proxy, looks at the link. Over HTTPS with a certificate that browsers trust, and nothing else; through a SOCKS
//! proxy the proxy also looks up the name.

use std::time::Duration;

use html5gum::{Token, Tokenizer};

use crate::said::LinkPreview;

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// Other addresses a site may name before there is a page.
const MAX_REDIRECTS: u32 = 3;
/// How much of a page is looked at: titles stand at its beginning.
const MAX_PAGE: u64 = 512 * 1024;
/// The longest title.
const MAX_TITLE_CHARS: usize = 200;
/// What the site is told about the program that asks: as little as gets an answer.
const USER_AGENT: &str = "Mozilla/5.0 (compatible)";

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// There is nothing to look up.
    #[error("the text holds no https:// link")]
    NoLink,
    /// It is no proxy.
    #[error("{0:?} is no address of a SOCKS proxy")]
    BadProxy(String),
    /// The site, or the proxy, did not give a page.
    #[error("the link's page cannot be read: {0}")]
    Unreadable(String),
    /// There is a page, but it says nothing about itself.
    #[error("the link's page has no title")]
    NoTitle,
}

impl PreviewError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoLink => "previews are made of links that begin with https://",
            Self::BadProxy(_) => "write it like 127.0.0.1:9050",
            Self::Unreadable(_) => "send the message without a preview, or try again",
            Self::NoTitle => "send the message without a preview",
        }
    }
}

/// The first link of a text that a preview can be made of.
pub fn first_link(text: &str) -> Option<&str> {
    let at = text.find("https://")?;
    let link = text.get(at..)?.split(char::is_whitespace).next()?;
    // What ends a sentence or a bracket is rarely meant.
    let link = link.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'']);
    (link.len() > "https://".len()).then_some(link)
}

/// The host of a link, to be named when asking the user.
pub fn host(link: &str) -> Option<String> {
    link.parse::<ureq::http::Uri>().ok()?.host().map(str::to_owned)
}

/// Whether this is an address a proxy can have: `HOST:PORT`.
pub fn is_proxy(address: &str) -> bool {
    proxy(address).is_ok()
}

/// Looks up what a link leads to. Blocks.
///
/// # Errors
/// Why there is none.
pub fn fetch(link: &str, socks: Option<&str>) -> Result<LinkPreview, PreviewError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .https_only(true)
        .max_redirects(MAX_REDIRECTS)
        .timeout_global(Some(PATIENCE))
        .user_agent(USER_AGENT)
        // Never what the environment says: the user would not know.
        .proxy(socks.map(proxy).transpose()?)
        .build()
        .into();
    let unreadable = |error: ureq::Error| PreviewError::Unreadable(error.to_string());
    let mut answer = agent.get(link).call().map_err(unreadable)?;
    let page = answer.body_mut().with_config().limit(MAX_PAGE).reader();
    let title = title(page).ok_or(PreviewError::NoTitle)?;
    Ok(LinkPreview { url: link.to_owned(), title: Some(title) })
}

fn proxy(address: &str) -> Result<ureq::Proxy, PreviewError> {
    let bad = || PreviewError::BadProxy(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(plain) || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    // The `h`: names are looked up by the proxy, not by this machine.
    ureq::Proxy::new(&format!("socks5h://{address}")).map_err(|_| bad())
}

/// The title that a page gives itself for previews, else its own.
fn title(page: impl std::io::Read) -> Option<String> {
    let mut plain: Option<String> = None;
    let mut in_title = false;
    // A page that breaks off, or is longer than is read, has its title all the same.
    for token in Tokenizer::new(html5gum::IoReader::new(page)).map_while(Result::ok) {
        match token {
            Token::StartTag(tag) if tag.name == b"meta" => {
                let attribute = |name: &[u8]| {
                    tag.attributes.get(name).map(|value| String::from_utf8_lossy(&value.value).into_owned())
                };
                if attribute(b"property").or_else(|| attribute(b"name")).as_deref() == Some("og:title")
                    && let Some(title) = attribute(b"content").and_then(|title| tidy(&title))
                {
                    return Some(title);
                }
            }
            Token::StartTag(tag) if tag.name == b"title" && plain.is_none() => {
                in_title = true;
                plain = Some(String::new());
            }
            Token::EndTag(tag) if tag.name == b"title" => in_title = false,
            Token::String(text) if in_title => {
                if let Some(title) = plain.as_mut().filter(|title| title.len() < 4 * MAX_TITLE_CHARS) {
                    title.push_str(&String::from_utf8_lossy(&text));
                }
            }
            // Titles stand before it.
            Token::StartTag(tag) if tag.name == b"body" => break,
            _ => {}
        }
    }
    plain.and_then(|title| tidy(&title))
}

/// One line without characters that command a screen; `None` if nothing is left.
fn tidy(title: &str) -> Option<String> {
    let words: Vec<&str> = title.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title_of(page: &str) -> Option<String> {
        title(page.as_bytes())
    }

    #[test]
    fn links_are_found_as_people_write_them() {
        for (text, link) in [
            ("https://example.org", Some("https://example.org")),
            ("look (https://example.org/a?b=c).", Some("https://example.org/a?b=c")),
            ("see https://example.org/x, and y", Some("https://example.org/x")),
            ("http://example.org", None),
            ("https://", None),
            ("no link", None),
        ] {
            assert_eq!(first_link(text), link, "{text}");
        }
    }

    #[test]
    fn a_page_s_own_word_for_previews_wins_over_its_title() {
        let page = "<html><head><title>Plain &amp; simple</title>\
                    <meta property=\"og:title\" content=\"For previews\"></head><body></body>";
        assert_eq!(title_of(page).as_deref(), Some("For previews"));
        assert_eq!(title_of("<title>\n Plain &amp;\n simple </title>").as_deref(), Some("Plain & simple"));
        assert_eq!(title_of("<body><title>too late</title>"), None);
        assert_eq!(title_of("<title> </title>"), None);
        assert_eq!(title_of("\u{0}\u{1}binary"), None);
    }

    #[test]
    fn a_title_is_one_short_line() {
        let long = format!("<title>{}\u{1b}[2J</title>", "a ".repeat(10_000));
        let title = title_of(&long).unwrap();
        assert!(title.chars().count() <= MAX_TITLE_CHARS && !title.contains('\u{1b}'), "{title:?}");
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for good in ["127.0.0.1:9050", "localhost:1080", "[::1]:9050", "proxy.example:1"] {
            assert!(is_proxy(good), "{good}");
        }
        for bad in ["", "localhost", "localhost:", ":1080", "http://x:1", "a b:1", "x:99999", "u@h:1"] {
            assert!(!is_proxy(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_not_https_is_not_asked_for() {
        for link in ["http://127.0.0.1:9/", "file:///etc/passwd", "ftp://127.0.0.1:9/"] {
            assert!(matches!(fetch(link, None), Err(PreviewError::Unreadable(_))), "{link}");
        }
    }
}
