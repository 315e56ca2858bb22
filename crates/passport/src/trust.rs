//! Whom the verifier trusts: issuers with their keys and tier, and how self-issued passports are treated.
//!
//! The tier of a passport is computed from this store, never taken from the passport.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::claims::is_identifier;
use crate::did_key;
use crate::key::PublicKey;
use crate::sorted::SortedMap;

/// Most keys one issuer may have: a rotation needs two.
pub const MAX_ISSUER_KEYS: usize = 64;

/// Longest lifetime of a self-issued passport: 30 days, in seconds.
pub const SELF_ISSUED_MAX_TTL_SECONDS: i64 = 30 * 24 * 60 * 60;

/// How far an agent's identity is vouched for. Higher tiers compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Self-issued: the agent holds a key, nobody vouches for it.
    L1,
    /// Issued by a registered issuer.
    L2,
    /// Issued by a registered issuer the operator holds to the highest standard.
    L3,
}

impl Tier {
    /// `L1`, `L2` or `L3`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }

    /// The tier of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::L1, Self::L2, Self::L3].into_iter().find(|tier| tier.as_str() == name)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an issuer's passports are accepted at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerStatus {
    /// Accepted.
    Active,
    /// Refused, until the operator activates the issuer again.
    Suspended,
}

/// One key of an issuer with the interval it may be used in. Unix seconds; both ends belong to the interval.
///
/// Several keys may be in their intervals at once: that is how an issuer changes keys without a moment in which passports
/// that it has issued are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKey {
    /// The key.
    pub key: PublicKey,
    /// First second; unbounded when `None`.
    pub not_before: Option<i64>,
    /// Last second; unbounded when `None`.
    pub not_after: Option<i64>,
    /// From when on somebody else may hold it: what it signed with an `iat` from this second on is void. What is dated
    /// earlier stands, in the interval. Whoever holds the key writes the `iat`, so this stops only who does not backdate;
    /// 0 voids everything.
    pub compromised_at: Option<i64>,
}

impl IssuerKey {
    /// A key that may be used at any time.
    #[must_use]
    pub fn unbounded(key: PublicKey) -> Self {
        Self { key, not_before: None, not_after: None, compromised_at: None }
    }

    /// Whether what was signed at `iat` (unix seconds) is void because the key was compromised by then.
    #[must_use]
    pub fn is_compromised_at(&self, iat: i64) -> bool {
        self.compromised_at.is_some_and(|from| from <= iat)
    }

    /// Whether `time` (unix seconds) lies in the interval.
    #[must_use]
    pub fn contains(&self, time: i64) -> bool {
        self.not_before.is_none_or(|start| start <= time) && self.not_after.is_none_or(|end| time <= end)
    }
}

/// A registered issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The `iss` value of its passports: 1 to 256 visible ASCII characters, no `did:key`.
    pub id: String,
    /// The tier of its passports: L2 or L3.
    pub tier: Tier,
    /// Whether it is accepted at present.
    pub status: IssuerStatus,
    /// Its keys, each once.
    pub keys: Vec<IssuerKey>,
    /// Longest `exp - iat` of its passports, in seconds.
    pub max_passport_ttl_seconds: i64,
}

/// Which self-issued passports are accepted (at tier L1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelfIssued {
    /// None.
    Refused,
    /// Every one that is valid.
    AnyKey,
    /// Those signed by a key with one of these thumbprints.
    Listed(Vec<String>),
}

/// Why a trust store was refused: the operator's configuration is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The id is not usable as `iss`.
    #[error("issuer id \"{}\" is malformed: use 1 to 256 visible ASCII characters, and no did:key", .id.escape_default())]
    Id {
        /// The id in question.
        id: String,
    },
    /// The id stands twice.
    #[error("issuer \"{id}\" is registered twice")]
    Duplicate {
        /// The id in question.
        id: String,
    },
    /// Tier L1 belongs to self-issued passports.
    #[error("issuer \"{id}\" has tier L1: a registered issuer has L2 or L3")]
    Tier {
        /// The id in question.
        id: String,
    },
    /// No key, too many keys, one key twice or an empty interval.
    #[error("issuer \"{id}\" needs 1 to 64 different keys, each with not_before <= not_after")]
    Keys {
        /// The id in question.
        id: String,
    },
    /// The longest lifetime is not positive.
    #[error("issuer \"{id}\" needs a positive longest passport lifetime in seconds")]
    MaxTtl {
        /// The id in question.
        id: String,
    },
}

/// The verifier's view of whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStore {
    issuers: SortedMap<String, Issuer>,
    self_issued: SelfIssued,
}

