//! The plugin's own keys in the gate's store, when the operator grants `keys`. Operators write them with `passgate plugin
//! keys set`, plugins read. Natively, the keys are those that [`testing::set_key`] set.
//!
//! [`testing::set_key`]: crate::testing::set_key

/// The value of a key of at most 128 bytes, if there is one. A store that fails ends the call, and the request is refused.
#[must_use]
pub fn get(key: &str) -> Option<Vec<u8>> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::passgate::policy::keys::get(key);
    #[cfg(not(target_arch = "wasm32"))]
    return crate::testing::key(key);
}
