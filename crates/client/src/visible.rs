//! Whether a text shows anything at all.

/// Whether anything of a text can be seen. A name or a message of blanks, joiners and marks of direction looks like none, or
/// lets somebody pass for nobody.
pub fn is_visible(text: &str) -> bool {
    !text.chars().all(|c| c.is_whitespace() || c.is_control() || is_blank(c))
}

/// A name that can be seen, or none.
pub(crate) fn visible_name(name: Option<&str>) -> Option<String> {
    name.filter(|name| is_visible(name)).map(str::to_owned)
}

/// What Unicode calls default-ignorable, and letters that are drawn as nothing.
const fn is_blank(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_nothing_but_invisible_characters_shows_nothing() {
        for text in [
            "",
            " \n\t",
            "\u{200b}",
            "\u{2060}\u{feff} \u{ad}",
            "\u{3164}",
            "\u{2800}",
            "\u{202e}\u{e0041}",
            "\u{7}",
        ] {
            assert!(!is_visible(text), "{text:?}");
        }
    }

    #[test]
    fn whatever_somebody_wrote_in_any_script_is_seen() {
        for text in
            [".", "\u{200b}a\u{200b}", "שלום", "你好", "नमस्ते", "한국어", "❤\u{fe0f}", "👩\u{200d}🚀", "ᚠ"]
        {
            assert!(is_visible(text), "{text:?}");
        }
    }
}
