//! Leases: what an allowed request charged, kept until its outcome is known.
//!
//! A budget is charged in full when a request is allowed, so requests under way count like those that are over. The lease
//! remembers what was charged to which row. Settling takes the lease away; when the upstream certainly saw nothing it
//! gives the amounts back first. There is one lease a decision and it can be taken away once, so nothing is given back
//! twice. A lease that nobody settles is swept after 30 days, and what it holds stays charged. Where the upstream may have
//! acted and nobody knows, the amounts stay charged and the lease is held, so that whoever finds out can say so.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::idempotency;
use super::rows::{self, RowCorrupt, RowMap, Write};
use crate::money::MicroUsd;
use crate::time::UnixMillis;

/// How long it can be said what became of an allowed request: 30 days. After that, what it charged stays charged.
pub const LEASE_SECONDS: i64 = 30 * 86_400;
/// A request whose outcome is not recorded may still be under way for so long: an hour.
pub const UNDER_WAY_SECONDS: i64 = 3_600;

/// An amount charged to one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The row of the budget's period.
    pub row_key: String,
    /// How much; 0 of the row of an idempotency key, and never of a budget's.
    pub amount: MicroUsd,
    /// Unix second after which the row may be swept, as it was charged.
    pub expires_at: i64,
}

/// What one decision charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    expires_at: i64,
    is_held: bool,
    charges: Vec<Charge>,
}

