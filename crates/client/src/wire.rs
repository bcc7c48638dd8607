//! From a `Content` to the bytes that are stored, and from stored bytes to what they say
//! (client-messages 3.3, 4.0).
//!
//! Pure: no network, no database. Everything that comes in here may be from anyone.

use conclave_crypto::{Account, X25519Public, padding, pro, session_protocol};
use conclave_proto::Timestamp;
use conclave_proto::content::{self, Content, Envelope};
use rand_core::CryptoRngCore;

use crate::said::Heard;

/// Seals a serialized `Content` for `recipient`; gives the bytes to be stored in namespace 0 of its swarm. `sent_at` is
/// the content's own `sigTimestamp`.
pub(crate) fn seal(
    sender: &Account,
    recipient: &X25519Public,
    content: &[u8],
    sent_at: Timestamp,
    rng: &mut impl CryptoRngCore,
) -> Vec<u8> {
    let sealed = session_protocol::seal(sender.ed25519(), recipient, &padding::pad_content(content), rng);
    // Whoever has no Pro key attaches 64 bytes that nobody can tell from a signature (client-messages 3.9).
    let decoy = pro::decoy_signature(rng);
    Envelope::one_to_one(sent_at, sealed, *decoy.as_bytes()).wrap()
}

/// What stored bytes turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the large one")]
pub enum Opened {
    /// Somebody says something.
    Heard(Heard),
    /// A copy of what this account sent that is of no use to it.
    Own,
    /// Not for us, damaged, or not of this format.
    Undecryptable,
}

/// What stored bytes say, to the owner of `account`.
pub(crate) fn open(account: &Account, data: &[u8]) -> Opened {
    try_open(account, data).unwrap_or(Opened::Undecryptable)
}

fn try_open(account: &Account, data: &[u8]) -> Option<Opened> {
    let envelope = content::unwrap(data).ok()?;
    // No clock shows such a time, and no database of ours or others keeps it: its message would have another name there.
    i64::try_from(envelope.timestamp.0).ok()?;
    let opened = session_protocol::open(account.x25519(), &envelope.content).ok()?;
    let plain = padding::unpad_content(&opened.message);
    let content = Content::from_bytes(plain).ok()?;
    // Present and different: somebody replays a sealed content under another time (client-messages 0, rule 1).
    if content.sig_timestamp.is_some_and(|signed| signed != envelope.timestamp.0) {
        return None;
    }
    let heard = Heard::read(account.id(), opened.sender, envelope.timestamp, &content, plain);
    Some(heard.map_or(Opened::Own, Opened::Heard))
}

#[cfg(test)]
mod tests {
    use conclave_crypto::RecoveryPhrase;
    use conclave_testkit::personas::{self, Persona};
    use conclave_testkit::{rng, vectors};
    use proptest::prelude::*;

    use conclave_crypto::AccountId;
    use conclave_proto::content::DataMessage;

    use super::*;
    use crate::said::{Post, Profile, Said, Speech, sync_copy};

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

    fn text(text: &str, sync_target: Option<&AccountId>) -> Content {
        let profile = Profile { name: "Alice".to_owned(), ..Profile::default() };
        let speech = Speech::Post { text, quote: None, preview: None, invitation: None, files: &[] };
        let content = speech.content(NOW, Default::default(), Some(&profile), false);
        match sync_target {
            Some(target) => sync_copy(content, target),
            None => content,
        }
    }

    fn sealed(sender: &Account, recipient: &Account, content: &Content, seed: u64) -> Vec<u8> {
        seal(sender, &x25519(recipient), &content.to_bytes(), NOW, &mut rng(seed))
    }

    fn heard(opened: Opened) -> Heard {
        match opened {
            Opened::Heard(heard) => heard,
            other => panic!("nothing is said: {other:?}"),
        }
    }

    fn post(heard: &Heard) -> &Post {
        match &heard.said {
            Said::Post(post) => post,
            other => panic!("no text: {other:?}"),
        }
    }

    fn name(heard: &Heard) -> Option<&str> {
        heard.profile.as_ref().and_then(|profile| profile.name.as_deref())
    }

