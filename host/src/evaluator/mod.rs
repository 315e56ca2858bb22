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
mod native;
mod pool;

use std::sync::Arc;

use passgate_api::driver::{self, RefusalRecord};
use passgate_core::pipeline::{RawRequest, Refusal};
use passgate_core::time::UnixMillis;

pub use builtin::{builtin, has_builtin};
pub(crate) use case::EngineCase;
pub use component::{ComponentError, Evaluator};
pub use native::{EvaluatorError, native};
pub(crate) use pool::{ChainSeed, Pool};

use crate::status_lists::Snapshot;

/// The evaluator of a running gateway.
pub(crate) enum Engine {
    /// In this program.
    Native,
    /// In wasmtime.
    Component(Swappable),
}

/// The pool in force. A request takes it once.
pub(crate) struct Swappable(std::sync::RwLock<Arc<Pool>>);

impl Swappable {
    pub(crate) fn new(pool: Pool) -> Self {
        Self(std::sync::RwLock::new(Arc::new(pool)))
    }

    fn get(&self) -> Arc<Pool> {
        Arc::clone(&self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Puts another evaluator in force. Requests that began with the one before end with it.
    pub(crate) fn set(&self, pool: Pool) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(pool);
    }
}

impl Engine {
    /// Steps 1 to 3 under one snapshot of the gate.
    ///
    /// # Errors
    ///
    /// The refusal of the step that ends the request, or of an evaluator that failed.
    pub(crate) async fn judge(
        &self,
        gate: &Arc<Snapshot>,
        raw: &RawRequest<'_>,
        now: UnixMillis,
    ) -> Result<EngineCase, RefusalRecord> {
        match self {
            Self::Native => match driver::judge(gate, raw, now) {
                Ok(judged) => Ok(EngineCase::Native(Box::new(judged))),
                Err(refusal) => Err(RefusalRecord::new(gate, &refusal, now)),
            },
            Self::Component(pool) => {
                let judged = pool.get().judge(gate, raw, now).await;
                judged.map(|case| EngineCase::Component(Box::new(case))).map_err(|refused| match refused {
                    pool::Refused::Judged(record) => *record,
                    pool::Refused::Failed(why) => {
                        RefusalRecord::new(gate, &Refusal::fault(raw.method, raw.path, why), now)
                    }
                })
            }
        }
    }
}
