//! Reading and verifying a status list token.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::is_uri_text;
use crate::b64;
use crate::json::{self, JsonError, MAX_SAFE_INTEGER, Members, Node};
use crate::jws::{self, JwsError, TokenType};
use crate::passport::MAX_LEEWAY_SECONDS;
use crate::trust::{Issuer, IssuerKey};

/// The longest list once inflated, in bytes: 8 million entries of one bit.
pub const MAX_STATUS_LIST_BYTES: usize = 1024 * 1024;

/// The longest status list token in bytes: the longest list when nothing of it can be compressed, base64url twice.
pub const MAX_STATUS_LIST_TOKEN_BYTES: usize = 2 * 1024 * 1024;

/// What a list says of one entry (section 7.1 of the draft).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 0x00: the token is valid.
    Valid,
    /// 0x01: the token is revoked for good.
    Invalid,
    /// 0x02: the token is suspended for now.
    Suspended,
    /// Any other value. It has no meaning here, and least of all that of valid.
    Other(u8),
    /// The list has no such entry.
    OutOfRange,
}

impl Status {
    /// `valid`, `invalid`, `suspended`, `other` or `out_of_range`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Suspended => "suspended",
            Self::Other(_) => "other",
            Self::OutOfRange => "out_of_range",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(value) => write!(f, "other (0x{value:02x})"),
            named => f.write_str(named.as_str()),
        }
    }
}

/// What a status list token is verified against.
#[derive(Debug, Clone, Copy)]
pub struct StatusListContext<'a> {
    /// Who has to have signed it.
    pub issuer: &'a Issuer,
    /// The URI it was asked for by, which has to be its `sub`; `None` for one that was not asked for by a URI.
    pub uri: Option<&'a str>,
    /// The present, in unix seconds.
    pub now: i64,
    /// Tolerated difference between clocks, from 0 to [`MAX_LEEWAY_SECONDS`].
    pub leeway_seconds: i64,
}

/// Why a status list token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusListError {
    /// Not a token of the right form, or its signature does not verify.
    #[error("status list: {0}")]
    Token(#[from] JwsError),
    /// The payload is not strict JSON.
    #[error("status list payload: {0}")]
    Json(JsonError),
    /// A claim is missing, of the wrong type or outside its limits.
    #[error("status list claim `{claim}` {problem}")]
    Claim {
        /// The claim in question.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The key is not one the issuer may sign with at `iat`.
    #[error("status list `kid` names no key its issuer may use at `iat`: register the key, or have it signed again")]
    KeyUnknown,
    /// The key was compromised by `iat`.
    #[error(
        "status list is dated {iat} and its issuer's key is compromised since {since}: have it signed again with a current key"
    )]
    KeyCompromised {
        /// Its `iat`, unix seconds.
        iat: i64,
        /// Since when the key is compromised, unix seconds.
        since: i64,
    },
    /// `iss` names somebody else.
    #[error("status list `iss` is not the issuer it was expected of")]
    IssuerMismatch,
    /// `sub` is another list.
    #[error("status list `sub` is not the URI it was asked for by")]
    UriMismatch,
    /// Issued later than now.
    #[error("status list was issued at {iat} and it is {now}: check both clocks")]
    InFuture {
        /// Its `iat`, unix seconds.
        iat: i64,
        /// The verifier's time, unix seconds.
        now: i64,
    },
    /// Not one complete zlib stream (RFC 1950).
    #[error("status list `lst` is not exactly one zlib stream")]
    Compression,
    /// More than [`MAX_STATUS_LIST_BYTES`] when inflated.
    #[error("status list inflates to more than 1 MiB: split it into several lists")]
    TooLarge,
}

/// A list as its issuer signed it; made by [`verify`] alone. How old it may be is for its user to say.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList {
    issuer: String,
    uri: String,
    issued_at: i64,
    expires_at: Option<i64>,
    ttl_seconds: Option<u64>,
    bits: Bits,
    packed: Vec<u8>,
}

