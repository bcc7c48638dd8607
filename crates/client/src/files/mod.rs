//! Files of messages on their way: encrypted here, cut into chunks, kept by swarms; and back (docs/protocol/files).
//!
//! A file that is sent is encrypted into the profile's folder first ([`prepare`]), so that nothing depends on where it lay; the
//! message waits in the outbox until a majority of each chunk's swarm has signed for it ([`upload`]). A file that is fetched
//! gathers there chunk by chunk, each checked by its hash ([`download`]). It stays encrypted; its content is written where
//! somebody wants it ([`export`]), or handed out piece by piece to who shows it ([`content`]). Who has no path to give, as a page
//! in a browser, keeps a file aside encrypted until it is sent ([`staged`]). Both ways go on after a restart where they were, hold
//! no more than some chunks in memory, and are tried again by themselves until that is of no use.

mod chunks;
mod content;
mod download;
mod export;
mod folder;
mod made;
pub(crate) mod pictures;
mod prepare;
mod renewal;
mod server;
mod staged;
mod upload;
mod writing;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use conclave_crypto::Ed25519Secret;
use conclave_proto::Timestamp;
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash, Manifest};
use rand_core::{OsRng, RngCore as _};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use chunks::ChunkError;
pub use content::{FileContent, OpenedFile};
pub(crate) use export::{export, folder as make_folder};
pub(crate) use folder::Folder;
pub(crate) use made::name_of;
pub use prepare::FileError;
pub(crate) use prepare::{Description, Limits, Prepared, Source, prepare};
pub use renewal::LONGEST as FILE_LIFE;
pub(crate) use renewal::Life;
pub(crate) use server::MAX_CONTENT as MAX_AT_SERVER;
pub(crate) use staged::Opener;
pub use staged::{StagedFile, Staging};
pub(crate) use writing::{blob_of, said_of, write_out};

use crate::client::Shared;
use crate::outbox::errand::pause_after;
use crate::store::{ClientStore, FileRow, FileState, GoneFile, Renewal, StoreError};
use crate::types::{Event, FileProgress, MessageId};

/// Files fetched or stored at once.
const AT_ONCE: usize = 2;
/// Chunks of one file on their way at once: each is in memory some three times while it is sealed.
const CHUNKS_AT_ONCE: usize = 4;
/// A file that cannot be fetched is given up after so many attempts, some hours; whoever wants it can ask again.
const MAX_FETCHES: u32 = 16;
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// What is to be deleted from swarms is forgotten after so many attempts: by then it is gone by itself.
const MAX_DELETIONS: u32 = 200;
/// After a failure of the own disk.
const AFTER_DISK_TROUBLE: Duration = Duration::from_secs(5);
/// Between one file's renewal and the next one's: they have days.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(5);
/// How often it is told how far a file has come, at most.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What the rest of the client shares with this part.
#[derive(Debug)]
pub(crate) struct Files {
    /// Something may be due.
    pub(crate) changed: Notify,
    /// Names in the folder that the database does not know yet.
    preparing: Mutex<BTreeSet<String>>,
    /// Held while content is written that the database does not know yet.
    exporting: Mutex<()>,
    /// Held while a whole file is in memory, on its way to or from a file server.
    whole: Semaphore,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            changed: Notify::default(),
            preparing: Mutex::default(),
            exporting: Mutex::default(),
            whole: Semaphore::new(1),
        }
    }
}

impl Files {
    /// Keeps a name from being cleared away until the database knows it, or the guard is dropped.
    pub(crate) fn keep(self: &Arc<Self>, name: &str) -> Kept {
        self.preparing.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Kept { of: Arc::clone(self), name: name.to_owned() }
    }

