//! What work a thread has done, for tests of what a verdict costs.

use core::cell::Cell;

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// A signature was verified, valid or not.
    Verification,
    /// A passport of a chain was read, well-formed or not.
    Reading,
}

std::thread_local! {
    static COUNTS: [Cell<usize>; 2] = const { [Cell::new(0), Cell::new(0)] };
}

pub(crate) fn count(work: Work) {
    COUNTS.with(|counts| counts[work as usize].update(|count| count + 1));
}

/// What `work` gives, and how many signatures it verified and how many passports of chains it read.
pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (T, [usize; 2]) {
    let counts = || COUNTS.with(|counts| counts.each_ref().map(Cell::get));
    let before = counts();
    let done = work();
    let after = counts();
    (done, [after[0] - before[0], after[1] - before[1]])
}

/// What `work` gives, and how many signatures it verified.
pub(crate) fn verifications<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let (done, [verifications, _]) = cost(work);
    (done, verifications)
}
