//! Profiles: one directory each, one account each, at most one owning process each.
//!
//! `DATA/profiles/NAME/` holds `database.sqlite` (encrypted), `key.json` (mode 0600: the database
//! key, or what makes a passphrase this key), `lock` and, while it has an owner, `socket`.
//!
//! The process that holds the operating system's exclusive lock on `lock` owns the profile; the
//! lock ends with the process, however it ends, so nothing has to be cleaned up after a crash.
//! Whoever finds a profile owned attaches to its owner through the socket ([`OpenError::InUse`]).
//!
//! A profile appears whole or not at all: it is built beside the others under a name no profile can
//! have, brought to the disk, and renamed.

mod error;
mod key_file;
mod names;
mod os;
mod protection;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use conclave_crypto::{CryptoRngCore, RecoveryPhrase};
use conclave_proto::network::NetworkFile;

pub use error::OpenError;
pub(crate) use key_file::key_in;
pub use names::{DisplayName, InvalidDisplayName, InvalidProfileName, ProfileName};

use crate::store::{ClientStore, DatabaseKey, Meta, StoreOptions};

/// The longest passphrase. Argon2id would take more; nobody types it.
pub const MAX_PASSPHRASE_BYTES: usize = 1024;

/// Directories of profiles that are being made or removed begin with these. No profile name does.
const MAKING: &str = ".new-";
const REMOVING: &str = ".removing-";

/// Writes a small file beside the profiles that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    os::replace_private_file(path, content)
}

/// Makes a directory that only its owner can look into, if it is not there.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    os::create_private_dir(path)
}

/// Lets nobody but the owner use a socket.
pub(crate) fn make_socket_private(path: &Path) -> io::Result<()> {
    os::make_socket_private(path)
}

/// Whether the program at the other end of a local connection runs for the user who owns `path`.
pub(crate) fn is_owner_of(stream: &tokio::net::UnixStream, path: &Path) -> bool {
    os::is_owner_of(stream, path)
}

/// Where all profiles, and what they share, lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The directory need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `DATA/network.json`: the network that commands use unless told otherwise.
    pub fn network_file(&self) -> PathBuf {
        self.0.join("network.json")
    }

    /// `DATA/guards/NETWORK.json`: the guards all profiles of a network share.
    pub fn guards_file(&self, network_id: &str) -> PathBuf {
        self.0.join("guards").join(format!("{network_id}.json"))
    }

    /// `DATA/profiles`.
    pub fn profiles_dir(&self) -> PathBuf {
        self.0.join("profiles")
    }

    /// A profile, whether it exists or not.
    pub fn profile(&self, name: &ProfileName) -> Profile {
        Profile { data_dir: self.clone(), name: name.clone() }
    }

    /// The profiles there are, by name.
    ///
    /// # Errors
    /// [`OpenError::Io`] if the directory exists and cannot be read.
    pub fn profiles(&self) -> Result<Vec<ProfileName>, OpenError> {
        let dir = self.profiles_dir();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(OpenError::io("read", dir)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(OpenError::io("read", &dir))?;
            let name = entry.file_name().to_str().and_then(|name| ProfileName::new(name).ok());
            if let Some(name) = name.filter(|name| self.profile(name).exists()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

/// How a new profile's database key is kept.
pub enum Protection<'a> {
    /// Random, in a file only the owner can read.
    KeyFile,
    /// Made from a passphrase that is kept nowhere (Argon2id).
    Passphrase(&'a str),
}

/// How an existing profile's database key is come by.
pub enum Unlock<'a> {
    /// It lies in the key file.
    KeyFile,
    /// From this passphrase.
    Passphrase(&'a str),
}

impl std::fmt::Debug for Protection<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "KeyFile",
            Self::Passphrase(_) => "Passphrase(hidden)",
        })
    }
}

impl std::fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyFile => "KeyFile",
            Self::Passphrase(_) => "Passphrase(hidden)",
        })
    }
}

/// What a new profile begins with.
#[derive(Clone, Debug)]
pub struct NewProfile<'a> {
    /// The account's secret.
    pub phrase: &'a RecoveryPhrase,
    /// What its owner is called.
    pub display_name: &'a DisplayName,
    /// Its network, if it is known already.
    pub network: Option<&'a NetworkFile>,
    /// The account exists already: its settings are to be found, not made.
    pub restored: bool,
}

/// A place of a profile. Nothing is opened or locked by having one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    data_dir: DataDir,
    name: ProfileName,
}

impl Profile {
    /// Its name.
    pub const fn name(&self) -> &ProfileName {
        &self.name
    }

