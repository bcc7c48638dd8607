//! One module for each command, and what they share: where things are, and how a profile is opened.

mod account;
mod acts;
#[cfg(feature = "app")]
mod app;
mod devnet;
mod doctor;
mod files;
mod lock;
mod look;
mod manual;
mod mentions;
mod messages;
mod node;
#[cfg_attr(not(feature = "app"), path = "no_page.rs")]
mod page;
mod registry;
mod rpc;
mod up;
mod voice;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use conclave_client::profile::{DataDir, ProfileName, Unlock};
use conclave_client::{Account, ClientOptions, Error};
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
    /// What [`Self::passphrase`] found.
    given_passphrase: OnceLock<Option<Zeroizing<String>>>,
}

/// Does what was typed.
pub(crate) async fn run(cli: Cli, output: Output) -> Result<(), Failure> {
    let data_dir = DataDir::new(data_dir(&cli.global)?);
    let stop = Stop::install()
        .map_err(|e| Failure::failed("signals", format!("listening for Ctrl-C: {e}"), "try again"))?;
    let context = Context { global: cli.global, data_dir, output, stop, given_passphrase: OnceLock::new() };
    match cli.command {
        Command::Up(args) => up::run(&context, &args).await,
        Command::Devnet(args) => devnet::run(&context, &args).await,
        #[cfg(feature = "app")]
        Command::App(args) => app::run(&context, &args).await,
        Command::Account(args) => context.or_stopped(account::run(&context, args)).await,
        Command::Send(args) => messages::send(&context, args).await,
        Command::Listen(args) => messages::listen(&context, &args).await,
        Command::Search(args) => context.or_stopped(look::search(&context, args)).await,
        Command::Edit(args) => acts::edit(&context, args).await,
        Command::React(args) => acts::react(&context, args).await,
        Command::Save(args) => files::save(&context, args).await,
        Command::Delete(args) => acts::delete(&context, args).await,
        Command::Chat(args) => acts::chat(&context, args).await,
        Command::Contact(args) => acts::contact(&context, args).await,
        Command::Settings(args) => context.or_stopped(acts::settings(&context, args)).await,
        Command::Chats(args) => context.or_stopped(look::chats(&context, &args)).await,
        Command::History(args) => context.or_stopped(look::history(&context, &args)).await,
        Command::Status => context.or_stopped(look::status(&context)).await,
        Command::Doctor => context.or_stopped(doctor::run(&context)).await,
        Command::Lock => context.or_stopped(lock::lock(&context)).await,
        Command::Unlock => context.or_stopped(lock::unlock(&context)).await,
        Command::Rpc(args) => rpc::run(&context, &args).await,
        Command::Node(args) => node::run(&context, args).await,
        Command::Registry(args) => registry::run(&context, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                shell,
                &mut <crate::args::Cli as clap::CommandFactory>::command(),
                "conclave",
                &mut script,
            );
            output.text(&script);
            Ok(())
        }
        Command::Man { command, dir } => manual::run(output, &command, dir.as_deref()),
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

    /// A command as it can be typed to be about the same profile and data directory as this one, started in the same way.
    pub(crate) fn again(&self, command: &str, profile: &str) -> String {
        let program = std::env::var("CONCLAVE_RUN_AS").unwrap_or_else(|_| "conclave".to_owned());
        let mut text = format!("{program} {command}");
        // The defaults need no option; anything else has to be named again.
        if profile != "default" {
            text.push_str(&format!(" --profile {profile}"));
        }
        if self.global.data_dir.is_some() && std::env::var_os("CONCLAVE_DATA_DIR").is_none() {
            text.push_str(&format!(" --data-dir {}", self.data_dir.path().display()));
        }
        text
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

    /// The passphrase given for the profile, if one was. Read once: standard input says it only once.
    pub(crate) fn passphrase(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        if let Some(given) = self.given_passphrase.get() {
            return Ok(given.clone());
        }
        let given = secrets::passphrase(&self.global)?;
        Ok(self.given_passphrase.get_or_init(|| given).clone())
    }

    /// Does something that a passphrase may be needed for: with the one given, or else with one asked for on the terminal.
    pub(crate) async fn unlocking<T>(
        &self,
        mut work: impl AsyncFnMut(&Unlock<'_>) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let profile = self.profile()?;
        let mut passphrase = self.passphrase()?;
        loop {
            match work(&unlock(passphrase.as_ref())).await {
                Ok(done) => return Ok(done),
                Err(error) if error.kind() == "passphrase_needed" && passphrase.is_none() => {
                    let asked = secrets::prompt(&format!("Passphrase of the profile {profile}: "))?;
                    let Some(asked) = asked else { return Err(error.into()) };
                    passphrase = Some(asked);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens the profile: as its owner, or through its owner.
    pub(crate) async fn open(&self, online: bool) -> Result<Account, Failure> {
        let profile = self.profile()?;
        let options = ClientOptions {
            network: self.named_network().await?,
            default_network: network::of_data_dir(&self.data_dir)?,
            online,
            ..ClientOptions::default()
        };
        self.unlocking(async |unlock| Account::open(&self.data_dir, &profile, unlock, &options).await).await
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
