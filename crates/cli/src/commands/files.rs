//! Files of messages: waiting while they are sent, fetching them, and `conclave save`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use conclave_client::types::{
    Attachment, AttachmentState, Event, FileProgress, Message, MessageId, MessageState, NewAttachment,
    SentState,
};
use conclave_client::{Account, Error, Events, StagedFile};
use serde_json::json;
use tokio::time::Instant;

use super::{Context, seconds};
use crate::args::{Save, Send};
use crate::failure::Failure;
use crate::output::{Output, tame_line};

/// Larger files come only when they are asked for.
const FETCHED_UP_TO: u64 = 100_000_000;

/// The files that are to be sent along. Paths are made whole: the process that owns the profile may run elsewhere.
pub(super) fn attachments(args: &Send, voice: Option<&StagedFile>) -> Result<Vec<NewAttachment>, Failure> {
    if let Some(staged) = voice {
        return Ok(vec![NewAttachment { voice: true, ..staged.attachment() }]);
    }
    if let Some(text) =
        args.text.as_deref().filter(|text| !args.attach.is_empty() && Path::new(text).is_file())
    {
        return Err(Failure::usage(
            "text_is_a_file",
            format!("{} is a file, and stands where the text does", tame_line(text)),
            "--attach stands before each file; if this is the text, end it with a space",
        ));
    }
    let attachment = |path: &PathBuf| {
        let (voice, as_file) = (args.voice.is_some(), args.as_file);
        Ok(NewAttachment { path: whole(path)?, voice, as_file, ..NewAttachment::default() })
    };
    args.attach.iter().chain(&args.voice).map(attachment).collect()
}

/// The whole path of a file that exists.
pub(super) fn whole(path: &Path) -> Result<String, Failure> {
    let whole = std::path::absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned));
    whole.filter(|_| path.exists()).ok_or_else(|| {
        Failure::usage(
            "no_such_file",
            format!("there is no file {}", path.display()),
            "name a file that exists; its path has to be text",
        )
    })
}

/// Waits until a message is stored, has failed, or nothing has moved for `timeout` seconds; says how far it is then.
pub(super) async fn wait_until_stored(
    output: Output,
    session: &Account,
    message: &Message,
    timeout: u64,
) -> Result<SentState, Failure> {
    if message.attachments.is_empty() {
        return Ok(session.wait_for(&message.id, MessageState::Stored, seconds(timeout)).await?);
    }
    // Before looking, so that nothing is missed in between.
    let mut events = session.events().await?;
    let mut deadline = Instant::now() + seconds(timeout);
    loop {
        let state = session.wait_for(&message.id, MessageState::Stored, seconds(0)).await?;
        if state.state >= MessageState::Stored || state.state == MessageState::Failed {
            return Ok(state);
        }
        loop {
            let Ok(event) = tokio::time::timeout_at(deadline, events.next()).await else {
                return Ok(state);
            };
            match event {
                Some(Event::FileProgress(progress)) if progress.id == message.id => {
                    deadline = Instant::now() + seconds(timeout);
                    output.progress(&moved("sending", &progress, &message.attachments));
                }
                Some(Event::State(change)) if change.id == message.id => break,
                Some(Event::Changed(changed)) if changed.id == message.id => {
                    if let Some(reason) = changed.attachments.iter().find_map(|file| file.reason.as_ref()) {
                        output.progress(&format!("waiting: {}", tame_line(reason)));
                    }
                    break;
                }
                Some(Event::Missed) | None => break,
                Some(_) => {}
            }
        }
    }
}

/// A line that says how far a file is.
fn moved(doing: &str, progress: &FileProgress, files: &[Attachment]) -> String {
    let name = usize::try_from(progress.place).ok().and_then(|place| files.get(place)?.name.as_deref());
    let percent = progress.done.saturating_mul(100).checked_div(progress.total).unwrap_or(100);
    format!(
        "{doing} {} … {percent} % of {}",
        name.map(tame_line).unwrap_or_default(),
        crate::output::bytes(progress.total)
    )
}

/// What became of a file that `listen` fetched.
pub(super) enum FileNews {
    Written(String),
    Failed { name: Option<String>, reason: String },
}

