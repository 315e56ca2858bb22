//! `cargo xtask wasm`: the crates that edge and browser builds are made of compile for wasm32-unknown-unknown.

use crate::Checkout;
use crate::process::Task;
use crate::setup::wasm_target::{self, TARGET, Toolchain};
use crate::steps::{Outcome, Step};

/// Each line is one `cargo check`: store and api only without the features that need an operating system.
const CHECKS: &[(&str, &str)] = &[
    ("wasm: pure crates", "--package passgate-passport --package passgate-core"),
    ("wasm: store and api", "--no-default-features --package passgate-store --package passgate-api"),
    ("wasm: the crate for plugins", "--package passgate-plugin"),
    ("wasm: the control routes", "--package passgate-api --features http"),
    ("wasm: the npm package", "--package passgate-pkg --all-features"),
];

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let mut steps = checks(checkout);
    steps.extend(worker_steps(checkout));
    steps
}

pub(crate) fn worker_steps(checkout: &Checkout) -> [Step; 2] {
    ["", "--features testing"].map(|features| worker(checkout, features))
}

/// The worker is empty on every other target, so the workspace's clippy sees nothing of it.
fn worker(checkout: &Checkout, features: &'static str) -> Step {
    let root = checkout.root.clone();
    let name = if features.is_empty() { "wasm: worker" } else { "wasm: worker for tests" };
    Step::new(name, move || {
        let toolchain = wasm_target::toolchain(&root)?;
        // Debian's toolchain has no clippy.
        let (command, warnings) = match toolchain {
            Toolchain::Current => ("clippy", "-- --deny warnings"),
            Toolchain::Debian => ("check", ""),
        };
        Task::new("cargo", toolchain.argument(), &root)
            .arg(command)
            .arg("--target")
            .arg(TARGET)
            .args("--package passgate-worker")
            .args(features)
            .args(warnings)
            .remedy("Mend what is named above; where a rule does not fit, `#[expect(rule, reason = \"...\")]`.")
            .run()
            .map(|()| Outcome::Done)
    })
}

fn checks(checkout: &Checkout) -> Vec<Step> {
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