    #[test]
    fn a_message_says_to_its_recipient_what_was_written_and_to_others_nothing() {
        for words in [
            "hello",
            "héllo wörld",
            "שלום",
            "你好，世界",
            "👩‍👩‍👧‍👦 🦀",
            " kept  as it is\n\n",
            &"🦀".repeat(2_000),
        ] {
            let data = sealed(&alice(), &bob(), &text(words, None), 2);
            let received = heard(open(&bob(), &data));
            assert_eq!(
                (post(&received).text.as_str(), received.author, received.sent_at),
                (words, *alice().id(), NOW)
            );
            assert_eq!((received.sync_target, name(&received)), (None, Some("Alice")));
            assert!(data.len() <= 76_800, "a swarm takes it: {}", data.len());
            for other in [alice(), account(personas::carol())] {
                assert!(matches!(open(&other, &data), Opened::Undecryptable));
            }
        }
    }

    #[test]
    fn a_sync_copy_says_for_whom_it_was_and_carries_no_profile() {
        let bob_id = *bob().id();
        let data = sealed(&alice(), &alice(), &text("hello", Some(&bob_id)), 3);
        let received = heard(open(&alice(), &data));
        assert_eq!((received.author, received.sync_target), (*alice().id(), Some(bob_id)));
        assert_eq!(received.profile, None);
    }

    #[test]
    fn only_oneself_can_say_that_a_message_belongs_elsewhere() {
        let carol = account(personas::carol()).id().to_hex();
        let content = Content::with_data(DataMessage::text("from bob", Some(carol)), NOW);
        let received = heard(open(&alice(), &sealed(&bob(), &alice(), &content, 1)));
        assert_eq!((received.author, received.sync_target), (*bob().id(), None));
    }

    #[test]
    fn from_oneself_only_what_says_for_whom_it_was_is_shown() {
        for data in [
            Some(DataMessage::text("for whom?", None)),
            Some(DataMessage::text("for nobody", Some("05nonsense".to_owned()))),
        ] {
            let content = Content { data_message: data, ..Content::at(NOW) };
            let received = open(&alice(), &sealed(&alice(), &alice(), &content, 1));
            assert!(matches!(received, Opened::Own), "{received:?}");
        }
    }

    #[test]
    fn a_sealed_content_under_another_time_is_refused_and_one_without_a_time_is_not() {
        for (signed, shown) in [(Some(NOW.0), true), (None, true), (Some(NOW.0 + 1), false), (Some(0), false)]
        {
            let mut content = Content::with_data(DataMessage::text("when?", None), NOW);
            content.sig_timestamp = signed;
            let received = open(&bob(), &sealed(&alice(), &bob(), &content, 1));
            assert_eq!(matches!(received, Opened::Heard(_)), shown, "{signed:?}: {received:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_blank_ones_kept_for_a_version_that_knows_them() {
        let long = Content::with_data(DataMessage::text(&"é".repeat(12_000), None), NOW);
        let received = heard(open(&bob(), &sealed(&alice(), &bob(), &long, 1)));
        assert_eq!(post(&received).text.chars().count(), 10_000);
        for content in [Content::with_data(DataMessage::text(" \n", None), NOW), Content::at(NOW)] {
            let received = heard(open(&bob(), &sealed(&alice(), &bob(), &content, 1)));
            assert_eq!(
                (received.author, received.sent_at, received.said),
                (*alice().id(), NOW, Said::Unknown)
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
        let received = heard(open(&recipient, &data));
        assert_eq!((post(&received).text.as_str(), name(&received)), ("hello", Some("Alice")));
        assert_eq!(received.sent_at.0, example["timestamp_ms"].as_u64().unwrap());
    }

    proptest! {
        #[test]
        fn anything_at_all_may_be_stored_for_one(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(!matches!(open(&bob(), &data), Opened::Heard(_)));
        }

        #[test]
        fn a_changed_byte_never_changes_what_is_said(at in any::<prop::sample::Index>(), change in 1u8..) {
            let mut data = sealed(&alice(), &bob(), &text("as written", None), 4);
            let at = at.index(data.len());
            data[at] ^= change;
            // Some bytes are outside the seal and mean nothing to us; none can alter text, author or time.
            if let Opened::Heard(received) = open(&bob(), &data) {
                prop_assert_eq!(&post(&received).text, "as written");
                prop_assert_eq!((received.author, received.sent_at), (*alice().id(), NOW));
            }
        }
    }
}
