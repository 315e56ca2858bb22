//! JWK Sets whose keys say when they count.
//!
//! Beside the members of a JWK, a key may have these, integers of unix seconds from 0 to 2^53 - 1:
//!
//! - `not_before` and `not_after`: the first and the last second in which it may be used;
//! - `compromised_at`: what it signed with an `iat` from this second on is void.
//!
//! [`jwk::parse_set`] reads the same sets for whoever needs the keys alone.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{self, MAX_SAFE_INTEGER, Members, Node};
use crate::jwk::{self, JwkError, MAX_JWKS_BYTES};
use crate::trust::IssuerKey;

/// A key with its times, whoever it belongs to.
pub type DatedKey = IssuerKey;

/// Reads a JWK Set with the times of its keys, under the limits and rules of [`jwk::parse_set`].
///
/// # Errors
/// [`JwkError`]; a time of another type refuses the set, because without it the key would count for ever.
pub fn parse(bytes: &[u8]) -> Result<Vec<IssuerKey>, JwkError> {
    let set = json::read(bytes, MAX_JWKS_BYTES).map_err(JwkError::Json)?;
    let mut keys: Vec<IssuerKey> = Vec::new();
    for members in jwk::ed25519_members(&set)? {
        let key = jwk::from_members(members, &jwk::ALGORITHMS)?;
        if keys.iter().any(|entry| entry.key == key) {
            return Err(JwkError::DuplicateKey);
        }
        keys.push(IssuerKey {
            key,
            not_before: time(members, "not_before")?,
            not_after: time(members, "not_after")?,
            compromised_at: time(members, "compromised_at")?,
        });
    }
    Ok(keys)
}

/// Writes a JWK Set that [`parse`] reads back.
#[must_use]
pub fn emit<'k>(keys: impl IntoIterator<Item = &'k IssuerKey>) -> String {
    let keys: Vec<String> = keys.into_iter().map(emit_key).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// The public JWK as [`to_jwk`](crate::key::PublicKey::to_jwk) writes it, with the times that there are at its end.
fn emit_key(entry: &IssuerKey) -> String {
    let mut jwk = entry.key.to_jwk();
    let times =
        [("not_before", entry.not_before), ("not_after", entry.not_after), ("compromised_at", entry.compromised_at)];
    let times: String = times
        .into_iter()
        .filter_map(|(name, seconds)| seconds.map(|seconds| format!(r#","{name}":{seconds}"#)))
        .collect();
    jwk.pop();
    jwk.push_str(&times);
    jwk.push('}');
    jwk
}

fn time(members: &Members<'_>, member: &'static str) -> Result<Option<i64>, JwkError> {
    let Some(value) = members.get(member) else { return Ok(None) };
    let seconds = Node::as_u64(value).filter(|seconds| *seconds <= MAX_SAFE_INTEGER);
    let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
    seconds.map(Some).ok_or(JwkError::Member { member, problem: "is not an integer of unix seconds from 0 to 2^53-1" })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::key::SecretKey;

    fn entry(seed: u8) -> IssuerKey {
        IssuerKey::unbounded(SecretKey::from_seed([seed; 32]).public().clone())
    }

    #[test]
    fn a_set_reads_back_with_its_times() {
        let keys = vec![
            entry(1),
            IssuerKey { not_before: Some(0), not_after: Some(9), ..entry(2) },
            IssuerKey { compromised_at: Some(7), ..entry(3) },
        ];
        let set = emit(&keys);
        assert_eq!(parse(set.as_bytes()), Ok(keys));
        // Keys without times stand as they always did.
        assert_eq!(emit([&entry(1)]), jwk::emit_set([&entry(1).key]));
        assert_eq!(jwk::parse_set(set.as_bytes()), Ok(vec![entry(1).key, entry(2).key, entry(3).key]));
    }

    #[test]
    fn a_time_that_is_none_refuses_the_set() {
        for time in ["\"1\"", "1.5", "-1", "null", "true"] {
            for name in ["not_before", "not_after", "compromised_at"] {
                let jwk = entry(1).key.to_jwk();
                let set = format!(r#"{{"keys":[{},"{name}":{time}}}]}}"#, jwk.trim_end_matches('}'));
                assert!(
                    matches!(parse(set.as_bytes()), Err(JwkError::Member { member, .. }) if member == name),
                    "{set}"
                );
            }
        }
    }

    #[test]
    fn the_rules_of_sets_hold() {
        let far = emit([&IssuerKey { not_after: Some(1 << 53), ..entry(1) }]);
        assert!(matches!(parse(far.as_bytes()), Err(JwkError::Json(_))));
        let twice = emit([&entry(1), &IssuerKey { not_after: Some(1), ..entry(1) }]);
        assert_eq!(parse(twice.as_bytes()), Err(JwkError::DuplicateKey));
        let private = format!(r#"{{"keys":[{}]}}"#, *SecretKey::from_seed([1; 32]).to_private_jwk());
        assert_eq!(parse(private.as_bytes()), Err(JwkError::Private));
        let other = br#"{"keys":[{"kty":"EC","crv":"P-256","not_after":"x"}]}"#;
        assert_eq!(parse(other), Ok(vec![]));
        let many: Vec<IssuerKey> = (0..65).map(entry).collect();
        assert_eq!(parse(emit(&many).as_bytes()), Err(JwkError::TooManyKeys));
    }
}
