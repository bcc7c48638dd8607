//! The account's own settings on this device. None of them is shared with other devices (client-messages 7.2).

use serde::{Deserialize, Serialize};

/// What this device tells others, and what it asks for. Unknown keys of a newer version are dropped when changed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Tell contacts that their messages were read, and show when they say so. Off: peers' programs do it that way.
    pub read_receipts: bool,
    /// Tell contacts that one is typing, and show when they do. Off, as with peers.
    pub typing: bool,
    /// Tell contacts whose programs ask for it that their messages have arrived, and ask for it. On: without it, nobody
    /// knows more than that the swarm has a message.
    pub delivery_receipts: bool,
    /// Lock the profile when nobody has asked for anything for so many seconds (some seconds later at most). `None`, or
    /// 0: never. Of no effect without a passphrase.
    pub auto_lock: Option<u32>,
    /// `HOST:PORT` of a SOCKS5 proxy that link previews are looked up through. `None`: the site sees this machine's address.
    pub preview_proxy: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_receipts: false,
            typing: false,
            delivery_receipts: true,
            auto_lock: None,
            preview_proxy: None,
        }
    }
}
