//! What reads bytes in `conclave-proto`, storage RPC excepted.

use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::bt::{BtError, DictReader, ListReader, Value};
use conclave_proto::content::{
    CallMessage, Content, DataMessage, Decoded, Envelope, GroupUpdateMessage, LokiProfile, WebSocketMessage,
};
use conclave_proto::monitor::{MonitorRequest, Notification};
use conclave_proto::network::{
    Directory, DirectoryPoll, DirectoryPollAnswer, MembershipRequest, NetworkFile, SignedDirectory,
    SignedMembershipRequest,
};
use conclave_proto::peer::{self, OnionRelay};
use conclave_proto::seed::{SeedAnswer, SeedRequest};
use conclave_proto::sync::{self, Copies, Digests, DigestsRequest, Keys, KeysRequest};
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{MessageHash, Timestamp, content as wire};

use super::{choice, flipped};

pub fn bt_value(bytes: &[u8]) {
    let strict = Value::decode(bytes);
    let lenient = Value::decode_in_order(bytes);
    if let Ok(value) = &strict {
        assert_eq!(value.encode(), bytes, "there is one encoding of a value");
        assert_eq!(lenient.as_ref(), Ok(value), "who reads strictly reads nothing else");
    }
    if let Ok(value) = &lenient {
        assert_eq!(Value::decode(&value.encode()).as_ref(), Ok(value));
    }
}

/// Readers that take one field after the other see what the whole decoder sees.
pub fn bt_reader(bytes: &[u8]) {
    if let Ok(Value::Dict(fields)) = Value::decode(bytes) {
        let mut reader = DictReader::new(bytes).unwrap();
        for (key, value) in &fields {
            assert_eq!(reader.peek_key(), Ok(Some(key.as_slice())));
            assert_eq!(reader.take_value(key), Ok(Some(value.clone())));
        }
        assert_eq!(reader.next_raw(), Ok(None));
    }
    let walk_dict = || -> Result<(), BtError> {
        let mut reader = DictReader::new(bytes)?;
        while let Some((_, raw)) = reader.next_raw()? {
            assert!(raw.len() < bytes.len());
            let _ = Value::decode(raw);
        }
        Ok(())
    };
    let walk_list = || -> Result<(), BtError> {
        let mut reader = ListReader::new(bytes)?;
        while let Some(raw) = reader.next_raw()? {
            assert!(raw.len() < bytes.len());
            let _ = (ListReader::new(raw), DictReader::new(raw));
        }
        Ok(())
    };
    let _ = (walk_dict(), walk_list());
    let typed = |take: &dyn Fn(&mut DictReader<'_>)| DictReader::new(bytes).map(|mut dict| take(&mut dict));
    let _ = typed(&|dict| drop((dict.take_text("a"), dict.take_u64("b"), dict.take_i64("c"))));
    let _ = typed(&|dict| drop((dict.take_array::<32>("a"), dict.take_list("b").map(|_| ()))));
    let _ = typed(&|dict| drop((dict.take_dict("a").map(|_| ()), dict.take_signed("~"))));
}

/// Frames do not depend on how the stream is cut.
pub fn btstream(bytes: &[u8]) {
    use conclave_proto::btstream::{Decoder, MAX_FRAME, encode};
    let read = |size: usize| {
        let (mut decoder, mut frames) = (Decoder::new(), Vec::new());
        for chunk in bytes.chunks(size) {
            decoder.push(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next(), Err(error.clone()), "an error is for ever");
                        return (frames, Some(error));
                    }
                }
            }
            assert!(decoder.pending() <= MAX_FRAME + 10);
        }
        (frames, None)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(1 + choice(bytes) % 13));
    for frame in whole.0 {
        let mut decoder = Decoder::new();
        decoder.push(&encode(&frame));
        assert_eq!(decoder.next(), Ok(Some(frame)));
        assert_eq!(decoder.pending(), 0);
    }
}

macro_rules! round_trip {
    ($message:ty, $bytes:expr) => {
        if let Ok(decoded) = Decoded::<$message>::decode($bytes) {
            let encoded = decoded.encode();
            let again = Decoded::<$message>::decode(&encoded).expect("what we write can be read");
            assert_eq!(again, decoded, "known and unknown fields survive");
            assert_eq!(again.encode(), encoded, "writing has settled");
        }
    };
}

