//! Random numbers that a failed test can be given again.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context as _, Result};

/// Names the seed to a test that has to run as it did before.
pub const SEED_VARIABLE: &str = "PASSGATE_TEST_SEED";

/// A sequence of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of the seed in [`SEED_VARIABLE`], or of a new one. Prints which.
    ///
    /// # Errors
    /// When the variable holds no number.
    pub fn of_environment() -> Result<Self> {
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(seed) => seed.parse().with_context(|| format!("{SEED_VARIABLE} is no number"))?,
            Err(_) => RandomState::new().hash_one(()),
        };
        println!("run again with {SEED_VARIABLE}={seed}");
        Ok(Self(seed))
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        // The first outputs of SplitMix64 for the seed 1234567.
        let mut chance = Chance(1_234_567);
        let bound = u64::MAX;
        assert_eq!(
            [chance.below(bound), chance.below(bound), chance.below(bound)],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
        assert_eq!((chance.below(1), chance.below(0)), (0, 0));
    }
}
