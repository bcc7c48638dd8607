//! Checks of known answers: each takes the value under one key of a vector file and looks at all
//! of it. They return what differs and never panic, so that damaged copies can be told apart.

// Compiled into two test programs, of which neither exports anything.
#![allow(unreachable_pub)]

mod accounts;
mod attachments;
mod blinded;
mod channels;
mod configs;
mod groups;
mod hashes;
mod messages;
mod read;
mod session_js;

use serde_json::Value;

/// What a check is: the value under its key, and what differs.
pub type Check = fn(&Value) -> Result<(), String>;

/// File, key, check. In `config-groups` a key is `upstream/<id>` or `generated/<id>`.
pub const CHECKS: &[(&str, &str, Check)] = &[
    ("client-messages", "mnemonic", accounts::mnemonic),
    ("client-messages", "account_keys", accounts::account_keys),
    ("client-messages", "ons", accounts::ons),
    ("client-messages", "version_blinding_07", accounts::version_blinding_07),
    ("communities", "identities", accounts::identities),
    ("communities", "version_blind07", accounts::version_blind07),
    ("config-groups", "upstream/upstream-ed25519", accounts::upstream_ed25519),
    ("config-groups", "upstream/upstream-x25519", accounts::upstream_x25519),
    ("config-groups", "upstream/upstream-group-ids", accounts::upstream_group_ids),
    ("config-groups", "upstream/upstream-ons", accounts::upstream_ons),
    ("config-groups", "upstream/upstream-version-blind", accounts::upstream_version_blind),
    ("client-messages", "session_protocol_deterministic_seal", messages::deterministic_seal),
    ("client-messages", "padding_160", messages::padding_160),
    ("client-messages", "padding_160_example", messages::padding_160_example),
    ("client-messages", "unpad_160_cases", messages::unpad_160_cases),
    ("client-messages", "push_notification", messages::push_notification),
    ("communities", "padding", messages::community_padding),
    ("communities", "push", messages::push),
    ("config-groups", "upstream/upstream-session-encrypt", messages::session_encrypt),
    ("config-groups", "upstream/upstream-push", messages::upstream_push),
    ("config-groups", "generated/shared-crypto-0-session_encrypt", messages::session_encrypt),
    ("config-groups", "generated/shared-crypto-1-session_encrypt", messages::session_encrypt),
    ("config-groups", "generated/shared-crypto-2-session_encrypt", messages::session_encrypt),
    ("config-groups", "generated/shared-crypto-3-session_encrypt", messages::session_encrypt),
    ("client-messages", "session_js_interop", session_js::session_js_interop),
    ("client-messages", "attachment_legacy", attachments::legacy),
    ("client-messages", "profile_picture_legacy_aes_gcm", attachments::picture),
    ("client-messages", "attachment_deterministic", attachments::deterministic),
    ("communities", "file_server_ids", attachments::file_server_ids),
    ("client-messages", "blinding", blinded::blinding),
    ("client-messages", "blinded_message", blinded::blinded_message),
    ("client-messages", "x25519_to_ed25519_positive", blinded::x25519_to_ed25519_positive),
    ("client-messages", "xed25519_signatures", blinded::xed25519_signatures),
    ("communities", "blind25_ids", blinded::blind25_ids),
    ("communities", "blind15_ids", blinded::blind15_ids),
    ("communities", "blind25_signatures", blinded::blind25_signatures),
    ("communities", "blind15_signatures_libsession_variant", blinded::blind15_signatures),
    ("communities", "pysogs_blind15", blinded::pysogs_blind15),
    ("communities", "sogs_request_auth", blinded::sogs_request_auth),
    ("communities", "message_signature", blinded::message_signature),
    ("communities", "xed25519_pubkey", blinded::xed25519_pubkey),
    ("communities", "blinded_dm", blinded::blinded_dm),
    ("communities", "blinded_dm_more", blinded::blinded_dm_more),
    ("config-groups", "upstream/upstream-blind-sign-0", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-sign-1", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-sign-2", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-sign-3", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-sign-4", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-sign-5", blinded::upstream_blind_sign),
    ("config-groups", "upstream/upstream-blind-ids", blinded::upstream_blind_ids),
    ("config-groups", "upstream/upstream-xed25519", blinded::upstream_xed25519),
    ("config-groups", "generated/shared-crypto-0-blinding", blinded::generated_blinding),
    ("config-groups", "generated/shared-crypto-1-blinding", blinded::generated_blinding),
    ("config-groups", "generated/shared-crypto-2-blinding", blinded::generated_blinding),
    ("config-groups", "generated/shared-crypto-3-blinding", blinded::generated_blinding),
    ("client-messages", "group_message", groups::group_message),
    ("client-messages", "group_admin_signatures", groups::group_admin_signatures),
    ("client-messages", "multi_encrypt", groups::multi_encrypt),
    ("client-messages", "kicked_notice_openable", groups::kicked_notice_openable),
    ("config-groups", "upstream/upstream-multi", groups::upstream_multi),
    ("config-groups", "upstream/upstream-swarm-auth", groups::upstream_swarm_auth),
    ("config-groups", "generated/shared-crypto-0-multi", groups::generated_multi),
    ("config-groups", "generated/shared-crypto-1-multi", groups::generated_multi),
    ("config-groups", "generated/shared-crypto-2-multi", groups::generated_multi),
    ("config-groups", "generated/shared-crypto-3-multi", groups::generated_multi),
    ("storage-onion", "group_subaccount", groups::group_subaccount),
    ("config-groups", "upstream/upstream-cfgenc-0", configs::config_encrypt),
    ("config-groups", "upstream/upstream-cfgenc-1", configs::config_encrypt),
    ("config-groups", "upstream/upstream-cfgenc-2", configs::config_encrypt),
    ("config-groups", "upstream/upstream-padding", configs::padding),
    ("config-groups", "upstream/upstream-zstd-161", configs::decompress),
    ("config-groups", "upstream/upstream-zstd-156", configs::decompress),
    ("config-groups", "generated/shared-crypto-0-cfgenc-UserProfile", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-0-cfgenc-Contacts", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-0-cfgenc-groups::Members", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-1-cfgenc-UserProfile", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-1-cfgenc-Contacts", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-1-cfgenc-groups::Members", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-2-cfgenc-UserProfile", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-2-cfgenc-Contacts", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-2-cfgenc-groups::Members", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-3-cfgenc-UserProfile", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-3-cfgenc-Contacts", configs::config_encrypt),
    ("config-groups", "generated/shared-crypto-3-cfgenc-groups::Members", configs::config_encrypt),
    ("storage-onion", "message_hash", hashes::message_hash),
    ("config-groups", "upstream/upstream-hash", hashes::blake2b),
    ("config-groups", "generated/shared-crypto-0-hash", hashes::blake2b),
    ("config-groups", "generated/shared-crypto-1-hash", hashes::blake2b),
    ("config-groups", "generated/shared-crypto-2-hash", hashes::blake2b),
    ("config-groups", "generated/shared-crypto-3-hash", hashes::blake2b),
    ("communities", "onion_hop_encryption", channels::community_hop),
    ("storage-onion", "onion_hop_encryption", channels::storage_hop),
    ("storage-onion", "channel_encryption", channels::channel_encryption),
    ("config-groups", "upstream/upstream-onion-hop", channels::upstream_hop),
    ("config-groups", "generated/shared-crypto-0-onion-xchacha20-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-0-onion-xchacha20-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-0-onion-aes-gcm-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-0-onion-aes-gcm-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-1-onion-xchacha20-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-1-onion-xchacha20-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-1-onion-aes-gcm-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-1-onion-aes-gcm-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-2-onion-xchacha20-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-2-onion-xchacha20-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-2-onion-aes-gcm-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-2-onion-aes-gcm-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-3-onion-xchacha20-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-3-onion-xchacha20-server", channels::onion_request),
    ("config-groups", "generated/shared-crypto-3-onion-aes-gcm-snode", channels::onion_request),
    ("config-groups", "generated/shared-crypto-3-onion-aes-gcm-server", channels::onion_request),
];

/// Leaves that no check here has to notice: file, key and path, in which `*` stands for any one
/// step; each row with its reason.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    // Words about the case next to it.
    ("*", "*", "name"),
    ("*", "*", "note"),
    ("*", "*", "source"),
    ("*", "*", "origin"),
    ("*", "*", "why"),
    ("*", "*", "description"),
    ("*", "*", "verified"),
    ("*", "*", "signer"),
    ("*", "*", "key_formula"),
    ("*", "*", "upstream_test"),
    ("*", "*", "id"),
    ("*", "*", "kind"),
    ("client-messages", "mnemonic", "wordlist"),
    ("storage-onion", "group_subaccount", "nonce_inner_hash_input"),
    ("client-messages", "attachment_deterministic", "cases/*/data"),
    ("config-groups", "*", "in/rows"),
    // What another implementation does and we decided against (client-messages 3.2).
    ("client-messages", "unpad_160_cases", "*/lenient"),
    // Sizes that are padded: one byte more or less mostly falls into the same class.
    ("client-messages", "padding_160", "*/unpadded_len"),
    ("communities", "padding", "items/*/content_len"),
    ("client-messages", "attachment_legacy", "padded_sizes/*/size"),
    ("client-messages", "attachment_deterministic", "encrypted_sizes/*/plain"),
    ("config-groups", "upstream/upstream-padding", "out/table/*/0"),
    ("config-groups", "upstream/upstream-padding", "out/table/*/1"),
    // Intermediate factors: keys, ids and signatures made with them are compared instead.
    ("config-groups", "*", "out/blind15_factor"),
    ("config-groups", "*", "out/blind25_factor_signed"),
    // Opaque to everybody but the notification service.
    ("communities", "push", "subscribe/request/service"),
    ("communities", "push", "subscribe/request/service_info/token"),
    // Contents of protobuf messages and how long they are stored; here it is their encryption.
    ("client-messages", "session_js_interop", "messages/*/inputs/**"),
    ("client-messages", "session_js_interop", "messages/*/decode/**"),
    ("client-messages", "session_js_interop", "messages/*/ttl_ms"),
    ("client-messages", "session_js_interop", "messages/*/picture_plaintext"),
];

/// Whether a leaf may change unnoticed. A path of one step in [`WITHOUT_EFFECT`] without file is
/// the leaf's name wherever it stands; `**` stands for all further steps.
pub fn may_go_unnoticed(file: &str, key: &str, path: &str) -> bool {
    let steps: Vec<&str> = path.split('/').collect();
    WITHOUT_EFFECT.iter().any(|(in_file, in_key, pattern)| {
        let here = (*in_file == "*" || *in_file == file) && (*in_key == "*" || *in_key == key);
        let anywhere = *in_file == "*" && steps.last() == Some(pattern);
        here && (anywhere || matches(&steps, &pattern.split('/').collect::<Vec<_>>()))
    })
}

fn matches(steps: &[&str], pattern: &[&str]) -> bool {
    match (steps.split_first(), pattern.split_first()) {
        (Some(_), Some((&"**", []))) => true,
        (Some((step, steps)), Some((part, pattern))) => {
            (*part == "*" || part == step) && matches(steps, pattern)
        }
        (None, None) => true,
        _ => false,
    }
}
