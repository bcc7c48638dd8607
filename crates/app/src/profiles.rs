//! The profiles of a data directory, as a page sees them: listed, opened, made, restored.
//!
//! A profile is opened once, however many pages show it. The process becomes its owner, or attaches to the one that is; when
//! that one ends, the next opening takes over.

use std::collections::BTreeMap;
use std::sync::Arc;

use conclave_client::network::NetworkError;
use conclave_client::profile::{DataDir, OpenError, OwnedProfile, Profile, ProfileName, Protection, Unlock};
use conclave_client::types::AccountInfo;
use conclave_client::{Account, ClientOptions, Error, accounts};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Profiles that are opened without being asked for, so that their names can be shown.
const OPENED_UNASKED: usize = 16;
/// What a profile is called whose name nobody chose.
const FIRST_NAME: &str = "default";
/// Of further ones, `default-2` and so on up to here.
const MOST_UNNAMED: u32 = 1_000;

/// A profile that is open.
pub(crate) struct OpenProfile {
    pub(crate) name: ProfileName,
    pub(crate) session: Arc<Account>,
    /// Where it lies.
    pub(crate) place: Profile,
}

impl OpenProfile {
    /// A passphrase protects it. It may get one, or lose it, while it is open.
    pub(crate) fn has_passphrase(&self) -> bool {
        self.place.has_passphrase().unwrap_or(false)
    }
}

/// The answer of `app.profiles`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listing {
    /// Every profile of the data directory.
    pub(crate) profiles: Vec<Listed>,
    /// The network of new profiles.
    pub(crate) network_id: Option<String>,
    /// Of the program.
    pub(crate) version: &'static str,
}

/// A profile in the list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// What its directory is called.
    pub(crate) name: String,
    /// Whose it is; `null` where that is not known: it is locked, or empty.
    pub(crate) account_id: Option<String>,
    /// What they call themselves.
    pub(crate) display_name: Option<String>,
    /// It is open, and locked.
    pub(crate) locked: bool,
    /// A passphrase protects it.
    pub(crate) needs_passphrase: bool,
    /// This process shows it.
    pub(crate) open: bool,
}

/// All profiles of a data directory.
pub struct Profiles {
    data_dir: DataDir,
    options: ClientOptions,
    open: Mutex<BTreeMap<ProfileName, Arc<OpenProfile>>>,
}

impl Profiles {
    /// `options` are how profiles are opened; a new profile belongs to the network they name.
    pub fn new(data_dir: DataDir, options: ClientOptions) -> Self {
        Self { data_dir, options, open: Mutex::default() }
    }

    /// Takes over a profile that is open already.
    pub(crate) async fn adopt(&self, session: Account) -> Result<(), Error> {
        let name = ProfileName::new(&session.info().await?.profile)?;
        self.keep(name, session).await;
        Ok(())
    }

    /// Where the profiles lie.
    pub(crate) const fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// The network of new profiles.
    pub(crate) fn network_id(&self) -> Option<&str> {
        let network = self.options.network.as_ref().or(self.options.default_network.as_ref());
        network.map(|network| network.network_id.as_str())
    }