impl StatusList {
    /// The id of the issuer that signed it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its URI, as tokens name it.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// When it was issued, unix seconds.
    #[must_use]
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// The first unix second in which it holds no longer, if it says so.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.expires_at
    }

    /// For how many seconds it may be kept before a newer one is asked for, if it says so.
    #[must_use]
    pub fn ttl_seconds(&self) -> Option<u64> {
        self.ttl_seconds
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        (self.packed.len() as u64).saturating_mul(self.bits.per_byte())
    }

    /// Seconds since it was issued; 0 for one from the tolerated future.
    #[must_use]
    pub fn age_seconds(&self, now: i64) -> u64 {
        now.saturating_sub(self.issued_at).max(0).unsigned_abs()
    }

    /// Whether it may be relied on at `now`: not older than `max_age_seconds`, and before its own end.
    #[must_use]
    pub fn is_fresh(&self, now: i64, max_age_seconds: u64) -> bool {
        self.age_seconds(now) <= max_age_seconds && self.expires_at.is_none_or(|end| now < end)
    }

    /// The status of entry `idx`, counted from 0 and from the lowest bits of each byte (section 4.1 of the draft).
    #[must_use]
    pub fn status(&self, idx: u64) -> Status {
        let per_byte = self.bits.per_byte();
        let byte = usize::try_from(idx / per_byte).ok().and_then(|at| self.packed.get(at));
        let Some(byte) = byte else { return Status::OutOfRange };
        let value = match self.bits {
            Bits::One => (byte >> (idx % 8)) & 0b1,
            Bits::Two => (byte >> (idx % 4 * 2)) & 0b11,
            Bits::Four => (byte >> (idx % 2 * 4)) & 0b1111,
            Bits::Eight => *byte,
        };
        match value {
            0 => Status::Valid,
            1 => Status::Invalid,
            2 => Status::Suspended,
            other => Status::Other(other),
        }
    }
}

impl fmt::Debug for StatusList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusList")
            .field("issuer", &self.issuer)
            .field("uri", &self.uri)
            .field("issued_at", &self.issued_at)
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

/// How wide an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    One,
    Two,
    Four,
    Eight,
}

impl Bits {
    fn of(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    fn per_byte(self) -> u64 {
        match self {
            Self::One => 8,
            Self::Two => 4,
            Self::Four => 2,
            Self::Eight => 1,
        }
    }
}

/// Verifies a status list token (section 8.3 of the draft, without its last steps: the age and the status itself).
///
/// In this order: size, form and `typ`; claims; the key, which the issuer may use at `iat` and which was not compromised
/// by then; the signature; `iat` not in the future; `iss`, when it is there, and `sub`; last the list itself, inflated to
/// no more than [`MAX_STATUS_LIST_BYTES`]. Nothing unsigned is inflated. `exp` is not looked at: see
/// [`StatusList::is_fresh`].
///
/// # Errors
/// [`StatusListError`], the first failure in this order.
pub fn verify(token: &str, context: &StatusListContext<'_>) -> Result<StatusList, StatusListError> {
    let unverified = jws::decode(token, TokenType::StatusList, MAX_STATUS_LIST_TOKEN_BYTES)?;
    let document = json::read(unverified.payload(), MAX_STATUS_LIST_TOKEN_BYTES).map_err(StatusListError::Json)?;
    let claims = Claims::read(&document)?;
    let signer = signer(context.issuer, unverified.kid(), claims.iat)?;
    unverified.clone().verify(&signer.key)?;
    claims.check(context)?;
    let packed =
        inflate(&b64::decode(claims.lst).map_err(|_| claim("status_list.lst", "is not canonical base64url"))?)?;
    Ok(StatusList {
        issuer: context.issuer.id.clone(),
        uri: String::from(claims.sub),
        issued_at: claims.iat,
        expires_at: claims.exp,
        ttl_seconds: claims.ttl,
        bits: claims.bits,
        packed,
    })
}

/// The key that a list of `iat` may be signed with. It may have been retired since.
fn signer<'a>(issuer: &'a Issuer, kid: &str, iat: i64) -> Result<&'a IssuerKey, StatusListError> {
    let named = issuer.keys.iter().find(|entry| entry.key.thumbprint() == kid).ok_or(StatusListError::KeyUnknown)?;
    match named.compromised_at {
        Some(since) if named.is_compromised_at(iat) => Err(StatusListError::KeyCompromised { iat, since }),
        _ if !named.contains(iat) => Err(StatusListError::KeyUnknown),
        _ => Ok(named),
    }
}