/// The messages inside, with what an older program does not know of them.
pub fn content(bytes: &[u8]) {
    round_trip!(Content, bytes);
    round_trip!(DataMessage, bytes);
    round_trip!(GroupUpdateMessage, bytes);
    round_trip!(CallMessage, bytes);
    round_trip!(LokiProfile, bytes);
    if let Ok(content) = Content::from_bytes(bytes) {
        assert_eq!(Content::from_bytes(&content.to_bytes()), Ok(content.clone()));
        let _ = content.expiration();
        let _ = content.data_message.as_ref().and_then(DataMessage::profile_name).map(str::len);
    }
}

/// What is around them.
pub fn envelope(bytes: &[u8]) {
    round_trip!(Envelope, bytes);
    round_trip!(WebSocketMessage, bytes);
    let _ = wire::ReceivedEnvelope::from_bytes(bytes);
    if let Ok(received) = wire::unwrap(bytes) {
        let signature = received.pro_sig.unwrap_or([0; 64]);
        let made = Envelope::one_to_one(received.timestamp, received.content.clone(), signature);
        let again = wire::unwrap(&made.wrap()).unwrap();
        assert_eq!((again.timestamp, again.content), (received.timestamp, received.content));
    }
}

pub fn active_nodes(bytes: &[u8]) {
    use conclave_proto::active_nodes::{decode, encode};
    if let Ok(nodes) = decode(bytes) {
        assert_eq!(encode(&nodes), bytes);
    }
}

fn has_fraction(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_f64(),
        serde_json::Value::Array(items) => items.iter().any(has_fraction),
        serde_json::Value::Object(entries) => entries.values().any(has_fraction),
        _ => false,
    }
}

pub fn combined(bytes: &[u8]) {
    use conclave_proto::combined::{decode, encode};
    if let Ok(parts) = decode(bytes) {
        let control = serde_json::Value::Object(parts.control.clone());
        let encoded = encode(parts.body, &control);
        let again = decode(&encoded).unwrap();
        // Numbers with a fraction may lose their last digit on the way through text; the protocol has none.
        assert_eq!(again.body, parts.body);
        if !has_fraction(&control) {
            assert_eq!(again.control, parts.control);
        }
    }
}

pub fn v4(bytes: &[u8]) {
    if let Ok(request) = V4Request::decode(bytes) {
        assert!(request.endpoint.starts_with('/'));
        assert_eq!(V4Request::decode(&request.encode()).as_ref(), Ok(&request));
    }
    if let Ok(reply) = V4Reply::decode(bytes) {
        assert_eq!(V4Reply::decode(&reply.encode()).as_ref(), Ok(&reply));
    }
}

pub fn peer_relay(bytes: &[u8]) {
    if let Ok(relay) = OnionRelay::decode(bytes.to_vec().into()) {
        assert!((1..=peer::MAX_HOPS).contains(&relay.hop_no));
        assert_eq!(OnionRelay::decode(relay.encode().into()).as_ref(), Ok(&relay));
    }
}

pub fn peer_replies(bytes: &[u8]) {
    if let Ok((code, body)) = peer::decode_relay_reply(bytes) {
        let (before, behind) = peer::around_relay_reply(code, body.len());
        let encoded = [before.as_slice(), body, behind].concat();
        assert_eq!(peer::decode_relay_reply(&encoded), Ok((code, body)));
    }
    if let Ok((method, params)) = peer::decode_storage_cc(bytes) {
        let encoded = peer::encode_storage_cc(method, params);
        assert_eq!(peer::decode_storage_cc(&encoded), Ok((method, params)));
    }
}

pub fn peer_sync(bytes: &[u8]) {
    if let Ok(request) = DigestsRequest::decode(bytes) {
        assert_eq!(DigestsRequest::decode(&request.encode()), Ok(request));
    }
    if let Ok(request) = KeysRequest::decode(bytes) {
        assert!(request.bucket < sync::BUCKETS);
        assert_eq!(KeysRequest::decode(&request.encode()), Ok(request));
    }
    if let Ok(digests) = Digests::decode(bytes) {
        assert_eq!(digests.encode(), bytes);
    }
    if let Ok(keys) = Keys::decode(bytes) {
        assert_eq!(Keys::decode(&keys.encode()).as_ref(), Ok(&keys));
    }
    if let Ok(copies) = Copies::decode(bytes) {
        assert_eq!(Copies::decode(&copies.encode()).as_ref(), Ok(&copies));
    }
}

pub fn peer_push(bytes: &[u8]) {
    if let Ok(messages) = peer::decode_push(bytes) {
        assert_eq!(peer::decode_push(&peer::encode_push(&messages)).as_ref(), Ok(&messages));
    }
}