    /// Nothing is cleared away while this is held.
    pub(crate) fn exporting(&self) -> MutexGuard<'_, ()> {
        self.exporting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`Self::exporting`], unless somebody holds it.
    fn not_exporting(&self) -> Option<MutexGuard<'_, ()>> {
        match self.exporting.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn is_kept(&self, name: &str) -> bool {
        self.preparing.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// See [`Files::keep`].
pub(crate) struct Kept {
    of: Arc<Files>,
    name: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of.preparing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// Why a file did not come, or go, this time.
#[derive(Debug)]
enum Trouble {
    /// Again later: after the pause that was asked for, or after the usual one.
    Later(String, Option<Duration>),
    /// Trying again would not help.
    Never(String),
    /// Nobody wants it any more.
    Unwanted,
    /// The database failed.
    Disk(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Disk(error)
    }
}

impl From<std::io::Error> for Trouble {
    /// Of the own disk: room may come.
    fn from(error: std::io::Error) -> Self {
        Self::Later(format!("this machine's disk: {error}"), None)
    }
}

/// What is being done about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    /// The file of this row is fetched or stored.
    Move(i64),
    /// Some file's life is lengthened.
    Renew,
}

/// Fetches and stores what is due, and sleeps until something is. Ends when told to.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut working = JoinSet::new();
    let mut under_way: BTreeSet<Job> = BTreeSet::new();
    loop {
        let now = shared.network.now();
        let wait = match begin(&shared, now, &mut working, &mut under_way).await {
            Ok(next) => next.map_or(LONGEST_PAUSE, |at| at.since(shared.network.now())).min(LONGEST_PAUSE),
            Err(error) => {
                tracing::warn!(%error, "files could not be looked at");
                AFTER_DISK_TROUBLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(ended) = working.join_next(), if !working.is_empty() => {
                match ended {
                    Ok(job) => drop(under_way.remove(&job)),
                    // Which one it was is not known; all of them may be begun again: chunks twice do no harm, and what is
                    // written is looked for first.
                    Err(_) => under_way.clear(),
                }
            }
            () = shared.files.changed.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => break,
        }
    }
    working.shutdown().await;
}

async fn begin(
    shared: &Arc<Shared>,
    now: Timestamp,
    working: &mut JoinSet<Job>,
    under_way: &mut BTreeSet<Job>,
) -> Result<Option<Timestamp>, StoreError> {
    clear_away(shared).await;
    for gone in shared.store.run(move |store| store.due_gone_files(now)).await? {
        delete(shared, gone).await?;
    }
    for file in shared.store.run(move |store| store.due_files(now)).await? {
        if under_way.iter().filter(|job| matches!(job, Job::Move(_))).count() >= AT_ONCE {
            break;
        }
        let job = Job::Move(file.row);
        if under_way.insert(job) {
            let shared = Arc::clone(shared);
            working.spawn(async move {
                work_on(&shared, file).await;
                job
            });
        }
    }
    if !under_way.contains(&Job::Renew)
        && let Some(renewal) = shared.store.run(move |store| store.due_renewal(now)).await?
    {
        under_way.insert(Job::Renew);
        let shared = Arc::clone(shared);
        working.spawn(async move {
            renew(&shared, renewal).await;
            tokio::time::sleep(BETWEEN_RENEWALS).await;
            Job::Renew
        });
    }
    shared.store.run(move |store| store.next_file_due(now)).await
}

/// One attempt at a file, and what comes of it.
async fn work_on(shared: &Arc<Shared>, file: FileRow) {
    let (row, attempts, state) = (file.row, file.attempts, file.state);
    let done = match state {
        FileState::Sending => upload::upload(shared, file).await,
        // Nothing more comes of it.
        FileState::Here => match writing::write_wanted(shared, file).await {
            Err(trouble) => Err(trouble),
            Ok(()) => return,
        },
        _ => download::download(shared, file).await,
    };
    let now = shared.network.now();
    let noted = match done {
        Ok(()) => shared.store.run(move |store| store.finish_file(row, state, now)).await,
        Err(Trouble::Unwanted) => return,
        Err(Trouble::Disk(error)) => Err(error),
        Err(Trouble::Later(reason, pause)) => {
            let pause = pause.unwrap_or_else(|| pause_after(attempts, OsRng.next_u32()).min(LONGEST_PAUSE));
            let gives_up = state == FileState::Wanted && attempts + 1 >= MAX_FETCHES;
            let next = (!gives_up).then(|| now.plus(pause));
            shared.store.run(move |store| store.note_file_trouble(row, state, &reason, next, now)).await
        }
        Err(Trouble::Never(reason)) => {
            shared.store.run(move |store| store.note_file_trouble(row, state, &reason, None, now)).await
        }
    };
    match noted {
        Ok(changes) => shared.tell(changes),
        Err(error) => {
            tracing::warn!(%error, "what became of a file could not be noted; it is tried again");
            tokio::time::sleep(AFTER_DISK_TROUBLE).await;
        }
    }
}

/// Lengthens a file's life in its swarms, and notes what came of it.
async fn renew(shared: &Arc<Shared>, renewal: Renewal) {
    let Renewal { file, life, failures } = renewal;
    let (row, now) = (file.row, shared.network.now());
    let (life, renew_at, failures) = match (life.renewed(now), &file.file_key) {
        (Some(renewed), Some(key)) => match lengthen(shared, &file, &key.secret(), renewed.ends).await {
            Ok(()) => (renewed, renewed.renew_at(OsRng.next_u32()), 0),
            Err(error) => {
                tracing::debug!(%error, "a file's life is not lengthened yet");
                (life, life.retry_at(failures, shared.network.now()), failures.saturating_add(1))
            }
        },
        // It is over.
        _ => (life, None, failures),
    };
    let noted = shared.store.run(move |store| store.set_file_life(row, life, renew_at, failures)).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "what became of a renewal could not be noted; it is tried again");
        tokio::time::sleep(AFTER_DISK_TROUBLE).await;
    }
}

