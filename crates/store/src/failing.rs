//! A store that fails on purpose, for testing that everything above it fails closed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::Entry;
use passgate_core::state::{Admission, Demand, KeyHistory, KeyRotation, Standing, Subject};

use crate::{
    Admitted, ChangeRequest, Changed, Cursor, Durability, Filter, Ledger, Page, SealDecision, SealOutcome, SealRecord,
    SealStart, Settlement, State, StoreError, StoredRecord,
};

/// An operation of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// [`State::start_chain`]
    StartChain,
    /// [`State::admit`]
    Admit,
    /// [`State::look`]
    Look,
    /// [`State::append`]
    Append,
    /// [`State::settle`]
    Settle,
    /// [`State::revoke`]
    Revoke,
    /// [`State::suspend`]
    Suspend,
    /// [`State::reinstate`]
    Reinstate,
    /// [`State::standing`]
    Standing,
    /// [`State::set_plugin_key`]
    SetPluginKey,
    /// [`State::plugin_key`]
    PluginKey,
    /// [`State::rotate_key`]
    RotateKey,
    /// [`State::key_history`]
    KeyHistory,
    /// [`State::ask`]
    Ask,
    /// [`State::approval_request`]
    ApprovalRequest,
    /// [`State::approval_requests`]
    ApprovalRequests,
    /// [`State::change_request`]
    ChangeRequest,
    /// [`State::sweep`]
    Sweep,
    /// [`Ledger::records`]
    Records,
    /// [`Ledger::record`]
    Record,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 19] = [
        Self::StartChain,
        Self::Admit,
        Self::Append,
        Self::Settle,
        Self::Revoke,
        Self::Suspend,
        Self::Reinstate,
        Self::Standing,
        Self::SetPluginKey,
        Self::PluginKey,
        Self::RotateKey,
        Self::KeyHistory,
        Self::Ask,
        Self::ApprovalRequest,
        Self::ApprovalRequests,
        Self::ChangeRequest,
        Self::Sweep,
        Self::Records,
        Self::Record,
    ];
}

/// How a verb fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An error, and nothing was written.
    NotWritten,
    /// An error, although everything was written: the answer was lost.
    Written,
    /// No answer ever, and nothing was written.
    NeverAnswers,
    /// No answer ever, although everything was written.
    WrittenNeverAnswers,
    /// Everything is written, and answered as it should be once the store is healed.
    AnswersLate,
}

/// A store that carries out what the store inside it does, except for the verbs told to fail.
#[derive(Debug)]
pub struct FailingStore<S> {
    inner: S,
    plan: Mutex<BTreeMap<Verb, (Failure, u64)>>,
    calls: Mutex<BTreeMap<Verb, u64>>,
    waiting: Mutex<Vec<Waker>>,
}

impl<S> FailingStore<S> {
    /// A store in which nothing fails yet.
    pub fn new(inner: S) -> Self {
        Self { inner, plan: Mutex::default(), calls: Mutex::default(), waiting: Mutex::default() }
    }

    /// The store inside, which never fails on purpose.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Makes every later call of `verb` fail.
    pub fn fail(&self, verb: Verb, failure: Failure) {
        self.fail_times(verb, failure, u64::MAX);
    }

