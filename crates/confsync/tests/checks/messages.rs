//! Single messages, their successors, and merges of them.

use conclave_confsync::data::{Dict, Scalar, Value as Data};
use conclave_confsync::diff::Diff;
use conclave_confsync::merge::{self as merging, Outcome};
use conclave_confsync::message::{Draft, LAG, Message};
use conclave_crypto::hash::blake2b_256;
use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::bt;
use serde_json::Value;

use super::read::*;

fn parse(bytes: &[u8]) -> Checked<Message> {
    let message = Message::parse(bytes, None).map_err(words)?;
    same_bytes("kept bytes", message.as_bytes(), bytes)?;
    Ok(message)
}

fn message(value: &Value, path: &str) -> Checked<Message> {
    parse(&bytes(value, path)?)
}

fn data(value: &Value, path: &str) -> Checked<Dict> {
    let bytes = bytes(value, path)?;
    let data = Dict::decode(&bytes).map_err(words)?;
    same_bytes(path, &data.encode(), &bytes)?;
    Ok(data)
}

/// A finished message has these bytes, and reading them gives the same message.
fn is(what: &str, got: &Message, expected: &[u8]) -> Checked {
    same_bytes(what, got.as_bytes(), expected)?;
    holds("what is written reads the same", Message::parse(expected, None).as_ref() == Ok(got))?;
    same(what, &got.version().hash, &blake2b_256(&[expected]))
}

fn merged(outcome: Option<Outcome>) -> Checked<Draft> {
    match outcome {
        Some(Outcome::Merged(draft)) => Ok(draft),
        other => Err(format!("not merged: {other:?}")),
    }
}

/// Every order of up to five things, and for more the rotations, forward and backward.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    if things.len() > 5 {
        let rotations = (0..things.len()).map(|by| [&things[by..], &things[..by]].concat());
        return rotations.flat_map(|order| [order.clone(), order.into_iter().rev().collect()]).collect();
    }
    if things.len() < 2 {
        return vec![things.to_vec()];
    }
    let mut all = Vec::new();
    for (at, first) in things.iter().enumerate() {
        for rest in orders(&[&things[..at], &things[at + 1..]].concat()) {
            all.push([&[*first], rest.as_slice()].concat());
        }
    }
    all
}

/// A first message with data, as it is written without anything before it.
fn written(seqno: i64, data: &Dict) -> Vec<u8> {
    let mut out = b"d1:#".to_vec();
    bt::write_int(&mut out, seqno.into());
    let diff = Diff::between(&Dict::new(), data).encode();
    out.extend([b"1:&".as_slice(), &data.encode(), b"1:<le1:=", &diff, b"e"].concat());
    out
}

pub fn example_1(v: &Value) -> Checked {
    let first = written(int(v, "in/start_seqno")?, &data(v, "in/start_data_bt")?);
    same_bytes("118", &first, &bytes(v, "out/serialized_118")?)?;
    let mut last = parse(&first)?;
    let hashes = all_bytes(v, "out/hash_119_122")?;
    same("increments", &int(v, "in/empty_increments")?, &(hashes.len() as i64))?;
    for hash in hashes {
        last = last.next().finish(None);
        same("hash", last.version().hash.as_slice(), hash.as_slice())?;
    }
    let mut draft = last.next();
    *draft.data_mut() = data(v, "in/then_data_bt")?;
    let last = draft.finish(None);
    is("123", &last, &bytes(v, "out/serialized_123")?)?;
    same("hash", &last.version().hash, &array(v, "out/hash_123")?)
}

pub fn increment(v: &Value) -> Checked {
    let next = message(v, "in/message")?.next().finish(None);
    same("seqno", &next.version().seqno, &int(v, "out/seqno")?)?;
    is("next", &next, &bytes(v, "out/serialized")?)?;
    same("hash", &next.version().hash, &array(v, "out/hash")?)
}

pub fn example_2(v: &Value) -> Checked {
    let mut draft = message(v, "in/message")?.next();
    *draft.data_mut() = data(v, "in/new_data_bt")?;
    let next = draft.finish(None);
    is("next", &next, &bytes(v, "out/serialized")?)?;
    same("hash", &next.version().hash, &array(v, "out/hash")?)
}

