//! `conclave send` and `conclave listen`.

use std::io::Read as _;

use conclave_client::Session;
use conclave_client::preview;
use conclave_client::said::{LinkPreview, Timer};
use conclave_client::types::{Event, Message, MessageKind, MessageState, NewMessage, Queued, SentState};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::acts::confirmed;
use super::{Context, seconds};
use crate::args::{Listen, Send};
use crate::failure::Failure;
use crate::output::{moment, tame};

/// Messages that are printed and noted as printed at once.
const PAGE: u32 = 100;
/// More text than a message takes is not read.
const MAX_INPUT: u64 = 64 * 1024;

/// How long `send` waits, when the recipient's swarm has the message, for what is stored for one's own other devices.
const OWN_DEVICES: u64 = 5;

pub(super) async fn send(context: &Context, mut args: Send) -> Result<(), Failure> {
    let text = match args.text.take() {
        Some(text) => text,
        None => read_input()?,
    };
    // Nothing is queued before it is open.
    let session = context.or_stopped(context.open(true)).await?;
    let result = send_over(context, &session, &args, text).await;
    session.close().await;
    result
}

async fn send_over(context: &Context, session: &Session, args: &Send, text: String) -> Result<(), Failure> {
    let (output, timeout, no_queue) = (context.output, args.timeout, args.no_queue);
    let mut new = NewMessage::text(&args.to, text);
    if let Some(id) = &args.reply_to {
        new.reply_to = Some(session.find_message(id).await?.id);
    }
    if args.preview {
        new.preview = look_up(context, session, &new.text, args.yes).await?;
    }
    let message = session.send(new).await?;
    let queued = Queued { id: message.id.clone(), chat: message.chat.clone() };
    output.line(&queued, || format!("queued  {}", queued.id));
    output.progress("waiting until the recipient's swarm has it …");
    let waited = tokio::select! {
        waited = session.wait_for(&message.id, MessageState::Stored, seconds(timeout)) => Some(waited?),
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
async fn unsent(session: &Session, message: &Message, no_queue: bool, kind: &str, reason: &str) -> Failure {
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
    session: &Session,
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
    let session = context.or_stopped(context.open(true)).await?;
    let result = tokio::select! {
        result = listen_over(context, &session, args) => result,
        () = context.stop.asked() => Ok(()),
    };
    session.close().await;
    result
}

async fn listen_over(context: &Context, session: &Session, args: &Listen) -> Result<(), Failure> {
    let deadline = args.timeout.map(|timeout| Instant::now() + seconds(timeout));
    let mut left = args.count.unwrap_or(u64::MAX);
    // Before looking, so that nothing that comes in between is missed.
    let mut events = session.events().await?;
    loop {
        while left > 0 {
            let page = match session.unprinted(PAGE.min(u32::try_from(left).unwrap_or(PAGE))).await {
                // They come when it is unlocked. The process stays, or nobody would own the profile.
                Err(error) if error.kind() == "locked" => break,
                page => page?,
            };
            if page.is_empty() {
                break;
            }
            for message in &page {
                context.output.line(message, || describe(message));
            }
            left = left.saturating_sub(page.len() as u64);
            session.mark_printed(page.into_iter().map(|message| message.id).collect()).await?;
        }
        if left == 0 || context.output.reader_gone() {
            return Ok(());
        }
        let event = match deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline, events.recv()).await {
                Ok(event) => event,
                Err(_) => return Ok(()),
            },
            None => events.recv().await,
        };
        match event {
            // Printed from the database, in the order they came there.
            Ok(Event::Message(_)) | Err(RecvError::Lagged(_)) => {}
            Ok(event @ (Event::Locked | Event::Unlocked)) => {
                let text = if matches!(event, Event::Locked) { "(locked)" } else { "(unlocked)" };
                context.output.line(&event, || text.to_owned());
            }
            Ok(event) => {
                if context.output.is_json() {
                    context.output.line(&event, String::new);
                }
            }
            Err(RecvError::Closed) => {
                return Err(Failure::failed(
                    "owner_unreachable",
                    "the process that owns the profile has ended",
                    "run the command again",
                ));
            }
        }
    }
}

/// A message for people.
pub(super) fn describe(message: &Message) -> String {
    // Only what this account sent from here has a state.
    let name = match (&message.from_name, message.state) {
        (Some(name), _) => tame(name),
        (None, Some(_)) => "you".to_owned(),
        (None, None) => short(&message.from),
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
    let id = message.id.as_str().get(..8).unwrap_or_default();
    let mut lines = vec![format!("{}  {name}{request}{state}{edited}  {id}", moment(message.sent_at))];
    if let Some(quote) = &message.reply_to {
        lines.push(format!("    > answers {}", quote.id.as_str().get(..8).unwrap_or_default()));
    }
    lines.push(format!("    {}", what(message)));
    for file in &message.attachments {
        let kind = if file.voice { "voice message" } else { "file" };
        let name = file.name.as_deref().map(tame).unwrap_or_default();
        lines.push(format!("    [{kind} {name} {} bytes]", file.size));
    }
    if let Some(preview) = &message.preview {
        lines.push(format!("    [link {}]", tame(preview.title.as_ref().unwrap_or(&preview.url))));
    }
    if let Some(invitation) = &message.invitation {
        lines.push(format!(
            "    [invites to the community {} {}]",
            tame(&invitation.name),
            tame(&invitation.url)
        ));
    }
    let reactions: Vec<String> = message
        .reactions
        .iter()
        .map(|reaction| match reaction.from.len() {
            1 => tame(&reaction.emoji),
            many => format!("{} {many}", tame(&reaction.emoji)),
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
pub(super) fn what(message: &Message) -> String {
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
        _ => tame(&message.text),
    }
}

pub(super) fn short(account_id: &str) -> String {
    match (account_id.get(..6), account_id.get(account_id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) => format!("{start}…{end}"),
        _ => tame(account_id),
    }
}

#[cfg(test)]
mod tests {
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
}
