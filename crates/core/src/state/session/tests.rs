use alloc::vec;

use super::*;
use crate::money::MicroUsd;
use crate::state::{
    Admission, Conduct, Counted, Demand, LoadedRows, NonceAnswer, NonceClaim, Risk, SpendClaim, SpendMode, SpendPeriod,
    admit,
};

const NOW: i64 = 1_800_000_000;
const ANOMALY: Anomaly = Anomaly { window_calls: 20, min_calls: 5, denied_percent: 30, write_percent: 80 };

const RAISED: Conduct = Conduct { is_raised: true, risk: Risk::Usual };

/// A store with one agent in it.
#[derive(Default)]
struct World {
    rows: LoadedRows,
    nonces: u32,
}

impl World {
    fn demand(&mut self, claim: SessionClaim, now: i64) -> Demand {
        self.nonces += 1;
        Demand {
            now: UnixMillis(u64::try_from(now).unwrap() * 1000),
            nonce: NonceClaim { key: "k".into(), nonce: self.nonces.to_string(), remember_until: now + 300 },
            subjects: Vec::new(),
            conduct: Conduct::default(),
            is_excused: false,
            session: Some(claim),
            risk: None,
            pass: None,
            approvals: Vec::new(),
            rates: Vec::new(),
            idempotency: None,
            spends: Vec::new(),
        }
    }

    /// Admits the request, and writes what follows from a decision.
    fn admit(&mut self, demand: &Demand, decision: DecisionKind) -> Admission {
        let admitted = admit(demand, &self.rows).unwrap();
        let counted = admitted.counted.after(decision);
        self.rows.extend(admitted.writes.into_iter().chain(counted).map(|write| (write.key, write.value)));
        admitted.admission
    }

    /// Judged as that of an agent that behaves unusually, which none is refused for.
    fn call(&mut self, claim: SessionClaim, now: i64, decision: DecisionKind) -> SessionAnswer {
        let demand = Demand { conduct: RAISED, ..self.demand(claim, now) };
        self.admit(&demand, decision).session.unwrap()
    }
}

fn claim(action: &str, writes: bool) -> SessionClaim {
    SessionClaim {
        key: "gate:agent:key".into(),
        ceiling: vec!["web:*".into(), "payments:create".into()],
        action: Some(action.into()),
        writes,
        idle_seconds: 600,
        max_seconds: 3_600,
        anomaly: Some(ANOMALY),
    }
}

fn search() -> SessionClaim {
    claim("web:search", false)
}

#[test]
fn a_session_goes_on_until_nothing_comes_or_its_time_is_up() {
    let mut world = World::default();
    let first = world.call(search(), NOW, DecisionKind::Allow);
    assert_eq!((first.calls, first.opened_at, first.window), (0, NOW, 0));
    assert!(first.id.starts_with("sess_") && first.id.len() == 27, "{}", first.id);
    let mut at = NOW;
    for calls in 1..=6 {
        at += 599;
        let next = world.call(search(), at, DecisionKind::Allow);
        assert_eq!((next.calls, next.id == first.id), (calls, true), "{at}");
    }
    let over = world.call(search(), NOW + 3_600, DecisionKind::Allow);
    assert_eq!((over.calls, over.id == first.id), (0, false), "its longest time is up");
    let mut world = World::default();
    let first = world.call(search(), NOW, DecisionKind::Allow);
    let second = world.call(search(), NOW + 600, DecisionKind::Allow);
    assert_eq!((second.calls, second.id == first.id), (0, false), "nothing came");
    let back = world.call(search(), NOW, DecisionKind::Allow);
    assert_eq!(back.id, second.id, "a clock set back ends nothing");
    let again = world.call(search(), NOW + 1_199, DecisionKind::Allow);
    assert_eq!(again.id, second.id, "and shortens nothing");
}

#[test]
fn what_a_session_began_with_bounds_it() {
    let mut world = World::default();
    assert!(world.call(search(), NOW, DecisionKind::Allow).is_within);
    let wider = |action: &str| SessionClaim { ceiling: vec!["*".into()], ..claim(action, true) };
    assert!(world.call(wider("payments:create"), NOW, DecisionKind::Allow).is_within);
    assert!(!world.call(wider("payments:refund"), NOW, DecisionKind::Deny).is_within, "the passport is wider now");
    assert!(world.call(wider("payments:refund"), NOW + 600, DecisionKind::Allow).is_within, "another session");
}

#[test]
fn outside_of_its_session_a_request_is_charged_nothing() {
    let mut world = World::default();
    world.call(search(), NOW, DecisionKind::Allow);
    let spend = |amount| SpendClaim {
        per: "agent".into(),
        account: "a".into(),
        period: SpendPeriod::Day,
        cap: MicroUsd(10),
        amount: MicroUsd(amount),
        mode: SpendMode::Charge,
        until: None,
    };
    let outside = Demand { spends: vec![spend(4)], ..world.demand(claim("payments:refund", true), NOW) };
    let admission = world.admit(&outside, DecisionKind::Deny);
    assert!(admission.spends[0].fits && !admission.session.unwrap().is_within);
    let within = Demand { spends: vec![spend(4)], ..world.demand(claim("payments:create", true), NOW) };
    let admission = world.admit(&within, DecisionKind::Allow);
    assert_eq!(admission.spends[0].spent_before, MicroUsd(0));
    let after = Demand { spends: vec![spend(4)], ..world.demand(claim("payments:create", true), NOW) };
    assert_eq!(world.admit(&after, DecisionKind::Allow).spends[0].spent_before, MicroUsd(4));
}

