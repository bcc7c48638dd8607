//! Passing requests on to servers (storage-and-onion 6.4): the one place where a stranger makes this node dial.
//!
//! A client must not be able to use the node's place in the network: what is behind its firewall, on its machine or in
//! its cloud. So a host has one spelling ([`host`]); a name is looked up once, *every* address it has must be public
//! ([`conclave_transport::address`]), and the very address that was checked is dialled. Redirections are handed back like any other answer.
//! What an operator lists in `proxy_allow` is exempt, by host and port.
//!
//! The module knows nothing of onion layers: it gets a body and gives what the server said.

mod host;
mod resolve;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conclave_onion::peel::ServerTarget;
use conclave_transport::Deadline;
use conclave_transport::address::is_public;
use conclave_transport::http::{HeaderMap, HeaderName, HeaderValue};
use conclave_transport::https::{Address, Authorities, Client, Error, Post, Response, Target, Trust};
use tokio::sync::Semaphore;

pub use host::{AllowedServer, InvalidServer};
pub use resolve::{Resolved, Resolver, SystemResolver};

use host::Host;

/// How long a server may take, from looking its name up to the last byte of its answer. (storage-and-onion 6.4)
const TIMEOUT: Duration = Duration::from_secs(25);
/// Requests on their way at once. A slow server holds each for the whole time it has.
const PLACES: usize = 1_024;
/// Of these for one server: one that is slow, or attacked through this network, must not take them all.
const PLACES_PER_SERVER: usize = 128;
/// Bytes of answers in memory at once: twenty-five of the longest.
const ROOM: usize = 256 * 1024 * 1024;
/// Addresses of a name that are tried one after the other, when nobody listens at the first.
const TRIES: usize = 3;
/// Headers that belong to the connection to the server and not to its answer (RFC 9110 section 7.6.1).
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a request was not passed on, or nothing came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The server is none that requests are passed on to. Told to the client sealed.
    #[error("Invalid url")]
    NotAllowed,
    /// The operator has switched it off.
    #[error("this node does not pass requests on to servers")]
    Off,
    /// Too much to do.
    #[error("Server busy, try again later")]
    Busy,
    /// The name has no address.
    #[error("the server's name could not be looked up")]
    NoAddress,
    /// The server was too slow.
    #[error("the server did not answer in time")]
    Timeout,
    /// Something else went wrong between the server and us.
    #[error("{0}")]
    Transport(Error),
}

impl Refused {
    /// The status it is told with.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::NotAllowed => 400,
            Self::Busy => 503,
            Self::Off | Self::NoAddress | Self::Transport(_) => 502,
            Self::Timeout => 504,
        }
    }
}

/// What an operator has decided about it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether at all.
    pub(crate) on: bool,
    /// Servers that may be anywhere.
    pub(crate) allowed: Vec<AllowedServer>,
    /// Whose certificates are believed.
    pub(crate) authorities: Authorities,
    /// As what the node shows itself.
    pub(crate) user_agent: HeaderValue,
    /// The longest answer, in bytes.
    pub(crate) max_response: usize,
}

/// Passes requests on.
pub(crate) struct Proxy {
    on: bool,
    allowed: HashSet<AllowedServer>,
    client: Client,
    resolver: Arc<dyn Resolver>,
    headers: HeaderMap,
    max_response: usize,
    places: Semaphore,
    room: Arc<Semaphore>,
    by_server: Mutex<HashMap<AllowedServer, usize>>,
}

impl Proxy {
    pub(crate) fn new(settings: Settings, resolver: Arc<dyn Resolver>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
        headers.insert("user-agent", settings.user_agent);
        Self {
            on: settings.on,
            allowed: settings.allowed.into_iter().collect(),
            client: Client::with_authorities(settings.authorities),
            resolver,
            headers,
            max_response: settings.max_response,
            places: Semaphore::new(PLACES),
            room: Arc::new(Semaphore::new(ROOM)),
            by_server: Mutex::default(),
        }
    }

