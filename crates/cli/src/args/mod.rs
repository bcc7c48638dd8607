//! What can be typed. Definitions only: what it means is decided in `commands`.

mod chats;
mod messages;
mod node;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use chats::*;
pub(crate) use messages::*;
pub(crate) use node::*;

/// A messenger without phone numbers and without a centre: service node, network and client in one program.
#[derive(Debug, Parser)]
#[command(
    name = "conclave",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "First steps:\n  conclave up                         a private network and two accounts on this machine\n  \
conclave send --profile alice bob hello\n  conclave listen --profile bob\n\n\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not reachable."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Which profile: one account with its messages
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        default_value = "default",
        help_heading = "Common options"
    )]
    pub(crate) profile: String,
    /// Where profiles and networks are kept [default: the platform's place for application data]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "CONCLAVE_DATA_DIR",
        hide_env_values = true,
        help_heading = "Common options"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// The network to use: a network file, an https:// address with #sha256=FINGERPRINT, or `session`
    /// [default: the profile's own, else DIR/network.json]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CONCLAVE_NETWORK",
        hide_env_values = true,
        help_heading = "Common options"
    )]
    pub(crate) network: Option<String>,
    /// Print one JSON object per line on standard output, and nothing else there
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) json: bool,
    /// Read the profile's passphrase from this file (`-` is standard input); CONCLAVE_PASSPHRASE works too
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Say more about what is going on (on standard error); twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Common options")]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a private network on this machine, with two accounts to try it
    Up(Up),
    /// Start service nodes on loopback, for developers and tests
    Devnet(Devnet),
    /// Open the messenger in the browser, with all profiles of the data directory
    #[cfg(feature = "app")]
    App(App),
    /// Create, restore and show accounts
    #[command(subcommand)]
    Account(Account),
    /// Send a message
    Send(Send),
    /// Print messages: first those not printed before, then new ones as they arrive
    Listen(Listen),
    /// Replace the text of a message of yours, for a day after you sent it
    ///
    /// Programs that know nothing of edits show the new text as an answer to the old one.
    Edit(Edit),
    /// React to a message with an emoji
    React(React),
    /// Fetch a file of a message and write it where you want it
    Save(Save),
    /// Delete a message
    Delete(Delete),
    /// List conversations, newest first
    Chats(Chats),
    /// Print the messages of one conversation, oldest first
    History(History),
    /// Look for messages, newest first, in all conversations or one
    Search(Search),
    /// Mark, pin, hide, mute a conversation, or change how its messages disappear
    #[command(subcommand)]
    Chat(Chat),
    /// List, accept, block, rename and remove contacts
    #[command(subcommand)]
    Contact(Contact),
    /// Show or change what this device tells others
    Settings(Settings),
    /// Show network, guard, paths, clock and queue
    Status,
    /// Look at everything a message depends on, and say what to do about what is not well
    Doctor,
    /// Lock a profile that a process keeps open: nothing is received, and its messages are closed until `unlock`
    Lock,
    /// Unlock a profile that is locked; asks for its passphrase
    Unlock,
    /// Answer JSON-RPC 2.0 on standard input and output, one message a line: the door for bots
    ///
    /// Everything the messenger can do is a method; what happens comes as notifications after `subscribe`. See docs/bots.md.
    Rpc(Rpc),
    /// Make and run a service node
    #[command(subcommand)]
    Node(Node),
    /// Decide which nodes are in the network of this data directory, running or not
    #[command(subcommand)]
    Registry(Registry),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of the whole program or of one command
    Man {
        /// Which command, `chat mute` for instance
        command: Vec<String>,
        /// Write the pages of all commands into this folder instead
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many service nodes; a path takes three and its destination a fourth
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(4..=200))]
    pub(crate) nodes: u16,
    /// Also answer the seed call over plain HTTP on this loopback port, for existing clients
    #[arg(long, value_name = "PORT")]
    pub(crate) seed_http: Option<u16>,
    #[cfg(feature = "app")]
    #[command(flatten)]
    pub(crate) page: App,
    /// Do not open a page in the browser (there is none in this build)
    #[cfg(not(feature = "app"))]
    #[arg(long)]
    pub(crate) no_open: bool,
}

