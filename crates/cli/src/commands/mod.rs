//! One module for each command, and what they share: where things are, and how a profile is opened.

mod account;
mod acts;
mod devnet;
mod lock;
mod look;
mod messages;
mod node;
mod registry;
mod up;

use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use conclave_client::profile::{DataDir, OpenError, ProfileName, Unlock};
use conclave_client::{ClientOptions, Error, Session};
use conclave_proto::network::NetworkFile;
use zeroize::Zeroizing;

use crate::args::{Cli, Command, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::{network, secrets};

/// What every command gets.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) data_dir: DataDir,
    pub(crate) output: Output,
    pub(crate) stop: Stop,
}

/// Does what was typed.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<(), Failure> {
    let data_dir = DataDir::new(data_dir(&cli.global)?);
    let stop = Stop::install()
        .map_err(|e| Failure::failed("signals", format!("listening for Ctrl-C: {e}"), "try again"))?;
    let context = Context { global: cli.global, data_dir, output, stop };
    match cli.command {
        Command::Up(args) => up::run(&context, &args).await,
        Command::Devnet(args) => devnet::run(&context, &args).await,
        Command::Account(args) => context.or_stopped(account::run(&context, args)).await,
        Command::Send(args) => messages::send(&context, args).await,
        Command::Listen(args) => messages::listen(&context, &args).await,
        Command::Search(args) => context.or_stopped(look::search(&context, args)).await,
        Command::Edit(args) => acts::edit(&context, args).await,
        Command::React(args) => acts::react(&context, args).await,
        Command::Delete(args) => acts::delete(&context, args).await,
        Command::Chat(args) => acts::chat(&context, args).await,
        Command::Contact(args) => acts::contact(&context, args).await,
        Command::Settings(args) => context.or_stopped(acts::settings(&context, args)).await,
        Command::Chats(args) => context.or_stopped(look::chats(&context, &args)).await,
        Command::History(args) => context.or_stopped(look::history(&context, &args)).await,
        Command::Status => context.or_stopped(look::status(&context)).await,
        Command::Lock => context.or_stopped(lock::lock(&context)).await,
        Command::Unlock => context.or_stopped(lock::unlock(&context)).await,
        Command::Node(args) => node::run(&context, args).await,
        Command::Registry(args) => registry::run(&context, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "conclave", &mut script);
            output.text(&script);
            Ok(())
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|e| Failure::failed("io", format!("writing the manual page: {e}"), "try again"))?;
            output.text(&page);
            Ok(())
        }
    }
}

/// Tells when the user or the system asks the program to stop. Listens from before anything is done, so that Ctrl-C in
/// the first moment counts as well.
pub(crate) struct Stop(tokio::sync::watch::Receiver<bool>);

impl Stop {
    #[cfg(unix)]
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (tell, told) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            tell.send_replace(true);
            // As long as somebody may still look.
            tell.closed().await;
        });
        Ok(Self(told))
    }

    #[cfg(not(unix))]
    fn install() -> std::io::Result<Self> {
        let (tell, told) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            let _ = tokio::signal::ctrl_c().await;
            tell.send_replace(true);
            tell.closed().await;
        });
        Ok(Self(told))
    }

    /// Waits until it is asked.
    pub(crate) async fn asked(&self) {
        let mut told = self.0.clone();
        if told.wait_for(|asked| *asked).await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Context {
    /// The profile the command is about.
    pub(crate) fn profile(&self) -> Result<ProfileName, Failure> {
        Ok(ProfileName::new(&self.global.profile)?)
    }

    /// Does something that can be stopped at any point.
    pub(crate) async fn or_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.stop.asked() => Err(Failure::failed("interrupted", "the command was interrupted", "run it again")),
        }
    }

    /// The network the caller named.
    pub(crate) async fn named_network(&self) -> Result<Option<NetworkFile>, Failure> {
        network::named(self.global.network.as_deref(), self.output).await
    }

    /// The network of a new profile: the one the caller named, else the data directory's.
    pub(crate) async fn network(&self) -> Result<Option<NetworkFile>, Failure> {
        match self.named_network().await? {
            Some(named) => Ok(Some(named)),
            None => network::of_data_dir(&self.data_dir),
        }
    }

    /// Opens the profile: as its owner, or through its owner.
    pub(crate) async fn open(&self, online: bool) -> Result<Session, Failure> {
        let profile = self.profile()?;
        let options = ClientOptions {
            network: self.named_network().await?,
            default_network: network::of_data_dir(&self.data_dir)?,
            online,
            ..ClientOptions::default()
        };
        let mut passphrase = secrets::passphrase(&self.global)?;
        loop {
            let opened = {
                let unlock = unlock(passphrase.as_ref());
                Session::open(&self.data_dir, &profile, &unlock, &options).await
            };
            match opened {
                Ok(session) => return Ok(session),
                Err(Error::Profile(OpenError::PassphraseNeeded { .. })) if passphrase.is_none() => {
                    let asked = secrets::prompt(&format!("Passphrase of the profile {profile}: "))?;
                    let Some(asked) = asked else {
                        return Err(OpenError::PassphraseNeeded { name: profile.to_string() }.into());
                    };
                    passphrase = Some(asked);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(crate) fn unlock(passphrase: Option<&Zeroizing<String>>) -> Unlock<'_> {
    passphrase.map_or(Unlock::KeyFile, |passphrase| Unlock::Passphrase(passphrase))
}

fn data_dir(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(given) = &global.data_dir {
        // Relative paths would mean something else to the nodes, which are started elsewhere.
        return std::path::absolute(given).map_err(|e| Failure::io("finding", given, &e));
    }
    directories::ProjectDirs::from("", "", "conclave").map(|dirs| dirs.data_dir().to_owned()).ok_or_else(
        || {
            Failure::usage(
                "no_data_dir",
                "this user has no home directory to keep data in",
                "name a folder with --data-dir DIR",
            )
        },
    )
}

/// Seconds of an option as a duration.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
