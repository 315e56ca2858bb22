//! What the pure crates are not allowed to have: the time and randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use passgate_core::attest::Stamp;
use passgate_core::time::UnixMillis;
use passgate_passport::jwe::Seed;
use zeroize::Zeroizing;

/// Time and randomness as a value. Only code can put another one in; no configuration can.
pub trait Environment: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> UnixMillis;

    /// Fills `bytes` from a secure source.
    ///
    /// # Errors
    ///
    /// When there is no secure randomness. The caller refuses: a guessable id is never made instead.
    fn random(&self, bytes: &mut [u8]) -> Result<(), RandomError>;

    /// What a record needs of both.
    ///
    /// # Errors
    ///
    /// As [`Environment::random`].
    fn stamp(&self) -> Result<Stamp, RandomError> {
        let mut random = [0; 10];
        self.random(&mut random)?;
        Ok(Stamp { now: self.now(), random })
    }

    /// What the keys are made from that a request's personal data is encrypted with.
    ///
    /// # Errors
    ///
    /// As [`Environment::random`].
    fn seed(&self) -> Result<Seed, RandomError> {
        let mut random = Zeroizing::new([0; Seed::BYTES]);
        self.random(random.as_mut_slice())?;
        Ok(Seed::new(*random))
    }
}

/// No secure randomness.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system gave no secure randomness: {0}")]
pub struct RandomError(pub String);

/// The operating system's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    /// A clock before 1970 reads as 1970, at which every credential is refused.
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(bytes).map_err(|error| RandomError(error.to_string()))
    }
}