/// How the page is opened.
#[cfg(feature = "app")]
#[derive(Debug, Args)]
pub(crate) struct App {
    /// The loopback port of the page [default: a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Do not open the page in the browser; print a link that lets whoever opens it in, once, within a minute
    #[arg(long)]
    pub(crate) no_open: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rpc {
    /// Print the OpenRPC document that describes all methods and events, and end
    #[arg(long)]
    pub(crate) schema: bool,
    /// Listen for WebSockets on a loopback port instead, for programs that show the token as `Authorization: Bearer`
    #[cfg(feature = "app")]
    #[arg(long, conflicts_with = "schema")]
    pub(crate) listen: bool,
    /// With --listen: on this port [default: a free one]
    #[cfg(feature = "app")]
    #[arg(long, requires = "listen", default_value_t = 0, hide_default_value = true)]
    pub(crate) port: u16,
    /// With --listen: where the token is, or is to be made [default: `rpc-token` in the profile's folder]
    #[cfg(feature = "app")]
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Devnet {
    /// How many service nodes
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) nodes: u16,
    /// Also answer the seed call over plain HTTP on this loopback port, for existing clients
    #[arg(long, value_name = "PORT")]
    pub(crate) seed_http: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Make a new account
    Create {
        /// Your name, as the people you write to see it
        #[arg(long)]
        name: String,
    },
    /// Bring an account back from its recovery phrase
    ///
    /// The phrase comes from a prompt, from CONCLAVE_PHRASE or from --phrase-file, never from an argument,
    /// where other users of the machine could read it.
    Restore {
        /// Your name, as the people you write to see it
        #[arg(long)]
        name: Option<String>,
        /// Read the recovery phrase from this file (`-` is standard input)
        #[arg(long, value_name = "FILE")]
        phrase_file: Option<PathBuf>,
    },
    /// Show the account of a profile
    Show {
        /// Also print the recovery phrase, after asking
        #[arg(long)]
        phrase: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Set, change or remove the passphrase of a profile; asks on a terminal
    ///
    /// The present passphrase comes from CONCLAVE_PASSPHRASE or --passphrase-file, the new one from CONCLAVE_NEW_PASSPHRASE
    /// or --new-passphrase-file, else from a prompt; never from an argument. All messages are encrypted anew, so that the
    /// old passphrase opens nothing any more. No other process may use the profile meanwhile.
    Passphrase {
        /// Read the new passphrase from this file (`-` is standard input)
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new_passphrase_file: Option<PathBuf>,
        /// Keep the key in a file from now on, without a passphrase
        #[arg(long)]
        remove: bool,
    },
    /// List the profiles of this data directory
    List,
    /// Change your name, on all your devices
    Rename {
        /// Your name, as the people you write to see it
        name: String,
        #[command(flatten)]
        sending: Sending,
    },
    /// Show a picture beside your name, on all your devices, to the people you write to
    ///
    /// The middle of the picture is made anew, 600 pixels a side at most, so nothing it says of who took it goes out.
    Picture {
        /// A PNG, JPEG, GIF or WebP file
        #[arg(required_unless_present = "remove")]
        file: Option<PathBuf>,
        /// Show none any more
        #[arg(long, conflicts_with = "file")]
        remove: bool,
        #[command(flatten)]
        sending: Sending,
    },
    /// Delete a profile from this machine: its account key and all its messages
    Remove {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A time as people write it: a number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and s, m, h, d or w, like 30s or 2w".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(seconds * u64::from(number)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::messages::day;
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("12h", 43_200), ("1d", 86_400), ("2w", 1_209_600)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "5x", "-5s", "5 s", "1.5h", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_limit_is_from_one_to_a_thousand() {
        for command in ["history me", "search word"] {
            let typed = |limit: &str| {
                Cli::try_parse_from(
                    ["conclave"].into_iter().chain(command.split(' ')).chain(["--limit", limit]),
                )
            };
            assert!(typed("1").is_ok() && typed("1000").is_ok(), "{command}");
            assert!(typed("0").is_err() && typed("1001").is_err() && typed("-1").is_err(), "{command}");
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("2000-02-29"), Ok(951_782_400_000));
        for text in
            ["", "2026", "2026-13-01", "2026-02-29", "2026-04-31", "1969-12-31", "x-y-z", "2026-01-01-01"]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }

    /// Help of a command and of all below it, each under its name.
    fn helps(command: &mut clap::Command, path: &str, into: &mut String) {
        let help = command.render_long_help();
        into.push_str(&format!("=== {path}\n\n{help}\n"));
        let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in names.iter().filter(|name| *name != "help") {
            if let Some(sub) = command.find_subcommand_mut(name) {
                helps(sub, &format!("{path} {name}"), into);
            }
        }
    }

    #[test]
    fn the_help_is_as_it_was_looked_at() {
        let mut program = Cli::command().term_width(100);
        program.build();
        let mut text = String::new();
        helps(&mut program, "conclave", &mut text);
        insta::assert_snapshot!("help", text);
    }
}
