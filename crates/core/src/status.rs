//! The status lists a gate relies on, and what they say of a passport.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use passgate_passport::claims::Claims;
use passgate_passport::sorted::SortedMap;
use passgate_passport::status::{self, Status, StatusList, StatusListContext, StatusListError};
use passgate_passport::trust::TrustStore;

use crate::attest::StatusListRecord;
use crate::reason::Reason;
use crate::time::UnixMillis;

/// Whose status lists a gate checks, and the lists at hand. Lists are shared: a copy of this copies no list.
#[derive(Debug, Clone, Default)]
pub struct StatusLists {
    issuers: SortedMap<String, OfIssuer>,
}

#[derive(Debug, Clone)]
struct OfIssuer {
    max_age_seconds: u64,
    lists: SortedMap<String, Arc<StatusList>>,
}

/// A passport that its issuer's status list does not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRefusal {
    /// Why.
    pub reason: Reason,
    /// The reason in full for the gate's log, never for the caller.
    pub detail: String,
    /// The list that says so, if there is one.
    pub consulted: Option<StatusListRecord>,
}

impl StatusLists {
    /// From now on passports of `issuer` need a list that is at most `max_age_seconds` old.
    pub fn require(&mut self, issuer: String, max_age_seconds: u64) {
        match self.issuers.get_mut(&issuer) {
            Some(of) => of.max_age_seconds = max_age_seconds,
            None => {
                self.issuers.insert(issuer, OfIssuer { max_age_seconds, lists: SortedMap::new() });
            }
        }
    }

    /// How old a list of `issuer` may be, in seconds; `None` when its lists are not checked.
    pub fn max_age_seconds(&self, issuer: &str) -> Option<u64> {
        self.issuers.get(issuer).map(|of| of.max_age_seconds)
    }

    /// Takes in a verified list, and says whether it did. One that is older than the list of that URI already here is
    /// left out, so that nobody can bring back a revoked passport by bringing back the list of before; so is one of an
    /// issuer whose lists are not checked.
    pub fn insert(&mut self, list: Arc<StatusList>) -> bool {
        let Some(of) = self.issuers.get_mut(list.issuer()) else { return false };
        if of.lists.get(list.uri()).is_some_and(|known| known.issued_at() > list.issued_at()) {
            return false;
        }
        of.lists.insert(list.uri().to_string(), list);
        true
    }

    /// The lists of a token that was asked for by `uri`, or is at hand for another reason: one for every issuer of `trust`
    /// whose lists are checked and who signed it, at least one.
    ///
    /// # Errors
    ///
    /// When it is no status list, or none of such an issuer.
    pub fn verify(
        &self,
        trust: &TrustStore,
        uri: Option<&str>,
        token: &str,
        now: UnixMillis,
        leeway_seconds: i64,
    ) -> Result<Vec<Arc<StatusList>>, StatusListError> {
        let checked = trust.issuers().filter(|issuer| self.issuers.contains_key(&issuer.id));
        let mut refused = StatusListError::KeyUnknown;
        let mut lists = Vec::new();
        for issuer in checked {
            match status::verify(token, &StatusListContext { issuer, uri, now: now.seconds(), leeway_seconds }) {
                Ok(list) => lists.push(Arc::new(list)),
                Err(StatusListError::KeyUnknown) => {}
                Err(other) => refused = other,
            }
        }
        if lists.is_empty() { Err(refused) } else { Ok(lists) }
    }

    /// Whose lists are checked, ordered by id.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.keys().map(String::as_str)
    }

    /// The list that `issuer` publishes at `uri`, if it is at hand.
    pub fn get(&self, issuer: &str, uri: &str) -> Option<&Arc<StatusList>> {
        self.issuers.get(issuer)?.lists.get(uri)
    }

    /// All lists at hand, ordered by issuer and URI.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<StatusList>> {
        self.issuers.values().flat_map(|of| of.lists.values())
    }

    /// What was consulted about a passport with these claims; nothing when its issuer's lists are not checked.
    ///
    /// # Errors
    ///
    /// In this order: `status_missing`, `status_list_unavailable`, `status_list_stale`, then by what the list says
    /// `status_revoked`, `status_suspended` or `status_unknown`.
    pub fn check(&self, claims: &Claims, now: UnixMillis) -> Result<Option<StatusListRecord>, StatusRefusal> {
        let Some(of) = self.issuers.get(&claims.iss) else { return Ok(None) };
        let refuse = |reason, detail: String, consulted| StatusRefusal { reason, detail, consulted };
        let Some(entry) = &claims.status_list else {
            return Err(refuse(Reason::StatusMissing, "the passport has no `status` claim".to_string(), None));
        };
        let Some(list) = of.lists.get(&entry.uri) else {
            return Err(refuse(Reason::StatusListUnavailable, format!("no list `{}` at hand", entry.uri), None));
        };
        let status = list.status(entry.idx);
        let consulted = consulted(list, status, now);
        let (reason, detail) = if list.is_fresh(now.seconds(), of.max_age_seconds) {
            match status {
                Status::Valid => return Ok(Some(consulted)),
                Status::Invalid => (Reason::StatusRevoked, "revoked".to_string()),
                Status::Suspended => (Reason::StatusSuspended, "suspended".to_string()),
                Status::Other(_) | Status::OutOfRange => (Reason::StatusUnknown, status.to_string()),
            }
        } else {
            let (age, most) = (consulted.age_seconds, of.max_age_seconds);
            (Reason::StatusListStale, format!("{age} s old, of at most {most}, or past its own end"))
        };
        Err(refuse(reason, format!("entry {} of `{}`: {detail}", entry.idx, entry.uri), Some(consulted)))
    }
}

fn consulted(list: &StatusList, status: Status, now: UnixMillis) -> StatusListRecord {
    let issued_at = UnixMillis(u64::try_from(list.issued_at()).unwrap_or_default().saturating_mul(1000));
    StatusListRecord {
        age_seconds: list.age_seconds(now.seconds()),
        issued_at: issued_at.rfc3339(),
        status: status.as_str().to_string(),
        uri: list.uri().to_string(),
    }
}
