//! Instances of an evaluator, each with the gate opened in it, lent to one request at a time.

use std::sync::{Arc, Mutex, PoisonError};

use passgate_api::driver::RefusalRecord;
use passgate_core::attest::{Stamp, sha256_label};
use passgate_core::gate::EvaluatorRef;
use passgate_core::pipeline::RawRequest;
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::key::PublicKey;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::bindings::Gate;
use super::bindings::exports::passgate::gate::evaluator::Guest;
use super::case::ComponentCase;
use super::component::{ComponentError, Evaluator, Room};
use super::convert;
use crate::status_lists::{Snapshot, TakenToken};

/// The most instances of one evaluator: so many requests are between their judgement and their record at once.
pub(crate) const MAX_INSTANCES: usize = 128;
/// Memory of an instance beside the requests that it is given.
const BASE_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// An instance whose memory grew beyond this is not used again: memory of an instance never shrinks.
const KEPT_MEMORY_BYTES: usize = 8 * 1024 * 1024;

/// Instances of one evaluator for one policy.
pub(super) struct Pool {
    evaluator: Evaluator,
    policy: String,
    policy_sha256: String,
    challenge_key: ChallengeKey,
    /// When the chain of this gate's records was started, and with which random bits: its name follows from them.
    chain: Stamp,
    memory_bytes: usize,
    idle: Mutex<Vec<Instance>>,
    places: Arc<Semaphore>,
}

/// Why a request was not judged.
pub(super) enum Refused {
    /// It was refused.
    Judged(Box<RefusalRecord>),
    /// The evaluator failed, and why.
    Failed(String),
}

/// One instance, with the gate and its chain opened in it.
pub(super) struct Instance {
    pub(super) store: Store<Room>,
    bindings: Gate,
    pub(super) gate: ResourceAny,
    pub(super) chain: ResourceAny,
    /// How many status lists were taken in when it was last used.
    taken: u64,
    /// The keys of one-action passes that it knows.
    minting: Vec<PublicKey>,
}

