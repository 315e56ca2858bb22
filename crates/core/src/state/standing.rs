//! How a subject stands: revoked for good, suspended until it is reinstated, or neither.
//!
//! A suspension is a row of its own beside that of a revocation. Whoever writes the one or deletes the other cannot take
//! a revocation away.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::Subject;
use super::rows::{self, RowCorrupt, RowMap, Write};

/// How a subject stands at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Unix second of its revocation, which stays.
    pub revoked_at: Option<i64>,
    /// Unix second of its suspension, until it is reinstated.
    pub suspended_at: Option<i64>,
}

impl Standing {
    /// The keys of the rows that [`Standing::read`] reads.
    pub fn row_keys(subject: &Subject) -> [String; 2] {
        [subject.row_key(), suspension_key(subject)]
    }

    /// How `subject` stands, by the rows of [`Standing::row_keys`].
    ///
    /// # Errors
    ///
    /// [`RowCorrupt`] when one of them cannot be read.
    pub fn read(subject: &Subject, rows: &impl RowMap) -> Result<Self, RowCorrupt> {
        Ok(Self {
            revoked_at: rows::read_i64(rows, &subject.row_key())?,
            suspended_at: rows::read_i64(rows, &suspension_key(subject))?,
        })
    }

    /// Whether nothing that depends on the subject is let in.
    pub const fn is_denied(self) -> bool {
        self.revoked_at.is_some() || self.suspended_at.is_some()
    }
}

/// The write that suspends `subject` from `at` (Unix seconds) on. A suspension does not expire: it ends when the row of
/// [`suspension_key`] is deleted.
pub fn suspension_write(subject: &Subject, at: i64) -> Write {
    Write { key: suspension_key(subject), value: at.to_be_bytes().to_vec(), expires_at: None }
}

/// The key of the row that suspends `subject`. Deleting it reinstates what is not revoked.
pub fn suspension_key(subject: &Subject) -> String {
    subject.key_after("p:")
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::vec::Vec;

    use super::*;
    use crate::state::{Conduct, Demand, LoadedRows, NonceAnswer, NonceClaim, admit, revocation_write};
    use crate::time::UnixMillis;

    fn subjects() -> [Subject; 5] {
        let id = || "id".to_owned();
        [
            Subject::Passport(id()),
            Subject::Agent { issuer: id(), agent_id: id() },
            Subject::Key(id()),
            Subject::Approval(id()),
            Subject::Issuer(id()),
        ]
    }

    fn demand() -> Demand {
        let nonce = NonceClaim { key: "k".to_owned(), nonce: "n".to_owned(), remember_until: 2_000_000_000 };
        let now = UnixMillis(1_800_000_000_000);
        Demand {
            now,
            nonce,
            subjects: subjects().into(),
            conduct: Conduct::default(),
            is_excused: false,
            session: None,
            risk: None,
            pass: None,
            approvals: Vec::new(),
            rates: Vec::new(),
            idempotency: None,
            spends: Vec::new(),
        }
    }

    fn rows(writes: &[Write]) -> LoadedRows {
        writes.iter().map(|write| (write.key.clone(), write.value.clone())).collect()
    }

    #[test]
    fn each_kind_of_subject_is_suspended_by_a_row_that_is_demanded() {
        for subject in subjects() {
            let write = suspension_write(&subject, 7);
            assert_eq!((write.key.clone(), write.expires_at), (suspension_key(&subject), None));
            assert!(demand().row_keys().contains(&write.key), "{subject}");
            let admitted = admit(&demand(), &rows(&[write])).unwrap();
            assert_eq!(admitted.admission.suspended, Some((subject.clone(), 7)));
            assert_eq!(admitted.admission.revoked, None);
            assert_eq!(admitted.writes.len(), 2, "the nonce stays burned: {subject}");
            assert_eq!(admit(&demand(), &rows(&[])).unwrap().admission.suspended, None);
        }
    }

    #[test]
    fn a_revocation_counts_more_than_a_suspension() {
        let [passport, .., issuer] = subjects();
        let both = [suspension_write(&passport, 7), revocation_write(&issuer, 9), suspension_write(&issuer, 8)];
        let admission = admit(&demand(), &rows(&both)).unwrap().admission;
        assert_eq!((admission.revoked, admission.suspended), (Some((issuer.clone(), 9)), None));
        let standing = Standing::read(&issuer, &rows(&both)).unwrap();
        assert_eq!(standing, Standing { revoked_at: Some(9), suspended_at: Some(8) });
        assert!(standing.is_denied());
    }

    #[test]
    fn ending_a_suspension_leaves_a_revocation_alone() {
        for subject in subjects() {
            let mut rows = rows(&[revocation_write(&subject, 1), suspension_write(&subject, 2)]);
            assert_eq!(rows.len(), 2);
            rows.remove(&suspension_key(&subject));
            assert_eq!(Standing::read(&subject, &rows).unwrap(), Standing { revoked_at: Some(1), suspended_at: None });
        }
    }

    #[test]
    fn a_row_of_another_length_is_not_read_as_something() {
        for subject in subjects() {
            let write = Write { value: alloc::vec![0; 9], ..suspension_write(&subject, 0) };
            let corrupt = RowCorrupt { key: write.key.clone() };
            let rows = rows(&[write]);
            assert_eq!(Standing::read(&subject, &rows), Err(corrupt.clone()));
            assert_eq!(admit(&demand(), &rows).map(|admitted| admitted.admission.nonce), Err(corrupt));
        }
        assert_eq!(admit(&demand(), &rows(&[])).unwrap().admission.nonce, NonceAnswer::Fresh);
    }
}
