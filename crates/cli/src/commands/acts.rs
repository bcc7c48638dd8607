//! Commands that change something and wait until the network has it: `edit`, `react`, `delete`, `chat`, `contact`,
//! `settings`.

use std::path::Path;

use conclave_client::Account;
use conclave_client::types::{ContactInfo, Deletion, NewAttachment, Timer};
use serde_json::json;

use super::look::fetch_unless;
use super::messages::{read_input, short};
use super::{Context, seconds};
use crate::args::{Chat, Contact, Delete, DeleteFrom, Edit, OneChat, React, Sending, Settings, TimerMode};
use crate::failure::Failure;
use crate::output::tame_line;
use crate::secrets;

/// Muted until the owner says otherwise; far enough away, and small enough for every program that reads it.
const FOR_EVER: u64 = 253_402_300_799_000;

pub(super) async fn edit(context: &Context, args: Edit) -> Result<(), Failure> {
    let text = match args.text {
        Some(text) => text,
        None => read_input()?,
    };
    over(context, args.sending, async |session| {
        let message = session.find_message(&args.id).await?;
        Ok(session.edit(&message.id, &text).await?)
    })
    .await
}

pub(super) async fn react(context: &Context, args: React) -> Result<(), Failure> {
    over(context, args.sending, async |session| {
        let message = session.find_message(&args.id).await?;
        Ok(session.react(&message.id, &args.emoji, args.remove).await?)
    })
    .await
}

pub(super) async fn delete(context: &Context, args: Delete) -> Result<(), Failure> {
    let from = match args.from {
        DeleteFrom::ThisDevice => Deletion::ThisDevice,
        DeleteFrom::MyDevices => Deletion::MyDevices,
        DeleteFrom::Everywhere => Deletion::Everywhere,
    };
    over(context, args.sending, async |session| {
        let message = session.find_message(&args.id).await?;
        Ok(session.delete(&message.id, from).await?)
    })
    .await
}

pub(super) async fn chat(context: &Context, args: Chat) -> Result<(), Failure> {
    match args {
        Chat::Read { chat, up_to, sending } => {
            over(context, sending, async |session| {
                let message = match up_to {
                    Some(id) => Some(session.find_message(&id).await?),
                    None => session.history(&chat, 1).await?.pop(),
                };
                match message {
                    Some(message) => Ok(session.mark_read(&message.id).await?),
                    None => Ok(()),
                }
            })
            .await
        }
        Chat::Unread(one) => {
            on(context, &one, async |session, chat| session.set_unread(chat, true).await).await
        }
        Chat::Pin(one) => on(context, &one, async |session, chat| session.set_priority(chat, 1).await).await,
        Chat::Unpin(one) => {
            on(context, &one, async |session, chat| session.set_priority(chat, 0).await).await
        }
        Chat::Hide(one) => {
            on(context, &one, async |session, chat| session.set_priority(chat, -1).await).await
        }
        Chat::Mute { chat, time, sending } => {
            let until = time.map_or(FOR_EVER, |time| {
                let until = std::time::SystemTime::now() + time;
                let since = until.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(FOR_EVER)
            });
            let one = OneChat { chat, sending };
            on(context, &one, async |session, chat| session.set_muted(chat, Some(until)).await).await
        }
        Chat::Unmute(one) => {
            on(context, &one, async |session, chat| session.set_muted(chat, None).await).await
        }
        Chat::Timer { chat, mode, time, sending } => {
            let timer = timer(mode, time)?;
            let session = context.or_stopped(context.open(true)).await?;
            let done = async {
                let id = session.resolve(&chat).await?.account_id;
                let chats = session.chats().await?;
                let before = chats.into_iter().find(|known| known.chat == id).map(|known| known.timer);
                if before.unwrap_or_default() == timer {
                    let line = json!({"event": "done", "unchanged": true});
                    context.output.line(&line, || "unchanged: it is set like that already".to_owned());
                    return Ok(());
                }
                session.set_timer(&chat, timer).await?;
                sent(context, &session, sending.timeout).await
            }
            .await;
            session.close().await;
            done
        }
        Chat::Typing { chat, stop } => {
            on(context, &chat, async |session, chat| session.set_typing(chat, !stop).await).await
        }
    }
}

