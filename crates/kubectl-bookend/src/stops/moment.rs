//! Points in time as Kubernetes and bookend write them: RFC 3339 in UTC. Pure.

/// Seconds since 1970 of `2026-11-29T12:00:01Z` or `2026-11-29T12:00:01.123Z`. `None`: it is not such a text.
pub(super) fn seconds_of(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (number(time.next()?)?, number(time.next()?)?);
    let second: f64 = time.next().filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))?.parse().ok()?;
    let is_valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && (0.0..61.0).contains(&second);
    let whole = days(year, month, day) * 86_400 + hour * 3600 + minute * 60;
    #[expect(clippy::cast_precision_loss, reason = "a year has four digits")]
    is_valid.then_some(whole as f64 + second)
}

fn number(text: &str) -> Option<i64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Days since 1970-01-01. Years begin in March, so that the leap day is the last one:
/// <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-02-29T00:00:00.000Z", 951_782_400.0),
            ("2026-11-23T09:15:13.125Z", 1_795_425_313.125),
            ("9999-12-31T23:59:59Z", 253_402_300_799.0),
        ] {
            assert_eq!(seconds_of(text), Some(expected), "{text}");
        }
        for text in ["", "Z", "2026-11-23", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "x-1-1T0:0:0Z"] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
        for text in ["2026-01-01T00:00:infZ", "2026-01-01T00:00:-1Z", "99999999-1-1T00:00:00Z", "2026-é-01T00:00:00Z"]
        {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }
}
