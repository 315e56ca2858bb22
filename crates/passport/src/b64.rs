//! Strict base64url without padding (RFC 4648 section 5, as RFC 7515 section 2 uses it).
//!
//! One byte string has exactly one spelling: padding, white space, the `+/` alphabet and non-zero trailing bits are refused.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text is not canonical base64url without padding, or not of the expected length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not canonical base64url: use the URL alphabet without padding, white space or stray trailing bits")]
pub struct Base64Error;

/// Encodes `bytes`; empty input gives the empty string.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of `bytes` to `text`.
pub(crate) fn push(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes `text`; the result re-encodes to exactly `text`.
///
/// # Errors
/// [`Base64Error`] for anything but the canonical spelling.
pub fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Base64Error)
}

/// Decodes `text` to exactly `N` bytes.
///
/// # Errors
/// [`Base64Error`] for anything but the canonical spelling of `N` bytes.
pub fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base64Error> {
    // The length is settled first, so an oversized text costs nothing.
    if text.len() != N.saturating_mul(4).div_ceil(3) {
        return Err(Base64Error);
    }
    let mut bytes = [0_u8; N];
    let written = URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes).map_err(|_| Base64Error)?;
    if written == N { Ok(bytes) } else { Err(Base64Error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_other_than_the_canonical_one_are_refused() {
        for text in ["YQ==", "YQ=", "YR", "Y Q", "YQ\n", " YQ", "+/8", "Y", "YQ.", "\u{e9}"] {
            assert_eq!(decode(text), Err(Base64Error), "{text:?}");
        }
        assert_eq!(decode("YQ").unwrap(), b"a");
        assert_eq!(decode("-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(decode("").unwrap(), b"");
    }

    #[test]
    fn arrays_have_exactly_their_length() {
        assert_eq!(decode_array::<1>("YQ").unwrap(), *b"a");
        for text in ["", "Y", "YR", "YWI", "YQ=", "YQ=="] {
            assert_eq!(decode_array::<1>(text), Err(Base64Error), "{text:?}");
        }
    }
}
