//! The messenger in the browser: a server on loopback, and the page in it.
//!
//! The page is one more face over the SDK: it asks the same calls as every other program (JSON-RPC), and shows what
//! `conclave-view` says. This crate decides nothing about messages. It decides who gets in.
//!
//! * `door`: single-use codes, and the secrets they are exchanged for.
//! * `origin`, `server`: only this host, only this origin, bounded.
//! * `page`: the files, and the policy that keeps a browser from fetching or running anything else.
//! * `files`: what a page hands over to be sent, and what it is shown of files.
//! * `socket`, `methods`, `views`, `diff`: what a page asks and is told.
//! * `profiles`: the profiles of the data directory.
//! * `schema`: what the page is told, described for other languages.
//! * `bots`: JSON-RPC over a WebSocket for programs that are no browser.
//! * `browser`: how the browser is started without the code in anybody's process list.
//!
//! `docs/app.md` says why it is safe, and from whom.

mod bots;
mod browser;
mod diff;
mod door;
mod files;
mod methods;
mod origin;
mod os;
pub mod page;
mod profiles;
mod rpc;
mod schema;
mod server;
mod socket;
mod views;

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::OsRng;
use zeroize::Zeroizing;

pub use bots::{BadToken, BotDoor, BotToken, SHORTEST_TOKEN};
pub use browser::NoBrowser;
pub use door::CODE_LIVES;
use door::Token;
pub use profiles::Profiles;
pub use schema::schema;
use server::Shared;

/// How long pages may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The running server.
pub struct App {
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

impl App {
    /// Serves these profiles on a loopback port; on a free one, if it is 0.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub async fn start(profiles: Profiles, port: u16) -> std::io::Result<Self> {
        let listener = server::listen(port).await?;
        let shared = Arc::new(Shared::new(listener.local_addr()?.port(), profiles));
        let accepting = tokio::spawn(server::accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, accepting })
    }

    /// Shows a profile that is open already; from now on it is this server's to close.
    ///
    /// # Errors
    /// If its account cannot be read.
    pub async fn adopt(&self, session: conclave_client::Account) -> Result<(), conclave_client::Error> {
        self.shared.profiles().adopt(session).await
    }

    /// Where the page is. Without a code it lets nobody in.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.shared.port())
    }

    /// A link that lets whoever opens it in: once, within [`CODE_LIVES`].
    pub fn link(&self) -> Zeroizing<String> {
        self.link_with(&self.code())
    }

    fn code(&self) -> Token {
        self.shared.door().issue(&mut OsRng, Instant::now())
    }

    fn link_with(&self, code: &Token) -> Zeroizing<String> {
        Zeroizing::new(format!("{}/#code={}", self.address(), code.as_str()))
    }

    /// Opens the page in the browser that `named` names (the value of `BROWSER`), or in the system's.
    ///
    /// # Errors
    /// If none could be started.
    pub async fn open_browser(&self, named: Option<&OsStr>) -> Result<(), NoBrowser> {
        let code = self.code();
        let dir = self.shared.profiles().data_dir().path().join("app");
        let file = browser::RedirectFile::write(&dir, &self.link_with(&code)).map_err(|error| {
            tracing::warn!(%error, "the file for the browser could not be written");
            NoBrowser::NoFile
        })?;
        let path = file.path().to_owned();
        tokio::spawn(keep_until_used(file, code, Arc::clone(&self.shared)));
        browser::start(named, &path).await
    }

    /// Lets go of all pages, and closes the profiles.
    pub async fn stop(mut self) {
        self.shared.stop();
        if tokio::time::timeout(END_WITHIN, &mut self.accepting).await.is_err() {
            self.accepting.abort();
            let _ = (&mut self.accepting).await;
        }
        self.shared.profiles().close().await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shared.stop();
        self.accepting.abort();
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({})", self.shared.port())
    }
}

/// Keeps the file as long as its code is good for something.
async fn keep_until_used(file: browser::RedirectFile, code: Token, shared: Arc<Shared>) {
    let expired = tokio::time::sleep(CODE_LIVES);
    tokio::pin!(expired);
    loop {
        // Registered before looking, so that nothing that happens in between is missed.
        let exchanged = shared.exchanged.notified();
        tokio::pin!(exchanged);
        exchanged.as_mut().enable();
        if !shared.door().waits_for(&code, Instant::now()) {
            break;
        }
        tokio::select! {
            () = exchanged => {}
            () = &mut expired => break,
            () = shared.stopping() => break,
        }
    }
    drop(file);
}
