//! Rows and changes of the database as faces and scripts get them.

use crate::store::{Changes, ChatRow, Contact, FileState, MessageRow, RowKind, SearchPage};
use crate::types::{
    Attachment, AttachmentState, ChatSummary, ContactInfo, Deleted, Draft, Event, Hit, Message, MessageKind,
    Quote, ReactionInfo, SearchResult, StateChange, Typing,
};

/// What listeners are told of a transaction, in this order: what is gone, what is new, what is different.
pub(super) fn events(changes: Changes) -> Vec<Event> {
    let mut events = Vec::new();
    let deleted = changes.deleted.into_iter();
    events.extend(deleted.map(|(chat, id)| Event::Deleted(Deleted { id, chat: chat.to_hex() })));
    events.extend(changes.shown.iter().map(|row| Event::Message(message(row))));
    events.extend(changes.updated.iter().map(|row| Event::Changed(message(row))));
    events.extend(changes.states.iter().filter_map(state).map(Event::State));
    let typing = changes.typing.into_iter();
    events.extend(typing.map(|(chat, typing)| Event::Typing(Typing { chat: chat.to_hex(), typing })));
    events.extend(changes.chats.iter().map(|chat| Event::Chat { chat: chat.to_hex() }));
    if changes.profile {
        events.push(Event::Profile);
    }
    events
}

fn state(row: &MessageRow) -> Option<StateChange> {
    Some(StateChange {
        id: row.id.clone(),
        chat: row.chat.to_hex(),
        state: row.state?,
        signed: row.signed,
        swarm: row.swarm,
        reason: row.reason.clone(),
    })
}

/// A message as faces and scripts get it.
pub(crate) fn message(row: &MessageRow) -> Message {
    let file = |(place, file): (usize, &crate::said::File)| {
        let known = row.files.iter().find(|known| usize::try_from(known.place) == Ok(place));
        Attachment {
            name: file.name.clone(),
            path: known.and_then(|known| known.path.clone()),
            size: file.size,
            content_type: file.content_type.clone(),
            voice: file.voice,
            caption: file.caption.clone(),
            width: file.width,
            height: file.height,
            duration_ms: file.duration_ms,
            state: known.map_or(AttachmentState::Remote, |known| match known.state {
                FileState::Elsewhere => AttachmentState::Remote,
                FileState::Wanted => AttachmentState::Fetching,
                FileState::Here => AttachmentState::Here,
                FileState::Sending => AttachmentState::Sending,
                FileState::Failed => AttachmentState::Failed,
            }),
            reason: known.and_then(|known| known.reason.clone()),
        }
    };
    Message {
        id: row.id.clone(),
        chat: row.chat.to_hex(),
        from: row.author.to_hex(),
        text: row.text.clone(),
        sent_at: row.sent_at.as_millis(),
        arrived_at: row.from_the_future.then(|| row.arrived_at.as_millis()),
        attachments: row.details.files.iter().enumerate().map(file).collect(),
        outgoing: row.outgoing,
        request: row.request,
        state: row.state,
        from_name: row.author_name.clone(),
        from_nickname: row.author_nickname.clone(),
        kind: match row.kind {
            RowKind::Post => MessageKind::Text,
            RowKind::TimerChanged => MessageKind::TimerChanged,
            RowKind::MissedCall => MessageKind::MissedCall,
            RowKind::MediaSaved => MessageKind::MediaSaved,
            RowKind::Screenshot => MessageKind::Screenshot,
            RowKind::Accepted => MessageKind::Accepted,
            RowKind::Deleted => MessageKind::Deleted,
        },
        reply_to: row.quote.map(|quote| Quote { id: quote.id(), from: quote.author.to_hex() }),
        reactions: row
            .reactions
            .iter()
            .map(|reaction| ReactionInfo {
                emoji: reaction.emoji.clone(),
                from: reaction.authors.iter().map(conclave_crypto::AccountId::to_hex).collect(),
            })
            .collect(),
        edited_at: row.edited_at.map(conclave_proto::Timestamp::as_millis),
        expires_at: row.expires_at.map(conclave_proto::Timestamp::as_millis),
        timer: row
            .details
            .timer
            .or(Some(row.timer))
            .filter(|timer| row.kind == RowKind::TimerChanged || *timer != crate::said::Timer::Off),
        preview: row.details.preview.clone(),
        invitation: row.details.invitation.clone(),
    }
}

