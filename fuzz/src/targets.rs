//! What each fuzz target does with its bytes: decode them, and check what must hold of whatever
//! comes out.
//!
//! Every body is deterministic: keys are fixed, nonces come from the input. So an input that fails
//! under libFuzzer fails again in the ordinary test that replays the corpora
//! (`crates/devnet/tests/fuzz_corpora.rs` includes this very file).

#[path = "targets/confsync.rs"]
mod confsync;
#[path = "targets/crypto.rs"]
mod crypto;
#[path = "targets/media.rs"]
mod media;
#[path = "targets/onion.rs"]
mod onion;
#[path = "targets/proto.rs"]
mod proto;
#[path = "targets/rpc.rs"]
mod rpc;

pub use confsync::*;
pub use crypto::*;
pub use media::*;
pub use onion::*;
pub use proto::*;
pub use rpc::*;

/// A target: its name, which is also that of its corpus folder and its wrapper, and its body.
pub type Target = (&'static str, fn(&[u8]));

macro_rules! targets {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn(&[u8]))),*] };
}

/// Every target of the pure crates.
pub const TARGETS: &[Target] = targets![
    // crypto
    account_id,
    attachment_legacy,
    attachment_stream,
    blinded_message,
    channel,
    compression,
    config_encryption,
    group_auth_data,
    group_keys,
    group_message,
    kicked_notice,
    multi_encrypt,
    ons,
    padding,
    profile_picture,
    public_keys,
    push_payload,
    recovery_phrase,
    session_protocol,
    // proto
    active_nodes,
    base32z,
    base64,
    bt_reader,
    bt_value,
    btstream,
    chunk_sync,
    combined,
    community_url,
    content,
    directory,
    directory_poll,
    envelope,
    file_url,
    manifest,
    membership,
    message_hash,
    monitor,
    network_file,
    notification,
    peer_push,
    peer_relay,
    peer_replies,
    peer_sync,
    seed_answer,
    seed_request,
    v4,
    // storage RPC
    rpc_answers,
    rpc_either,
    rpc_forwarded,
    rpc_json,
    swarm_answer,
    // onion
    guard_body,
    guard_state,
    onion_outcome,
    peel,
    server_body,
    server_reply,
    snode_reply,
    // pictures and recordings
    picture_preview,
    picture_strip,
    voice_message,
    // config documents
    config_data,
    config_dump,
    config_entry,
    config_merge,
    config_message,
    config_views,
];

/// A copy with one byte changed; which one, and to what, is in `by`.
pub(crate) fn flipped(bytes: &[u8], by: usize) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    let at = by % copy.len().max(1);
    if let Some(byte) = copy.get_mut(at) {
        *byte ^= u8::try_from(by % 255).unwrap_or_default() + 1;
    }
    copy
}

/// A number made of the input, to choose what [`flipped`] changes.
pub(crate) fn choice(bytes: &[u8]) -> usize {
    bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()))
}
