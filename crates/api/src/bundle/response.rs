//! How responses are looked at.

use passgate_core::pii::Class;
use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::{PiiModeDoc, UnscannableDoc, denies_unscannable, strictest};

/// Where records stand in a response, which is JSON, and how many there may be. A response with more is withheld, and so is one
/// in which they cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponseRecordsDoc {
    /// RFC 6901 pointer to the array, e.g. `/items`; empty where the array is the whole response.
    pub pointer: String,
    /// The most, whoever asks; what a passport permits counts too. Absent: what passports permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_records: Option<u64>,
}

/// What becomes of personal data and secrets in responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResponsePiiDoc {
    /// What becomes of every class that `classes` does not name: `redact` takes it out of what the agent gets, `block`
    /// withholds the response. `encrypt` is for requests alone.
    pub mode: PiiModeDoc,
    /// What becomes of single classes.
    #[serde(default, skip_serializing_if = "SortedMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, PiiModeDoc>"))]
    pub classes: SortedMap<Class, PiiModeDoc>,
    /// What becomes of a response that is no text, coded, a part of another, too long, or does not end in time. Absent: it is
    /// withheld, unless everything is only logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscannable: Option<UnscannableDoc>,
}

impl ResponsePiiDoc {
    /// What becomes of a class.
    #[must_use]
    pub fn mode_of(&self, class: Class) -> PiiModeDoc {
        self.classes.get(&class).copied().unwrap_or(self.mode)
    }

    /// Whether a response that cannot be looked at is withheld.
    #[must_use]
    pub fn denies_unscannable(&self) -> bool {
        denies_unscannable(self.unscannable, |class| self.mode_of(class))
    }

    pub(super) fn stricter(&self, other: &Self) -> Self {
        let denies = self.denies_unscannable() || other.denies_unscannable();
        Self {
            mode: PiiModeDoc::Ignore,
            classes: strictest(|class| self.mode_of(class), |class| other.mode_of(class)),
            unscannable: Some(UnscannableDoc::of(denies)),
        }
    }
}
