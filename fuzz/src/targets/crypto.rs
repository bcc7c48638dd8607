//! What opens or reads bytes in `conclave-crypto`.
//!
//! Ciphertexts are attacked twice: as they are in the input, and by sealing the input with the right
//! key, which reaches the parsers behind the authentication; what was sealed comes back, and with a
//! byte changed it does not open.

use conclave_crypto::attachment::{legacy, picture, stream};
use conclave_crypto::blinding::{BlindedKey, BlindingScheme};
use conclave_crypto::channel::{ChannelKeys, EncType};
use conclave_crypto::group::{GroupKey, keys, message, subaccount};
use conclave_crypto::multi_encrypt::{self, MultiEncrypted};
use conclave_crypto::{
    Account, AccountId, Ed25519Public, Ed25519Secret, IdPrefix, RecoveryPhrase, X25519Pair, X25519Public,
    X25519Secret,
};

use super::{choice, flipped};

const KEY: [u8; 32] = [7; 32];
const SERVER: [u8; 32] = [0x11; 32];
const NONCE: [u8; 24] = [9; 24];

fn alice() -> Account {
    Account::from_phrase(&RecoveryPhrase::from_seed16(&[0xa1; 16]))
}

fn bob() -> Account {
    Account::from_phrase(&RecoveryPhrase::from_seed16(&[0xb2; 16]))
}

fn group() -> Ed25519Secret {
    Ed25519Secret::from_seed(&[3; 32])
}

