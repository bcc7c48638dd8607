//! One message of each kind.

use conclave_proto::Timestamp;
use conclave_proto::content::data_message::{OpenGroupInvitation, Preview, Quote, Reaction, reaction};
use conclave_proto::content::*;
use serde_json::Value;

use super::util::*;

pub fn check_protobuf_kinds(value: &Value) -> Outcome {
    let known = Known {
        time: number(value, "timestamp_ms")?,
        a: text(value, "author_a")?.to_owned(),
        b: text(value, "author_b")?.to_owned(),
        group: text(&other("client-messages", "group_message"), "group_id")?.to_owned(),
    };
    let cases = list(value, "cases")?;
    for case in cases {
        let kind = text(case, "kind")?;
        let ours = known.content(kind).ok_or_else(|| format!("nobody knows {kind:?}"))?;
        let wire = bytes(case, "content")?;
        let theirs = Decoded::<Content>::decode(&wire).map_err(err)?;
        same(kind, &theirs.message, &ours)?;
        same(kind, theirs.unknown.is_empty(), true)?;
        if kind.contains("packed") {
            // Read, never written.
            same(kind, wire != ours.to_bytes(), true)?;
        } else {
            same(kind, ours.to_bytes(), wire.clone())?;
        }
        same(kind, theirs.encode(), ours.to_bytes())?;
    }
    same("cases", cases.len(), 28)
}

struct Known {
    time: u64,
    a: String,
    b: String,
    group: String,
}

const FILE: &str = "http://filev2.getsession.org/file/1234567890";
const UUID: &str = "01234567-89ab-4cde-8f01-23456789abcd";

