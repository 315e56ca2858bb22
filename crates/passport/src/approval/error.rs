//! Why an approval was refused, or not signed. Messages name the rule and quote nothing of a token.

use crate::action_pass::ClaimError;
use crate::jws::JwsError;

/// Why an approval was not signed: no gate would accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A claim is outside its limits.
    #[error("approval {0}")]
    Claim(#[from] ClaimError),
    /// It would live too long.
    #[error("approval would live {seconds} s: {most} s at most, choose an earlier `exp`")]
    LifetimeExceeded {
        /// `exp - iat`.
        seconds: i64,
        /// The most.
        most: i64,
    },
}

/// Why an approval does not hold. Each has one [code](ApprovalError::code).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// Not a token of the right form.
    #[error("approval: {0}")]
    Token(JwsError),
    /// Not the claims of an approval.
    #[error("approval {0}: present it as the approver signed it")]
    Claim(#[from] ClaimError),
    /// Nobody who approves here has such a key.
    #[error("approval `kid` names no key of an approver of this gate: ask one of its approvers")]
    KeyUnknown,
    /// The approver did not sign it.
    #[error("approval signature is not valid: present it as the approver signed it")]
    SignatureInvalid,
    /// For another gate.
    #[error("approval `aud` is another gate: present it there")]
    AudienceMismatch,
    /// The key belongs to an approver of another name.
    #[error("approval `iss` is not the name that this gate has for the approver's key: sign it with that name")]
    IssuerMismatch,
    /// Signed for longer than one may live.
    #[error("approval lives {seconds} s, {most} s at most: ask for another")]
    LifetimeExceeded {
        /// `exp - iat`.
        seconds: i64,
        /// The most.
        most: i64,
    },
    /// Before its beginning.
    #[error("approval is valid from {iat} on and it is {now}: wait, or check both clocks")]
    NotYetValid {
        /// Its `iat`, unix seconds.
        iat: i64,
        /// The gate's time, unix seconds.
        now: i64,
    },
    /// Past its end.
    #[error("approval expired at {exp} and it is {now}: ask for another")]
    Expired {
        /// Its `exp`, unix seconds.
        exp: i64,
        /// The gate's time, unix seconds.
        now: i64,
    },
}

impl ApprovalError {
    /// Every code, in the order of the checks.
    pub const CODES: [&str; 8] = [
        "approval_malformed",
        "approval_key_unknown",
        "approval_signature_invalid",
        "approval_audience_mismatch",
        "approval_issuer_mismatch",
        "approval_lifetime_exceeded",
        "approval_not_yet_valid",
        "approval_expired",
    ];

    /// The stable machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(_) | Self::Claim(_) => "approval_malformed",
            Self::KeyUnknown => "approval_key_unknown",
            Self::SignatureInvalid => "approval_signature_invalid",
            Self::AudienceMismatch => "approval_audience_mismatch",
            Self::IssuerMismatch => "approval_issuer_mismatch",
            Self::LifetimeExceeded { .. } => "approval_lifetime_exceeded",
            Self::NotYetValid { .. } => "approval_not_yet_valid",
            Self::Expired { .. } => "approval_expired",
        }
    }
}

impl From<JwsError> for ApprovalError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::SignatureInvalid => Self::SignatureInvalid,
            JwsError::KeyMismatch => Self::KeyUnknown,
            other => Self::Token(other),
        }
    }
}
