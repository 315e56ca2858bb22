use super::*;
use alloc::string::ToString;

use jiff::Timestamp;
use jiff::tz::Offset;
use proptest::prelude::*;

#[test]
fn utc_text() {
    let leap_day = UnixMillis(1_709_164_800_000);
    assert_eq!(leap_day.rfc3339(), "2024-02-29T00:00:00.000Z");
    assert_eq!(leap_day.utc_day(), "2024-02-29");
    assert_eq!(UnixMillis(leap_day.0 - 1).rfc3339(), "2024-02-28T23:59:59.999Z");
    assert_eq!(UnixMillis(1_772_323_199_999).utc_month(), "2026-02");
    assert_eq!(UnixMillis(1_772_323_200_000).utc_month(), "2026-03");
    assert_eq!(UnixMillis(u64::MAX).utc_day(), "9999-12-30");
    assert_eq!(UnixMillis(u64::MAX).rfc3339(), "9999-12-30T22:00:00.999Z");
}

#[test]
fn text_is_read() {
    for (text, millis) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("2024-02-29T00:00:00.000Z", 1_709_164_800_000),
        ("2024-02-29T01:00:00+01:00", 1_709_164_800_000),
        ("2024-02-28T23:59:59.9999999999999999999999999999Z", 1_709_164_799_999),
        ("2000-02-29T12:34:56.7Z", 951_827_696_700),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ] {
        assert_eq!(UnixMillis::from_rfc3339(text), Some(UnixMillis(millis)), "{text}");
    }
}

#[test]
fn other_text_is_refused() {
    for text in [
        "",
        "yesterday",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00Z",
        "2024-02-29 00:00:00Z",
        "2024-02-29T00:00:00Z ",
        " 2024-02-29T00:00:00Z",
        "2024-02-29T00:00:00ZZ",
        "2024-02-29T00:00:00.Z",
        "2024-02-29T00:00:00,5Z",
        "2024-02-29T00:00:00+01",
        "2024-02-29T00:00:00+0100",
        "2024-02-29T00:00:00+24:00",
        "2024-02-29T00:00:00+01:60",
        "2024-02-29T00:00:00\u{2212}01:00",
        "2024-02-29T00:00:00Z[UTC]",
        "20240229T000000Z",
        "2024-2-29T00:00:00Z",
        "+002024-02-29T00:00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:60:00Z",
        "2016-12-31T23:59:60Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
    ] {
        assert_eq!(UnixMillis::from_rfc3339(text), None, "{text:?}");
    }
}

#[test]
fn every_day_is_the_calendar_s() {
    for day in 0..=LAST_WRITTEN_MS / MS_PER_DAY {
        let start = UnixMillis(day * MS_PER_DAY);
        let date = Offset::UTC.to_datetime(Timestamp::from_millisecond(start.0 as i64).unwrap()).date();
        assert_eq!(start.utc_day(), date.to_string());
        assert_eq!(UnixMillis::from_rfc3339(&start.rfc3339()), Some(start));
    }
}

/// What another reader makes of `text`, where it gives an instant that can be told in milliseconds since 1970.
fn by_jiff(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    (time.as_nanosecond() >= 0).then(|| time.as_millisecond() as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn instants_are_written_as_others_write_them(millis in 0..=LAST_WRITTEN_MS) {
        let text = UnixMillis(millis).rfc3339();
        prop_assert_eq!(&text, &format!("{:.3}", Timestamp::from_millisecond(millis as i64).unwrap()));
        prop_assert_eq!(UnixMillis::from_rfc3339(&text), Some(UnixMillis(millis)));
        prop_assert!(text.starts_with(&UnixMillis(millis).utc_month()));
    }

    /// Numbers a little out of range, so that each bound is met from both sides. The last days of 9999 lie beyond
    /// what the other reader can say, and it takes `:60` for `:59`.
    #[test]
    fn dates_and_times_are_read_as_others_read_them(
        (year, month, day) in (prop_oneof![1968..=1972_u32, 1899..=2101_u32, 0..=9998_u32], 0..=13_u32, 0..=32_u32),
        (hour, minute, second) in (0..=24_u32, 0..=60_u32, 0..=59_u32),
        fraction in "(\\.[0-9]{1,9})?",
        offset in prop_oneof![Just("Z".to_string()), "[+-][01][0-9]:[0-5][0-9]", "[+-]2[0-3]:[0-5][0-9]"],
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}");
        prop_assert_eq!(UnixMillis::from_rfc3339(&text).map(|time| time.0), by_jiff(&text), "{}", text);
    }

    /// Nothing is read that others do not read, nor otherwise than they do.
    #[test]
    fn damaged_text_is_refused_or_read_alike(
        at in 0..26_usize, with in "[-+:.TZtz 0-9\u{2212}]{0,2}", cut in 0..3_usize,
    ) {
        let (head, tail) = "2024-02-29T10:20:30.5+01:00".split_at(at);
        let text = format!("{head}{with}{}", tail.get(cut..).unwrap_or_default());
        if let Some(time) = UnixMillis::from_rfc3339(&text) {
            prop_assert_eq!(Some(time.0), by_jiff(&text), "{}", text);
        }
    }
}
