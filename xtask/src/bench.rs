//! `cargo xtask bench`: the benchmarks print their own ratios. That of chains lives with what it measures and needs
//! nothing else; the others live in the `passgate-tests` package. One of those starts the edge worker, which is built
//! first.

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};
use crate::worker::{self, Flavour};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let bench = |name, arguments| {
        let task = Task::new("cargo", arguments, &checkout.root)
            .remedy("Read the benchmark's own output above; benchmarks need a quiet machine.");
        Step::new(name, move || task.run().map(|()| Outcome::Done))
    };
    let build = worker::build_step(checkout, Flavour::Bench);
    let chains = bench("bench: chains", "bench --package passgate-passport --bench chains");
    vec![chains, build, bench("bench", "bench --package passgate-tests")]
}
