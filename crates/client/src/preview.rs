//! What a link leads to, looked up by the sender of a message (client-messages 4.4).
//!
//! Only ever when the user asks for it: whoever runs the site learns that somebody with this machine's address, or that of
//! the proxy, looks at the link. Over HTTPS with a certificate that browsers trust, and nothing else; through a SOCKS
//! proxy the proxy also looks up the name.
//!
//! A link comes from somebody, and a site can send on to anywhere: without a proxy, only addresses on the public internet are
//! asked, so that nobody reaches this machine's own servers, or those of its network, through it.

use std::net::IpAddr;
use std::time::Duration;

use conclave_transport::address::is_public;
use html5gum::{Token, Tokenizer};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

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
    /// The link, or what its site sends on to, is somewhere no stranger's link may lead.
    #[error("the link leads to {0}, which is not on the public internet")]
    NotPublic(String),
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
            Self::NotPublic(_) => {
                "send the message without a preview; through a proxy (`settings --preview-proxy`) it is the proxy that looks up names"
            }
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
    link.parse::<Uri>().ok()?.host().map(str::to_owned)
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
    let config = config(true, socks.map(proxy).transpose()?);
    let agent = match socks {
        // The proxy looks up the names; the only address asked for here is its own.
        Some(_) => ureq::Agent::new_with_config(config),
        None => agent(config, DefaultResolver::default(), is_public),
    };
    page(&agent, link)
}

fn config(https_only: bool, proxy: Option<ureq::Proxy>) -> Config {
    ureq::Agent::config_builder()
        .https_only(https_only)
        .max_redirects(MAX_REDIRECTS)
        .timeout_global(Some(PATIENCE))
        .user_agent(USER_AGENT)
        // Never what the environment says: the user would not know.
        .proxy(proxy)
        .build()
}

/// Asks only at addresses that may be dialled, also after it was sent on: every hop is looked up by the same resolver, and
/// the very address that was checked is dialled.
fn agent(config: Config, names: impl Resolver, may_dial: fn(IpAddr) -> bool) -> ureq::Agent {
    ureq::Agent::with_parts(config, DefaultConnector::default(), Checked { names, may_dial })
}

/// Gives no address of a host that has one which may not be dialled.
#[derive(Debug)]
struct Checked<R> {
    names: R,
    may_dial: fn(IpAddr) -> bool,
}

/// Why [`Checked`] gave none.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not on the public internet")]
struct Refused(String);

impl<R: Resolver> Resolver for Checked<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        if found.iter().all(|address| (self.may_dial)(address.ip())) {
            return Ok(found);
        }
        Err(ureq::Error::Other(Box::new(Refused(uri.host().unwrap_or_default().to_owned()))))
    }
}

fn page(agent: &ureq::Agent, link: &str) -> Result<LinkPreview, PreviewError> {
    let unreadable = |error: ureq::Error| match error {
        ureq::Error::Other(other) => match other.downcast::<Refused>() {
            Ok(refused) => PreviewError::NotPublic(refused.0),
            Err(other) => PreviewError::Unreadable(other.to_string()),
        },
        error => PreviewError::Unreadable(error.to_string()),
    };
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

    /// Names of a network of its own.
    #[derive(Debug)]
    struct Names(Vec<(&'static str, std::net::SocketAddr)>);

    impl Resolver for Names {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            for (_, address) in self.0.iter().filter(|(name, _)| Some(*name) == uri.host()) {
                found.push(*address);
            }
            if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
        }
    }

    /// A server that answers once, and says whether anybody asked.
    fn server(answer: String) -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (address, serving)
    }

    fn answer(status: &str, more: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn no_link_leads_to_this_machine_or_its_network() {
        let secret = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        secret.set_nonblocking(true).unwrap();
        let port = secret.local_addr().unwrap().port();
        for host in ["2130706433", "127.1", "0x7f.1"] {
            // Where a spelling is no address to the system, it is not found.
            let refused = fetch(&format!("https://{host}:{port}/"), None);
            assert!(
                matches!(&refused, Err(PreviewError::NotPublic(_) | PreviewError::Unreadable(_))),
                "{host}: {refused:?}"
            );
        }
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let refused = fetch(&format!("https://{host}:{port}/"), None);
            assert!(matches!(&refused, Err(PreviewError::NotPublic(_))), "{host}: {refused:?}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "[fd00::1]",
            "[fe80::1]",
            "224.0.0.1",
        ] {
            let refused = fetch(&format!("https://{address}/"), None);
            assert!(matches!(&refused, Err(PreviewError::NotPublic(_))), "{address}: {refused:?}");
        }
        assert!(secret.accept().is_err(), "somebody has connected");
    }

    #[test]
    fn a_name_with_one_address_inside_is_not_asked_at_its_others() {
        let outside = "93.184.215.14:443".parse().unwrap();
        let inside = "192.168.0.1:443".parse().unwrap();
        let names = Names(vec![("both.example", outside), ("both.example", inside)]);
        let refused = page(&agent(config(true, None), names, is_public), "https://both.example/");
        assert!(matches!(refused, Err(PreviewError::NotPublic(host)) if host == "both.example"));
    }

    #[test]
    fn a_site_cannot_send_on_to_where_no_link_may_lead() {
        let inside = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        inside.set_nonblocking(true).unwrap();
        let inside_at = inside.local_addr().unwrap();
        let may_dial = |address: IpAddr| address == IpAddr::from([127, 0, 0, 1]);
        let elsewhere = format!("Location: http://inside.example:{}/\r\n", inside_at.port());
        let (site, serving) = server(answer("302 Found", &elsewhere, ""));
        let names = Names(vec![("site.example", site), ("inside.example", inside_at)]);
        let link = format!("http://site.example:{}/", site.port());
        let refused = page(&agent(config(false, None), names, may_dial), &link);
        assert!(
            matches!(&refused, Err(PreviewError::NotPublic(host)) if host == "inside.example"),
            "{refused:?}"
        );
        serving.join().unwrap();
        assert!(inside.accept().is_err(), "somebody has connected");

        let (site, serving) = server(answer("200 OK", "", "<title>Here</title>"));
        let names = Names(vec![("site.example", site)]);
        let found = page(
            &agent(config(false, None), names, may_dial),
            &format!("http://site.example:{}/", site.port()),
        );
        assert_eq!(found.unwrap().title.as_deref(), Some("Here"), "where it may dial, it does");
        serving.join().unwrap();
    }

    #[test]
    fn what_is_not_https_is_not_asked_for() {
        for link in ["http://127.0.0.1:9/", "file:///etc/passwd", "ftp://127.0.0.1:9/"] {
            assert!(matches!(fetch(link, None), Err(PreviewError::Unreadable(_))), "{link}");
        }
    }
}
