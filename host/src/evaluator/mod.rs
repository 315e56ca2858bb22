//! What decides at this gate: the evaluator as a component in wasmtime, or the same code in this program.
//!
//! Both are `passgate_core`. The component has the boundary: it imports nothing, so what it decides depends on what it is
//! given; its digest stands in every record, and it can be replaced while the gate serves. An instance belongs to one
//! request from its judgement to its record. One that traps refuses its request and is thrown away.

mod bindings;
mod builtin;
mod case;
mod component;
mod convert;
mod file;
mod native;
mod pool;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use passgate_api::driver::{Judge, RefusalRecord};
use passgate_core::attest::Stamp;
use passgate_core::gate::EvaluatorRef;
use passgate_core::pipeline::{RawRequest, Refusal};
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_passport::challenge::ChallengeKey;

pub use builtin::{builtin, has_builtin};
pub use case::{EngineCase, Shown};
pub use component::{ComponentError, Evaluator};
pub(crate) use file::{EvaluatorFile, keep_loaded};
pub use native::{EvaluatorError, native};

pub(crate) use self::pool::MAX_INSTANCES;
use self::pool::Pool;
use crate::status_lists::Snapshot;

/// The evaluator of one gate.
pub struct Engine(Kind);

enum Kind {
    /// In this program.
    Native(Box<Judge>),
    /// In wasmtime. A request takes a pool once.
    Component {
        pools: RwLock<Pools>,
        /// Held by whoever makes the next ones of these.
        changing: Mutex<()>,
    },
}

/// Instances, of which each has one policy opened in it.
#[derive(Clone)]
struct Pools {
    in_force: Arc<Pool>,
    /// Those of the policy before, for requests that took the gate before the policy changed.
    before: Option<Arc<Pool>>,
}

impl Engine {
    /// Decides in this program.
    #[must_use]
    pub fn native() -> Self {
        Self(Kind::Native(Box::default()))
    }

    /// Decides in instances of `evaluator`, each with `policy` opened in it, the canonical JSON of a bundle, and challenges
    /// made with `challenge_key`. `chain` is the stamp that the records' chain is named by. A request has at most
    /// `max_body_bytes`.
    ///
    /// # Errors
    ///
    /// When the evaluator does not open the policy.
    pub fn component(
        evaluator: Evaluator,
        policy: Vec<u8>,
        challenge_key: ChallengeKey,
        chain: Stamp,
        max_body_bytes: usize,
    ) -> Result<Self, ComponentError> {
        let pool = Pool::open(evaluator, policy, challenge_key, chain, max_body_bytes)?;
        let pools = RwLock::new(Pools { in_force: Arc::new(pool), before: None });
        Ok(Self(Kind::Component { pools, changing: Mutex::default() }))
    }

    /// The component that decides; `None` when this program does.
    #[must_use]
    pub fn evaluator(&self) -> Option<EvaluatorRef> {
        self.pool().map(|pool| pool.evaluator().reference().clone())
    }

    /// Puts another evaluator in force. Requests that began with the one before end with it. Where this program decides,
    /// there is nothing to replace.
    ///
    /// # Errors
    ///
    /// When the evaluator does not open the policy; the one before stays in force.
    pub fn replace(&self, evaluator: Evaluator) -> Result<(), ComponentError> {
        self.change(|pools| {
            let in_force = Arc::new(pools.in_force.with(evaluator)?);
            Ok(Pools { in_force, before: pools.before })
        })
    }

    /// Opens another policy, the canonical JSON of a bundle, for the requests that take the gate once that is in force.
    /// Where this program decides, there is nothing to open.
    ///
    /// # Errors
    ///
    /// When the evaluator does not open it; the one before stays in force.
    pub fn open(&self, policy: Vec<u8>) -> Result<(), ComponentError> {
        self.change(|pools| {
            let in_force = Arc::new(pools.in_force.under(policy)?);
            Ok(Pools { in_force, before: Some(pools.in_force) })
        })
    }

    /// Lets go of the instances of the policy before.
    pub(crate) fn let_go(&self) {
        if let Kind::Component { pools, .. } = &self.0 {
            pools.write().unwrap_or_else(PoisonError::into_inner).before = None;
        }
    }

    fn change(&self, next: impl FnOnce(Pools) -> Result<Pools, ComponentError>) -> Result<(), ComponentError> {
        let Kind::Component { pools, changing } = &self.0 else { return Ok(()) };
        // Opening takes its time, in which requests go on.
        let _changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = next(taken(pools))?;
        *pools.write().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(())
    }

    fn pool(&self) -> Option<Arc<Pool>> {
        match &self.0 {
            Kind::Native(_) => None,
            Kind::Component { pools, .. } => Some(taken(pools).in_force),
        }
    }

    /// Steps 1 to 3 under one snapshot of the gate, of an agent that behaves like this.
    ///
    /// # Errors
    ///
    /// The refusal of the step that ends the request, or of an evaluator that failed.
    pub async fn judge(
        &self,
        gate: &Arc<Snapshot>,
        raw: &RawRequest<'_>,
        now: UnixMillis,
        conduct: Conduct,
    ) -> Result<EngineCase, RefusalRecord> {
        let refused = |refusal: &Refusal| RefusalRecord::new(gate, refusal, now);
        let pool = match &self.0 {
            Kind::Native(judge) => {
                let judged = judge.judge_as(gate, raw, now, conduct).map_err(|refusal| refused(&refusal))?;
                return Ok(EngineCase::native(judged));
            }
            Kind::Component { pools, .. } => taken(pools).of(&gate.policy.sha256),
        };
        pool.judge(gate, raw, now, conduct).await.map(EngineCase::component).map_err(|why| match why {
            pool::Refused::Judged(record) => *record,
            pool::Refused::Failed(why) => refused(&Refusal::fault(raw.method, raw.path, why)),
        })
    }
}

fn taken(pools: &RwLock<Pools>) -> Pools {
    pools.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Pools {
    /// The instances for a gate with the policy of this digest. A request that took the gate longer ago is judged under the
    /// policy in force.
    fn of(self, policy_sha256: &str) -> Arc<Pool> {
        match self.before {
            Some(before) if before.policy_sha256() == policy_sha256 => before,
            _ => self.in_force,
        }
    }
}
