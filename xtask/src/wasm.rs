//! `cargo xtask wasm`: the crates that edge and browser builds are made of compile for wasm32-unknown-unknown.

use crate::Checkout;
use crate::process::Task;
use crate::setup::wasm_target::{self, TARGET};
use crate::steps::{Outcome, Step};

/// Each line is one `cargo check`: store and api only without the features that need an operating system.
const CHECKS: &[(&str, &str)] = &[
    ("wasm: pure crates", "--package passgate-passport --package passgate-core"),
    ("wasm: store and api", "--no-default-features --package passgate-store --package passgate-api"),
];

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    CHECKS
        .iter()
        .map(|&(name, packages)| {
            let root = checkout.root.clone();
            Step::new(name, move || {
                let toolchain = wasm_target::toolchain(&root)?;
                Task::new("cargo", toolchain.argument(), &root)
                    .arg("check")
                    .arg("--target")
                    .arg(TARGET)
                    .args(packages)
                    .remedy("These crates also run at the edge: no clock, files, sockets, threads or randomness.")
                    .run()
                    .map(|()| Outcome::Done)
            })
        })
        .collect()
}
