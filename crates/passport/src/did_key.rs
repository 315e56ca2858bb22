//! `did:key` for Ed25519 (W3C did:key method): multibase base58btc of the multicodec prefix `ed01` and the key.

use alloc::format;
use alloc::string::String;

use crate::key::{KeyError, PublicKey};

/// What every `did:key` starts with.
pub const SCHEME: &str = "did:key:";

/// Multicodec `ed25519-pub` as a varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];

/// Base58 of 34 bytes that start with `ed01` has 47 characters.
const BASE58_CHARS: usize = 47;
/// A bound before the quadratic decoder runs.
const MAX_BASE58_CHARS: usize = BASE58_CHARS + 1;

/// Why a text is no `did:key` of an acceptable Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DidKeyError {
    /// Not `did:key:z` and base58 in its one spelling.
    #[error("not a did:key: it reads `did:key:z6Mk...`, without a fragment or a query")]
    Malformed,
    /// A key of another type.
    #[error("did:key is not of type Ed25519: it starts with `did:key:z6Mk`")]
    NotEd25519,
    /// The key itself is not acceptable.
    #[error("did:key: {0}")]
    Key(KeyError),
}

/// The `did:key` of a key.
#[must_use]
pub fn encode(key: &PublicKey) -> String {
    let mut bytes = [0_u8; 34];
    for (to, from) in bytes.iter_mut().zip(content(key)) {
        *to = from;
    }
    format!("{SCHEME}z{}", bs58::encode(bytes).into_string())
}

/// Whether `did` is the `did:key` of `key`: whether [`encode`] gives it, without the many divisions that takes.
#[must_use]
pub fn names(did: &str, key: &PublicKey) -> bool {
    let digits = did.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix('z')).map(str::as_bytes);
    // A number has one spelling of so many digits.
    let number = digits.filter(|digits| digits.len() == BASE58_CHARS).and_then(base58_number);
    let expected = [0; 40 - 34].into_iter().chain(content(key));
    number.is_some_and(|number| number.iter().flat_map(|limb| limb.to_be_bytes()).eq(expected))
}

fn content(key: &PublicKey) -> impl Iterator<Item = u8> {
    ED25519_PUB.iter().chain(key.as_bytes()).copied()
}

/// The value of 47 base58 digits, in 64-bit limbs from the highest on: they have under 276 bits.
fn base58_number(digits: &[u8]) -> Option<[u64; 5]> {
    let mut number = [0_u64; 5];
    // Of ten digits the value fits a limb.
    for few in digits.chunks(10) {
        let (mut value, mut scale) = (0_u64, 1_u64);
        for digit in few {
            value = value * 58 + u64::from(*BASE58_VALUES.get(usize::from(*digit)).filter(|value| **value < 58)?);
            scale *= 58;
        }
        let mut carry = u128::from(value);
        for limb in number.iter_mut().rev() {
            carry += u128::from(*limb) * u128::from(scale);
            *limb = carry as u64;
            carry >>= 64;
        }
    }
    Some(number)
}

/// The value of each digit in Bitcoin's alphabet; 255 of what is none.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, and refuses an index that is out of bounds")]
const BASE58_VALUES: [u8; 128] = {
    let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut values = [255; 128];
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The key of a `did:key`.
///
/// # Errors
/// [`DidKeyError`] for anything but the canonical spelling of an acceptable Ed25519 key.
pub fn decode(did: &str) -> Result<PublicKey, DidKeyError> {
    let base58 = did
        .strip_prefix(SCHEME)
        .and_then(|rest| rest.strip_prefix('z'))
        .filter(|rest| rest.len() <= MAX_BASE58_CHARS)
        .ok_or(DidKeyError::Malformed)?;
    let bytes = bs58::decode(base58).into_vec().map_err(|_| DidKeyError::Malformed)?;
    let (prefix, key) = bytes.split_first_chunk::<2>().ok_or(DidKeyError::Malformed)?;
    if *prefix != ED25519_PUB {
        return Err(DidKeyError::NotEd25519);
    }
    let key = <&[u8; 32]>::try_from(key).map_err(|_| DidKeyError::Malformed)?;
    PublicKey::from_bytes(key).map_err(DidKeyError::Key)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::key::SecretKey;

    // The first Ed25519 example of the did:key method specification: seed of 32 zero bytes.
    const ZERO_SEED: &str = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";

    #[test]
    fn no_greater_number_of_as_many_digits_names_a_key() {
        let key = SecretKey::from_seed([7; 32]);
        for above in 1..=u8::MAX {
            let bytes: Vec<u8> = core::iter::once(above).chain(content(key.public())).collect();
            let digits = bs58::encode(bytes).into_string();
            let did = format!("{SCHEME}z{digits}");
            assert!(!names(&did, key.public()) && decode(&did).is_err(), "{above}");
            assert!(above > 1 || digits.len() == BASE58_CHARS, "the case is one of the length that is read");
        }
    }

    #[test]
    fn the_specification_example_round_trips() {
        let key = SecretKey::from_seed([0; 32]);
        assert_eq!(encode(key.public()), ZERO_SEED);
        assert_eq!(&decode(ZERO_SEED).unwrap(), key.public());
    }

    #[test]
    fn nothing_but_the_encoding_names_a_key() {
        let key = SecretKey::from_seed([0; 32]);
        assert!(names(ZERO_SEED, key.public()));
        for at in 0..ZERO_SEED.len() {
            for byte in (0..128).filter(|byte| *byte != ZERO_SEED.as_bytes()[at]) {
                let mut changed = ZERO_SEED.as_bytes().to_vec();
                changed[at] = byte;
                assert!(!names(core::str::from_utf8(&changed).unwrap(), key.public()), "{byte} at {at}");
            }
            assert!(!names(ZERO_SEED.split_at(at).0, key.public()));
        }
        for other in [format!("{ZERO_SEED}1"), ZERO_SEED.replace(":z", ":z1"), format!(" {ZERO_SEED}")] {
            assert!(!names(&other, key.public()), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_named_by_its_own_encoding_alone(seeds: ([u8; 32], [u8; 32])) {
            let (one, other) = (SecretKey::from_seed(seeds.0), SecretKey::from_seed(seeds.1));
            assert!(names(&encode(one.public()), one.public()));
            assert_eq!(names(&encode(one.public()), other.public()), seeds.0 == seeds.1);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let fragment = format!("{ZERO_SEED}#z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
        let leading_one = ZERO_SEED.replace(":z", ":z1");
        for (did, error) in [
            ("", DidKeyError::Malformed),
            ("did:key:", DidKeyError::Malformed),
            ("did:key:z", DidKeyError::Malformed),
            ("did:web:example.com", DidKeyError::Malformed),
            ("DID:KEY:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", DidKeyError::Malformed),
            ("did:key:f6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp", DidKeyError::Malformed),
            ("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0", DidKeyError::Malformed),
            ("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp ", DidKeyError::Malformed),
            // secp256k1 and X25519 examples of the specification.
            ("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", DidKeyError::NotEd25519),
            ("did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc", DidKeyError::NotEd25519),
            (&fragment, DidKeyError::Malformed),
            (&leading_one, DidKeyError::NotEd25519),
        ] {
            assert_eq!(decode(did), Err(error), "{did}");
        }
    }

    #[test]
    fn weak_keys_are_refused() {
        let mut bytes = [0_u8; 34];
        bytes[..3].copy_from_slice(&[0xed, 0x01, 0x01]);
        let did = format!("did:key:z{}", bs58::encode(bytes).into_string());
        assert_eq!(decode(&did), Err(DidKeyError::Key(KeyError::Weak)));
    }
}
