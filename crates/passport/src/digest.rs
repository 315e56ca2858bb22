//! `Content-Digest` (RFC 9530): making one, and recomputing one that was received; and how a digest is named elsewhere.
//!
//! The digest is taken over the bytes of the message content as sent, that is after any content coding.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::BareItemFromInput;
use sha2::{Digest as _, Sha256, Sha512};

use crate::fields::{self, Value};

/// Longest accepted field value in bytes, all lines together. Two digests need 160.
pub const MAX_CONTENT_DIGEST_BYTES: usize = 1024;

/// Why a `Content-Digest` field does not vouch for a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The field is longer than [`MAX_CONTENT_DIGEST_BYTES`].
    #[error("content-digest is longer than {MAX_CONTENT_DIGEST_BYTES} bytes")]
    TooLong,
    /// The field is not a dictionary of byte sequences with distinct, lower-case keys.
    #[error("content-digest is not a dictionary of byte sequences such as `sha-256=:…:` (RFC 9530)")]
    Malformed,
    /// Neither `sha-256` nor `sha-512` is there. Other algorithms are unknown or deprecated and prove nothing.
    #[error("content-digest has neither sha-256 nor sha-512; send one of them")]
    NoActiveAlgorithm,
    /// A digest has the wrong number of bytes for its algorithm.
    #[error("the {algorithm} member of content-digest has the wrong length")]
    WrongLength {
        /// Algorithm key of the member.
        algorithm: &'static str,
    },
    /// A digest was made over other bytes than this body.
    #[error("the {algorithm} digest does not match the body received; sign the bytes that are sent")]
    Mismatch {
        /// Algorithm key of the member.
        algorithm: &'static str,
    },
}

/// The field value for a body: `sha-256=:<base64>:`.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    let mut field = String::with_capacity(54);
    field.push_str("sha-256=:");
    STANDARD.encode_string(Sha256::digest(body), &mut field);
    field.push(':');
    field
}

/// `sha256:` and the hex digest, in lower case.
#[must_use]
pub fn sha256_label(digest: &[u8; 32]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut label = String::with_capacity(71);
    label.push_str("sha256:");
    label.extend(nibbles.map(|nibble| char::from(*HEX.get(usize::from(nibble)).unwrap_or(&b'0'))));
    label
}

