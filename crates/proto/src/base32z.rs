//! base32z, in which node addresses are written (storage-and-onion 2.13): five bits a character,
//! most significant first, the last group filled with zero bits, no padding. Not the alphabet of
//! RFC 4648, and the one crate that writes it accepts non-zero bits at the end.

const ALPHABET: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

/// Bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(8).div_ceil(5));
    let (mut bits, mut held) = (0u32, 0u32);
    let symbol = |five: u32| ALPHABET.get((five & 31) as usize).copied().map_or('y', char::from);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(symbol(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(symbol(held << (5 - bits)));
    }
    out
}

/// Text of either case as bytes. `None` for other characters, a length no bytes have, or leftover
/// bits that are not zero.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().saturating_mul(5) / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for character in text.bytes() {
        let five = ALPHABET.iter().position(|symbol| *symbol == character.to_ascii_lowercase())?;
        held = (held << 5) | u32::try_from(five).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits).ok()?);
        }
        held &= (1 << bits) - 1;
    }
    (bits < 5 && held == 0).then_some(out)
}
