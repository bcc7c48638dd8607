//! What holds for every input: everything sealed opens again for whom it was meant, and for nobody else,
//! and not after a single bit was changed; bytes from strangers end in an error and never in a panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use conclave_crypto::attachment::{legacy, picture, stream};
use conclave_crypto::blinding::{BlindedKey, BlindingScheme};
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::group::{GroupKey, message as group_message};
use conclave_crypto::multi_encrypt::{self, MultiEncrypted};
use conclave_crypto::recovery_phrase::{self, PhraseError};
use conclave_crypto::{
    AccountId, Ed25519Public, Ed25519Secret, RecoveryPhrase, Signature, X25519Pair, X25519Public,
    X25519Secret, blinded_message, blinding, compression, config_encryption, ons, padding, push,
    session_protocol, xed25519,
};
use proptest::collection::vec;
use proptest::prelude::*;
use rand_core::OsRng;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..700)
}

fn secret() -> impl Strategy<Value = Ed25519Secret> {
    any::<[u8; 32]>().prop_map(|seed| Ed25519Secret::from_seed(&seed))
}

fn pair() -> impl Strategy<Value = X25519Pair> {
    any::<[u8; 32]>().prop_map(|bytes| X25519Pair::new(X25519Secret::from_bytes(bytes)))
}

