//! What can be wrong with a proof, and the stable code of each.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::digest::DigestError;

/// Why a request proof was refused. All of these are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A field every proof needs is absent.
    #[error("the request has no `{field}` field; sign the request with the passport's key (RFC 9421 or RFC 9449)")]
    Missing {
        /// Name of the field.
        field: &'static str,
    },
    /// A part of the request or of the proof is not well-formed, or is of a form that is not accepted.
    #[error("`{part}` is malformed: {reason}")]
    Malformed {
        /// The field or part of the request at fault.
        part: Cow<'static, str>,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// The signature covers too little, or something that cannot be covered.
    #[error("signature coverage: `{component}` {reason}")]
    Coverage {
        /// The component at fault.
        component: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `keyid` is not the thumbprint of the passport's key.
    #[error("`keyid` is not the RFC 7638 thumbprint of the passport's key; sign with the key named in `cnf`")]
    KeyMismatch,
    /// The signature does not verify over this request.
    #[error("the signature does not verify over this request; sign the method, target and fields exactly as sent")]
    SignatureInvalid,
    /// The proof is too old, or past its own `expires`.
    #[error("the proof was acceptable until {expires_at}, it is now {now}; sign each request anew")]
    Expired {
        /// Last second at which the proof was acceptable.
        expires_at: i64,
        /// The verifier's time.
        now: i64,
    },
    /// `created` lies too far ahead of the verifier's clock.
    #[error("the proof was created at {created}, ahead of the verifier's time {now}; check the sender's clock")]
    InFuture {
        /// The proof's `created`.
        created: i64,
        /// The verifier's time.
        now: i64,
    },
    /// There is a body, but no `Content-Digest` field.
    #[error("the request has a body but no `content-digest` field; send one and cover it (RFC 9530)")]
    ContentDigestMissing,
    /// The `Content-Digest` field does not vouch for the body.
    #[error("content digest: {0}")]
    ContentDigestMismatch(#[from] DigestError),
    /// Proofs or credentials of two forms: which of them is meant to hold is nobody's to guess.
    #[error("the request has proofs or credentials of two forms; send one, a message signature or a `dpop` field")]
    Ambiguous,
    /// A DPoP proof with another algorithm than Ed25519.
    #[error("`alg` of the DPoP proof is not accepted; sign with Ed25519 and name it `EdDSA`")]
    Algorithm,
    /// A DPoP proof for another method.
    #[error("`htm` is not the method of this request; sign each request anew, with the method in upper case")]
    MethodMismatch,
    /// A DPoP proof for another target.
    #[error("`{claim}` does not match the target of this request; sign the target as it is sent")]
    TargetMismatch {
        /// `htu`, or `htq` for the query.
        claim: &'static str,
    },
    /// A DPoP proof for another passport.
    #[error("`ath` is not the SHA-256 of the passport presented; sign with the passport that is sent")]
    PassportMismatch,
    /// A DPoP proof for a request with another value of a field.
    #[error("`htf` has another value for `{field}` than the request; sign the fields as they are sent")]
    FieldMismatch {
        /// Name of the field.
        field: String,
    },
    /// The verifier asks for a nonce of its own, and the DPoP proof has none or another.
    #[error("the proof has to answer the challenge that the verifier gave out last; sign again with it as nonce")]
    NonceRequired,
    /// A foreign agent's signature without `nonce`, for a request that is not safe to repeat.
    #[error("the signature has no `nonce`, and this request is not safe to repeat; sign it with a fresh one")]
    NonceMissing,
    /// `signature-agent` names another agent than the one whose keys are at hand.
    #[error("`signature-agent` does not name the agent whose keys were looked up; look keys up by this field")]
    AgentMismatch,
    /// The key that signed is not in the agent's directory, or not at this time.
    #[error(
        "no key of the agent's directory in force now has the thumbprint in `keyid`; publish the key, or sign with another"
    )]
    KeyUnknown,
    /// There is a body, but no `htb` in the DPoP proof.
    #[error("the request has a body, but the DPoP proof has no `htb`; add the SHA-256 of the body")]
    BodyHashMissing,
    /// `htb` was made over another body.
    #[error("`htb` does not match the body received; sign the bytes that are sent")]
    BodyHashMismatch,
}

impl ProofError {
    /// The stable machine code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "proof_missing",
            Self::Malformed { .. } => "proof_malformed",
            Self::Coverage { .. } => "proof_coverage",
            Self::KeyMismatch => "proof_key_mismatch",
            Self::SignatureInvalid => "proof_signature_invalid",
            Self::Expired { .. } => "proof_expired",
            Self::InFuture { .. } => "proof_in_future",
            Self::ContentDigestMissing | Self::BodyHashMissing => "content_digest_missing",
            Self::ContentDigestMismatch(_) | Self::BodyHashMismatch => "content_digest_mismatch",
            Self::Ambiguous => "proof_ambiguous",
            Self::Algorithm => "proof_algorithm",
            Self::MethodMismatch => "proof_method_mismatch",
            Self::TargetMismatch { .. } => "proof_target_mismatch",
            Self::PassportMismatch => "proof_passport_mismatch",
            Self::FieldMismatch { .. } => "proof_field_mismatch",
            Self::NonceRequired => "proof_nonce_required",
            Self::NonceMissing => "proof_nonce_missing",
            Self::AgentMismatch => "proof_agent_mismatch",
            Self::KeyUnknown => "proof_key_unknown",
        }
    }

    pub(super) fn malformed(part: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed { part: Cow::Borrowed(part), reason: reason.into() }
    }

    pub(super) fn malformed_field(name: &str, reason: &'static str) -> Self {
        Self::Malformed { part: Cow::Owned(name.into()), reason: Cow::Borrowed(reason) }
    }

    pub(super) fn coverage(component: &str, reason: &'static str) -> Self {
        Self::Coverage { component: component.into(), reason }
    }
}
