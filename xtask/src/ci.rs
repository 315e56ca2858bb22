//! `cargo xtask ci`: what continuous integration runs, the same on every machine.

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};
use crate::{component, setup, test, tidy, wasm, web, worker};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let mut steps = setup::steps(checkout);
    steps.extend(component::steps(checkout));
    steps.extend(web::build_steps(checkout));
    steps.push(format(checkout));
    steps.extend(tidy::steps(checkout));
    steps.push(clippy(checkout));
    steps.push(shipped(checkout));
    steps.extend(plugins(checkout));
    // That the other crates compile for WebAssembly is shown by the component, the web package and the worker.
    steps.extend(wasm::worker_steps(checkout));
    steps.extend(worker::release_steps(checkout));
    steps.extend(test::build_and_test(checkout));
    steps.push(web::test_step(checkout));
    steps
}

fn format(checkout: &Checkout) -> Step {
    let task = Task::new("cargo", "fmt --all --check", &checkout.root).remedy("Run `cargo fmt --all`.");
    Step::new("format", move || task.run().map(|()| Outcome::Done))
}

/// Without the worker, which is empty here and whose dependencies are many: `cargo xtask wasm` looks at it.
fn clippy(checkout: &Checkout) -> Step {
    let arguments = "clippy --workspace --exclude passgate-worker --all-targets --all-features -- --deny warnings";
    let task = Task::new("cargo", arguments, &checkout.root).remedy(
        "Mend what clippy names above; where a rule does not fit, `#[expect(rule, reason = \"...\")]` at the smallest item.",
    );
    Step::new("clippy", move || task.run().map(|()| Outcome::Done))
}

/// Tests compile every feature, those for tests alone among them; this is what a user compiles.
fn shipped(checkout: &Checkout) -> Step {
    let task = Task::new("cargo", "check --package passgate-cli", &checkout.root)
        .remedy("Mend what is named above: most often a dependency lacks a feature that only tests turn on.");
    Step::new("check as shipped", move || task.run().map(|()| Outcome::Done))
}

/// The example plugins have a workspace of their own; as components they are tested with the command line.
fn plugins(checkout: &Checkout) -> Vec<Step> {
    let workspace = "--manifest-path examples/plugins/Cargo.toml";
    let commands = [
        ("plugins: format", "fmt", "--all --check"),
        ("plugins: clippy", "clippy", "--locked --target-dir target/plugins --all-targets -- --deny warnings"),
        ("plugins: test", "test", "--locked --target-dir target/plugins"),
    ];
    let step = |(name, command, arguments): (&'static str, &str, &str)| {
        let task = Task::new("cargo", &format!("{command} {workspace} {arguments}"), &checkout.root)
            .remedy("Mend what is named above, in examples/plugins.");
        Step::new(name, move || task.run().map(|()| Outcome::Done))
    };
    commands.into_iter().map(step).collect()
}
