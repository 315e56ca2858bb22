//! What `wit/plugin.wit` is in Rust.

wasmtime::component::bindgen!({
    path: "../wit/plugin.wit",
    world: "policy",
    imports: {
        "passgate:policy/log": trappable,
        "passgate:policy/keys": async | trappable,
    },
    exports: { default: async },
});

/// The version of the world, as names of its interfaces carry it.
pub(super) const VERSION: &str = "0.1.0";
