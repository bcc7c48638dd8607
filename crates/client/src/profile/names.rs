//! Names people choose: of profiles, and of themselves.

/// The longest profile name: it becomes part of paths.
const MAX_PROFILE_NAME: usize = 64;

/// The longest display name in bytes of UTF-8 (client-messages 1.4).
const MAX_DISPLAY_NAME: usize = crate::store::MAX_NAME_BYTES;

/// Names Windows keeps for devices, whatever follows a dot.
const DEVICE_NAMES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Why a text is not a profile name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot be the name of a profile: it has 1 to {MAX_PROFILE_NAME} of the characters A-Z a-z 0-9 - _ . and neither begins nor ends with a dot"
)]
pub struct InvalidProfileName {
    /// The text, shortened.
    pub name: String,
}

/// The name of a profile: 1 to 64 of the letters A-Z and a-z, digits, `-`, `_` and `.`, neither
/// beginning nor ending with a dot. It names a directory on every system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct ProfileName(String);

impl ProfileName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidProfileName`] says what a name looks like.
    pub fn new(name: &str) -> Result<Self, InvalidProfileName> {
        let before_dot = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let fits = (1..=MAX_PROFILE_NAME).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !DEVICE_NAMES.contains(&before_dot.as_str());
        if fits {
            return Ok(Self(name.to_owned()));
        }
        Err(InvalidProfileName { name: name.chars().take(MAX_PROFILE_NAME).collect() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `default`.
impl Default for ProfileName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl std::fmt::Display for ProfileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ProfileName {
    type Err = InvalidProfileName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Why a text is not a display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDisplayName {
    /// Nothing, or nothing that is seen.
    #[error("a display name needs a visible character")]
    Empty,
    /// A line break, or another control character.
    #[error("a display name has one line, and no control characters")]
    Control,
    /// Too long for the protocol.
    #[error("a display name has at most {MAX_DISPLAY_NAME} bytes, this has {0}")]
    TooLong(usize),
}

/// What a person calls themself: trimmed, visible, at most 100 bytes (client-messages 1.4).
#[derive(Clone, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`InvalidDisplayName`].
    pub fn new(text: &str) -> Result<Self, InvalidDisplayName> {
        let trimmed = text.trim_matches(is_outer_space);
        match trimmed.len() {
            _ if !crate::is_visible(trimmed) => Err(InvalidDisplayName::Empty),
            _ if trimmed.contains(char::is_control) => Err(InvalidDisplayName::Control),
            size if size > MAX_DISPLAY_NAME => Err(InvalidDisplayName::TooLong(size)),
            _ => Ok(Self(trimmed.to_owned())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DisplayName({} bytes)", self.0.len())
    }
}

fn is_outer_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_name_is_no_path() {
        for good in ["default", "a", "Alice-2_x.y", &"n".repeat(64)] {
            assert!(ProfileName::new(good).is_ok(), "{good}");
        }
        let long = "n".repeat(65);
        for bad in
            ["", ".", "..", "../x", "a/b", "a\\b", ".new", "x.", "a b", "ä", "a\0", "con", "NUL.txt", &long]
        {
            assert!(ProfileName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_display_name_is_trimmed_visible_and_short() {
        assert_eq!(DisplayName::new(" \u{200B}Ali ce\u{FEFF}\n").unwrap().as_str(), "Ali ce");
        for invisible in ["", " \u{2060} ", "\u{3164}", "\u{ad}\u{202e}\u{2800}"] {
            assert_eq!(DisplayName::new(invisible), Err(InvalidDisplayName::Empty), "{invisible:?}");
        }
        assert_eq!(DisplayName::new(&"ü".repeat(51)), Err(InvalidDisplayName::TooLong(102)));
        assert!(DisplayName::new(&"ü".repeat(50)).is_ok());
    }
}
