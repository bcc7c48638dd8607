//! A build without the page: the profiles are kept open all the same.

use conclave_client::{Account, ClientOptions};

use super::Context;
use crate::args::Up;
use crate::failure::Failure;

/// The profiles that are kept open.
pub(super) struct Page(Vec<Account>);

/// Nothing was shown.
pub(super) struct Shown;

impl Shown {
    pub(super) const fn app(&self) -> Option<&str> {
        None
    }

    pub(super) const fn text(&self) -> Option<String> {
        None
    }
}

impl Page {
    pub(super) async fn start(context: &Context, _: ClientOptions, args: &Up) -> Result<Self, Failure> {
        if !args.no_open {
            context.output.note("This program was built without the page (the cargo feature `app`).");
        }
        Ok(Self(Vec::new()))
    }

    pub(super) async fn with(mut self, sessions: Vec<Account>) -> Result<Self, Failure> {
        self.0 = sessions;
        Ok(self)
    }

    pub(super) async fn show(&self, _: &Context) -> Shown {
        Shown
    }

    pub(super) async fn give_links(&self, _: &Context) {
        std::future::pending().await
    }

    pub(super) async fn stop(self) {
        for session in self.0 {
            session.close().await;
        }
    }
}