pub fn example_3(v: &Value) -> Checked {
    let a = message(v, "in/message_125a")?;
    let b = message(v, "in/message_125b")?;
    let irrelevant = [message(v, "in/irrelevant_124")?, message(v, "in/irrelevant_too_old_120b")?];
    let expected = bytes(v, "out/merged_126")?;
    same("hash", &blake2b_256(&[&expected]), &array(v, "out/hash")?)?;
    for messages in [vec![&a, &b], vec![&a, &b, &irrelevant[0], &irrelevant[1]]] {
        for order in orders(&messages) {
            is("126", &merged(merging::merge(&order, true))?.finish(None), &expected)?;
        }
    }
    // What is said to be irrelevant is: one is included, the other too far behind.
    same("included", &irrelevant[0].version().seqno, &124)?;
    holds("124 is included in 125a", a.lagged().contains_key(&irrelevant[0].version()))?;
    holds("120b is too old", irrelevant[1].version().seqno + LAG <= 125)?;
    same("the old one", &irrelevant[1].data().text("too old").as_deref(), &Some("won't see"))
}

pub fn example_4(v: &Value) -> Checked {
    let read = |name: &str| message(v, &format!("in/message_{name}"));
    let (m126a, m125a, m125b) = (read("126a")?, read("125a")?, read("125b")?);
    let (m124a, m123, m120b) = (read("124a")?, read("123")?, read("120b")?);
    let expected = bytes(v, "out/merged_126b")?;
    for order in orders(&[&m125b, &m124a, &m125a, &m123, &m120b]) {
        is("126b", &merged(merging::merge(&order, true))?.finish(None), &expected)?;
    }
    for included in [&m123, &m124a] {
        holds("126b has it in it", parse(&expected)?.lagged().contains_key(&included.version()))?;
    }
    same("the old one", &m120b.data().text("too old").as_deref(), &Some("won't see"))?;
    holds("126a is another merge", m126a.lagged().contains_key(&m125a.version()))?;
    holds("126a is another merge", m126a.lagged().contains_key(&m125b.version()))?;
    let m126b = parse(&expected)?;
    for order in [[&m126a, &m126b], [&m126b, &m126a]] {
        let mut draft = merged(merging::merge(&order, true))?;
        let path: [&[u8]; 2] = [b"dictA", b"goodbye"];
        let Some(Data::Set(set)) = draft.data().at(&path) else { return Err("no set".to_owned()) };
        let mut set = set.clone();
        set.insert(Scalar::Int(789));
        draft.data_mut().put(&path, Some(set.into()));
        let last = draft.finish(None);
        is("127", &last, &bytes(v, "out/merged_127_after_edit")?)?;
        same("hash", &last.version().hash, &array(v, "out/hash_127")?)?;
    }
    Ok(())
}

pub fn signature(v: &Value) -> Checked {
    let key: [u8; 64] = array(v, "in/ed25519_secret_key")?;
    let (seed, public) = key.split_first_chunk::<32>().ok_or("too short")?;
    let key = Ed25519Secret::from_seed(seed);
    same("public key", &key.public().as_bytes()[..], public)?;
    let unsigned = written(int(v, "in/seqno")?, &data(v, "in/data_bt")?);
    same_bytes("unsigned", &unsigned, &bytes(v, "out/unsigned_serialized")?)?;
    let covered = &unsigned[..unsigned.len() - 1];
    let signed = [covered, b"1:~64:", key.sign(covered).as_bytes(), b"e"].concat();
    same_bytes("signed", &signed, &bytes(v, "out/serialized")?)?;
    let message = Message::parse(&signed, Some(&key.public())).map_err(words)?;
    holds("signed bytes are kept", message.as_bytes() == signed)
}

pub fn empty(v: &Value) -> Checked {
    is("empty", &Message::empty(), &bytes(v, "out/serialized")?)?;
    same("hash", &Message::empty().version().hash, &array(v, "out/hash")?)
}

