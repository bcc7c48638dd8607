//! From a text to the bytes that are stored, and from stored bytes to what they say
//! (client-messages 3.3, 4.0).
//!
//! Pure: no network, no database. Everything that comes in here may be from anyone.

use conclave_crypto::{Account, AccountId, X25519Public, padding, pro, session_protocol};
use conclave_proto::Timestamp;
use conclave_proto::content::{self, Content, DataMessage, Envelope};
use rand_core::CryptoRngCore;

use crate::store::{ReceivedContent, ReceivedMessage};

/// Receivers cut longer texts (client-messages 4.1).
const MAX_RECEIVED_CHARS: usize = 10_000;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// The sender's name for themself.
    pub(crate) name: &'a str,
    /// The sent timestamp: kept for every retry.
    pub(crate) sent_at: Timestamp,
    /// Set in sync copies and notes to oneself: whom the message is for.
    pub(crate) sync_target: Option<&'a AccountId>,
}

/// Seals a text for `recipient`; gives the bytes to be stored in namespace 0 of its swarm.
pub(crate) fn seal(
    sender: &Account,
    recipient: &X25519Public,
    message: Outgoing<'_>,
    rng: &mut impl CryptoRngCore,
) -> Vec<u8> {
    let data = DataMessage::text(message.text, message.sync_target.map(AccountId::to_hex));
    // Sync copies carry no profile: one's own devices know it.
    let data = if message.sync_target.is_none() { data.with_profile_name(message.name) } else { data };
    let content = Content::with_data(data, message.sent_at).to_bytes();
    let sealed = session_protocol::seal(sender.ed25519(), recipient, &padding::pad_content(&content), rng);
    // Whoever has no Pro key attaches 64 bytes that nobody can tell from a signature (client-messages 3.9).
    let decoy = pro::decoy_signature(rng);
    Envelope::one_to_one(message.sent_at, sealed, *decoy.as_bytes()).wrap()
}

/// What stored bytes say, to the owner of `account`.
pub(crate) fn open(account: &Account, data: &[u8]) -> ReceivedContent {
    try_open(account, data).unwrap_or(ReceivedContent::Undecryptable)
}

fn try_open(account: &Account, data: &[u8]) -> Option<ReceivedContent> {
    let envelope = content::unwrap(data).ok()?;
    let opened = session_protocol::open(account.x25519(), &envelope.content).ok()?;
    let plain = padding::unpad_content(&opened.message);
    let content = Content::from_bytes(plain).ok()?;
    // Present and different: somebody replays a sealed content under another time (client-messages 0, rule 1).
    if content.sig_timestamp.is_some_and(|signed| signed != envelope.timestamp.0) {
        return None;
    }
    let author = opened.sender;
    let is_own = author == *account.id();
    let unknown =
        || ReceivedContent::Unknown { author, sent_at: envelope.timestamp, content: plain.to_vec() };
    let Some(data) = &content.data_message else { return Some(unknown()) };
    let sync_target = match &data.sync_target {
        Some(target) if is_own => match AccountId::from_hex(target) {
            Ok(target) => Some(target),
            Err(_) => return Some(ReceivedContent::Handled),
        },
        _ => None,
    };
    // From oneself, only what says for whom it was is of use (client-messages 4.0, step 6).
    if is_own && sync_target.is_none() {
        return Some(ReceivedContent::Handled);
    }
    let Some(text) = data.body.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Some(unknown());
    };
    Some(ReceivedContent::Message(ReceivedMessage {
        author,
        sent_at: envelope.timestamp,
        text: text.chars().take(MAX_RECEIVED_CHARS).collect(),
        content: plain.to_vec(),
        sync_target,
        author_name: data.profile_name().map(str::to_owned),
    }))
}

