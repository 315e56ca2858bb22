//! Why a pass was refused, or not minted. Messages name the rule and quote nothing of a token.

use crate::json::JsonError;
use crate::jws::JwsError;

/// A payload is not that of a pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Not strict JSON.
    #[error("payload: {0}")]
    Json(JsonError),
    /// A claim is missing, of another type, outside its limits, or not one of a pass.
    #[error("claim `{claim}` {problem}")]
    Claim {
        /// The claim in question; `unknown` for one that has no meaning here.
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Why a pass was not minted: no verifier would accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// A claim is outside its limits.
    #[error("one-action pass {0}")]
    Claim(ClaimError),
    /// It would be redeemed by another gate than mints it.
    #[error("one-action pass `iss` is not `aud`: a gate mints for itself")]
    IssuerMismatch,
    /// It would live too long.
    #[error("one-action pass would live {seconds} s: 300 s at most, choose an earlier `exp`")]
    LifetimeExceeded {
        /// `exp - iat`.
        seconds: i64,
    },
}

/// Why a pass is not redeemed. Each has one [code](ActionPassError::code).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionPassError {
    /// Not a token of the right form.
    #[error("one-action pass: {0}")]
    Token(JwsError),
    /// Not the claims of a pass.
    #[error("one-action pass {0}: present the pass as the gate minted it")]
    Claim(#[from] ClaimError),
    /// The gate has no such key.
    #[error("one-action pass `kid` names no key of this gate: present it where it was minted, or ask for another")]
    KeyUnknown,
    /// The gate did not sign it.
    #[error("one-action pass signature is not valid: present the pass as the gate minted it")]
    SignatureInvalid,
    /// For another gate.
    #[error("one-action pass `aud` is another gate: present it where it was minted")]
    AudienceMismatch,
    /// Minted by another gate.
    #[error("one-action pass `iss` is another gate: have this gate mint one")]
    IssuerMismatch,
    /// Minted for longer than a pass may live.
    #[error("one-action pass lives {seconds} s, 300 s at most: ask for another")]
    LifetimeExceeded {
        /// `exp - iat`.
        seconds: i64,
    },
    /// Before its beginning.
    #[error("one-action pass is valid from {iat} on and it is {now}: wait, or check both clocks")]
    NotYetValid {
        /// Its `iat`, unix seconds.
        iat: i64,
        /// The gate's time, unix seconds.
        now: i64,
    },
    /// Past its end.
    #[error("one-action pass expired at {exp} and it is {now}: ask for another")]
    Expired {
        /// Its `exp`, unix seconds.
        exp: i64,
        /// The gate's time, unix seconds.
        now: i64,
    },
    /// For another action.
    #[error("one-action pass is for another action: send exactly the request that was decided, or ask for another")]
    ContentMismatch,
    /// Bound to no key where one is demanded.
    #[error("one-action pass is bound to no key and this gate demands it: ask for one of version 1")]
    KeyRequired,
    /// Presented by another key, or without proof of possession.
    #[error("one-action pass is bound to another key: prove possession of the key it was minted for")]
    KeyMismatch,
}

impl ActionPassError {
    /// Every code, in the order of the checks.
    pub const CODES: [&str; 11] = [
        "action_pass_malformed",
        "action_pass_key_unknown",
        "action_pass_signature_invalid",
        "action_pass_audience_mismatch",
        "action_pass_issuer_mismatch",
        "action_pass_lifetime_exceeded",
        "action_pass_not_yet_valid",
        "action_pass_expired",
        "action_pass_content_mismatch",
        "action_pass_key_required",
        "action_pass_key_mismatch",
    ];

    /// The stable machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(_) | Self::Claim(_) => "action_pass_malformed",
            Self::KeyUnknown => "action_pass_key_unknown",
            Self::SignatureInvalid => "action_pass_signature_invalid",
            Self::AudienceMismatch => "action_pass_audience_mismatch",
            Self::IssuerMismatch => "action_pass_issuer_mismatch",
            Self::LifetimeExceeded { .. } => "action_pass_lifetime_exceeded",
            Self::NotYetValid { .. } => "action_pass_not_yet_valid",
            Self::Expired { .. } => "action_pass_expired",
            Self::ContentMismatch => "action_pass_content_mismatch",
            Self::KeyRequired => "action_pass_key_required",
            Self::KeyMismatch => "action_pass_key_mismatch",
        }
    }
}

impl From<JwsError> for ActionPassError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::SignatureInvalid => Self::SignatureInvalid,
            JwsError::KeyMismatch => Self::KeyUnknown,
            other => Self::Token(other),
        }
    }
}
