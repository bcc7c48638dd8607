//! What holds for every value, not only for known ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_crypto::{AccountId, Ed25519Secret, IdPrefix, Signature};
use conclave_proto::bt::{DictReader, Int, Value};
use conclave_proto::btstream::{self, Decoder, Frame};
use conclave_proto::community_url::CommunityUrl;
use conclave_proto::content::{Content, DataMessage, Decoded, Envelope};
use conclave_proto::monitor::MonitorRequest;
use conclave_proto::peer::{OnionRelay, decode_push};
use conclave_proto::rpc::*;
use conclave_proto::v4::{V4Reply, V4Request};
use conclave_proto::{MessageHash, Namespace, Timestamp, active_nodes, base32z, combined};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn bt_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        vec(any::<u8>(), 0..20).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            btree_map(vec(any::<u8>(), 0..6), inner, 0..6).prop_map(Value::Dict),
        ]
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    // Those around 32 KiB and above keep the buffer they came in.
    let body = || {
        prop_oneof![
            4 => vec(any::<u8>(), 0..200).prop_map(Bytes::from),
            1 => (any::<u8>(), 32_700_usize..33_000).prop_map(|(byte, length)| vec![byte; length].into()),
        ]
    };
    prop_oneof![
        (any::<u64>(), "[a-z_]{1,20}", body()).prop_map(|(id, endpoint, body)| Frame::Command {
            id,
            endpoint,
            body
        }),
        (any::<u64>(), body()).prop_map(|(id, body)| Frame::Reply { id, body }),
        (any::<u64>(), body()).prop_map(|(id, body)| Frame::Error { id, body }),
    ]
}

fn hash() -> impl Strategy<Value = MessageHash> {
    "[A-Za-z0-9+/]{43}".prop_map(|text| MessageHash::from_text(&text).unwrap())
}

fn hashes() -> impl Strategy<Value = Vec<MessageHash>> {
    vec(hash(), 1..5)
}

fn account() -> impl Strategy<Value = AccountId> {
    (prop_oneof![Just(IdPrefix::Account), Just(IdPrefix::Group)], any::<[u8; 32]>())
        .prop_map(|(prefix, key)| AccountId::new(prefix, &key))
}

/// As JSON must have them: in milliseconds.
fn time() -> impl Strategy<Value = Timestamp> {
    (1_000_000_000..u64::MAX).prop_map(Timestamp)
}

fn namespace() -> impl Strategy<Value = Namespace> {
    any::<i16>().prop_map(Namespace)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![namespace().prop_map(Scope::One), Just(Scope::All)]
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[u8; 64]>().prop_map(Signature::from_bytes)
}

fn token() -> impl Strategy<Value = SubaccountToken> {
    any::<[u8; 36]>().prop_map(SubaccountToken)
}

/// An account and credentials that fit it.
fn signed() -> impl Strategy<Value = (AccountId, Auth)> {
    (account(), option::of(any::<[u8; 32]>()), signature(), option::of((token(), signature()))).prop_map(
        |(account, key, signature, subaccount)| {
            let pubkey_ed25519 = key.filter(|_| account.prefix() == IdPrefix::Account);
            let subaccount = subaccount.map(|(token, signature)| SubaccountAuth { token, signature });
            (account, Auth { pubkey_ed25519, signature, subaccount })
        },
    )
}