impl TrustStore {
    /// Builds a store from checked entries.
    ///
    /// # Errors
    /// [`TrustError`] for the first entry that is not usable.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>, self_issued: SelfIssued) -> Result<Self, TrustError> {
        let mut by_id = SortedMap::new();
        for issuer in issuers {
            check_issuer(&issuer)?;
            let id = issuer.id.clone();
            if by_id.insert(id.clone(), issuer).is_some() {
                return Err(TrustError::Duplicate { id });
            }
        }
        Ok(Self { issuers: by_id, self_issued })
    }

    /// The issuer with this `iss` value.
    #[must_use]
    pub fn issuer(&self, id: &str) -> Option<&Issuer> {
        self.issuers.get(id)
    }

    /// All issuers, ordered by id.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.values()
    }

    /// How self-issued passports are treated.
    #[must_use]
    pub fn self_issued(&self) -> &SelfIssued {
        &self.self_issued
    }

    /// Whether a self-issued passport signed by `key` is accepted.
    #[must_use]
    pub fn accepts_self_issued(&self, key: &PublicKey) -> bool {
        match &self.self_issued {
            SelfIssued::Refused => false,
            SelfIssued::AnyKey => true,
            SelfIssued::Listed(thumbprints) => thumbprints.iter().any(|listed| listed == key.thumbprint()),
        }
    }
}

fn check_issuer(issuer: &Issuer) -> Result<(), TrustError> {
    let id = || issuer.id.clone();
    if !is_identifier(&issuer.id) || issuer.id.starts_with(did_key::SCHEME) {
        return Err(TrustError::Id { id: id() });
    }
    if issuer.tier == Tier::L1 {
        return Err(TrustError::Tier { id: id() });
    }
    if issuer.max_passport_ttl_seconds <= 0 {
        return Err(TrustError::MaxTtl { id: id() });
    }
    let intervals_hold = issuer.keys.iter().all(|entry| match (entry.not_before, entry.not_after) {
        (Some(start), Some(end)) => start <= end,
        _ => true,
    });
    let stands_before = |i: usize, key: &PublicKey| issuer.keys.iter().take(i).any(|entry| entry.key == *key);
    let count_fits = (1..=MAX_ISSUER_KEYS).contains(&issuer.keys.len());
    if count_fits && !issuer.keys.iter().enumerate().any(|(i, entry)| stands_before(i, &entry.key)) && intervals_hold {
        Ok(())
    } else {
        Err(TrustError::Keys { id: id() })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::key::SecretKey;

    fn entry(seed: u8) -> IssuerKey {
        let key = SecretKey::from_seed([seed; 32]).public().clone();
        IssuerKey::unbounded(key)
    }

    fn issuer() -> Issuer {
        Issuer {
            id: String::from("https://issuer.example"),
            tier: Tier::L2,
            status: IssuerStatus::Active,
            keys: vec![entry(1)],
            max_passport_ttl_seconds: 3600,
        }
    }

    #[test]
    fn unusable_issuers_are_refused() {
        let id = || String::from("https://issuer.example");
        let did = crate::did_key::encode(&entry(1).key);
        let backwards = IssuerKey { not_before: Some(2), not_after: Some(1), ..entry(1) };
        for (changed, error) in [
            (Issuer { id: String::new(), ..issuer() }, TrustError::Id { id: String::new() }),
            (Issuer { id: did.clone(), ..issuer() }, TrustError::Id { id: did }),
            (Issuer { tier: Tier::L1, ..issuer() }, TrustError::Tier { id: id() }),
            (Issuer { keys: vec![], ..issuer() }, TrustError::Keys { id: id() }),
            (Issuer { keys: vec![entry(1), entry(1)], ..issuer() }, TrustError::Keys { id: id() }),
            (Issuer { keys: (0..65).map(entry).collect(), ..issuer() }, TrustError::Keys { id: id() }),
            (Issuer { keys: vec![backwards], ..issuer() }, TrustError::Keys { id: id() }),
            (Issuer { max_passport_ttl_seconds: 0, ..issuer() }, TrustError::MaxTtl { id: id() }),
        ] {
            assert_eq!(TrustStore::new([changed], SelfIssued::Refused), Err(error));
        }
        let twice = TrustStore::new([issuer(), issuer()], SelfIssued::Refused);
        assert_eq!(twice, Err(TrustError::Duplicate { id: id() }));
        assert!(TrustStore::new([issuer()], SelfIssued::Refused).is_ok());
    }

    #[test]
    fn self_issued_keys_are_accepted_as_configured() {
        let (own, other) = (entry(1).key, entry(2).key);
        let store = |mode| TrustStore::new([], mode).unwrap();
        assert!(!store(SelfIssued::Refused).accepts_self_issued(&own));
        assert!(store(SelfIssued::AnyKey).accepts_self_issued(&own));
        let listed = store(SelfIssued::Listed(vec![String::from(own.thumbprint())]));
        assert!(listed.accepts_self_issued(&own));
        assert!(!listed.accepts_self_issued(&other));
        assert!(!store(SelfIssued::Listed(vec![])).accepts_self_issued(&own));
    }

    #[test]
    fn tiers_are_ordered_and_named_exactly() {
        assert!(Tier::L1 < Tier::L2 && Tier::L2 < Tier::L3);
        assert_eq!(Tier::from_name("L3"), Some(Tier::L3));
        for name in ["", "l1", "L0", "L4", "L1 ", "1"] {
            assert_eq!(Tier::from_name(name), None, "{name}");
        }
    }
}
