use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::num::NonZeroU32;
use core::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use passgate_passport::proof::{PROOF_FUTURE_SKEW_SECONDS, PROOF_WINDOW_SECONDS};
use proptest::prelude::*;

use super::*;

/// 2026-02-24T14:30:00Z.
const NOW: i64 = 1_771_943_400;

fn millis(seconds: i64) -> UnixMillis {
    UnixMillis(u64::try_from(seconds).unwrap() * 1000)
}

fn demand_at(now: UnixMillis, nonce: &str) -> Demand {
    let remember_until = now.seconds() + PROOF_WINDOW_SECONDS;
    let nonce = NonceClaim { key: "key".to_owned(), nonce: nonce.to_owned(), remember_until };
    Demand {
        now,
        nonce,
        subjects: Vec::new(),
        conduct: Conduct::default(),
        is_excused: false,
        session: None,
        risk: None,
        pass: None,
        approvals: Vec::new(),
        rates: Vec::new(),
        idempotency: None,
        spends: Vec::new(),
    }
}

fn rate(window: RateWindow, limit: u32) -> RateClaim {
    RateClaim { per: "agent".to_owned(), counter: "counter".to_owned(), limit, window }
}

fn idempotency(key: usize, request: u8) -> IdempotencyClaim {
    let (key, request_sha256) = (format!("{key}"), format!("{request}"));
    IdempotencyClaim { key, request_sha256, seconds: 60, mode: SpendMode::Charge }
}

fn spend(period: SpendPeriod, cap: u64, amount: u64) -> SpendClaim {
    let (cap, amount) = (MicroUsd(cap), MicroUsd(amount));
    SpendClaim {
        per: PER_AGENT.to_owned(),
        account: "agent".to_owned(),
        period,
        cap,
        amount,
        mode: SpendMode::Charge,
        until: None,
    }
}

/// Long enough that no fence matters.
const LONG_SECONDS: i64 = 400 * 86_400;

/// A store that does nothing but keep what it is told.
#[derive(Debug, Default)]
struct Rows {
    values: LoadedRows,
    expiry: BTreeMap<String, i64>,
    nonces: u64,
}

impl Rows {
    fn put(&mut self, write: Write) {
        match write.expires_at {
            Some(expires_at) => self.expiry.insert(write.key.clone(), expires_at),
            None => self.expiry.remove(&write.key),
        };
        self.values.insert(write.key, write.value);
    }

    fn admit(&mut self, demand: &Demand) -> Admission {
        self.admit_leased(demand).0
    }

    /// The answer, and the lease that an allow would leave.
    fn admit_leased(&mut self, demand: &Demand) -> (Admission, Option<Lease>) {
        let admitted = admit(demand, &self.values).unwrap();
        admitted.writes.into_iter().for_each(|write| self.put(write));
        (admitted.admission, Lease::of(admitted.charged, demand.now))
    }

    fn release(&mut self, lease: &Lease) {
        lease.release(&self.values).unwrap().into_iter().flatten().for_each(|write| self.put(write));
    }

    /// Takes one token of `claim` at `now`, with a nonce never used before.
    fn take(&mut self, claim: &RateClaim, now: UnixMillis) -> RateAnswer {
        self.nonces += 1;
        let mut demand = demand_at(now, &format!("{}", self.nonces));
        demand.nonce.key = format!("key {}", self.nonces / 1000);
        demand.nonce.remember_until += LONG_SECONDS;
        demand.rates.push(claim.clone());
        self.admit(&demand).rates[0]
    }

    fn charge(&mut self, claim: SpendClaim, now: UnixMillis) -> SpendAnswer {
        self.nonces += 1;
        let mut demand = demand_at(now, &format!("{}", self.nonces));
        demand.nonce.remember_until += LONG_SECONDS;
        demand.spends.push(claim);
        self.admit(&demand).spends[0]
    }