/// What was typed, as a timer; none of it is passed over in silence.
fn timer(mode: TimerMode, time: Option<std::time::Duration>) -> Result<Timer, Failure> {
    let wrong = |message: &str, hint: &str| Failure::usage("usage", message, hint);
    let seconds = time.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    match (mode, seconds) {
        (TimerMode::Off, None) => Ok(Timer::Off),
        (TimerMode::Off, Some(_)) => {
            Err(wrong("`off` takes no time", "leave the time out, or use `after-read` or `after-send`"))
        }
        (_, None | Some(0)) => {
            Err(wrong("messages stay a second at least", "give a longer time, or `off` to let them stay"))
        }
        (TimerMode::AfterRead, Some(seconds)) => Ok(Timer::AfterRead(seconds)),
        (TimerMode::AfterSend, Some(seconds)) => Ok(Timer::AfterSend(seconds)),
    }
}

pub(super) async fn contact(context: &Context, args: Contact) -> Result<(), Failure> {
    match args {
        Contact::List { blocked, offline } => list(context, blocked, offline).await,
        Contact::Accept(one) => on(context, &one, async |session, chat| session.accept(chat).await).await,
        Contact::Block(one) => {
            on(context, &one, async |session, chat| session.set_blocked(chat, true).await).await
        }
        Contact::Unblock(one) => {
            on(context, &one, async |session, chat| session.set_blocked(chat, false).await).await
        }
        Contact::Rename { contact, name, sending } => {
            let one = OneChat { chat: contact, sending };
            on(context, &one, async |session, chat| session.set_nickname(chat, name.as_deref()).await).await
        }
        Contact::Remove { contact, yes } => {
            if !yes && !confirmed("Erase the contact and the conversation on all your devices?")? {
                return Ok(());
            }
            on(context, &contact, async |session, chat| session.remove_contact(chat).await).await
        }
    }
}

async fn list(context: &Context, blocked: bool, offline: bool) -> Result<(), Failure> {
    let session = context.open(!offline).await?;
    let listed = async {
        fetch_unless(context, &session, offline).await?;
        let contacts = session.contacts(blocked).await?;
        for contact in &contacts {
            context.output.line(contact, || describe(contact));
        }
        if contacts.is_empty() {
            context.output.note(if blocked { "Nobody is blocked." } else { "No contacts yet." });
        }
        Ok(())
    }
    .await;
    session.close().await;
    listed
}

fn describe(contact: &ContactInfo) -> String {
    let name = match (&contact.nickname, &contact.name) {
        (Some(nickname), Some(name)) => format!("{} ({})", tame_line(nickname), tame_line(name)),
        (Some(name), None) | (None, Some(name)) => tame_line(name),
        (None, None) => short(&contact.account_id),
    };
    let waits = if contact.approved && !contact.approved_me { "  (has not answered yet)" } else { "" };
    format!("{name}{waits}\n    {}", contact.account_id)
}

