//! Tables by community server (config-and-groups 6.2 to 6.4): base address → public key, and rooms (or
//! people) by name.

use conclave_proto::community_url;

use crate::data::{Dict, Value};
use crate::document::{Document, EditError};

/// The key of a server's public key.
pub(crate) const PUBLIC_KEY: &[u8] = b"#";

/// The key of a server's rooms.
pub(crate) const ROOMS: &[u8] = b"R";

/// The longest base address of a server, in bytes.
const MAX_SERVER: usize = 267;

/// A server's address in the one spelling that is a key.
pub(crate) fn canonical_server(address: &str) -> Result<String, EditError> {
    community_url::canonical_server(address)
        .ok()
        .filter(|server| server.len() <= MAX_SERVER)
        .ok_or(EditError::Invalid("the community's server has no valid address"))
}

/// A room's name as it is a key: in lowercase.
pub(crate) fn canonical_room(room: &str) -> Result<String, EditError> {
    if community_url::is_room(room) {
        Ok(room.to_ascii_lowercase())
    } else {
        Err(EditError::Invalid("the community has no valid room name"))
    }
}

/// All entries below a top key: server, its public key, room, record. Servers without a key, which stale
/// rooms leave behind, are passed over.
pub(crate) fn rooms<'d>(
    document: &'d Document,
    top: &str,
) -> impl Iterator<Item = (&'d str, [u8; 32], &'d str, &'d Dict)> {
    let servers = document.data().dict(top).into_iter().flat_map(Dict::iter);
    servers
        .filter_map(|(server, value)| {
            let Value::Dict(table) = value else { return None };
            let public_key = table.bytes(PUBLIC_KEY)?.try_into().ok()?;
            Some((std::str::from_utf8(server).ok()?, public_key, table.dict(ROOMS)?))
        })
        .flat_map(|(server, public_key, rooms)| {
            rooms.iter().filter_map(move |(room, value)| match value {
                Value::Dict(record) => Some((server, public_key, std::str::from_utf8(room).ok()?, record)),
                _ => None,
            })
        })
}

/// Erases a room, and its server if that was the last; whether there was one.
pub(crate) fn remove(
    document: &mut Document,
    top: &str,
    server: &str,
    room: &str,
) -> Result<bool, EditError> {
    let server_path = [top.as_bytes(), server.as_bytes()];
    let removed = document.put(&[top.as_bytes(), server.as_bytes(), ROOMS, room.as_bytes()], None)?;
    if removed && document.data().dict_at(&server_path).is_some_and(|table| table.dict(ROOMS).is_none()) {
        document.put(&server_path, None)?;
    }
    Ok(removed)
}
