//! `conclave send` and `conclave listen`.

use std::io::Read as _;

use conclave_client::preview;
use conclave_client::types::{
    Attachment, AttachmentState, Event, LinkPreview, Message, MessageId, MessageKind, MessageState,
    NewMessage, Queued, SentState, Timer,
};
use conclave_client::{Account, Error, StagedFile};
use tokio::time::Instant;

use super::acts::confirmed;
use super::files::{Fetching, FileNews, attachments, wait_until_stored};
use super::mentions::Names;
use super::{Context, seconds};
use crate::args::{Listen, Send};
use crate::failure::Failure;
use crate::output::{moment, name_of, tame, tame_line};

/// Messages that are printed and noted as printed at once.
const PAGE: u32 = 100;
/// More text than a message takes is not read.
const MAX_INPUT: u64 = 64 * 1024;

/// How long `send` waits, when the recipient's swarm has the message, for what is stored for one's own other devices.
const OWN_DEVICES: u64 = 5;

pub(super) async fn send(context: &Context, mut args: Send) -> Result<(), Failure> {
    let text = match args.text.take() {
        Some(text) => text,
        None if !args.attach.is_empty() || super::voice::is_asked(&args) => String::new(),
        None => read_input()?,
    };
    // Nothing is queued before it is open.
    let session = context.or_stopped(context.open(true)).await?;
    let result = async {
        // What is spoken is kept aside, encrypted, until it is sent.
        let voice = super::voice::taken(context, &args).await?;
        send_over(context, &session, &args, text, voice.as_ref()).await
    };
    let result = result.await;
    session.close().await;
    result
}

async fn send_over(
    context: &Context,
    session: &Account,
    args: &Send,
    text: String,
    voice: Option<&StagedFile>,
) -> Result<(), Failure> {
    let (output, timeout, no_queue) = (context.output, args.timeout, args.no_queue);
    let mut new = NewMessage::text(&args.to, text);
    if let Some(id) = &args.reply_to {
        new.reply_to = Some(session.find_message(id).await?.id);
    }
    if args.preview {
        new.preview = look_up(context, session, &new.text, args.yes).await?;
    }
    new.attachments = attachments(args, voice)?;
    if !new.attachments.is_empty() {
        output.progress("encrypting …");
    }
    let message = session.send(new).await?;
    let queued = Queued { id: message.id.clone(), chat: message.chat.clone() };
    output.line(&queued, || format!("queued  {}", queued.id));
    output.progress("waiting until the recipient's swarm has it …");
    let waited = tokio::select! {
        waited = wait_until_stored(output, session, &message, timeout) => Some(waited?),
        () = context.stop.asked() => None,
    };
    output.progress_done();
    let Some(state) = waited else {
        return Err(unsent(session, &message, no_queue, "interrupted", "the wait was interrupted").await);
    };
    if let Some(stored) = state.stored() {
        output.line(&stored, || describe_stored(&state));
        if session.is_owner() {
            // Nobody would go on with it when this process is gone.
            tokio::select! {
                waited = session.wait_until_sent(seconds(OWN_DEVICES)) => drop(waited?),
                () = context.stop.asked() => {}
            }
        }
        return Ok(());
    }
    if state.state == MessageState::Failed {
        let reason = state.reason.unwrap_or_else(|| "the network refused it".to_owned());
        return Err(Failure::failed(
            "not_sent",
            format!("the message was not sent: {reason}"),
            "send it again",
        ));
    }
    let reason = match (&state.reason, state.signed) {
        (Some(reason), _) => reason.clone(),
        (None, Some(signed)) => format!("{signed} members of the swarm have it"),
        (None, None) => format!("no answer within {timeout} s"),
    };
    Err(unsent(session, &message, no_queue, "unreachable", &reason).await)
}

/// The failure of a message that is not stored yet; takes it back if asked to.
async fn unsent(session: &Account, message: &Message, no_queue: bool, kind: &str, reason: &str) -> Failure {
    let what = format!("the message is not stored by a majority of the recipient's swarm yet: {reason}");
    if !no_queue {
        let hint =
            "it stays queued and is sent as soon as the profile is used again and the network can be reached";
        return Failure::unreachable(kind, what, hint);
    }
    match session.take_back(&message.id).await {
        Ok(SentState { state: MessageState::Failed, .. }) => Failure::unreachable(
            kind,
            what,
            "it has been taken back; send it again when the network can be reached",
        ),
        Ok(SentState { state: MessageState::Queued, .. }) => Failure::unreachable(
            kind,
            what,
            "an attempt was under way and has not ended: it stays queued, and may have arrived already",
        ),
        _ => Failure::unreachable(kind, what, "some members have it already, so it could not be taken back"),
    }
}