    /// Posts `body` to `target` and gives what came back, whatever it is. `own` is where this node is itself, which is
    /// no public place for it: firewalls let a machine talk to itself.
    pub(crate) async fn pass_on(
        &self,
        target: &ServerTarget,
        body: Vec<u8>,
        own: Ipv4Addr,
    ) -> Result<Response, Refused> {
        if !self.on {
            return Err(Refused::Off);
        }
        let host = Host::parse(&target.host).filter(|_| target.port != 0 && target.is_allowed());
        let server = AllowedServer { host: host.ok_or(Refused::NotAllowed)?, port: target.port };
        let _place = self.places.try_acquire().map_err(|_| Refused::Busy)?;
        let _turn = self.turn(&server).ok_or(Refused::Busy)?;
        let deadline = Deadline::after(TIMEOUT);
        let addresses = deadline.run(self.addresses(&server, own)).await.map_err(|_| Refused::Timeout)??;
        self.ask(target, &server, &addresses, body, deadline).await
    }

    /// Where to dial: every one of these has been checked.
    async fn addresses(&self, server: &AllowedServer, own: Ipv4Addr) -> Result<Vec<IpAddr>, Refused> {
        let is_listed = self.allowed.contains(server);
        let may_dial = |address: &IpAddr| is_listed || (is_public(*address) && *address != own);
        let addresses = match &server.host {
            Host::Address(address) => vec![*address],
            local if local.is_local_name() && !is_listed => return Err(Refused::NotAllowed),
            Host::Name(name) => self.resolver.resolve(name).await.map_err(|_| Refused::NoAddress)?,
        };
        match addresses.is_empty() {
            true => Err(Refused::NoAddress),
            false if addresses.iter().all(may_dial) => Ok(addresses),
            false => Err(Refused::NotAllowed),
        }
    }

    async fn ask(
        &self,
        target: &ServerTarget,
        server: &AllowedServer,
        addresses: &[IpAddr],
        body: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Response, Refused> {
        let usual_port = if target.https { 443 } else { 80 };
        let host = match server.port {
            port if port == usual_port => server.host.to_string(),
            port => format!("{}:{port}", server.host),
        };
        let post = Post {
            path: target.target.clone(),
            headers: self.headers.clone(),
            body: body.into(),
            max_response: self.max_response,
            room: Some(Arc::clone(&self.room)),
        };
        let mut last = Refused::NoAddress;
        for address in addresses.iter().take(TRIES) {
            let at = SocketAddr::new(*address, server.port);
            let place = Target {
                address: match &server.host {
                    Host::Name(name) => Address::Resolved { name: name.clone(), at },
                    Host::Address(_) => Address::Ip(at),
                },
                host: Some(host.clone()),
                trust: if target.https { Trust::Authority } else { Trust::Nobody },
            };
            last = match self.client.send(&place, post.clone(), deadline).await {
                Ok(mut response) => {
                    without_the_connections(&mut response.headers);
                    return Ok(response);
                }
                // Nobody is there; another of its addresses may be better.
                Err(error @ (Error::Refused | Error::Unreachable(_))) => Refused::Transport(error),
                Err(Error::Timeout) => return Err(Refused::Timeout),
                Err(Error::NoRoom) => return Err(Refused::Busy),
                Err(error) => return Err(Refused::Transport(error)),
            };
        }
        Err(last)
    }

    fn turn(&self, server: &AllowedServer) -> Option<Turn<'_>> {
        let mut by_server = self.by_server.lock().unwrap_or_else(PoisonError::into_inner);
        let running = by_server.entry(server.clone()).or_default();
        if *running >= PLACES_PER_SERVER {
            return None;
        }
        *running += 1;
        Some(Turn { proxy: self, server: server.clone() })
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proxy")
    }
}

/// One of a server's places.
struct Turn<'a> {
    proxy: &'a Proxy,
    server: AllowedServer,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut by_server = self.proxy.by_server.lock().unwrap_or_else(PoisonError::into_inner);
        match by_server.get_mut(&self.server) {
            Some(running) if *running > 1 => *running -= 1,
            _ => {
                by_server.remove(&self.server);
            }
        }
    }
}

/// Takes away what concerned only the connection to the server.
fn without_the_connections(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().map(HeaderName::as_str).chain(OF_THE_CONNECTION) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
