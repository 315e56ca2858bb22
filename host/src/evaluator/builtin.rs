//! The component that this program carries in itself.

use std::sync::OnceLock;

use super::component::{ComponentError, Evaluator};

/// Put here by the build, when `cargo xtask component` had made it before.
#[cfg(gate_component)]
const BYTES: Option<&[u8]> = Some(include_bytes!(concat!(env!("OUT_DIR"), "/gate.wasm")));
#[cfg(not(gate_component))]
const BYTES: Option<&[u8]> = None;

/// Whether this program carries a component. Where it does, it decides unless the configuration says otherwise.
#[must_use]
pub const fn has_builtin() -> bool {
    BYTES.is_some()
}

/// The component of this program, compiled once.
///
/// # Errors
///
/// [`ComponentError::NotBuiltIn`], and what wasmtime has against it.
pub fn builtin() -> Result<Evaluator, ComponentError> {
    static COMPILED: OnceLock<Result<Evaluator, ComponentError>> = OnceLock::new();
    COMPILED.get_or_init(|| Evaluator::compile(BYTES.ok_or(ComponentError::NotBuiltIn)?)).clone()
}