/// The preview of a text's first link; `None` if the user does not want it after all.
async fn look_up(
    context: &Context,
    session: &Account,
    text: &str,
    yes: bool,
) -> Result<Option<LinkPreview>, Failure> {
    let Some(host) = preview::first_link(text).and_then(preview::host) else {
        return Err(conclave_client::Error::from(preview::PreviewError::NoLink).into());
    };
    let who_sees = match session.settings().await?.preview_proxy {
        Some(proxy) => format!("Look up {host} through the proxy {proxy}?"),
        None => format!(
            "Look up {host}? It will see this machine's address, and that somebody writes about the link."
        ),
    };
    if !yes && !confirmed(&who_sees)? {
        return Ok(None);
    }
    context.output.progress("looking up the link …");
    let preview = session.look_up_preview(text).await;
    context.output.progress_done();
    Ok(Some(preview?))
}

fn describe_stored(state: &SentState) -> String {
    match (state.signed, state.swarm) {
        (Some(signed), Some(swarm)) => format!("stored  by {signed} of {swarm} service nodes"),
        _ => "stored".to_owned(),
    }
}

pub(super) fn read_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut bytes).map_err(|e| {
        Failure::failed("io", format!("reading the text from standard input: {e}"), "try again")
    })?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Failure::usage(
            "text_too_long",
            format!("the text has more than {MAX_INPUT} bytes"),
            "a message has at most 2,000 characters; split it",
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::usage(
            "text_not_utf8",
            "the text on standard input is not UTF-8",
            "convert it, for example with iconv",
        )
    })?;
    // The line break at the end is the terminal's, not the writer's.
    Ok(text
        .strip_suffix('\n')
        .map(|text| text.strip_suffix('\r').unwrap_or(text))
        .unwrap_or(&text)
        .to_owned())
}

pub(super) async fn listen(context: &Context, args: &Listen) -> Result<(), Failure> {
    let mut listening = Listening::new(args);
    let open = async || context.open(true).await;
    let tell = |told: Told<'_>| {
        match told {
            Told::Message(message, names) => context.output.line(message, || describe(message, names)),
            Told::Event(event @ (Event::Locked | Event::Unlocked)) => {
                let locked = matches!(event, Event::Locked);
                let text = if locked { "(locked; `conclave unlock` opens it)" } else { "(unlocked)" };
                context.output.line(event, || text.to_owned());
            }
            Told::Event(event) if context.output.is_json() => context.output.line(event, String::new),
            Told::Event(_) => {}
            // Scripts have the path with the message that is different.
            Told::File(news) if !context.output.is_json() => context.output.line(&(), || news.to_string()),
            Told::File(_) => {}
            Told::Owning => {
                context.output.note("The process that owned the profile has ended; this one goes on.")
            }
        }
        !context.output.reader_gone()
    };
    let result = tokio::select! {
        result = listening.follow(open, tell) => result,
        () = context.stop.asked() => Ok(()),
    };
    listening.close().await;
    result
}

