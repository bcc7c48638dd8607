//! What can be typed. Definitions only: what it means is decided in `commands`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Lock a profile that a process keeps open: nothing is received, and its messages are closed until `unlock`
    Lock,
    /// Unlock a profile that is locked; asks for its passphrase
    Unlock,
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
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// How many service nodes; a path takes three and its destination a fourth
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(4..=200))]
    pub(crate) nodes: u16,
    /// Also answer the seed call over plain HTTP on this loopback port, for existing clients
    #[arg(long, value_name = "PORT")]
    pub(crate) seed_http: Option<u16>,
    /// Do not open a page in the browser
    #[arg(long)]
    pub(crate) no_open: bool,
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
    /// Delete a profile from this machine: its account key and all its messages
    Remove {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Account id (66 hex digits), the name of a contact, or `me`
    pub(crate) to: String,
    /// The text; without it, standard input is read
    pub(crate) text: Option<String>,
    /// Answer this message (an id, or its beginning)
    #[arg(long, value_name = "ID")]
    pub(crate) reply_to: Option<String>,
    /// Look up the first https:// link, and send its title along; asks first, because the site sees your address
    #[arg(long)]
    pub(crate) preview: bool,
    /// With --preview: do not ask
    #[arg(long, requires = "preview")]
    pub(crate) yes: bool,
    /// How long to wait until a majority of the swarm has stored the message
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Take the message back instead of leaving it in the queue when it cannot be sent in time
    #[arg(long)]
    pub(crate) no_queue: bool,
}

/// How long a command waits for what it does to reach the network.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sending {
    /// How long to wait until the network has it
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The message's id, or its beginning
    pub(crate) id: String,
    /// The new text; without it, standard input is read
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

#[derive(Debug, Args)]
pub(crate) struct React {
    /// The message's id, or its beginning
    pub(crate) id: String,
    /// The emoji
    pub(crate) emoji: String,
    /// Take the reaction back
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The message's id, or its beginning
    pub(crate) id: String,
    /// Where it is deleted; everywhere works for your own messages only
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = DeleteFrom::MyDevices)]
    pub(crate) from: DeleteFrom,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

