//! Messages for tests.

use conclave_client::types::{Deleted, Event, Message, MessageId, Quote};

/// A text. Authors are plain words; the id follows from author and time, as real ones do.
pub(crate) fn message(from: &str, sent_at: u64, text: &str) -> Message {
    let author = from.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Message {
        id: MessageId::parse(&format!("{author:016x}{sent_at:016x}")).unwrap(),
        chat: "bob".to_owned(),
        from: from.to_owned(),
        text: text.to_owned(),
        sent_at,
        arrived_at: None,
        attachments: Vec::new(),
        outgoing: false,
        request: false,
        state: None,
        from_name: None,
        from_nickname: None,
        kind: Default::default(),
        reply_to: None,
        reactions: Vec::new(),
        edited_at: None,
        expires_at: None,
        timer: None,
        preview: None,
        invitation: None,
    }
}

/// `message`, answering another.
pub(crate) fn quote(message: Message, to: &Message) -> Message {
    let reply_to = Some(Quote { id: to.id.clone(), from: to.from.clone() });
    Message { reply_to, ..message }
}

/// The deletion of a message.
pub(crate) fn deleted(message: &Message) -> Event {
    Event::Deleted(Deleted { id: message.id.clone(), chat: message.chat.clone() })
}
