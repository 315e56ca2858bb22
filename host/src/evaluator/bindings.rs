//! The host's side of `wit/gate.wit`, generated.

wasmtime::component::bindgen!({
    path: "../wit/gate.wit",
    world: "gate",
});