impl std::fmt::Display for FileNews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Written(path) => write!(f, "    [file {}]", tame_line(path)),
            Self::Failed { name, reason } => {
                let name = name.as_deref().map(tame_line).unwrap_or_default();
                write!(f, "    [file {name} failed: {}]", tame_line(reason))
            }
        }
    }
}

/// What `listen` fetches by itself.
#[derive(Default)]
pub(super) struct Fetching(BTreeSet<(MessageId, u32)>);

impl Fetching {
    /// Whether nothing is still to come.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks for the files of a message, unless they are a stranger's or very large.
    pub(super) async fn begin(
        &mut self,
        session: &Account,
        message: &Message,
    ) -> Result<Vec<FileNews>, Error> {
        let wanted = |file: &Attachment| {
            !message.request
                && file.path.is_none()
                && file.size <= FETCHED_UP_TO
                && file.state != AttachmentState::Sending
        };
        let places = (0..).zip(&message.attachments).filter(|(_, file)| wanted(file));
        self.0.extend(places.map(|(place, _)| (message.id.clone(), place)));
        self.go_on(session, message, true).await
    }

    /// A message is different: writes what has come, and says what has been written since.
    pub(super) async fn changed(
        &mut self,
        session: &Account,
        message: &Message,
    ) -> Result<Vec<FileNews>, Error> {
        self.go_on(session, message, false).await
    }

    /// Does what is next about the files of a message. With `asks`, what is elsewhere is asked for; else somebody does not want
    /// it fetched.
    async fn go_on(
        &mut self,
        session: &Account,
        message: &Message,
        asks: bool,
    ) -> Result<Vec<FileNews>, Error> {
        let mut news = Vec::new();
        for (place, file) in (0..).zip(&message.attachments) {
            let key = (message.id.clone(), place);
            if !self.0.contains(&key) {
                continue;
            }
            let (name, reason) = (file.name.clone(), file.reason.clone().unwrap_or_default());
            let done = match (file.state, &file.path) {
                (AttachmentState::Here, Some(path)) => {
                    self.0.remove(&key);
                    news.push(FileNews::Written(path.clone()));
                    continue;
                }
                (AttachmentState::Here, None) if !asks && file.reason.is_some() => {
                    self.0.remove(&key);
                    news.push(FileNews::Failed { name, reason });
                    continue;
                }
                // The owner of the profile writes it, also if nobody listens any more; its path comes with the event.
                (AttachmentState::Here, None) | (AttachmentState::Remote | AttachmentState::Fetching, _)
                    if asks =>
                {
                    session.download_file(&message.id, place).await
                }
                (AttachmentState::Remote, _) => {
                    self.0.remove(&key);
                    continue;
                }
                (AttachmentState::Failed, _) => {
                    self.0.remove(&key);
                    news.push(FileNews::Failed { name, reason });
                    continue;
                }
                _ => continue,
            };
            match done {
                Ok(_) => {}
                // It is looked at again when the profile is unlocked.
                Err(error) if error.kind() == "locked" => {}
                Err(error) if error.kind() == "owner_unreachable" => return Err(error),
                Err(error) => {
                    self.0.remove(&key);
                    news.push(FileNews::Failed { name, reason: error.to_string() });
                }
            }
        }
        Ok(news)
    }

