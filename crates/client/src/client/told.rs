//! Rows and changes of the database as faces and scripts get them.

use crate::store::{Changes, ChatRow, Contact, MessageRow, RowKind};
use crate::types::{
    Attachment, ChatSummary, ContactInfo, Deleted, Event, Message, MessageKind, Quote, ReactionInfo,
    StateChange, Typing,
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
    let file = |file: &crate::said::File| Attachment {
        name: file.name.clone(),
        path: None,
        size: file.size,
        content_type: file.content_type.clone(),
        voice: file.voice,
    };
    Message {
        id: row.id.clone(),
        chat: row.chat.to_hex(),
        from: row.author.to_hex(),
        text: row.text.clone(),
        sent_at: row.sent_at.as_millis(),
        attachments: row.details.files.iter().map(file).collect(),
        request: row.request,
        state: row.state,
        from_name: row.author_name.clone(),
        kind: match row.kind {
            RowKind::Post => MessageKind::Text,
            RowKind::TimerChanged => MessageKind::TimerChanged,
            RowKind::MissedCall => MessageKind::MissedCall,
            RowKind::MediaSaved => MessageKind::MediaSaved,
            RowKind::Screenshot => MessageKind::Screenshot,
            RowKind::Accepted => MessageKind::Accepted,
            RowKind::Deleted => MessageKind::Deleted,
        },
        reply_to: row.quote.map(|quote| Quote {
            id: crate::types::MessageId::of(&quote.author, quote.sent_at),
            from: quote.author.to_hex(),
        }),
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

/// A line of the chat list.
pub(crate) fn chat_summary(row: ChatRow) -> ChatSummary {
    ChatSummary {
        chat: row.id.to_hex(),
        name: row.name,
        request: row.request,
        last: row.last.as_ref().map(message),
        messages: row.messages,
        unread: row.unread,
        marked_unread: row.marked_unread,
        pinned: row.priority > 0,
        muted_until: row.muted_until.map(conclave_proto::Timestamp::as_millis),
        timer: row.timer,
        blocked: row.blocked,
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
    }
}
