//! Making a status list token.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde::Serialize;

use super::is_uri_text;
use super::list::{MAX_STATUS_LIST_BYTES, MAX_STATUS_LIST_TOKEN_BYTES};
use crate::b64;
use crate::claims::is_identifier;
use crate::json::MAX_SAFE_INTEGER;
use crate::jws::{self, TokenType};
use crate::key::SecretKey;

/// As small as it gets: a list is made once and sent often.
const COMPRESSION_LEVEL: u8 = 9;

/// What a new list shall say. One bit an entry: each is valid, or revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStatusList {
    /// The issuer's id: 1 to 256 visible ASCII characters.
    pub iss: String,
    /// The list's URI, as passports will name it: 1 to 1024 visible ASCII characters.
    pub uri: String,
    /// Issued at, unix seconds.
    pub iat: i64,
    /// The first unix second in which it holds no longer; after `iat`.
    pub exp: Option<i64>,
    /// For how many seconds it may be kept before a newer one is asked for; positive.
    pub ttl_seconds: Option<u64>,
    /// How many entries: 1 to 8 times [`MAX_STATUS_LIST_BYTES`], rounded up to a multiple of 8.
    pub entries: u64,
    /// The entries that are revoked, each below `entries`.
    pub revoked: BTreeSet<u64>,
}

/// Why a list was not issued: no verifier would accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueListError {
    /// The issuer's id is malformed.
    #[error("status list issuer is not 1 to 256 visible ASCII characters")]
    Issuer,
    /// The URI is malformed.
    #[error("status list URI is not 1 to 1024 visible ASCII characters")]
    Uri,
    /// A time is out of range.
    #[error("status list times: `iat` is from 0 to 2^53-1, `exp` after it, and `ttl` positive")]
    Times,
    /// Too many entries, or none.
    #[error("status list has to have 1 to 8388608 entries: split it into several lists")]
    Entries,
    /// A revoked entry beyond the end.
    #[error("status list entry {index} is beyond its end: a list of {entries} entries ends at {}", entries.saturating_sub(1))]
    Index {
        /// The entry.
        index: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// Longer than [`MAX_STATUS_LIST_TOKEN_BYTES`], or not to be encoded.
    #[error("status list token exceeds 2 MiB: split it into several lists")]
    TooLarge,
}

/// Issues a status list token signed by `key`. Equal arguments give equal bytes on every runtime.
///
/// # Errors
/// [`IssueListError`] for the first thing no verifier would accept.
pub fn issue(key: &SecretKey, list: &NewStatusList) -> Result<String, IssueListError> {
    list.check()?;
    let payload = Payload {
        exp: list.exp,
        iat: list.iat,
        iss: &list.iss,
        status_list: Packed { bits: 1, lst: b64::encode(&compress_to_vec_zlib(&list.packed()?, COMPRESSION_LEVEL)) },
        sub: &list.uri,
        ttl: list.ttl_seconds,
    };
    // Strings and integers always serialise.
    let payload = serde_json::to_string(&payload).map_err(|_| IssueListError::TooLarge)?;
    let token = jws::sign(key, TokenType::StatusList, payload.as_bytes());
    if token.len() > MAX_STATUS_LIST_TOKEN_BYTES { Err(IssueListError::TooLarge) } else { Ok(token) }
}

impl NewStatusList {
    fn check(&self) -> Result<(), IssueListError> {
        let is_date = |seconds: i64| u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_SAFE_INTEGER);
        let holds = is_date(self.iat)
            && self.exp.is_none_or(|exp| is_date(exp) && exp > self.iat)
            && self.ttl_seconds.is_none_or(|ttl| (1..=MAX_SAFE_INTEGER).contains(&ttl));
        if !is_identifier(&self.iss) {
            return Err(IssueListError::Issuer);
        }
        if !is_uri_text(&self.uri) {
            return Err(IssueListError::Uri);
        }
        if holds { Ok(()) } else { Err(IssueListError::Times) }
    }

    /// One bit an entry, from the lowest bit of each byte.
    fn packed(&self) -> Result<Vec<u8>, IssueListError> {
        let bytes = usize::try_from(self.entries.div_ceil(8)).ok();
        let bytes = bytes.filter(|bytes| (1..=MAX_STATUS_LIST_BYTES).contains(bytes)).ok_or(IssueListError::Entries)?;
        let mut packed = vec![0_u8; bytes];
        for index in self.revoked.iter().copied() {
            let beyond = IssueListError::Index { index, entries: self.entries };
            let byte = usize::try_from(index / 8).ok().filter(|_| index < self.entries);
            let byte = byte.and_then(|at| packed.get_mut(at)).ok_or(beyond)?;
            *byte |= 1 << (index % 8);
        }
        Ok(packed)
    }
}

/// The payload as written; the order of the fields is the order of the bytes.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    iss: &'a str,
    status_list: Packed,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

#[derive(Serialize)]
struct Packed {
    bits: u8,
    lst: String,
}