    fn sweep(&mut self, now: i64, limit: usize) {
        let mut expired: Vec<_> =
            self.expiry.iter().filter(|(_, at)| **at < now).map(|(k, at)| (k.clone(), *at)).collect();
        expired.sort_by_key(|(_, at)| *at);
        expired.truncate(limit);
        let plan = sweep(expired.iter().map(|(key, at)| (key.as_str(), *at)), &self.values).unwrap();
        for key in &plan.delete {
            self.values.remove(key);
            self.expiry.remove(key);
        }
        plan.write.into_iter().for_each(|write| self.put(write));
    }
}

/// Everything that can be demanded at once.
fn full_demand() -> Demand {
    let mut demand = demand_at(millis(NOW), "nonce");
    demand.subjects = vec![
        Subject::Passport("pass_1".to_owned()),
        Subject::Agent { issuer: "issuer".to_owned(), agent_id: "agent".to_owned() },
        Subject::Key("key".to_owned()),
        Subject::Issuer("issuer".to_owned()),
    ];
    demand.rates = vec![rate(RateWindow::Minute, 5), rate(RateWindow::Hour, 5), rate(RateWindow::Day, 5)];
    demand.spends = vec![spend(SpendPeriod::Day, 100, 10), spend(SpendPeriod::Month, 100, 10)];
    demand
}

mod demands {
    use super::*;

    struct Spy<'r> {
        rows: &'r LoadedRows,
        read: RefCell<BTreeSet<String>>,
    }

    impl RowMap for Spy<'_> {
        fn row(&self, key: &str) -> Option<&[u8]> {
            self.read.borrow_mut().insert(key.to_owned());
            self.rows.row(key)
        }
    }

    #[test]
    fn admission_reads_exactly_the_rows_it_names() {
        let demand = full_demand();
        let spy = Spy { rows: &LoadedRows::new(), read: RefCell::default() };
        let admitted = admit(&demand, &spy).unwrap();
        let named: BTreeSet<_> = demand.row_keys().into_iter().collect();
        assert_eq!(*spy.read.borrow(), named);
        assert_eq!(named.len(), 16);
        assert!(admitted.writes.iter().all(|write| named.contains(&write.key)), "and writes no other");
    }

    #[test]
    fn a_row_of_another_form_is_an_error() {
        let demand = full_demand();
        for key in demand.row_keys() {
            // Any value of a nonce's row means that it was seen.
            let is_nonce = key.starts_with("n:");
            for bytes in [vec![1], vec![0; 7], vec![0; 9], vec![0; 13]] {
                let rows = LoadedRows::from([(key.clone(), bytes)]);
                match admit(&demand, &rows) {
                    Ok(admitted) => assert!(is_nonce && admitted.admission.nonce == NonceAnswer::Replayed, "{key}"),
                    Err(corrupt) => assert_eq!(corrupt, RowCorrupt { key: key.clone() }),
                }
            }
        }
        let rows = LoadedRows::from([(FENCE_KEY.to_owned(), vec![0; 7])]);
        assert!(sweep([("n:key:nonce", 1)], &rows).is_err());
    }

    #[test]
    fn the_first_refusal_ends_it() {
        let mut rows = Rows::default();
        let issuer = Subject::Issuer("issuer".to_owned());
        rows.put(revocation_write(&issuer, 7));
        let revoked = rows.admit(&full_demand());
        assert_eq!(revoked.revoked, Some((issuer, 7)));
        assert!(revoked.rates.is_empty() && revoked.spends.is_empty());
        let replayed = rows.admit(&full_demand());
        assert_eq!((replayed.nonce, replayed.revoked), (NonceAnswer::Replayed, None));

        let mut rows = Rows::default();
        let mut demand = full_demand();
        demand.rates[1].limit = 0;
        let limited = rows.admit(&demand);
        assert!(limited.spends.is_empty());
        let mut next = demand_at(millis(NOW), "next");
        next.rates = full_demand().rates;
        let next = rows.admit(&next);
        assert!(next.rates.iter().all(|rate| rate.conforms && rate.remaining == 4), "nothing was taken before");
    }

    #[test]
    fn the_first_revoked_subject_is_named() {
        let mut rows = Rows::default();
        let demand = full_demand();
        for (at, subject) in (1..).zip(demand.subjects.iter().rev()) {
            rows.put(revocation_write(subject, at));
            let demand = Demand { nonce: demand_at(demand.now, &format!("{at}")).nonce, ..demand.clone() };
            assert_eq!(rows.admit(&demand).revoked, Some((subject.clone(), at)));
        }
    }

    #[test]
    fn kinds_of_subjects_are_apart() {
        let agent = |id: String| Subject::Agent { issuer: id.clone(), agent_id: id };
        let same = |make: fn(String) -> Subject| revocation_write(&make("id".to_owned()), 0).key;
        let keys = BTreeSet::from([same(Subject::Passport), same(agent), same(Subject::Key), same(Subject::Issuer)]);
        assert_eq!(keys.len(), 4);
        assert_ne!(agent_key("a", "bc"), agent_key("ab", "c"));
    }
}

