//! Why a chain was refused. Messages name the rule and quote nothing of a token.

use alloc::fmt;

use crate::constraints::Widened;
use crate::passport::PassportError;

/// A refused chain: which link, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainError {
    /// The link that is at fault: 0 is the root.
    pub link: usize,
    /// What is wrong.
    pub violation: Violation,
}

impl ChainError {
    pub(super) fn at(link: usize, violation: impl Into<Violation>) -> Self {
        Self { link, violation: violation.into() }
    }

    /// The stable machine-readable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.violation.code()
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link {
            0 => self.violation.fmt(f),
            link => write!(f, "delegation {link} of the passport chain: {}", self.violation),
        }
    }
}

impl core::error::Error for ChainError {}

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident $code:literal $message:literal;)*) => {
        /// What is wrong with a link of a chain. Each has one code.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum Violation {
            /// A rule that every passport has to follow, with the code of that rule.
            #[error(transparent)]
            Passport(PassportError),
            $($(#[$doc])* #[error($message)] $name,)*
        }

        impl Violation {
            /// Every violation of the rules of chains.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable machine-readable code.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    Self::Passport(error) => error.code(),
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

violations! {
    /// The first passport was delegated: the chain lacks its beginning.
    RootMissing "delegation_root_missing"
        "the first passport of the chain is a delegated one: present the whole chain, from the root on";
    /// A later passport was not delegated.
    NotDelegated "delegation_missing"
        "the passport is no delegated one: only the first of a chain is issued directly";
    /// The chain is longer than its root, a link or the format allows.
    TooDeep "delegation_depth"
        "the chain is deeper than its parent's `depth_left` or five delegations: delegate from further up";
    /// `delegation.parent` is another passport.
    ParentMismatch "delegation_parent_mismatch"
        "`delegation.parent` is not the `jti` of the passport before it: present the chain as it was made";
    /// `delegation.parent_sha256` is that of other bytes.
    ParentHashMismatch "delegation_parent_hash_mismatch"
        "`delegation.parent_sha256` is not the hash of the passport before it: present the chain as it was made";
    /// `delegation.root_issuer` is another.
    RootMismatch "delegation_root_mismatch"
        "`delegation.root_issuer` is not the `iss` of the first passport: present the chain as it was made";
    /// `delegation.spawned_by` is another.
    SpawnerMismatch "delegation_spawner_mismatch"
        "`delegation.spawned_by` is not the `sub` of the passport before it: present the chain as it was made";
    /// `iss` is not the `did:key` of the parent's key.
    IssuerMismatch "delegation_issuer_mismatch"
        "`iss` is not the did:key of the key of the passport before it";
    /// `kid` is not the thumbprint of the parent's key.
    KeyMismatch "delegation_key_mismatch"
        "`kid` does not name the key of the passport before it";
    /// The parent's key did not sign.
    SignatureInvalid "delegation_signature_invalid"
        "the signature is not valid for the key of the passport before it: delegate again";
    /// Its key or its agent stands above it.
    OwnAncestor "delegation_self"
        "its key or its `sub` is that of a passport above it: delegate to another agent with a key of its own";
    /// Its id stands above it.
    IdReused "delegation_id_reused"
        "its `jti` is that of a passport above it: give each its own";
    /// It lives too briefly or too long.
    Lifetime "delegation_lifetime"
        "it does not live for 60 s to 24 h: choose another `exp`";
    /// It ends after its parent.
    OutlivesParent "delegation_outlives_parent"
        "its `exp` is after that of its parent: choose an earlier one";
    /// It begins before its parent.
    PredatesParent "delegation_predates_parent"
        "its `iat` or `nbf` is before the `iat` of its parent: choose later ones";
    /// It names a status list, which nobody can publish for it.
    StatusList "delegation_status"
        "it has a `status`: a delegated passport is revoked at the gate, or with a passport above it";
    /// A permission beyond those of the parent.
    WidensScope "delegation_widens_scope"
        "it has a permission that no permission of its parent covers";
    /// A gate beyond those of the parent.
    WidensAudience "delegation_widens_audience"
        "it names an audience that its parent does not";
    /// A tier above that of the parent.
    WidensTier "delegation_widens_tier"
        "its `trust_tier` is above that of its parent: correct or drop it";
    /// A spend cap above that of the parent.
    WidensSpend "delegation_widens_spend"
        "it has a spend cap above that of its parent";
    /// A rate cap above that of the parent.
    WidensRate "delegation_widens_rate"
        "it has a rate cap above that of its parent";
    /// A host beyond those of the parent.
    WidensDomains "delegation_widens_domains"
        "it has a domain that no domain of its parent covers";
    /// A resource beyond those of the parent.
    WidensResources "delegation_widens_resources"
        "it has a resource that no resource of its parent covers";
    /// A context value beyond those of the parent.
    WidensContext "delegation_widens_context"
        "it has a context value that its parent does not have under that name";
    /// More records than the parent.
    WidensMaxRecords "delegation_widens_max_records"
        "its `max_records` is above that of its parent";
    /// Another purpose than the parent's.
    ChangesPurpose "delegation_changes_purpose"
        "its purpose is not that of its parent";
    /// Another task than the parent's.
    ChangesTask "delegation_changes_task"
        "its task is not that of its parent";
    /// A label of the parent is gone.
    DropsLabel "delegation_drops_label"
        "it lacks a label that its parent has: labels are only added";
}

impl From<PassportError> for Violation {
    fn from(error: PassportError) -> Self {
        Self::Passport(error)
    }
}

impl From<Widened> for Violation {
    fn from(widened: Widened) -> Self {
        match widened {
            Widened::Spend => Self::WidensSpend,
            Widened::Rate => Self::WidensRate,
            Widened::Domains => Self::WidensDomains,
            Widened::Resources => Self::WidensResources,
            Widened::Context => Self::WidensContext,
            Widened::MaxRecords => Self::WidensMaxRecords,
            Widened::Purpose => Self::ChangesPurpose,
            Widened::Task => Self::ChangesTask,
            Widened::Labels => Self::DropsLabel,
        }
    }
}