/// The digest that [`sha256_label`] wrote, in its one spelling.
#[must_use]
pub fn read_sha256_label(label: &str) -> Option<[u8; 32]> {
    let (digits, rest) = label.strip_prefix("sha256:")?.as_bytes().as_chunks::<2>();
    let mut digest = [0; 32];
    if !rest.is_empty() || digits.len() != digest.len() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(digits) {
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Recomputes the digests of a received field over `body`.
///
/// `field_values` are the values of all lines of the field. `sha-256` and `sha-512` are active; every active member
/// must match and there must be at least one. Members with other algorithms are ignored when an active one is present.
///
/// # Errors
/// See [`DigestError`]; any error means the field says nothing about the body.
pub fn check_content_digest(field_values: &[&[u8]], body: &[u8]) -> Result<(), DigestError> {
    let size: usize = field_values.iter().map(|value| value.len() + 2).sum();
    if size > MAX_CONTENT_DIGEST_BYTES + 2 {
        return Err(DigestError::TooLong);
    }
    let text = field_values.join(&b", "[..]);
    let mut active = 0usize;
    for (algorithm, digest) in digests(&text)? {
        active += usize::from(check_member(algorithm, &digest, body)?);
    }
    if active == 0 { Err(DigestError::NoActiveAlgorithm) } else { Ok(()) }
}

/// The members of the field, refusing anything but byte sequences under distinct keys.
fn digests(text: &[u8]) -> Result<Vec<(&str, Vec<u8>)>, DigestError> {
    let members = fields::parse_dictionary(text).map_err(|_| DigestError::Malformed)?;
    let mut found: Vec<(&str, Vec<u8>)> = Vec::with_capacity(members.len());
    for member in members {
        let Value::Item(BareItemFromInput::ByteSequence(digest)) = member.value else {
            return Err(DigestError::Malformed);
        };
        if found.iter().any(|(key, _)| *key == member.key) {
            return Err(DigestError::Malformed);
        }
        found.push((member.key, digest));
    }
    Ok(found)
}

/// Whether the member uses an active algorithm; an active member that does not match is an error.
fn check_member(algorithm: &str, digest: &[u8], body: &[u8]) -> Result<bool, DigestError> {
    match algorithm {
        "sha-256" => compare("sha-256", digest, &Sha256::digest(body))?,
        "sha-512" => compare("sha-512", digest, &Sha512::digest(body))?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn compare(algorithm: &'static str, received: &[u8], computed: &[u8]) -> Result<(), DigestError> {
    if received.len() != computed.len() {
        return Err(DigestError::WrongLength { algorithm });
    }
    if received != computed {
        return Err(DigestError::Mismatch { algorithm });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// The body and digests used throughout RFC 9421 and RFC 9530.
    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const SHA256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
    const SHA512: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    fn check(field: &str) -> Result<(), DigestError> {
        check_content_digest(&[field.as_bytes()], BODY)
    }

    #[test]
    fn the_digests_of_the_rfc_examples() {
        assert_eq!(content_digest(BODY), SHA256);
        assert_eq!(content_digest(b""), "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
        assert_eq!(check(SHA256), Ok(()));
        assert_eq!(check(SHA512), Ok(()));
    }

    #[test]
    fn every_active_member_must_match() {
        let wrong256 = content_digest(b"other");
        assert_eq!(check(&format!("{SHA256}, {SHA512}")), Ok(()));
        assert_eq!(check(&format!("{SHA512}, {wrong256}")), Err(DigestError::Mismatch { algorithm: "sha-256" }));
        assert_eq!(check(&format!("{wrong256}, {SHA512}")), Err(DigestError::Mismatch { algorithm: "sha-256" }));
        assert_eq!(check_content_digest(&[SHA256.as_bytes(), SHA512.as_bytes()], BODY), Ok(()));
        assert_eq!(
            check_content_digest(&[SHA512.as_bytes(), wrong256.as_bytes()], BODY),
            Err(DigestError::Mismatch { algorithm: "sha-256" })
        );
    }

    #[test]
    fn other_algorithms_prove_nothing() {
        assert_eq!(check(""), Err(DigestError::NoActiveAlgorithm));
        assert_eq!(check_content_digest(&[], BODY), Err(DigestError::NoActiveAlgorithm));
        for weak in ["md5", "sha", "unixsum", "crc32c", "adler", "id-sha-256", "sha-384", "sha256"] {
            assert_eq!(check(&format!("{weak}=:AAAA:")), Err(DigestError::NoActiveAlgorithm), "{weak}");
            assert_eq!(check(&format!("{weak}=:AAAA:, {SHA256}")), Ok(()), "{weak}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for field in ["sha-256=::", "sha-256=:AAAA:", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPEA:"] {
            assert_eq!(check(field), Err(DigestError::WrongLength { algorithm: "sha-256" }), "{field}");
        }
        let short512 = SHA256.replace("sha-256", "sha-512");
        assert_eq!(check(&short512), Err(DigestError::WrongLength { algorithm: "sha-512" }));
    }

    #[test]
    fn anything_else_is_malformed() {
        let upper = SHA256.replace("sha", "SHA");
        let twice = format!("{SHA256}, {SHA256}");
        let comma = format!("{SHA256},");
        let token = format!("{SHA256}, md5=abc");
        let list = "sha-256=(:AAAA:)";
        for field in [upper.as_str(), &twice, &comma, &token, list, "sha-256", "sha-256=X48=", "sha-256=:X48", "\u{e9}"]
        {
            assert_eq!(check(field), Err(DigestError::Malformed), "{field}");
        }
    }

    #[test]
    fn the_field_is_bounded() {
        let filler = |bytes: usize| format!("{SHA256}, x=:{}:", "A".repeat(bytes - SHA256.len() - 6));
        assert_eq!(check(&filler(MAX_CONTENT_DIGEST_BYTES)), Ok(()));
        assert_eq!(check(&filler(MAX_CONTENT_DIGEST_BYTES + 4)), Err(DigestError::TooLong));
    }
}
