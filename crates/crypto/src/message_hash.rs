//! The hash by which storage knows a message (storage-and-onion 3).
//!
//! It covers owner, namespace and content, and neither timestamp nor expiry: equal content in one
//! mailbox is one message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::hash::Blake2b;
use crate::id::AccountId;

/// Characters of a message hash in text.
pub const MESSAGE_HASH_LENGTH: usize = 43;

/// BLAKE2b-256 over the owner's 33 bytes, the namespace in decimal (nothing for namespace 0) and
/// the stored bytes.
pub fn message_hash_bytes(owner: &AccountId, namespace: i16, data: &[u8]) -> [u8; 32] {
    let mut state = Blake2b::new().start::<32>();
    state.update(owner.as_bytes());
    if namespace != 0 {
        state.update(namespace.to_string().as_bytes());
    }
    state.update(data).finish()
}

/// [`message_hash_bytes`] as it travels: standard base64 without padding,
/// [`MESSAGE_HASH_LENGTH`] characters.
pub fn message_hash(owner: &AccountId, namespace: i16, data: &[u8]) -> String {
    STANDARD_NO_PAD.encode(message_hash_bytes(owner, namespace, data))
}
