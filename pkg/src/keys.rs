//! Keys that records are verified with.

use passgate_passport::json;
use passgate_passport::jwk;
use passgate_passport::key::PublicKey;

/// Longest set of keys, in bytes: 64 keys and what stands around them.
const MAX_KEYS_BYTES: usize = 64 * 1024;

/// The keys of a JWKS, of an array of JWKs, or the one of a JWK.
///
/// # Errors
///
/// When it is none of these, when one of the keys is not acceptable, or when there is none.
pub(crate) fn trusted(text: &str) -> Result<Vec<PublicKey>, String> {
    let document = json::read(text.as_bytes(), MAX_KEYS_BYTES).map_err(|error| format!("keys: {error}"))?;
    let is_set = document.as_object().is_some_and(|members| members.contains_key("keys"));
    let set = match document.as_array() {
        Some(_) => format!(r#"{{"keys":{text}}}"#),
        None if is_set => text.to_owned(),
        None => format!(r#"{{"keys":[{text}]}}"#),
    };
    let keys = jwk::parse_set(set.as_bytes()).map_err(|error| format!("keys: {error}"))?;
    if keys.is_empty() {
        return Err("keys: there is no Ed25519 key among them".to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use passgate_passport::key::SecretKey;

    use super::*;

    #[test]
    fn a_set_an_array_and_a_key_are_the_same() {
        let key = SecretKey::from_seed([7; 32]).public().clone();
        let jwk = key.to_jwk();
        for text in [format!(r#"{{"keys":[{jwk}]}}"#), format!("[{jwk}]"), jwk] {
            assert_eq!(trusted(&text).unwrap(), std::slice::from_ref(&key));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let private = SecretKey::from_seed([7; 32]).to_private_jwk();
        for text in ["", "[]", "{}", "7", "null", r#"{"keys":7}"#, r#"[],"x":[]"#, private.as_str()] {
            assert!(trusted(text).unwrap_err().starts_with("keys: "), "{text}");
        }
    }
}
