//! What can be typed. Definitions only: what it means is decided in `commands`.

use std::path::PathBuf;

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
    /// List conversations, newest first
    Chats(Chats),
    /// Print the messages of one conversation, oldest first
    History(History),
    /// Show network, guard, paths, clock and queue
    Status,
    /// Lock a profile that a process keeps open: nothing is received, and its messages are closed until `unlock`
    Lock {
        /// Also lock it from now on whenever nobody has used it for so many minutes (0: never)
        #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(0..=10_080))]
        after: Option<u32>,
    },
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
    /// How long to wait until a majority of the swarm has stored the message
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Take the message back instead of leaving it in the queue when it cannot be sent in time
    #[arg(long)]
    pub(crate) no_queue: bool,
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
