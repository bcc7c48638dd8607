//! Profile pictures on their way: one's own to its swarms, and there again from time to time, so that they do not forget it; those
//! of contacts from there. They lie encrypted in the profile's folder, and are decoded, under limits, when somebody looks at them.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use conclave_confsync::Picture;
use conclave_crypto::attachment::picture;
use conclave_crypto::attachment::stream::StreamDecryptor;
use conclave_media::{MAX_PICTURE_BYTES, MediaError, Preview, preview, square};
use conclave_proto::Timestamp;
use conclave_proto::chunk::{BlobId, CHUNK_SIZE, ChunkHash, Manifest};
use conclave_proto::file_url::FileUrl;
use conclave_proto::network::FileServer;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use super::made::all_of;
use super::prepare::{FileError, Source};
use super::{Folder, Kept, Trouble, blocking, chunks, server};
use crate::client::Shared;
use crate::outbox::errand::pause_after;
use crate::said::FileKey;
use crate::store::{PictureRow, StoreError, StoredPicture};

/// Pixels of a side, as other programs make them. (client-messages 6.5)
const SIDE: u32 = 600;
/// Encrypted bytes of a picture that is fetched: other programs' may move, and have up to 5 MB.
const MAX_BLOB: u64 = 6_000_000;
/// How long swarms keep a picture, and how often it is stored again: two devices of three can be off for weeks.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 24 * 60 * 60);
/// Chunks live 90 days under one key at most (docs/protocol/files); then it is stored under another.
const KEY_LIFE: Duration = Duration::from_secs(55 * 24 * 60 * 60);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// After a failure of the own disk.
const AFTER_DISK_TROUBLE: Duration = Duration::from_secs(30);

/// A picture made for a profile: encrypted, in the folder, and what it consists of.
pub(crate) struct MadePicture {
    pub(crate) key: [u8; 32],
    /// The name of its encrypted bytes in the folder.
    pub(crate) blob: String,
    pub(crate) encrypted: Vec<u8>,
    pub(crate) manifest: Manifest,
    /// Until the database knows it.
    pub(crate) kept: Kept,
}

/// Makes a profile picture of a file: its middle, small, with nothing beside its pixels. Works with the disk.
pub(crate) fn make(shared: &Shared, source: &Source) -> Result<MadePicture, FileError> {
    let too_large = |error| match error {
        MediaError::TooLarge { is, limit, .. } => FileError::TooLarge { size: is, limit },
        other => FileError::NotAFace(other),
    };
    let bytes = all_of(source, source.size()?, MAX_PICTURE_BYTES, too_large)?;
    let made = square(&bytes, SIDE).map_err(FileError::NotAFace)?;
    // Another key for every picture: who knew the last one knows no more than that.
    let mut key = [0; 32];
    OsRng.fill_bytes(&mut key);
    let encrypted = picture::encrypt(&made.bytes, &key, &mut OsRng);
    let manifest = list_of(&encrypted).ok_or_else(|| FileError::Changed(source.path().to_owned()))?;
    let blob = Folder::new_name();
    let kept = shared.files.keep(&blob);
    write(&shared.folder, &blob, &encrypted)?;
    Ok(MadePicture { key, blob, encrypted, manifest, kept })
}

/// What a picture consists of.
fn list_of(encrypted: &[u8]) -> Option<Manifest> {
    let hashes = encrypted.chunks(CHUNK_SIZE).map(ChunkHash::of).collect();
    Manifest::new(encrypted.len() as u64, hashes)
}

fn write(folder: &Folder, blob: &str, encrypted: &[u8]) -> Result<(), FileError> {
    let path = folder.blob(blob);
    let written = folder.create(blob).and_then(|mut file| {
        file.write_all(encrypted)?;
        file.sync_all()
    });
    written.map_err(FileError::io("write", &path))
}