fn counted<const N: usize>(first: u8) -> Vec<u8> {
    (first..).take(N).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn profile() -> LokiProfile {
    LokiProfile {
        display_name: some("Alice"),
        profile_picture: some(FILE),
        last_update_seconds: Some(1_711_010_559),
    }
}

impl Known {
    fn data(&self, data: DataMessage) -> Content {
        Content::with_data(data, Timestamp(self.time))
    }

    fn body(&self, body: &str) -> DataMessage {
        DataMessage::text(body, None)
    }

    fn at(&self) -> Content {
        Content::at(Timestamp(self.time))
    }

    fn group(&self, update: GroupUpdateMessage) -> Content {
        self.data(DataMessage { group_update_message: Some(update), ..Default::default() })
    }

    fn attached(&self, attachment: AttachmentPointer) -> Content {
        self.data(DataMessage { attachments: vec![attachment], ..Default::default() })
    }

    fn reaction(&self, action: reaction::Action) -> Content {
        let reaction = Reaction {
            id: self.time - 1000,
            author: self.b.clone(),
            emoji: some("😂"),
            action: action.into(),
        };
        self.data(DataMessage { reaction: Some(reaction), ..Default::default() })
    }

    fn timer(&self, expiration: Expiration) -> Content {
        let flags = data_message::Flags::ExpirationTimerUpdate as u32;
        self.data(DataMessage { flags: Some(flags), ..Default::default() }).expiring(expiration)
    }

    fn call(&self, kind: call_message::Type, call: CallMessage) -> Content {
        let call = CallMessage { r#type: kind.into(), uuid: UUID.to_owned(), ..call };
        Content { call_message: Some(call), ..self.at() }
    }

    fn content(&self, kind: &str) -> Option<Content> {
        let earlier = self.time.checked_sub(2000)? + 1000;
        let group = GroupUpdateMessage::default;
        let read = ReceiptMessage {
            r#type: receipt_message::Type::Read.into(),
            timestamp: vec![earlier - 1000, earlier],
        };
        Some(match kind {
            "text with profile picture, disappearing after send 1 day" => self
                .data(DataMessage {
                    profile: Some(profile()),
                    profile_key: Some(counted::<32>(0)),
                    ..self.body("hi")
                })
                .expiring(Expiration::AfterSend(86_400)),
            "voice attachment (legacy encryption)" => self.attached(AttachmentPointer {
                id: 1_234_567_890,
                content_type: some("audio/mpeg"),
                key: Some(counted::<64>(0)),
                size: Some(4321),
                digest: Some(counted::<32>(0x80)),
                file_name: some("voice.mp3"),
                flags: Some(attachment_pointer::Flags::VoiceMessage as u32),
                url: some(FILE),
                ..Default::default()
            }),
            "image attachment (deterministic encryption, id 0)" => self.attached(AttachmentPointer {
                id: 0,
                content_type: some("image/jpeg"),
                key: Some(counted::<32>(0)),
                size: Some(99),
                file_name: some("a.jpg"),
                width: Some(640),
                height: Some(480),
                caption: some("caption"),
                url: some("http://filev2.getsession.org/file/tKO2VVg1JPHwgZuvqK_7bDHJeSr4UJ_8i13ETlwAn0jB#d"),
                ..Default::default()
            }),
            "quote" => self.data(DataMessage {
                quote: Some(Quote { id: earlier, author: self.b.clone(), ..Default::default() }),
                ..self.body("yes")
            }),
            "link preview" => self.data(DataMessage {
                preview: vec![Preview {
                    url: "https://example.org".into(),
                    title: some("Example"),
                    image: None,
                }],
                ..self.body("see https://example.org")
            }),
            "reaction add" => self.reaction(reaction::Action::React),
            "reaction remove" => self.reaction(reaction::Action::Remove),
            "community invitation" => {
                let url = "https://open.getsession.org/session?public_key=".to_owned() + &"ab".repeat(32);
                let invitation = OpenGroupInvitation { url, name: "Session".into() };
                self.data(DataMessage { open_group_invitation: Some(invitation), ..Default::default() })
            }
            "expiration timer update: off" => self.timer(Expiration::Off),
            "expiration timer update: after read 5 min" => self.timer(Expiration::AfterRead(300)),
            "typing started" => {
                let typing =
                    TypingMessage { timestamp: self.time, action: typing_message::Action::Started.into() };
                Content { typing_message: Some(typing), ..self.at() }
            }
            "read receipt of two messages" | "read receipt of two messages, packed (must be accepted)" => {
                Content { receipt_message: Some(read), ..self.at() }
            }
            "unsend" => {
                let unsend = UnsendRequest { timestamp: earlier, author: self.a.clone() };
                Content { unsend_request: Some(unsend), ..self.at() }
            }
            "message request response" => {
                let response = MessageRequestResponse {
                    is_approved: true,
                    profile_key: Some(counted::<32>(0)),
                    profile: Some(profile()),
                };
                Content { message_request_response: Some(response), ..self.at() }
            }
            "media saved notice" => {
                let notice = DataExtractionNotification {
                    r#type: data_extraction_notification::Type::MediaSaved.into(),
                    timestamp: Some(earlier),
                };
                Content { data_extraction_notification: Some(notice), ..self.at() }
            }
            "call pre-offer" => self.call(call_message::Type::PreOffer, CallMessage::default()),
            "call offer" => self.call(
                call_message::Type::Offer,
                CallMessage { sdps: vec!["v=0".into()], ..Default::default() },
            ),
            "call ICE candidates" => self.call(
                call_message::Type::IceCandidates,
                CallMessage {
                    sdps: vec!["candidate:1".into(), "candidate:2".into()],
                    sdp_m_line_indexes: vec![0, 1],
                    sdp_mids: vec!["0".into(), "1".into()],
                    ..Default::default()
                },
            ),
            "group invite" => {
                let invite = GroupUpdateInviteMessage {
                    group_session_id: self.group.clone(),
                    name: "Group".into(),
                    member_auth_data: counted::<100>(0),
                    admin_signature: counted::<64>(0),
                };
                self.group(GroupUpdateMessage { invite_message: Some(invite), ..group() })
            }
            "group info change: name" => {
                self.info_change(group_update_info_change_message::Type::Name, some("New"), None)
            }
            "group info change: disappearing" => self.info_change(
                group_update_info_change_message::Type::DisappearingMessages,
                None,
                Some(86_400),
            ),
            "group member change: added, history shared" => {
                let change = GroupUpdateMemberChangeMessage {
                    r#type: group_update_member_change_message::Type::Added.into(),
                    member_session_ids: vec![self.a.clone(), self.b.clone()],
                    history_shared: Some(true),
                    admin_signature: counted::<64>(0),
                };
                self.group(GroupUpdateMessage { member_change_message: Some(change), ..group() })
            }
            "group promote" => {
                let promote =
                    GroupUpdatePromoteMessage { group_identity_seed: counted::<32>(0), name: "Group".into() };
                self.group(GroupUpdateMessage { promote_message: Some(promote), ..group() })
            }
            "group member left" => self.group(GroupUpdateMessage {
                member_left_message: Some(GroupUpdateMemberLeftMessage {}),
                ..group()
            }),
            "group invite response" => self.group(GroupUpdateMessage {
                invite_response: Some(GroupUpdateInviteResponseMessage { is_approved: true }),
                ..group()
            }),
            "group delete content by admin" => {
                let delete = GroupUpdateDeleteMemberContentMessage {
                    member_session_ids: vec![self.a.clone()],
                    message_hashes: vec!["hash1".into(), "hash2".into()],
                    admin_signature: Some(counted::<64>(0)),
                };
                self.group(GroupUpdateMessage { delete_member_content: Some(delete), ..group() })
            }
            "group member left notification" => self.group(GroupUpdateMessage {
                member_left_notification_message: Some(GroupUpdateMemberLeftNotificationMessage {}),
                ..group()
            }),
            _ => return None,
        })
    }

    fn info_change(
        &self,
        kind: group_update_info_change_message::Type,
        updated_name: Option<String>,
        updated_expiration: Option<u32>,
    ) -> Content {
        let change = GroupUpdateInfoChangeMessage {
            r#type: kind.into(),
            updated_name,
            updated_expiration,
            admin_signature: counted::<64>(0),
        };
        self.group(GroupUpdateMessage { info_change_message: Some(change), ..Default::default() })
    }
}
