//! What every store has to do, as a suite. A backend passes when [`all`] returns.
//!
//! Each case gets an empty store from the factory and stops at the first surprise by panicking. The cases name no
//! executor: concurrency is many futures polled together. A backend with threads adds tests with threads.
//!
//! [`Kit`] makes demands and signed records, for tests of backends and of what stands above them.
#![expect(clippy::expect_used, reason = "a test suite stops at the first surprise")]

mod admission;
mod approvals;
mod idempotency;
mod leases;
mod ledger;
mod passes;
mod plugin_keys;
mod rotation;
mod sessions;
mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use passgate_core::approval::{Answered, ApprovalRequest, RequestState};
use passgate_core::attest::{
    AgentRecord, ApprovalAnswer, ApprovalAnswerRecord, Body, BudgetOutcome, DecisionKind, DecisionRecord, Entry,
    FoldedRecord, GateRecord, KeyRotationRecord, Link, OutcomeRecord, OutcomeResult, PluginKeyRecord, PolicyRecord,
    ReconciliationRecord, RequestRecord, RevocationCheck, RotationScope, Stamp, Writer, sha256_label,
};
use passgate_core::gate::EvaluatorRef;
use passgate_core::ledger::{Break, HeadBuilder, Report, Verifier, head_line, record_line};
use passgate_core::money::MicroUsd;
use passgate_core::passport::id::{APPROVAL_REQUEST_PREFIX, new_id};
use passgate_core::passport::key::SecretKey;
use passgate_core::state::{
    Admission, Conduct, Demand, KeyRotation, NonceAnswer, NonceClaim, PassAnswer, PassClaim, RateClaim, RateWindow,
    SpendClaim, SpendMode, SpendPeriod, Subject, UseClaim,
};
use passgate_core::time::UnixMillis;

use crate::{
    Admitted, Changed, Cursor, Filter, Ledger, SealDecision, SealOutcome, SealRecord, Settlement, State, StoreError,
    StoredRecord,
};

/// When the stores under test start: a store that begins with a replay fence begins with the one of this Unix second.
pub const START_SECONDS: i64 = 1_771_900_000;
/// The seed of the key that kits begin with.
const FIRST_KEY: [u8; 32] = [7; 32];
/// When the cases take place, in Unix seconds: 2026-02-24T14:30:00Z, long after [`START_SECONDS`].
pub const NOW_SECONDS: i64 = 1_771_943_400;

