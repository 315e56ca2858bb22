use alloc::borrow::ToOwned as _;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::state::RateWindow;

const START_MS: u64 = 1_800_000_000_000;
const MINUTE_MS: u64 = 60_000;

fn a_minute(limit: u32) -> RateClaim {
    RateClaim { per: "agent".to_owned(), counter: "agent".to_owned(), limit, window: RateWindow::Minute }
}

/// Of calls at these milliseconds, those that pass.
fn passed(limit: u32, calls: impl Iterator<Item = u64>) -> Vec<u64> {
    let (claim, mut stored) = (a_minute(limit), None);
    calls
        .filter(|at| {
            let cell = Cell::new(&claim, stored, UnixMillis(START_MS + at));
            let conforms = cell.conforms();
            if conforms {
                stored = Some(cell.taken().row());
            }
            conforms
        })
        .collect()
}

/// The most that passed in any one window, from each call that passed on.
fn most_in_a_window(passed: &[u64]) -> usize {
    let from = |at: &u64| passed.iter().filter(|other| (*at..at + MINUTE_MS).contains(other)).count();
    passed.iter().map(from).max().unwrap_or_default()
}

#[test]
fn whoever_calls_all_the_time_gets_twice_the_limit_less_one_in_the_first_window() {
    for limit in [1_u32, 2, 3, 7, 10, 60] {
        // A burst in each millisecond, of two windows.
        let calls =
            (0..2 * MINUTE_MS).flat_map(|at| core::iter::repeat_n(at, if at == 0 { limit as usize } else { 1 }));
        let passed = passed(limit, calls);
        assert_eq!(most_in_a_window(&passed), 2 * limit as usize - 1, "{limit}");
        let later = passed.iter().filter(|at| **at >= MINUTE_MS).count();
        assert!(later.abs_diff(limit as usize) <= 1, "and the limit in each one after that: {later} of {limit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// However calls come, in no window more than that.
    #[test]
    fn in_no_window_more_than_twice_the_limit_less_one(
        limit in 1_u32..40,
        gaps in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..50, 0_u64..4_000, 0_u64..70_000], 1..300),
    ) {
        let calls = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) });
        prop_assert!(most_in_a_window(&passed(limit, calls)) < 2 * limit as usize);
    }
}