mod nonces {
    use super::*;

    #[test]
    fn live_nonces_of_a_key_have_a_quota() {
        let mut rows = Rows::default();
        let fill = |rows: &mut Rows, seconds, count: u32| {
            let answers =
                (0..count).map(|nonce| rows.admit(&demand_at(millis(NOW + seconds), &format!("{seconds} {nonce}"))));
            answers.filter(|answer| answer.nonce == NonceAnswer::Fresh).count()
        };
        let half = MAX_LIVE_NONCES_PER_KEY / 2;
        assert_eq!(fill(&mut rows, 0, half), half as usize);
        assert_eq!(fill(&mut rows, 120, half + 10), half as usize, "the quota is over all live nonces");
        assert_eq!(fill(&mut rows, 299, 1), 0);
        // The first half expires at 300 s and stops counting within a minute after.
        assert_eq!(fill(&mut rows, 361, half + 10), half as usize);
        let load = rows.values.get("l:key").unwrap();
        assert!(load.len() <= 12 * 8, "the row stays small: {} bytes", load.len());
    }

    #[test]
    fn a_new_store_refuses_proofs_made_before_it_started() {
        for (created, answer) in [(-300, NonceAnswer::Fenced), (0, NonceAnswer::Fenced), (31, NonceAnswer::Fresh)] {
            let mut rows = Rows::default();
            restart_fences(NOW).into_iter().for_each(|fence| rows.put(fence));
            assert_eq!(rows.admit(&demand_at(millis(NOW + created), "nonce")).nonce, answer, "created at {created}");
        }
    }

