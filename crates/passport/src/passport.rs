//! Verifying a passport against the verifier's trust store.
//!
//! [`verify`] checks in this order, and the first failure is the one reported:
//!
//! 1. size, token form, header and claims: everything is bounded and typed before any signature work
//!    (`passport_malformed`, `delegation_unsupported`, `constraints_unsupported`);
//! 2. the issuer: registered, or a `did:key` that self-issues (`issuer_unknown`), and active (`issuer_suspended`);
//! 3. the key: `kid` names one of the issuer's keys, not compromised by `iat`
//!    (`issuer_key_compromised`), and its interval contains both `iat` and now (`issuer_key_unknown`);
//! 4. the signature (`passport_signature_invalid`);
//! 5. times (`passport_lifetime_exceeded`, `passport_not_yet_valid`, `passport_expired`);
//! 6. the tier it claims, if any (`tier_mismatch`), and its audience, if any (`audience_mismatch`).
//!
//! # Time
//!
//! With `leeway` seconds of tolerance a passport is valid at `now` when `iat - leeway <= now`, `nbf - leeway <= now` and
//! `now <= exp + leeway`. All ends are inclusive: `exp + leeway` is the last valid second, `exp + leeway + 1` the first
//! expired one. (RFC 7519 section 4.1.4 ends at `exp` itself, exclusive; that second is part of the leeway it permits.)
//! The interval of an issuer's key has no leeway.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::claims::{Claims, ClaimsError};
use crate::did_key;
use crate::jws::{self, Hashed, JwsError, TokenType};
use crate::key::PublicKey;
use crate::memory::{self, Checked, KnownSignatures, ValidSignatures};
use crate::trust::{IssuerStatus, SELF_ISSUED_MAX_TTL_SECONDS, Tier, TrustStore};

/// Longest passport in bytes, checked before anything else: it travels in a header field.
pub const MAX_PASSPORT_BYTES: usize = 16 * 1024;

/// The greatest leeway; what a context asks for beyond is cut to it. In seconds.
pub const MAX_LEEWAY_SECONDS: i64 = 300;

/// What the verifier knows about the moment and itself.
#[derive(Debug, Clone, Copy)]
pub struct VerifyContext<'a> {
    /// The present, in unix seconds.
    pub now: i64,
    /// Tolerated difference between clocks, from 0 to [`MAX_LEEWAY_SECONDS`].
    pub leeway_seconds: i64,
    /// The verifier's own name; a passport that names audiences has to name it. `None` accepts every audience.
    pub audience: Option<&'a str>,
}

/// Why a passport was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassportError {
    /// Not a token of the right form.
    #[error("passport: {0}")]
    Token(JwsError),
    /// The claims are not those of a passport, or not supported.
    #[error(transparent)]
    Claims(ClaimsError),
    /// The signature does not verify.
    #[error("passport signature is not valid: have it issued again")]
    SignatureInvalid,
    /// Past its end.
    #[error("passport expired at {exp} and it is {now}: renew it")]
    Expired {
        /// Its `exp`, unix seconds.
        exp: i64,
        /// The verifier's time, unix seconds.
        now: i64,
    },
    /// Before its beginning.
    #[error("passport is valid from {from} on and it is {now}: wait, or check both clocks")]
    NotYetValid {
        /// The later of `iat` and `nbf`, unix seconds.
        from: i64,
        /// The verifier's time, unix seconds.
        now: i64,
    },
    /// Issued for longer than the issuer may.
    #[error("passport lives {seconds} s and its issuer may grant {max_seconds} s: have a shorter one issued")]
    LifetimeExceeded {
        /// `exp - iat`.
        seconds: i64,
        /// The longest the issuer may grant.
        max_seconds: i64,
    },
    /// Nobody the verifier trusts.
    #[error("passport issuer is not in the trust store: register it, or present a passport from a registered one")]
    IssuerUnknown,
    /// Registered, but suspended.
    #[error("passport issuer is suspended: an operator has to activate it")]
    IssuerSuspended,
    /// The key is not one the issuer may sign with, at `iat` or now.
    #[error("passport `kid` names no key its issuer may use at `iat` and now: renew the passport, or register the key")]
    IssuerKeyUnknown,
    /// The key was compromised by `iat`.
    #[error(
        "passport is dated {iat} and its issuer's key is compromised since {since}: have it issued again with a current key"
    )]
    IssuerKeyCompromised {
        /// Its `iat`, unix seconds.
        iat: i64,
        /// Since when the key is compromised, unix seconds.
        since: i64,
    },
    /// The claimed tier is not the computed one.
    #[error("passport claims trust tier {claimed}, the trust store gives {computed}: correct or drop `trust_tier`")]
    TierMismatch {
        /// The `trust_tier` claim.
        claimed: Tier,
        /// The tier by the trust store.
        computed: Tier,
    },
    /// Meant for others.
    #[error("passport `aud` does not name this gate: present one issued for it")]
    AudienceMismatch,
}