fn plain_request() -> impl Strategy<Value = Request> {
    let by_account = |(account, auth)| (account, Auth { subaccount: None, ..auth });
    let lifetime = prop_oneof![any::<u64>().prop_map(Lifetime::Ttl), time().prop_map(Lifetime::Until)];
    prop_oneof![
        (
            signed(),
            namespace(),
            time(),
            lifetime,
            vec(any::<u8>(), 0..100),
            any::<bool>(),
            option::of(time())
        )
            .prop_map(
                |((account, auth), namespace, timestamp, lifetime, data, auths, sig_timestamp)| {
                    Request::Store(Store {
                        account,
                        namespace,
                        timestamp,
                        lifetime,
                        data,
                        auth: auths.then_some(auth),
                        sig_timestamp,
                    })
                }
            ),
        (
            signed(),
            namespace(),
            option::of(hash()),
            option::of(any::<u64>()),
            option::of(any::<i64>()),
            time()
        )
            .prop_map(|((account, auth), namespace, last_hash, max_count, max_size, timestamp)| {
                let auth = Some(TimedAuth { auth, timestamp });
                Request::Retrieve(Retrieve { account, namespace, last_hash, max_count, max_size, auth })
            }),
        (signed(), hashes(), any::<bool>()).prop_map(|((account, auth), messages, required)| {
            Request::Delete(Delete { account, messages, required, auth })
        }),
        (signed(), scope(), time()).prop_map(|((account, auth), scope, timestamp)| {
            Request::DeleteAll(DeleteAll { account, scope, timestamp, auth })
        }),
        (signed(), scope(), time()).prop_map(|((account, auth), scope, before)| {
            Request::DeleteBefore(DeleteBefore { account, scope, before, auth })
        }),
        (signed(), scope(), time()).prop_map(|((account, auth), scope, expiry)| {
            Request::ExpireAll(ExpireAll { account, scope, expiry, auth })
        }),
        (signed(), hashes(), time(), any::<bool>()).prop_map(|((account, auth), messages, expiry, each)| {
            let expiry = vec![expiry; if each { messages.len() } else { 1 }];
            Request::Expire(Expire { account, messages, expiry, mode: ExpireMode::Extend, auth })
        }),
        (signed(), hashes(), time()).prop_map(|((account, auth), messages, timestamp)| {
            Request::GetExpiries(GetExpiries { account, messages, timestamp, auth })
        }),
        (signed().prop_map(by_account), vec(token(), 1..4), time(), any::<bool>()).prop_map(
            |((account, auth), tokens, timestamp, revoke)| {
                let revocation = Revocation { account, tokens, timestamp, auth };
                if revoke {
                    Request::RevokeSubaccount(revocation)
                } else {
                    Request::UnrevokeSubaccount(revocation)
                }
            }
        ),
        (signed().prop_map(by_account), time()).prop_map(|((account, auth), timestamp)| {
            Request::RevokedSubaccounts(RevokedSubaccounts { account, timestamp, auth })
        }),
        account().prop_map(Request::GetSwarm),
        Just(Request::Info),
        Just(Request::ActiveNodesBin),
        Just(Request::OxendRequest(OxendRequest {
            endpoint: "ons_resolve".into(),
            params: Some(serde_json::json!({ "type": 0, "half": 0.5, "nothing": null })),
        })),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        8 => plain_request(),
        1 => vec(plain_request(), 1..4).prop_map(Request::Batch),
        1 => vec(plain_request(), 1..4).prop_map(Request::Sequence),
        1 => (option::of(plain_request()), option::of(plain_request()), any::<[u64; 2]>()).prop_map(
            |(then, otherwise, hf)| {
                let conditions = Conditions { hf_at_least: Some(hf), v_before: Some([2, 11, 0]), ..Default::default() };
                Request::IfElse(Box::new(IfElse { conditions, then, otherwise }))
            }
        ),
    ]
}

/// A protobuf field of a number no schema of ours has.
fn unknown_field() -> impl Strategy<Value = Vec<u8>> {
    (20_000u32..30_000, vec(any::<u8>(), 0..20)).prop_map(|(number, value)| {
        let mut out = Vec::new();
        prost::encoding::bytes::encode(number, &value, &mut out);
        out
    })
}

