//! Leases: what an allowed request charged, kept until its outcome is known.
//!
//! A budget is charged in full when a request is allowed, so requests under way count like those that are over. The lease
//! remembers what was charged to which row. Settling takes the lease away; when the upstream certainly saw nothing it
//! gives the amounts back first. There is one lease a decision and it can be taken away once, so nothing is given back
//! twice. A lease that nobody settles is swept after a day, and what it holds stays charged.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::rows::{self, RowCorrupt, RowMap, Write};
use crate::money::MicroUsd;
use crate::time::UnixMillis;

/// How long an allowed request may go on before its budgets can no longer be given back. Longer than any response takes.
pub const LEASE_SECONDS: i64 = 86_400;

/// An amount charged to one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The row of the budget's period.
    pub row_key: String,
    /// How much; never 0.
    pub amount: MicroUsd,
}

/// What one decision charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    expires_at: i64,
    charges: Vec<Charge>,
}

impl Lease {
    /// The lease of `charges` made at `now`; `None` when nothing was charged.
    pub fn of(charges: Vec<Charge>, now: UnixMillis) -> Option<Self> {
        let expires_at = now.seconds().saturating_add(LEASE_SECONDS);
        (!charges.is_empty()).then_some(Self { expires_at, charges })
    }

    /// The key of the row that holds the lease of the decision `attestation_id`.
    pub fn row_key(attestation_id: &str) -> String {
        ["o:", attestation_id].concat()
    }

    /// The write that leaves this lease to the decision `attestation_id`.
    pub fn write(&self, attestation_id: &str) -> Write {
        let key = Self::row_key(attestation_id);
        Write { key, value: self.encode(), expires_at: Some(self.expires_at) }
    }

    /// Reads the row `key`.
    ///
    /// # Errors
    ///
    /// [`RowCorrupt`] when it holds no lease.
    pub fn read(key: &str, row: &[u8]) -> Result<Self, RowCorrupt> {
        decode(row).ok_or_else(|| RowCorrupt { key: key.to_string() })
    }

    /// Unix second after which the lease may be swept: the expiry of its row.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// The keys of every row [`Lease::release`] reads.
    pub fn charged_rows(&self) -> impl Iterator<Item = &str> {
        self.charges.iter().map(|charge| charge.row_key.as_str())
    }

    /// The writes that give the charged amounts back to the periods they were charged to: never below 0, and nothing
    /// where the row is gone with its period. The lease has to be deleted in the same transaction.
    ///
    /// # Errors
    ///
    /// [`RowCorrupt`] when a charged row cannot be read.
    pub fn release(&self, rows: &impl RowMap) -> Result<Vec<Write>, RowCorrupt> {
        // No charge made while the lease lives keeps its row for longer.
        let expires_at = Some(rows::spend_expiry(self.expires_at));
        let mut writes = Vec::with_capacity(self.charges.len());
        for Charge { row_key, amount } in &self.charges {
            if let Some(spent) = rows::read_u64(rows, row_key)? {
                let value = spent.saturating_sub(amount.0).to_be_bytes().to_vec();
                writes.push(Write { key: row_key.clone(), value, expires_at });
            }
        }
        Ok(writes)
    }

    /// The expiry, then of each charge the amount, the length of the row key in 4 bytes, and the row key.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.expires_at.to_be_bytes().to_vec();
        for Charge { row_key, amount } in &self.charges {
            let length = u32::try_from(row_key.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&amount.0.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(row_key.as_bytes());
        }
        bytes
    }
}

fn decode(row: &[u8]) -> Option<Lease> {
    let (expires_at, mut rest) = row.split_first_chunk()?;
    let expires_at = i64::from_be_bytes(*expires_at);
    let mut charges = Vec::new();
    while !rest.is_empty() {
        let (amount, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (row_key, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let row_key = core::str::from_utf8(row_key).ok()?.to_string();
        charges.push(Charge { row_key, amount: MicroUsd(u64::from_be_bytes(*amount)) });
        rest = after;
    }
    (!charges.is_empty()).then_some(Lease { expires_at, charges })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::state::LoadedRows;

    fn lease() -> Lease {
        let charge = |key: &str, amount| Charge { row_key: key.to_string(), amount: MicroUsd(amount) };
        Lease::of(vec![charge("s:a:2026-02-24", 10), charge("s:a:2026-02", 10)], UnixMillis(1_000_000)).unwrap()
    }

    #[test]
    fn the_row_is_pinned() {
        let write = lease().write("att_1");
        assert_eq!((write.key.as_str(), write.expires_at), ("o:att_1", Some(87_400)));
        let mut expected = vec![0, 0, 0, 0, 0, 1, 0x55, 0x68, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 14];
        expected.extend_from_slice(b"s:a:2026-02-24\0\0\0\0\0\0\0\x0a\0\0\0\x0bs:a:2026-02");
        assert_eq!(write.value, expected);
        assert_eq!(Lease::read(&write.key, &write.value), Ok(lease()));
    }

    #[test]
    fn cut_rows_are_corrupt() {
        let row = lease().encode();
        for length in (0..row.len()).filter(|length| *length != 34) {
            assert!(Lease::read("o:att_1", &row[..length]).is_err(), "{length}");
        }
        assert_eq!(Lease::read("o:att_1", &row[..34]).unwrap().charges.len(), 1);
    }

    #[test]
    fn amounts_go_back_to_the_rows_they_came_from() {
        let number = |value: u64| value.to_be_bytes().to_vec();
        let rows = LoadedRows::from([("s:a:2026-02-24".to_string(), number(25))]);
        let writes = lease().release(&rows).unwrap();
        assert_eq!(writes.len(), 1, "a row that is gone is not made again");
        assert_eq!((writes[0].key.as_str(), &writes[0].value), ("s:a:2026-02-24", &number(15)));
        let rows = LoadedRows::from([("s:a:2026-02".to_string(), number(9))]);
        assert_eq!(lease().release(&rows).unwrap()[0].value, number(0), "never below 0");
        let rows = LoadedRows::from([("s:a:2026-02".to_string(), vec![1])]);
        assert!(lease().release(&rows).is_err());
    }

    #[test]
    fn nothing_charged_leaves_no_lease() {
        assert_eq!(Lease::of(Vec::new(), UnixMillis(0)), None);
    }
}