impl Lease {
    /// The lease of `charges` made at `now`; `None` when nothing was charged.
    pub fn of(charges: Vec<Charge>, now: UnixMillis) -> Option<Self> {
        let expires_at = now.seconds().saturating_add(LEASE_SECONDS);
        (!charges.is_empty()).then_some(Self { expires_at, is_held: false, charges })
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

    /// The lease of a request that is over, and nobody knows how.
    #[must_use]
    pub fn held(self) -> Self {
        Self { is_held: true, ..self }
    }

    /// Whether its request may still be on its way at Unix second `now`.
    pub fn is_under_way(&self, now: i64) -> bool {
        !self.is_held && now < self.begun_at().saturating_add(UNDER_WAY_SECONDS)
    }

    fn begun_at(&self) -> i64 {
        self.expires_at.saturating_sub(LEASE_SECONDS)
    }

    /// The keys of every row [`Lease::release`] reads.
    pub fn charged_rows(&self) -> impl Iterator<Item = &str> {
        self.charges.iter().map(|charge| charge.row_key.as_str())
    }

    /// The writes that give the charged amounts back to the periods they were charged to: never below 0, and nothing
    /// where the row is gone with its period. The lease has to be deleted in the same transaction. `None` when everything
    /// stays charged, because a repetition of the request was let through for it.
    ///
    /// # Errors
    ///
    /// [`RowCorrupt`] when a charged row cannot be read.
    pub fn release(&self, rows: &impl RowMap) -> Result<Option<Vec<Write>>, RowCorrupt> {
        let mut writes = Vec::with_capacity(self.charges.len());
        let (of_keys, of_budgets) = self.charges.iter().partition::<Vec<_>, _>(|charge| idempotency::is_of_key(charge));
        for charge in of_keys {
            match idempotency::forget(charge, self.begun_at(), rows)? {
                Some(write) => writes.push(write),
                None => return Ok(None),
            }
        }
        for Charge { row_key, amount, expires_at } in of_budgets {
            // Charges made while the lease lives keep the row for that much longer at most.
            let expires_at = Some(expires_at.saturating_add(LEASE_SECONDS));
            if let Some(spent) = rows::read_u64(rows, row_key)? {
                let value = spent.saturating_sub(amount.0).to_be_bytes().to_vec();
                writes.push(Write { key: row_key.clone(), value, expires_at });
            }
        }
        Ok(Some(writes))
    }

    /// The expiry, whether it is held, then of each charge the amount, the row's expiry, the length of the row key in 4
    /// bytes, and the row key.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.expires_at.to_be_bytes().to_vec();
        bytes.push(self.is_held.into());
        for Charge { row_key, amount, expires_at } in &self.charges {
            let length = u32::try_from(row_key.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&amount.0.to_be_bytes());
            bytes.extend_from_slice(&expires_at.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(row_key.as_bytes());
        }
        bytes
    }
}

fn decode(row: &[u8]) -> Option<Lease> {
    let (expires_at, rest) = row.split_first_chunk()?;
    let expires_at = i64::from_be_bytes(*expires_at);
    let ([is_held @ 0..=1], mut rest) = rest.split_first_chunk()? else { return None };
    let mut charges = Vec::new();
    while !rest.is_empty() {
        let (amount, after) = rest.split_first_chunk()?;
        let (expires_at, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (row_key, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let row_key = core::str::from_utf8(row_key).ok()?.to_string();
        let (amount, expires_at) = (MicroUsd(u64::from_be_bytes(*amount)), i64::from_be_bytes(*expires_at));
        charges.push(Charge { row_key, amount, expires_at });
        rest = after;
    }
    (!charges.is_empty()).then_some(Lease { expires_at, is_held: *is_held == 1, charges })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::state::LoadedRows;

    fn lease() -> Lease {
        let charge = |key: &str, amount| Charge { row_key: key.to_string(), amount: MicroUsd(amount), expires_at: 513 };
        Lease::of(vec![charge("s:a:2026-02-24", 10), charge("s:a:2026-02", 10)], UnixMillis(1_000_000)).unwrap()
    }

    #[test]
    fn the_row_is_pinned() {
        let write = lease().write("att_1");
        assert_eq!((write.key.as_str(), write.expires_at), ("o:att_1", Some(2_593_000)));
        let mut expected = vec![0, 0, 0, 0, 0, 0x27, 0x90, 0xe8, 0];
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\x02\x01\0\0\0\x0es:a:2026-02-24");
        expected.extend_from_slice(b"\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\x02\x01\0\0\0\x0bs:a:2026-02");
        assert_eq!(write.value, expected);
        assert_eq!(Lease::read(&write.key, &write.value), Ok(lease()));
        let held = lease().held();
        assert!(!held.is_under_way(1_000), "its outcome is recorded");
        assert!(
            lease().is_under_way(1_000 + UNDER_WAY_SECONDS - 1) && !lease().is_under_way(1_000 + UNDER_WAY_SECONDS)
        );
        let write = held.write("att_1");
        assert_eq!(Lease::read(&write.key, &write.value), Ok(held));
    }

    #[test]
    fn cut_rows_are_corrupt() {
        let row = lease().encode();
        for length in (0..row.len()).filter(|length| *length != 43) {
            assert!(Lease::read("o:att_1", &row[..length]).is_err(), "{length}");
        }
        assert_eq!(Lease::read("o:att_1", &row[..43]).unwrap().charges.len(), 1);
        let mut odd = row;
        odd[8] = 2;
        assert!(Lease::read("o:att_1", &odd).is_err());
    }

    #[test]
    fn amounts_go_back_to_the_rows_they_came_from() {
        let number = |value: u64| value.to_be_bytes().to_vec();
        let rows = LoadedRows::from([("s:a:2026-02-24".to_string(), number(25))]);
        let writes = lease().release(&rows).unwrap().unwrap();
        assert_eq!(writes.len(), 1, "a row that is gone is not made again");
        assert_eq!((writes[0].key.as_str(), &writes[0].value), ("s:a:2026-02-24", &number(15)));
        let rows = LoadedRows::from([("s:a:2026-02".to_string(), number(9))]);
        assert_eq!(lease().release(&rows).unwrap().unwrap()[0].value, number(0), "never below 0");
        let rows = LoadedRows::from([("s:a:2026-02".to_string(), vec![1])]);
        assert!(lease().release(&rows).is_err());
    }

    #[test]
    fn nothing_charged_leaves_no_lease() {
        assert_eq!(Lease::of(Vec::new(), UnixMillis(0)), None);
    }
}
