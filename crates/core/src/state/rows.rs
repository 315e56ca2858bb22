//! Row keys and row encodings. Integers are big-endian; a row of another length is corrupt, never guessed at.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::sorted::SortedMap;

use super::{
    Demand, IdempotencyClaim, NonceClaim, PassClaim, RateClaim, RiskClaim, SessionClaim, SpendClaim, SpendPeriod,
    Standing, Subject, UseClaim,
};
use crate::time::UnixMillis;

/// Rows by key, as a store loaded them. Absent means never written or expired.
pub trait RowMap {
    /// The row's bytes.
    fn row(&self, key: &str) -> Option<&[u8]>;
}

impl RowMap for SortedMap<String, Vec<u8>> {
    fn row(&self, key: &str) -> Option<&[u8]> {
        self.get(key).map(Vec::as_slice)
    }
}

/// A row to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The row's key.
    pub key: String,
    /// The row's new bytes.
    pub value: Vec<u8>,
    /// Unix second after which the row may be swept; `None` keeps it for ever.
    pub expires_at: Option<i64>,
}

/// A stored row does not have the form its key says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored row `{key}` is corrupt; restore the store from a backup")]
pub struct RowCorrupt {
    /// The row's key.
    pub key: String,
}

/// Live nonces are counted in buckets of this many seconds of their expiry.
pub(super) const LOAD_BUCKET_SECONDS: i64 = 60;
/// Spend rows stay this long after their period, so that a clock set back finds them again.
const SPEND_GRACE_SECONDS: i64 = 40 * 86_400;
const MONTH_SECONDS: i64 = 31 * 86_400;

impl Demand {
    /// The keys of every row [`super::admit`] reads for this demand.
    pub fn row_keys(&self) -> Vec<String> {
        let mut keys = alloc::vec![super::FENCE_KEY.to_string(), nonce_key(&self.nonce), load_key(&self.nonce)];
        keys.extend(self.subjects.iter().flat_map(Standing::row_keys));
        keys.extend(self.session.as_ref().map(SessionClaim::row_key));
        keys.extend(self.risk.as_ref().map(RiskClaim::row_key));
        keys.extend(self.pass.as_ref().map(pass_key));
        if !self.approvals.is_empty() {
            keys.push(super::sweep::START_KEY.to_string());
        }
        keys.extend(self.approvals.iter().map(use_key));
        keys.extend(self.rates.iter().map(rate_key));
        keys.extend(self.idempotency.as_ref().map(IdempotencyClaim::row_key));
        keys.extend(self.spends.iter().map(|spend| spend_key(spend, self.now)));
        keys
    }
}

pub(super) fn nonce_key(claim: &NonceClaim) -> String {
    [super::sweep::NONCE_PREFIX, &claim.key, ":", &claim.nonce].concat()
}

pub(super) fn load_key(claim: &NonceClaim) -> String {
    ["l:", &claim.key].concat()
}

pub(super) fn pass_key(claim: &PassClaim) -> String {
    [super::sweep::PASS_PREFIX, &claim.key].concat()
}

pub(super) fn use_key(claim: &UseClaim) -> String {
    ["u:", &claim.key].concat()
}

/// When the count of an approval's uses may be swept: so much later than it holds that a clock set back finds it again.
pub(super) fn use_expiry(claim: &UseClaim) -> i64 {
    claim.until.saturating_add(SPEND_GRACE_SECONDS)
}

pub(super) fn rate_key(claim: &RateClaim) -> String {
    ["g:", &claim.per, ":", claim.window.name(), ":", &claim.counter].concat()
}

pub(super) fn spend_key(claim: &SpendClaim, now: UnixMillis) -> String {
    let period = match claim.period {
        SpendPeriod::Day => now.utc_day(),
        SpendPeriod::Month => now.utc_month(),
        SpendPeriod::Total => "total".to_string(),
    };
    ["s:", &claim.account, ":", &period].concat()
}

/// When a spend row that is charged at `now` may be swept.
pub(super) fn spend_expiry(claim: &SpendClaim, now: UnixMillis) -> i64 {
    let ends = match claim.until {
        Some(until) if claim.period == SpendPeriod::Total => until,
        _ => now.seconds().saturating_add(MONTH_SECONDS),
    };
    ends.saturating_add(SPEND_GRACE_SECONDS)
}

/// The write that revokes `subject` from `at` (Unix seconds) on. Revocations never expire.
pub fn revocation_write(subject: &Subject, at: i64) -> Write {
    Write { key: subject.row_key(), value: at.to_be_bytes().to_vec(), expires_at: None }
}

pub(super) fn read_u64(rows: &impl RowMap, key: &str) -> Result<Option<u64>, RowCorrupt> {
    let decode =
        |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| RowCorrupt { key: key.to_string() });
    rows.row(key).map(decode).transpose()
}

pub(super) fn read_i64(rows: &impl RowMap, key: &str) -> Result<Option<i64>, RowCorrupt> {
    Ok(read_u64(rows, key)?.map(u64::cast_signed))
}

/// Live nonces of one key: `(bucket, count)` pairs of 12 bytes each, oldest bucket first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Load(pub(super) Vec<(i64, u32)>);

impl Load {
    pub(super) fn read(rows: &impl RowMap, key: &str) -> Result<Self, RowCorrupt> {
        let Some(bytes) = rows.row(key) else { return Ok(Self::default()) };
        let (pairs, rest) = bytes.as_chunks::<12>();
        if !rest.is_empty() {
            return Err(RowCorrupt { key: key.to_string() });
        }
        Ok(Self(pairs.iter().map(Self::pair).collect()))
    }

    fn pair(bytes: &[u8; 12]) -> (i64, u32) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        (i64::from_be_bytes([a, b, c, d, e, f, g, h]), u32::from_be_bytes([i, j, k, l]))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 12);
        for (bucket, count) in &self.0 {
            bytes.extend_from_slice(&bucket.to_be_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        bytes
    }
}