/// Where a message is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeleteFrom {
    /// On this device only
    ThisDevice,
    /// On all your devices, and on the nodes that keep it for them
    MyDevices,
    /// There, and on the other side's devices
    Everywhere,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Chat {
    /// Note that you have read it, on all your devices
    Read {
        /// Account id, the name of a contact, or `me`
        chat: String,
        /// Up to this message only (an id, or its beginning)
        #[arg(long, value_name = "ID")]
        up_to: Option<String>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Mark it as unread
    Unread(OneChat),
    /// Put it above the others
    Pin(OneChat),
    /// Put it back among the others
    Unpin(OneChat),
    /// Leave it out of the list until somebody writes
    Hide(OneChat),
    /// Notify nothing of it
    Mute {
        /// Account id, the name of a contact, or `me`
        chat: String,
        /// For how long, like 8h [default: until you unmute it]
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        time: Option<Duration>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Notify of it again
    Unmute(OneChat),
    /// Make messages disappear, on both sides
    ///
    /// The other side is told, and may keep it otherwise for what they write.
    Timer {
        /// Account id, the name of a contact, or `me`
        chat: String,
        /// From when the time runs
        #[arg(value_enum)]
        mode: TimerMode,
        /// How long messages stay, like 30s, 5m, 12h, 1d, 2w
        #[arg(value_name = "TIME", value_parser = duration, required_if_eq_any = [("mode", "after-read"), ("mode", "after-send")])]
        time: Option<Duration>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Tell the other side that you are typing, if your settings say so
    Typing {
        #[command(flatten)]
        chat: OneChat,
        /// You have stopped
        #[arg(long)]
        stop: bool,
    },
}

/// A conversation.
#[derive(Debug, Args)]
pub(crate) struct OneChat {
    /// Account id, the name of a contact, or `me`
    pub(crate) chat: String,
    #[command(flatten)]
    pub(crate) sending: Sending,
}

/// From when the time of a message runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimerMode {
    /// Messages stay
    Off,
    /// From when it was read
    AfterRead,
    /// From when it was sent
    AfterSend,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contact {
    /// List the people you write with
    List {
        /// Those you have blocked instead
        #[arg(long)]
        blocked: bool,
        /// Show what is known already, without asking the network first
        #[arg(long)]
        offline: bool,
    },
    /// Accept a message request
    Accept(OneChat),
    /// Want nothing from somebody any more, on all your devices
    Block(OneChat),
    /// Take that back
    Unblock(OneChat),
    /// Give a contact a name of your own; without one, they are called what they call themselves
    Rename {
        /// Account id or name
        contact: String,
        /// The name only you and your devices see
        name: Option<String>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Erase a contact, or decline a request, and delete the conversation on all your devices
    Remove {
        #[command(flatten)]
        contact: OneChat,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What this device tells others. Without options, the settings are shown.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Tell contacts that you have read their messages, and see when they have read yours
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    pub(crate) read_receipts: Option<bool>,
    /// Tell contacts that you are typing, and see when they are
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    pub(crate) typing: Option<bool>,
    /// Tell contacts whose programs ask for it that their messages have arrived, and ask for it
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    pub(crate) delivery_receipts: Option<bool>,
    /// Lock a profile that has a passphrase when nobody has used it for so many minutes
    #[arg(long, value_name = "MINUTES|off", value_parser = minutes_or_off)]
    pub(crate) auto_lock: Option<u32>,
    /// Look up link previews through this SOCKS5 proxy, for instance that of Tor
    #[arg(long, value_name = "HOST:PORT|off")]
    pub(crate) preview_proxy: Option<String>,
}

/// Minutes; 0 is `off`.
fn minutes_or_off(text: &str) -> Result<u32, String> {
    if text == "off" {
        return Ok(0);
    }
    text.parse().map_err(|_| "it is a number of minutes, or `off`".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Words, in any order; the last may be the beginning of one
    pub(crate) words: Vec<String>,
    /// Only in this conversation: account id, the name of a contact, or `me`
    #[arg(long, value_name = "CHAT")]
    pub(crate) chat: Option<String>,
    /// Only what this person wrote: account id, the name of a contact, or `me`
    #[arg(long, value_name = "PERSON")]
    pub(crate) by: Option<String>,
    /// Only messages that hold this
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<SearchKind>,
    /// Not before this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) since: Option<u64>,
    /// Not after this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub(crate) until: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    /// Also ask the network for what is new first
    #[arg(long)]
    pub(crate) online: bool,
}

/// What a message can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchKind {
    /// A text
    Text,
    /// An address of a web page
    Link,
    /// Any file but a voice message
    File,
    /// A picture
    Picture,
    /// A video
    Video,
    /// A voice message
    Voice,
    /// An invitation to a community
    Invitation,
}

/// The first millisecond of a day.
fn day(text: &str) -> Result<u64, String> {
    let wrong = || "a day is written like 2026-11-28".to_owned();
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(wrong()) };
    let number = |part: &str| part.parse::<u64>().map_err(|_| wrong());
    crate::output::start_of_day(number(year)?, number(month)?, number(day)?).ok_or_else(wrong)
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is `on` or `off`".to_owned()),
    }
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

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Stop after this many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after this time
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Chats {
    /// Show what is known already, without asking the network first
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Account id, the name of a contact, or `me`
    pub(crate) chat: String,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
    /// Show what is known already, without asking the network first
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Where others find a node.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct NodeAddress {
    /// The IPv4 address others reach this machine at [default: 127.0.0.1 in a network on this machine]
    #[arg(long, value_name = "IP")]
    pub(crate) ip: Option<std::net::Ipv4Addr>,
    /// TCP port of HTTPS [default: 22021; on loopback a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) https_port: Option<u16>,
    /// UDP port of QUIC [default: 22020; on loopback a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) quic_port: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Make a node: its key, its settings, and the request to join a network
    ///
    /// Everything is written to the folder named with --data-dir [default: `node` in the platform's place for application
    /// data]. Nothing that is there is overwritten.
    Init(NodeAddress),
    /// Run one service node until it is stopped
    ///
    /// A node that the network does not list yet waits until it does, and starts by itself.
    Run {
        /// Its configuration file [default: `node.toml` in the node's folder]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Also stop when standard input closes, so that the node never outlives the program that started it
        #[arg(long)]
        stop_with_stdin: bool,
    },
    /// Write a fresh request to join: after a day, after leaving, or for another address
    Join {
        /// The node's configuration file [default: `node.toml` in the node's folder]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        address: NodeAddress,
    },
    /// Write the request to leave the network
    Leave {
        /// The node's configuration file [default: `node.toml` in the node's folder]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Measure what service nodes can do on this machine
    ///
    /// Starts nodes of its own on loopback, in a folder that is removed afterwards, and puts load on them; other nodes and
    /// programs that run meanwhile make the figures worse. Memory is shown on Linux only.
    Bench {
        /// How long each load lasts
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// Messages in the stores that are measured when they are full
        #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
        messages: u64,
        /// Clients that wait at one node at once
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=131_072))]
        waiters: u32,
        /// Measure only this; may be given several times
        #[arg(long, value_enum, value_name = "PART")]
        only: Vec<BenchPart>,
    },
    /// Show whether the node runs, is listed, and reaches its swarm
    Status {
        /// The node's configuration file [default: `node.toml` in the node's folder]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What `node bench` measures.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BenchPart {
    /// What the machine's TLS and disk do bare
    Machine,
    /// One node alone, answering clients
    Node,
    /// Ten nodes: writes that go to five members, onion requests
    Swarm,
    /// A store with many messages: size, start, an empty member that catches up
    Full,
    /// Clients that wait for news
    Waiters,
    /// Messages from one client to another, also over slow wires
    Delivery,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Do what nodes ask for in their join.json and leave.json: all of them, or none if one is refused
    Apply {
        /// The requests
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Take a node off the list without its asking
    Remove {
        /// The node's key, 64 hex digits
        key: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the nodes of the network
    List,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        use clap::CommandFactory as _;
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
    fn days_are_those_of_the_calendar() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("2000-02-29"), Ok(951_782_400_000));
        for text in
            ["", "2026", "2026-13-01", "2026-02-29", "2026-04-31", "1969-12-31", "x-y-z", "2026-01-01-01"]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
