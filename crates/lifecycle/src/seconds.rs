//! Durations as people write and read them, as a number of seconds: `30`, `0.25`. Exact, with integer arithmetic:
//! parsing and printing floating point would add 30 kB of code.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A duration that is displayed in seconds. `{}` prints no trailing zeros, `{:.3}` exactly three decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Seconds {
    /// From a number of seconds that another program reported. A negative, infinite or NaN value becomes zero.
    pub fn of(seconds: f64) -> Seconds {
        Seconds(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// The number of seconds, rounded to milliseconds, for JSON and the log.
    pub fn to_f64(self) -> f64 {
        (self.0.as_secs_f64() * 1000.0).round() / 1000.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match f.precision().map(|places| places.min(9)) {
            Some(places) => {
                let unit = 10u128.pow(9 - u32::try_from(places).unwrap_or(9));
                let (rounded, whole) = ((self.0.as_nanos() + unit / 2) / unit, NANOS / unit);
                match places {
                    0 => rounded.to_string(),
                    _ => format!("{}.{:0places$}", rounded / whole, rounded % whole),
                }
            }
            None => {
                let text = format!("{}.{:09}", self.0.as_secs(), self.0.subsec_nanos());
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        };
        f.pad_integral(true, "", &text)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl FromStr for Seconds {
    type Err = ();

    /// Accepts the numbers of TOML (`2.5`, `+1.`, `1e-3`) without `_`, which the caller removes.
    fn from_str(text: &str) -> Result<Seconds, ()> {
        exact(text).map(Seconds).ok_or(())
    }
}

fn exact(text: &str) -> Option<Duration> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse().ok()?),
        None => (text, 0i32),
    };
    let number = number.strip_prefix('+').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: u128 = digits.parse().ok()?;
    let shift = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let nanos = match 10u128.checked_pow(shift.unsigned_abs()) {
        _ if digits == 0 => 0,
        Some(factor) if shift >= 0 => digits.checked_mul(factor)?,
        Some(factor) => digits / factor,
        None if shift >= 0 => return None,
        None => 0,
    };
    let seconds = u64::try_from(nanos / NANOS).ok()?;
    Some(Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(nanos % NANOS).ok()?))
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_is_shortest_or_has_the_requested_decimals() {
        let ms = |ms| Seconds(Duration::from_millis(ms));
        assert_eq!([0, 30_000, 100, 2_500, 1].map(|millis| ms(millis).to_string()), ["0", "30", "0.1", "2.5", "0.001"]);
        assert_eq!(format!("{:.3} {:.1} {:.0}", ms(2_500), ms(2_450), ms(2_500)), "2.500 2.5 3");
        assert_eq!(format!("{:>8.3}|{:>+9.3}|{:<6.1}|", ms(1), ms(2), ms(3_000)), "   0.001|   +0.002|3.0   |");
        assert_eq!(format!("{:.3}", Seconds(Duration::from_micros(999_999))), "1.000");
        assert_eq!(
            [1.5, -1.0, f64::NAN, f64::INFINITY].map(|seconds| Seconds::of(seconds).to_string()),
            ["1.5", "0", "0", "0"]
        );
    }

    #[test]
    fn the_numbers_of_toml_parse() {
        for (text, nanos) in [
            ("0", 0),
            ("2.5", 2_500_000_000),
            ("+1.", 1_000_000_000),
            (".5", 500_000_000),
            ("1e-3", 1_000_000),
            ("2.5E+1", 25_000_000_000),
            ("0e999", 0),
            ("1e-999", 0),
        ] {
            assert_eq!(text.parse(), Ok(Seconds(Duration::from_nanos(nanos))), "{text}");
        }
        for text in ["", ".", "+", "-1", "1e", "e3", "1e300", "nan", "inf", "1 ", "1.2.3", "++1", "0x1"] {
            assert_eq!(text.parse::<Seconds>(), Err(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_text_parses_back_and_agrees_with_floats(nanos in 0..1_000_000_000_000_000u64) {
            let time = Duration::from_nanos(nanos);
            let text = Seconds(time).to_string();
            prop_assert_eq!(text.parse(), Ok(Seconds(time)));
            let difference = Duration::from_secs_f64(text.parse().unwrap()).abs_diff(time);
            prop_assert!(difference < Duration::from_micros(1), "{text}");
        }

        #[test]
        fn parsing_never_panics(text in "[0-9.eE+ -]{0,50}") {
            let _ = text.parse::<Seconds>();
        }
    }
}