    #[test]
    fn sweeping_raises_the_fence_for_nonces_only() {
        let stored = LoadedRows::from([(FENCE_KEY.to_owned(), 50_i64.to_be_bytes().to_vec())]);
        let plan = sweep([("g:agent:minute:x", 90), ("n:key:a", 60), ("n:key:b", 40)], &stored).unwrap();
        assert_eq!(plan.delete.len(), 3);
        let fence = plan.write.unwrap();
        assert_eq!((fence.value, fence.expires_at), (60_i64.to_be_bytes().to_vec(), None));
        let lower = sweep([("s:agent:2026-02-24", 90), ("n:key:b", 40)], &stored).unwrap();
        assert_eq!(lower.write, None, "a fence is never lowered");
        assert_eq!(sweep([], &stored).unwrap(), Sweep::default());
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Somebody presents the proof with this number.
        Present(usize),
        Sweep {
            ahead: i64,
            limit: usize,
        },
        Clock(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0_usize..12).prop_map(Step::Present),
            2 => (0_i64..2, 0_usize..9).prop_map(|(ahead, limit)| Step::Sweep { ahead, limit }),
            2 => (-400_i64..400).prop_map(Step::Clock),
            1 => (-5_i64..5).prop_map(Step::Clock),
            1 => (-100_000_i64..100_000).prop_map(Step::Clock),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the clock and the sweeper do, a proof passes at most once.
        #[test]
        fn no_instant_accepts_a_proof_twice(
            created in prop::collection::vec(-700_i64..700, 12),
            steps in steps(),
        ) {
            let mut rows = Rows::default();
            let mut now = NOW;
            let mut accepted = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Clock(by) => now += by,
                    Step::Sweep { ahead, limit } => rows.sweep(now + ahead, limit),
                    Step::Present(number) => {
                        let created = NOW + created[number];
                        let is_in_window =
                            created <= now + PROOF_FUTURE_SKEW_SECONDS && now - created <= PROOF_WINDOW_SECONDS;
                        if is_in_window {
                            let mut demand = demand_at(millis(now), &format!("{number}"));
                            demand.nonce.remember_until = created + PROOF_WINDOW_SECONDS;
                            if rows.admit(&demand).nonce == NonceAnswer::Fresh {
                                prop_assert!(accepted.insert(number), "proof {number} passed twice");
                            }
                        }
                    }
                }
            }
        }

        /// With a steady clock the sweeper refuses nobody.
        #[test]
        fn a_steady_clock_meets_no_fence(gaps in prop::collection::vec((0_i64..200, -30_i64..=300, 0_usize..5), 1..60)) {
            let mut rows = Rows::default();
            let mut now = NOW;
            for (number, (gap, age, limit)) in gaps.into_iter().enumerate() {
                now += gap;
                rows.sweep(now, limit);
                let mut demand = demand_at(millis(now), &format!("{number}"));
                demand.nonce.remember_until = now - age + PROOF_WINDOW_SECONDS;
                prop_assert_eq!(rows.admit(&demand).nonce, NonceAnswer::Fresh);
            }
        }
    }
}

mod passes {
    use passgate_passport::action_pass::MAX_ACTION_PASS_TTL_SECONDS;
    use passgate_passport::passport::MAX_LEEWAY_SECONDS;

    use super::*;

    /// Passes as a gate accepts them at its most lenient: minted at `issued_at`, good for `ttl` seconds.
    #[derive(Debug, Clone, Copy)]
    struct Pass {
        issued_at: i64,
        ttl: i64,
    }

    impl Pass {
        fn is_accepted(self, now: i64) -> bool {
            let end = (self.ttl + MAX_LEEWAY_SECONDS).min(MAX_ACTION_PASS_TTL_SECONDS);
            (-MAX_LEEWAY_SECONDS..=end).contains(&(now - self.issued_at))
        }

        fn claim(self, number: usize) -> PassClaim {
            let remember_until = self.issued_at + self.ttl + MAX_LEEWAY_SECONDS;
            PassClaim { key: format!("gate:{number}"), remember_until, issued_at: self.issued_at }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Somebody presents the pass with this number, with a proof of so many seconds ago.
        Present(usize, i64),
        Sweep {
            ahead: i64,
            limit: usize,
        },
        Clock(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let age = -PROOF_FUTURE_SKEW_SECONDS..=PROOF_WINDOW_SECONDS;
        let step = prop_oneof![
            6 => (0_usize..3, age).prop_map(|(number, age)| Step::Present(number, age)),
            1 => (0_i64..2, 0_usize..9).prop_map(|(ahead, limit)| Step::Sweep { ahead, limit }),
            // By a clock that was ahead for a moment.
            1 => (0_i64..1000, 0_usize..9).prop_map(|(ahead, limit)| Step::Sweep { ahead, limit }),
            2 => (-200_i64..200).prop_map(Step::Clock),
            1 => (-100_000_i64..100_000).prop_map(Step::Clock),
        ];
        prop::collection::vec(step, 1..40)
    }

    fn passes() -> impl Strategy<Value = Vec<Pass>> {
        let pass = (-300_i64..300, 1..=MAX_ACTION_PASS_TTL_SECONDS);
        prop::collection::vec(pass.prop_map(|(at, ttl)| Pass { issued_at: NOW + at, ttl }), 3)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the clock and the sweeper do, and however new the proof, a pass is redeemed at most once.
        #[test]
        fn no_instant_redeems_a_pass_twice(passes in passes(), steps in steps()) {
            let mut rows = Rows::default();
            let (mut now, mut nonce) = (NOW, 0);
            let mut redeemed = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Clock(by) => now += by,
                    Step::Sweep { ahead, limit } => rows.sweep(now + ahead, limit),
                    Step::Present(number, age) if passes[number].is_accepted(now) => {
                        nonce += 1;
                        let mut demand = demand_at(millis(now), &format!("{nonce}"));
                        demand.nonce.remember_until -= age;
                        demand.pass = Some(passes[number].claim(number));
                        if rows.admit(&demand).pass == Some(PassAnswer::Redeemed) {
                            prop_assert!(redeemed.insert(number), "pass {number} was redeemed twice");
                        }
                    }
                    Step::Present(..) => {}
                }
            }
        }
    }
}