/// An instance that belongs to one request, and goes back to its pool unless it broke.
pub(super) struct Lent {
    instance: Option<Instance>,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    /// Opens `policy` in a first instance.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub(super) fn open(
        evaluator: Evaluator,
        policy: Vec<u8>,
        challenge_key: ChallengeKey,
        chain: Stamp,
        max_body_bytes: usize,
    ) -> Result<Self, ComponentError> {
        let policy = String::from_utf8(policy).map_err(|error| ComponentError::Policy(error.to_string()))?;
        // The body, its copy while it is lifted, and what plugins leave of it.
        let memory_bytes = BASE_MEMORY_BYTES.saturating_add(max_body_bytes.saturating_mul(4));
        Self::start(Self {
            evaluator,
            policy_sha256: digest(&policy),
            policy,
            challenge_key,
            chain,
            memory_bytes,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_INSTANCES)),
        })
    }

    /// The same for another evaluator.
    ///
    /// # Errors
    ///
    /// As [`Pool::open`].
    pub(super) fn with(&self, evaluator: Evaluator) -> Result<Self, ComponentError> {
        self.opened(evaluator, self.policy.clone())
    }

    /// The same for another policy.
    ///
    /// # Errors
    ///
    /// As [`Pool::open`].
    pub(super) fn under(&self, policy: Vec<u8>) -> Result<Self, ComponentError> {
        let policy = String::from_utf8(policy).map_err(|error| ComponentError::Policy(error.to_string()))?;
        self.opened(self.evaluator.clone(), policy)
    }

    fn opened(&self, evaluator: Evaluator, policy: String) -> Result<Self, ComponentError> {
        Self::start(Self {
            evaluator,
            policy_sha256: digest(&policy),
            policy,
            challenge_key: self.challenge_key.clone(),
            chain: self.chain,
            memory_bytes: self.memory_bytes,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_INSTANCES)),
        })
    }

    /// As records name the policy.
    pub(super) fn policy_sha256(&self) -> &str {
        &self.policy_sha256
    }

    pub(super) fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    fn start(pool: Self) -> Result<Self, ComponentError> {
        let first = pool.instance().map_err(ComponentError::Policy)?;
        pool.idle().push(first);
        Ok(pool)
    }

    /// Steps 1 to 3 in an instance, which the case keeps until it is decided.
    pub(super) async fn judge(
        self: Arc<Self>,
        gate: &Arc<Snapshot>,
        raw: &RawRequest<'_>,
        now: UnixMillis,
        conduct: Conduct,
    ) -> Result<ComponentCase, Refused> {
        let place =
            Arc::clone(&self.places).acquire_owned().await.map_err(|error| Refused::Failed(error.to_string()))?;
        let found = self.idle().pop();
        let instance = found.map_or_else(|| self.instance(), Ok).map_err(Refused::Failed)?;
        let mut lent = Lent { instance: Some(instance), pool: self, _place: place };
        lent.call(|instance| instance.add_lists(gate)).map_err(Refused::Failed)?;
        lent.call(|instance| instance.mint_with(gate)).map_err(Refused::Failed)?;
        let (request, conduct) = (convert::request(raw), convert::conduct(conduct));
        let judged = lent.call(|instance| {
            let gate = instance.gate;
            let judged = instance.guest().gate().call_judge(&mut instance.store, gate, &request, now.0, conduct)?;
            Ok(judged)
        });
        match judged.map_err(Refused::Failed)? {
            Ok(judgement) => {
                let request = (request.method, request.path);
                ComponentCase::new(lent, judgement, gate, request).map_err(Refused::Failed)
            }
            Err(refusal) => {
                let bytes = lent.call(|instance| {
                    let bytes = instance.guest().refusal().call_to_bytes(&mut instance.store, refusal)?;
                    refusal.resource_drop(&mut instance.store)?;
                    Ok(bytes)
                });
                let record = RefusalRecord::from_bytes(&bytes.map_err(Refused::Failed)?);
                Err(record.map_or_else(
                    |error| Refused::Failed(error.to_string()),
                    |record| Refused::Judged(Box::new(record)),
                ))
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instance(&self) -> Result<Instance, String> {
        let mut store = Store::new(self.evaluator.pre.engine(), Room::new(self.memory_bytes));
        store.limiter(|room| room);
        let opened = self.evaluator.pre.instantiate(&mut store).map_err(failed)?;
        let guest = opened.passgate_gate_evaluator();
        let reference = convert::evaluator_ref(self.evaluator.reference());
        let gate = guest.gate().call_open(&mut store, &self.policy, &reference).map_err(failed)?;
        let gate = gate.map_err(|error| format!("{}: {}", error.at, error.why))?;
        let key = self.challenge_key.as_bytes();
        guest.gate().call_set_challenge_key(&mut store, gate, key).map_err(failed)??;
        let Stamp { now, random } = self.chain;
        let chain = guest.chain().call_open(&mut store, gate, now.0, &random).map_err(failed)??;
        Ok(Instance { store, bindings: opened, gate, chain, taken: 0, minting: Vec::new() })
    }
}

impl Instance {
    pub(super) fn guest(&self) -> Guest {
        self.bindings.passgate_gate_evaluator().clone()
    }

    /// Gives the instance the status lists that came into force since it was last used, as they were when they were taken.
    fn add_lists(&mut self, gate: &Snapshot) -> wasmtime::Result<()> {
        self.store.data_mut().make_room_for(gate.lists());
        for TakenToken { token, at, .. } in gate.tokens_after(self.taken) {
            let opened = self.gate;
            // A list that is refused here was refused natively too, or is older than one that is here already.
            let _refused = self.guest().gate().call_add_status_list(&mut self.store, opened, None, token, at.0)?;
        }
        self.taken = gate.taken();
        Ok(())
    }

    /// Tells the instance which keys one-action passes are minted with, when it knows others. One that refuses them may go on
    /// with those it had, so nothing is asked of it.
    fn mint_with(&mut self, gate: &Snapshot) -> wasmtime::Result<()> {
        let keys = gate.action_passes.as_ref().map_or(&[][..], |passes| &passes.keys);
        if keys != self.minting {
            let opened = self.gate;
            let bytes: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
            let taken = self.guest().gate().call_mint_with(&mut self.store, opened, &bytes)?;
            taken.map_err(wasmtime::Error::msg)?;
            self.minting = keys.to_vec();
        }
        Ok(())
    }
}

impl Lent {
    /// The evaluator that the instance is one of.
    pub(super) fn evaluator(&self) -> &EvaluatorRef {
        self.pool.evaluator.reference()
    }

    /// Calls the instance. One that traps cannot be used again.
    ///
    /// # Errors
    ///
    /// What wasmtime says, also of every call after a failed one.
    pub(super) fn call<T>(&mut self, call: impl FnOnce(&mut Instance) -> wasmtime::Result<T>) -> Result<T, String> {
        let instance = self.instance.as_mut().ok_or("the evaluator broke down before")?;
        call(instance).map_err(|error| {
            self.instance = None;
            failed(error)
        })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take()
            && instance.store.data().grown_bytes() <= KEPT_MEMORY_BYTES
        {
            self.pool.idle().push(instance);
        }
    }
}

fn digest(policy: &str) -> String {
    sha256_label(&Sha256::digest(policy).into())
}

fn failed(error: wasmtime::Error) -> String {
    format!("{error:#}")
}
