//! Finding where a value ends, without building it.

use super::{BtError, MAX_DEPTH};

/// A token at the start of a value.
pub(super) enum Token<'a> {
    /// The digits of an integer, checked for form, range not yet known.
    Int(&'a [u8]),
    /// A byte string.
    Bytes(&'a [u8]),
    List,
    Dict,
    End,
}

/// A forward cursor over bt bytes; `at` counts from the start of the outermost input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Result<u8, BtError> {
        self.input.get(self.at).copied().ok_or(BtError::Truncated(self.at))
    }

    /// Reads one token: a whole integer or string, or the bracket that opens or closes.
    pub(super) fn token(&mut self) -> Result<Token<'a>, BtError> {
        let bracket = match self.peek()? {
            b'i' => return self.int().map(Token::Int),
            b'0'..=b'9' => return self.string().map(Token::Bytes),
            b'l' => Token::List,
            b'd' => Token::Dict,
            b'e' => Token::End,
            _ => return Err(BtError::Unexpected(self.at)),
        };
        self.at += 1;
        Ok(bracket)
    }

    /// Moves behind the value that starts here, checking its form.
    pub(super) fn skip_value(&mut self) -> Result<&'a [u8], BtError> {
        let start = self.at;
        // One entry per open bracket: `Some(true)` while a dictionary expects a key.
        let mut open: Vec<Option<bool>> = Vec::new();
        loop {
            let here = self.at;
            let token = self.token()?;
            let mut complete = true;
            match token {
                Token::Int(_) | Token::Bytes(_) => {}
                Token::List => {
                    open.push(None);
                    complete = false;
                }
                Token::Dict => {
                    open.push(Some(true));
                    complete = false;
                }
                Token::End => match open.pop() {
                    None | Some(Some(false)) => return Err(BtError::Unexpected(here)),
                    Some(None | Some(true)) => {}
                },
            }
            if open.len() > MAX_DEPTH {
                return Err(BtError::TooDeep);
            }
            // A container that has just opened is the value of a key already counted, or not yet:
            // what it stands in is told when it closes.
            let Some(inner) = open.last_mut() else {
                return Ok(self.input.get(start..self.at).unwrap_or_default());
            };
            if complete && let Some(expects_key) = inner {
                if *expects_key && !matches!(token, Token::Bytes(_)) {
                    return Err(BtError::Unexpected(here));
                }
                *expects_key = !*expects_key;
            }
            if !complete && let Some(Some(true)) = open.len().checked_sub(2).and_then(|outer| open.get(outer))
            {
                return Err(BtError::Unexpected(here)); // a container where a key must stand
            }
        }
    }

    fn int(&mut self) -> Result<&'a [u8], BtError> {
        let start = self.at;
        let body = self.rest().get(1..).unwrap_or_default();
        // "-9223372036854775808" and "18446744073709551615" have 20 characters.
        let Some(end) = body.iter().take(21).position(|&b| b == b'e') else {
            return Err(if body.len() < 21 { BtError::Truncated(start) } else { BtError::Number(start) });
        };
        let text = body.get(..end).unwrap_or_default();
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let canonical = match digits {
            [b'0'] => digits.len() == text.len(),
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !canonical {
            return Err(BtError::Number(start));
        }
        self.at = start.saturating_add(end).saturating_add(2);
        Ok(text)
    }

    fn string(&mut self) -> Result<&'a [u8], BtError> {
        let start = self.at;
        let rest = self.rest();
        let Some(colon) = rest.iter().take(20).position(|b| !b.is_ascii_digit()) else {
            return Err(if rest.len() < 20 { BtError::Truncated(start) } else { BtError::Number(start) });
        };
        if rest.get(colon) != Some(&b':') {
            return Err(BtError::Unexpected(start.saturating_add(colon)));
        }
        let digits = rest.get(..colon).unwrap_or_default();
        if digits.len() > 1 && digits.starts_with(b"0") {
            return Err(BtError::Number(start));
        }
        let length = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok())
            .ok_or(BtError::Number(start))?;
        let from = colon.saturating_add(1);
        let content = from
            .checked_add(length)
            .and_then(|to| rest.get(from..to))
            .ok_or(BtError::Truncated(self.input.len()))?;
        self.at = start.saturating_add(from).saturating_add(length);
        Ok(content)
    }
}