proptest! {
    #[test]
    fn a_bt_value_has_one_encoding(value in bt_value()) {
        let bytes = value.encode();
        prop_assert_eq!(Value::decode(&bytes).unwrap(), value.clone());
        prop_assert_eq!(Value::decode_in_order(&bytes).unwrap(), value);
    }

    #[test]
    fn whatever_bt_is_accepted_was_canonical(bytes in vec(prop_oneof![
        Just(b'd'), Just(b'l'), Just(b'i'), Just(b'e'), Just(b':'), Just(b'-'), b'0'..=b'3', any::<u8>()
    ], 0..24)) {
        if let Ok(value) = Value::decode(&bytes) {
            prop_assert_eq!(value.encode(), bytes.clone());
            prop_assert_eq!(Value::decode_in_order(&bytes), Ok(value));
        }
        // The streaming reader and the tree agree on what is a dictionary.
        if let Ok(Value::Dict(entries)) = Value::decode_in_order(&bytes) {
            let mut reader = DictReader::new(&bytes).unwrap();
            for (key, value) in entries {
                prop_assert_eq!(reader.take_value(&key).unwrap(), Some(value));
            }
        }
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut(frames in vec(frame(), 1..5), cut in prop_oneof![1usize..50, 10_000usize..70_000]) {
        let bytes: Vec<u8> = frames.iter().flat_map(btstream::encode).collect();
        let mut decoder = Decoder::new();
        let mut arrived = Vec::new();
        for piece in bytes.chunks(cut) {
            decoder.push(piece);
            while let Some(frame) = decoder.next().unwrap() {
                arrived.push(frame);
            }
        }
        prop_assert_eq!(arrived, frames);
        prop_assert_eq!(decoder.pending(), 0);
    }

    #[test]
    fn json_and_bt_say_the_same_request(request in request(), at in time()) {
        let method = request.method();
        prop_assert_eq!(&Request::from_json(method, &request.to_json()).unwrap(), &request);
        prop_assert_eq!(&Request::from_bt(method, &request.to_bt()).unwrap(), &request);
        prop_assert_eq!(&Request::from_json_body(&request.to_json_body()).unwrap(), &request);
        prop_assert_eq!(&Request::from_either(method, &request.to_bt()).unwrap(), &request);
        if request.is_recursive() {
            let forwarded = Request::from_forwarded(method, &request.to_forwarded()).unwrap();
            if request.auth().is_some() {
                prop_assert_eq!(signing::request(&forwarded), signing::request(&request));
            }
            prop_assert_eq!(forwarded.to_forwarded(), request.to_forwarded());
            let timed = Forwarded { request: forwarded.clone(), at: Some(at) };
            prop_assert_eq!(Forwarded::from_bt(method, &timed.to_bt()).unwrap(), timed.clone());
            // Other programs skip the time; ours does without one.
            prop_assert_eq!(Request::from_bt(method, &timed.to_bt()).unwrap(), forwarded.clone());
            let untimed = Forwarded { request: forwarded, at: None };
            prop_assert_eq!(untimed.to_bt(), request.to_forwarded());
            prop_assert_eq!(Forwarded::from_bt(method, &untimed.to_bt()).unwrap(), untimed);
        } else {
            prop_assert!(Request::from_forwarded(method, &request.to_forwarded()).is_err());
        }
    }

    #[test]
    fn a_hash_is_its_32_bytes_or_no_messages(bytes: [u8; 32], named in hash()) {
        let hash = MessageHash::from_bytes(&bytes);
        prop_assert_eq!(hash.to_bytes(), Some(bytes));
        prop_assert_eq!(MessageHash::from_text(hash.as_str()), Ok(hash));
        prop_assert!(named.to_bytes().is_none_or(|bytes| MessageHash::from_bytes(&bytes) == named));
    }

    #[test]
    fn a_request_signed_for_one_thing_is_good_for_no_other(
        seed: [u8; 32], space in namespace(), time in time(), other in request(),
    ) {
        let key = Ed25519Secret::from_seed(&seed);
        let account = AccountId::of_account(&key.public().to_x25519());
        let auth = Auth::by_account(&key, &signing::retrieve(space, time));
        let retrieve = Retrieve {
            account, namespace: space, last_hash: None, max_count: None, max_size: None,
            auth: Some(TimedAuth { auth, timestamp: time }),
        };
        let good = Request::Retrieve(retrieve.clone());
        prop_assert_eq!(good.verify(), Ok(Authority::Account));
        let later = Some(TimedAuth { auth, timestamp: Timestamp(time.0 ^ 1) });
        let later = Request::Retrieve(Retrieve { auth: later, ..retrieve.clone() }).verify();
        prop_assert_eq!(later.unwrap_err().cause, AuthRejected::Signature);
        let elsewhere = Namespace(space.0 ^ 1);
        let elsewhere = Request::Retrieve(Retrieve { namespace: elsewhere, ..retrieve }).verify();
        prop_assert_eq!(elsewhere.unwrap_err().cause, AuthRejected::Signature);
        if signing::request(&other) != signing::request(&good) {
            prop_assert!(auth.verify(&account, &signing::request(&other).unwrap_or_default(), Rights::NONE).is_err());
        }
    }

    #[test]
    fn unknown_fields_survive_at_every_level(
        outer in vec(unknown_field(), 0..3), inner in vec(unknown_field(), 0..3), text in ".{0,40}",
    ) {
        use prost::Message as _;
        let data = DataMessage::text(&text, None);
        let content = Content::with_data(data.clone(), Timestamp(1));
        // A newer program writes fields of its own into both messages.
        let mut inside = data.encode_to_vec();
        inside.extend(inner.concat());
        let mut bytes = Content { data_message: None, ..content.clone() }.encode_to_vec();
        prost::encoding::bytes::encode(1, &inside, &mut bytes);
        bytes.extend(outer.concat());

        let decoded = Decoded::<Content>::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded.message, &content);
        prop_assert_eq!(decoded.unknown.is_empty(), outer.is_empty() && inner.is_empty());
        let again = decoded.encode();
        prop_assert_eq!(&Decoded::<Content>::decode(&again).unwrap(), &decoded);
        prop_assert_eq!(again.len(), bytes.len());
        for field in outer.iter().chain(&inner) {
            prop_assert!(again.windows(field.len()).any(|window| window == field.as_slice()));
        }
    }

    #[test]
    fn base32z_is_undone_in_either_case(bytes in vec(any::<u8>(), 0..40)) {
        let text = base32z::encode(&bytes);
        prop_assert_eq!(base32z::decode(&text), Some(bytes.clone()));
        prop_assert_eq!(base32z::decode(&text.to_uppercase()), Some(bytes));
    }

    #[test]
    fn a_combined_payload_comes_apart_as_it_was_joined(
        body in vec(any::<u8>(), 0..100), control in btree_map("[a-z]{1,5}", any::<u32>(), 0..4),
    ) {
        let control = serde_json::to_value(&control).unwrap();
        let bytes = combined::encode(&body, &control);
        let apart = combined::decode(&bytes).unwrap();
        prop_assert_eq!(apart.body, body.as_slice());
        prop_assert_eq!(serde_json::Value::Object(apart.control), control);
    }

    #[test]
    fn v4_payloads_come_back(method in "GET|POST", path in "[a-z/?=]{0,20}", headers in btree_map(".{0,9}", ".{0,9}", 0..4), body in vec(any::<u8>(), 0..50), code in 100u16..600) {
        let request = V4Request { method, endpoint: format!("/{path}"), headers: headers.clone(), body: body.clone() };
        prop_assert_eq!(V4Request::decode(&request.encode()).unwrap(), request);
        let reply = V4Reply { code, headers, body };
        prop_assert_eq!(V4Reply::decode(&reply.encode()).unwrap(), reply);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let _ = Value::decode(&bytes);
        let _ = DictReader::new(&bytes);
        let _ = OnionRelay::decode(bytes.clone().into());
        let _ = decode_push(&bytes);
        let _ = MonitorRequest::decode(&bytes);
        let _ = combined::decode(&bytes);
        let _ = active_nodes::decode(&bytes);
        let _ = V4Reply::decode(&bytes);
        let _ = Decoded::<Content>::decode(&bytes);
        let _ = Decoded::<Envelope>::decode(&bytes);
        let _ = conclave_proto::content::unwrap(&bytes);
        let _ = conclave_proto::seed::SeedRequest::from_json(&bytes);
        let _ = conclave_proto::seed::SeedAnswer::from_json(&bytes);
        let _ = answers::read_error_frame(&bytes);
        let _ = CommunityUrl::parse(&text);
        let _ = base32z::decode(&text);
        let _ = Request::from_either("store", &bytes);
        let _ = Request::from_either(&text, &bytes);
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next() {}
    }
}

#[test]
fn integers_reach_from_the_least_i64_to_the_greatest_u64() {
    for (number, text) in [
        (i128::from(i64::MIN), "i-9223372036854775808e"),
        (i128::from(u64::MAX), "i18446744073709551615e"),
        (0, "i0e"),
    ] {
        let value = Value::from(Int::new(number).unwrap());
        assert_eq!(value.encode(), text.as_bytes());
        assert_eq!(Value::decode(text.as_bytes()), Ok(value));
    }
    for text in
        ["i-9223372036854775809e", "i18446744073709551616e", "i-0e", "i01e", "i+1e", "ie", "i-e", "i1"]
    {
        assert!(Value::decode(text.as_bytes()).is_err(), "{text}");
    }
    let one = BTreeMap::from([(b"a".to_vec(), Value::from(1u64))]);
    assert_eq!(Value::Dict(one).encode(), b"d1:ai1ee");
}