async fn lengthen(
    shared: &Arc<Shared>,
    file: &FileRow,
    key: &Ed25519Secret,
    until: Timestamp,
) -> Result<(), ChunkError> {
    let list = file.list().ok_or(ChunkError::Missing)?;
    let known = file.manifest.as_deref().filter(|bytes| ChunkHash::of(bytes) == list).map(<[u8]>::to_vec);
    let bytes = match known {
        Some(known) => known,
        // Another device has sent it, and nobody has fetched it here.
        None => {
            let (bytes, row) = (chunks::get(&shared.network, list).await?, file.row);
            let kept = bytes.clone();
            if let Err(error) = shared.store.run(move |store| store.set_file_list(row, &kept)).await {
                tracing::debug!(%error, "what a file consists of could not be noted");
            }
            bytes
        }
    };
    let manifest = Manifest::decode(&bytes).map_err(|_| ChunkError::Missing)?;
    chunks::change(&shared.network, &manifest, key, Some(until)).await
}

/// Asks the swarms to forget the chunks of a file.
async fn delete(shared: &Arc<Shared>, gone: GoneFile) -> Result<(), StoreError> {
    let row = gone.row;
    let list = match (&gone.manifest, gone.list) {
        (Some(list), _) => Ok(Some(list.clone())),
        (None, Some(list)) => match chunks::get(&shared.network, list).await {
            Ok(list) => Ok(Some(list)),
            // Another device was faster.
            Err(ChunkError::Missing | ChunkError::NotOffered) => Ok(None),
            Err(error) => Err(error),
        },
        (None, None) => Ok(None),
    };
    let deleted = match (list, &gone.file_key) {
        (Ok(Some(list)), Some(key)) => match Manifest::decode(&list) {
            Ok(manifest) => chunks::change(&shared.network, &manifest, &key.secret(), None).await,
            Err(_) => Ok(()),
        },
        (Err(error), _) => Err(error),
        // Nothing that could be deleted.
        _ => Ok(()),
    };
    match deleted {
        Err(error) if gone.attempts < MAX_DELETIONS => {
            tracing::debug!(%error, "a file is not deleted from its swarms yet");
            let pause = pause_after(gone.attempts, OsRng.next_u32()).min(LONGEST_PAUSE);
            let next = shared.network.now().plus(pause);
            shared.store.run(move |store| store.postpone_gone_file(row, next)).await
        }
        _ => shared.store.run(move |store| store.forget_gone_file(row)).await,
    }
}