    /// Looks at everything that is still to come.
    pub(super) async fn look(&mut self, session: &Account) -> Result<Vec<FileNews>, Error> {
        let ids: BTreeSet<MessageId> = self.0.iter().map(|(id, _)| id.clone()).collect();
        let mut news = Vec::new();
        for id in ids {
            match session.find_message(id.as_str()).await {
                Ok(message) => news.extend(self.go_on(session, &message, true).await?),
                // It is gone, and its files with it.
                Err(error) if error.kind() == "unknown_message" => self.0.retain(|(other, _)| *other != id),
                Err(error) if error.kind() == "locked" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(news)
    }
}

pub(super) async fn save(context: &Context, args: Save) -> Result<(), Failure> {
    let session = context.or_stopped(context.open(true)).await?;
    let result = context.or_stopped(save_over(context, &session, &args)).await;
    session.close().await;
    context.output.progress_done();
    result
}

async fn save_over(context: &Context, session: &Account, args: &Save) -> Result<(), Failure> {
    let message = session.find_message(&args.id).await?;
    let number = u32::try_from(message.attachments.len()).unwrap_or(u32::MAX);
    let places = match args.number {
        None => 0..number,
        Some(wanted) if (1..=number).contains(&wanted) => wanted - 1..wanted,
        Some(_) => {
            return Err(Failure::usage(
                "no_such_file",
                format!("the message has {number} files"),
                "`history` shows them; they are counted from 1",
            ));
        }
    };
    if places.is_empty() {
        return Err(Failure::usage(
            "no_such_file",
            "the message has no files",
            "`history` shows messages with theirs",
        ));
    }
    let to = std::path::absolute(&args.to).unwrap_or_else(|_| args.to.clone());
    if places.len() > 1 {
        folder(&to)?;
    }
    let mut events = session.events().await?;
    for place in places {
        let message = fetched(context.output, session, &mut events, &message.id, place, args.timeout).await?;
        let (path, name) = save_one(session, &message, place, &to).await?;
        let saved = json!({
            "event": "saved", "id": message.id, "place": place, "number": place + 1, "path": path, "name": name,
        });
        context.output.progress_done();
        context.output.line(&saved, || format!("saved  {}", path.display()));
    }
    Ok(())
}

/// Several files go into a folder, which is made if it is not there.
fn folder(to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(|error| {
        Failure::failed(
            "file",
            format!("the folder {} cannot be made: {error}", to.display()),
            "name another place with --to; several files go into a folder",
        )
    })
}

async fn save_one(
    session: &Account,
    message: &Message,
    place: u32,
    to: &Path,
) -> Result<(PathBuf, Option<String>), Failure> {
    let text = to.to_str().ok_or_else(|| {
        Failure::usage("bad_path", format!("{} is not text", to.display()), "name another place")
    })?;
    let saved = session.save_file(&message.id, place, Some(text)).await?;
    let position = usize::try_from(place).unwrap_or(usize::MAX);
    let file = saved.attachments.get(position);
    let path = file.and_then(|file| file.path.clone());
    let path = path.ok_or_else(|| conclave_client::Error::bug("a file was saved and is nowhere"))?;
    Ok((PathBuf::from(path), file.and_then(|file| file.name.clone())))
}

/// Waits until a file is here.
async fn fetched(
    output: Output,
    session: &Account,
    events: &mut Events,
    id: &MessageId,
    place: u32,
    timeout: u64,
) -> Result<Message, Failure> {
    let position = usize::try_from(place).unwrap_or(usize::MAX);
    let mut message = session.fetch_file(id, place).await?;
    let mut deadline = Instant::now() + seconds(timeout);
    loop {
        let file = message.attachments.get(position);
        let reason = file.and_then(|file| file.reason.clone());
        match file.map(|file| file.state) {
            Some(AttachmentState::Here | AttachmentState::Sending) => return Ok(message),
            Some(AttachmentState::Failed) => {
                return Err(Failure::failed(
                    "not_fetched",
                    format!(
                        "the file could not be fetched: {}",
                        reason.as_deref().map(tame_line).unwrap_or_default()
                    ),
                    "run the command again; a file whose time is over does not come back",
                ));
            }
            _ => {}
        }
        match tokio::time::timeout_at(deadline, events.next()).await {
            Ok(Some(Event::FileProgress(progress))) if progress.id == *id && progress.place == place => {
                deadline = Instant::now() + seconds(timeout);
                output.progress(&moved("fetching", &progress, &message.attachments));
            }
            Ok(Some(Event::Changed(changed))) if changed.id == *id => message = changed,
            Ok(Some(Event::Missed)) => message = session.find_message(id.as_str()).await?,
            Ok(Some(_)) => {}
            Ok(None) => {
                return Err(Failure::failed(
                    "owner_unreachable",
                    "the process that owns the profile has ended",
                    "run the command again; what has been fetched is kept",
                ));
            }
            Err(_) => {
                let why = reason.map_or_else(|| format!("nothing came for {timeout} s"), |it| tame_line(&it));
                return Err(Failure::unreachable(
                    "unreachable",
                    format!("the file is not here yet: {why}"),
                    "it goes on as soon as the profile is used again; run the command again",
                ));
            }
        }
    }
}