pub fn monitor(bytes: &[u8]) {
    let Ok(request) = MonitorRequest::decode(bytes) else { return };
    for subscription in request.subscriptions.iter().flatten() {
        let encoded = subscription.to_dict().finish();
        let again = MonitorRequest::decode(&encoded).unwrap();
        assert!(!again.many);
        assert_eq!(again.subscriptions, [Ok(subscription.clone())]);
        let _ = subscription.verify();
    }
}

pub fn notification(bytes: &[u8]) {
    if let Ok(notification) = Notification::decode(bytes) {
        assert_eq!(Notification::decode(&notification.encode()).as_ref(), Ok(&notification));
    }
}

pub fn message_hash(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(hash) = MessageHash::from_text(text) {
        assert_eq!(hash.as_str(), text);
    }
}

pub fn base32z(bytes: &[u8]) {
    use conclave_proto::base32z::{decode, encode};
    assert_eq!(decode(&encode(bytes)).as_deref(), Some(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(decoded) = decode(text) {
        assert_eq!(encode(&decoded), text.to_ascii_lowercase(), "one text for the same bytes");
    }
}

pub fn base64(bytes: &[u8]) {
    use conclave_proto::base64::{decode, encode};
    assert_eq!(decode(encode(bytes)).as_deref(), Some(bytes));
    if let Some(decoded) = decode(bytes) {
        let written = encode(decoded);
        let bare = |text: &[u8]| text.iter().copied().filter(|byte| *byte != b'=').collect::<Vec<_>>();
        assert_eq!(bare(written.as_bytes()), bare(bytes), "only the padding is free");
    }
}

pub fn community_url(bytes: &[u8]) {
    use conclave_proto::community_url::CommunityUrl;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(url) = CommunityUrl::parse(text) {
        assert_eq!(CommunityUrl::parse(&url.to_string()).as_ref(), Ok(&url));
    }
}

pub fn manifest(bytes: &[u8]) {
    use conclave_proto::chunk::{BlobId, CHUNK_SIZE, Manifest};
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(manifest.encode(), bytes, "there is one spelling");
        assert!(bytes.len() <= CHUNK_SIZE);
        let sizes: u64 = (0..manifest.chunks().len()).map(|n| manifest.chunk_size(n).unwrap() as u64).sum();
        assert_eq!(sizes, manifest.size());
        assert_eq!(Manifest::read(&manifest.id(), bytes).as_ref(), Ok(&manifest));
    }
    if let Some(id) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<BlobId>().ok()) {
        assert_eq!(id.to_string().as_bytes(), bytes);
    }
}

pub fn file_url(bytes: &[u8]) {
    use conclave_proto::file_url::{FileUrl, is_file_id};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(url) = FileUrl::parse(text) {
        assert!(is_file_id(&url.id));
        assert_eq!(FileUrl::parse(&url.to_string()).as_ref(), Ok(&url));
    }
}

/// What members of a swarm say to each other about chunks, and to clients.
pub fn chunk_sync(bytes: &[u8]) {
    use conclave_proto::chunk_sync::{
        ChunkPut, Digests, DigestsRequest, FetchRequest, Fetched, Names, NamesRequest, Wanted,
    };
    use conclave_proto::rpc::chunk::ChunkResult;
    macro_rules! comes_back {
        ($($what:ty),*) => {$(
            if let Ok(read) = <$what>::decode(bytes) {
                assert!(<$what>::decode(&read.encode()).unwrap() == read);
            }
        )*};
    }
    comes_back!(ChunkPut, Digests, DigestsRequest, FetchRequest, Names, NamesRequest, Wanted);
    if let Ok(read) = Fetched::decode(bytes) {
        assert!(Fetched::decode(&Fetched::encode(&read.data, read.expiry)).unwrap() == read);
    }
    if let Some(read) = ChunkResult::from_bt(bytes) {
        assert_eq!(ChunkResult::from_bt(&read.to_bt()), Some(read));
    }
}

pub fn network_file(bytes: &[u8]) {
    if let Ok(file) = NetworkFile::from_json(bytes) {
        assert!(!file.seeds.is_empty());
        match NetworkFile::from_json(file.to_json().as_bytes()) {
            Ok(again) => assert_eq!(again, file),
            // Indented, a file may have grown over the limit.
            Err(error) => assert!(file.to_json().len() > bytes.len(), "{error}"),
        }
    }
}

fn registry() -> Ed25519Secret {
    Ed25519Secret::from_seed(&[0x52; 32])
}

