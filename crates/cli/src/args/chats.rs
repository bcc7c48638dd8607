//! Conversations, contacts, and what this device tells others.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Sending, duration};

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

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is `on` or `off`".to_owned()),
    }
}