    /// The data directory it is in.
    pub const fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.data_dir.profiles_dir().join(self.name.as_str())
    }

    /// What of it others on this machine can read or change, and should not: its directory, its key, its database.
    ///
    /// # Errors
    /// [`OpenError::Io`] if that cannot be seen.
    pub fn open_to_others(&self) -> Result<Vec<PathBuf>, OpenError> {
        let dir = self.dir();
        let mut open = Vec::new();
        for path in [dir.clone(), dir.join("key.json"), self.database_path()] {
            match os::is_private(&path) {
                Ok(true) => {}
                Ok(false) => open.push(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(OpenError::io("look at", path)(error)),
            }
        }
        Ok(open)
    }

    /// Its database.
    pub fn database_path(&self) -> PathBuf {
        self.dir().join("database.sqlite")
    }

    /// Where its owner listens: `socket` in its directory, or, where that path is too long for a
    /// socket, a place of this user's among the temporary files.
    pub fn socket_path(&self) -> PathBuf {
        os::socket_path(&self.dir())
    }

    /// Makes sure the directory of [`Self::socket_path`] exists and is this user's alone.
    ///
    /// # Errors
    /// [`OpenError::Io`], also if somebody else made the directory.
    pub fn prepare_socket_dir(&self) -> Result<(), OpenError> {
        let socket = self.socket_path();
        os::prepare_socket_dir(&self.dir(), &socket)
            .map_err(OpenError::io("prepare the directory of", socket))
    }

    /// Whether there is such a profile. One that lost its key or its database is still one.
    pub fn exists(&self) -> bool {
        let dir = self.dir();
        ["database.sqlite", "key.json", "lock"].iter().any(|file| dir.join(file).exists())
    }

    /// Makes the profile and becomes its owner.
    ///
    /// # Errors
    /// [`OpenError::Exists`], [`OpenError::BadPassphrase`], or what disk and database say; no
    /// profile is made then.
    pub fn create(
        &self,
        new: &NewProfile<'_>,
        protection: &Protection<'_>,
        rng: &mut impl CryptoRngCore,
    ) -> Result<OwnedProfile, OpenError> {
        let profiles = self.data_dir.profiles_dir();
        os::create_private_dir(&profiles).map_err(OpenError::io("make the directory", &profiles))?;
        // One creation at a time: between looking for the name and taking it, nobody else does, and
        // whatever unfinished directories lie here are leftovers.
        let turn_path = profiles.join(".creating");
        let turn = os::open_lock(&turn_path).map_err(OpenError::io("open", &turn_path))?;
        turn.lock().map_err(OpenError::io("lock", &turn_path))?;
        if self.exists() {
            return Err(OpenError::Exists { name: self.name.to_string() });
        }
        remove_leftovers(&profiles);

        let building = profiles.join(format!("{MAKING}{}", self.name));
        let made = self.build(&building, new, protection, rng);
        if made.is_err() {
            // Best effort; the next creation removes what is left.
            let _ = std::fs::remove_dir_all(&building);
        }
        let (lock, key) = made?;
        std::fs::rename(&building, self.dir()).map_err(OpenError::io("rename", &building))?;
        os::sync_dir(&profiles).map_err(OpenError::io("sync", &profiles))?;
        drop(turn);
        self.owned(lock, &key)
    }

    /// Becomes the owner of the profile.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process is; [`OpenError`] says what else can be.
    pub fn open(&self, unlock: &Unlock<'_>) -> Result<OwnedProfile, OpenError> {
        let lock = self.lock()?;
        self.open_locked(lock, unlock)
    }

    /// Whether a process owns the profile right now.
    ///
    /// # Errors
    /// As [`Self::open`], [`OpenError::InUse`] excepted.
    pub fn is_owned(&self) -> Result<bool, OpenError> {
        match self.lock() {
            Ok(_) => Ok(false),
            Err(OpenError::InUse { .. }) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// Removes the profile from this machine for good: account, messages, key. Asking first is the
    /// caller's part.
    ///
    /// # Errors
    /// [`OpenError::InUse`], [`OpenError::NotFound`], or what the disk says.
    pub fn remove(&self) -> Result<(), OpenError> {
        let lock = self.lock()?;
        let profiles = self.data_dir.profiles_dir();
        let doomed = profiles.join(format!("{REMOVING}{}", self.name));
        // The key goes first: without it the rest is noise, should removing be interrupted.
        let key = self.dir().join("key.json");
        match std::fs::remove_file(&key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io("remove", key)(error));
            }
            _ => {}
        }
        let _ = std::fs::remove_file(self.socket_path());
        let _ = std::fs::remove_dir_all(&doomed);
        std::fs::rename(self.dir(), &doomed).map_err(OpenError::io("rename", self.dir()))?;
        std::fs::remove_dir_all(&doomed).map_err(OpenError::io("remove", &doomed))?;
        os::sync_dir(&profiles).map_err(OpenError::io("sync", &profiles))?;
        drop(lock);
        Ok(())
    }

    fn lock(&self) -> Result<File, OpenError> {
        // What may not be looked at is not what is not there.
        match std::fs::metadata(self.dir().join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(OpenError::io("open", self.dir())(error));
            }
            _ => {}
        }
        if !self.exists() {
            return Err(OpenError::NotFound {
                name: self.name.to_string(),
                existing: self.data_dir.profiles().unwrap_or_default(),
            });
        }
        let path = self.dir().join("lock");
        let lock = os::open_lock(&path).map_err(OpenError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { name: self.name.to_string() }),
            Err(TryLockError::Error(error)) => Err(OpenError::io("lock", path)(error)),
        }
    }

    fn build(
        &self,
        building: &Path,
        new: &NewProfile<'_>,
        protection: &Protection<'_>,
        rng: &mut impl CryptoRngCore,
    ) -> Result<(File, DatabaseKey), OpenError> {
        os::create_private_dir(building).map_err(OpenError::io("make the directory", building))?;
        let lock_path = building.join("lock");
        let lock = os::open_lock(&lock_path).map_err(OpenError::io("open", &lock_path))?;
        lock.try_lock().map_err(|error| OpenError::io("lock", &lock_path)(error.into()))?;
        let key = key_file::create(&building.join("key.json"), protection, rng)?;
        let database = building.join("database.sqlite");
        os::create_private_file(&database, &[]).map_err(OpenError::io("make", &database))?;
        // Closed before it gets its final name: SQLite finds the journal by the name it knows.
        let store = ClientStore::open(&StoreOptions::new(database), &key)?;
        store.set_account(new.phrase, new.display_name.as_str())?;
        if !new.restored {
            store.set_meta(Meta::NewAccount, b"1")?;
        }
        if let Some(network) = new.network {
            store.set_meta(Meta::NetworkFile, network.to_json().as_bytes())?;
        }
        drop(store);
        os::sync_dir(building).map_err(OpenError::io("sync", building))?;
        Ok((lock, key))
    }

    fn owned(&self, lock: File, key: &DatabaseKey) -> Result<OwnedProfile, OpenError> {
        let store = ClientStore::open_holding(&StoreOptions::new(self.database_path()), key, lock)?;
        Ok(OwnedProfile { profile: self.clone(), store })
    }
}