/// Runs every case; those with a seal that panics only where a panic ends no more than its task. `make` returns a new, empty store at each call; a volatile one as if started at [`START_SECONDS`].
pub async fn all<S: State + Ledger>(make: impl AsyncFn() -> S) {
    admission::nonces_are_consumed_once(&make().await).await;
    admission::one_of_a_thousand_identical_demands_is_fresh(&make().await).await;
    admission::keys_have_their_own_nonces(&make().await).await;
    admission::a_replay_consumes_nothing(&make().await).await;
    admission::rates_are_taken_all_or_none(&make().await).await;
    admission::one_of_a_hundred_gets_the_last_of_a_budget(&make().await).await;
    admission::a_refused_spend_charges_nothing(&make().await).await;
    admission::a_probe_charges_nothing(&make().await).await;
    admission::spends_start_anew_with_the_period(&make().await).await;
    admission::revocations_bite_at_once(&make().await).await;
    admission::the_first_revocation_counts(&make().await).await;
    admission::nonces_have_a_quota_for_each_key(&make().await).await;
    admission::sweeping_deletes_expired_rows_only(&make().await).await;
    admission::admissions_sweep_a_little(&make().await).await;
    admission::a_swept_nonce_is_not_accepted_again(&make().await).await;
    passes::a_pass_is_redeemed_once(&make().await).await;
    passes::one_of_a_hundred_redemptions_counts(&make().await).await;
    passes::what_is_refused_leaves_the_pass(&make().await).await;
    passes::a_redeemed_pass_takes_no_tokens(&make().await).await;
    passes::a_pass_is_remembered_to_its_end(&make().await).await;
    passes::a_forgotten_pass_is_not_accepted_again(&make().await).await;
    approvals::who_asks_for_the_same_gets_the_same(&make().await).await;
    approvals::a_bounded_number_waits_for_each_agent(&make().await).await;
    approvals::requests_are_listed_in_the_order_of_time(&make().await).await;
    approvals::an_answer_is_recorded_and_ends_the_waiting(&make().await).await;
    approvals::one_of_a_hundred_answers_counts(&make().await).await;
    approvals::without_its_record_nothing_is_answered(&make().await).await;
    approvals::forgotten_requests_are_asked_anew(&make().await).await;
    approvals::an_approval_is_used_as_often_as_it_says(&make().await).await;
    approvals::of_a_hundred_uses_at_once_as_many_count_as_it_says(&make().await).await;
    approvals::what_is_refused_uses_no_approval(&make().await).await;
    approvals::a_new_store_takes_no_approval_of_before(&make().await).await;
    approvals::a_withdrawn_approval_is_not_used(&make().await).await;
    leases::all(&make).await;
    idempotency::all(&make).await;
    ledger::chains_are_linear(&make().await).await;
    ledger::chains_start_once(&make().await).await;
    ledger::the_next_chain_names_the_one_before(&make().await).await;
    #[cfg(panic = "unwind")]
    ledger::a_failing_seal_changes_nothing(&make().await).await;
    ledger::a_record_for_another_place_is_refused(&make().await).await;
    ledger::filters_select(&make().await).await;
    ledger::pages_cover_everything_once(&make().await).await;
    ledger::records_are_found_by_id(&make().await).await;
    sessions::all(&make).await;
    standing::suspensions_bite_at_once_and_end_at_once(&make().await).await;
    standing::what_changes_nothing_is_recorded_and_said(&make().await).await;
    standing::a_revocation_is_not_lifted(&make().await).await;
    standing::without_its_record_nothing_is_suspended_or_reinstated(&make().await).await;
    standing::a_suspension_is_not_swept(&make().await).await;
    plugin_keys::plugins_read_what_was_written(&make().await).await;
    plugin_keys::every_change_is_recorded(&make().await).await;
    plugin_keys::what_is_outside_the_limits_is_refused(&make().await).await;
    plugin_keys::without_its_record_nothing_changes(&make().await).await;
    rotation::a_rotation_is_recorded_and_noted_at_once(&make().await).await;
    rotation::a_rotation_happens_once_and_never_back(&make().await).await;
    rotation::without_its_record_no_key_is_handed_over(&make().await).await;
}

/// Makes the demands and records of one gate's chain.
#[derive(Debug, Clone)]
pub struct Kit {
    writer: Arc<Writer>,
    gate_id: String,
    agent_id: String,
    now: UnixMillis,
}

impl Kit {
    /// A kit with a new chain for the gate `gate_id`, the agent `agent` and the time [`NOW_SECONDS`].
    pub fn new(gate_id: &str) -> Self {
        let now = millis(NOW_SECONDS);
        let gate = GateRecord { gate_id: gate_id.to_owned(), level: "L2".to_owned() };
        let writer = Arc::new(Writer::new(SecretKey::from_seed(FIRST_KEY), stamp(now).chain_uid(), gate));
        Self { writer, gate_id: gate_id.to_owned(), agent_id: "agent".to_owned(), now }
    }

    /// The same chain with records of another agent.
    #[must_use]
    pub fn with_agent(&self, agent_id: &str) -> Self {
        Self { agent_id: agent_id.to_owned(), ..self.clone() }
    }

    /// The same chain `seconds` later, or earlier.
    #[must_use]
    pub fn later(&self, seconds: i64) -> Self {
        Self { now: millis(self.now.seconds() + seconds), ..self.clone() }
    }

    /// The kit's time in Unix seconds.
    pub fn now(&self) -> i64 {
        self.now.seconds()
    }

    /// The chain.
    pub fn chain_uid(&self) -> &str {
        self.writer.chain_uid()
    }