#[cfg(test)]
mod tests {
    use conclave_crypto::RecoveryPhrase;
    use conclave_testkit::personas::{self, Persona};
    use conclave_testkit::{rng, vectors};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_123);

    fn account(persona: Persona) -> Account {
        Account::from_phrase(&RecoveryPhrase::from_seed16(&persona.seed()))
    }

    fn alice() -> Account {
        account(personas::alice())
    }

    fn bob() -> Account {
        account(personas::bob())
    }

    fn x25519(account: &Account) -> X25519Public {
        account.id().x25519().unwrap()
    }

    fn outgoing<'a>(text: &'a str, sync_target: Option<&'a AccountId>) -> Outgoing<'a> {
        Outgoing { text, name: "Alice", sent_at: NOW, sync_target }
    }

    /// Any content, sealed by `sender` for `recipient` as other programs may do it.
    fn sealed(sender: &Account, recipient: &Account, content: &Content) -> Vec<u8> {
        let padded = padding::pad_content(&content.to_bytes());
        let sealed = session_protocol::seal(sender.ed25519(), &x25519(recipient), &padded, &mut rng(1));
        Envelope::one_to_one(NOW, sealed, [7; 64]).wrap()
    }

    fn message(received: ReceivedContent) -> ReceivedMessage {
        match received {
            ReceivedContent::Message(message) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn a_message_says_to_its_recipient_what_was_written_and_to_others_nothing() {
        for text in [
            "hello",
            "héllo wörld",
            "שלום",
            "你好，世界",
            "👩‍👩‍👧‍👦 🦀",
            " kept  as it is\n\n",
            &"🦀".repeat(2_000),
        ] {
            let data = seal(&alice(), &x25519(&bob()), outgoing(text, None), &mut rng(2));
            let received = message(open(&bob(), &data));
            assert_eq!(
                (received.text.as_str(), received.author, received.sent_at),
                (text, *alice().id(), NOW)
            );
            assert_eq!((received.sync_target, received.author_name.as_deref()), (None, Some("Alice")));
            assert!(data.len() <= 76_800, "a swarm takes it: {}", data.len());
            for other in [alice(), account(personas::carol())] {
                assert!(matches!(open(&other, &data), ReceivedContent::Undecryptable));
            }
        }
    }

    #[test]
    fn a_sync_copy_says_for_whom_it_was_and_carries_no_profile() {
        let bob_id = *bob().id();
        let data = seal(&alice(), &x25519(&alice()), outgoing("hello", Some(&bob_id)), &mut rng(3));
        let received = message(open(&alice(), &data));
        assert_eq!((received.author, received.sync_target), (*alice().id(), Some(bob_id)));
        assert_eq!(received.author_name, None);
    }

    #[test]
    fn only_oneself_can_say_that_a_message_belongs_elsewhere() {
        let carol = account(personas::carol()).id().to_hex();
        let content = Content::with_data(DataMessage::text("from bob", Some(carol)), NOW);
        let received = message(open(&alice(), &sealed(&bob(), &alice(), &content)));
        assert_eq!((received.author, received.sync_target), (*bob().id(), None));
    }

    #[test]
    fn from_oneself_only_what_says_for_whom_it_was_is_shown() {
        for data in [
            Some(DataMessage::text("for whom?", None)),
            Some(DataMessage::text("for nobody", Some("05nonsense".to_owned()))),
        ] {
            let content = Content { data_message: data, ..Content::at(NOW) };
            let received = open(&alice(), &sealed(&alice(), &alice(), &content));
            assert!(matches!(received, ReceivedContent::Handled), "{received:?}");
        }
    }

    #[test]
    fn a_sealed_content_under_another_time_is_refused_and_one_without_a_time_is_not() {
        for (signed, shown) in [(Some(NOW.0), true), (None, true), (Some(NOW.0 + 1), false), (Some(0), false)]
        {
            let mut content = Content::with_data(DataMessage::text("when?", None), NOW);
            content.sig_timestamp = signed;
            let received = open(&bob(), &sealed(&alice(), &bob(), &content));
            assert_eq!(matches!(received, ReceivedContent::Message(_)), shown, "{signed:?}: {received:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_blank_ones_kept_for_a_version_that_knows_them() {
        let long = Content::with_data(DataMessage::text(&"é".repeat(12_000), None), NOW);
        let received = message(open(&bob(), &sealed(&alice(), &bob(), &long)));
        assert_eq!(received.text.chars().count(), MAX_RECEIVED_CHARS);
        for content in [Content::with_data(DataMessage::text(" \n", None), NOW), Content::at(NOW)] {
            let received = open(&bob(), &sealed(&alice(), &bob(), &content));
            assert!(
                matches!(received, ReceivedContent::Unknown { author, sent_at, .. }
                    if author == *alice().id() && sent_at == NOW),
                "{received:?}"
            );
        }
    }

    #[test]
    fn the_reference_s_message_is_read() {
        let example = vectors::entry("client-messages", "dm_full_example");
        let text = |key: &str| example[key].as_str().unwrap().to_owned();
        let seed: [u8; 32] = hex::decode(text("recipient_seed32")).unwrap().try_into().unwrap();
        let recipient = Account::from_phrase(&RecoveryPhrase::from_seed32(&seed));
        let data = hex::decode(text("websocket_message")).unwrap();
        let received = message(open(&recipient, &data));
        assert_eq!((received.text.as_str(), received.author_name.as_deref()), ("hello", Some("Alice")));
        assert_eq!(received.sent_at.0, example["timestamp_ms"].as_u64().unwrap());
    }

    proptest! {
        #[test]
        fn anything_at_all_may_be_stored_for_one(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(!matches!(open(&bob(), &data), ReceivedContent::Message(_)));
        }

        #[test]
        fn a_changed_byte_never_changes_what_is_said(at in any::<prop::sample::Index>(), change in 1u8..) {
            let mut data = seal(&alice(), &x25519(&bob()), outgoing("as written", None), &mut rng(4));
            let at = at.index(data.len());
            data[at] ^= change;
            // Some bytes are outside the seal and mean nothing to us; none can alter text, author or time.
            if let ReceivedContent::Message(received) = open(&bob(), &data) {
                prop_assert_eq!(received.text, "as written");
                prop_assert_eq!((received.author, received.sent_at), (*alice().id(), NOW));
            }
        }
    }
}