/// What `listen` says.
enum Told<'a> {
    /// With the names of those who are mentioned.
    Message(&'a Message, &'a Names),
    Event(&'a Event),
    /// A file of a message was written, or could not be.
    File(&'a FileNews),
    /// The owner of the profile has ended, and this process owns it now.
    Owning,
}

/// A `listen`, which outlives the owner of its profile: when that ends, it becomes the owner, or attaches to the next one.
struct Listening {
    deadline: Option<Instant>,
    /// Messages still to be printed.
    left: u64,
    session: Option<Account>,
    /// The files of messages that are fetched along, if they are.
    fetching: Option<Fetching>,
    /// It has been told that the profile is locked.
    told_locked: bool,
    /// Printed, but perhaps not noted as printed: whoever was to note it may have ended in between.
    printed: Vec<MessageId>,
}

/// How a time with one owner ended.
enum Until {
    /// There is nothing more to do.
    Done,
    OwnerEnded,
}

impl Listening {
    fn new(args: &Listen) -> Self {
        Self {
            deadline: args.timeout.map(|timeout| Instant::now() + seconds(timeout)),
            left: args.count.unwrap_or(u64::MAX),
            session: None,
            fetching: (!args.no_download).then(Fetching::default),
            told_locked: false,
            printed: Vec::new(),
        }
    }

    /// Tells what comes, until `tell` wants no more, all that was asked for is told, or the time is over.
    async fn follow(
        &mut self,
        open: impl AsyncFn() -> Result<Account, Failure>,
        tell: impl Fn(Told<'_>) -> bool,
    ) -> Result<(), Failure> {
        let mut result = Ok(Until::OwnerEnded);
        let mut again = false;
        while let Ok(Until::OwnerEnded) = result {
            self.close().await;
            let session = self.session.insert(open().await?);
            if again && session.is_owner() {
                tell(Told::Owning);
            }
            again = true;
            result = match self.with_session(&tell).await {
                // Its owner may be gone; a session of one's own has nobody who could be.
                Err(error) if error.kind() == "owner_unreachable" && self.is_attached() => {
                    Ok(Until::OwnerEnded)
                }
                other => other,
            };
        }
        result.map(drop).map_err(Failure::from)
    }

    fn is_attached(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.is_owner())
    }

    async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }

    async fn with_session(&mut self, tell: &impl Fn(Told<'_>) -> bool) -> Result<Until, Error> {
        let Some(session) = &self.session else { return Ok(Until::OwnerEnded) };
        // Before looking, so that nothing that comes in between is missed.
        let mut events = session.events().await?;
        if let Some(fetching) = &mut self.fetching {
            // Those that came before the owner that fetched them ended.
            tell_all(tell, &fetching.look(session).await?);
        }
        loop {
            while self.left > 0 {
                // They come when it is unlocked. The process stays, or nobody would own the profile.
                if is_locked(note_printed(session, &mut self.printed).await)? {
                    break;
                }
                let page = match session.unprinted(PAGE.min(u32::try_from(self.left).unwrap_or(PAGE))).await {
                    Err(error) if error.kind() == "locked" => {
                        // It may have been before this began, of which no event tells.
                        if !std::mem::replace(&mut self.told_locked, true)
                            && !tell(Told::Event(&Event::Locked))
                        {
                            return Ok(Until::Done);
                        }
                        break;
                    }
                    page => page?,
                };
                self.told_locked = false;
                if page.is_empty() {
                    break;
                }
                let names = match Names::for_messages(session, &page).await {
                    Err(error) if error.kind() == "locked" => break,
                    names => names?,
                };
                for message in page {
                    if !tell(Told::Message(&message, &names)) {
                        // What nobody read is printed by the next one.
                        is_locked(note_printed(session, &mut self.printed).await)?;
                        return Ok(Until::Done);
                    }
                    self.left = self.left.saturating_sub(1);
                    self.printed.push(message.id.clone());
                    if let Some(fetching) = &mut self.fetching {
                        tell_all(tell, &fetching.begin(session, &message).await?);
                    }
                }
            }
            // Should it be locked, this is tried again when it is unlocked.
            is_locked(note_printed(session, &mut self.printed).await)?;
            if self.left == 0 && self.fetching.as_ref().is_none_or(Fetching::is_empty) {
                return Ok(Until::Done);
            }
            let event = match self.deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, events.next()).await {
                    Ok(event) => event,
                    Err(_) => return Ok(Until::Done),
                },
                None => events.next().await,
            };
            if let (Some(fetching), Some(Event::Missed | Event::Unlocked)) = (&mut self.fetching, &event) {
                // What became of them was told to nobody.
                tell_all(tell, &fetching.look(session).await?);
            }
            let wanted = match event {
                // Printed from the database, in the order they came there.
                Some(Event::Message(_) | Event::Missed) => true,
                Some(event) => {
                    let told = match event {
                        Event::Locked => std::mem::replace(&mut self.told_locked, true),
                        Event::Unlocked => {
                            self.told_locked = false;
                            false
                        }
                        _ => false,
                    };
                    let wanted = told || tell(Told::Event(&event));
                    if let (Some(fetching), Event::Changed(message)) = (&mut self.fetching, &event) {
                        tell_all(tell, &fetching.changed(session, message).await?);
                    }
                    wanted
                }
                None => return Ok(Until::OwnerEnded),
            };
            if !wanted {
                return Ok(Until::Done);
            }
        }
    }
}

