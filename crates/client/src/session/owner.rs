//! The process that owns a profile: at work, or locked.
//!
//! Locked, it goes on owning the profile and listening at its socket, so that no other process takes it, but its database is
//! closed, nothing is received or sent, and neither the database's key nor the account's are in memory. It says how it is and
//! waits for the passphrase; everything else is answered with [`Error::Locked`].

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rand_core::OsRng;
use serde_json::Value;
use tokio::sync::{Notify, RwLock, broadcast, watch};
use tokio::time::Instant;

use super::call::{self, Call, json};
use crate::client::{Client, ClientOptions, EVENT_QUEUE};
use crate::error::Error;
use crate::profile::{OwnedProfile, Profile, Protection, Unlock};
use crate::settings::SettingsChange;
use crate::types::{Event, Status};

/// How often it is looked whether the profile is to be locked for want of use. The setting can change in between.
const LOOK: Duration = Duration::from_secs(20);

/// So long what is being done has to come to its end once the profile is to be locked: a text is queued within that, whatever the
/// network does. What takes longer, as files do, is given up.
const GRACE: Duration = Duration::from_secs(5);

/// A profile this process owns.
pub(super) struct Owner {
    place: Profile,
    options: ClientOptions,
    /// Keeps the profile owned while its database is closed.
    lock: File,
    /// The same before and after a time of being locked: whoever listens goes on listening.
    events: broadcast::Sender<Event>,
    /// `None` while locked.
    client: RwLock<Option<Client>>,
    /// Ends calls that only wait, and after a while others as well.
    locking: watch::Sender<bool>,
    /// When somebody last asked for something.
    used: Mutex<Instant>,
    /// When to lock by itself may be different now.
    look: Arc<Notify>,
    watching: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Owner {
    pub(super) fn start(owned: OwnedProfile, options: ClientOptions) -> Result<Arc<Self>, Error> {
        let (place, lock) = (owned.profile().clone(), owned.lock_handle()?);
        let events = broadcast::channel(EVENT_QUEUE).0;
        let client = Client::start_telling(owned, options.clone(), events.clone())?;
        let owner = Arc::new(Self {
            place,
            options,
            lock,
            events,
            client: RwLock::new(Some(client)),
            locking: watch::channel(false).0,
            used: Mutex::new(Instant::now()),
            look: Arc::default(),
            watching: Mutex::default(),
        });
        // Must not keep the profile owned when nobody else does.
        let watching = tokio::spawn(lock_when_idle(Arc::downgrade(&owner), Arc::clone(&owner.look)));
        *owner.watching.lock().unwrap_or_else(PoisonError::into_inner) = Some(watching);
        Ok(owner)
    }

    /// The client, unless the profile is locked (or just being locked or unlocked).
    pub(super) fn client(&self) -> Option<Client> {
        self.client.try_read().ok()?.clone()
    }

    pub(super) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The recovery phrase, for whoever can unlock the profile.
    async fn phrase(&self, passphrase: Option<call::Secret>) -> Result<call::RecoveryWords, Error> {
        let place = self.place.clone();
        // A passphrase takes its time.
        let checking = move || place.check(&unlock_with(passphrase.as_ref()));
        tokio::task::spawn_blocking(checking).await.map_err(|stopped| bug(&stopped))??;
        self.touch();
        let client = self.client.read().await;
        let words = client.as_ref().ok_or_else(|| self.locked())?.phrase().await?;
        Ok(call::RecoveryWords { words: call::Secret::new(&words) })
    }

    /// Does what is asked. `used`: it is a use of the profile.
    pub(super) async fn answer(self: &Arc<Self>, mut call: Call, used: bool) -> Result<Value, Error> {
        if !call.has_whole_paths() {
            return Err(Error::refused(
                "a path is whole, from the root on: whoever asks may be in another folder",
            ));
        }
        match call {
            Call::Lock => self.lock().await.map(|()| Value::Null),
            Call::RecoveryPhrase { passphrase } => self.phrase(passphrase).await.map(json),
            Call::Unlock { passphrase } => self.unlock(passphrase).await.map(|()| Value::Null),
            Call::ChangePassphrase { present, new } => {
                self.change_passphrase(present, new).await.map(|()| Value::Null)
            }
            call => {
                let mut locking = self.locking.subscribe();
                let client = self.client.read().await;
                let Some(client) = client.as_ref() else { return self.answer_locked(&call) };
                // Looking at the state is no use of it, nor is a `listen` that prints what comes: they would keep it open for ever.
                let idle = matches!(
                    call,
                    Call::Status
                        | Call::Account
                        | Call::Subscribe
                        | Call::CheckNetwork { .. }
                        | Call::Unprinted { .. }
                        | Call::MarkPrinted { .. }
                );
                if used && !idle {
                    self.touch();
                }
                let sets_it = matches!(call, Call::SetSettings(_));
                if let Call::SetSettings(settings) = &call
                    && settings.auto_lock.is_some_and(|limit| limit > 0)
                {
                    self.check_lockable()?;
                }
                let waits = call.waits();
                let answering = call::answer(client, call);
                tokio::pin!(answering);
                let done = tokio::select! {
                    answer = &mut answering => Some(answer),
                    _ = locking.wait_for(|locking| *locking) => None,
                };
                let answer = match done {
                    Some(answer) => answer,
                    None if waits => Err(self.locked()),
                    // What is being done is not undone: whoever asked is told that it is.
                    None => {
                        let answer = tokio::time::timeout(GRACE, answering).await;
                        answer.unwrap_or_else(|_| Err(self.locked()))
                    }
                };
                if sets_it {
                    self.look.notify_one();
                }
                answer
            }
        }
    }

    fn answer_locked(&self, call: &Call) -> Result<Value, Error> {
        match call {
            Call::Status => Ok(json(Status { locked: true, ..Status::default() })),
            // Events come once it is unlocked; which network it is in, is checked with the next call.
            Call::Subscribe | Call::CheckNetwork { .. } => Ok(Value::Null),
            _ => Err(self.locked()),
        }
    }

    fn locked(&self) -> Error {
        Error::Locked { profile: self.place.name().to_string() }
    }

    /// Ends what is under way, closes the database, and forgets its key. Goes through also when nobody waits for it any more.
    async fn lock(self: &Arc<Self>) -> Result<(), Error> {
        self.check_lockable()?;
        let owner = Arc::clone(self);
        tokio::spawn(async move { owner.lock_now().await }).await.map_err(|stopped| bug(&stopped))
    }

    async fn lock_now(&self) {
        self.locking.send_replace(true);
        let mut client = self.client.write().await;
        if let Some(client) = client.take() {
            client.shutdown().await;
            drop(client);
            let _ = self.events.send(Event::Locked);
        }
        self.locking.send_replace(false);
    }

    fn check_lockable(&self) -> Result<(), Error> {
        if self.place.has_passphrase()? {
            return Ok(());
        }
        Err(Error::NotLockable { profile: self.place.name().to_string() })
    }

    async fn unlock(&self, passphrase: call::Secret) -> Result<(), Error> {
        let mut client = self.client.write().await;
        if client.is_some() {
            return Ok(());
        }
        let (place, lock) = (self.place.clone(), self.place.same_lock(&self.lock)?);
        // A passphrase takes its time.
        let opening = move || place.open_locked(lock, &Unlock::Passphrase(passphrase.as_str()));
        let owned = tokio::task::spawn_blocking(opening).await.map_err(|stopped| bug(&stopped))??;
        *client = Some(Client::start_telling(owned, self.options.clone(), self.events.clone())?);
        self.touch();
        self.look.notify_one();
        let _ = self.events.send(Event::Unlocked);
        Ok(())
    }

    /// Protects the profile otherwise. The process goes on owning it; what is asked meanwhile waits. Goes through also when nobody
    /// waits for it any more.
    async fn change_passphrase(
        self: &Arc<Self>,
        present: Option<call::Secret>,
        new: Option<call::Secret>,
    ) -> Result<(), Error> {
        let owner = Arc::clone(self);
        tokio::spawn(async move { owner.change_passphrase_now(present, new).await })
            .await
            .map_err(|stopped| bug(&stopped))?
    }

    async fn change_passphrase_now(
        &self,
        present: Option<call::Secret>,
        new: Option<call::Secret>,
    ) -> Result<(), Error> {
        // Before anything is ended, whether it can work at all.
        let (place, allowed) = (self.place.clone(), present.clone());
        let checking = move || place.check(&unlock_with(allowed.as_ref()));
        tokio::task::spawn_blocking(checking).await.map_err(|stopped| bug(&stopped))??;

        self.locking.send_replace(true);
        let mut client = self.client.write().await;
        self.locking.send_replace(false);
        let Some(former) = client.take() else { return Err(self.locked()) };
        former.shutdown().await;
        drop(former);
        let (place, lock, protected) = (self.place.clone(), self.place.same_lock(&self.lock)?, new.is_some());
        let changing = move || {
            let protection = new
                .as_ref()
                .map_or(Protection::KeyFile, |passphrase| Protection::Passphrase(passphrase.as_str()));
            let (before, after) = (unlock_with(present.as_ref()), unlock_with(new.as_ref()));
            let changed = place.change_protection_locked(&lock, &before, &protection, &mut OsRng);
            let open = |unlock: &Unlock<'_>| place.open_locked(place.same_lock(&lock)?, unlock);
            // A change that failed left it as it was, or as was asked for: whichever opens it.
            let opened =
                open(&after).or_else(|error| if changed.is_err() { open(&before) } else { Err(error) });
            (changed, opened)
        };
        let (changed, opened) =
            tokio::task::spawn_blocking(changing).await.map_err(|stopped| bug(&stopped))?;
        let start = |owned| Client::start_telling(owned, self.options.clone(), self.events.clone());
        let started = match opened.map_err(Error::from).and_then(start) {
            Ok(started) => client.insert(started),
            Err(error) => {
                let _ = self.events.send(Event::Locked);
                return Err(error);
            }
        };
        changed?;
        if !protected {
            // There is nothing left to lock it with.
            started.set_settings(SettingsChange { auto_lock: Some(0), ..SettingsChange::default() }).await?;
        }
        self.touch();
        // Whoever shows whether there is a passphrase looks again.
        let _ = self.events.send(Event::Profile);
        Ok(())
    }

    /// Ends for good.
    pub(super) async fn close(&self) {
        self.locking.send_replace(true);
        if let Some(client) = self.client.write().await.take() {
            client.shutdown().await;
        }
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody has asked for anything.
    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Locks it if it was idle for as long as its setting says; gives when to look again.
    async fn lock_if_idle(self: &Arc<Self>) -> Duration {
        let limit = match self.client.read().await.as_ref() {
            Some(client) => client.settings().await.ok().and_then(|settings| settings.auto_lock),
            None => None,
        };
        let Some(limit) = limit.filter(|limit| *limit > 0).map(|limit| Duration::from_secs(limit.into()))
        else {
            return LOOK;
        };
        match limit.checked_sub(self.idle()).filter(|left| !left.is_zero()) {
            Some(left) => left.min(LOOK),
            None => {
                if let Err(error) = self.lock().await {
                    tracing::warn!(%error, "the profile could not be locked");
                }
                LOOK
            }
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(watching) = self.watching.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watching.abort();
        }
    }
}

fn unlock_with(passphrase: Option<&call::Secret>) -> Unlock<'_> {
    passphrase.map_or(Unlock::KeyFile, |passphrase| Unlock::Passphrase(passphrase.as_str()))
}

fn bug(stopped: &tokio::task::JoinError) -> Error {
    crate::store::StoreError::Bug(stopped.to_string()).into()
}

async fn lock_when_idle(owner: Weak<Owner>, look: Arc<Notify>) {
    loop {
        let Some(present) = owner.upgrade() else { return };
        let next = present.lock_if_idle().await;
        drop(present);
        let _ = tokio::time::timeout(next, look.notified()).await;
    }
}
