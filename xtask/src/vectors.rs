//! `cargo xtask vectors`: the crate that judges published test vectors as WebAssembly, compiled as what is shipped is.
//! `tests/tests/verdicts.rs` holds it against the same crate on this machine.

use crate::Checkout;
use crate::process::Task;
use crate::setup::wasm_target::TARGET;
use crate::small;
use crate::steps::{Outcome, Step};
use crate::test::VECTORS;

pub(crate) fn step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("vectors: WebAssembly", move || {
        if std::env::var_os(VECTORS).is_none() {
            return Ok(Outcome::Note(format!("skipped: {VECTORS} is not set")));
        }
        let compile = Task::new("cargo", "build --package passgate-verdicts --profile worker --target", &checkout.root)
            .arg(TARGET)
            .remedy("Mend the compile errors above.");
        small::compiling(&checkout, compile, &[])?.run()?;
        let target = checkout.root.join("target");
        Task::new(
            checkout.cargo_tool("wasm-bindgen"),
            "--target nodejs --no-typescript --out-name verdicts",
            &checkout.root,
        )
        .arg("--out-dir")
        .arg(target.join("vectors"))
        .arg(target.join(TARGET).join("worker").join("passgate_verdicts.wasm"))
        .remedy("If it is missing: cargo xtask setup")
        .run()
        .map(|()| Outcome::Done)
    })
}
