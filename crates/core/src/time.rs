//! Time as an argument: integers in, UTC text out, and back.
//!
//! Dates are those of the proleptic Gregorian calendar, without leap seconds.

use alloc::format;
use alloc::string::String;

/// The last instant that is written as text, `9999-12-30T22:00:00.999Z`; later ones read as it.
const LAST_WRITTEN_MS: u64 = 253_402_207_200_999;
const MS_PER_DAY: u64 = 86_400_000;

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
        let of_day = self.written() % MS_PER_DAY;
        let (seconds, millis) = (of_day / 1000, of_day % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", self.utc_day())
    }

    /// The UTC calendar day, `2026-02-24`.
    pub fn utc_day(self) -> String {
        let Date { year, month, day } = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// The UTC calendar month, `2026-02`.
    pub fn utc_month(self) -> String {
        let Date { year, month, .. } = self.date();
        format!("{year:04}-{month:02}")
    }

    /// Reads a `date-time` of RFC 3339 with any offset; what is finer than a millisecond is cut off.
    ///
    /// `T` and `Z` may be lower-case, as section 5.6 lets them be. A leap second (`:60`) is refused, because no
    /// number of milliseconds stands for it.
    ///
    /// # Errors
    ///
    /// `None` for any other text, a date that the calendar does not have, and an instant before 1970.
    ///
    /// ```
    /// use passgate_core::time::UnixMillis;
    /// assert_eq!(UnixMillis::from_rfc3339("1970-01-01T01:00:01.5+01:00"), Some(UnixMillis(1_500)));
    /// assert_eq!(UnixMillis::from_rfc3339("1970-01-01"), None);
    /// ```
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let mut reader = Reader(text.as_bytes());
        let date = reader.date()?;
        reader.one_of(b"Tt")?;
        let of_day = reader.time()?;
        let offset = reader.offset()?;
        if !reader.0.is_empty() {
            return None;
        }
        let since_march_0 = date.days_since_march_0()? * MS_PER_DAY + of_day;
        since_march_0.checked_add_signed(-offset)?.checked_sub(EPOCH_SINCE_MARCH_0 * MS_PER_DAY).map(Self)
    }

    fn date(self) -> Date {
        Date::of_days_since_epoch(self.written() / MS_PER_DAY)
    }

    /// Instants beyond the year 9999 read as its end: a clock that far off denies everything anyway.
    fn written(self) -> u64 {
        self.0.min(LAST_WRITTEN_MS)
    }
}

/// A day of the calendar.
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

/// Days from 1 March of the year 0 to 1 January 1970. Years are counted from March, so that a leap day ends its year.
const EPOCH_SINCE_MARCH_0: u64 = 719_468;
const DAYS_PER_400_YEARS: u64 = 146_097;

impl Date {
    fn of_days_since_epoch(days: u64) -> Self {
        let since_march_0 = days + EPOCH_SINCE_MARCH_0;
        let (era, of_era) = (since_march_0 / DAYS_PER_400_YEARS, since_march_0 % DAYS_PER_400_YEARS);
        // One day is taken off for each leap day behind: after 1460 days, except after 36 524, and at the era's end.
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - days_of_years(year_of_era);
        let month = (5 * of_year + 2) / 153;
        let (month_of_year, in_next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self {
            year: era * 400 + year_of_era + in_next_year,
            month: month_of_year,
            day: of_year - days_of_months(month) + 1,
        }
    }

    /// Days from 1 March of the year 0.
    fn days_since_march_0(&self) -> Option<u64> {
        let (month, years_back) = if self.month > 2 { (self.month - 3, 0) } else { (self.month + 9, 1) };
        let year = self.year.checked_sub(years_back)?;
        let of_era = days_of_years(year % 400) + days_of_months(month) + self.day - 1;
        Some(year / 400 * DAYS_PER_400_YEARS + of_era)
    }

    fn exists(&self) -> bool {
        let is_leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let last = match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        (1..=last).contains(&self.day)
    }
}

/// Days in the first `years` of an era.
fn days_of_years(years: u64) -> u64 {
    years * 365 + years / 4 - years / 100
}

/// Days in the first `months` from March on, of which five have 153 days.
fn days_of_months(months: u64) -> u64 {
    (153 * months + 2) / 5
}

/// What is still to be read of a `date-time`.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// `full-date`
    fn date(&mut self) -> Option<Date> {
        let year = self.digits(4)?;
        self.one_of(b"-")?;
        let month = self.digits(2)?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        Some(Date { year, month, day }).filter(Date::exists)
    }

    /// `partial-time`, in milliseconds.
    fn time(&mut self) -> Option<u64> {
        let minutes = self.hour_and_minute()?;
        self.one_of(b":")?;
        let second = self.digits(2).filter(|second| *second < 60)?;
        let millis = if self.one_of(b".").is_some() { self.fraction()? } else { 0 };
        Some((minutes * 60 + second) * 1000 + millis)
    }

    /// `time-offset`, in milliseconds east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let minutes = self.hour_and_minute()?;
        Some(sign * i64::try_from(minutes).ok()? * 60_000)
    }

    fn hour_and_minute(&mut self) -> Option<u64> {
        let hour = self.digits(2).filter(|hour| *hour < 24)?;
        self.one_of(b":")?;
        let minute = self.digits(2).filter(|minute| *minute < 60)?;
        Some(hour * 60 + minute)
    }

    /// The milliseconds in one or more digits after a point.
    fn fraction(&mut self) -> Option<u64> {
        let mut millis = self.digits(1)? * 100;
        let mut weight = 10;
        while let Some(digit) = self.digits(1) {
            millis += digit * weight;
            weight /= 10;
        }
        Some(millis)
    }

    fn digits(&mut self, count: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits
            .iter()
            .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    fn one_of(&mut self, known: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        known.contains(first).then_some(())?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests;
