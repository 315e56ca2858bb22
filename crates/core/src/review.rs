//! What a reviewer says of a request: a model that is asked about what takes something away for good, or changes what others
//! may do.
//!
//! A reviewer can only refuse. A call of one that does not end in an answer refuses the request.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// The longest reason of a reviewer that is kept, in bytes.
pub const MAX_REVIEW_REASON_BYTES: usize = 256;

/// A reviewer's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// How sure it is, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u32>,
    /// Who was asked, as the operator calls it.
    pub model: String,
    /// How its call ended.
    pub outcome: ReviewOutcome,
    /// Why, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How the call of a reviewer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewOutcome {
    /// It has nothing against the request.
    Allowed,
    /// It refuses it.
    Denied,
    /// It ran past its deadline.
    TimedOut,
    /// It could not be asked.
    Unavailable,
    /// With an answer that is none.
    AnswerInvalid,
}

impl ReviewOutcome {
    /// As records have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::TimedOut => "timed_out",
            Self::Unavailable => "unavailable",
            Self::AnswerInvalid => "answer_invalid",
        }
    }

    /// Why the request is not simply allowed, as far as the reviewer goes.
    pub const fn reason_code(self) -> Option<Reason> {
        match self {
            Self::Allowed => None,
            Self::Denied => Some(Reason::ReviewDenied),
            Self::TimedOut | Self::Unavailable | Self::AnswerInvalid => Some(Reason::GuardianUnavailable),
        }
    }
}