pub fn invalid(v: &Value) -> Checked {
    holds("all are invalid", flag(v, "out/all_must_be_rejected")?)?;
    for bytes in all_bytes(v, "in/messages")? {
        holds("an invalid message was read", Message::parse(&bytes, None).is_err())?;
    }
    Ok(())
}

pub fn linear(v: &Value) -> Checked {
    same("lag", &LAG, &int(v, "in/lag")?)?;
    let states = list(v, "in/target_data_states_bt")?;
    same("states", &(states.len() + 1), &list(v, "out")?.len())?;
    let signer = if v.pointer("/in/sign_ed25519_seed").is_some() {
        Some(secret(v, "in/sign_ed25519_seed")?)
    } else {
        None
    };
    let mut last = Message::empty();
    if let Some(signer) = &signer {
        // Documents never sign their beginning, messages by themselves can.
        let covered = last.as_bytes().strip_suffix(b"e").ok_or("no dictionary")?;
        last = parse(&[covered, b"1:~64:", signer.sign(covered).as_bytes(), b"e"].concat())?;
    }
    for at in 0..=states.len() {
        if at > 0 {
            let mut draft = last.next();
            *draft.data_mut() = data(v, &format!("in/target_data_states_bt/{}", at - 1))?;
            last = draft.finish(signer.as_ref());
        }
        is("state", &last, &bytes(v, &format!("out/{at}/serialized"))?)?;
        same("seqno", &last.version().seqno, &int(v, &format!("out/{at}/seqno"))?)?;
        same("hash", &last.version().hash, &array(v, &format!("out/{at}/hash"))?)?;
    }
    Ok(())
}

pub fn merge(v: &Value) -> Checked {
    same("lag", &LAG, &int(v, "in/lag")?)?;
    let mode = text(v, "in/mode")?;
    let (verifies, signs) = match mode {
        "unsigned" => (false, false),
        "verify only" => (true, false),
        "verify+sign" => (true, true),
        other => return Err(format!("nobody knows {other:?}")),
    };
    let verifier = if verifies {
        Some(Ed25519Public::from_bytes(array(v, "in/verify_ed25519_pubkey")?).map_err(words)?)
    } else {
        None
    };
    let signer = if signs { Some(secret(v, "in/sign_ed25519_seed")?) } else { None };
    if let (Some(signer), Some(verifier)) = (&signer, &verifier) {
        same("keys", &signer.public(), verifier)?;
    }

    let messages: Vec<Message> = all_bytes(v, "in/messages")?
        .iter()
        .map(|bytes| Message::parse(bytes, verifier.as_ref()).map_err(words))
        .collect::<Checked<_>>()?;
    let given: Vec<&Message> = messages.iter().collect();
    let expected = bytes(v, "out/serialized")?;
    for (turn, order) in std::iter::once(given.clone()).chain(orders(&given)).enumerate() {
        let outcome = merging::merge(&order, !verifies || signs).ok_or("nothing came of it")?;
        let (place, result) = match &outcome {
            Outcome::Adopted(place) => (*place as i64, order[*place].clone()),
            Outcome::Merged(draft) => (-1, draft.finish(signer.as_ref())),
        };
        if turn == 0 {
            same("place", &place, &int(v, "out/unmerged_index")?)?;
        }
        same("merged", &(place == -1), &flag(v, "out/merged")?)?;
        same("seqno", &result.version().seqno, &int(v, "out/seqno")?)?;
        same("hash", &result.version().hash, &array(v, "out/hash_field")?)?;
        is("result", &result, &expected)?;
        same_bytes("data", &result.data().encode(), &bytes(v, "out/data_bt")?)?;
        if verifies && !signs {
            continue;
        }
        let mut draft = match outcome {
            Outcome::Adopted(place) => order[place].next(),
            Outcome::Merged(draft) => draft,
        };
        same("seqno", &draft.seqno(), &int(v, "out/mutable_seqno")?)?;
        is("unchanged", &draft.finish(signer.as_ref()), &bytes(v, "out/mutable_serialized_unchanged")?)?;
        *draft.data_mut() = data(v, "out/after_edit_data_bt")?;
        is("edited", &draft.finish(signer.as_ref()), &bytes(v, "out/after_edit_serialized")?)?;
    }
    Ok(())
}