    /// A demand of nothing but `nonce`, made now with the key `key`.
    pub fn demand(&self, nonce: &str) -> Demand {
        let nonce =
            NonceClaim { key: "key".to_owned(), nonce: nonce.to_owned(), remember_until: self.now.seconds() + 300 };
        Demand {
            now: self.now,
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

    /// Starts the kit's chain.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn start(&self, store: &impl State) -> Result<Entry, StoreError> {
        let (writer, now) = (Arc::clone(&self.writer), self.now);
        let seal = Box::new(move |previous: Option<_>, link: &_| writer.seal(link, &stamp(now), Body::Start(previous)));
        store.start_chain(self.chain_uid(), seal).await
    }

    /// Admits `demand` and records the decision that follows from the answer.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn admit(&self, store: &impl State, demand: Demand) -> Result<Admitted, StoreError> {
        store.admit(self.chain_uid(), demand, self.seal_decision()).await
    }

    /// Appends a record that consumes nothing.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn append(&self, store: &impl State) -> Result<Entry, StoreError> {
        store.append(self.chain_uid(), self.seal_record(Body::Folded(FoldedRecord::default()))).await
    }

    /// Settles the decision `decision_id`, giving back what it charged when `result` says that the upstream saw nothing.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn settle(
        &self,
        store: &impl State,
        decision_id: &str,
        result: OutcomeResult,
    ) -> Result<Entry, StoreError> {
        let (writer, now, id) = (Arc::clone(&self.writer), self.now, decision_id.to_owned());
        let seal: SealOutcome = Box::new(move |budget, link| {
            let outcome = OutcomeRecord {
                budget,
                duration_ms: 0,
                request_bytes: 0,
                response: None,
                response_bytes: 0,
                response_sha256: None,
                result,
                status: None,
            };
            writer.seal(link, &stamp(now), Body::Outcome { decision_id: id.clone(), outcome })
        });
        store.settle(self.chain_uid(), decision_id, Settlement::Outcome(result.budget()), seal).await
    }

    /// Says what became of a decision whose outcome is not known.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn reconcile(
        &self,
        store: &impl State,
        decision_id: &str,
        budget: BudgetOutcome,
    ) -> Result<Entry, StoreError> {
        let how = Settlement::Reconciliation { budget, now: self.now() };
        let decision = decision_id.to_owned();
        let reconciliation = ReconciliationRecord { budget, note: None };
        let mut seal = self.seal_record(Body::Reconciliation { decision_id: decision, reconciliation });
        store.settle(self.chain_uid(), decision_id, how, Box::new(move |_, link: &Link| seal(link))).await
    }

    /// A request for approval of an agent, which shows `what`.
    #[must_use]
    pub fn asks(&self, what: &str) -> ApprovalRequest {
        ApprovalRequest {
            agent: self.agent_id.clone(),
            approvals: Vec::new(),
            asked: 1,
            asked_at: self.now(),
            expires_at: self.now() + 3_600,
            id: new_id(APPROVAL_REQUEST_PREFIX, self.now.0, stamp(self.now).random),
            note: None,
            shown: format!("{{\"v\":\"{what}\"}}"),
            state: RequestState::Pending,
        }
    }

    /// Denies the request for approval `id`.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn deny(&self, store: &impl State, id: &str) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        let (writer, now) = (Arc::clone(&self.writer), self.now);
        let change = move |request: ApprovalRequest, link: &Link| {
            let answered = request.denied(None, now.seconds())?;
            let answer = ApprovalAnswerRecord {
                answer: ApprovalAnswer::Deny,
                approval: None,
                note: None,
                request_id: answered.request.id.clone(),
                shown_sha256: sha256_label(&answered.request.shown_sha256()),
            };
            let entry = writer.seal(link, &stamp(now), Body::Approval(answer));
            Ok((answered, Some(entry)))
        };
        store.change_request(self.chain_uid(), id, Box::new(change)).await
    }

    /// Notes that the approvals of the request `id` are used up, which is not recorded by itself.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn use_up(&self, store: &impl State, id: &str) -> Result<ApprovalRequest, StoreError> {
        let change = |request: ApprovalRequest, _: &Link| {
            Ok((Answered { request: request.ended(RequestState::Used), approval: None }, None))
        };
        store.change_request(self.chain_uid(), id, Box::new(change)).await.map(|(request, _)| request)
    }

    /// Revokes `subject`.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn revoke(&self, store: &impl State, subject: Subject, at: i64) -> Result<Entry, StoreError> {
        let seal = self.seal_record(Body::Revocation(subject.clone()));
        store.revoke(self.chain_uid(), subject, at, seal).await
    }

    /// Suspends `subject`.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn suspend(&self, store: &impl State, subject: Subject, at: i64) -> Result<Changed, StoreError> {
        let seal = self.seal_record(Body::Suspension(subject.clone()));
        store.suspend(self.chain_uid(), subject, at, seal).await
    }

    /// Reinstates `subject`.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn reinstate(&self, store: &impl State, subject: Subject) -> Result<Changed, StoreError> {
        let seal = self.seal_record(Body::Reinstatement(subject.clone()));
        store.reinstate(self.chain_uid(), subject, seal).await
    }

    /// Gives `key` of `plugin` a value, or deletes it.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn set_plugin_key(
        &self,
        store: &impl State,
        plugin: &str,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<Entry, StoreError> {
        use sha2::Digest as _;
        let value_sha256 = value.map(|value| sha256_label(&sha2::Sha256::digest(value).into()));
        let record = PluginKeyRecord { key: key.to_owned(), plugin: plugin.to_owned(), value_sha256 };
        let seal = self.seal_record(Body::PluginKey(record));
        store.set_plugin_key(self.chain_uid(), plugin, key, value.map(<[u8]>::to_vec), seal).await
    }

    /// Hands over to the key with this seed, with a record of it.
    ///
    /// # Errors
    ///
    /// Whatever the store says.
    pub async fn rotate(&self, store: &impl State, seed: u8) -> Result<Entry, StoreError> {
        let new = SecretKey::from_seed([seed; 32]).public().clone();
        let seal = self.seal_record(Body::KeyRotation(KeyRotationRecord::new(&new, RotationScope::Ledger)));
        let rotation = KeyRotation { old: self.writer.public_key().clone(), new, at: self.now() };
        store.rotate_key(self.chain_uid(), rotation, seal).await
    }

    /// The same chain, signed with the key with this seed.
    #[must_use]
    pub fn with_key(&self, seed: u8) -> Self {
        let writer = Arc::new(self.writer.with_key(SecretKey::from_seed([seed; 32])));
        Self { writer, ..self.clone() }
    }

    /// Seals a record of `body`.
    pub fn seal_record(&self, body: Body) -> SealRecord {
        let (writer, now) = (Arc::clone(&self.writer), self.now);
        Box::new(move |link| writer.seal(link, &stamp(now), body.clone()))
    }

    /// Seals a decision: allow when everything demanded was given, else deny.
    pub fn seal_decision(&self) -> SealDecision {
        let kit = self.clone();
        Box::new(move |admission, link| {
            let body = Body::Decision(Box::new(kit.decision(admission)));
            Some(kit.writer.seal(link, &stamp(kit.now), body))
        })
    }

    fn decision(&self, admission: &Admission) -> DecisionRecord {
        let is_allowed = admission.nonce == NonceAnswer::Fresh
            && admission.revoked.is_none()
            && admission.suspended.is_none()
            && matches!(admission.pass, None | Some(PassAnswer::Redeemed))
            && admission.rates.iter().all(|rate| rate.conforms)
            && admission.spends.iter().all(|spend| spend.fits);
        let agent = AgentRecord {
            agent_id: self.agent_id.clone(),
            delegated_by: Vec::new(),
            issuer: "https://issuer.example".to_owned(),
            key_thumbprint: "thumbprint".to_owned(),
            labels: Vec::new(),
            passport_id: "pass_1".to_owned(),
            passport_sha256: "sha256:00".to_owned(),
            purpose: None,
            task: None,
            trust_tier: "L2".to_owned(),
        };
        DecisionRecord {
            agent: Some(agent),
            decision: if is_allowed { DecisionKind::Allow } else { DecisionKind::Deny },
            reason: None,
            evaluator: EvaluatorRef {
                digest: "sha256:00".to_owned(),
                engine: "native".to_owned(),
                version: "0".to_owned(),
            },
            guardrails: Vec::new(),
            not_checked: Vec::new(),
            plugins: Vec::new(),
            policy: PolicyRecord {
                age_seconds: None,
                loosened: Vec::new(),
                sha256: "sha256:00".to_owned(),
                version: 1,
            },
            request: RequestRecord::default(),
            revocation: RevocationCheck::Admission,
            status_list: None,
        }
    }

    /// Exports everything in `store` and verifies the export with the key that every kit begins with.
    ///
    /// # Errors
    ///
    /// The first break in the ledger.
    ///
    /// # Panics
    ///
    /// When the store cannot be read.
    pub async fn verify_ledger(&self, store: &impl Ledger) -> Result<Report, Break> {
        let keys = [SecretKey::from_seed(FIRST_KEY).public().clone()];
        let mut verifier = Verifier::new(&keys);
        let mut head = HeadBuilder::default();
        for record in read_all(store, &Filter::default(), 500).await {
            verifier.line(record_line(&record.jws).trim_end().as_bytes())?;
            head.push(&record.index.chain_uid, &record.jws, &sha256(&record.jws));
        }
        let head = head.finish(self.gate_id.clone(), false, self.now.rfc3339());
        let head = self.writer.seal_head(&head.to_payload());
        verifier.line(head_line(&head).trim_end().as_bytes())?;
        verifier.finish()
    }
}

