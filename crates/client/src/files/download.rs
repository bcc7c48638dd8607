//! A file comes from its swarms, chunk by chunk, each checked by its hash; what is here already is not fetched again. Or it comes
//! from the file server that its address names, as a whole.

use std::fs::File as DiskFile;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use conclave_proto::chunk::{BlobId, CHUNK_SIZE, ChunkHash, Manifest};
use conclave_proto::file_url::FileUrl;

use super::chunks::ChunkError;
use super::export::verify;
use super::folder::Folder;
use super::server::{self, ServerError};
use super::{Progress, Trouble, blocking, chunks, move_chunks, offset_of};
use crate::client::Shared;
use crate::store::FileRow;

/// What encryption and padding may add to a file of `size` bytes: a twentieth of it, and some more for small ones.
const fn largest_blob(size: u64) -> u64 {
    size.saturating_add(size / 16).saturating_add(64 * 1024)
}

/// Fetches a file, or what is missing of it.
pub(super) async fn download(shared: &Arc<Shared>, file: FileRow) -> Result<(), Trouble> {
    let address = file.pointer.url.as_deref().and_then(|url| FileUrl::parse(url).ok());
    let address =
        address.ok_or_else(|| Trouble::Never("the message does not say where the file is".to_owned()))?;
    // Of the ids of other file servers, one in 256 looks like one of ours.
    let Some(id) = address.blob().filter(|_| !address.is_well_known()) else {
        return from_server(shared, file, &address, Trouble::from).await;
    };
    match list_of_chunks(shared, &file, id).await {
        Ok(manifest) => from_swarms(shared, file, manifest).await,
        // Nobody here has it. Who is named may be another file server with such an id; if it does not have it either, the
        // swarm's word counts, whose members may come back.
        Err(NoList::Missing(missing)) => {
            let refused = |error| match error {
                ServerError::TooLarge { .. } => Trouble::from(error),
                _ => missing,
            };
            from_server(shared, file, &address, refused).await
        }
        Err(NoList::NotOffered) => from_server(shared, file, &address, Trouble::from).await,
        Err(NoList::Other(trouble)) => Err(trouble),
    }
}

/// Fetches a whole file from a file server, and keeps it if it is the one that was announced.
async fn from_server(
    shared: &Arc<Shared>,
    mut file: FileRow,
    address: &FileUrl,
    refused: impl FnOnce(ServerError) -> Trouble,
) -> Result<(), Trouble> {
    let blob = name_of(shared, &mut file, None).await?;
    let (path, pointer, size) = (shared.folder.blob(&blob), file.pointer.clone(), file.size);
    let (at, checked) = (path.clone(), pointer.clone());
    if blocking(move || verify(&at, &checked, size)).await?.is_ok() {
        // It came before a restart.
        return Ok(());
    }
    let mut progress = Progress::new(shared, &file, size);
    progress.add(0);
    // A whole file is in memory: one at a time.
    let _turn = shared.files.whole.acquire().await.map_err(|_| Trouble::Unwanted)?;
    let data = server::get(&shared.network, address, largest_blob(size)).await.map_err(refused)?;
    let folder = shared.folder.clone();
    let writing = move || -> std::io::Result<()> {
        let disk = folder.open_to_fill(&blob)?;
        disk.set_len(u64::try_from(data.len()).unwrap_or(u64::MAX))?;
        disk.write_all_at(&data, 0)?;
        disk.sync_all()
    };
    blocking(writing).await??;
    progress.add(usize::try_from(size).unwrap_or(usize::MAX));
    let verified = blocking(move || verify(&path, &pointer, size)).await?;
    verified.map_err(|error| Trouble::Never(error.to_string()))
}

/// Under which name a file is gathered.
async fn name_of(shared: &Arc<Shared>, file: &mut FileRow, list: Option<Vec<u8>>) -> Result<String, Trouble> {
    if let Some(blob) = &file.blob {
        return Ok(blob.clone());
    }
    let blob = Folder::new_name();
    // So that it is not cleared away before the database knows it.
    let _kept = shared.files.keep(&blob);
    let (row, name) = (file.row, blob.clone());
    shared.store.run(move |store| store.set_file_blob(row, &name, list.as_deref())).await?;
    file.blob = Some(blob.clone());
    Ok(blob)
}

