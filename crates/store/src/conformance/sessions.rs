//! Cases about sessions: what is counted follows from the decision, and is written with its record.

use futures_util::future::join_all;
use passgate_core::gate::Anomaly;
use passgate_core::state::{Admission, Conduct, Demand, Risk, SessionAnswer, SessionClaim, SpendPeriod, Subject};

use super::{Kit, with_spend};
use crate::{Ledger, State};

pub(super) async fn all<S: State + Ledger>(make: &impl AsyncFn() -> S) {
    a_session_counts_what_was_decided(&make().await).await;
    what_was_judged_wrongly_leaves_nothing(&make().await).await;
    what_is_revoked_is_in_no_session(&make().await).await;
    requests_at_once_are_all_counted(&make().await).await;
}

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

fn in_session(demand: Demand, conduct: Conduct) -> Demand {
    let anomaly = Anomaly { window_calls: 20, min_calls: 5, denied_percent: 30, write_percent: 80 };
    let session = SessionClaim {
        key: "gate:agent:key".to_owned(),
        ceiling: vec!["web:*".to_owned()],
        action: Some("web:search".to_owned()),
        writes: false,
        idle_seconds: 600,
        max_seconds: 3_600,
        anomaly: Some(anomaly),
    };
    Demand { conduct, session: Some(session), ..demand }
}

const RAISED: Conduct = Conduct { is_raised: true, risk: Risk::Usual };

async fn call(kit: &Kit, store: &impl State, demand: Demand) -> SessionAnswer {
    let admitted = kit.admit(store, in_session(demand, RAISED)).await.expect("the store admits");
    admitted.admission.session.expect("a session")
}

async fn a_session_counts_what_was_decided(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let first = call(&kit, store, kit.demand("1")).await;
    // Denied: it costs more than there is.
    call(&kit, store, with_spend(kit.demand("2"), SpendPeriod::Day, 1, 2)).await;
    let third = call(&kit, store, kit.demand("3")).await;
    assert_eq!((first.calls, third.calls, third.denied), (0, 2, 1));
    assert_eq!(first.id, third.id);
    let later = call(&kit.later(601), store, kit.later(601).demand("4")).await;
    assert_eq!(later.calls, 0, "another session");
}

async fn what_was_judged_wrongly_leaves_nothing(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for nonce in ["1", "2", "3", "4", "5"] {
        call(&kit, store, with_spend(kit.demand(nonce), SpendPeriod::Day, 1, 2)).await;
    }
    let demand = with_spend(kit.demand("6"), SpendPeriod::Month, 10, 4);
    let seal = Box::new(|admission: &Admission, _: &_| {
        assert_eq!(admission.conduct, Some(RAISED), "it has to be judged once more");
        None
    });
    let wrongly = in_session(demand.clone(), Conduct::default());
    let admitted = store.admit(kit.chain_uid(), wrongly, seal).await.expect("the store admits");
    assert!(admitted.entry.is_none() && admitted.admission.conduct == Some(RAISED));
    let admitted = kit.admit(store, in_session(demand, RAISED)).await.expect("the store admits");
    let spent = admitted.admission.spends.first().expect("an answer").spent_before;
    assert_eq!((admitted.admission.conduct, spent.0), (None, 0), "neither nonce nor money was taken");
    assert_eq!(admitted.admission.session.expect("a session").calls, 5);
}

async fn what_is_revoked_is_in_no_session(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let subject = Subject::Key("key".to_owned());
    kit.revoke(store, subject.clone(), kit.now()).await.expect("revoked");
    let demand = Demand { subjects: vec![subject], ..kit.demand("1") };
    let admitted = kit.admit(store, in_session(demand, RAISED)).await.expect("the store admits");
    assert_eq!(admitted.admission.session, None);
    assert_eq!(call(&kit, store, kit.demand("2")).await.calls, 0);
}

async fn requests_at_once_are_all_counted(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let nonces: Vec<String> = (0..50).map(|nonce| nonce.to_string()).collect();
    let mut counts: Vec<u64> = join_all(nonces.iter().map(|nonce| call(&kit, store, kit.demand(nonce))))
        .await
        .iter()
        .map(|a| a.calls)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (0..50).collect::<Vec<_>>());
}
