//! A point in time as RFC 3339 writes it, in UTC and with milliseconds: `2026-11-23T09:15:13.123Z`.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A wall-clock time, beside the durations that everything is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp(Duration);

impl Timestamp {
    /// The present time. A clock before 1970 counts as 1970.
    pub(crate) fn now() -> Timestamp {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// The time of the day: `09:15:13Z`.
    pub(crate) fn clock(self) -> String {
        let second = self.0.as_secs() % SECONDS_OF_DAY;
        format!("{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }

    /// In nanoseconds since 1970, as OpenTelemetry has it.
    #[cfg(feature = "otel")]
    pub(crate) fn unix_nanos(self) -> u128 {
        self.0.as_nanos()
    }

    /// As a Unix time.
    #[cfg(feature = "reload")]
    pub(crate) fn since_1970(self) -> Duration {
        self.0
    }

    /// The time this much later.
    #[cfg(any(feature = "otel", feature = "reload", test))]
    pub(crate) fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration))
    }

    /// The time this much earlier.
    pub(crate) fn before(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(duration))
    }
}

impl Default for Timestamp {
    fn default() -> Timestamp {
        Timestamp(Duration::ZERO)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.as_secs() / SECONDS_OF_DAY, self.0.as_secs() % SECONDS_OF_DAY);
        let (year, month, day) = date(days);
        let (hour, minute, second, millis) = (second / 3600, second / 60 % 60, second % 60, self.0.subsec_millis());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. The years begin in March here, so that the
/// leap day is the last one: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day)
}

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;
/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// Four hundred years, after which the calendar repeats.
const DAYS_OF_ERA: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_with_milliseconds() {
        for (seconds, millis, expected) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (1_795_425_313, 123, "2026-11-23T09:15:13.123Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(Timestamp(Duration::new(seconds, millis * 1_000_000)).to_string(), expected);
        }
    }

    #[test]
    fn the_days_of_a_century_follow_one_another() {
        let length = |year: u64, month| match month {
            4 | 6 | 9 | 11 => 30,
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..150 * 366 {
            assert_eq!(date(days), (year, month, day));
            day += 1;
            if day > length(year, month) {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
