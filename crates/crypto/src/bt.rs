//! The few bencoded dictionaries that encryption itself defines (group messages, multi-encrypt):
//! ascending keys, values that are byte strings, small integers or lists of byte strings.
//!
//! The full dialect is `conclave-proto`'s, which stands above this crate; here is what the formats
//! of this crate need and no more. Everything borrows from the input and nothing recurses.

/// Not one of our dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Appends a byte string.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// A value of a flat dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    List(Vec<&'a [u8]>),
}

/// The entries of a dictionary that takes up all of `bytes`, keys strictly ascending.
pub(crate) fn read_dict(bytes: &[u8]) -> Result<Vec<(&[u8], Value<'_>)>, Malformed> {
    let mut rest = bytes.strip_prefix(b"d").ok_or(Malformed)?;
    let mut entries: Vec<(&[u8], Value<'_>)> = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"e") {
            return if end.is_empty() { Ok(entries) } else { Err(Malformed) };
        }
        let key = take_bytes(&mut rest)?;
        if entries.last().is_some_and(|(last, _)| *last >= key) {
            return Err(Malformed);
        }
        entries.push((key, take_value(&mut rest)?));
    }
}

fn take_value<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, Malformed> {
    match rest.first() {
        Some(b'i') => {
            let (number, after) = split_at_byte(rest.split_at(1).1, b'e')?;
            *rest = after;
            let number = std::str::from_utf8(number).map_err(|_| Malformed)?;
            let value: i64 = number.parse().map_err(|_| Malformed)?;
            // One spelling for each number: no leading zeros, no plus sign, no minus zero.
            if value.to_string() == number { Ok(Value::Int(value)) } else { Err(Malformed) }
        }
        Some(b'l') => {
            *rest = rest.split_at(1).1;
            let mut list = Vec::new();
            loop {
                if let Some(after) = rest.strip_prefix(b"e") {
                    *rest = after;
                    return Ok(Value::List(list));
                }
                list.push(take_bytes(rest)?);
            }
        }
        _ => take_bytes(rest).map(Value::Bytes),
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let (length, after) = split_at_byte(rest, b':')?;
    let plain = length.iter().all(u8::is_ascii_digit) && (length == b"0" || length.first() != Some(&b'0'));
    if !plain {
        return Err(Malformed);
    }
    let length: usize =
        std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)?;
    let (bytes, after) = after.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(bytes)
}

fn split_at_byte(bytes: &[u8], byte: u8) -> Result<(&[u8], &[u8]), Malformed> {
    let at = bytes.iter().position(|b| *b == byte).ok_or(Malformed)?;
    let (before, after) = bytes.split_at(at);
    Ok((before, after.split_at(1).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_read_whole() {
        assert_eq!(read_dict(b"de"), Ok(vec![]));
        assert_eq!(
            read_dict(b"d0:i-7e1:al1:x0:e1:b2:\0ee"),
            Ok(vec![
                (&b""[..], Value::Int(-7)),
                (b"a", Value::List(vec![b"x", b""])),
                (b"b", Value::Bytes(b"\0e"))
            ])
        );
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for bad in [
            &b""[..],
            b"d",
            b"dex",
            b"d1:ae",
            b"d1:a01:xe",
            b"d1:ai01ee",
            b"d1:ai-0ee",
            b"d1:ai+1ee",
            b"d1:aiee",
            b"d1:b0:1:a0:e",
            b"d1:a0:1:a0:e",
            b"d1:a5:xe",
            b"d-1:xe",
            b"d:0:e",
            b"d1:alli1eeee",
            b"i1e",
            b"d1:a99999999999999999999:e",
        ] {
            assert_eq!(read_dict(bad), Err(Malformed), "{}", String::from_utf8_lossy(bad));
        }
    }
}
