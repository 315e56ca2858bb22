//! Requests made of what rules name, to compare engines with and to measure.

mod case;
mod generate;
mod random;
pub(super) mod shape;

pub(super) use case::Case;
#[cfg(feature = "prove")]
pub(super) use case::Known;
pub(super) use generate::Generator;
pub(super) use random::Random;