    /// Makes the next `times` calls of `verb` fail.
    pub fn fail_times(&self, verb: Verb, failure: Failure, times: u64) {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).insert(verb, (failure, times));
    }

    /// Makes every verb fail.
    pub fn fail_all(&self, failure: Failure) {
        Verb::ALL.into_iter().for_each(|verb| self.fail(verb, failure));
    }

    /// Makes everything work again, and gives the answers that are late.
    pub fn heal(&self) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.clear();
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        drop(plan);
        waiting.into_iter().for_each(Waker::wake);
    }

    async fn healed(&self) {
        poll_fn(|context| {
            // Held until the waker is noted, so that a healing in between does not miss it.
            let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
            if plan.is_empty() {
                return Poll::Ready(());
            }
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How often `verb` was called, failing or not.
    pub fn calls(&self, verb: Verb) -> u64 {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(&verb).copied().unwrap_or(0)
    }

    fn next(&self, verb: Verb) -> Option<Failure> {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default() += 1;
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let (failure, times) = plan.get_mut(&verb).filter(|(_, times)| *times > 0)?;
        *times = times.saturating_sub(1);
        Some(*failure)
    }

    async fn run<T>(&self, verb: Verb, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let failure = self.next(verb);
        match failure {
            None => return work.await,
            Some(Failure::NotWritten | Failure::NeverAnswers) => {}
            Some(Failure::Written | Failure::WrittenNeverAnswers) => {
                work.await?;
            }
            Some(Failure::AnswersLate) => {
                let answer = work.await;
                self.healed().await;
                return answer;
            }
        }
        if matches!(failure, Some(Failure::NeverAnswers | Failure::WrittenNeverAnswers)) {
            std::future::pending::<()>().await;
        }
        Err(StoreError::Unavailable("failing on purpose".to_owned()))
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<S: State> State for FailingStore<S> {
    async fn start_chain(&self, chain_uid: &str, seal: SealStart) -> Result<Entry, StoreError> {
        self.run(Verb::StartChain, self.inner.start_chain(chain_uid, seal)).await
    }

    async fn admit(&self, chain_uid: &str, demand: Demand, seal: SealDecision) -> Result<Admitted, StoreError> {
        self.run(Verb::Admit, self.inner.admit(chain_uid, demand, seal)).await
    }

    async fn look(&self, demand: &Demand) -> Result<Admission, StoreError> {
        self.run(Verb::Look, self.inner.look(demand)).await
    }

    async fn append(&self, chain_uid: &str, seal: SealRecord) -> Result<Entry, StoreError> {
        self.run(Verb::Append, self.inner.append(chain_uid, seal)).await
    }

    async fn settle(
        &self,
        chain_uid: &str,
        decision_id: &str,
        how: Settlement,
        seal: SealOutcome,
    ) -> Result<Entry, StoreError> {
        self.run(Verb::Settle, self.inner.settle(chain_uid, decision_id, how, seal)).await
    }

    async fn revoke(&self, chain_uid: &str, subject: Subject, at: i64, seal: SealRecord) -> Result<Entry, StoreError> {
        self.run(Verb::Revoke, self.inner.revoke(chain_uid, subject, at, seal)).await
    }

    async fn suspend(
        &self,
        chain_uid: &str,
        subject: Subject,
        at: i64,
        seal: SealRecord,
    ) -> Result<Changed, StoreError> {
        self.run(Verb::Suspend, self.inner.suspend(chain_uid, subject, at, seal)).await
    }

    async fn reinstate(&self, chain_uid: &str, subject: Subject, seal: SealRecord) -> Result<Changed, StoreError> {
        self.run(Verb::Reinstate, self.inner.reinstate(chain_uid, subject, seal)).await
    }

    async fn standing(&self, subject: &Subject) -> Result<Standing, StoreError> {
        self.run(Verb::Standing, self.inner.standing(subject)).await
    }

    async fn set_plugin_key(
        &self,
        chain_uid: &str,
        plugin: &str,
        key: &str,
        value: Option<Vec<u8>>,
        seal: SealRecord,
    ) -> Result<Entry, StoreError> {
        let set = self.inner.set_plugin_key(chain_uid, plugin, key, value, seal);
        self.run(Verb::SetPluginKey, set).await
    }

    async fn plugin_key(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(Verb::PluginKey, self.inner.plugin_key(plugin, key)).await
    }

    async fn rotate_key(&self, chain_uid: &str, rotation: KeyRotation, seal: SealRecord) -> Result<Entry, StoreError> {
        self.run(Verb::RotateKey, self.inner.rotate_key(chain_uid, rotation, seal)).await
    }

    async fn key_history(&self) -> Result<KeyHistory, StoreError> {
        self.run(Verb::KeyHistory, self.inner.key_history()).await
    }

    async fn ask(&self, request: ApprovalRequest) -> Result<Asked, StoreError> {
        self.run(Verb::Ask, self.inner.ask(request)).await
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, StoreError> {
        self.run(Verb::ApprovalRequest, self.inner.approval_request(id)).await
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, StoreError> {
        self.run(Verb::ApprovalRequests, self.inner.approval_requests(after, limit)).await
    }

    async fn change_request(
        &self,
        chain_uid: &str,
        id: &str,
        change: ChangeRequest,
    ) -> Result<(ApprovalRequest, Option<Entry>), StoreError> {
        self.run(Verb::ChangeRequest, self.inner.change_request(chain_uid, id, change)).await
    }

    async fn sweep(&self, now: i64, limit: usize) -> Result<usize, StoreError> {
        self.run(Verb::Sweep, self.inner.sweep(now, limit)).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl<S: Ledger> Ledger for FailingStore<S> {
    async fn records(&self, filter: &Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.run(Verb::Records, self.inner.records(filter, cursor, limit)).await
    }

    async fn record(&self, attestation_id: &str) -> Result<Option<StoredRecord>, StoreError> {
        self.run(Verb::Record, self.inner.record(attestation_id)).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use futures_executor::block_on;
    use passgate_core::attest::OutcomeResult;
    use passgate_core::state::NonceAnswer;

    use super::*;
    use crate::MemoryStore;
    use crate::conformance::{Kit, START_SECONDS};

    #[test]
    fn admissions_fail_as_planned() {
        for (failure, then) in [
            (Failure::NotWritten, NonceAnswer::Fresh),
            (Failure::Written, NonceAnswer::Replayed),
            (Failure::NeverAnswers, NonceAnswer::Fresh),
            (Failure::WrittenNeverAnswers, NonceAnswer::Replayed),
        ] {
            let kit = Kit::new("gate");
            let store = FailingStore::new(MemoryStore::new(START_SECONDS));
            block_on(kit.start(&store)).unwrap();
            store.fail_times(Verb::Admit, failure, 1);
            let answer = pin!(kit.admit(&store, kit.demand("nonce"))).poll(&mut Context::from_waker(Waker::noop()));
            match failure {
                Failure::NotWritten | Failure::Written => {
                    assert!(matches!(answer, Poll::Ready(Err(StoreError::Unavailable(_)))), "{failure:?}");
                }
                _ => assert!(answer.is_pending(), "{failure:?}"),
            }
            let next = block_on(kit.admit(&store, kit.demand("nonce"))).unwrap();
            assert_eq!(next.admission.nonce, then, "{failure:?}");
            assert_eq!(store.calls(Verb::Admit), 2);
        }
    }

    #[test]
    fn a_late_answer_comes_with_the_healing() {
        let kit = Kit::new("gate");
        let store = FailingStore::new(MemoryStore::new(START_SECONDS));
        block_on(kit.start(&store)).unwrap();
        store.fail(Verb::Admit, Failure::AnswersLate);
        let mut late = pin!(kit.admit(&store, kit.demand("nonce")));
        assert!(late.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(block_on(kit.verify_ledger(&store)).unwrap().head.records, 2, "it is written");
        store.heal();
        assert_eq!(block_on(late).unwrap().admission.nonce, NonceAnswer::Fresh);
    }

    #[test]
    fn every_verb_can_fail_and_heal() {
        let kit = Kit::new("gate");
        let store = FailingStore::new(MemoryStore::new(START_SECONDS));
        store.fail_all(Failure::NotWritten);
        assert!(block_on(kit.start(&store)).is_err());
        assert!(block_on(kit.admit(&store, kit.demand("nonce"))).is_err());
        assert!(block_on(kit.append(&store)).is_err());
        assert!(block_on(kit.settle(&store, "att", OutcomeResult::Completed)).is_err());
        let subject = Subject::Key("key".to_owned());
        assert!(block_on(kit.revoke(&store, subject.clone(), 1)).is_err());
        assert!(block_on(kit.suspend(&store, subject.clone(), 1)).is_err());
        assert!(block_on(kit.reinstate(&store, subject.clone())).is_err());
        assert!(block_on(store.standing(&subject)).is_err());
        assert!(block_on(kit.set_plugin_key(&store, "plugin", "key", Some(b"value"))).is_err());
        assert!(block_on(store.plugin_key("plugin", "key")).is_err());
        assert!(block_on(kit.rotate(&store, 1)).is_err());
        assert!(block_on(store.key_history()).is_err());
        assert!(block_on(store.ask(kit.asks("a"))).is_err());
        assert!(block_on(store.approval_request("areq")).is_err());
        assert!(block_on(store.approval_requests("", 1)).is_err());
        assert!(block_on(kit.deny(&store, "areq")).is_err());
        assert!(block_on(store.sweep(0, 1)).is_err());
        assert!(block_on(store.records(&Filter::default(), None, 1)).is_err());
        assert!(block_on(store.record("att")).is_err());
        assert!(Verb::ALL.into_iter().all(|verb| store.calls(verb) == 1));
        store.heal();
        assert!(block_on(kit.start(&store)).is_ok());
        assert_eq!(block_on(store.inner().standing(&subject)).unwrap(), Standing::default());
        assert_eq!(block_on(store.plugin_key("plugin", "key")).unwrap(), None);
    }
}
