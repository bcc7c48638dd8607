//! The account and its settings on this device.

use std::sync::Arc;

use conclave_client::settings::Settings;
use conclave_client::types::{AccountInfo, Event};
use conclave_client::{Account, Error};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::live::{self, Heard, Opened, Screen};
use crate::sdk;

/// What the settings show. Both are `null` while the profile is locked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SettingsScreen {
    /// Who this is.
    pub account: Option<AccountInfo>,
    /// What this device tells others, and what it asks for.
    pub settings: Option<Settings>,
    /// A passphrase protects the profile: it can be locked.
    pub has_passphrase: bool,
}

/// What can be asked of the settings.
#[derive(Clone, Debug)]
pub enum SettingsAct {
    /// They were changed here: nothing tells of that.
    Reread,
}

/// Opens the settings. Whether a passphrase protects the profile is known to whoever opened it, and asked anew whenever the
/// settings are read.
///
/// # Errors
/// What the SDK says, for instance that the profile is locked.
pub async fn open(
    session: Arc<Account>,
    has_passphrase: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<Opened<SettingsScreen, SettingsAct>, Error> {
    live::open(session, Shown { state: SettingsScreen::default(), has_passphrase }).await
}

struct Shown<P> {
    state: SettingsScreen,
    has_passphrase: P,
}

impl<P: Fn() -> bool + Send + Sync + 'static> Screen for Shown<P> {
    type State = SettingsScreen;
    type Act = SettingsAct;

    async fn read(&mut self, session: &Account) -> Result<(), Error> {
        self.state.account = Some(sdk::account(session).await?);
        self.state.settings = Some(sdk::settings(session).await?);
        self.state.has_passphrase = (self.has_passphrase)();
        Ok(())
    }

    fn hear(&mut self, event: &Event, _: u64) -> Heard {
        if matches!(event, Event::Profile) { Heard::Stale } else { Heard::Nothing }
    }

    async fn act(&mut self, session: &Arc<Account>, act: SettingsAct) -> Result<Value, Error> {
        match act {
            SettingsAct::Reread => self.read(session).await.map(|()| Value::Null),
        }
    }

    fn state(&self, _: u64) -> SettingsScreen {
        self.state.clone()
    }

    fn next_change(&self, _: u64) -> Option<u64> {
        None
    }

    async fn due(&mut self, _: &Account, _: u64) -> Heard {
        Heard::Nothing
    }

    fn forget(&mut self) {
        let has_passphrase = self.state.has_passphrase;
        self.state = SettingsScreen { has_passphrase, ..SettingsScreen::default() };
    }
}