/// Moves the chunks at these places of a file, some at a time, as long as the file is in the state it was begun in. `start` begins
/// with one; `moved` is told of each that came to its end, and says what of the file is stored now, if that is to be noted. After a failure those under way are let finish: what they have
/// moved needs not be moved again.
async fn move_chunks<F>(
    shared: &Shared,
    file: &FileRow,
    places: Vec<usize>,
    start: impl Fn(usize) -> F,
    mut moved: impl FnMut(usize) -> Option<Vec<u8>>,
) -> Result<(), Trouble>
where
    F: Future<Output = Result<(), Trouble>> + Send + 'static,
{
    let mut places = places.into_iter();
    let mut moving: JoinSet<Result<usize, Trouble>> = JoinSet::new();
    let mut trouble = None;
    loop {
        while trouble.is_none()
            && moving.len() < CHUNKS_AT_ONCE
            && let Some(place) = places.next()
        {
            let one = start(place);
            moving.spawn(async move { one.await.map(|()| place) });
        }
        let Some(ended) = moving.join_next().await else { break };
        match ended {
            Ok(Ok(place)) => {
                let (row, stored) = (file.row, moved(place));
                let look = move |store: &ClientStore| {
                    stored.map_or(Ok(()), |stored| store.set_file_stored(row, &stored))?;
                    store.file_by_row(row)
                };
                let now = shared.store.run(look).await?;
                if now.is_none_or(|now| now.state != file.state) {
                    trouble.get_or_insert(Trouble::Unwanted);
                }
            }
            Ok(Err(error)) => drop(trouble.get_or_insert(error)),
            Err(stopped) => drop(trouble.get_or_insert(Trouble::Later(stopped.to_string(), None))),
        }
    }
    trouble.map_or(Ok(()), Err)
}

/// Work with the disk, on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|stopped| Trouble::Later(stopped.to_string(), None))
}

/// Removes from the profile's folders what belongs to no message any more.
async fn clear_away(shared: &Arc<Shared>) {
    let (folder, files) = (shared.folder.clone(), Arc::clone(&shared.files));
    let cleared = shared.store.run(move |store| {
        // Somebody writes: it is cleared away when that is done.
        let Some(_exporting) = files.not_exporting() else { return Ok(()) };
        let (blobs, paths) = store.blobs_in_use()?;
        folder.clear(&blobs, &paths, |name| files.is_kept(name));
        Ok(())
    });
    if let Err(error) = cleared.await {
        tracing::debug!(%error, "the folder for files could not be cleared");
    }
}

/// Tells how far a file has come, not too often.
struct Progress<'a> {
    shared: &'a Shared,
    message: MessageId,
    place: u32,
    total: u64,
    done: u64,
    told: Option<tokio::time::Instant>,
}

impl<'a> Progress<'a> {
    fn new(shared: &'a Shared, file: &FileRow, total: u64) -> Self {
        Self { shared, message: file.message.clone(), place: file.place, total, done: 0, told: None }
    }

    /// So many bytes more.
    fn add(&mut self, bytes: usize) {
        self.done = self.done.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)).min(self.total);
        let lately = self.told.is_some_and(|at| at.elapsed() < TELL_EVERY);
        if lately && self.done < self.total {
            return;
        }
        self.told = Some(tokio::time::Instant::now());
        let _ = self.shared.events.send(Event::FileProgress(FileProgress {
            id: self.message.clone(),
            place: self.place,
            done: self.done,
            total: self.total,
        }));
    }
}

/// Bytes of a blob before the chunk at `index`.
fn offset_of(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX).saturating_mul(CHUNK_SIZE as u64)
}

#[cfg(test)]
mod tests;
