//! A text as one line of a list.

/// What a line of a list holds, in characters.
const LONGEST: usize = 200;

/// The beginning of a text on one line: whatever breaks or widens it is one blank, and what is cut off is shown by an ellipsis.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut chars = 0;
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            blank = chars > 0;
            continue;
        }
        if chars + usize::from(blank) + 1 >= LONGEST {
            line.push('…');
            return line;
        }
        if std::mem::take(&mut blank) {
            line.push(' ');
            chars += 1;
        }
        line.push(c);
        chars += 1;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_short_line() {
        assert_eq!(one_line("  two\r\n\n lines\u{2028}here\t"), "two lines here");
        assert_eq!(one_line("\n \n"), "");
        assert_eq!(one_line("مرحبا\nيا صديقي"), "مرحبا يا صديقي");
        for long in ["x".repeat(5_000), "x ".repeat(5_000), "\u{1F980}".repeat(5_000)] {
            let line = one_line(&long);
            assert!(line.chars().count() <= LONGEST && line.ends_with('…'), "{line}");
        }
    }
}