/// So much of a list of messages is handed out at once, as JSON: an answer over the profile's socket has 64 MiB at most, and a
/// thousand messages of strangers could have more.
const MAX_PAGE_BYTES: usize = 24 * 1024 * 1024;
/// A message in the list of chats that is larger is cut.
const MAX_LAST_BYTES: usize = 8 * 1024;
/// Of its text, and of a draft, then.
const MAX_LAST_CHARS: usize = 1_000;

/// Messages as faces and scripts get them, one at least and as many as there is room for.
pub(crate) fn page<'a>(rows: impl IntoIterator<Item = &'a MessageRow>) -> Vec<Message> {
    let mut room = MAX_PAGE_BYTES;
    let fitting = |(place, message): (usize, Message)| fits(&message, place, &mut room).then_some(message);
    rows.into_iter().map(message).enumerate().map_while(fitting).collect()
}

/// What was found, as [`page`]; a page that is cut goes on after its last hit.
pub(crate) fn found(page: SearchPage) -> SearchResult {
    let mut room = MAX_PAGE_BYTES;
    let mut result = SearchResult { hits: Vec::new(), next: page.next, incomplete: page.incomplete };
    let mut last = None;
    for (place, hit) in page.hits.into_iter().enumerate() {
        let message = message(&hit.message);
        if !fits(&message, place, &mut room) {
            result.next = last;
            break;
        }
        let marks = hit.ranges.into_iter().map(|range| (range.start, range.end)).collect();
        result.hits.push(Hit { message, marks });
        last = Some(hit.at);
    }
    result
}

/// Whether there is room for a message, of which one at least is handed out.
fn fits(message: &Message, place: usize, room: &mut usize) -> bool {
    let size = size(message);
    let fits = size <= *room || place == 0;
    *room = room.saturating_sub(size);
    fits
}

/// How large a message is as JSON, about: what its author decides, exactly.
fn size(message: &Message) -> usize {
    /// Without them.
    const REST: usize = 1_024;
    const REST_OF_A_FILE: usize = 128;
    let json = |text: &str| -> usize {
        let bytes = text.bytes().map(|byte| match byte {
            0..=0x1f => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        });
        bytes.sum()
    };
    let maybe = |text: &Option<String>| text.as_deref().map_or(0, json);
    let files: usize = message
        .attachments
        .iter()
        .map(|file| {
            let words = [&file.name, &file.content_type, &file.caption, &file.reason, &file.path];
            REST_OF_A_FILE + words.into_iter().map(maybe).sum::<usize>()
        })
        .sum();
    let preview = message.preview.as_ref().map_or(0, |preview| json(&preview.url) + maybe(&preview.title));
    let invitation =
        message.invitation.as_ref().map_or(0, |invitation| json(&invitation.url) + json(&invitation.name));
    let reactions: usize =
        message.reactions.iter().map(|reaction| REST_OF_A_FILE + 70 * reaction.from.len()).sum();
    REST + json(&message.text)
        + maybe(&message.from_name)
        + maybe(&message.from_nickname)
        + files
        + preview
        + invitation
        + reactions
}

/// A message as it stands in the list of chats, which has a thousand of them.
fn last(row: &MessageRow) -> Message {
    let mut message = message(row);
    if size(&message) > MAX_LAST_BYTES {
        message.text = message.text.chars().take(MAX_LAST_CHARS).collect();
        message.attachments.truncate(1);
        message.attachments.iter_mut().for_each(|file| file.caption = None);
        message.preview = None;
        message.invitation = None;
        message.reactions.clear();
    }
    message
}

