//! `cargo xtask bench`: the benchmarks live in the `passgate-tests` package and print their own ratios.
//! One of them starts the edge worker, which is built first.

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};
use crate::worker::{self, Flavour};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let bench = Task::new("cargo", "bench --package passgate-tests", &checkout.root)
        .remedy("Read the benchmark's own output above; benchmarks need a quiet machine.");
    let build = worker::build_step(checkout, Flavour::Bench);
    vec![build, Step::new("bench", move || bench.run().map(|()| Outcome::Done))]
}
