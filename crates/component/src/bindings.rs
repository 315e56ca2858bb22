//! The Rust side of `wit/gate.wit`, generated.
#![expect(unsafe_code, reason = "lifting and lowering at the component boundary is generated with pointers")]

use super::Component;

wit_bindgen::generate!({
    path: "../../wit/gate.wit",
    world: "gate",
});

export!(Component with_types_in self);