/// Tells what became of files. Whether anybody reads it shows with the next message.
fn tell_all(tell: &impl Fn(Told<'_>) -> bool, news: &[FileNews]) {
    for one in news {
        tell(Told::File(one));
    }
}

/// Notes what was printed; what could not be noted stays to be.
async fn note_printed(session: &Account, printed: &mut Vec<MessageId>) -> Result<(), Error> {
    if !printed.is_empty() {
        session.mark_printed(printed.clone()).await?;
        printed.clear();
    }
    Ok(())
}

/// Whether something did not work because the profile is locked.
fn is_locked(result: Result<(), Error>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == "locked" => Ok(true),
        Err(error) => Err(error),
    }
}

/// A message for people.
pub(super) fn describe(message: &Message, names: &Names) -> String {
    // One's own name for somebody stands for more than what they call themselves.
    let name = match (message.from_nickname.as_ref().or(message.from_name.as_ref()), message.outgoing) {
        (_, true) => "you".to_owned(),
        (Some(name), false) => name_of(name, &short(&message.from)),
        (None, false) => short(&message.from),
    };
    let request = if message.request { "  (message request)" } else { "" };
    let state = match message.state {
        Some(MessageState::Queued) => "  [queued]",
        Some(MessageState::Failed) => "  [failed]",
        Some(MessageState::StoredWeakly) => "  [stored weakly]",
        Some(MessageState::Stored) => "  [stored]",
        Some(MessageState::Delivered) => "  [delivered]",
        Some(MessageState::Read) => "  [read]",
        _ => "",
    };
    let edited = if message.edited_at.is_some() { "  (edited)" } else { "" };
    let ahead = if message.arrived_at.is_some() {
        format!("  (came then; says {})", moment(message.sent_at))
    } else {
        String::new()
    };
    let id = message.id.as_str().get(..8).unwrap_or_default();
    let at = moment(message.stands_at());
    let mut lines = vec![format!("{at}{ahead}  {name}{request}{state}{edited}  {id}")];
    if let Some(quote) = &message.reply_to {
        lines.push(format!("    > answers {}", quote.id.as_str().get(..8).unwrap_or_default()));
    }
    let text = what(message, names);
    // Of a file alone, the file is all there is to say.
    if !text.is_empty() {
        lines.push(format!("    {text}"));
    }
    for file in &message.attachments {
        let named = named(file);
        let state = match (&file.path, file.state) {
            (Some(path), _) => format!("  {}", tame_line(path)),
            (None, AttachmentState::Fetching) => "  fetching".to_owned(),
            (None, AttachmentState::Sending) => "  sending".to_owned(),
            (None, AttachmentState::Failed) => {
                format!("  failed: {}", file.reason.as_deref().map(tame_line).unwrap_or_default())
            }
            (None, _) => String::new(),
        };
        lines.push(format!("    [{named} {} bytes]{state}", file.size));
    }
    if let Some(preview) = &message.preview {
        lines.push(format!("    [link {}]", tame_line(preview.title.as_ref().unwrap_or(&preview.url))));
    }
    if let Some(invitation) = &message.invitation {
        lines.push(format!(
            "    [invites to the community {} {}]",
            tame_line(&invitation.name),
            tame_line(&invitation.url)
        ));
    }
    let reactions: Vec<String> = message
        .reactions
        .iter()
        .map(|reaction| match reaction.from.len() {
            1 => tame_line(&reaction.emoji),
            many => format!("{} {many}", tame_line(&reaction.emoji)),
        })
        .collect();
    if !reactions.is_empty() {
        lines.push(format!("    {}", reactions.join("  ")));
    }
    if let Some(at) = message.expires_at {
        lines.push(format!("    [disappears {}]", moment(at)));
    }
    lines.join("\n")
}

/// What a file is, by name and length.
fn named(file: &Attachment) -> String {
    let kind = if file.voice { "voice message" } else { "file" };
    let name = file.name.as_deref().map(tame_line).unwrap_or_default();
    let length = file.duration_ms.map(super::voice::length).unwrap_or_default();
    let said: Vec<&str> = [kind, &name, &length].into_iter().filter(|part| !part.is_empty()).collect();
    said.join(" ")
}

