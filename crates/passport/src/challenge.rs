//! Challenges: texts that a gate gives out and that a proof has to answer, so that no proof can be made in advance
//! (RFC 9449 section 8; the same for message signatures).
//!
//! A challenge is an HMAC over the gate and the present, so nobody has to remember which were given out, and every
//! instance of a gate that has the key knows them.

use alloc::string::String;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::b64;
use crate::key::SecretKey;

/// For how long one challenge is given out, in seconds. It is accepted for as long again.
pub const CHALLENGE_SECONDS: i64 = 120;
/// How far the clocks of two instances of one gate may be apart, in seconds.
const SKEW_SECONDS: i64 = 30;
/// 128 bits: nobody guesses it in four minutes.
const CHALLENGE_BYTES: usize = 16;

/// What a gate's challenges are made with.
#[derive(Clone)]
pub struct ChallengeKey(Zeroizing<[u8; 32]>);

impl ChallengeKey {
    /// Takes 32 bytes from a secure random source.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The one that belongs to a gate's signing key. The one says nothing of the other.
    #[must_use]
    pub fn of(key: &SecretKey) -> Self {
        Self(Zeroizing::new(mac(&key.seed(), &[b"passgate challenge key 1"])))
    }

    /// The bytes, for the place that judges.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The challenge that the gate `gate_id` gives out at `now` (unix seconds): 22 characters of base64url.
    #[must_use]
    pub fn challenge(&self, gate_id: &str, now: i64) -> String {
        let period = now.div_euclid(CHALLENGE_SECONDS).to_be_bytes();
        let whole = mac(&self.0, &[b"challenge\0", &period, gate_id.as_bytes()]);
        b64::encode(whole.get(..CHALLENGE_BYTES).unwrap_or_default())
    }

    /// The challenges that it accepts at `now`: the present one, the one before, and one that an instance whose clock is
    /// a little ahead may have given out.
    #[must_use]
    pub fn accepted(&self, gate_id: &str, now: i64) -> [String; 3] {
        let at = |offset: i64| self.challenge(gate_id, now.saturating_add(offset));
        [at(0), at(-CHALLENGE_SECONDS), at(SKEW_SECONDS)]
    }
}

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey")
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than a block is one with zeros behind it (RFC 2104 section 2), and so it has a type that fits.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    block.zeroize();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ChallengeKey {
        ChallengeKey::of(&SecretKey::from_seed([1; 32]))
    }

    #[test]
    fn a_challenge_is_accepted_for_two_to_four_minutes() {
        let given = key().challenge("gate", 1_800_000_000);
        assert_eq!(given.len(), 22);
        for (now, accepted) in [(-31, false), (-30, true), (0, true), (119, true), (239, true), (240, false)] {
            assert_eq!(key().accepted("gate", 1_800_000_000 + now).contains(&given), accepted, "{now}");
        }
    }

    #[test]
    fn challenges_of_other_gates_and_keys_are_others() {
        let given = key().challenge("gate", 0);
        assert_ne!(given, key().challenge("gate_2", 0));
        assert_ne!(given, ChallengeKey::new([0; 32]).challenge("gate", 0));
        assert_ne!(key().as_bytes(), &[1; 32]);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(alloc::format!("{:?}", key()), "ChallengeKey");
    }
}
