//! The account's own settings on this device. None of them is shared with other devices (client-messages 7.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What this device tells others, and what it asks for. Unknown keys of a newer version are dropped when changed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// What is to be different in the [`Settings`]; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SettingsChange {
    /// [`Settings::read_receipts`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_receipts: Option<bool>,
    /// [`Settings::typing`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// [`Settings::delivery_receipts`]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_receipts: Option<bool>,
    /// [`Settings::auto_lock`]; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_lock: Option<u32>,
    /// [`Settings::preview_proxy`]; empty: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_proxy: Option<String>,
}

impl SettingsChange {
    /// The settings with the change.
    pub fn applied_to(self, settings: Settings) -> Settings {
        Settings {
            read_receipts: self.read_receipts.unwrap_or(settings.read_receipts),
            typing: self.typing.unwrap_or(settings.typing),
            delivery_receipts: self.delivery_receipts.unwrap_or(settings.delivery_receipts),
            auto_lock: self.auto_lock.or(settings.auto_lock).filter(|seconds| *seconds > 0),
            preview_proxy: self.preview_proxy.or(settings.preview_proxy).filter(|proxy| !proxy.is_empty()),
        }
    }
}

impl From<Settings> for SettingsChange {
    /// To exactly these settings.
    fn from(settings: Settings) -> Self {
        Self {
            read_receipts: Some(settings.read_receipts),
            typing: Some(settings.typing),
            delivery_receipts: Some(settings.delivery_receipts),
            auto_lock: Some(settings.auto_lock.unwrap_or(0)),
            preview_proxy: Some(settings.preview_proxy.unwrap_or_default()),
        }
    }
}
