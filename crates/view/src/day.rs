//! Days of the reader's calendar.

/// A day, counted from 1970-01-01 where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// No place of the world is further from UTC; more is a mistake of the caller.
const FURTHEST: i32 = 14 * 60;

impl Day {
    /// The day of a moment (milliseconds since the epoch), `utc_offset_minutes` east of Greenwich.
    pub(crate) fn of(at: u64, utc_offset_minutes: i32) -> Self {
        let offset = i64::from(utc_offset_minutes.clamp(-FURTHEST, FURTHEST)) * MINUTE;
        Self(i64::try_from(at).unwrap_or(i64::MAX - DAY).saturating_add(offset).div_euclid(DAY))
    }
}

impl std::fmt::Display for Day {
    /// `2026-11-29`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Years counted from 1 March 0000, so that the leap day is a year's last.
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_the_reader_s_midnight() {
        let before_midnight = 1_700_000_000_000; // 2023-11-14 22:13:20 UTC
        assert_eq!(Day::of(before_midnight, 0).to_string(), "2023-11-14");
        assert_eq!(Day::of(before_midnight, 106).to_string(), "2023-11-14");
        assert_eq!(Day::of(before_midnight, 107).to_string(), "2023-11-15");
        assert_eq!(Day::of(0, -60).to_string(), "1969-12-31");
        assert_eq!(Day::of(951_782_400_000, 0).to_string(), "2000-02-29");
    }

    #[test]
    fn a_moment_or_an_offset_that_cannot_be_harms_nothing() {
        assert!(!Day::of(u64::MAX, i32::MAX).to_string().is_empty());
        assert_eq!(Day::of(0, i32::MIN).to_string(), "1969-12-31");
    }
}
