//! Time and randomness of the command line itself.

use passgate_core::time::UnixMillis;
use passgate_host::env::{Environment as _, SystemEnvironment};
use passgate_passport::jwe::{DecryptionKey, Seed};
use passgate_passport::key::SecretKey;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// The present, by this machine's clock.
pub(crate) fn now() -> UnixMillis {
    SystemEnvironment.now()
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemEnvironment.random(bytes.as_mut_slice()).map_err(Failure::unexpected)?;
    Ok(bytes)
}

/// A new secret key.
pub(crate) fn new_key() -> Result<SecretKey, Failure> {
    Ok(SecretKey::from_seed(*random::<32>()?))
}

/// What is given to a judgement that may encrypt.
pub(crate) fn seed() -> Result<Seed, Failure> {
    SystemEnvironment.seed().map_err(Failure::unexpected)
}

/// A new pair of keys that personal data is encrypted with.
pub(crate) fn new_decryption_key() -> Result<DecryptionKey, Failure> {
    Ok(DecryptionKey::from_seed(*random::<32>()?))
}

/// A fresh nonce for a proof: 128 random bits.
pub(crate) fn nonce() -> Result<String, Failure> {
    Ok(passgate_passport::b64::encode(random::<16>()?.as_slice()))
}
