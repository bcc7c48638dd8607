//! Files that are to go with the next message of a conversation: handed over already, kept aside encrypted, and in nobody else's
//! hands until they are sent. Sending takes as long as it takes to encrypt them; meanwhile the next message can be written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conclave_client::types::NewAttachment;
use conclave_client::{Error, StagedFile};
use schemars::JsonSchema;
use serde::Serialize;

use crate::file::FileKind;

/// Files of one message.
pub const MOST_FILES: usize = 32;

/// A file in the tray, as the composer shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrayFile {
    /// Its name here.
    pub id: String,
    /// What it is called.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Its MIME type, as whoever handed it over says.
    pub content_type: Option<String>,
    /// What it is shown as.
    pub kind: FileKind,
    /// It is being encrypted: the message it belongs to is sent.
    pub going: bool,
    /// Why it could not be sent, by the kind of the error; it goes with the next message.
    pub failed: Option<String>,
    /// It is sent as it is, also if it is a picture that says who took it.
    pub as_file: bool,
}

/// A file that was handed over, with what is said of it.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Its name here, which no other file has.
    pub id: String,
    /// Where it stands among the others: [`Tray::place`].
    pub place: u64,
    /// What it is to be called.
    pub name: Option<String>,
    /// Its MIME type; else what its name suggests.
    pub content_type: Option<String>,
    /// It is a voice message, which goes alone.
    pub voice: bool,
    /// It is sent as it is ([`NewAttachment::as_file`]).
    pub as_file: bool,
    /// The bytes.
    pub file: Arc<StagedFile>,
}

impl Handed {
    pub(crate) fn attachment(&self) -> NewAttachment {
        NewAttachment {
            name: self.name.clone(),
            content_type: self.content_type.clone(),
            voice: self.voice,
            as_file: self.as_file,
            ..self.file.attachment()
        }
    }

    fn shown(&self, state: &State) -> TrayFile {
        TrayFile {
            id: self.id.clone(),
            name: self.name.clone(),
            size: self.file.size(),
            content_type: self.content_type.clone(),
            kind: FileKind::of(self.content_type.as_deref(), self.voice),
            going: *state == State::Going,
            as_file: self.as_file,
            failed: if let State::Failed(kind) = state { Some(kind.clone()) } else { None },
        }
    }
}

/// How far a file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waits,
    Going,
    Failed(String),
}

/// The files of one conversation that wait to be sent. Its copies are the same tray.
#[derive(Clone, Debug, Default)]
pub struct Tray {
    files: Arc<Mutex<Vec<(Handed, State)>>>,
    places: Arc<AtomicU64>,
}

impl Tray {
    /// The place after all others: files stand in the order they were chosen in, not in that in which they came to their end.
    pub fn place(&self) -> u64 {
        self.places.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts a file in.
    ///
    /// # Errors
    /// If a message could not hold it any more.
    pub fn put(&self, file: Handed) -> Result<(), Error> {
        let mut files = self.files();
        if files.len() >= MOST_FILES {
            return Err(Error::too_many_files(files.len() + 1, MOST_FILES));
        }
        let at = files.partition_point(|(other, _)| other.place < file.place);
        files.insert(at, (file, State::Waits));
        Ok(())
    }

    /// Takes a file out; it is gone then. One that is being sent stays until it is.
    pub fn remove(&self, id: &str) {
        self.files().retain(|(file, state)| file.id != id || *state == State::Going);
    }

    /// Has a file sent as it is. Whatever was wrong with it may be right now.
    pub fn send_as_file(&self, id: &str) {
        for (file, state) in self.files().iter_mut().filter(|(file, _)| file.id == id) {
            file.as_file = true;
            if matches!(state, State::Failed(_)) {
                *state = State::Waits;
            }
        }
    }

    /// Takes all out.
    pub fn clear(&self) {
        self.files().clear();
    }

    /// A file.
    pub fn find(&self, id: &str) -> Option<Handed> {
        self.files().iter().find(|(file, _)| file.id == id).map(|(file, _)| file.clone())
    }

    /// Bytes of all.
    pub fn size(&self) -> u64 {
        self.files().iter().map(|(file, _)| file.file.size()).sum()
    }

    /// Whether it is empty and nobody else has it.
    pub fn is_unused(&self) -> bool {
        Arc::strong_count(&self.files) == 1 && self.files().is_empty()
    }

    /// Those that go with the next message.
    pub(crate) fn next(&self) -> Vec<Handed> {
        let files = self.files();
        let waits = files.iter().filter(|(file, state)| !file.voice && *state != State::Going);
        waits.map(|(file, _)| file.clone()).collect()
    }

    pub(crate) fn shown(&self) -> Vec<TrayFile> {
        let files = self.files();
        files.iter().filter(|(file, _)| !file.voice).map(|(file, state)| file.shown(state)).collect()
    }

    /// Whether some of them are being sent.
    pub(crate) fn is_busy(&self) -> bool {
        self.files().iter().any(|(_, state)| *state == State::Going)
    }

    /// These are being sent.
    pub(crate) fn begin(&self, sent: &[Handed]) {
        self.set(sent, &State::Going);
    }

    /// They are sent.
    pub(crate) fn end(&self, sent: &[Handed]) {
        self.files().retain(|(file, _)| !sent.iter().any(|one| one.id == file.id));
    }

    /// They could not be sent.
    pub(crate) fn fail(&self, sent: &[Handed], kind: &str) {
        self.set(sent, &State::Failed(kind.to_owned()));
    }

    fn set(&self, sent: &[Handed], to: &State) {
        for (file, state) in self.files().iter_mut() {
            if sent.iter().any(|one| one.id == file.id) {
                *state = to.clone();
            }
        }
    }

    fn files(&self) -> MutexGuard<'_, Vec<(Handed, State)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