/// A line of the chat list.
pub(crate) fn chat_summary(row: ChatRow) -> ChatSummary {
    ChatSummary {
        chat: row.id.to_hex(),
        name: row.name,
        nickname: row.nickname,
        is_self: row.is_self,
        draft: row.draft.map(|draft| Draft {
            text: draft.text.chars().take(MAX_LAST_CHARS).collect(),
            reply_to: draft.reply_to,
        }),
        request: row.request,
        last: row.last.as_ref().map(last),
        messages: row.messages,
        unread: row.unread,
        marked_unread: row.marked_unread,
        pinned: row.priority > 0,
        muted_until: row.muted_until.map(conclave_proto::Timestamp::as_millis),
        timer: row.timer,
        blocked: row.blocked,
        picture: row.picture,
    }
}

/// A contact.
pub(crate) fn contact(contact: Contact) -> ContactInfo {
    ContactInfo {
        account_id: contact.id.to_hex(),
        name: contact.name,
        nickname: contact.nickname,
        approved: contact.approved,
        approved_me: contact.approved_me,
        blocked: contact.blocked,
        picture: contact.picture,
    }
}

#[cfg(test)]
mod tests {
    use conclave_crypto::{Account, RecoveryPhrase};
    use conclave_proto::Timestamp;

    use super::*;
    use crate::said::{Details, File, Invitation, LinkPreview};
    use crate::store::{ClientStore, OutgoingMessage, SearchCursor, SearchHit};

    /// As large as somebody can make a message: whatever JSON takes most bytes for.
    fn heaviest() -> MessageRow {
        let store = ClientStore::open_in_memory().unwrap();
        let phrase = RecoveryPhrase::from_seed16(&[1; 16]);
        store.set_account(&phrase, "Alice").unwrap();
        let chat = *Account::from_phrase(&phrase).id();
        let mut row = store.enqueue(&OutgoingMessage::text(chat, "hi"), Timestamp(1)).unwrap().0;
        let long = |chars: usize| "\u{1}".repeat(chars);
        let file = File {
            name: Some(long(255)),
            content_type: Some("\"".repeat(255)),
            caption: Some(long(2_000)),
            ..File::default()
        };
        row.text = long(10_000);
        row.details = Details {
            files: vec![file; 32],
            preview: Some(LinkPreview { url: long(2_000), title: Some(long(2_000)) }),
            invitation: Some(Invitation { url: long(2_000), name: "\\".repeat(2_000) }),
            timer: None,
        };
        row
    }

    #[test]
    fn no_page_is_larger_than_an_answer_over_the_socket_may_be() {
        let rows = vec![heaviest(); 1_000];
        let json = serde_json::to_string(&page(&rows)).unwrap();
        assert!((MAX_PAGE_BYTES / 2..=MAX_PAGE_BYTES).contains(&json.len()), "{}", json.len());
        let one = message(&rows[0]);
        let (counted, written) = (size(&one), serde_json::to_string(&one).unwrap().len());
        assert!((written..written + 8_192).contains(&counted), "{counted} for {written}");
    }

    #[test]
    fn a_search_that_finds_too_much_for_an_answer_goes_on_after_what_it_gave() {
        let cursor = |at: usize| -> SearchCursor { serde_json::from_value(at.to_string().into()).unwrap() };
        let message = heaviest();
        let hits =
            (0..200).map(|at| SearchHit { message: message.clone(), at: cursor(at), ranges: Vec::new() });
        let found = found(SearchPage { hits: hits.collect(), next: Some(cursor(200)), incomplete: false });
        assert!(serde_json::to_string(&found).unwrap().len() <= MAX_PAGE_BYTES);
        assert!(!found.hits.is_empty());
        assert_eq!(found.next, Some(cursor(found.hits.len() - 1)));
    }

    #[test]
    fn the_list_of_chats_carries_of_a_large_message_what_a_line_shows() {
        let json = serde_json::to_string(&last(&heaviest())).unwrap();
        assert!(json.len() <= 2 * MAX_LAST_BYTES, "{}", json.len());
    }
}
