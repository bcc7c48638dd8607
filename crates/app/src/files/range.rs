//! Which part of a file is asked for (RFC 9110 section 14).

/// What a `Range` header comes to, for a file of a certain size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    All,
    /// From the first to the last of these bytes, both included.
    From(u64, u64),
    /// There is no such part.
    None,
}

/// Reads the header. What is no range, or several, is all: that is what the standard allows.
pub(super) fn part(header: Option<&str>, size: u64) -> Part {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else { return Part::All };
    let Some((from, to)) = range.split_once('-') else { return Part::All };
    let number = |text: &str| -> Result<Option<u64>, ()> {
        if text.is_empty() {
            return Ok(None);
        }
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().map(Some).ok_or(())
    };
    let (Ok(from), Ok(to)) = (number(from), number(to)) else { return Part::All };
    let last = size.saturating_sub(1);
    match (from, to) {
        (None, None) => Part::All,
        (Some(from), Some(to)) if to < from => Part::All,
        (Some(from), _) if from >= size => Part::None,
        (Some(from), to) => Part::From(from, to.unwrap_or(last).min(last)),
        (None, Some(0)) => Part::None,
        (None, Some(_)) if size == 0 => Part::None,
        (None, Some(count)) => Part::From(size.saturating_sub(count), last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_within_the_file() {
        for (header, expected) in [
            ("bytes=0-", Part::From(0, 99)),
            ("bytes=0-0", Part::From(0, 0)),
            ("bytes=10-19", Part::From(10, 19)),
            ("bytes=90-1000", Part::From(90, 99)),
            ("bytes=-10", Part::From(90, 99)),
            ("bytes=-1000", Part::From(0, 99)),
            ("bytes=100-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-4", Part::All),
            ("bytes=-", Part::All),
            ("bytes=0-1,5-6", Part::All),
            ("bytes=+1-", Part::All),
            ("bytes=99999999999999999999999-", Part::All),
            ("lines=1-2", Part::All),
        ] {
            assert_eq!(part(Some(header), 100), expected, "{header}");
        }
        assert_eq!(part(None, 100), Part::All);
        assert_eq!((part(Some("bytes=0-"), 0), part(Some("bytes=-5"), 0)), (Part::None, Part::None));
    }
}
