//! A component, compiled for this machine.

use std::sync::Arc;

use passgate_core::attest::sha256_label;
use passgate_core::gate::EvaluatorRef;
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel, ResourceLimiter};

use super::bindings::GatePre;

/// The most bytes of a component.
pub(super) const MAX_COMPONENT_BYTES: usize = 16 * 1024 * 1024;

/// The most entries of a table of functions.
const MAX_TABLE_ELEMENTS: usize = 65_536;

/// What a status list takes: its token, up to 2 MiB, and what it inflates to, up to 1 MiB, with room to work.
const LIST_BYTES: usize = 4 * 1024 * 1024;

/// What to do about a component that cannot be used.
const BUILD_REMEDY: &str = "use one that `cargo xtask component` built";

/// A component that cannot evaluate for a gate.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The program was built without it.
    #[error(
        "this passgate carries no gate component: run `cargo xtask component` before building it, or set \
         `evaluator.engine: native`"
    )]
    NotBuiltIn,
    /// It is too large.
    #[error("the gate component has {0} bytes; at most {MAX_COMPONENT_BYTES}; {BUILD_REMEDY}")]
    TooLarge(usize),
    /// It is no component of the world `passgate:gate`, or imports something.
    #[error("it is no evaluator of the world passgate:gate@0.1.0 that imports nothing: {0}; {BUILD_REMEDY}")]
    Unusable(String),
    /// Its file may not be used.
    #[error("{0}")]
    File(String),
    /// It does not take the gate's policy, or fails on it.
    #[error(
        "the evaluator does not open this gate's policy: {0}; use a component of this release, and run `passgate doctor`"
    )]
    Policy(String),
}

/// An evaluator that instances can be made of. Cheap to clone.
#[derive(Clone)]
pub struct Evaluator {
    pub(super) pre: Arc<GatePre<Room>>,
    reference: EvaluatorRef,
}

impl Evaluator {
    /// Compiles a component, which takes a second of all cores. Its digest is computed here, of these bytes.
    ///
    /// # Errors
    ///
    /// When it is too large, no component of the world, or imports anything.
    pub fn compile(bytes: &[u8]) -> Result<Self, ComponentError> {
        if bytes.len() > MAX_COMPONENT_BYTES {
            return Err(ComponentError::TooLarge(bytes.len()));
        }
        let unusable = |error: wasmtime::Error| ComponentError::Unusable(format!("{error:#}"));
        let engine = Engine::new(&config()).map_err(unusable)?;
        let component = Component::from_binary(&engine, bytes).map_err(unusable)?;
        // Nothing is linked: a component that imports anything cannot be instantiated.
        let pre = Linker::new(&engine).instantiate_pre(&component).and_then(GatePre::new).map_err(unusable)?;
        let digest = sha256_label(&Sha256::digest(bytes).into());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { pre: Arc::new(pre), reference: EvaluatorRef { digest, engine: "component".to_owned(), version } })
    }

    /// How records name it.
    #[must_use]
    pub fn reference(&self) -> &EvaluatorRef {
        &self.reference
    }

    /// This evaluator under another name: with the version that its signature says, or, in runs that compare the records of
    /// several surfaces, with the name they have in common.
    #[must_use]
    pub fn named(self, reference: EvaluatorRef) -> Self {
        Self { reference, ..self }
    }
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Evaluator").field(&self.reference).finish()
    }
}

/// The memory of one instance.
#[derive(Debug)]
pub(super) struct Room {
    limit_bytes: usize,
    used_bytes: usize,
    /// What status lists may take of it, beyond the limit.
    list_bytes: usize,
}

impl Room {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, used_bytes: 0, list_bytes: 0 }
    }

    /// How large the memory is, without what status lists may take of it. It never shrinks.
    pub(super) fn grown_bytes(&self) -> usize {
        self.used_bytes.saturating_sub(self.list_bytes)
    }

    /// Leaves room for so many status lists.
    pub(super) fn make_room_for(&mut self, lists: usize) {
        self.list_bytes = self.list_bytes.max(lists.saturating_mul(LIST_BYTES));
    }
}

impl ResourceLimiter for Room {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= self.limit_bytes.saturating_add(self.list_bytes);
        if fits {
            self.used_bytes = desired;
        }
        Ok(fits)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

/// The evaluator is trusted as this program is, so its instances run without fuel and deadlines; what it needs is wide
/// arithmetic, which makes its signatures half as dear.
fn config() -> Config {
    let mut config = Config::new();
    config.wasm_wide_arithmetic(true).cranelift_opt_level(OptLevel::Speed);
    config
}
