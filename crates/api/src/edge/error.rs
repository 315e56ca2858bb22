//! Why a bundle is not taken.

use passgate_passport::json::JsonError;
use passgate_passport::jws::JwsError;

use super::AdmissionDoc;
use crate::bundle;

/// A bundle that is refused whatever the gate serves now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// No bundle, or one whose signature does not hold.
    #[error("the bundle is refused: {0}")]
    Token(#[from] JwsError),
    /// Signed with a key that is not pinned.
    #[error("the bundle is signed with a key that this gate does not know: sign with one of its bundle keys")]
    UnknownKey,
    /// The payload is not strict JSON of a bundle's shape.
    #[error("the bundle's payload: {0}")]
    Payload(#[from] JsonError),
    /// A member says `null`.
    #[error("the bundle's payload has a member that is `null`: leave the member out")]
    Null,
    /// A member does not hold.
    #[error(transparent)]
    Member(bundle::BundleError),
    /// Dated ahead of the gate's clock.
    #[error("the bundle is signed at {iat}, and it is {now} here: compare the clocks, and sign again")]
    Future {
        /// Its `iat`, a Unix second.
        iat: i64,
        /// The time here, a Unix second.
        now: i64,
    },
}

impl BundleError {
    pub(super) fn member(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Member(bundle::BundleError { at: at.into(), why: why.into() })
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(JwsError::SignatureInvalid | JwsError::KeyMismatch) => "bundle_signature_invalid",
            Self::UnknownKey => "bundle_key_unknown",
            Self::Future { .. } => "bundle_from_the_future",
            Self::Token(_) | Self::Payload(_) | Self::Null | Self::Member(_) => "bundle_invalid",
        }
    }
}

/// A good bundle that may not take the place of the present one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// Of another gate.
    #[error(
        "this gate is `{current}` and the bundle is for `{new}`, which would leave its state and ledger behind: push it \
         to a deployment of its own"
    )]
    OtherGate {
        /// The gate's id.
        current: String,
        /// The bundle's.
        new: String,
    },
    /// With another admission mode.
    #[error(
        "this gate admits requests by {} and the bundle by {}, which would forget used nonces and spent budgets: keep \
         `edge.admission`, or deploy a gate with another id", current.as_str(), new.as_str()
    )]
    OtherAdmission {
        /// The gate's.
        current: AdmissionDoc,
        /// The bundle's.
        new: AdmissionDoc,
    },
    /// Of a lower version.
    #[error(
        "this gate serves version {current} and the bundle has version {new}: raise `version` above {current}, also to \
         go back to an earlier policy, and sign again"
    )]
    Older {
        /// The gate's version.
        current: u64,
        /// The bundle's.
        new: u64,
    },
    /// Of the same version, and not the same bundle.
    #[error(
        "this gate serves another bundle of version {version}: raise `version`, so that records of version {version} \
         mean one policy, and sign again"
    )]
    SameVersion {
        /// The version of both.
        version: u64,
    },
    /// Of the same content, and signed earlier.
    #[error(
        "this gate serves the same bundle, signed at {current}, and the given one was signed at {new}: sign it again"
    )]
    SignedEarlier {
        /// Unix second at which the gate's was signed.
        current: i64,
        /// Unix second at which the bundle was signed.
        new: i64,
    },
}

impl ReplaceError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherGate { .. } => "bundle_other_gate",
            Self::OtherAdmission { .. } => "bundle_other_admission",
            Self::Older { .. } => "bundle_older",
            Self::SameVersion { .. } => "bundle_same_version",
            Self::SignedEarlier { .. } => "bundle_signed_earlier",
        }
    }
}
