//! Answers within the bounds of `wit/plugin.wit`, and errors that are refusals.

use std::fmt::Display;

use crate::{Obligation, Verdict};

/// The longest reason that the gate takes, in bytes.
const MAX_REASON_BYTES: usize = 256;

/// Why a request is refused. Whatever can be printed becomes one, texts and errors alike, so that `?` and
/// `.ok_or("…")?` refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny(String);

impl Deny {
    /// A refusal for this reason, which the agent gets to read. The gate takes 256 bytes without control characters: what
    /// is longer is cut when it is answered, and control characters become spaces.
    pub fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }

    /// The reason as it was given.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0
    }
}

impl<T: Display> From<T> for Deny {
    fn from(reason: T) -> Self {
        Self::new(reason)
    }
}

/// Refuses; see [`Deny::new`].
///
/// # Errors
///
/// Always: that is the refusal.
pub fn deny(reason: impl Display) -> Result<Verdict, Deny> {
    Err(Deny::new(reason))
}

/// Asks for the approval of a person who has one of the roles; without roles, of anybody who may approve at the gate.
///
/// # Errors
///
/// None; the type is that of [`Plugin::evaluate`](crate::Plugin::evaluate).
pub fn step_up(roles: &[String], reason: impl Display) -> Result<Verdict, Deny> {
    Ok(Verdict::StepUp(Obligation { roles: roles.to_vec(), reason: reason.to_string() }))
}

/// The verdict that the gate is given. Only reasons are mended: to cut a list would change what the answer means.
pub(crate) fn within_bounds(answer: Result<Verdict, Deny>) -> Verdict {
    match answer {
        Ok(Verdict::Deny(reason)) | Err(Deny(reason)) => Verdict::Deny(bounded(&reason)),
        Ok(Verdict::StepUp(obligation)) => {
            Verdict::StepUp(Obligation { reason: bounded(&obligation.reason), ..obligation })
        }
        Ok(other) => other,
    }
}

fn bounded(reason: &str) -> String {
    let mut text = String::new();
    for character in reason.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if text.len() + character.len_utf8() > MAX_REASON_BYTES {
            break;
        }
        text.push(character);
    }
    if text.is_empty() { "no reason given".to_owned() } else { text }
}