/// Fetches what is missing of a file that is kept in swarms.
async fn from_swarms(shared: &Arc<Shared>, mut file: FileRow, manifest: Manifest) -> Result<(), Trouble> {
    let blob = name_of(shared, &mut file, Some(manifest.encode())).await?;
    let (folder, list) = (shared.folder.clone(), manifest.clone());
    let opening = move || -> std::io::Result<(DiskFile, Vec<usize>)> {
        let disk = folder.open_to_fill(&blob)?;
        let missing = missing_of(&disk, &list)?;
        Ok((disk, missing))
    };
    let (disk, missing) = blocking(opening).await??;
    let disk = Arc::new(disk);
    let mut progress = Progress::new(shared, &file, manifest.size());
    let size_of = |place: usize| manifest.chunk_size(place).unwrap_or(0);
    let here = (0..manifest.chunks().len()).filter(|place| missing.binary_search(place).is_err());
    progress.add(here.map(size_of).sum());
    let fetch = |place: usize| {
        let (network, disk, size) = (shared.network.clone(), Arc::clone(&disk), size_of(place));
        let hash = manifest.chunks().get(place).copied();
        async move {
            let other = || Trouble::Never("the file is not made of what its list says".to_owned());
            let data = chunks::get(&network, hash.ok_or_else(other)?).await?;
            if data.len() != size {
                // A list that says so was made by whoever sent the file.
                return Err(other());
            }
            Ok(blocking(move || disk.write_all_at(&data, offset_of(place))).await??)
        }
    };
    let fetched = |place: usize| {
        progress.add(size_of(place));
        None
    };
    move_chunks(shared, &file, missing, fetch, fetched).await?;
    // What is said to be here is on the disk.
    blocking(move || disk.sync_all()).await??;
    let path = shared.folder.blob(file.blob.as_deref().unwrap_or_default());
    let checked = blocking(move || verify(&path, &file.pointer, file.size)).await?;
    checked.map_err(|error| Trouble::Never(error.to_string()))
}

/// Why it is not known what a file consists of.
enum NoList {
    /// The swarm does not have the list.
    Missing(Trouble),
    /// The nodes keep no files.
    NotOffered,
    Other(Trouble),
}

impl From<ChunkError> for NoList {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Missing => Self::Missing(error.into()),
            ChunkError::NotOffered => Self::NotOffered,
            error => Self::Other(error.into()),
        }
    }
}

/// What the file consists of, from an earlier attempt or from the swarm.
async fn list_of_chunks(shared: &Arc<Shared>, file: &FileRow, id: BlobId) -> Result<Manifest, NoList> {
    let known = file.manifest.as_deref().and_then(|list| Manifest::read(&id, list).ok());
    let manifest = match known {
        Some(known) => known,
        None => {
            let list = chunks::get(&shared.network, id.manifest()).await?;
            let read = Manifest::read(&id, &list);
            read.map_err(|error| NoList::Other(Trouble::Never(error.to_string())))?
        }
    };
    // What somebody agreed to fetch is what the message said.
    if manifest.size() > largest_blob(file.size) {
        let (size, announced) = (manifest.size(), file.size);
        let larger = format!("the file is larger than its message says: {size} bytes instead of {announced}");
        return Err(NoList::Other(Trouble::Never(larger)));
    }
    Ok(manifest)
}

/// Which chunks are not here, or are damaged; in order.
fn missing_of(disk: &DiskFile, manifest: &Manifest) -> std::io::Result<Vec<usize>> {
    let length = disk.metadata()?.len();
    let mut buffer = vec![0; CHUNK_SIZE];
    let mut missing = Vec::new();
    for (index, hash) in manifest.chunks().iter().enumerate() {
        let size = manifest.chunk_size(index).unwrap_or(0);
        let end = offset_of(index).saturating_add(size as u64);
        let chunk = buffer.get_mut(..size).unwrap_or_default();
        let is_here = end <= length
            && disk.read_exact_at(chunk, offset_of(index)).is_ok()
            && ChunkHash::of(chunk) == *hash;
        if !is_here {
            missing.push(index);
        }
    }
    Ok(missing)
}