/// A directory as it is in the input, and one whose payload the registry did sign.
pub fn directory(bytes: &[u8]) {
    let key: Ed25519Public = registry().public();
    let check = |signed: &SignedDirectory| {
        let Ok(directory) = signed.verify(&key, "fuzz", 1) else { return };
        assert!(directory.nodes().len() <= conclave_proto::network::MAX_NODES);
        for node in directory.nodes() {
            assert_eq!(directory.node(&node.ed25519), Some(node));
        }
        let again: Directory = directory.sign(&registry()).verify(&key, "fuzz", 1).unwrap();
        assert_eq!(again.nodes(), directory.nodes());
        let _ = directory.freshness(Timestamp(1_700_000_000_000));
    };
    if let Ok(signed) = SignedDirectory::from_json(bytes) {
        assert_eq!(SignedDirectory::from_json(signed.to_json().as_bytes()).as_ref(), Ok(&signed));
        check(&signed);
    }
    let Ok(payload) = std::str::from_utf8(bytes) else { return };
    let sign =
        |text: &str| registry().sign(&[b"conclave directory v1\n".as_slice(), text.as_bytes()].concat());
    let signature = conclave_proto::base64::encode(sign(payload).as_bytes());
    let json = serde_json::json!({ "payload": payload, "signature": signature }).to_string();
    let Ok(signed) = SignedDirectory::from_json(json.as_bytes()) else { return };
    check(&signed);
    let forged = String::from_utf8_lossy(&flipped(bytes, choice(bytes))).into_owned();
    let json = serde_json::json!({ "payload": forged, "signature": signature }).to_string();
    if let (false, Ok(forged)) = (forged == payload, SignedDirectory::from_json(json.as_bytes())) {
        assert!(forged.verify(&key, "fuzz", 1).is_err(), "signed for another text");
    }
}

pub fn seed_request(bytes: &[u8]) {
    if let Ok(request) = SeedRequest::from_json(bytes) {
        let again = SeedRequest::from_json(request.to_json().to_string().as_bytes()).unwrap();
        assert_eq!(
            (&again.id, again.active_only, again.limit),
            (&request.id, request.active_only, request.limit)
        );
        let _ = request.answer(&[], 7, None);
    }
}

/// What nodes say to each other about directories.
pub fn directory_poll(bytes: &[u8]) {
    if let Ok(poll) = DirectoryPoll::decode(bytes) {
        assert_eq!(DirectoryPoll::decode(&poll.encode()), Ok(poll));
    }
    if let Ok(answer) = DirectoryPollAnswer::decode(bytes) {
        assert_eq!(DirectoryPollAnswer::decode(&answer.encode()), Ok(answer));
    }
}

/// A request of a node as it is in the input, and one whose payload the node did sign.
pub fn membership(bytes: &[u8]) {
    let check = |signed: &SignedMembershipRequest| {
        let request = signed.verify().ok()?;
        assert_eq!(request.is_for("fuzz", request.issued_at).is_ok(), request.network_id == "fuzz");
        let _ = request.is_for("fuzz", Timestamp(1_700_000_000_000));
        Some(request)
    };
    if let Ok(signed) = SignedMembershipRequest::from_json(bytes) {
        assert_eq!(SignedMembershipRequest::from_json(signed.to_json().as_bytes()).as_ref(), Ok(&signed));
        check(&signed);
    }
    let Ok(payload) = std::str::from_utf8(bytes) else { return };
    let text = [b"conclave membership v1\n".as_slice(), payload.as_bytes()].concat();
    let signature = conclave_proto::base64::encode(registry().sign(&text).as_bytes());
    let read = |payload: &str| {
        let json = serde_json::json!({ "payload": payload, "signature": signature }).to_string();
        SignedMembershipRequest::from_json(json.as_bytes()).ok()
    };
    let Some(request) = read(payload).as_ref().and_then(check) else { return };
    assert_eq!(request.node, registry().public(), "who signed is who asks");
    let again =
        MembershipRequest::sign(&request.network_id, request.wanted, request.issued_at, &registry()).unwrap();
    assert_eq!(again.verify().as_ref(), Ok(&request), "what can be read can be written");
    let forged = String::from_utf8_lossy(&flipped(bytes, choice(bytes))).into_owned();
    if forged != payload {
        assert!(read(&forged).as_ref().and_then(check).is_none(), "a changed request is not followed");
    }
}

pub fn seed_answer(bytes: &[u8]) {
    let Ok(answer) = SeedAnswer::from_json(bytes) else { return };
    let written =
        SeedRequest::default().answer(&answer.nodes, answer.height, answer.directory.as_ref()).to_string();
    assert_eq!(SeedAnswer::from_json(written.as_bytes()).as_ref(), Ok(&answer));
}