mod rates {
    use super::*;

    const WINDOWS: [RateWindow; 3] = [RateWindow::Minute, RateWindow::Hour, RateWindow::Day];

    #[test]
    fn tokens_come_back_one_by_one() {
        let claim = rate(RateWindow::Minute, 6);
        let mut rows = Rows::default();
        let start = millis(NOW);
        for left in (0..6).rev() {
            let answer = rows.take(&claim, start);
            assert_eq!(
                (answer.conforms, answer.remaining, answer.retry_after_seconds),
                (true, left, if left == 0 { 10 } else { 0 })
            );
        }
        let empty = rows.take(&claim, start);
        assert_eq!((empty.conforms, empty.remaining), (false, 0));
        assert_eq!((empty.retry_after_seconds, empty.reset_seconds), (10, 60));
        assert!(!rows.take(&claim, UnixMillis(start.0 + 9_999)).conforms, "a millisecond early");
        assert!(rows.take(&claim, UnixMillis(start.0 + 10_000)).conforms);
        assert!(!rows.take(&claim, UnixMillis(start.0 + 19_999)).conforms);
        let full_again = rows.take(&claim, UnixMillis(start.0 + 70_000));
        assert_eq!((full_again.conforms, full_again.remaining), (true, 5));
    }

    #[test]
    fn a_clock_set_back_gives_nothing() {
        let claim = rate(RateWindow::Hour, 3);
        let mut rows = Rows::default();
        assert!((0..3).all(|_| rows.take(&claim, millis(NOW)).conforms));
        for back in [1, 600, 3600] {
            assert!(!rows.take(&claim, millis(NOW - back)).conforms, "{back} s back");
        }
        rows.sweep(NOW + 86_400, 100);
        assert!(!rows.take(&claim, millis(NOW)).conforms, "a counter outlives a day");
        assert!(rows.take(&claim, millis(NOW + 1200)).conforms);
    }

    #[test]
    fn a_clock_step_that_is_corrected_locks_out_for_two_windows_at_most() {
        let claim = rate(RateWindow::Minute, 2);
        let mut rows = Rows::default();
        assert!((0..2).all(|_| rows.take(&claim, millis(NOW + 6 * 3600)).conforms));
        let refused = rows.take(&claim, millis(NOW));
        assert!(!refused.conforms && refused.retry_after_seconds <= 120, "{refused:?}");
        assert!(rows.take(&claim, millis(NOW + 90)).conforms);
    }

