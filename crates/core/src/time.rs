//! Time as an argument: integers in, UTC text out.

use alloc::format;
use alloc::string::{String, ToString};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

/// Milliseconds since the Unix epoch, as the caller's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Whole seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0 / 1000).unwrap_or(i64::MAX)
    }

    /// RFC 3339 in UTC with milliseconds, `2026-02-24T14:30:00.000Z`.
    pub fn rfc3339(self) -> String {
        format!("{:.3}", self.timestamp())
    }

    /// The UTC calendar day, `2026-02-24`.
    pub fn utc_day(self) -> String {
        self.utc_date().to_string()
    }

    /// The UTC calendar month, `2026-02`.
    pub fn utc_month(self) -> String {
        let date = self.utc_date();
        format!("{:04}-{:02}", date.year(), date.month())
    }

    fn utc_date(self) -> Date {
        Offset::UTC.to_datetime(self.timestamp()).date()
    }

    /// Instants beyond the year 9999 read as its end: a clock that far off denies everything anyway.
    fn timestamp(self) -> Timestamp {
        i64::try_from(self.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_text() {
        let leap_day = UnixMillis(1_709_164_800_000);
        assert_eq!(leap_day.rfc3339(), "2024-02-29T00:00:00.000Z");
        assert_eq!(leap_day.utc_day(), "2024-02-29");
        assert_eq!(UnixMillis(leap_day.0 - 1).rfc3339(), "2024-02-28T23:59:59.999Z");
        assert_eq!(UnixMillis(1_772_323_199_999).utc_month(), "2026-02");
        assert_eq!(UnixMillis(1_772_323_200_000).utc_month(), "2026-03");
        assert_eq!(UnixMillis(u64::MAX).utc_day(), "9999-12-30");
    }
}
