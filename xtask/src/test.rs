//! `cargo xtask test`: every test of the workspace, with the tools they need set up first.

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};
use crate::worker::Flavour;
use crate::{component, setup, vectors, web, worker};

/// The variable that names the folder of published test vectors.
pub(crate) const VECTORS: &str = "PASSGATE_VECTORS";

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let mut steps = setup::steps(checkout);
    steps.extend(component::steps(checkout));
    steps.extend(web::build_steps(checkout));
    steps.push(worker::build_step(checkout, Flavour::Release));
    steps.extend(build_and_test(checkout));
    steps.push(web::test_step(checkout));
    steps
}

/// What the tests start comes first: the vectors as WebAssembly, and the edge worker that takes its time and randomness
/// from them. `target/debug/passgate` is made by `cargo test` itself, for the tests of the command line, and others start
/// that one: with the features of a release all its dependencies would be compiled once more.
pub(crate) fn build_and_test(checkout: &Checkout) -> Vec<Step> {
    let program = checkout.root.join("target/debug/passgate");
    // The worker is empty here, and its dependencies are many.
    let test = Task::new("cargo", "test --workspace --exclude passgate-worker --all-features", &checkout.root)
        .env("PASSGATE_PROGRAM", &program.to_string_lossy())
        .remedy("Repeat one failing test with `cargo test --package <package> <test name>`.");
    vec![
        vectors::step(checkout),
        worker::build_step(checkout, Flavour::Testing),
        Step::new("test", move || test.run().map(|()| vectors_remark())),
    ]
}

fn vectors_remark() -> Outcome {
    match std::env::var_os(VECTORS) {
        Some(folder) => Outcome::Note(format!("vectors from {}", folder.to_string_lossy())),
        None => Outcome::Note(format!("tests of published vectors skipped: {VECTORS} is not set")),
    }
}
