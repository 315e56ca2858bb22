//! `cargo xtask bench`: the benchmarks live in the `passgate-tests` package and print their own ratios.

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let bench = Task::new("cargo", "bench --package passgate-tests", &checkout.root)
        .remedy("Read the benchmark's own output above; benchmarks need a quiet machine.");
    vec![Step::new("bench", move || bench.run().map(|()| Outcome::Done))]
}
