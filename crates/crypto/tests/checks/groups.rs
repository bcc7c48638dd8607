//! Group messages, admin signatures, subaccounts, multi-encrypt.

use conclave_crypto::group::admin::AdminAction;
use conclave_crypto::group::subaccount::{AuthData, DELETE, MEMBER_RIGHTS, READ, Token, WRITE};
use conclave_crypto::group::{GroupKey, message};
use conclave_crypto::multi_encrypt::{self as multi, MultiEncrypted};
use conclave_crypto::{AccountId, Ed25519Secret, X25519Pair, X25519Public};
use serde_json::Value;

use super::read::*;

pub fn group_message(v: &Value) -> Checked {
    let group = secret(v, "group_ed25519_seed")?.public();
    same("group_id", &AccountId::of_group(&group), &id(v, "group_id")?)?;
    let author = secret(v, "sender_ed25519_seed")?;
    same("sender_account_id", &account_id(&author), &id(v, "sender_account_id")?)?;
    let key_bytes: [u8; 32] = array(v, "group_enc_key")?;
    let key = GroupKey::from_bytes(key_bytes);
    let other = GroupKey::from_bytes([0xee; 32]);
    let nonce: [u8; 24] = array(v, "nonce")?;
    each(list(v, "cases")?, |case| {
        let envelope = bytes(case, "plaintext_envelope")?;
        let sealed = bytes(case, "ciphertext")?;
        same("nonce", sealed.get(..24).ok_or("short")?, &nonce)?;
        let opened = message::open([&other, &key], &group, &sealed).map_err(words)?;
        same("author", &(opened.author, opened.author_key), &(account_id(&author), author.public()))?;
        same("envelope", &opened.envelope, &envelope)?;
        same("key", &opened.key_index, &1)?;

        let padded = bytes(case, "bencoded_padded")?;
        let plain = conclave_crypto::push::open(&key_bytes, &sealed).map_err(words)?;
        let (start, zeros) = padded.split_at_checked(plain.len()).ok_or("short")?;
        same("bencoded_padded", start, &plain)?;
        same("padding", zeros, &vec![0; sealed.len() - 40 - plain.len()])?;
        let compressed = flag(case, "compressed")?;
        same("compressed", &contains(&plain, b"1:z"), &compressed)?;

        let again = message::seal_with_nonce(&author, &group, &key, &envelope, &nonce).map_err(words)?;
        if compressed {
            // Another zstd may compress otherwise.
            let opened = message::open([&key], &group, &again).map_err(words)?;
            same("round trip", &opened.envelope, &envelope)
        } else {
            same("ciphertext", &again, &sealed)
        }
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub fn group_admin_signatures(v: &Value) -> Checked {
    let group = secret(v, "group_ed25519_seed")?;
    let sent_at = number(v, "timestamp_ms")?;
    let members = [
        "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72".to_owned(),
        "05aa654f00fc39fc69fd0db829410ca38177d7732a8d2f0934ab3872ac56d5aa74".to_owned(),
    ];
    let invitee: AccountId = members[1].parse().map_err(words)?;
    let hashes = ["hash1".to_owned(), "hash2".to_owned()];
    let actions = [
        AdminAction::Invite(&invitee),
        AdminAction::InfoChange(1),
        AdminAction::InfoChange(3),
        AdminAction::MemberChange(1),
        AdminAction::MemberChange(2),
        AdminAction::DeleteContent { members: &members, hashes: &hashes },
    ];
    let cases = list(v, "cases")?;
    same("cases", &cases.len(), &actions.len())?;
    for (action, case) in actions.iter().zip(cases) {
        same("signed", &action.signed_bytes(sent_at)[..], text(case, "signed_utf8")?.as_bytes())?;
        let signature = signature(case, "signature")?;
        same("signature", &action.sign(&group, sent_at), &signature)?;
        action.verify(&group.public(), sent_at, &signature).map_err(words)?;
        if action.verify(&group.public(), sent_at + 1, &signature).is_ok() {
            return Err("a signature holds for another time".to_owned());
        }
    }
    Ok(())
}

pub fn multi_encrypt(v: &Value) -> Checked {
    let sender = pair_of(&secret(v, "sender_seed32")?);
    let cases = list(v, "cases")?;
    let recipients = cases.iter().map(|c| x25519(c, "recipient_x25519")).collect::<Checked<Vec<_>>>()?;
    let texts = cases.iter().map(|c| text(c, "message_utf8")).collect::<Checked<Vec<_>>>()?;
    let messages = recipients.iter().zip(texts.iter().map(|text| text.as_bytes()));
    let domain = text(v, "domain")?.as_bytes();
    let sealed = MultiEncrypted::seal_with_nonce(&sender, messages, domain, &array(v, "nonce")?);
    let expected = cases.iter().map(|c| bytes(c, "ciphertext")).collect::<Checked<Vec<_>>>()?;
    same("ciphertexts", &sealed.entries, &expected)?;

    let kicked = at(v, "kicked_example")?;
    let group = pair_of(&secret(kicked, "group_ed25519_seed")?);
    let members = list(kicked, "members_x25519")?.iter().map(as_x25519).collect::<Checked<Vec<_>>>()?;
    same("domain", text(kicked, "domain")?, "SessionGroupKickedMessage")?;
    let generation = number(kicked, "current_gen")?;
    let notice = multi::seal_kicked_notice_with_nonce(&group, &members, generation, &array(kicked, "nonce")?);
    same("encoded", &notice, &bytes(kicked, "encoded")?)
}

pub fn kicked_notice_openable(v: &Value) -> Checked {
    let group = pair_of(&secret(v, "group_ed25519_seed")?);
    same("group_x25519_pk", group.public(), &x25519(v, "group_x25519_pk")?)?;
    same("domain", text(v, "domain")?, "SessionGroupKickedMessage")?;
    let notice = bytes(v, "encoded")?;
    let seeds = list(v, "member_ed25519_seeds")?;
    let keys = list(v, "member_x25519_pks")?;
    let plaintexts = list(v, "plaintexts_hex")?;
    for ((seed, key), plaintext) in seeds.iter().zip(keys).zip(plaintexts) {
        let member = pair_of(&as_secret(seed)?);
        same("member's key", member.public(), &as_x25519(key)?)?;
        let generation = multi::open_kicked_notice(&member, group.public(), &notice).map_err(words)?;
        let expected = [&member.public().as_bytes()[..], generation.to_string().as_bytes()].concat();
        same("plaintext", &expected, &as_bytes(plaintext)?)?;
    }
    let members = keys.iter().map(as_x25519).collect::<Checked<Vec<_>>>()?;
    let nonce = MultiEncrypted::decode(&notice).map_err(words)?.nonce;
    same("encoded", &multi::seal_kicked_notice_with_nonce(&group, &members, 7, &nonce), &notice)?;
    let stranger = X25519Pair::new(conclave_crypto::X25519Secret::from_bytes([9; 32]));
    same(
        "a stranger's result",
        &multi::open_kicked_notice(&stranger, group.public(), &notice),
        &Err(multi::MultiEncryptError::NotForUs),
    )
}

pub fn upstream_multi(v: &Value) -> Checked {
    let sender = pair_of(&secret(v, "in/sender_seed")?);
    let recipients = recipients(v)?;
    let mut keys = vec![*sender.public()];
    keys.extend(recipients.iter().map(|pair| *pair.public()));
    let expected = list(v, "out/x25519_pubkeys_sender_then_recipients")?;
    let expected = expected.iter().map(as_x25519).collect::<Checked<Vec<X25519Public>>>()?;
    same("keys", &keys, &expected)?;

    let texts = list(v, "in/messages")?.iter().map(as_text).collect::<Checked<Vec<_>>>()?;
    let nonce = array(v, "in/nonce")?;
    let domain = text(v, "in/domain")?.as_bytes();
    let seal = |texts: &[&str]| {
        let messages =
            recipients.iter().map(X25519Pair::public).zip(texts.iter().map(|text| text.as_bytes()));
        MultiEncrypted::seal_with_nonce(&sender, messages, domain, &nonce)
    };
    let hex_list = |path| list(v, path)?.iter().map(as_bytes).collect::<Checked<Vec<_>>>();
    same("single", &seal(&["hello"; 3]).entries, &hex_list("out/single_message_hello_ciphertexts")?)?;
    let sealed = seal(&texts);
    same("ciphertexts", &sealed.entries, &hex_list("out/ciphertexts")?)?;
    same("encoded", &sealed.encode(), &bytes(v, "out/encoded")?)?;
    opens(
        &sealed.encode(),
        &recipients,
        sender.public(),
        domain,
        &texts.iter().map(|t| t.as_bytes()).collect::<Vec<_>>(),
    )
}

pub fn generated_multi(v: &Value) -> Checked {
    let sender = pair_of(&secret(v, "in/sender_seed")?);
    let recipients = recipients(v)?;
    let texts = list(v, "in/messages")?.iter().map(as_bytes).collect::<Checked<Vec<_>>>()?;
    let domain = text(v, "in/domain")?.as_bytes();
    same("pad", &number(v, "in/pad")?, &0)?;
    let messages = recipients.iter().map(X25519Pair::public).zip(texts.iter().map(Vec::as_slice));
    let sealed = MultiEncrypted::seal_with_nonce(&sender, messages, domain, &array(v, "in/nonce")?);
    same("encoded", &sealed.encode(), &bytes(v, "out/encoded")?)?;
    opens(
        &sealed.encode(),
        &recipients,
        sender.public(),
        domain,
        &texts.iter().map(Vec::as_slice).collect::<Vec<_>>(),
    )
}

fn recipients(v: &Value) -> Checked<Vec<X25519Pair>> {
    list(v, "in/recipient_seeds")?.iter().map(|seed| as_secret(seed).map(|secret| pair_of(&secret))).collect()
}

/// Every recipient reads their own text.
fn opens(
    encoded: &[u8],
    recipients: &[X25519Pair],
    sender: &X25519Public,
    domain: &[u8],
    texts: &[&[u8]],
) -> Checked {
    let decoded = MultiEncrypted::decode(encoded).map_err(words)?;
    for (recipient, text) in recipients.iter().zip(texts) {
        same("opened", &decoded.open(recipient, sender, domain).map_err(words)?[..], text)?;
    }
    Ok(())
}

pub fn group_subaccount(v: &Value) -> Checked {
    let group = secret(v, "group_seed")?;
    let member = secret(v, "member_ed25519_seed")?;
    same("group_id", &AccountId::of_group(&group.public()), &id(v, "group_id")?)?;
    same("member_session_id", &account_id(&member), &id(v, "member_session_id")?)?;
    let data = issue(&group, &member, MEMBER_RIGHTS)?;
    same("auth_data", &data.as_bytes()[..], &bytes(v, "auth_data_hex")?)?;
    let (_, rest) = data.as_bytes().split_at(4);
    same("k", rest.get(..32).ok_or("short")?, &bytes(v, "blinding_scalar_k")?)?;
    let subaccount = data.accept(&member, &group.public(), READ).map_err(words)?;
    same("token", &subaccount.token().as_bytes()[..], &base64(v, "token_b64")?)?;
    same("kT", subaccount.token().as_bytes().get(4..).ok_or("short")?, &bytes(v, "kT")?)?;
    same("signature", &subaccount.token_signature().as_bytes()[..], &base64(v, "token_signature_b64")?)?;
    let request = subaccount.sign(text(v, "message")?.as_bytes());
    same("request", &request.as_bytes()[..], &base64(v, "request_signature_b64")?)
}

fn issue(group: &Ed25519Secret, member: &Ed25519Secret, rights: u8) -> Checked<AuthData> {
    let key = member.public().to_x25519();
    let data = AuthData::issue(group, &key, rights).map_err(words)?;
    // The admin's token and the member's are the same.
    let token = Token::of_member(group, &key, rights).map_err(words)?;
    let accepted = data.accept(member, &group.public(), READ).map_err(words)?;
    same("token", accepted.token(), &token)?;
    Ok(data)
}

pub fn upstream_swarm_auth(v: &Value) -> Checked {
    let group = secret(v, "in/group_ed25519_seed")?;
    let member = secret(v, "in/member_ed25519_seed")?;
    same("group_id", &AccountId::of_group(&group.public()), &id(v, "out/group_id")?)?;
    same("member_id", &account_id(&member), &id(v, "out/member_id")?)?;
    let right = |path, bit| Ok::<u8, String>(if flag(v, path)? { bit } else { 0 });
    let rights = READ | right("in/write", WRITE)? | right("in/delete", DELETE)?;
    let data = issue(&group, &member, rights)?;
    same("auth_data", &data.as_bytes()[..], &bytes(v, "out/auth_data")?)?;
    let subaccount = data.accept(&member, &group.public(), rights).map_err(words)?;
    same("subaccount", &subaccount.token().as_bytes()[..], &base64(v, "out/subaccount")?)?;
    let token_signature = &subaccount.token_signature().as_bytes()[..];
    same("subaccount_sig", token_signature, &base64(v, "out/subaccount_sig")?)?;
    let request = subaccount.sign(text(v, "in/message_ascii")?.as_bytes());
    same("signature", &request.as_bytes()[..], &base64(v, "out/signature")?)
}