/// What a list of chats says of the last message of one.
pub(super) fn in_short(message: &Message, names: &Names) -> String {
    let text = what(message, names);
    let line: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
    match message.attachments.as_slice() {
        _ if !line.is_empty() => line,
        [] => line,
        [file] => format!("[{}]", named(file)),
        files => format!("[{} files]", files.len()),
    }
}

/// A time for people, in the largest unit that says it exactly.
fn span(seconds: u32) -> String {
    const UNITS: [(u32, &str); 5] =
        [(7 * 24 * 3_600, "week"), (24 * 3_600, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = |(unit, _): &&(u32, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = UNITS.iter().find(fits).copied().unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// What a line of a chat says.
fn what(message: &Message, names: &Names) -> String {
    match message.kind {
        MessageKind::TimerChanged => match message.timer.unwrap_or_default() {
            Timer::Off => "[messages stay]".to_owned(),
            Timer::AfterRead(seconds) => {
                format!("[messages disappear {} after they were read]", span(seconds))
            }
            Timer::AfterSend(seconds) => {
                format!("[messages disappear {} after they were sent]", span(seconds))
            }
        },
        MessageKind::MissedCall => "[missed call]".to_owned(),
        MessageKind::MediaSaved => "[saved a file of yours]".to_owned(),
        MessageKind::Screenshot => "[took a picture of the screen]".to_owned(),
        MessageKind::Accepted => "[accepted the request]".to_owned(),
        MessageKind::Deleted => "[deleted]".to_owned(),
        _ => names.in_text(&tame(&message.text)),
    }
}

pub(super) fn short(account_id: &str) -> String {
    match (account_id.get(..6), account_id.get(account_id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) => format!("{start}…{end}"),
        _ => tame_line(account_id),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
    use conclave_client::{ClientOptions, accounts};
    use conclave_proto::network::NetworkFile;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn times_are_said_in_the_largest_unit_that_is_exact() {
        let said = [0, 1, 30, 60, 90, 3_600, 43_200, 86_400, 1_209_600].map(super::span);
        let expected = [
            "0 seconds",
            "1 second",
            "30 seconds",
            "1 minute",
            "90 seconds",
            "1 hour",
            "12 hours",
            "1 day",
            "2 weeks",
        ];
        assert_eq!(said, expected);
    }

    /// A profile in a network that does not answer.
    struct Place {
        data_dir: DataDir,
        profile: ProfileName,
        _dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (data_dir, profile) = (DataDir::new(dir.path()), ProfileName::new("p").unwrap());
            let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
            let file = json!({
                "network_id": "one", "registry_key": key,
                "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
                "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
            });
            let network = NetworkFile::from_json(file.to_string().as_bytes()).unwrap();
            accounts::create(&data_dir, &profile, "P", &Protection::KeyFile, Some(&network)).unwrap();
            Self { data_dir, profile, _dir: dir }
        }

        async fn open(&self) -> Result<Account, Failure> {
            let options = ClientOptions { online: false, ..ClientOptions::default() };
            Ok(Account::open(&self.data_dir, &self.profile, &Unlock::KeyFile, &options).await?)
        }
    }

    /// Ends a session from where nothing can be waited for otherwise.
    fn end(session: Account) {
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(session.close()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_listen_outlives_the_owner_of_its_profile_and_prints_each_message_once() {
        let place = Place::new();
        let owner = place.open().await.unwrap();
        owner.send_text("me", "one").await.unwrap();
        owner.send_text("me", "two").await.unwrap();
        let (owner, heard) = (RefCell::new(Some(owner)), RefCell::new(Vec::new()));
        let mut listening = Listening::new(&Listen { count: Some(4), no_download: false, timeout: None });
        let tell = |told: Told<'_>| {
            match told {
                Told::Message(message, _) => {
                    heard.borrow_mut().push(message.text.clone());
                    // Printed, and gone before that could be noted.
                    if let Some(owner) = owner.take() {
                        end(owner);
                    }
                }
                Told::File(news) => panic!("{news}"),
                Told::Owning => {
                    heard.borrow_mut().push("(owning)".to_owned());
                    // What comes now comes to this process.
                    let sending = async {
                        let other = place.open().await.unwrap();
                        assert!(!other.is_owner());
                        other.send_text("me", "three").await.unwrap();
                        other.send_text("me", "four").await.unwrap();
                    };
                    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(sending));
                }
                Told::Event(_) => {}
            }
            true
        };
        listening.follow(async || place.open().await, tell).await.unwrap();
        assert_eq!(*heard.borrow(), ["one", "two", "(owning)", "three", "four"]);
        listening.close().await;
        let next = place.open().await.unwrap();
        assert!(next.is_owner() && next.unprinted(10).await.unwrap().is_empty());
        next.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nobody_read_is_printed_by_the_next_listen() {
        let place = Place::new();
        let owner = place.open().await.unwrap();
        for text in ["one", "two", "three"] {
            owner.send_text("me", text).await.unwrap();
        }
        let heard = RefCell::new(Vec::new());
        let tell = |told: Told<'_>| {
            let Told::Message(message, _) = told else { return true };
            // The reader goes while the second is written.
            if message.text == "two" {
                return false;
            }
            heard.borrow_mut().push(message.text.clone());
            true
        };
        // Else a mistake would be a wait for ever.
        let mut listening = Listening::new(&Listen { count: None, no_download: false, timeout: Some(60) });
        listening.follow(async || place.open().await, tell).await.unwrap();
        listening.close().await;
        assert_eq!(*heard.borrow(), ["one"]);
        let left: Vec<_> =
            owner.unprinted(10).await.unwrap().into_iter().map(|message| message.text).collect();
        assert_eq!(left, ["two", "three"]);
        owner.close().await;
    }

    fn message(more: &Value) -> Message {
        let mut record = json!({
            "event": "message", "id": "3d9ecae7d90782981244d8ce8d8a4102", "chat": "05aa", "from": "05aabbccddeeff",
            "text": "Hello", "sent_at": 1_700_000_000_000_u64, "attachments": [],
        });
        for (key, value) in more.as_object().unwrap() {
            record[key] = value.clone();
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_list_of_chats_says_what_came_last_also_if_it_is_no_text() {
        let file = |name: &str| json!({"name": name, "size": 5, "state": "remote"});
        let voice = json!({"size": 5, "state": "remote", "voice": true, "duration_ms": 3_000});
        for (more, expected) in [
            (json!({"text": "one\ntwo"}), "one"),
            (json!({"text": "look", "attachments": [file("a.txt")]}), "look"),
            (json!({"text": "", "attachments": [file("a.txt")]}), "[file a.txt]"),
            (json!({"text": "", "attachments": [voice]}), "[voice message 0:03]"),
            (json!({"text": "", "attachments": [file("a"), file("b")]}), "[2 files]"),
        ] {
            assert_eq!(in_short(&message(&more), &Names::default()), expected);
        }
    }

    #[test]
    fn messages_are_printed_as_they_were_looked_at() {
        let quoted = json!({"id": "aaaabbbbccccdddd0000111122223333", "from": "05ff"});
        let reactions = json!([{"emoji": "👍", "from": ["05a", "05b"]}, {"emoji": "🎉", "from": ["05a"]}]);
        let file = json!([{"name": "cat\u{1b}[31m.png", "path": null, "size": 4711}]);
        let shown: Vec<String> = [
            json!({}),
            json!({"from_name": "Alice\u{202e}\n  now", "request": true}),
            json!({"from_name": "Alice", "from_nickname": "My sister"}),
            json!({"outgoing": true, "state": "stored_weakly", "edited_at": 1_700_000_001_000_u64}),
            json!({"text": "two\nlines\u{1b}[2J", "reply_to": quoted, "reactions": reactions}),
            json!({"attachments": file, "text": ""}),
            json!({"preview": {"url": "https://example.org/", "title": "A title"}}),
            json!({"kind": "timer_changed", "timer": {"mode": "after_read", "seconds": 3600}}),
            json!({"arrived_at": 1_600_000_000_000_u64}),
            json!({"kind": "missed_call"}),
            json!({"kind": "screenshot"}),
            json!({"kind": "media_saved"}),
            json!({"kind": "accepted"}),
            json!({"kind": "deleted", "text": ""}),
            json!({"expires_at": 1_700_000_600_000_u64, "outgoing": true, "state": "read"}),
        ]
        .iter()
        .map(|more| describe(&message(more), &Names::default()))
        .collect();
        insta::assert_snapshot!("messages", shown.join("\n"));
    }
}
