//! API keys: who may use the control routes over a network.
//!
//! A key is `pgk_` and 32 random bytes in base64url (43 characters), presented as `Authorization: Bearer <key>`
//! (RFC 6750). A gate knows its SHA-256 alone:
//!
//! ```json
//! [{ "id": "ci", "sha256": "<of the whole key text, 64 hex digits or 43 base64url characters>", "scopes": ["revoke"] }]
//! ```
//!
//! The key has all the entropy of its digest, so a fast hash gives nothing away. Keys and digests are never logged and
//! never in an error; the id is what may be.

use std::fmt;

use passgate_passport::b64;
use passgate_passport::json;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use super::reply::Reply;
use super::route::{Route, Scope};
use crate::answer::Problem;

/// What every key starts with.
pub const KEY_PREFIX: &str = "pgk_";
/// The random bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The most keys a gate knows: a check looks at all of them.
pub const MAX_KEYS: usize = 64;
/// The longest list read, in bytes.
const MAX_LIST_BYTES: usize = 64 * 1024;
/// The longest id of a key, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The keys that a gate knows.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    id: String,
    sha256: [u8; 32],
    scopes: Vec<Scope>,
}

/// One entry as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryDoc {
    id: String,
    sha256: String,
    scopes: Vec<String>,
}

/// A list of keys that cannot be used. It names no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// Not a list of entries.
    #[error("the API keys are not a JSON list of objects with `id`, `sha256` and `scopes`: {0}")]
    Form(String),
    /// More entries than are looked at.
    #[error("there are more than {MAX_KEYS} API keys")]
    TooMany,
    /// An entry that is not usable.
    #[error("API key {number}: {problem}")]
    Entry {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Why a request may not use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It presents no key, or more than one thing.
    #[error("the request presents no API key")]
    Missing,
    /// It presents one that the gate does not know.
    #[error("the API key is not known here")]
    Unknown,
    /// It presents one that is for other things.
    #[error("the API key does not have the scope {0}")]
    Scope(Scope),
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| &entry.id)).finish()
    }
}

impl ApiKeys {
    /// Reads the list. An empty one lets nobody in.
    ///
    /// # Errors
    ///
    /// [`ApiKeysError`].
    pub fn from_json(list: &[u8]) -> Result<Self, ApiKeysError> {
        let form = |error: json::JsonError| match error {
            // Its message quotes the document.
            json::JsonError::Shape(_) => ApiKeysError::Form("an entry has another shape".to_owned()),
            error => ApiKeysError::Form(error.to_string()),
        };
        let docs: Vec<EntryDoc> = json::parse_into(list, MAX_LIST_BYTES).map_err(form)?;
        if docs.len() > MAX_KEYS {
            return Err(ApiKeysError::TooMany);
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (doc, number) in docs.iter().zip(1..) {
            let entry = entry(doc).map_err(|problem| ApiKeysError::Entry { number, problem })?;
            if entries.iter().any(|other| other.id == entry.id || other.sha256 == entry.sha256) {
                return Err(ApiKeysError::Entry { number, problem: "its id or its digest stands twice" });
            }
            entries.push(entry);
        }
        Ok(Self(entries))
    }

    /// Whether a request with these values of `Authorization` may use `route`; the id of its key when the route needs
    /// one.
    ///
    /// # Errors
    ///
    /// [`KeyError`].
    pub fn authorise<'a>(
        &self,
        route: &Route,
        authorization: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<&str>, KeyError> {
        let Some(scope) = route.scope() else { return Ok(None) };
        let key = presented(authorization).ok_or(KeyError::Missing)?;
        let entry = self.find(key).ok_or(KeyError::Unknown)?;
        if entry.scopes.contains(&scope) { Ok(Some(&entry.id)) } else { Err(KeyError::Scope(scope)) }
    }

    /// Looks at every entry, and takes as long whether one matches or not.
    fn find(&self, key: &[u8]) -> Option<&Entry> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = u32::MAX;
        for (entry, number) in self.0.iter().zip(0_u32..) {
            found.conditional_assign(&number, digest.ct_eq(&entry.sha256));
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

fn entry(doc: &EntryDoc) -> Result<Entry, &'static str> {
    let is_id = |text: &str| {
        (1..=MAX_ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
    };
    if !is_id(&doc.id) {
        return Err("`id` is 1 to 64 letters, digits, `-`, `_`, `.` or `@`");
    }
    let sha256 = digest(&doc.sha256).ok_or("`sha256` is not 64 hex digits or 43 base64url characters")?;
    let scopes: Option<Vec<Scope>> = doc.scopes.iter().map(|name| Scope::from_name(name)).collect();
    let scopes = scopes.filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or("`scopes` is one or more of `ledger:read`, `revoke`, `budget:write`, `bundle:write`")?;
    Ok(Entry { id: doc.id.clone(), sha256, scopes })
}

/// A SHA-256 in hex or in base64url.
fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return b64::decode_array(text).ok();
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        // `from_str_radix` takes a sign.
        let digits =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// The key of the one `Authorization` field, when it has the form of one.
fn presented<'a>(authorization: impl IntoIterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let mut values = authorization.into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    let secret = key.strip_prefix(KEY_PREFIX.as_bytes())?;
    let is_key = std::str::from_utf8(secret).is_ok_and(|text| b64::decode_array::<KEY_BYTES>(text).is_ok());
    (scheme.eq_ignore_ascii_case(b"Bearer ") && is_key).then_some(key)
}

/// RFC 6750 section 3: a refusal says how to ask.
impl From<KeyError> for Reply {
    fn from(error: KeyError) -> Self {
        let detail = Some(error.to_string());
        match error {
            KeyError::Missing | KeyError::Unknown => {
                let problem = Problem::new(401, "api_key_rejected", "The route needs an API key of this gate.");
                let error = if error == KeyError::Unknown { ", error=\"invalid_token\"" } else { "" };
                Self::problem(&Problem { detail, ..problem })
                    .with("www-authenticate", format!("Bearer realm=\"passgate\"{error}"))
            }
            KeyError::Scope(scope) => {
                let problem = Problem::new(403, "api_key_scope", "The API key is not for this route.");
                let challenge = format!("Bearer realm=\"passgate\", error=\"insufficient_scope\", scope=\"{scope}\"");
                Self::problem(&Problem { detail, ..problem }).with("www-authenticate", challenge)
            }
        }
    }
}

#[cfg(test)]
mod tests;