/// A profile this process owns: until this value and all clones of its store are dropped, or the
/// process ends.
pub struct OwnedProfile {
    profile: Profile,
    store: ClientStore,
}

impl OwnedProfile {
    /// Which profile.
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Its database. A clone keeps the profile owned.
    pub const fn store(&self) -> &ClientStore {
        &self.store
    }

    /// The profile's lock once more: keeps it owned without its database.
    pub(crate) fn lock_handle(&self) -> Result<File, OpenError> {
        self.store.lock_handle().map_err(OpenError::io("lock", self.profile.dir().join("lock")))
    }

    /// The network the profile belongs to; `None` before it was used with one.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] if what is stored is no network file.
    pub fn network(&self) -> Result<Option<NetworkFile>, OpenError> {
        let Some(bytes) = self.store.meta(Meta::NetworkFile)? else { return Ok(None) };
        NetworkFile::from_json(&bytes).map(Some).map_err(|error| OpenError::Corrupt {
            path: self.profile.database_path(),
            detail: format!("the stored network file cannot be read: {error}"),
        })
    }

    /// Uses the profile with a network: the first becomes its own, the same one with other seeds
    /// replaces what is stored, another is refused. Messages, swarms and keys of different networks
    /// have nothing to do with each other.
    ///
    /// # Errors
    /// [`OpenError::OtherNetwork`], and as [`Self::network`].
    pub fn check_network(&self, network: &NetworkFile) -> Result<(), OpenError> {
        match self.network()? {
            Some(own) if own == *network => return Ok(()),
            Some(own) if !own.same_network(network) => {
                let same_name = own.network_id == network.network_id;
                return Err(OpenError::OtherNetwork {
                    own: own.network_id,
                    other: network.network_id.clone(),
                    detail: if same_name { " of another registry key" } else { "" },
                });
            }
            _ => {}
        }
        Ok(self.store.set_meta(Meta::NetworkFile, network.to_json().as_bytes())?)
    }
}

impl std::fmt::Debug for OwnedProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnedProfile({})", self.profile.name)
    }
}

/// Removes what interrupted creations and removals left behind. Only while holding the turn.
fn remove_leftovers(profiles: &Path) {
    let Ok(entries) = std::fs::read_dir(profiles) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let leftover =
            name.to_str().is_some_and(|name| name.starts_with(MAKING) || name.starts_with(REMOVING));
        if leftover && let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "an unfinished profile could not be removed");
        }
    }
}
