//! The page in the browser, as `app` and `up` show it: opened, or as a link; Enter makes a fresh one.

use conclave_app::{App, Profiles};
use conclave_client::{Account, ClientOptions};
use serde_json::json;
use zeroize::Zeroizing;

use super::Context;
use crate::args;
use crate::failure::Failure;

/// How often it is looked whether somebody pressed Enter.
#[cfg(unix)]
const LOOK: std::time::Duration = std::time::Duration::from_millis(250);

/// The page's server, and the profiles it shows.
pub(super) struct Page {
    app: App,
    no_open: bool,
}

/// How the page was shown.
pub(super) enum Shown {
    /// A browser has it; this is its address, without a code.
    Opened(String),
    /// Whoever opens this link gets in.
    Link(Zeroizing<String>),
}

impl Shown {
    /// What scripts get.
    pub(super) fn app(&self) -> Option<&str> {
        Some(match self {
            Self::Opened(address) => address,
            Self::Link(link) => link,
        })
    }

    /// What people get.
    pub(super) fn text(&self) -> Option<String> {
        let again = if can_ask() { " Enter makes a link for another." } else { "" };
        Some(match self {
            Self::Opened(address) => format!("The messenger is open in your browser, at {address}.{again}"),
            Self::Link(link) => format!(
                "Open the messenger (the link works once, within a minute):\n  {}\n{}",
                **link,
                again.trim()
            )
            .trim_end()
            .to_owned(),
        })
    }
}

impl AsRef<args::App> for args::App {
    fn as_ref(&self) -> &args::App {
        self
    }
}

impl AsRef<args::App> for args::Up {
    fn as_ref(&self) -> &args::App {
        &self.page
    }
}

impl Page {
    /// Serves the profiles of the data directory.
    pub(super) async fn start(
        context: &Context,
        options: ClientOptions,
        args: &impl AsRef<args::App>,
    ) -> Result<Self, Failure> {
        let args = args.as_ref();
        if let Some(reason) = conclave_app::page::missing() {
            context.output.note(&format!("This program was built without the page. {reason}"));
        }
        let profiles = Profiles::new(context.data_dir.clone(), options);
        let app = App::start(profiles, args.port.unwrap_or(0)).await.map_err(|error| {
            let what = match args.port {
                Some(port) => format!("listening on the loopback port {port}: {error}"),
                None => format!("listening on loopback: {error}"),
            };
            Failure::failed("port", what, "choose another with --port, or leave it out for a free one")
        })?;
        Ok(Self { app, no_open: args.no_open })
    }

    /// With profiles that are open already. They are closed if one of them cannot be shown.
    pub(super) async fn with(self, sessions: Vec<Account>) -> Result<Self, Failure> {
        for session in sessions {
            self.app.adopt(session).await?;
        }
        Ok(self)
    }

    /// Opens the browser, or gives a link.
    pub(super) async fn show(&self, context: &Context) -> Shown {
        if self.no_open || conclave_app::page::missing().is_some() {
            return Shown::Link(self.app.link());
        }
        match self.app.open_browser(std::env::var_os("BROWSER").as_deref()).await {
            Ok(()) => Shown::Opened(self.app.address()),
            Err(why) => {
                context.output.note(&format!("The browser was not opened: {why}."));
                Shown::Link(self.app.link())
            }
        }
    }

    /// Prints a fresh link whenever somebody presses Enter. Never ends.
    #[cfg(unix)]
    pub(super) async fn give_links(&self, context: &Context) {
        if !can_ask() {
            return std::future::pending().await;
        }
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if !enter_was_pressed() {
                continue;
            }
            let link = self.app.link();
            let line = json!({"event": "link", "app": link.as_str()});
            context.output.line(&line, || format!("  {}", *link));
        }
    }

    /// Only a link is given, at the beginning.
    #[cfg(not(unix))]
    pub(super) async fn give_links(&self, _: &Context) {
        std::future::pending::<()>().await;
    }

    /// Ends the page, and closes the profiles.
    pub(super) async fn stop(self) {
        self.app.stop().await;
    }
}

/// Whether there is somebody who could press Enter.
fn can_ask() -> bool {
    cfg!(unix) && std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// Whether a line waits on the terminal, which is then taken. A program in the background must not read: the system would
/// stop it for that.
#[cfg(unix)]
fn enter_was_pressed() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = std::io::stdin();
    if rustix::termios::tcgetpgrp(&stdin).ok() != Some(rustix::process::getpgrp()) {
        return false;
    }
    let mut waits = [PollFd::new(&stdin, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if !poll(&mut waits, Some(&at_once)).is_ok_and(|ready| ready > 0) {
        return false;
    }
    // At the end of input (Ctrl-D) nothing was pressed.
    stdin.read_line(&mut String::new()).is_ok_and(|size| size > 0)
}