pub fn account_id(bytes: &[u8]) {
    if let Ok(id) = AccountId::from_slice(bytes) {
        assert_eq!(id.as_bytes().as_slice(), bytes);
        assert_eq!(AccountId::from_hex(&id.to_hex()), Ok(id));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(id) = AccountId::from_hex(text) {
        assert_eq!(id.to_hex(), text.to_ascii_lowercase());
        // The prefix alone does not promise a usable key; asking is never a panic.
        let _ = (id.x25519(), id.ed25519(), id.short());
    }
}

pub fn public_keys(bytes: &[u8]) {
    if let Ok(key) = Ed25519Public::from_slice(bytes) {
        assert_eq!(key.as_bytes().as_slice(), bytes, "only the canonical form is a key");
        assert_eq!(Ed25519Public::from_hex(&key.to_hex()).unwrap(), key);
        assert!(
            X25519Public::from_slice(key.to_x25519().as_bytes()).is_ok(),
            "a good key maps to a good one"
        );
    }
    if let Ok(key) = X25519Public::from_slice(bytes) {
        assert_eq!(key.as_bytes().as_slice(), bytes);
        assert_eq!(X25519Public::from_hex(&key.to_hex()).unwrap(), key);
        let shared = X25519Secret::from_bytes(KEY).diffie_hellman(&key);
        assert_ne!(shared.as_bytes(), &[0; 32], "no accepted key makes a shared secret everyone knows");
    }
}

pub fn recovery_phrase(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for read in [RecoveryPhrase::parse(&text), RecoveryPhrase::scan(&text)] {
        match read {
            Ok(phrase) => {
                let again = RecoveryPhrase::parse(&phrase.words()).unwrap();
                assert_eq!(again.seed(), phrase.seed());
                let scanned = RecoveryPhrase::scan(&phrase.to_hex()).unwrap();
                assert_eq!(scanned.seed(), phrase.seed());
            }
            Err(error) => drop(error.to_string()),
        }
    }
}

pub fn session_protocol(bytes: &[u8]) {
    use conclave_crypto::session_protocol::{OVERHEAD, open, seal_deterministic};
    let (alice, bob) = (alice(), bob());
    if let Ok(opened) = open(bob.x25519(), bytes) {
        assert_eq!(opened.message.len() + OVERHEAD, bytes.len());
    }
    let sealed = seal_deterministic(alice.ed25519(), bob.x25519().public(), bytes);
    let opened = open(bob.x25519(), &sealed).unwrap();
    assert_eq!((opened.message.as_slice(), &opened.sender), (bytes, alice.id()));
    assert!(open(bob.x25519(), &flipped(&sealed, choice(bytes))).is_err());
    assert!(open(alice.x25519(), &sealed).is_err(), "sealed for another");
}

/// The first byte picks the cipher.
pub fn channel(bytes: &[u8]) {
    let Some((pick, bytes)) = bytes.split_first() else { return };
    let ciphers = [EncType::AesGcm, EncType::XChaCha20, EncType::AesCbc];
    let enc_type = ciphers[usize::from(*pick) % ciphers.len()];
    let (client, server) = (alice(), bob());
    let ours = ChannelKeys::for_client(enc_type, client.x25519(), server.x25519().public());
    let theirs = ChannelKeys::for_server(enc_type, server.x25519(), client.x25519().public());
    let opened = theirs.open(bytes);
    let mut in_place = bytes.to_vec();
    assert_eq!(opened.as_deref(), theirs.open_in_place(&mut in_place).map(|plain| &*plain).as_deref());
    let sealed = ours.seal_with_nonce(bytes, &NONCE);
    assert_eq!(sealed.len(), enc_type.sealed_length(bytes.len()));
    assert_eq!(theirs.open(&sealed).unwrap(), bytes);
    let damaged = theirs.open(&flipped(&sealed, choice(bytes)));
    // AES-CBC authenticates nothing; it must only not panic.
    assert!(enc_type == EncType::AesCbc || damaged.is_err());
}

pub fn group_message(bytes: &[u8]) {
    let (group, key) = (group().public(), GroupKey::from_bytes(KEY));
    let check = |sealed: &[u8]| {
        if let Ok(opened) = message::open([&key], &group, sealed) {
            assert!(opened.envelope.len() <= message::MAX_ENVELOPE);
            assert_eq!(opened.author, AccountId::of_account(&opened.author_key.to_x25519()));
        }
    };
    check(bytes);
    // A member who makes the inner dictionary by hand.
    check(&conclave_crypto::push::seal_with_nonce(&KEY, bytes, &NONCE));
    let sealed = message::seal_with_nonce(alice().ed25519(), &group, &key, bytes, &NONCE).unwrap();
    // No envelope is empty, so nothing where one should be is refused.
    if bytes.is_empty() {
        assert!(message::open([&key], &group, &sealed).is_err());
        return;
    }
    let opened = message::open([&key], &group, &sealed).unwrap();
    assert_eq!((opened.envelope.as_slice(), &opened.author), (bytes, alice().id()));
    assert!(message::open([&key], &group, &flipped(&sealed, choice(bytes))).is_err());
}

pub fn group_keys(bytes: &[u8]) {
    let (member, group) = (alice(), group());
    let group_x = X25519Pair::new(group.to_x25519());
    let _ = keys::open_as_member(member.x25519(), group_x.public(), &NONCE, bytes);
    if let Some(entry) = bytes.first_chunk() {
        let _ = keys::open_as_admin(&group, &NONCE, entry);
    }
    let entry = keys::seal_for_member(&group_x, member.x25519().public(), &NONCE, bytes);
    let open = |entry: &[u8]| keys::open_as_member(member.x25519(), group_x.public(), &NONCE, entry);
    assert_eq!(open(&entry).unwrap().as_slice(), bytes);
    assert!(open(&flipped(&entry, choice(bytes))).is_err());
}

pub fn group_auth_data(bytes: &[u8]) {
    if let Ok(data) = subaccount::AuthData::from_slice(bytes) {
        assert_eq!(data.as_bytes().as_slice(), bytes);
    }
}

pub fn multi_encrypt(bytes: &[u8]) {
    let (sender, recipient) = (alice(), bob());
    if let Ok(decoded) = MultiEncrypted::decode(bytes) {
        assert!(decoded.entries.len() <= multi_encrypt::MAX_ENTRIES);
        assert_eq!(MultiEncrypted::decode(&decoded.encode()), Ok(decoded.clone()));
        let _ = decoded.open(recipient.x25519(), sender.x25519().public(), b"test suite");
    }
    let made = MultiEncrypted::seal_with_nonce(
        sender.x25519(),
        [(recipient.x25519().public(), bytes)],
        b"test suite",
        &NONCE,
    );
    let open = |made: &MultiEncrypted| made.open(recipient.x25519(), sender.x25519().public(), b"test suite");
    assert_eq!(open(&MultiEncrypted::decode(&made.encode()).unwrap()).unwrap(), bytes);
    let damaged = made.entries.iter().map(|entry| flipped(entry, choice(bytes))).collect();
    assert!(open(&MultiEncrypted { entries: damaged, ..made }).is_err());
}

pub fn kicked_notice(bytes: &[u8]) {
    let (group, member) = (X25519Pair::new(group().to_x25519()), alice());
    let open = |notice: &[u8]| multi_encrypt::open_kicked_notice(member.x25519(), group.public(), notice);
    let _ = open(bytes);
    let text = [member.x25519().public().as_bytes().as_slice(), bytes].concat();
    for plain in [bytes, &text] {
        let made = MultiEncrypted::seal_with_nonce(
            &group,
            [(member.x25519().public(), plain)],
            b"SessionGroupKickedMessage",
            &NONCE,
        );
        if let Ok(generation) = open(&made.encode()) {
            let digits = &plain[32..];
            assert_eq!(std::str::from_utf8(digits).unwrap().parse(), Ok(generation));
        }
    }
}

pub fn attachment_legacy(bytes: &[u8]) {
    use conclave_crypto::hash::sha256;
    let key = legacy::AttachmentKey::from_bytes([5; 64]);
    let open = |blob: &[u8], size| legacy::decrypt(blob, &key, &sha256(&[blob]), size);
    let announced = bytes.first().copied().map_or(0, usize::from);
    if let Ok(content) = open(bytes, announced) {
        assert_eq!(content.len(), announced);
    }
    let made = legacy::encrypt_with_iv(bytes, key.clone(), &[4; 16]);
    assert_eq!(open(&made.blob, bytes.len()).unwrap(), bytes);
    assert!(open(&made.blob, bytes.len() + 1).is_err(), "less than announced");
    assert!(open(&flipped(&made.blob, choice(bytes)), bytes.len()).is_err());
    let padded = legacy::padded_size(bytes.len());
    assert!(padded >= bytes.len() && padded <= bytes.len() + bytes.len() / 10 + 600, "{padded}");
}

pub fn attachment_stream(bytes: &[u8]) {
    let whole = stream::decrypt(bytes, &KEY);
    let in_pieces = |blob: &[u8], key: &[u8; 32]| {
        let (mut out, mut decryptor) = (Vec::new(), stream::StreamDecryptor::new(key));
        for piece in blob.chunks(1 + choice(bytes) % 97) {
            decryptor.update(piece, &mut out)?;
        }
        decryptor.finish(&mut out).map(|()| out)
    };
    assert_eq!(in_pieces(bytes, &KEY).ok(), whole.ok(), "how a blob arrives changes nothing");
    let (key, blob) = stream::encrypt(alice().ed25519(), stream::Domain::Attachment, bytes).unwrap();
    assert_eq!(blob.len(), stream::encrypted_length(bytes.len()));
    assert_eq!(in_pieces(&blob, key.as_bytes()).unwrap(), bytes);
    assert!(stream::decrypt(&flipped(&blob, choice(bytes)), key.as_bytes()).is_err());
    assert!(stream::decrypt(&blob[..choice(bytes) % blob.len()], key.as_bytes()).is_err(), "cut");
}

pub fn profile_picture(bytes: &[u8]) {
    let _ = picture::decrypt(bytes, &KEY);
    let blob = picture::encrypt_with_nonce(bytes, &KEY, &[6; 12]);
    assert_eq!(picture::decrypt(&blob, &KEY).unwrap(), bytes);
    assert!(picture::decrypt(&flipped(&blob, choice(bytes)), &KEY).is_err());
}

pub fn blinded_message(bytes: &[u8]) {
    use conclave_crypto::blinded_message::{open, seal_with_nonce};
    let (sender, recipient) = (alice(), bob());
    let scheme = if bytes.len().is_multiple_of(2) { BlindingScheme::V15 } else { BlindingScheme::V25 };
    let id = |account: &Account| BlindedKey::new(scheme, account.ed25519(), &SERVER).id();
    let (from, to) = (id(&sender), id(&recipient));
    let read = |bytes: &[u8]| open(recipient.ed25519(), &SERVER, &from, &to, bytes);
    let _ = read(bytes);
    let sealed = seal_with_nonce(sender.ed25519(), &SERVER, &to, bytes, &NONCE).unwrap();
    let opened = read(&sealed).unwrap();
    assert_eq!((opened.message.as_slice(), &opened.sender), (bytes, sender.id()));
    assert!(read(&flipped(&sealed, choice(bytes))).is_err());
}

pub fn push_payload(bytes: &[u8]) {
    use conclave_crypto::push::{open, seal_with_nonce};
    let _ = open(&KEY, bytes);
    let sealed = seal_with_nonce(&KEY, bytes, &NONCE);
    let opened = open(&KEY, &sealed).unwrap();
    assert!(bytes.starts_with(&opened) && bytes[opened.len()..].iter().all(|byte| *byte == 0));
    assert!(open(&KEY, &flipped(&sealed, choice(bytes))).is_err());
}

/// The nonce first, then the value of the name `test`.
pub fn ons(bytes: &[u8]) {
    use conclave_crypto::ons::open;
    let Some((nonce, value)) = bytes.split_first_chunk() else { return };
    if let Ok(id) = open("test", value, nonce) {
        assert_eq!(id.prefix(), IdPrefix::Account);
        assert_eq!(open("TEST", value, nonce), Ok(id), "names have no case");
        assert!(open("test", &flipped(value, choice(bytes)), nonce).is_err());
        assert!(open("tast", value, nonce).is_err());
    }
}

pub fn padding(bytes: &[u8]) {
    use conclave_crypto::padding::{CONTENT_BLOCK, pad_content, strip_zeros, unpad_content};
    assert!(bytes.starts_with(unpad_content(bytes)));
    assert!(bytes.starts_with(strip_zeros(bytes)));
    let padded = pad_content(bytes);
    assert!(padded.len().is_multiple_of(CONTENT_BLOCK));
    assert_eq!(unpad_content(&padded), bytes);
}

pub fn compression(bytes: &[u8]) {
    use conclave_crypto::compression::{compress, decompress};
    const LIMIT: usize = 100_000;
    if let Ok(plain) = decompress(bytes, LIMIT) {
        assert!(plain.len() <= LIMIT, "a small bomb makes no large memory");
    }
    let compressed = compress(bytes);
    assert_eq!(decompress(&compressed, bytes.len()).unwrap(), bytes);
    assert!(bytes.is_empty() || decompress(&compressed, bytes.len() - 1).is_err());
}

pub fn config_encryption(bytes: &[u8]) {
    use conclave_crypto::config_encryption::{decrypt, encrypt, pad, unpad};
    let _ = decrypt(bytes, &KEY, "Contacts");
    assert!(bytes.ends_with(unpad(bytes)));
    let sealed = encrypt(&pad(bytes), &KEY, "Contacts");
    assert_eq!(unpad(&decrypt(&sealed, &KEY, "Contacts").unwrap()), unpad(bytes));
    assert!(decrypt(&flipped(&sealed, choice(bytes)), &KEY, "Contacts").is_err());
    assert!(decrypt(&sealed, &KEY, "UserProfile").is_err());
}
