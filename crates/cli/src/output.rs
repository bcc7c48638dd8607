//! Where lines go: data on standard output, everything for people's eyes on the way there on standard error.
//!
//! With `--json`, standard output holds one JSON object per line and nothing else.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// How the command was asked to speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether standard output is for programs.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// One result: as a JSON line, or as the text made by `human`.
    pub(crate) fn line<T: Serialize>(self, value: &T, human: impl FnOnce() -> String) {
        let text = if self.json {
            let json = serde_json::to_string(value)
                .expect("our own types have string keys and no failing serializers");
            tame_json(&json)
        } else {
            human()
        };
        write_line(&text);
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn reader_gone(self) -> bool {
        READER_GONE.load(Ordering::Relaxed)
    }

    /// A whole text on standard output, in every mode.
    pub(crate) fn text(self, text: &[u8]) {
        write_line(String::from_utf8_lossy(text).trim_end());
    }

    /// Text on standard output for people; nothing with `--json`.
    pub(crate) fn human(self, text: &str) {
        if !self.json {
            write_line(text);
        }
    }

    /// How a command failed: a JSON line, or the fact and the next step on standard error.
    pub(crate) fn failure(self, failure: &crate::failure::Failure) {
        if self.json {
            self.line(failure, String::new);
        } else {
            self.note(&format!("error: {}\n  next: {}", tame(&failure.message), tame(&failure.hint)));
        }
    }

    /// A word about progress, on standard error.
    pub(crate) fn note(self, text: &str) {
        // A closed standard error is no reason to stop.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// A line that is overwritten by the next one on a terminal, and not shown elsewhere.
    pub(crate) fn progress(self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        if stderr.is_terminal() {
            let _ = write!(stderr, "\r\x1b[K{text}");
            let _ = stderr.flush();
        }
    }

    /// Ends a progress line.
    pub(crate) fn progress_done(self) {
        self.progress("");
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// The reader of standard output has gone (`conclave listen | head -1`): nothing more is written, and commands that
/// would go on for ever end. The process is not simply ended here: other threads may be in the database.
static READER_GONE: AtomicBool = AtomicBool::new(false);

/// Writes and flushes one line.
fn write_line(text: &str) {
    if READER_GONE.load(Ordering::Relaxed) {
        return;
    }
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        READER_GONE.store(true, Ordering::Relaxed);
    }
}

/// Text from other people, made harmless for a terminal: control characters (also the escape that starts terminal
/// commands) and direction overrides are shown as their code points; line breaks are kept, indented.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => tamed.push_str("\n    "),
            '\t' => tamed.push('\t'),
            c if c.is_control() || is_direction_control(c) => {
                tamed.push_str(&format!("<U+{:04X}>", u32::from(c)))
            }
            c => tamed.push(c),
        }
    }
    tamed
}

/// JSON that harms no terminal it is shown on: what stands for itself in a string, and commands one or turns text around, is
/// escaped. Others there are none outside of strings.
fn tame_json(json: &str) -> String {
    let mut tamed = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() || is_direction_control(c) {
            tamed.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            tamed.push(c);
        }
    }
    tamed
}

/// The name of somebody else, on one line. One that means oneself here says whose it is as well.
pub(crate) fn name_of(name: &str, account_id: &str) -> String {
    let tamed = tame_line(name);
    // Also where something stands between that is not seen.
    let is_seen = |c: &char| *c == ' ' || conclave_client::is_visible(c.encode_utf8(&mut [0; 4]));
    let seen: String = tamed.chars().filter(is_seen).collect();
    let means_oneself = ["you", "me", "note to self"].iter().any(|own| seen.trim().eq_ignore_ascii_case(own));
    if means_oneself { format!("{tamed} ({account_id})") } else { tamed }
}

/// The same of what has one line: a name with a line break in it could pretend to be a further line.
pub(crate) fn tame_line(text: &str) -> String {
    tame(text).replace("\n    ", "<U+000A>")
}

/// Characters that reorder the text around them, and so can make one thing look like another. The directional
/// marks that right-to-left text needs (U+200E, U+200F, U+061C) reorder nothing and stay.
const fn is_direction_control(c: char) -> bool {
    // And those that some programs take for a line break.
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A moment for people: local time is not known without a time zone database, so it is UTC and says so.
pub(crate) fn moment(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        in_day / 3600,
        in_day / 60 % 60,
        in_day % 60
    )
}

/// The first millisecond of a day, UTC; `None` if there is no such day after 1970.
pub(crate) fn start_of_day(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // No month begins later than this day of its year, so the search ends soon.
    let first = (year - 1970) * 365;
    (first..first + 750).find(|days| civil_date(*days) == (year, month, day)).map(|days| days * 86_400_000)
}

/// The Gregorian date of a day counted from 1970-01-01.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // Years counted from 1 March 0000, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_for_the_one_who_reads() {
        assert_eq!(name_of("Bob", "05aa"), "Bob");
        assert_eq!(name_of("You ", "05aa"), "You  (05aa)");
        assert_eq!(name_of("y\u{2060}ou", "05aa"), "y\u{2060}ou (05aa)");
        assert_eq!(name_of("Note to Self", "05aa"), "Note to Self (05aa)");
    }

    #[test]
    fn json_commands_no_terminal_and_says_the_same() {
        let text = "a\u{9b}31m\u{202e}b \u{7f}\n שלום";
        let tamed = tame_json(&serde_json::to_string(text).unwrap());
        assert!(!tamed.chars().any(|c| c.is_control() || is_direction_control(c)), "{tamed}");
        assert_eq!(serde_json::from_str::<String>(&tamed).unwrap(), text);
    }

    #[test]
    fn moments_are_civil_dates() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(moment(1_700_000_000_000), "2023-11-14 22:13:20 UTC");
        // As a stranger may claim.
        assert_eq!(moment(u64::MAX), "584556019-04-03 14:25:51 UTC");
    }

    #[test]
    fn a_message_cannot_command_the_terminal_or_turn_text_around() {
        assert_eq!(tame("\u{1b}[2Jgone"), "<U+001B>[2Jgone");
        assert_eq!(tame("abc\u{202e}txt.exe"), "abc<U+202E>txt.exe");
        assert_eq!(tame("שלום 你好 नमस्ते"), "שלום 你好 नमस्ते");
        assert_eq!(tame("a\r\nb"), "a<U+000D>\n    b");
    }
}
