//! Messages: to send them, to read them, to find them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Account id (66 hex digits), the name of a contact, or `me`
    pub(crate) to: String,
    /// The text; without it and without files or a voice, standard input is read
    pub(crate) text: Option<String>,
    /// Send this file along; can be given up to 32 times
    #[arg(long, value_name = "FILE")]
    pub(crate) attach: Vec<PathBuf>,
    /// Send pictures as they are, with places, times and cameras in them; without it they are taken out
    #[arg(long, requires = "attach")]
    pub(crate) as_file: bool,
    /// Send this recording as a voice message (`-` is standard input); what not every program plays becomes MP3
    #[arg(long, value_name = "FILE", conflicts_with = "attach")]
    pub(crate) voice: Option<PathBuf>,
    /// Record a voice message from the microphone, until Enter is pressed
    #[cfg(feature = "microphone")]
    #[arg(long, conflicts_with_all = ["attach", "voice"])]
    pub(crate) record: bool,
    /// Answer this message (an id, or its beginning)
    #[arg(long, value_name = "ID")]
    pub(crate) reply_to: Option<String>,
    /// Look up the first https:// link, and send its title along; asks first, because the site sees your address
    #[arg(long)]
    pub(crate) preview: bool,
    /// With --preview: do not ask
    #[arg(long, requires = "preview")]
    pub(crate) yes: bool,
    /// How long to wait until a majority of the swarm has stored the message; with files, how long without any progress
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
pub(crate) struct Save {
    /// The message's id, or its beginning
    pub(crate) id: String,
    /// Which of its files, counted from 1; without it, all of them
    pub(crate) number: Option<u32>,
    /// A folder, where files get the names their sender gave them and which is made for several, or for one file a name that is
    /// not taken
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) to: PathBuf,
    /// How long to wait without any progress
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
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
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
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

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Stop after this many messages, and when their files are here
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Do not fetch the files of messages; `save` does
    #[arg(long)]
    pub(crate) no_download: bool,
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
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Show what is known already, without asking the network first
    #[arg(long)]
    pub(crate) offline: bool,
}

/// The first millisecond of a day.
pub(super) fn day(text: &str) -> Result<u64, String> {
    let wrong = || "a day is written like 2026-11-28, and lies between 1970 and 9999".to_owned();
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return Err(wrong()) };
    let number = |part: &str| part.parse::<u64>().map_err(|_| wrong());
    crate::output::start_of_day(number(year)?, number(month)?, number(day)?).ok_or_else(wrong)
}