    /// Every profile there is. Those that need no passphrase are opened, so that it can be shown whose they are.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        for (place, name) in self.data_dir.profiles()?.into_iter().enumerate() {
            let needs_passphrase = self.has_passphrase(&name);
            if !needs_passphrase && place < OPENED_UNASKED {
                // One that cannot be opened is listed all the same; opening it says why.
                let _ = self.open(&name, None).await;
            }
            let open = self.open.lock().await.get(&name).cloned();
            listed.push(list_one(&name, open.as_deref(), needs_passphrase).await);
        }
        Ok(listed)
    }

    /// Opens a profile, or unlocks it, or gives the one that is open.
    pub(crate) async fn open(
        &self,
        name: &ProfileName,
        passphrase: Option<&str>,
    ) -> Result<Arc<OpenProfile>, Error> {
        let mut profiles = self.open.lock().await;
        if let Some(open) = profiles.get(name).cloned() {
            match (open.session.status().await, passphrase) {
                (Ok(status), None) if status.locked => {
                    return Err(Error::Locked { profile: name.to_string() });
                }
                (Ok(status), passphrase) => {
                    if let Some(passphrase) = passphrase.filter(|_| status.locked) {
                        open.session.unlock(passphrase).await?;
                    }
                    return Ok(open);
                }
                // The process it was attached to has ended.
                (Err(error), _) if error.kind() == "owner_unreachable" => {
                    profiles.remove(name);
                }
                (Err(error), _) => return Err(error),
            }
        }
        let unlock = passphrase.map_or(Unlock::KeyFile, Unlock::Passphrase);
        let session = Account::open(&self.data_dir, name, &unlock, &self.options).await?;
        if let (true, Some(passphrase)) = (session.status().await?.locked, passphrase) {
            session.unlock(passphrase).await?;
        }
        let open = self.opened(name.clone(), session);
        profiles.insert(name.clone(), Arc::clone(&open));
        Ok(open)
    }

    /// Makes a new account in a new profile, and opens it.
    pub(crate) async fn create(
        &self,
        profile: Option<&str>,
        name: &str,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<(Arc<OpenProfile>, AccountInfo), Error> {
        let name = name.to_owned();
        self.make(profile, passphrase, move |data_dir, profile, protection, options| {
            let network = options.network.as_ref().or(options.default_network.as_ref());
            accounts::create(data_dir, profile, &name, protection, network)
        })
        .await
    }

    /// Brings an account back into a new profile, and opens it.
    pub(crate) async fn restore(
        &self,
        profile: Option<&str>,
        phrase: Zeroizing<String>,
        name: Option<&str>,
        passphrase: Option<Zeroizing<String>>,
    ) -> Result<(Arc<OpenProfile>, AccountInfo), Error> {
        let name = name.map(str::to_owned);
        self.make(profile, passphrase, move |data_dir, profile, protection, options| {
            let network = options.network.as_ref().or(options.default_network.as_ref());
            accounts::restore(data_dir, profile, name.as_deref(), &phrase, protection, network)
        })
        .await
    }

    async fn make(
        &self,
        profile: Option<&str>,
        passphrase: Option<Zeroizing<String>>,
        how: impl FnOnce(
            &DataDir,
            &ProfileName,
            &Protection<'_>,
            &ClientOptions,
        ) -> Result<(OwnedProfile, AccountInfo), Error>
        + Send
        + 'static,
    ) -> Result<(Arc<OpenProfile>, AccountInfo), Error> {
        if self.network_id().is_none() {
            // An account without a network could be made, and not be opened.
            return Err(NetworkError::NoNetwork.into());
        }
        let name = match profile {
            Some(name) => ProfileName::new(name)?,
            None => self.free_name()?,
        };
        let (data_dir, options, place) = (self.data_dir.clone(), self.options.clone(), name.clone());
        // A passphrase takes its time.
        let making = move || {
            let protection = passphrase
                .as_deref()
                .map_or(Protection::KeyFile, |passphrase| Protection::Passphrase(passphrase));
            how(&data_dir, &place, &protection, &options)
        };
        let made = tokio::task::spawn_blocking(making).await;
        let (owned, info) = made.map_err(|stopped| Error::bug(stopped.to_string()))??;
        let session = Account::own(owned, self.options.clone()).await?;
        Ok((self.keep(name, session).await, info))
    }

    fn free_name(&self) -> Result<ProfileName, Error> {
        let names = std::iter::once(FIRST_NAME.to_owned())
            .chain((2..MOST_UNNAMED).map(|number| format!("{FIRST_NAME}-{number}")));
        for name in names {
            let name = ProfileName::new(&name)?;
            if !self.data_dir.profile(&name).exists() {
                return Ok(name);
            }
        }
        Err(OpenError::Exists { name: FIRST_NAME.to_owned() }.into())
    }

    async fn keep(&self, name: ProfileName, session: Account) -> Arc<OpenProfile> {
        let open = self.opened(name.clone(), session);
        self.open.lock().await.insert(name, Arc::clone(&open));
        open
    }

    fn opened(&self, name: ProfileName, session: Account) -> Arc<OpenProfile> {
        let place = self.data_dir.profile(&name);
        Arc::new(OpenProfile { name, session: Arc::new(session), place })
    }

    fn has_passphrase(&self, name: &ProfileName) -> bool {
        // A key file that cannot be read: opening says so.
        self.data_dir.profile(name).has_passphrase().unwrap_or(false)
    }

    /// Ends all sessions; whoever shows a profile must have let go of it, or does so soon.
    pub(crate) async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().await);
        for profile in open.into_values() {
            let session = Arc::clone(&profile.session);
            drop(profile);
            if !Account::close_shared(session).await {
                tracing::warn!("a profile was still shown at the end");
            }
        }
    }
}

impl std::fmt::Debug for Profiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profiles")
    }
}

async fn list_one(name: &ProfileName, open: Option<&OpenProfile>, needs_passphrase: bool) -> Listed {
    let (mut account, mut locked) = (None, false);
    if let Some(open) = open {
        account = open.session.info().await.ok();
        locked = open.session.status().await.is_ok_and(|status| status.locked);
    }
    let (account_id, display_name) = account.map(|account| (account.account_id, account.name)).unzip();
    Listed {
        name: name.to_string(),
        account_id,
        display_name,
        locked,
        needs_passphrase,
        open: open.is_some(),
    }
}
