//! The statuses of answers, shared by every transport (storage-and-onion 1.1).

/// The reason phrase of a status, as answers without a body of their own spell it. `None` for a
/// status the network does not use.
pub const fn reason(code: u16) -> Option<&'static str> {
    Some(match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        406 => "Not Acceptable",
        410 => "Gone",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return None,
    })
}

/// What a relay passes on of the next hop's status: itself if the table has it, else 500 (6.7).
pub const fn relayed(code: u16) -> u16 {
    if reason(code).is_some() { code } else { 500 }
}
