//! The rules of a passport that an issuer signed, against the verifier's trust store.
//!
//! [`verify_chain`](crate::delegation::verify_chain) holds the root of every chain to them; a single passport is a chain
//! of one. Everything is bounded and typed before (`passport_malformed`). Then they are checked in this order, and the
//! first failure is the one reported:
//!
//! 1. the issuer: registered, or a `did:key` that self-issues (`issuer_unknown`), and active (`issuer_suspended`);
//! 2. the key: `kid` names one of the issuer's keys, not compromised by `iat`
//!    (`issuer_key_compromised`), and its interval contains both `iat` and now (`issuer_key_unknown`);
//! 3. the signature (`passport_signature_invalid`);
//! 4. times (`passport_lifetime_exceeded`, `passport_not_yet_valid`, `passport_expired`);
//! 5. the tier it claims, if any (`tier_mismatch`), and its audience, if any (`audience_mismatch`).
//!
//! # Time
//!
//! With `leeway` seconds of tolerance a passport is valid at `now` when `iat - leeway <= now`, `nbf - leeway <= now` and
//! `now <= exp + leeway`. All ends are inclusive: `exp + leeway` is the last valid second, `exp + leeway + 1` the first
//! expired one. (RFC 7519 section 4.1.4 ends at `exp` itself, exclusive; that second is part of the leeway it permits.)
//! The interval of an issuer's key has no leeway.

use alloc::borrow::Cow;

use crate::claims::{Claims, ClaimsError};
use crate::did_key;
use crate::jws::JwsError;
use crate::key::PublicKey;
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
    /// The claims are not those of a passport.
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

/// Holds a token with these claims to the rules that the [module](self) lists, and gives its tier by the trust store.
/// `check_signature` is asked with the one key that may have signed.
pub(crate) fn check_issued(
    claims: &Claims,
    kid: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    check_signature: impl FnOnce(&PublicKey) -> Result<(), JwsError>,
) -> Result<Tier, PassportError> {
    // 1. issuer and 2. key
    let signer = signer(claims, kid, trust, context.now)?;
    // 3. signature
    check_signature(&signer.key)?;
    // 4. times
    check_times(claims, signer.max_ttl_seconds, context)?;
    // 5. tier and audience
    check_tier(claims, signer.tier)?;
    check_audience(claims, context.audience)?;
    Ok(signer.tier)
}

/// What the trust store says about the key that is said to have signed.
struct Signer<'t> {
    key: Cow<'t, PublicKey>,
    tier: Tier,
    max_ttl_seconds: i64,
}

fn signer<'t>(claims: &'t Claims, kid: &str, trust: &'t TrustStore, now: i64) -> Result<Signer<'t>, PassportError> {
    if claims.iss.starts_with(did_key::SCHEME) {
        self_issuer(claims, trust)
    } else {
        registered_issuer(claims, kid, trust, now)
    }
}

/// The key of a `did:key` is the only one it has; whether `kid` names it is checked with the signature.
fn self_issuer<'t>(claims: &'t Claims, trust: &TrustStore) -> Result<Signer<'t>, PassportError> {
    let malformed = ClaimsError::Invalid { claim: "iss", problem: "is not the did:key of an acceptable Ed25519 key" };
    // Most issue for the key they sign with, which has been read already.
    let key = match did_key::names(&claims.iss, &claims.cnf_key) {
        true => Cow::Borrowed(&claims.cnf_key),
        false => Cow::Owned(did_key::decode(&claims.iss).map_err(|_| malformed)?),
    };
    if !trust.accepts_self_issued(&key) {
        return Err(PassportError::IssuerUnknown);
    }
    Ok(Signer { key, tier: Tier::L1, max_ttl_seconds: SELF_ISSUED_MAX_TTL_SECONDS })
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