/// Every record that matches, read in pages of `limit`.
///
/// # Panics
///
/// When the store cannot be read, or its pages do not end.
pub async fn read_all(store: &impl Ledger, filter: &Filter, limit: usize) -> Vec<StoredRecord> {
    let mut records = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = store.records(filter, cursor, limit).await.expect("records are readable");
        assert!(page.records.len() <= limit, "a page has at most as many records as asked for");
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        assert!(cursor.is_none_or(|cursor| next > cursor), "a cursor moves forward");
        cursor = Some(next);
    }
}

/// A demand of `nonce` with one call from a counter that allows `limit` calls in `window`.
fn with_rate(mut demand: Demand, window: RateWindow, limit: u32) -> Demand {
    demand.rates.push(RateClaim { per: "agent".to_owned(), counter: "agent".to_owned(), limit, window });
    demand
}

/// A demand with `amount` of a budget of `cap`, in micro-USD.
fn with_spend(mut demand: Demand, period: SpendPeriod, cap: u64, amount: u64) -> Demand {
    let (cap, amount, mode) = (MicroUsd(cap), MicroUsd(amount), SpendMode::Charge);
    demand.spends.push(SpendClaim {
        per: "agent".to_owned(),
        account: "agent".to_owned(),
        period,
        cap,
        amount,
        mode,
        until: None,
    });
    demand
}