impl PassportError {
    /// The stable machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Claims(ClaimsError::DelegationUnsupported) => "delegation_unsupported",
            Self::Claims(ClaimsError::ConstraintsUnsupported) => "constraints_unsupported",
            Self::Token(_) | Self::Claims(_) => "passport_malformed",
            Self::SignatureInvalid => "passport_signature_invalid",
            Self::Expired { .. } => "passport_expired",
            Self::NotYetValid { .. } => "passport_not_yet_valid",
            Self::LifetimeExceeded { .. } => "passport_lifetime_exceeded",
            Self::IssuerUnknown => "issuer_unknown",
            Self::IssuerSuspended => "issuer_suspended",
            Self::IssuerKeyUnknown => "issuer_key_unknown",
            Self::IssuerKeyCompromised { .. } => "issuer_key_compromised",
            Self::TierMismatch { .. } => "tier_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
        }
    }
}

impl From<JwsError> for PassportError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::SignatureInvalid => Self::SignatureInvalid,
            JwsError::KeyMismatch => Self::IssuerKeyUnknown,
            other => Self::Token(other),
        }
    }
}

impl From<ClaimsError> for PassportError {
    fn from(error: ClaimsError) -> Self {
        Self::Claims(error)
    }
}

/// A passport that holds for the trust store and the moment it was verified with; made by [`verify`] alone.
///
/// It says nothing about revocation, nor about who presents it.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedPassport {
    claims: Claims,
    tier: Tier,
    issuer_kid: String,
    token_sha256: [u8; 32],
}

impl VerifiedPassport {
    /// The signed claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The tier by the trust store.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The issuer: its id in the trust store, or the `did:key` of a self-issuer.
    #[must_use]
    pub fn issuer_id(&self) -> &str {
        &self.claims.iss
    }

    /// Thumbprint of the key that signed.
    #[must_use]
    pub fn issuer_kid(&self) -> &str {
        &self.issuer_kid
    }

    /// SHA-256 of the token as received.
    #[must_use]
    pub fn token_sha256(&self) -> [u8; 32] {
        self.token_sha256
    }
}

/// Verifies a passport; the [module](self) lists the checks and the meaning of the times.
///
/// # Errors
/// [`PassportError`], the first failure in the order of the list.
pub fn verify(token: &str, trust: &TrustStore, context: &VerifyContext<'_>) -> Result<VerifiedPassport, PassportError> {
    check(token, trust, context, memory::NOTHING).map(|(passport, _)| passport)
}

/// As [`verify`], but a signature that is `known` to be valid is not verified once more; everything else is checked.
///
/// The second half is for the caller's memory, see [`memory`].
///
/// # Errors
/// As [`verify`], with nothing to remember.
pub fn verify_with(
    token: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    known: &dyn KnownSignatures,
) -> Result<(VerifiedPassport, ValidSignatures), PassportError> {
    let (passport, signature) = check(token, trust, context, known)?;
    let valid = ValidSignatures::new(&[signature], &passport.claims.iss, &passport.claims.sub);
    Ok((passport, valid))
}

fn check(
    token: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    known: &dyn KnownSignatures,
) -> Result<(VerifiedPassport, Checked), PassportError> {
    // 1. form
    let unverified = jws::decode(token, TokenType::Passport, MAX_PASSPORT_BYTES)?;
    let claims = Claims::from_payload(unverified.payload())?;
    let hashed = unverified.hashed();
    let (issuer_kid, token_sha256) = (String::from(hashed.kid()), hashed.sha256());
    let Issued { signature, tier } = check_issued(hashed, &claims, trust, context, known)?;
    Ok((VerifiedPassport { claims, tier, issuer_kid, token_sha256 }, signature))
}

/// A passport that its issuer signed, with the tier that the trust store gives it.
pub(crate) struct Issued {
    pub(crate) signature: Checked,
    pub(crate) tier: Tier,
}