/// What the state says of the next request after these.
fn conduct_after(calls: &[(DecisionKind, bool)]) -> Option<Conduct> {
    let mut world = World::default();
    for (decision, writes) in calls {
        world.call(claim("web:search", *writes), NOW, *decision);
    }
    let demand = world.demand(search(), NOW);
    world.admit(&demand, DecisionKind::Allow).conduct
}

#[test]
fn five_calls_tell_how_an_agent_behaves() {
    use DecisionKind::{Allow, Deny, StepUp};
    let calls = |of: &[(DecisionKind, bool, usize)]| -> Vec<(DecisionKind, bool)> {
        of.iter().flat_map(|(decision, writes, times)| vec![(*decision, *writes); *times]).collect()
    };
    let is_raised = |of: &[(DecisionKind, bool, usize)]| conduct_after(&calls(of)).is_some();
    assert!(!is_raised(&[(Deny, true, 4)]), "four are too few");
    assert!(is_raised(&[(Deny, false, 2), (Allow, false, 3)]), "40 of a hundred denied");
    assert!(!is_raised(&[(Deny, false, 1), (Allow, false, 4)]), "20 of a hundred denied");
    assert!(is_raised(&[(Deny, false, 3), (Allow, false, 7)]), "30 of a hundred denied");
    assert!(!is_raised(&[(Deny, false, 2), (Allow, false, 5)]), "28.6 of a hundred denied");
    assert!(is_raised(&[(StepUp, true, 4), (Allow, false, 1)]), "80 of a hundred write");
    assert!(!is_raised(&[(Allow, true, 3), (Allow, false, 2)]), "60 of a hundred write");
    assert!(!is_raised(&[(StepUp, false, 5)]), "who is asked to wait is not denied");
    // The last twenty count.
    assert!(is_raised(&[(Deny, false, 6), (Allow, false, 14)]));
    assert!(!is_raised(&[(Deny, false, 6), (Allow, false, 15)]));
}

#[test]
fn a_request_judged_as_what_it_is_not_consumes_nothing() {
    let mut world = World::default();
    for _ in 0..5 {
        world.call(search(), NOW, DecisionKind::Deny);
    }
    let demand = world.demand(search(), NOW);
    let admitted = admit(&demand, &world.rows).unwrap();
    assert_eq!(admitted.admission.conduct, Some(RAISED));
    assert_eq!((admitted.writes.len(), admitted.charged.len(), admitted.counted), (0, 0, Counted::default()));
    assert_eq!(admitted.admission.session, None);
    let again = Demand { conduct: RAISED, ..demand.clone() };
    let admission = world.admit(&again, DecisionKind::StepUp);
    assert_eq!((admission.nonce, admission.conduct), (NonceAnswer::Fresh, None));
    let session = admission.session.unwrap();
    assert_eq!((session.calls, session.window, session.denied, session.writes), (5, 5, 5, 0));
    assert_eq!(world.admit(&demand, DecisionKind::Deny).nonce, NonceAnswer::Replayed, "a replay learns nothing of it");
}

#[test]
fn who_is_no_longer_unusual_may_be_judged_as_unusual() {
    let mut world = World::default();
    let worse = Conduct { risk: Risk::TooHigh, ..RAISED };
    let demand = Demand { conduct: worse, ..world.demand(search(), NOW) };
    assert_eq!(world.admit(&demand, DecisionKind::Allow).conduct, None);
}

#[test]
fn without_an_anomaly_nothing_is_unusual() {
    let mut world = World::default();
    for _ in 0..60 {
        let answer = world.call(SessionClaim { anomaly: None, ..claim("web:search", true) }, NOW, DecisionKind::Deny);
        assert!(answer.window <= MAX_WINDOW_CALLS);
    }
    let last = world.call(SessionClaim { anomaly: None, ..search() }, NOW, DecisionKind::Allow);
    assert_eq!((last.calls, last.window, last.denied, last.writes), (60, 50, 50, 50));
}

#[test]
fn a_row_that_is_no_session_refuses() {
    let mut world = World::default();
    world.call(search(), NOW, DecisionKind::Allow);
    let key = search().row_key();
    let row = world.rows.get(&key).unwrap().clone();
    for wrong in [b"".to_vec(), b"{}".to_vec(), row[..row.len() - 1].to_vec(), [row, b"}".to_vec()].concat()] {
        let rows = LoadedRows::from([(key.clone(), wrong)]);
        let demand = world.demand(search(), NOW);
        assert_eq!(admit(&demand, &rows), Err(RowCorrupt { key: key.clone() }));
    }
}
