//! Figures of the benchmarks: medians, percentiles and ratios, in integers.

use std::fmt;
use std::time::{Duration, Instant};

/// Durations of the same piece of work.
#[derive(Debug, Clone, Default)]
pub struct Sample(Vec<Duration>);

impl Sample {
    /// Runs `work` and notes how long it took.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let made = std::hint::black_box(work());
        self.0.push(started.elapsed());
        made
    }

    /// Notes one duration.
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Adds the durations of another sample.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The duration that `hundredths` of all do not exceed; zero when there are none.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }

    /// The duration in the middle.
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }
}

/// A fraction, shown with two decimals and cut there.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    hundredths: u128,
}

impl Ratio {
    /// `part` divided by `whole`; zero when there is no whole.
    pub fn of(part: u128, whole: u128) -> Self {
        Self { hundredths: (part * 100).checked_div(whole).unwrap_or_default() }
    }

    /// The same of two durations.
    pub fn of_durations(part: Duration, whole: Duration) -> Self {
        Self::of(part.as_nanos(), whole.as_nanos())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.hundredths / 100, self.hundredths % 100)
    }
}

/// Microseconds with one decimal.
pub fn micros(duration: Duration) -> String {
    let tenths = duration.as_nanos() / 100;
    format!("{}.{} us", tenths / 10, tenths % 10)
}

/// How many of `count` things happened in a second.
pub fn per_second(count: usize, elapsed: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or_default();
    (count * 1_000_000_000).checked_div(elapsed.as_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let mut sample = Sample::default();
        (1..=100).rev().for_each(|millis| sample.push(Duration::from_millis(millis)));
        assert_eq!(sample.median(), Duration::from_millis(51));
        assert_eq!(sample.percentile(99), Duration::from_millis(100));
        assert_eq!(Sample::default().median(), Duration::ZERO);
        assert_eq!(Ratio::of(11, 10).to_string(), "1.10");
        assert_eq!(Ratio::of(1, 0).to_string(), "0.00");
        assert_eq!(micros(Duration::from_nanos(12_390)), "12.3 us");
        assert_eq!(per_second(500, Duration::from_millis(250)), 2000);
    }
}
