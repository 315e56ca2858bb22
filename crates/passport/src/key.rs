//! Ed25519 keys (RFC 8032), named by their RFC 7638 thumbprint.
//!
//! Keys are checked once, when they enter: a public key in hand is canonically encoded and not of small order.

use alloc::string::String;
use core::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::b64;

/// Why 32 bytes are not accepted as a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no point of the curve.
    #[error("public key is no curve point: use the 32-byte encoding of RFC 8032 section 5.1.2")]
    NotAPoint,
    /// A second spelling of a point: its coordinate is not reduced, or its sign bit is superfluous.
    #[error("public key is not canonically encoded: use the encoding of RFC 8032 section 5.1.2")]
    NonCanonical,
    /// A point of small order, for which signatures say nothing.
    #[error("public key is weak (small order): make a new key pair")]
    Weak,
}

/// The signature is not this key's signature over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature is not valid for this key and message")]
pub struct SignatureInvalid;

/// A public key with its thumbprint.
#[derive(Clone)]
pub struct PublicKey {
    key: VerifyingKey,
    thumbprint: String,
}

impl PublicKey {
    /// Takes the 32-byte encoding of RFC 8032 section 5.1.2.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no point, a non-canonical spelling or a point of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if !is_reduced(bytes) {
            return Err(KeyError::NonCanonical);
        }
        Ok(Self::from_checked(key))
    }

    fn from_checked(key: VerifyingKey) -> Self {
        let thumbprint = thumbprint(key.as_bytes());
        Self { key, thumbprint }
    }

    /// The canonical 32-byte encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// SHA-256 thumbprint of the JWK (RFC 7638, RFC 8037 appendix A.3): 43 base64url characters, used as `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Verifies strictly: `S` reduced, neither the key nor `R` of small order, no cofactor.
    ///
    /// # Errors
    /// [`SignatureInvalid`], also when `signature` is not 64 bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureInvalid> {
        #[cfg(test)]
        crate::counter::count(crate::counter::Work::Verification);
        let signature = Signature::from_slice(signature).map_err(|_| SignatureInvalid)?;
        self.key.verify_strict(message, &signature).map_err(|_| SignatureInvalid)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.thumbprint).finish()
    }
}

