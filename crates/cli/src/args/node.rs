//! Service nodes, and who is in a network.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
        /// Megabytes of the file that is sent
        #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        file_megabytes: u64,
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
    /// A file from one client to another, beside scp where an SSH server is installed
    Files,
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
