//! Writing what is said into a `Content`.

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::content::{
    ConclaveExtension, Content, DataExtractionNotification, DataMessage, Expiration, LokiProfile,
    MessageRequestResponse, ReceiptMessage, TypingMessage, UnsendRequest, conclave_extension,
    data_extraction_notification, data_message, receipt_message, typing_message,
};

use super::files::Written;
use super::{File, Invitation, LinkPreview, Pointer, QuotedMessage, Reaction};

/// What is to be said.
#[derive(Clone)]
pub(crate) enum Speech<'a> {
    /// A text, files, an invitation.
    Post {
        text: &'a str,
        quote: Option<QuotedMessage>,
        preview: Option<&'a LinkPreview>,
        invitation: Option<&'a Invitation>,
        files: &'a [(File, Pointer)],
    },
    /// A new text for a message of ours.
    Edit {
        target: QuotedMessage,
        text: &'a str,
    },
    Reaction(&'a Reaction),
    /// The timer is from now on what the message says of itself.
    TimerChanged,
    Receipt {
        read: bool,
        sent_at: &'a [Timestamp],
    },
    Typing {
        started: bool,
    },
    MediaSaved {
        sent_at: Timestamp,
    },
    Unsend {
        target: QuotedMessage,
        /// On one's own devices nothing is to stand where it was.
        without_trace: bool,
    },
    Accepted,
}

/// What is attached to a message beside what it says.
#[derive(Clone, Default)]
pub(crate) struct Profile {
    /// Empty for none.
    pub(crate) name: String,
    pub(crate) picture: Option<(String, Vec<u8>)>,
    /// Seconds since the epoch.
    pub(crate) updated: u64,
}

impl Profile {
    fn loki(&self) -> LokiProfile {
        LokiProfile {
            display_name: (!self.name.is_empty()).then(|| self.name.clone()),
            // Blank for none: without the field, others would go on showing the last one (client-messages 4.7).
            profile_picture: Some(self.picture.as_ref().map(|(url, _)| url.clone()).unwrap_or_default()),
            last_update_seconds: (self.updated > 0).then_some(self.updated),
        }
    }

    fn key(&self) -> Option<Vec<u8>> {
        Some(self.picture.as_ref().map(|(_, key)| key.clone()).unwrap_or_default())
    }
}

impl Speech<'_> {
    /// The message for the other side. With `profile`, who speaks (client-messages 4.7); with `wants_delivered`, the wish
    /// to know that it arrived.
    pub(crate) fn content(
        &self,
        sent_at: Timestamp,
        expiration: Expiration,
        profile: Option<&Profile>,
        wants_delivered: bool,
    ) -> Content {
        let mut content = Content::at(sent_at).expiring(expiration);
        match self {
            Self::Post { text, quote, preview, invitation, files } => {
                let Written { attachments, large, for_others } = super::files::write(files, !text.is_empty());
                if !large.is_empty() {
                    content.conclave = Some(ConclaveExtension {
                        large_files: large,
                        for_others: u32::try_from(for_others.len()).ok(),
                        ..ConclaveExtension::default()
                    });
                }
                let body = format!("{text}{for_others}");
                content.data_message = Some(DataMessage {
                    body: (!body.is_empty()).then_some(body),
                    attachments,
                    quote: quote.as_ref().map(QuotedMessage::quote),
                    preview: preview.iter().map(|preview| preview.to_content()).collect(),
                    open_group_invitation: invitation.map(|invitation| data_message::OpenGroupInvitation {
                        url: invitation.url.clone(),
                        name: invitation.name.clone(),
                    }),
                    ..DataMessage::default()
                });
            }
            Self::Edit { target, text } => {
                content.data_message = Some(DataMessage {
                    body: Some((*text).to_owned()),
                    quote: Some(target.quote()),
                    ..DataMessage::default()
                });
                let edit = conclave_extension::Edit { id: target.sent_at.0 };
                content.conclave =
                    Some(ConclaveExtension { edit: Some(edit), ..ConclaveExtension::default() });
            }
            Self::Reaction(reaction) => {
                let action = if reaction.remove {
                    data_message::reaction::Action::Remove
                } else {
                    data_message::reaction::Action::React
                };
                content.data_message = Some(DataMessage {
                    reaction: Some(data_message::Reaction {
                        id: reaction.target.sent_at.0,
                        author: reaction.target.author.to_hex(),
                        emoji: Some(reaction.emoji.clone()),
                        action: action.into(),
                    }),
                    ..DataMessage::default()
                });
            }
            Self::TimerChanged => {
                content.data_message = Some(DataMessage {
                    flags: Some(data_message::Flags::ExpirationTimerUpdate as u32),
                    ..DataMessage::default()
                });
            }
            Self::Receipt { read, sent_at } => {
                let kind = if *read { receipt_message::Type::Read } else { receipt_message::Type::Delivery };
                content.receipt_message = Some(ReceiptMessage {
                    r#type: kind.into(),
                    timestamp: sent_at.iter().map(|time| time.0).collect(),
                });
            }
            Self::Typing { started } => {
                let action =
                    if *started { typing_message::Action::Started } else { typing_message::Action::Stopped };
                content.typing_message = Some(TypingMessage { timestamp: sent_at.0, action: action.into() });
            }
            Self::MediaSaved { sent_at } => {
                content.data_extraction_notification = Some(DataExtractionNotification {
                    r#type: data_extraction_notification::Type::MediaSaved.into(),
                    timestamp: Some(sent_at.0),
                });
            }
            Self::Unsend { target, without_trace } => {
                content.unsend_request =
                    Some(UnsendRequest { timestamp: target.sent_at.0, author: target.author.to_hex() });
                if *without_trace {
                    content.conclave.get_or_insert_default().without_trace = Some(true);
                }
            }
            Self::Accepted => {
                content.message_request_response = Some(MessageRequestResponse {
                    is_approved: true,
                    profile_key: profile.and_then(Profile::key),
                    profile: profile.map(Profile::loki),
                });
            }
        }
        if let (Some(data), Some(profile)) = (&mut content.data_message, profile) {
            data.profile = Some(profile.loki());
            data.profile_key = profile.key();
        }
        if wants_delivered {
            content.conclave.get_or_insert_default().wants_delivered = Some(true);
        }
        content
    }
}

/// The copy that a sender stores for its own devices: it says whom the message was for, and carries no profile, which
/// they know (client-messages 4.16).
pub(crate) fn sync_copy(mut content: Content, target: &AccountId) -> Content {
    if let Some(data) = &mut content.data_message {
        data.sync_target = Some(target.to_hex());
        data.profile = None;
        data.profile_key = None;
    }
    if let Some(response) = &mut content.message_request_response {
        response.profile = None;
        response.profile_key = None;
    }
    if let Some(ours) = &mut content.conclave {
        ours.wants_delivered = None;
    }
    content
}

impl QuotedMessage {
    fn quote(&self) -> data_message::Quote {
        data_message::Quote {
            id: self.sent_at.0,
            author: self.author.to_hex(),
            ..data_message::Quote::default()
        }
    }
}

impl LinkPreview {
    fn to_content(&self) -> data_message::Preview {
        data_message::Preview { url: self.url.clone(), title: self.title.clone(), image: None }
    }
}
