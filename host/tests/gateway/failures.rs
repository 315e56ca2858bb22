//! Whatever fails, nothing is forwarded; and what works again is used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::Entry;
use passgate_core::flood::MAX_REFUSAL_RECORDS_PER_MINUTE;
use passgate_core::state::{Admission, Demand, KeyHistory, KeyRotation, Standing, Subject};
use passgate_host::control::ClientError;
use passgate_store::failing::{FailingStore, Failure, Verb};
use passgate_store::{
    Admitted, ChangeRequest, Changed, Cursor, Durability, Filter, Ledger, MemoryStore, Page, SealDecision, SealOutcome,
    SealRecord, SealStart, Settlement, State, StoreError, StoredRecord,
};

use crate::origin::{Origin, ok};
use crate::support::{Call, Site, Wish, eventually, metric, patiently, usual};

#[tokio::test]
async fn a_failing_store_denies_until_it_works_again() {
    let origin = Origin::start(|_| ok("ok")).await;
    let wish = Wish { server: ", decision_timeout_ms: 200".to_owned(), ..Wish::before(&origin) };
    let mut site = Site::new(wish).await;
    let store = Arc::new(FailingStore::new(site.memory()));
    let gate = site.start_on(Arc::<FailingStore<MemoryStore>>::clone(&store)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    let control = site.control().await;
    control.health().await.unwrap();
    for failure in [Failure::NotWritten, Failure::Written, Failure::NeverAnswers, Failure::WrittenNeverAnswers] {
        store.fail_all(failure);
        let reply = site.send(&agent.get("/search")).await;
        reply.assert_refusal(503, "store_unavailable");
        assert_eq!(reply.field("retry-after"), "5");
        assert!(!reply.body.contains("on purpose"), "{reply:?}");
        let bare = site.send(&Call::bare(&site.address.to_string(), "GET", "/search")).await;
        bare.assert_refusal(503, "store_unavailable");
        assert!(matches!(control.health().await, Err(ClientError::Refused { status: 503, .. })), "{failure:?}");
        assert_eq!(metric(&gate, "passgate_store_up"), "0");
        assert_eq!(origin.seen().len(), 0, "{failure:?}");
    }
    store.heal();
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    control.health().await.unwrap();
    assert_eq!(origin.seen().len(), 1);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_failing_until_it_takes_one() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let store = Arc::new(FailingStore::new(site.memory()));
    let gate = site.start_on(Arc::<FailingStore<MemoryStore>>::clone(&store)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    let control = site.control().await;
    // A full disk: what is there can be read, and a sweep of nothing succeeds.
    for verb in [Verb::Admit, Verb::Append, Verb::Revoke] {
        store.fail(verb, Failure::NotWritten);
    }
    for _ in 0..3 {
        site.send(&agent.get("/search")).await.assert_refusal(503, "store_unavailable");
    }
    let asked = store.calls(Verb::Append);
    eventually(async || (store.calls(Verb::Append) >= asked + 2).then_some(())).await;
    assert!(matches!(control.health().await, Err(ClientError::Refused { status: 503, .. })));
    assert_eq!(metric(&gate, "passgate_store_up"), "0");
    store.heal();
    eventually(async || control.health().await.ok()).await;
    let counted = site.attestations().await.pop().unwrap();
    assert_eq!((&counted["kind"], &counted["seq"]), (&"refusals_folded".into(), &1.into()));
    assert_eq!(counted["folded"]["by_reason"]["store_unavailable"], 3);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_counted() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let store = Arc::new(FailingStore::new(site.memory()));
    let gate = site.start_on(Arc::<FailingStore<MemoryStore>>::clone(&store)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    store.fail(Verb::Settle, Failure::NotWritten);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    eventually(async || (metric(&gate, "passgate_ledger_append_failures_total") == "1").then_some(())).await;
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn an_allow_that_comes_too_late_is_settled_as_not_forwarded() {
    let origin = Origin::start(|_| ok("ok")).await;
    let wish = Wish {
        server: ", decision_timeout_ms: 200".to_owned(),
        guardrails: "spend_limits: {daily_usd: 10}".to_owned(),
        ..Wish::before(&origin)
    };
    let mut site = Site::new(wish).await;
    let store = Arc::new(FailingStore::new(site.memory()));
    let gate = site.start_on(Arc::<FailingStore<MemoryStore>>::clone(&store)).await;
    let agent = site.agent("agent-7", &["payments:create"]);
    let pay = || agent.post("/pay", r#"{"amount_usd": 8}"#);
    store.fail(Verb::Admit, Failure::AnswersLate);
    site.send(&pay()).await.assert_refusal(503, "store_unavailable");
    assert_eq!(metric(&gate, "passgate_requests_in_flight"), "1", "its place is held until it is settled");
    assert!(site.attestations().await.iter().all(|record| record["kind"] != "outcome"));
    store.heal();
    let all = site.attestations().await;
    let late = all.iter().find(|record| record["kind"] == "decision").unwrap();
    assert_eq!(late["decision"], "allow");
    let outcome = site.outcome_of(late["attestation_id"].as_str().unwrap()).await;
    assert_eq!((&outcome["result"], &outcome["budget"]), (&"not_forwarded".into(), &"released".into()));
    assert_eq!(origin.seen().len(), 0);
    eventually(async || (metric(&gate, "passgate_requests_in_flight") == "0").then_some(())).await;
    let paid = site.send(&pay()).await;
    assert_eq!(paid.status, 200, "the budget is whole again: {paid:?}");
    let outcome = site.outcome_of(paid.field("passgate-attestation")).await;
    assert_eq!((&outcome["result"], &outcome["budget"]), (&"completed".into(), &"committed".into()));
    site.send(&pay()).await.assert_refusal(403, "spend_daily_exceeded");
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn without_randomness_nothing_is_decided() {
    let (site, gate, origin, agent) = usual().await;
    site.env.random_fails.store(true, Ordering::SeqCst);
    site.send(&agent.get("/search")).await.assert_refusal(503, "internal_error");
    let bare = site.send(&Call::bare(&site.address.to_string(), "GET", "//")).await;
    bare.assert_refusal(503, "internal_error");
    site.env.random_fails.store(false, Ordering::SeqCst);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    assert_eq!(origin.seen().len(), 1);
    patiently(gate.shutdown()).await;
}

/// A store whose admissions panic while `armed`.
#[derive(Debug)]
struct Explosive {
    inner: MemoryStore,
    armed: AtomicBool,
}

#[async_trait::async_trait]
impl State for Explosive {
    async fn start_chain(&self, uid: &str, seal: SealStart) -> Result<Entry, StoreError> {
        self.inner.start_chain(uid, seal).await
    }

    async fn admit(&self, uid: &str, demand: Demand, seal: SealDecision) -> Result<Admitted, StoreError> {
        assert!(!self.armed.load(Ordering::SeqCst), "a panic on purpose");
        self.inner.admit(uid, demand, seal).await
    }

    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError> {
        self.inner.look(demand).await
    }

    async fn append(&self, uid: &str, seal: SealRecord) -> Result<Entry, StoreError> {
        self.inner.append(uid, seal).await
    }

    async fn settle(&self, uid: &str, id: &str, how: Settlement, seal: SealOutcome) -> Result<Entry, StoreError> {
        self.inner.settle(uid, id, how, seal).await
    }

    async fn revoke(&self, uid: &str, subject: Subject, at: i64, seal: SealRecord) -> Result<Entry, StoreError> {
        self.inner.revoke(uid, subject, at, seal).await
    }

    async fn suspend(&self, uid: &str, subject: Subject, at: i64, seal: SealRecord) -> Result<Changed, StoreError> {
        self.inner.suspend(uid, subject, at, seal).await
    }

    async fn reinstate(&self, uid: &str, subject: Subject, seal: SealRecord) -> Result<Changed, StoreError> {
        self.inner.reinstate(uid, subject, seal).await
    }

    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError> {
        self.inner.standing(subject).await
    }

    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        self.inner.set_plugin_key(chain_uid, plugin, key, value, seal).await
    }

    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.plugin_key(plugin, key).await
    }

    async fn rotate_key(&self, chain_uid: &str, rotation: KeyRotation, seal: SealRecord) -> Result<Entry, StoreError> {
        self.inner.rotate_key(chain_uid, rotation, seal).await
    }

    async fn key_history(&self) -> Result<KeyHistory, StoreError> {
        self.inner.key_history().await
    }

    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError> {
        self.inner.ask(request).await
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError> {
        self.inner.approval_request(id).await
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError> {
        self.inner.approval_requests(after, limit).await
    }

    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        self.inner.change_request(chain_uid, id, change).await
    }

    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.inner.sweep(now, limit).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

#[async_trait::async_trait]
impl Ledger for Explosive {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.inner.records(filter, cursor, limit).await
    }

    async fn record(&self, id: &str) -> Result<Option<StoredRecord>, StoreError> {
        self.inner.record(id).await
    }
}

#[tokio::test]
async fn a_panic_costs_the_request_it_happens_in() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let store = Arc::new(Explosive { inner: site.memory(), armed: AtomicBool::new(true) });
    let gate = site.start_on(Arc::<Explosive>::clone(&store)).await;
    let agent = site.agent("agent-7", &["web:*"]);
    for count in ["1", "2"] {
        site.send(&agent.get("/search")).await.assert_refusal(503, "internal_error");
        assert_eq!(metric(&gate, "passgate_panics_total"), count);
    }
    store.armed.store(false, Ordering::SeqCst);
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    assert_eq!(origin.seen().len(), 1);
    eventually(async || (metric(&gate, "passgate_requests_in_flight") == "0").then_some(())).await;
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_flood_without_passports_is_counted_and_leaves_room() {
    let (site, gate, _origin, agent) = usual().await;
    let bare = Call::bare(&site.address.to_string(), "GET", "/search");
    for _ in 0..MAX_REFUSAL_RECORDS_PER_MINUTE + 50 {
        site.send(&bare).await.assert_refusal(401, "credential_missing");
    }
    let folded = site.send(&bare).await;
    assert!(!folded.headers.contains_key("passgate-attestation"));
    assert_eq!(metric(&gate, "passgate_refusals_folded_total"), "51");
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn what_was_counted_is_recorded_at_the_latest_when_the_gate_stops() {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let store = Arc::new(site.memory());
    let gate = site.start_on(Arc::<MemoryStore>::clone(&store)).await;
    let bare = Call::bare(&site.address.to_string(), "GET", "/search");
    for _ in 0..MAX_REFUSAL_RECORDS_PER_MINUTE + 3 {
        site.send(&bare).await.assert_refusal(401, "credential_missing");
    }
    patiently(gate.shutdown()).await;
    let all = store.records(&Filter::default(), None, 1000).await.unwrap().records;
    assert_eq!(all.len(), 1 + usize::try_from(MAX_REFUSAL_RECORDS_PER_MINUTE).unwrap() + 1);
    let last = passgate_api::view::attestation(&all.last().unwrap().jws).unwrap();
    assert_eq!(last["kind"], "refusals_folded");
    assert_eq!(last["folded"]["by_reason"]["passport_missing"], 3);
}
