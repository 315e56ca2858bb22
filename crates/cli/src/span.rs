//! Times as people write them: `30d`, `12h`, RFC 3339.

use std::str::FromStr;

/// A length of time of at least one second: a whole number and `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The length in seconds.
    pub(crate) seconds: i64,
}

impl Span {
    /// As [`Span::from_str`], and a number alone is seconds.
    pub(crate) fn of_seconds(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number { format!("{text}s").parse() } else { text.parse() }
    }
}

/// The longest span: a hundred years.
const MAX_SECONDS: i64 = 100 * 366 * 86_400;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = || "write a whole number and a unit: 60s, 15m, 12h or 30d".to_owned();
        let unit = text.chars().last().ok_or_else(explain)?;
        let seconds_per_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(explain()),
        };
        let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let count: i64 = digits.and_then(|digits| digits.parse().ok()).ok_or_else(explain)?;
        let seconds = count.checked_mul(seconds_per_unit).filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
        seconds
            .map(|seconds| Self { seconds })
            .ok_or_else(|| "use at least one second and at most 100 years".to_owned())
    }
}

/// A moment: RFC 3339, or Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Unix milliseconds.
    pub(crate) ms: u64,
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = || "write RFC 3339, such as 2026-02-24T14:30:00Z, or Unix milliseconds".to_owned();
        if let Ok(ms) = text.parse() {
            return Ok(Self { ms });
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| explain())?;
        u64::try_from(timestamp.as_millisecond()).map(|ms| Self { ms }).map_err(|_| explain())
    }
}

/// Unix seconds as RFC 3339 in UTC, with the seconds beside it.
pub(crate) fn date(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(timestamp) => timestamp.to_string(),
        Err(_) => format!("{seconds} (Unix seconds)"),
    }
}

/// A length of time in words, without its sign: `90 s`, `2 h`, `6 days`. Lengths are rounded down.
pub(crate) fn length(seconds: i64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "h"), (60, "min")];
    let seconds = seconds.unsigned_abs();
    // Two of a unit at least, so that what is rounded off is less than half.
    let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    match unit {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, seconds) in [("60s", 60), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(text.parse(), Ok(Span { seconds }), "{text}");
        }
        for text in
            ["", "d", "30", "0s", "-1d", "+1d", "1.5h", "1w", "1 d", "99999999999d", "9223372036854775807d", "1ä"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(Span::of_seconds("90"), Ok(Span { seconds: 90 }));
        assert_eq!(Span::of_seconds("2h"), Ok(Span { seconds: 7_200 }));
        for text in ["", "0", "-1", "1.5", "1 "] {
            assert!(Span::of_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        assert_eq!("2026-02-24T14:30:00Z".parse(), Ok(Moment { ms: 1_771_943_400_000 }));
        assert_eq!("2026-02-24T15:30:00.5+01:00".parse(), Ok(Moment { ms: 1_771_943_400_500 }));
        assert_eq!("1771943400000".parse(), Ok(Moment { ms: 1_771_943_400_000 }));
        for text in ["", "yesterday", "2026-02-24", "1900-01-01T00:00:00Z"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
        assert_eq!(date(1_771_943_400), "2026-02-24T14:30:00Z");
    }

    #[test]
    fn lengths() {
        for (seconds, words) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (-7200, "2 h"), (172_799, "47 h"), (259_200, "3 days")]
        {
            assert_eq!(length(seconds), words);
        }
    }
}
