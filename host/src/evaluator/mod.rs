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

use std::sync::{Arc, PoisonError, RwLock};

use passgate_api::driver::{Judge, RefusalRecord};
use passgate_core::attest::Stamp;
use passgate_core::gate::EvaluatorRef;
use passgate_core::pipeline::{RawRequest, Refusal};
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
    /// In wasmtime: the pool in force. A request takes it once.
    Component(RwLock<Arc<Pool>>),
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
        Ok(Self(Kind::Component(RwLock::new(Arc::new(pool)))))
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
        if let (Kind::Component(in_force), Some(pool)) = (&self.0, self.pool()) {
            let pool = Arc::new(pool.with(evaluator)?);
            *in_force.write().unwrap_or_else(PoisonError::into_inner) = pool;
        }
        Ok(())
    }

    fn pool(&self) -> Option<Arc<Pool>> {
        match &self.0 {
            Kind::Native(_) => None,
            Kind::Component(in_force) => Some(taken(in_force)),
        }
    }

    /// Steps 1 to 3 under one snapshot of the gate.
    ///
    /// # Errors
    ///
    /// The refusal of the step that ends the request, or of an evaluator that failed.
    pub async fn judge(
        &self,
        gate: &Arc<Snapshot>,
        raw: &RawRequest<'_>,
        now: UnixMillis,
    ) -> Result<EngineCase, RefusalRecord> {
        let refused = |refusal: &Refusal| RefusalRecord::new(gate, refusal, now);
        let pool = match &self.0 {
            Kind::Native(judge) => {
                let judged = judge.judge(gate, raw, now).map_err(|refusal| refused(&refusal))?;
                return Ok(EngineCase::native(judged));
            }
            Kind::Component(in_force) => taken(in_force),
        };
        pool.judge(gate, raw, now).await.map(EngineCase::component).map_err(|why| match why {
            pool::Refused::Judged(record) => *record,
            pool::Refused::Failed(why) => refused(&Refusal::fault(raw.method, raw.path, why)),
        })
    }
}

fn taken(in_force: &RwLock<Arc<Pool>>) -> Arc<Pool> {
    Arc::clone(&in_force.read().unwrap_or_else(PoisonError::into_inner))
}
