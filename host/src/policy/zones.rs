//! Time zones as tables.

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use passgate_core::policy::{Offset, Zone};

/// 2026-01-01T00:00:00Z: no decision is made before it. The tables do not depend on when they are made, so that a policy
/// keeps its digest.
const FROM: i64 = 1_767_225_600;
/// 2046-01-01T00:00:00Z
const UNTIL: i64 = 2_398_377_600;

/// The table of the zone of this name, from the tables that this program carries.
pub(super) fn zone(name: &str) -> Option<Zone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    let ahead = |second| Some(i64::from(zone.to_offset(Timestamp::from_second(second).ok()?).seconds()));
    let mut offsets = vec![Offset { from: FROM, ahead_seconds: ahead(FROM)? }];
    for transition in zone.following(Timestamp::from_second(FROM).ok()?) {
        let from = transition.timestamp().as_second();
        if from >= UNTIL {
            break;
        }
        let ahead_seconds = i64::from(transition.offset().seconds());
        // Clocks that only change their name show the same.
        if offsets.last().is_none_or(|last| last.ahead_seconds != ahead_seconds) {
            offsets.push(Offset { from, ahead_seconds });
        }
    }
    Some(Zone { offsets, until: UNTIL })
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;

    use super::*;

    #[test]
    fn tables_agree_with_the_calendar() {
        for name in
            ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"]
        {
            let (table, zone) = (zone(name).unwrap(), TimeZoneDatabase::bundled().get(name).unwrap());
            // Steps of a prime number of seconds, so that all minutes are met.
            for second in (FROM..UNTIL).step_by(1_000_003) {
                let local = Timestamp::from_second(second).unwrap().to_zoned(zone.clone());
                let day = u32::try_from(local.weekday().since(Weekday::Monday)).unwrap();
                let minute = u32::try_from(local.hour()).unwrap() * 60 + u32::try_from(local.minute()).unwrap();
                assert_eq!(table.minute_of_week(second), Some(day * 1440 + minute), "{name} {second}");
            }
            assert_eq!(table.minute_of_week(FROM - 1), None);
            assert_eq!(table.minute_of_week(UNTIL), None);
        }
        assert_eq!(zone("Mars/Olympus"), None);
    }
}