pub(super) async fn settings(context: &Context, args: Settings) -> Result<(), Failure> {
    let session = context.open(false).await?;
    let shown = async {
        let mut settings = session.settings().await?;
        let before = settings.clone();
        settings.read_receipts = args.read_receipts.unwrap_or(settings.read_receipts);
        settings.typing = args.typing.unwrap_or(settings.typing);
        settings.delivery_receipts = args.delivery_receipts.unwrap_or(settings.delivery_receipts);
        if let Some(minutes) = args.auto_lock {
            settings.auto_lock = (minutes > 0).then(|| minutes.saturating_mul(60));
        }
        match args.preview_proxy.as_deref() {
            Some("off" | "none" | "") => settings.preview_proxy = None,
            Some(address) => settings.preview_proxy = Some(address.to_owned()),
            None => {}
        }
        if settings != before {
            session.set_settings(settings.clone()).await?;
        }
        let mut line = json!(settings);
        if let Some(fields) = line.as_object_mut() {
            fields.insert("event".to_owned(), "settings".into());
        }
        let word = |on: bool| if on { "on" } else { "off" };
        context.output.line(&line, || {
            format!(
                "read receipts      {}\ntyping             {}\ndelivery receipts  {}\nauto-lock          {}\n\
                 preview proxy      {}",
                word(settings.read_receipts),
                word(settings.typing),
                word(settings.delivery_receipts),
                settings
                    .auto_lock
                    .map_or_else(|| "off".to_owned(), |seconds| format!("after {} min", seconds / 60)),
                settings.preview_proxy.as_deref().unwrap_or("off"),
            )
        });
        Ok(())
    }
    .await;
    session.close().await;
    shown
}

pub(super) async fn rename_account(context: &Context, name: &str, sending: Sending) -> Result<(), Failure> {
    over(context, sending, async |session| Ok(session.set_display_name(name).await?)).await
}

/// Chooses the profile picture, or takes it away.
pub(super) async fn choose_picture(
    context: &Context,
    file: Option<&Path>,
    sending: Sending,
) -> Result<(), Failure> {
    let chosen = file.map(super::files::whole).transpose()?;
    over(context, sending, async |session| {
        match chosen {
            Some(path) => session.set_picture(NewAttachment { path, ..NewAttachment::default() }).await?,
            None => session.remove_picture().await?,
        }
        Ok(())
    })
    .await
}

/// Does something to one conversation.
async fn on(
    context: &Context,
    one: &OneChat,
    act: impl AsyncFnOnce(&Account, &str) -> Result<(), conclave_client::Error>,
) -> Result<(), Failure> {
    over(context, one.sending, async |session| Ok(act(session, &one.chat).await?)).await
}

/// Opens the profile, does something, and waits until the network has what follows from it.
async fn over(
    context: &Context,
    sending: Sending,
    act: impl AsyncFnOnce(&Account) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let session = context.or_stopped(context.open(true)).await?;
    let done = async {
        act(&session).await?;
        sent(context, &session, sending.timeout).await
    }
    .await;
    session.close().await;
    done
}

/// Waits until nothing waits, and says how it ended.
async fn sent(context: &Context, session: &Account, timeout: u64) -> Result<(), Failure> {
    let output = context.output;
    output.progress("waiting until the network has it …");
    let waited = tokio::select! {
        waited = session.wait_until_sent(seconds(timeout)) => Some(waited?),
        () = context.stop.asked() => None,
    };
    output.progress_done();
    if waited == Some(0) {
        output.line(&json!({"event": "done"}), || "done".to_owned());
        return Ok(());
    }
    let (kind, what) = match waited {
        Some(_) => ("unreachable", "it is done on this device, but the network does not have all of it yet"),
        None => ("interrupted", "it is done on this device; waiting for the network was interrupted"),
    };
    Err(Failure::unreachable(
        kind,
        what,
        "it stays queued and is sent as soon as the profile is used again and the network can be reached",
    ))
}

/// Asks on the terminal.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    secrets::confirm(question)?.ok_or_else(|| {
        Failure::usage(
            "not_confirmed",
            "this is only done after asking, and there is no terminal to ask on",
            "use --yes",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timer_is_what_was_typed_or_nothing() {
        let time = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(timer(TimerMode::Off, None).unwrap(), Timer::Off);
        assert_eq!(timer(TimerMode::AfterRead, time(5)).unwrap(), Timer::AfterRead(5));
        assert_eq!(timer(TimerMode::AfterSend, time(7)).unwrap(), Timer::AfterSend(7));
        for (mode, time) in
            [(TimerMode::Off, time(5)), (TimerMode::AfterRead, time(0)), (TimerMode::AfterSend, None)]
        {
            assert_eq!(timer(mode, time).unwrap_err().kind, "usage");
        }
    }
}
