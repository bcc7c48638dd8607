//! Profile pictures: one's own, and those of contacts.

use std::sync::Arc;

use conclave_confsync::Picture;
use conclave_crypto::AccountId;
use rand_core::OsRng;

use super::Client;
use super::files::source_of;
use crate::error::Error;
use crate::files::{FileError, pictures};
use crate::network::NetworkError;
use crate::said::FileKey;
use crate::store::StoreError;
use crate::types::{NewAttachment, PictureContent};

impl Client {
    /// Makes the middle of a picture the account's own, on all devices: contacts see it with the next message they get.
    ///
    /// # Errors
    /// If it is no picture, or its swarms do not take it now.
    pub async fn set_picture(&self, file: &NewAttachment) -> Result<(), Error> {
        let source = source_of(file)?;
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || pictures::make(&shared, &source)).await;
        let made = made.map_err(|stopped| StoreError::Bug(stopped.to_string()))??;
        let at_server = self.limits().await?.to_server;
        let pictures::MadePicture { key, blob, encrypted, manifest, kept } = made;
        let stored = async {
            let server = self.shared.network.file().file_server.clone();
            let server = server.filter(|_| at_server);
            let stored = match server {
                Some(server) => pictures::store_at(&self.shared, &server, encrypted).await,
                None => {
                    let url = self.address_of(&manifest, false).await?;
                    let (file_key, now) = (FileKey::generate(&mut OsRng), self.shared.network.now());
                    let stored = pictures::store(&self.shared, &encrypted, &manifest, file_key, now).await;
                    stored.map(|stored| (url, stored))
                }
            };
            let (url, stored) = stored.map_err(|reason| Error::from(NetworkError::NotTaken(reason)))?;
            let picture = Picture { url: url.to_string(), key };
            self.shared
                .act(move |store, now| {
                    let here = Some((blob.as_str(), &stored));
                    store.set_own_picture(Some(&picture), here, now).map(|changes| ((), changes))
                })
                .await
        };
        let stored = stored.await;
        drop(kept);
        // What was made in vain, or is the last one's, is cleared away.
        self.shared.files.changed.notify_one();
        stored
    }

    /// Takes the account's own picture away, on all devices.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn remove_picture(&self) -> Result<(), Error> {
        self.shared
            .act(|store, now| store.set_own_picture(None, None, now).map(|changes| ((), changes)))
            .await
    }

    /// A profile picture that is here, at most so many pixels a side; `None` if there is none, or it has not come yet.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn picture(&self, of: &AccountId, side: u32) -> Result<Option<PictureContent>, Error> {
        let of = *of;
        let Some(row) = self.shared.store.run(move |store| store.picture(&of)).await? else {
            return Ok(None);
        };
        let folder = self.shared.folder.clone();
        let looked = tokio::task::spawn_blocking(move || pictures::look(&folder, &row, side)).await;
        match looked.map_err(|stopped| StoreError::Bug(stopped.to_string()))? {
            Ok(seen) => Ok(Some(PictureContent::new(seen))),
            Err(FileError::NotHere) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