/// Stores a picture's chunks in their swarms, the list of them last.
pub(crate) async fn store(
    shared: &Arc<Shared>,
    encrypted: &[u8],
    manifest: &Manifest,
    file_key: FileKey,
    keyed_at: Timestamp,
) -> Result<StoredPicture, String> {
    let now = shared.network.now();
    let (key, expiry) = (file_key.secret().public(), now.plus(LIFE));
    let list = manifest.encode();
    for piece in encrypted.chunks(CHUNK_SIZE).chain([list.as_slice()]) {
        let put = chunks::put(&shared.network, ChunkHash::of(piece), piece.to_vec(), key, expiry);
        put.await.map_err(|error| error.to_string())?;
    }
    Ok(StoredPicture { chunks: Some((list, file_key)), keyed_at, again_at: now.plus(AGAIN_AFTER) })
}

/// Brings a picture to the file server that the network names; gives its address there.
pub(crate) async fn store_at(
    shared: &Arc<Shared>,
    to: &FileServer,
    encrypted: Vec<u8>,
) -> Result<(FileUrl, StoredPicture), String> {
    let url = server::put(&shared.network, to, encrypted).await.map_err(|error| error.to_string())?;
    let now = shared.network.now();
    Ok((url, StoredPicture { chunks: None, keyed_at: now, again_at: now.plus(AGAIN_AFTER) }))
}

/// What opens a picture, by its address: other programs' may be in the newer format. (client-messages 6.5)
fn open(encrypted: &[u8], of: &Picture) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let is_stream = FileUrl::parse(&of.url).is_ok_and(|url| url.deterministic);
    if !is_stream {
        return Ok(Zeroizing::new(picture::decrypt(encrypted, &of.key)?));
    }
    let mut content = Zeroizing::new(Vec::new());
    let mut decryptor = StreamDecryptor::new(&of.key);
    decryptor.update(encrypted, &mut content)?;
    decryptor.finish(&mut content)?;
    Ok(content)
}

/// A picture that is here, as somebody looks at it: at most so many pixels a side. Works with the disk, and decodes.
pub(crate) fn look(folder: &Folder, row: &PictureRow, side: u32) -> Result<Preview, FileError> {
    let path = folder.blob(row.blob.as_deref().ok_or(FileError::NotHere)?);
    let encrypted = std::fs::read(&path).map_err(FileError::io("read", &path))?;
    preview(&open(&encrypted, &row.picture)?, side.clamp(1, SIDE)).map_err(FileError::NotAFace)
}