    #[test]
    fn a_lower_limit_holds_at_once() {
        let mut rows = Rows::default();
        assert!((0..50).all(|_| rows.take(&rate(RateWindow::Day, 100), millis(NOW)).conforms));
        assert!(!rows.take(&rate(RateWindow::Day, 1), millis(NOW)).conforms);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_limit_of_zero_gives_nothing(seconds in 0_i64..4_000_000_000, window in 0_usize..3) {
            let answer = Rows::default().take(&rate(WINDOWS[window], 0), millis(seconds));
            prop_assert_eq!((answer.conforms, answer.remaining), (false, 0));
        }

        /// At once at most the limit; in any span that and what came back meanwhile.
        #[test]
        fn no_span_gives_more_than_the_limit_and_the_refill(
            limit in 1_u32..50,
            window in 0_usize..3,
            gaps in prop::collection::vec(0_u64..4_000, 1..200),
        ) {
            let claim = rate(WINDOWS[window], limit);
            let mut rows = Rows::default();
            let mut now = millis(NOW);
            let mut taken = Vec::new();
            for gap in gaps {
                now.0 += gap;
                if rows.take(&claim, now).conforms {
                    taken.push(now.0);
                }
            }
            let interval_ms = claim.window.seconds() * 1000 / u64::from(limit);
            for (first, from) in taken.iter().enumerate() {
                for (count, to) in (1..).zip(&taken[first..]) {
                    prop_assert!(count <= u64::from(limit) + (to - from) / interval_ms + 1);
                    prop_assert!(to > from || count <= u64::from(limit));
                }
            }
        }

        /// The same numbers as an independent implementation of the algorithm, within one call.
        #[test]
        fn agrees_with_governor(
            limit in 1_u32..300,
            window in 0_usize..3,
            gaps in prop::collection::vec((0_u64..3_000, 0_u64..4), 1..400),
        ) {
            let claim = rate(WINDOWS[window], limit);
            let interval = Duration::from_secs(claim.window.seconds()) / limit;
            let quota = Quota::with_period(interval).unwrap().allow_burst(NonZeroU32::new(limit).unwrap());
            let clock = FakeRelativeClock::default();
            let reference = RateLimiter::direct_with_clock(quota, clock.clone());
            let (mut ours, mut theirs) = (0_u32, 0_u32);
            let mut rows = Rows::default();
            let mut now = millis(NOW);
            for (thousandths, times) in gaps {
                // Thousandths of the time one token takes, so that every window and limit gets full and empty.
                let gap = u64::try_from(interval.as_millis()).unwrap() * thousandths * times / 1000;
                now.0 += gap;
                clock.advance(Duration::from_millis(gap));
                ours += u32::from(rows.take(&claim, now).conforms);
                theirs += u32::from(reference.check().is_ok());
                prop_assert!(ours.abs_diff(theirs) <= 1, "{ours} here, {theirs} there");
            }
        }
    }
}

mod spends {
    use super::*;

    /// Charges 60 of 100 at each instant; whether it fits shows where the period ends.
    fn fits(period: SpendPeriod, instants_ms: &[u64]) -> Vec<bool> {
        let mut rows = Rows::default();
        instants_ms.iter().map(|at| rows.charge(spend(period, 100, 60), UnixMillis(*at)).fits).collect()
    }

    const LEAP_DAY_MS: u64 = 1_709_164_800_000;
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn days_end_at_midnight_utc() {
        let instants = [LEAP_DAY_MS - 1, LEAP_DAY_MS, LEAP_DAY_MS + DAY_MS - 1, LEAP_DAY_MS + DAY_MS];
        assert_eq!(fits(SpendPeriod::Day, &instants), [true, true, false, true]);
        assert_eq!(
            fits(SpendPeriod::Day, &[LEAP_DAY_MS, LEAP_DAY_MS - 1, LEAP_DAY_MS]),
            [true, true, false],
            "set back"
        );
    }

    #[test]
    fn months_end_with_their_last_day() {
        let instants = [LEAP_DAY_MS - 1, LEAP_DAY_MS, LEAP_DAY_MS + DAY_MS - 1, LEAP_DAY_MS + DAY_MS];
        assert_eq!(fits(SpendPeriod::Month, &instants), [true, false, false, true]);
        let year_end_ms = 1_735_689_600_000;
        assert_eq!(fits(SpendPeriod::Month, &[year_end_ms - 1, year_end_ms]), [true, true]);
    }