/// Steps 2 to 6 of [`verify`]; `claims` are those of the token.
pub(crate) fn check_issued(
    token: Hashed<'_>,
    claims: &Claims,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    known: &dyn KnownSignatures,
) -> Result<Issued, PassportError> {
    // 2. issuer and 3. key
    let signer = signer(claims, token.kid(), trust, context.now)?;
    // 4. signature
    let signature = token.verify(&signer.key, known)?;
    // 5. times
    check_times(claims, signer.max_ttl_seconds, context)?;
    // 6. tier and audience
    check_tier(claims, signer.tier)?;
    check_audience(claims, context.audience)?;
    Ok(Issued { signature, tier: signer.tier })
}

/// The claims of a passport for display, explicitly unverified: neither signature nor time nor issuer is looked at.
///
/// # Errors
/// [`PassportError`] when the token is malformed.
pub fn inspect(token: &str) -> Result<Claims, PassportError> {
    let unverified = jws::decode(token, TokenType::Passport, MAX_PASSPORT_BYTES)?;
    Ok(Claims::from_payload(unverified.payload())?)
}

/// What the trust store says about the key that is said to have signed.
struct Signer<'t> {
    key: Cow<'t, PublicKey>,
    tier: Tier,
    max_ttl_seconds: i64,
}

fn signer<'t>(claims: &Claims, kid: &str, trust: &'t TrustStore, now: i64) -> Result<Signer<'t>, PassportError> {
    if claims.iss.starts_with(did_key::SCHEME) {
        self_issuer(claims, trust)
    } else {
        registered_issuer(claims, kid, trust, now)
    }
}

/// The key of a `did:key` is the only one it has; whether `kid` names it is checked with the signature.
fn self_issuer(claims: &Claims, trust: &TrustStore) -> Result<Signer<'static>, PassportError> {
    let malformed = ClaimsError::Invalid { claim: "iss", problem: "is not the did:key of an acceptable Ed25519 key" };
    let key = did_key::decode(&claims.iss).map_err(|_| malformed)?;
    if !trust.accepts_self_issued(&key) {
        return Err(PassportError::IssuerUnknown);
    }
    Ok(Signer { key: Cow::Owned(key), tier: Tier::L1, max_ttl_seconds: SELF_ISSUED_MAX_TTL_SECONDS })
}

fn registered_issuer<'t>(
    claims: &Claims,
    kid: &str,
    trust: &'t TrustStore,
    now: i64,
) -> Result<Signer<'t>, PassportError> {
    let issuer = trust.issuer(&claims.iss).ok_or(PassportError::IssuerUnknown)?;
    if issuer.status != IssuerStatus::Active {
        return Err(PassportError::IssuerSuspended);
    }
    let named =
        issuer.keys.iter().find(|entry| entry.key.thumbprint() == kid).ok_or(PassportError::IssuerKeyUnknown)?;
    // Looked at first: a compromised key has often been retired too, and its use is what the operator wants to see.
    if let Some(since) = named.compromised_at.filter(|_| named.is_compromised_at(claims.iat)) {
        return Err(PassportError::IssuerKeyCompromised { iat: claims.iat, since });
    }
    if !named.contains(claims.iat) || !named.contains(now) {
        return Err(PassportError::IssuerKeyUnknown);
    }
    let key = Cow::Borrowed(&named.key);
    Ok(Signer { key, tier: issuer.tier, max_ttl_seconds: issuer.max_passport_ttl_seconds })
}

pub(crate) fn check_times(claims: &Claims, max_seconds: i64, context: &VerifyContext<'_>) -> Result<(), PassportError> {
    let now = context.now;
    let leeway = context.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS);
    let seconds = claims.exp.saturating_sub(claims.iat);
    if seconds > max_seconds {
        return Err(PassportError::LifetimeExceeded { seconds, max_seconds });
    }
    let from = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
    if from.saturating_sub(leeway) > now {
        return Err(PassportError::NotYetValid { from, now });
    }
    if claims.exp.saturating_add(leeway) < now {
        return Err(PassportError::Expired { exp: claims.exp, now });
    }
    Ok(())
}

fn check_tier(claims: &Claims, computed: Tier) -> Result<(), PassportError> {
    match claims.trust_tier {
        Some(claimed) if claimed != computed => Err(PassportError::TierMismatch { claimed, computed }),
        _ => Ok(()),
    }
}

pub(crate) fn check_audience(claims: &Claims, audience: Option<&str>) -> Result<(), PassportError> {
    match (&claims.aud, audience) {
        (Some(named), Some(own)) if !named.iter().any(|name| name == own) => Err(PassportError::AudienceMismatch),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