fn flipped(bytes: &[u8], bit: prop::sample::Index) -> Vec<u8> {
    let bit = bit.index(bytes.len() * 8);
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn what_is_sealed_where_it_lies_opens_as_what_is_sealed_into_another_buffer() {
    let (client, server) = (X25519Pair::generate(&mut OsRng), X25519Pair::generate(&mut OsRng));
    for enc_type in [EncType::AesGcm, EncType::XChaCha20, EncType::AesCbc] {
        for length in [0, 1, 16, 1_000] {
            let keys = ChannelKeys::for_server(enc_type, &server, client.public());
            let plaintext: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut buffer = vec![7; enc_type.plaintext_range(0).start];
            buffer.extend_from_slice(&plaintext);
            let blob = keys.seal_in_place(buffer, &mut OsRng);
            assert_eq!(blob.len(), enc_type.sealed_length(length));
            let opened = ChannelKeys::for_client(enc_type, &client, server.public()).open(&blob).unwrap();
            assert_eq!(opened, plaintext, "{enc_type}");
        }
        // A buffer without the room in front is none: what is in it is not sealed half.
        let keys = ChannelKeys::for_server(enc_type, &server, client.public());
        assert_eq!(keys.open(&keys.seal_in_place(Vec::new(), &mut OsRng)).unwrap(), b"");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_seed_has_a_phrase_that_gives_it_back(seed: [u8; 16], long: [u8; 32]) {
        let read = |text: &str| RecoveryPhrase::scan(text).map(|phrase| phrase.seed().to_vec());
        let phrase = RecoveryPhrase::from_seed16(&seed);
        let beginnings: Vec<String> = phrase.words().split(' ').map(|word| word[..3].to_owned()).collect();
        for text in [phrase.words().to_string(), beginnings.join(", "), phrase.to_hex().to_string()] {
            prop_assert_eq!(read(&text), Ok(seed.to_vec()));
        }
        prop_assert_eq!(read(&RecoveryPhrase::from_seed32(&long).words()), Ok(long.to_vec()));
    }

    #[test]
    fn bytes_in_fours_survive_as_words(groups in vec(any::<[u8; 4]>(), 0..20)) {
        let bytes = groups.concat();
        let words = recovery_phrase::encode(&bytes).unwrap();
        prop_assert_eq!(words.len(), groups.len() * 3);
    }

    #[test]
    fn no_typed_text_is_too_strange(text in "\\PC{0,200}") {
        if let Err(error) = RecoveryPhrase::scan(&text) {
            prop_assert!(!error.to_string().is_empty());
            prop_assert!(!matches!(error, PhraseError::UnknownWords(words) if words.is_empty()));
        }
    }

    #[test]
    fn a_sealed_message_opens_for_its_recipient_and_no_bit_may_change(
        sender in secret(), recipient in pair(), other in pair(), message in bytes(), bit: prop::sample::Index,
    ) {
        let sealed = session_protocol::seal(&sender, recipient.public(), &message, &mut OsRng);
        let opened = session_protocol::open(&recipient, &sealed).unwrap();
        prop_assert_eq!(&opened.message, &message);
        prop_assert_eq!(opened.sender_key, sender.public());
        prop_assert!(session_protocol::open(&recipient, &flipped(&sealed, bit)).is_err());
        prop_assert!(session_protocol::open(&other, &sealed).is_err());
        prop_assert!(session_protocol::open(&recipient, &sealed[..bit.index(sealed.len())]).is_err());
    }

    #[test]
    fn padding_comes_off_again(content in bytes(), zeros in 0usize..300, overhead in 0usize..100) {
        let padded = padding::pad_content(&content);
        prop_assert_eq!(padded.len() % padding::CONTENT_BLOCK, 0);
        prop_assert_eq!(padding::unpad_content(&padded), &content[..]);
        // However much another client pads.
        let mut padded = content.clone();
        padded.push(0x80);
        padded.extend(std::iter::repeat_n(0, zeros));
        prop_assert_eq!(padding::unpad_content(&padded), &content[..]);
        let mut dict = content;
        dict.push(b'e');
        let before = dict.clone();
        padding::pad_group_message(&mut dict, overhead);
        prop_assert_eq!((dict.len() + overhead) % padding::GROUP_BLOCK, 0);
        prop_assert_eq!(padding::strip_zeros(&dict), &before[..]);
    }

    #[test]
    fn layers_and_replies_open_and_no_bit_may_change(
        client in pair(), server in pair(), other in pair(), plaintext in bytes(), bit: prop::sample::Index,
    ) {
        for enc_type in [EncType::AesGcm, EncType::XChaCha20, EncType::AesCbc] {
            let ours = ChannelKeys::for_client(enc_type, &client, server.public());
            let theirs = ChannelKeys::for_server(enc_type, &server, client.public());
            for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
                let blob = from.seal(&plaintext, &mut OsRng);
                prop_assert_eq!(blob.len(), enc_type.sealed_length(plaintext.len()));
                prop_assert_eq!(&to.open(&blob).unwrap(), &plaintext);
                let mut in_place = blob.clone();
                prop_assert_eq!(&to.open_in_place(&mut in_place).unwrap()[..], &plaintext[..]);
                let changed = to.open(&flipped(&blob, bit));
                if enc_type == EncType::AesCbc {
                    // Nothing authenticates it; but it does not go through unchanged.
                    prop_assert_ne!(changed.ok(), Some(plaintext.clone()));
                } else {
                    prop_assert!(changed.is_err());
                    let stranger = ChannelKeys::for_server(enc_type, &other, client.public());
                    prop_assert!(stranger.open(&blob).is_err());
                    prop_assert!(to.open(&blob[..bit.index(blob.len())]).is_err());
                }
            }
        }
    }

    #[test]
    fn blinded_identities_sign_and_write(
        alice in secret(), bob in secret(), carol in secret(), server: [u8; 32], message in bytes(),
        bit: prop::sample::Index,
    ) {
        for scheme in [BlindingScheme::V15, BlindingScheme::V25] {
            let key = BlindedKey::new(scheme, &alice, &server);
            let (sender, recipient) = (key.id(), BlindedKey::new(scheme, &bob, &server).id());
            prop_assert!(blinding::may_be(&sender, &alice.public().to_x25519(), &server));
            prop_assert!(!blinding::may_be(&sender, &bob.public().to_x25519(), &server));
            let signature = key.sign(&message);
            prop_assert!(blinding::verify(&sender, &message, &signature).is_ok());
            prop_assert!(blinding::verify(&recipient, &message, &signature).is_err());

            let sealed = blinded_message::seal(&alice, &server, &recipient, &message, &mut OsRng).unwrap();
            for own in [&alice, &bob] {
                let opened = blinded_message::open(own, &server, &sender, &recipient, &sealed).unwrap();
                prop_assert_eq!(&opened.message, &message);
                prop_assert_eq!(opened.sender_key, alice.public());
            }
            prop_assert!(blinded_message::open(&carol, &server, &sender, &recipient, &sealed).is_err());
            prop_assert!(blinded_message::open(&bob, &server, &sender, &recipient, &flipped(&sealed, bit)).is_err());
        }
    }

    #[test]
    fn signatures_of_either_form_verify_under_the_account_id(
        account in secret(), other in secret(), message in bytes(), bit in 0usize..504,
    ) {
        let key = account.public().to_x25519();
        let signature = xed25519::sign(&account.to_x25519(), &message, &mut OsRng);
        prop_assert!(xed25519::verify_strict(&key, &message, &signature).is_ok());
        prop_assert!(xed25519::verify(&key, &message, &signature).is_ok());
        prop_assert!(xed25519::verify(&key, &message, &account.sign(&message)).is_ok());
        prop_assert!(xed25519::verify(&other.public().to_x25519(), &message, &signature).is_err());
        let mut changed = *signature.as_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(xed25519::verify(&key, &message, &Signature::from_bytes(changed)).is_err());
    }

    #[test]
    fn group_messages_open_in_their_group(
        author in secret(), group in secret(), other in secret(), key: [u8; 32], wrong: [u8; 32],
        noise in bytes(), repeat in 1usize..20, bit: prop::sample::Index,
    ) {
        let envelope = [noise.repeat(repeat), vec![1]].concat();
        let (key, wrong) = (GroupKey::from_bytes(key), GroupKey::from_bytes(wrong));
        let sealed = group_message::seal(&author, &group.public(), &key, &envelope, &mut OsRng).unwrap();
        prop_assert_eq!(sealed.len() % padding::GROUP_BLOCK, 0);
        let opened = group_message::open([&wrong, &key], &group.public(), &sealed).unwrap();
        prop_assert_eq!(&opened.envelope, &envelope);
        prop_assert_eq!((opened.author_key, opened.key_index), (author.public(), 1));
        prop_assert!(group_message::open([&key], &group.public(), &flipped(&sealed, bit)).is_err());
        prop_assert_eq!(
            group_message::open([&wrong], &group.public(), &sealed),
            Err(group_message::GroupMessageError::NoKey { tried: 1 })
        );
        // Members of two groups with one key cannot replay a message from one in the other.
        prop_assert_eq!(
            group_message::open([&key], &other.public(), &sealed),
            Err(group_message::GroupMessageError::Signature)
        );
    }

    #[test]
    fn multi_encrypted_texts_reach_their_recipients(
        sender in pair(), recipients in vec(pair(), 1..6), stranger in pair(), text in bytes(), generation: u64,
        bit: prop::sample::Index,
    ) {
        let messages = recipients.iter().map(|pair| (pair.public(), &text[..]));
        let encoded = MultiEncrypted::seal(&sender, messages, b"domain", &mut OsRng).encode();
        let decoded = MultiEncrypted::decode(&encoded).unwrap();
        for recipient in &recipients {
            prop_assert_eq!(&decoded.open(recipient, sender.public(), b"domain").unwrap(), &text);
            prop_assert!(decoded.open(recipient, sender.public(), b"other").is_err());
        }
        prop_assert!(decoded.open(&stranger, sender.public(), b"domain").is_err());
        let _ = MultiEncrypted::decode(&flipped(&encoded, bit));

        let members: Vec<X25519Public> = recipients.iter().map(|pair| *pair.public()).collect();
        let notice = multi_encrypt::seal_kicked_notice(&sender, &members, generation, &mut OsRng);
        for member in &recipients {
            let read = multi_encrypt::open_kicked_notice(member, sender.public(), &notice);
            prop_assert_eq!(read, Ok(generation));
        }
    }

    #[test]
    fn configs_pushes_and_pictures_open_and_no_bit_may_change(
        message in bytes(), key: [u8; 32], bit: prop::sample::Index,
    ) {
        let padded = config_encryption::pad(&[b"d", &message[..]].concat());
        prop_assert_eq!((padded.len() + config_encryption::OVERHEAD) % 256, 0);
        prop_assert_eq!(&config_encryption::unpad(&padded)[1..], &message[..]);
        let sealed = config_encryption::encrypt(&padded, &key, "UserProfile");
        prop_assert_eq!(&sealed, &config_encryption::encrypt(&padded, &key, "UserProfile"));
        prop_assert_eq!(config_encryption::decrypt(&sealed, &key, "UserProfile").unwrap(), padded);
        prop_assert!(config_encryption::decrypt(&sealed, &key, "Contacts").is_err());
        prop_assert!(config_encryption::decrypt(&flipped(&sealed, bit), &key, "UserProfile").is_err());

        let sealed = push::seal(&key, &message, &mut OsRng);
        prop_assert_eq!(push::open(&key, &sealed).unwrap(), padding::strip_zeros(&message));
        prop_assert!(push::open(&key, &flipped(&sealed, bit)).is_err());

        let blob = picture::encrypt(&message, &key, &mut OsRng);
        prop_assert_eq!(&picture::decrypt(&blob, &key).unwrap(), &message);
        prop_assert!(picture::decrypt(&flipped(&blob, bit), &key).is_err());

        let compressed = compression::compress(&message);
        prop_assert_eq!(compression::decompress(&compressed, 1000).unwrap(), message);
    }

    #[test]
    fn legacy_attachments_open_and_no_bit_may_change(content in bytes(), bit: prop::sample::Index) {
        let file = legacy::encrypt(&content, &mut OsRng);
        let open = |blob: &[u8], digest| legacy::decrypt(blob, &file.key, digest, content.len());
        prop_assert_eq!(&open(&file.blob, &file.digest).unwrap(), &content);
        let changed = flipped(&file.blob, bit);
        prop_assert_eq!(open(&changed, &file.digest), Err(conclave_crypto::attachment::AttachmentError::Digest));
        // Nor when the digest is that of the changed blob.
        let digest = conclave_crypto::hash::sha256(&[&changed]);
        prop_assert_eq!(open(&changed, &digest), Err(conclave_crypto::attachment::AttachmentError::NotAuthentic));
    }

    #[test]
    fn bytes_from_strangers_are_refused_without_a_panic(noise in bytes(), key: [u8; 32], own in secret()) {
        let pair = X25519Pair::new(own.to_x25519());
        let group = own.public();
        prop_assert!(session_protocol::open(&pair, &noise).is_err());
        prop_assert!(group_message::open([&GroupKey::from_bytes(key)], &group, &noise).is_err());
        prop_assert!(multi_encrypt::open_kicked_notice(&pair, pair.public(), &noise).is_err());
        prop_assert!(stream::decrypt(&noise, &key).is_err());
        prop_assert!(picture::decrypt(&noise, &key).is_err());
        prop_assert!(push::open(&key, &noise).is_err());
        prop_assert!(config_encryption::decrypt(&noise, &key, "Contacts").is_err());
        let _ = compression::decompress(&noise, 1000);
        prop_assert!(ons::open("name", &noise, &[0; 24]).is_err());
        let _ = (X25519Public::from_slice(&noise), Ed25519Public::from_slice(&noise), AccountId::from_slice(&noise));
        let _ = AccountId::from_hex(&String::from_utf8_lossy(&noise));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn streamed_attachments_survive_any_cutting_into_pieces(
        account in secret(), length in prop_oneof![0usize..5000, 28_000usize..37_000, 60_000usize..140_000],
        pieces in vec(1usize..50_000, 1..8), bit: prop::sample::Index,
    ) {
        let content: Vec<u8> = (0..length).map(|i| (i * 31 + i / 251) as u8).collect();
        let (key, whole) = stream::encrypt(&account, stream::Domain::Attachment, &content).unwrap();
        prop_assert_eq!(whole.len(), stream::encrypted_length(length));

        let cut = |bytes: &[u8]| {
            let mut sizes = pieces.iter().cycle();
            let mut rest = bytes;
            let mut parts: Vec<Vec<u8>> = Vec::new();
            while !rest.is_empty() {
                let (part, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                parts.push(part.to_vec());
                rest = later;
            }
            parts
        };
        let mut hasher = stream::StreamKeyHasher::new(&account, stream::Domain::Attachment);
        cut(&content).iter().for_each(|part| hasher.update(part));
        let again = hasher.finish();
        prop_assert_eq!(again.as_bytes(), key.as_bytes());
        let mut blob = Vec::new();
        let mut encryptor = stream::StreamEncryptor::new(&again, &mut blob);
        for part in cut(&content) {
            encryptor.update(&part, &mut blob).unwrap();
        }
        encryptor.finish(&mut blob).unwrap();
        prop_assert!(blob == whole, "pieces make the same blob");

        let mut opened = Vec::new();
        let mut decryptor = stream::StreamDecryptor::new(key.as_bytes());
        for part in cut(&whole) {
            decryptor.update(&part, &mut opened).unwrap();
        }
        decryptor.finish(&mut opened).unwrap();
        prop_assert!(opened == content);

        prop_assert!(stream::decrypt(&flipped(&whole, bit), key.as_bytes()).is_err());
        prop_assert!(stream::decrypt(&whole[..bit.index(whole.len())], key.as_bytes()).is_err());
        prop_assert!(stream::decrypt(&[&whole[..], b"x"].concat(), key.as_bytes()).is_err());
    }
}

#[test]
fn a_stream_of_whole_chunks_cut_at_a_chunk_is_noticed() {
    // Content chosen so that the blob has several full chunks; each prefix of whole chunks lacks the last.
    let account = Ed25519Secret::from_seed(&[3; 32]);
    let (key, blob) = stream::encrypt(&account, stream::Domain::Attachment, &vec![7; 200_000]).unwrap();
    for chunks in 1..6 {
        let cut = &blob[..25 + chunks * 32_785];
        assert!(stream::decrypt(cut, key.as_bytes()).is_err(), "{chunks} chunks");
    }
}

#[test]
fn content_that_changes_between_the_passes_is_noticed() {
    use conclave_crypto::attachment::AttachmentError;
    let account = Ed25519Secret::from_seed(&[3; 32]);
    let mut hasher = stream::StreamKeyHasher::new(&account, stream::Domain::ProfilePicture);
    hasher.update(b"five.");
    let key = hasher.finish();
    let mut out = Vec::new();
    let mut encryptor = stream::StreamEncryptor::new(&key, &mut out);
    assert_eq!(encryptor.update(b"sixsix", &mut out), Err(AttachmentError::ContentChanged));
    let mut encryptor = stream::StreamEncryptor::new(&key, &mut out);
    encryptor.update(b"four", &mut out).unwrap();
    assert_eq!(encryptor.finish(&mut out), Err(AttachmentError::ContentChanged));
}