    #[test]
    fn budgets_outlive_their_period() {
        let mut rows = Rows::default();
        assert!(rows.charge(spend(SpendPeriod::Month, 100, 60), UnixMillis(LEAP_DAY_MS)).fits);
        rows.sweep(UnixMillis(LEAP_DAY_MS + 31 * DAY_MS).seconds(), 100);
        assert!(!rows.charge(spend(SpendPeriod::Month, 100, 60), UnixMillis(LEAP_DAY_MS + 1)).fits);
    }

    #[test]
    fn the_whole_budget_can_be_spent_and_no_more() {
        let mut rows = Rows::default();
        let now = millis(NOW);
        assert!(rows.charge(spend(SpendPeriod::Day, 100, 100), now).fits);
        assert!(rows.charge(spend(SpendPeriod::Day, 100, 0), now).fits);
        assert!(!rows.charge(spend(SpendPeriod::Day, 100, 1), now).fits);
        assert!(!rows.charge(spend(SpendPeriod::Day, u64::MAX, u64::MAX), now).fits, "the sum overflows");
        let answer = rows.charge(spend(SpendPeriod::Day, 50, 0), now);
        assert_eq!((answer.fits, answer.spent_before), (false, MicroUsd(100)), "a cap lowered below what is spent");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// Neither period is ever overspent, and refused or probed charges leave no trace.
        #[test]
        fn no_period_is_overspent(
            day_cap in 0_u64..1000,
            month_cap in 0_u64..3000,
            charges in prop::collection::vec((0_u64..400, 0_i64..40_000, any::<bool>()), 1..100),
        ) {
            let mut rows = Rows::default();
            let mut now = NOW;
            let (mut days, mut months) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
            for (number, (amount, gap, is_probe)) in charges.into_iter().enumerate() {
                now += gap;
                let at = millis(now);
                let mut demand = demand_at(at, &format!("{number}"));
                demand.spends = vec![spend(SpendPeriod::Day, day_cap, amount), spend(SpendPeriod::Month, month_cap, amount)];
                if is_probe {
                    demand.spends.iter_mut().for_each(|claim| claim.mode = SpendMode::Probe);
                }
                let answers = rows.admit(&demand).spends;
                let (day, month) = (days.entry(at.utc_day()).or_default(), months.entry(at.utc_month()).or_default());
                prop_assert_eq!(answers[0].spent_before, MicroUsd(*day));
                prop_assert_eq!(answers[1].spent_before, MicroUsd(*month));
                prop_assert_eq!(answers[0].fits, *day + amount <= day_cap);
                prop_assert_eq!(answers[1].fits, *month + amount <= month_cap);
                if !is_probe && answers.iter().all(|answer| answer.fits) {
                    *day += amount;
                    *month += amount;
                }
            }
            prop_assert!(days.values().all(|spent| *spent <= day_cap));
            prop_assert!(months.values().all(|spent| *spent <= month_cap));
        }

        /// Whatever is charged, committed and given back in whatever order, each period holds exactly what was charged
        /// to it and not given back, and never more than its cap.
        #[test]
        fn periods_hold_what_was_charged_and_not_given_back(
            day_cap in 0_u64..1000,
            month_cap in 0_u64..3000,
            steps in prop::collection::vec((0_u64..400, 0_i64..40_000, any::<prop::sample::Index>(), 0_u8..4), 1..150),
        ) {
            let mut rows = Rows::default();
            let mut now = NOW;
            let mut under_way: Vec<(Lease, u64, [String; 2])> = Vec::new();
            let mut spent = BTreeMap::<String, u64>::new();
            for (number, (amount, gap, which, what)) in steps.into_iter().enumerate() {
                now += gap;
                let at = millis(now);
                if what < 2 {
                    let mut demand = demand_at(at, &format!("{number}"));
                    demand.spends =
                        vec![spend(SpendPeriod::Day, day_cap, amount), spend(SpendPeriod::Month, month_cap, amount)];
                    let (admission, lease) = rows.admit_leased(&demand);
                    let fits = admission.spends.iter().all(|answer| answer.fits);
                    prop_assert_eq!(lease.is_some(), fits && amount > 0);
                    if let Some(lease) = lease {
                        let periods = [at.utc_day(), at.utc_month()];
                        periods.iter().for_each(|period| *spent.entry(period.clone()).or_default() += amount);
                        under_way.push((lease, amount, periods));
                    }
                } else if !under_way.is_empty() {
                    let (lease, amount, periods) = under_way.swap_remove(which.index(under_way.len()));
                    if what == 2 {
                        rows.release(&lease);
                        periods.iter().for_each(|period| *spent.entry(period.clone()).or_default() -= amount);
                    }
                }
                for (period, expected) in &spent {
                    let stored = rows.values.get(&format!("s:agent:{period}")).unwrap();
                    prop_assert_eq!(stored.as_slice(), expected.to_be_bytes(), "{}", period);
                    let cap = if period.len() > 7 { day_cap } else { month_cap };
                    prop_assert!(*expected <= cap);
                }
            }
        }

        /// Requests of three idempotency keys, some of which never reach the upstream: each is charged once, and given back
        /// only where no repetition went out for it.
        #[test]
        fn a_key_is_charged_once_for_each_request(
            steps in prop::collection::vec((0_usize..3, 0_u8..2, 0_i64..40, any::<prop::sample::Index>(), any::<bool>()), 1..150),
        ) {
            let (mut rows, mut now, mut spent) = (Rows::default(), NOW, 0);
            // By key: the request, when it began, and whether it was repeated.
            let mut keys: [Option<(u8, i64, bool)>; 3] = [None; 3];
            let mut under_way: Vec<(Lease, usize, i64)> = Vec::new();
            for (number, (key, request, gap, which, is_sent)) in steps.into_iter().enumerate() {
                now += gap;
                if is_sent {
                    let mut demand = demand_at(millis(now), &format!("{number}"));
                    demand.spends = vec![spend(SpendPeriod::Month, 1_000_000, 10)];
                    demand.idempotency = Some(idempotency(key, request));
                    let (admission, lease) = rows.admit_leased(&demand);
                    keys[key] = keys[key].filter(|(_, begun, _)| now < begun + 60);
                    let (answer, after) = match keys[key] {
                        None => (IdempotencyAnswer::First, (request, now, false)),
                        Some((first, begun, _)) if first == request => (IdempotencyAnswer::Repeated, (first, begun, true)),
                        Some(known) => (IdempotencyAnswer::Reused, known),
                    };
                    keys[key] = Some(after);
                    prop_assert_eq!(admission.idempotency, Some(answer));
                    prop_assert_eq!(lease.is_some(), answer == IdempotencyAnswer::First);
                    spent += if let Some(lease) = lease { under_way.push((lease, key, now)); 10 } else { 0 };
                } else if !under_way.is_empty() {
                    let (lease, key, begun) = under_way.swap_remove(which.index(under_way.len()));
                    let is_released = lease.release(&rows.values).unwrap().is_some();
                    rows.release(&lease);
                    // A row that stands for a later request cannot say whether this one was repeated.
                    prop_assert_eq!(is_released, keys[key].is_some_and(|(_, at, repeated)| at == begun && !repeated));
                    if is_released {
                        keys[key] = None;
                        spent -= 10;
                    }
                }
                let month = format!("s:agent:{}", millis(now).utc_month());
                let stored = rows.values.get(&month).map(|row| u64::from_be_bytes(row.as_slice().try_into().unwrap()));
                prop_assert_eq!(stored.unwrap_or(0), spent);
            }
        }
    }
}