/// A secret key; wiped when dropped, and never printed.
pub struct SecretKey {
    key: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Takes the 32-byte seed of RFC 8032 section 5.1.5, which has to come from a secure random source.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        // A clamped scalar times the base point is canonical and never of small order.
        let public = PublicKey::from_checked(key.verifying_key());
        Self { key, public }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The RFC 8032 signature over `message`: deterministic, 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The seed, for writing the key out; kept inside the crate so that only encoders see it.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Whether the y coordinate is below p = 2^255-19 (RFC 8032 section 5.1.3 step 1). The only other second spelling, a
/// sign bit on x = 0, belongs to points of small order, which are refused before.
fn is_reduced([first, middle @ .., last]: &[u8; 32]) -> bool {
    *first < 0xed || middle.iter().any(|byte| *byte != 0xff) || (*last & 0x7f) != 0x7f
}

/// RFC 7638 section 3: SHA-256 over the required members in lexicographic order, without white space.
fn thumbprint(bytes: &[u8; 32]) -> String {
    let mut jwk = String::with_capacity(128);
    jwk.push_str(r#"{"crv":"Ed25519","kty":"OKP","x":""#);
    b64::push(&mut jwk, bytes);
    jwk.push_str(r#""}"#);
    b64::encode(&Sha256::digest(jwk))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    // RFC 8037 appendix A.1 to A.3.
    const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    fn rfc_key() -> SecretKey {
        SecretKey::from_seed(b64::decode_array(SEED).unwrap())
    }

    #[test]
    fn the_rfc_8037_key_has_its_public_half_and_thumbprint() {
        let key = rfc_key();
        assert_eq!(b64::encode(key.public().as_bytes()), PUBLIC);
        assert_eq!(key.public().thumbprint(), THUMBPRINT);
        let read = PublicKey::from_bytes(&b64::decode_array(PUBLIC).unwrap()).unwrap();
        assert_eq!(&read, key.public());
    }

    #[test]
    fn a_signature_covers_every_bit_of_the_message_and_itself() {
        let key = rfc_key();
        let signature = key.sign(b"message");
        assert_eq!(key.public().verify(b"message", &signature), Ok(()));
        assert_eq!(key.public().verify(b"messagf", &signature), Err(SignatureInvalid));
        for at in 0..signature.len() {
            let mut changed = signature;
            changed[at] ^= 1;
            assert_eq!(key.public().verify(b"message", &changed), Err(SignatureInvalid), "byte {at}");
        }
        assert_eq!(key.public().verify(b"message", &signature[..63]), Err(SignatureInvalid));
        assert_eq!(key.public().verify(b"message", &[&signature[..], &[0]].concat()), Err(SignatureInvalid));
    }

    /// Both hold for who takes the equation of RFC 8032 for the whole check.
    #[test]
    fn other_spellings_of_a_signature_and_points_of_small_order_are_refused() {
        let key = SecretKey::from_seed([7; 32]);
        let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let signature = key.sign(b"message");
        let mut malleated = signature;
        let mut carry = 0;
        for (byte, more) in malleated[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(carry, 0, "`S` and the order together are a scalar too");
        assert_eq!(key.public().verify(b"message", &malleated), Err(SignatureInvalid));
        // `R` is the neutral element, and `S` what makes the equation hold: the hash by the secret scalar.
        let scalar: [u8; 32] = hex("d4c5323131ff9683cfb3d30197c786c9043f1052d6c2d5293f19d6f36b911104");
        let mut neutral = [0; 64];
        neutral[0] = 1;
        neutral[32..].copy_from_slice(&scalar);
        let read = ed25519_dalek::Signature::from_bytes(&neutral);
        let lenient = VerifyingKey::from_bytes(key.public().as_bytes()).unwrap();
        assert!(ed25519_dalek::Verifier::verify(&lenient, b"message", &read).is_ok(), "the equation holds");
        assert_eq!(key.public().verify(b"message", &neutral), Err(SignatureInvalid));
    }

    fn hex(text: &str) -> [u8; 32] {
        core::array::from_fn(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap(), 16).unwrap())
    }

    #[test]
    fn weak_non_canonical_and_off_curve_encodings_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Weak));
        // y = 2 is no point; y = p + 3 is y = 3 spelled unreduced.
        let mut two = [0; 32];
        two[0] = 2;
        assert_eq!(PublicKey::from_bytes(&two), Err(KeyError::NotAPoint));
        let mut three = [0; 32];
        three[0] = 3;
        assert!(PublicKey::from_bytes(&three).is_ok());
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xf0;
        unreduced[31] = 0x7f;
        assert_eq!(PublicKey::from_bytes(&unreduced), Err(KeyError::NonCanonical));
    }

    #[test]
    fn debug_output_never_shows_the_secret() {
        let key = rfc_key();
        let shown = format!("{key:?}");
        assert!(shown.contains(THUMBPRINT));
        assert!(!shown.contains(SEED));
        assert!(!shown.contains(&format!("{:?}", key.seed().as_slice())));
    }

    /// What compressing the point again gives, where the bytes are a point at all.
    fn recompressed(bytes: &[u8; 32]) -> Option<[u8; 32]> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        Some(key.to_edwards().compress().to_bytes())
    }

    #[test]
    fn every_unreduced_encoding_is_refused() {
        let mut points = 0;
        for (first, sign) in (0xed..=0xff).flat_map(|first| [(first, 0x7f), (first, 0xff)]) {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (first, sign);
            assert!(PublicKey::from_bytes(&bytes).is_err(), "{first:x} {sign:x}");
            points += usize::from(recompressed(&bytes).is_some_and(|again| again != bytes));
        }
        assert!(points > 0, "none of the encodings was a point");
        // One below p is y = -1, of order two; further down there are accepted points.
        let accepted = (0..0xed_u8).filter(|first| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (*first, 0x7f);
            PublicKey::from_bytes(&bytes).is_ok()
        });
        assert!(accepted.count() > 50);
    }

    proptest! {
        #[test]
        fn an_accepted_encoding_is_the_points_only_one(mut bytes in any::<[u8; 32]>(), near_p in any::<bool>(), low in any::<u8>()) {
            if near_p {
                bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, bytes[31] & (0x7f | low));
            }
            if PublicKey::from_bytes(&bytes).is_ok() {
                prop_assert_eq!(recompressed(&bytes), Some(bytes));
            }
        }
    }
}
