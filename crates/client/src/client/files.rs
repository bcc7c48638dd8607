//! Sending and fetching files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use conclave_crypto::AccountId;
use conclave_proto::SnodeRecord;
use conclave_proto::chunk::Manifest;
use conclave_proto::file_url::FileUrl;
use conclave_proto::rpc::chunk::CHUNK_STORE;
use rand_core::OsRng;

use super::{Client, message};
use crate::error::Error;
use crate::files::{
    Description, Folder, Kept, Limits, MAX_AT_SERVER, OpenedFile, Opener, Prepared, Source, prepare,
};
use crate::network::pick;
use crate::said::File;
use crate::store::{FileRow, NewFile, OutgoingMessage, StoreError};
use crate::types::{Message, MessageId, NewAttachment, NewMessage};

/// Files of one message. (client-messages 4.6)
const MAX_FILES: usize = 32;
/// Nodes asked whether they are file servers for programs of others.
const FILE_SERVERS_ASKED: usize = 3;

/// Where the bytes of a file that is handed over are, and what opens them.
pub(super) fn source_of(file: &NewAttachment) -> Result<Source, Error> {
    let path = PathBuf::from(&file.path);
    let Some(sealed) = &file.sealed else { return Ok(Source::Plain(path)) };
    let opener = Opener::of(sealed).ok_or_else(|| Error::refused("a sealed file has a key of 32 bytes"))?;
    Ok(Source::Staged(path, opener))
}

impl Client {
    /// Queues a message, with its files encrypted into the profile's folder: nothing depends on them any more when this
    /// returns.
    ///
    /// # Errors
    /// As [`Client::send`]; and if a file cannot be read, or is too large.
    pub(crate) async fn send_new(&self, to: &AccountId, new: NewMessage) -> Result<Message, Error> {
        if new.attachments.len() > MAX_FILES {
            return Err(Error::too_many_files(new.attachments.len(), MAX_FILES));
        }
        let mut files = Vec::new();
        let mut kept = Vec::new();
        for attachment in &new.attachments {
            let (file, guard) = self.prepare(attachment).await?;
            files.push(file);
            kept.push(guard);
        }
        let sent = self.send(OutgoingMessage { files, ..new.to(*to) }).await;
        drop(kept);
        if sent.is_err() {
            // What was prepared in vain is cleared away.
            self.shared.files.changed.notify_one();
        }
        sent
    }

    async fn prepare(&self, attachment: &NewAttachment) -> Result<(NewFile, Kept), Error> {
        let limits = self.limits().await?;
        let (prepared, kept) = self.encrypt(attachment, limits).await?;
        if limits.to_server {
            // Where it is there is known when it is there.
            return Ok((prepared.new, kept));
        }
        let url = self.address_of(&prepared.manifest, prepared.deterministic).await?;
        let mut new = prepared.new;
        new.pointer.url = Some(url.to_string());
        Ok((new, kept))
    }

    /// Where others find a file, ours by its id alone.
    pub(super) async fn address_of(
        &self,
        manifest: &Manifest,
        deterministic: bool,
    ) -> Result<FileUrl, Error> {
        let (node, port) = self.file_server().await?;
        Ok(FileUrl {
            https: false,
            host: node.ip.to_string(),
            port: Some(port),
            id: manifest.id().to_string(),
            key: Some(node.ed25519),
            deterministic,
        })
    }

    /// Encrypts a file into the profile's folder, where it is kept until the guard is dropped or the database knows it.
    async fn encrypt(&self, attachment: &NewAttachment, limits: Limits) -> Result<(Prepared, Kept), Error> {
        let name = Folder::new_name();
        let kept = self.shared.files.keep(&name);
        let (folder, account) = (self.shared.folder.clone(), Arc::clone(&self.shared.account));
        let source = source_of(attachment)?;
        let description = Description {
            name: attachment.name.clone(),
            content_type: attachment.content_type.clone(),
            caption: attachment.caption.clone(),
            voice: attachment.voice,
            as_file: attachment.as_file,
            ..Description::default()
        };
        let work = move || prepare(source, &name, &folder, description, limits, &account, &mut OsRng);
        let prepared = tokio::task::spawn_blocking(work)
            .await
            .map_err(|stopped| StoreError::Bug(stopped.to_string()))??;
        Ok((prepared, kept))
    }

    /// As [`Client::send_new`] with one file, without a network that could be told of it. For tests.
    pub(crate) async fn send_unplaced(&self, to: &AccountId, file: &NewAttachment) -> Result<Message, Error> {
        let limits = Limits { max: self.shared.network.file().max_file(), to_server: false };
        let (prepared, _kept) = self.encrypt(file, limits).await?;
        let new = NewMessage::text(String::new(), String::new()).to(*to);
        self.send(OutgoingMessage { files: vec![prepared.new], ..new }).await
    }