/// The claims that have a meaning here; others are ignored.
struct Claims<'a> {
    iss: Option<&'a str>,
    sub: &'a str,
    iat: i64,
    exp: Option<i64>,
    ttl: Option<u64>,
    bits: Bits,
    lst: &'a str,
}

impl<'a> Claims<'a> {
    fn read(document: &'a Node<'_>) -> Result<Self, StatusListError> {
        let members = document.as_object().ok_or(claim("(payload)", "is no JSON object"))?;
        let list = required(members, "status_list")?;
        let list = list.as_object().ok_or(claim("status_list", "is no object"))?;
        let iss = members.get("iss").map(|value| value.as_str().ok_or(claim("iss", "is no string")));
        let sub = required(members, "sub")?.as_str().filter(|uri| is_uri_text(uri));
        let bits = required(list, "bits")?.as_u64().and_then(Bits::of);
        let claims = Self {
            iss: iss.transpose()?,
            sub: sub.ok_or(claim("sub", "is not a URI of 1 to 1024 visible ASCII characters"))?,
            iat: date(required(members, "iat")?, "iat")?,
            exp: members.get("exp").map(|value| date(value, "exp")).transpose()?,
            ttl: members.get("ttl").map(lifetime).transpose()?,
            bits: bits.ok_or(claim("status_list.bits", "is not 1, 2, 4 or 8"))?,
            lst: required(list, "lst")?.as_str().ok_or(claim("status_list.lst", "is no string"))?,
        };
        if claims.exp.is_some_and(|exp| exp <= claims.iat) {
            return Err(claim("exp", "is not after `iat`"));
        }
        Ok(claims)
    }

    fn check(&self, context: &StatusListContext<'_>) -> Result<(), StatusListError> {
        let leeway = context.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS);
        if self.iat.saturating_sub(leeway) > context.now {
            return Err(StatusListError::InFuture { iat: self.iat, now: context.now });
        }
        if self.iss.is_some_and(|iss| iss != context.issuer.id) {
            return Err(StatusListError::IssuerMismatch);
        }
        if context.uri.is_some_and(|uri| uri != self.sub) {
            return Err(StatusListError::UriMismatch);
        }
        Ok(())
    }
}

fn required<'j, 'a>(members: &'j Members<'a>, name: &'static str) -> Result<&'j Node<'a>, StatusListError> {
    members.get(name).ok_or(claim(name, "is missing"))
}

fn date(value: &Node<'_>, name: &'static str) -> Result<i64, StatusListError> {
    let seconds = value.as_u64().filter(|seconds| *seconds <= MAX_SAFE_INTEGER);
    seconds
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or(claim(name, "is not an integer of unix seconds from 0 to 2^53-1"))
}

fn lifetime(value: &Node<'_>) -> Result<u64, StatusListError> {
    let seconds = value.as_u64().filter(|seconds| (1..=MAX_SAFE_INTEGER).contains(seconds));
    seconds.ok_or(claim("ttl", "is not a positive integer of seconds"))
}

const fn claim(claim: &'static str, problem: &'static str) -> StatusListError {
    StatusListError::Claim { claim, problem }
}

/// The bytes of exactly one zlib stream (RFC 1950), its checksum included.
fn inflate(stream: &[u8]) -> Result<Vec<u8>, StatusListError> {
    let mut inflated = vec![0; MAX_STATUS_LIST_BYTES];
    let mut state = Box::<DecompressorOxide>::default();
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, written) = decompress(&mut state, stream, &mut inflated, 0, flags);
    match status {
        TINFLStatus::Done if read == stream.len() => {
            inflated.truncate(written);
            inflated.shrink_to_fit();
            Ok(inflated)
        }
        TINFLStatus::HasMoreOutput => Err(StatusListError::TooLarge),
        _ => Err(StatusListError::Compression),
    }
}
