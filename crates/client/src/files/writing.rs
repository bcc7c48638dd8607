//! Writing the content of files that are here to places on this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FileError, Trouble, export, make_folder, name_of};
use crate::client::Shared;
use crate::error::Error;
use crate::said::File;
use crate::store::{Changes, ClientStore, FileRow, FileState, StoreError};

/// What its sender says of a file.
pub(crate) async fn said_of(shared: &Shared, row: &FileRow) -> Result<Option<File>, StoreError> {
    let (id, place) = (row.message.clone(), usize::try_from(row.place).unwrap_or(usize::MAX));
    let message = shared.store.run(move |store| store.message(&id)).await?;
    Ok(message.and_then(|message| message.details.files.get(place).cloned()))
}

/// The encrypted bytes of a file, all of which are here.
pub(crate) fn blob_of(shared: &Shared, row: &FileRow) -> Result<PathBuf, FileError> {
    // One's own file is here, whether it could be sent or not.
    let is_here = matches!(row.state, FileState::Here | FileState::Sending) || row.file_key.is_some();
    let blob = row.blob.as_deref().filter(|_| is_here).ok_or(FileError::NotHere)?;
    Ok(shared.folder.blob(blob))
}

/// Writes the content of a file that is here to `to`, or into the profile's own folder, unless it is there already, and notes
/// where it is. With the store's own work: nothing of it outlives the profile's being open.
pub(crate) async fn write_out(
    shared: &Arc<Shared>,
    row: FileRow,
    file: Option<File>,
    to: Option<&Path>,
) -> Result<(), Error> {
    let now = shared.network.now();
    let unnamed = |file: &File| name_of(file.content_type.as_deref(), file.voice);
    let name = file.map(|file| file.name.clone().unwrap_or_else(|| unnamed(&file)));
    let blob = blob_of(shared, &row)?;
    let own_folder = to.is_none();
    let target = to.map_or_else(|| shared.folder.downloads().to_owned(), Path::to_owned);
    let files = Arc::clone(&shared.files);
    let work = move |store: &ClientStore| {
        // Nobody clears away what the database does not know yet, and nobody writes it a second time meanwhile.
        let _exporting = files.exporting();
        let mut made = Ok(());
        if own_folder {
            // Its message may have been deleted.
            let Some(known) = store.file_by_row(row.row)? else { return Ok(Ok(Changes::default())) };
            if let Some(path) = known.path.filter(|path| Path::new(path).is_file()) {
                return store.set_file_path(row.row, &path, now).map(Ok);
            }
            made = make_folder(&target);
        }
        match made.and_then(|()| export(&blob, &row.pointer, row.size, name.as_deref(), &target)) {
            Ok(path) => store.set_file_path(row.row, &path.to_string_lossy(), now).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    };
    // The database's own errors, and those of the file.
    shared.tell(shared.store.run(work).await??);
    Ok(())
}

/// Writes a file that somebody has asked for and that is here now.
pub(super) async fn write_wanted(shared: &Arc<Shared>, row: FileRow) -> Result<(), Trouble> {
    let number = row.row;
    let said = said_of(shared, &row).await?;
    let Err(error) = write_out(shared, row, said, None).await else { return Ok(()) };
    let (reason, now) = (error.to_string(), shared.network.now());
    let given_up = shared.store.run(move |store| store.give_up_writing(number, &reason, now)).await?;
    shared.tell(given_up);
    Ok(())
}