/// Fetches the pictures of contacts and stores the own one again when it is time to. Ends when told to.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    loop {
        let wait = match attend(&shared).await {
            Ok(next) => next.map_or(LONGEST_PAUSE, |at| at.since(shared.network.now())).min(LONGEST_PAUSE),
            Err(error) => {
                tracing::warn!(%error, "pictures could not be looked at");
                AFTER_DISK_TROUBLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.pictures_changed.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn attend(shared: &Arc<Shared>) -> Result<Option<Timestamp>, StoreError> {
    let mut stopping = shared.stopping.subscribe();
    let now = shared.network.now();
    let (due, changes) = shared.store.run(move |store| store.due_pictures(now)).await?;
    shared.tell(changes);
    for row in due {
        let done = tokio::select! {
            done = attend_to(shared, &row) => done,
            _ = stopping.wait_for(|stop| *stop) => return Ok(None),
        };
        match done {
            Ok(()) => {}
            Err(Trouble::Disk(error)) => return Err(error),
            Err(trouble) => {
                tracing::debug!(?trouble, "a picture did not come or go");
                let pause = pause_after(row.attempts, OsRng.next_u32()).min(LONGEST_PAUSE);
                let (row, next) = (row.row, shared.network.now().plus(pause));
                shared.store.run(move |store| store.postpone_picture(row, next)).await?;
            }
        }
    }
    shared.store.run(|store| store.next_picture_due()).await
}

async fn attend_to(shared: &Arc<Shared>, row: &PictureRow) -> Result<(), Trouble> {
    let Some(blob) = &row.blob else { return fetch(shared, row).await };
    let path = shared.folder.blob(blob);
    let encrypted = blocking(move || std::fs::read(path)).await??;
    let manifest =
        list_of(&encrypted).ok_or_else(|| Trouble::Later("a picture is no file".to_owned(), None))?;
    let address = FileUrl::parse(&row.picture.url).ok();
    let id = address.filter(|address| !address.is_well_known()).and_then(|address| address.blob());
    if id.is_some_and(|id| id != manifest.id()) {
        return Err(Trouble::Later("the picture is damaged on this machine's disk".to_owned(), None));
    }
    let now = shared.network.now();
    // The same key, so that it can be deleted with it; as long as chunks may live under one.
    let (file_key, keyed_at) = match &row.file_key {
        Some(key) if now.since(row.keyed_at) < KEY_LIFE => (key.clone(), row.keyed_at),
        _ => (FileKey::generate(&mut OsRng), now),
    };
    let in_swarms = store(shared, &encrypted, &manifest, file_key, keyed_at).await;
    let stored = match (in_swarms, &shared.network.file().file_server) {
        // Where swarms keep no files. Its id follows from its bytes there, too: the address stays.
        (Err(_), Some(server)) => store_at(shared, server, encrypted).await.map(|(_, stored)| stored),
        (stored, _) => stored,
    };
    let stored = stored.map_err(|reason| Trouble::Later(reason, None))?;
    let row = row.clone();
    Ok(shared.store.run(move |store| store.renewed_picture(&row, &stored)).await?)
}

async fn fetch(shared: &Arc<Shared>, row: &PictureRow) -> Result<(), Trouble> {
    let address = FileUrl::parse(&row.picture.url).map_err(|error| Trouble::Never(error.to_string()))?;
    // Of the ids of other file servers, one in 256 looks like one of ours.
    let encrypted = match address.blob().filter(|_| !address.is_well_known()) {
        Some(id) => match from_swarms(shared, id).await {
            Ok(encrypted) => encrypted,
            // Who is named may be another file server with such an id.
            Err(trouble) => server::get(&shared.network, &address, MAX_BLOB).await.map_err(|_| trouble)?,
        },
        None => server::get(&shared.network, &address, MAX_BLOB).await?,
    };
    let blob = Folder::new_name();
    let _kept = shared.files.keep(&blob);
    let (folder, of, name) = (shared.folder.clone(), row.picture.clone(), blob.clone());
    // What is no picture, or one that would fill the memory, is not kept at all.
    let checking = move || -> Result<(), FileError> {
        preview(&open(&encrypted, &of)?, 1).map_err(FileError::NotAFace)?;
        write(&folder, &name, &encrypted)
    };
    blocking(checking).await?.map_err(|error| match error {
        FileError::Io { source, .. } => Trouble::from(source),
        other => Trouble::Never(other.to_string()),
    })?;
    let (row, now) = (row.clone(), shared.network.now());
    let changes =
        shared.store.run(move |store| store.finish_picture(&row, &blob, now.plus(AGAIN_AFTER), now)).await?;
    shared.tell(changes);
    Ok(())
}

/// The encrypted bytes of a picture that swarms keep.
async fn from_swarms(shared: &Arc<Shared>, id: BlobId) -> Result<Vec<u8>, Trouble> {
    let never = |reason: &str| Trouble::Never(reason.to_owned());
    let list = chunks::get(&shared.network, id.manifest()).await?;
    let manifest = Manifest::read(&id, &list).map_err(|error| Trouble::Never(error.to_string()))?;
    if manifest.size() > MAX_BLOB {
        return Err(never("the picture is larger than profile pictures are"));
    }
    let mut encrypted = Vec::new();
    for (place, hash) in manifest.chunks().iter().enumerate() {
        let chunk = chunks::get(&shared.network, *hash).await?;
        if Some(chunk.len()) != manifest.chunk_size(place) {
            return Err(never("the picture is not made of what its list says"));
        }
        encrypted.extend_from_slice(&chunk);
    }
    Ok(encrypted)
}