/// A demand that redeems the pass of this name, minted two minutes ago.
fn with_pass(mut demand: Demand, name: &str) -> Demand {
    let issued_at = demand.now.seconds() - 120;
    demand.pass = Some(PassClaim { key: format!("gate:{name}"), remember_until: issued_at + 600, issued_at });
    demand
}

fn with_approval(mut demand: Demand, name: &str, uses: u64) -> Demand {
    let issued_at = demand.now.seconds();
    let claim = UseClaim { key: format!("gate:{name}"), uses, until: issued_at + 480, issued_at };
    demand.approvals.push(claim);
    demand
}

/// The answer to `demand`, recorded in the kit's chain.
async fn answer(kit: &Kit, store: &impl State, demand: Demand) -> Admission {
    kit.admit(store, demand).await.expect("the store admits").admission
}

fn millis(seconds: i64) -> UnixMillis {
    UnixMillis(u64::try_from(seconds).unwrap_or(0) * 1000)
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).into()
}

/// Never the same twice in one process, nor in two: record ids are unique.
fn stamp(now: UnixMillis) -> Stamp {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = process_number().to_be_bytes();
    let mut random = [0; 10];
    let bytes = process.iter().skip(4).chain(count.iter().skip(2));
    random.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Stamp { now, random }
}

/// A number that differs between processes where there are any, from the seeds of the standard hasher.
fn process_number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    use std::sync::OnceLock;
    static NUMBER: OnceLock<u64> = OnceLock::new();
    *NUMBER.get_or_init(|| RandomState::new().hash_one(0))
}