    /// Where files go in this network, and how large they may be: to a file server if the network names one, and those of its
    /// nodes that say something say that they keep none.
    pub(super) async fn limits(&self) -> Result<Limits, Error> {
        let network = &self.shared.network;
        let max = network.file().max_file();
        let swarms = Limits { max, to_server: false };
        if network.file().file_server.is_none() {
            return Ok(swarms);
        }
        let directory = network.directory().await?;
        let mut said = false;
        for node in pick(directory.nodes(), FILE_SERVERS_ASKED) {
            match network.offers(&node, CHUNK_STORE).await {
                Ok(true) => return Ok(swarms),
                Ok(false) => said = true,
                Err(_) => {}
            }
        }
        Ok(if said { Limits { max: max.min(MAX_AT_SERVER), to_server: true } } else { swarms })
    }

    /// Bytes of the largest file, as far as is known without asking: where all nodes that have said anything keep no files, it is
    /// that of the file server.
    pub(super) fn largest_file(&self) -> u64 {
        let network = &self.shared.network;
        let max = network.file().max_file();
        match network.known_offer(CHUNK_STORE) {
            Some(false) if network.file().file_server.is_some() => max.min(MAX_AT_SERVER),
            _ => max,
        }
    }

    /// Where other programs ask for a file: at a node that says it serves them, or else at any.
    async fn file_server(&self) -> Result<(SnodeRecord, u16), Error> {
        let directory = self.shared.network.directory().await?;
        let asked = pick(directory.nodes(), FILE_SERVERS_ASKED);
        for node in &asked {
            if let Some(port) = self.shared.network.file_server_port(node).await {
                return Ok((*node, port));
            }
        }
        let any = asked.first().ok_or_else(|| Error::refused("the network has no service nodes"))?;
        Ok((*any, any.https_port))
    }

    /// Fetches a file of a message in the background; `changed` events tell when it is here. Of a message of one's own whose
    /// file could not be stored, it is here: sending the message again sends it, too.
    ///
    /// # Errors
    /// If there is no such file.
    pub async fn fetch_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        self.want_file(id, place, false).await
    }

    /// [`Self::fetch_file`], and writes its content to the profile's own folder when it is here, from which it goes when its message
    /// goes: also if whoever asked has ended by then, or the process that owns the profile was started again. `changed` events
    /// tell the path, or why there is none.
    ///
    /// # Errors
    /// If there is no such file.
    pub async fn download_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        self.want_file(id, place, true).await
    }

    async fn want_file(&self, id: &MessageId, place: u32, write: bool) -> Result<Message, Error> {
        let wanted = id.clone();
        self.shared
            .act(move |store, now| store.want_file(&wanted, place, write, now).map(|changes| ((), changes)))
            .await?;
        self.show(id).await
    }

    /// Fetches it no more, and forgets what has come of it.
    ///
    /// # Errors
    /// If there is no such file.
    pub async fn cancel_file(&self, id: &MessageId, place: u32) -> Result<Message, Error> {
        let wanted = id.clone();
        self.shared
            .act(move |store, now| store.unwant_file(&wanted, place, now).map(|changes| ((), changes)))
            .await?;
        self.show(id).await
    }

    /// Writes the content of a file that is here to `to`: a folder, where it gets a name like the one its sender gave it, or a
    /// file that does not exist. Without `to`, it is written to the profile's own folder, and goes when its message goes.
    ///
    /// # Errors
    /// If the file is not here yet, or cannot be written.
    pub async fn save_file(&self, id: &MessageId, place: u32, to: Option<&Path>) -> Result<Message, Error> {
        let (row, file) = self.file(id, place).await?;
        crate::files::write_out(&self.shared, row, file, to).await?;
        self.show(id).await
    }

    /// Where the encrypted bytes of a file that is here lie, and what opens them.
    ///
    /// # Errors
    /// If there is no such file, or it is not here yet.
    pub(crate) async fn open_file(&self, id: &MessageId, place: u32) -> Result<OpenedFile, Error> {
        let (row, file) = self.file(id, place).await?;
        Ok(OpenedFile::new(crate::files::blob_of(&self.shared, &row)?, &row.pointer, row.size, file.as_ref()))
    }

    /// A file of a message: how far it has come, and what its sender says of it.
    async fn file(&self, id: &MessageId, place: u32) -> Result<(FileRow, Option<File>), Error> {
        let wanted = id.clone();
        let row = self.shared.store.run(move |store| store.file(&wanted, place)).await?;
        let file = crate::files::said_of(&self.shared, &row).await?;
        Ok((row, file))
    }

    async fn show(&self, id: &MessageId) -> Result<Message, Error> {
        let wanted = id.clone();
        let row = self.shared.store.run(move |store| store.message(&wanted)).await?;
        row.as_ref().map(message).ok_or_else(|| Error::UnknownMessage(id.clone()))
    }
}
