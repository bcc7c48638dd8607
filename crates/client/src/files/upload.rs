//! A prepared file goes to its swarms, chunk by chunk; the list of chunks last, so that nobody finds a part of a file. Or, where
//! swarms keep none, to the file server that the network names.

use std::sync::Arc;

use conclave_proto::chunk::{ChunkHash, Manifest};

use super::renewal::FIRST_LIFE;
use super::{Progress, Trouble, blocking, chunks, move_chunks, offset_of, server};
use crate::client::Shared;
use crate::store::FileRow;

fn lost() -> Trouble {
    Trouble::Never("what was to be sent is not on this machine any more".to_owned())
}

/// Stores what is not stored yet. What was stored before a restart is known.
pub(super) async fn upload(shared: &Arc<Shared>, file: FileRow) -> Result<(), Trouble> {
    let (Some(blob), Some(file_key)) = (&file.blob, &file.file_key) else { return Err(lost()) };
    let Some(list) = &file.manifest else { return to_server(shared, &file, blob).await };
    let manifest = Manifest::decode(list).map_err(|_| lost())?;
    let key = file_key.secret().public();
    let expiry = shared.network.now().plus(FIRST_LIFE);
    let path = shared.folder.blob(blob);
    let number = manifest.chunks().len();
    let mut stored = Bits::of(&file.stored, number);
    let mut progress = Progress::new(shared, &file, manifest.size());
    let (here, missing): (Vec<usize>, Vec<usize>) = (0..number).partition(|place| stored.has(*place));
    let size_of = |place: usize| manifest.chunk_size(place).unwrap_or(0);
    progress.add(here.into_iter().map(size_of).sum());
    let send = |place: usize| {
        let (network, path, size) = (shared.network.clone(), path.clone(), size_of(place));
        let hash = manifest.chunks().get(place).copied();
        async move {
            let hash = hash.ok_or_else(lost)?;
            let data = read_chunk(path, place, size, hash).await?;
            Ok(chunks::put(&network, hash, data, key, expiry).await?)
        }
    };
    let sent = |place: usize| {
        stored.set(place);
        progress.add(size_of(place));
        Some(stored.bytes())
    };
    move_chunks(shared, &file, missing, send, sent).await?;
    Ok(chunks::put(&shared.network, ChunkHash::of(list), list.clone(), key, expiry).await?)
}

/// Brings a whole file to the network's file server, and notes where it is: only now the message can say so.
async fn to_server(shared: &Arc<Shared>, file: &FileRow, blob: &str) -> Result<(), Trouble> {
    let named = shared.network.file().file_server.as_ref();
    let server =
        named.ok_or_else(|| Trouble::Never("this network names no file server any more".to_owned()))?;
    let path = shared.folder.blob(blob);
    let mut progress = Progress::new(shared, file, file.size);
    progress.add(0);
    // A whole file is in memory: one at a time.
    let _turn = shared.files.whole.acquire().await.map_err(|_| Trouble::Unwanted)?;
    let data = blocking(move || std::fs::read(path))
        .await?
        .map_err(|error| Trouble::Never(format!("what was to be sent cannot be read: {error}")))?;
    let url = server::put(&shared.network, server, data).await?.to_string();
    progress.add(usize::try_from(file.size).unwrap_or(usize::MAX));
    let row = file.row;
    Ok(shared.store.run(move |store| store.set_file_url(row, &url)).await?)
}

async fn read_chunk(
    path: std::path::PathBuf,
    index: usize,
    size: usize,
    hash: ChunkHash,
) -> Result<Vec<u8>, Trouble> {
    use std::os::unix::fs::FileExt as _;
    let reading = move || {
        let mut data = vec![0; size];
        std::fs::File::open(path)?.read_exact_at(&mut data, offset_of(index))?;
        Ok::<_, std::io::Error>(data)
    };
    let data = blocking(reading)
        .await?
        .map_err(|error| Trouble::Never(format!("what was to be sent cannot be read: {error}")))?;
    if ChunkHash::of(&data) != hash {
        return Err(Trouble::Never("what was to be sent is damaged on this machine's disk".to_owned()));
    }
    Ok(data)
}

/// One bit for each chunk.
struct Bits(Vec<u8>);

impl Bits {
    fn of(bytes: &[u8], number: usize) -> Self {
        let mut bits = bytes.to_vec();
        bits.resize(number.div_ceil(8), 0);
        Self(bits)
    }

    fn has(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    fn set(&mut self, index: usize) {
        if let Some(byte) = self.0.get_mut(index / 8) {
            *byte |= 1 << (index % 8);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}
