//! Chains of passports: an agent hands a narrower passport on, signed with its own key and offline.
//!
//! A chain is the passports from the root to the leaf, joined by `~`. The root is issued by a registered issuer or by
//! the agent itself; every other passport is signed by the key in its parent's `cnf`. A text without `~` is a chain of
//! one. [`verify_chain`] checks in this order, and the first failure is the one reported:
//!
//! 1. size, number of links, and of every link the token form, header and claims (`passport_malformed`,
//!    `delegation_depth`);
//! 2. the root, by the rules of [`passport`], and that it is one (`delegation_root_missing`);
//! 3. link by link, that it names its parent, and that it only narrows what its parent has (`delegation_*`);
//! 4. link by link, its times and audience (`passport_expired`, `passport_not_yet_valid`, `audience_mismatch`);
//! 5. link by link, its signature by its parent's key (`delegation_signature_invalid`).
//!
//! So a chain that is refused costs at most one signature check beyond those that hold. Authority is never cut to fit:
//! a link that states more than its parent has is refused, and what a link does not state it inherits.
//!
//! Who accepts a chain has to hold requests against [`VerifiedChain::constraints`], look up the revocation of every
//! link, and count what is spent by a link against every link above it. `docs/spec/delegation.md` is the normative page.

mod error;
mod issue;
mod link;
mod rules;
mod token;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::constraints::Constraints;
use crate::key::PublicKey;
use crate::memory::{PassportMemory, Recall, SeenChain};
use crate::passport::{self, PassportError, VerifyContext};
use crate::scope::{ActionName, Scope};
use crate::trust::{Tier, TrustStore};

pub use error::{ChainError, Violation};
pub(crate) use issue::DelegationClaim;
pub use issue::{DelegateError, NewDelegation, RootGrant, delegate, issue_root, signing_input, with_signature};
pub use link::{Delegation, Link, ParentRef};
use rules::Authority;
use token::Tokens;

/// What joins the passports of a chain. It stands in no compact JWS.
pub const SEPARATOR: char = '~';

/// Most delegations of one chain.
#[cfg(not(passgate_deep_chains))]
pub const MAX_DELEGATIONS: usize = 5;
/// Most delegations of one chain where only the cost of long ones is measured. No feature: another crate could enable it.
#[cfg(passgate_deep_chains)]
pub const MAX_DELEGATIONS: usize = 7;

/// Most passports of one chain: the root and its delegations.
pub const MAX_LINKS: usize = MAX_DELEGATIONS + 1;

/// Shortest lifetime of a delegated passport, `exp - iat`, in seconds: less does not outlive a slow call.
pub const MIN_DELEGATED_TTL_SECONDS: i64 = 60;

/// Longest lifetime of a delegated passport: a day, in seconds. It stands for a task, not for an agent.
pub const MAX_DELEGATED_TTL_SECONDS: i64 = 24 * 60 * 60;

/// Most permissions of a delegated passport: each may be held against each of its parent's, so this bounds what a chain
/// costs beside its signatures.
pub const MAX_DELEGATED_PERMISSIONS: usize = 64;

/// A chain that holds for the trust store and the moment it was verified with; made by [`verify_chain`] alone.
///
/// It says nothing about revocation, nor about who presents it.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedChain {
    root: Arc<Link>,
    delegated: Vec<Arc<Link>>,
    authority: Authority,
    tier: Tier,
    token_sha256: [u8; 32],
}

impl VerifiedChain {
    /// The passports from the root to the leaf: 1 to [`MAX_LINKS`]. Revoking any of them ends the chain.
    pub fn links(&self) -> impl DoubleEndedIterator<Item = &Link> {
        core::iter::once(&self.root).chain(&self.delegated).map(Arc::as_ref)
    }

    /// The passport that the issuer signed.
    #[must_use]
    pub fn root(&self) -> &Link {
        &self.root
    }

    /// The passport of the agent that presents the chain; the root of a chain of one.
    #[must_use]
    pub fn leaf(&self) -> &Link {
        self.delegated.last().unwrap_or(&self.root)
    }

    /// How often authority was handed on: 0 for a chain of one.
    #[must_use]
    pub fn delegations(&self) -> usize {
        self.delegated.len()
    }

    /// The key whose possession the presenter has to prove.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.leaf().claims.cnf_key
    }

    /// Who issued the root: its id in the trust store, or the `did:key` of a self-issuer. Those who delegate vouch for
    /// nobody, so the `iss` of another link is never looked up.
    #[must_use]
    pub fn root_issuer(&self) -> &str {
        &self.root.claims.iss
    }

    /// The tier: the root's by the trust store, or the lowest that a link asks for.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What the leaf may ask for. Every entry is covered by an entry of each link above.
    #[must_use]
    pub fn permissions(&self) -> &[Scope] {
        &self.authority.permissions
    }

    /// Whether the leaf may ask for `action`.
    #[must_use]
    pub fn permits(&self, action: &ActionName) -> bool {
        self.authority.permissions.iter().any(|scope| scope.covers(action))
    }

    /// The strictest of all links' constraints, limit by limit, and all their labels.
    #[must_use]
    pub fn constraints(&self) -> &Constraints {
        &self.authority.constraints
    }

    /// The gates that every link is meant for; any when `None`.
    #[must_use]
    pub fn audience(&self) -> Option<&[String]> {
        self.authority.audience.as_deref()
    }

    /// How often the leaf may hand on what it has.
    #[must_use]
    pub fn depth_left(&self) -> u8 {
        self.leaf().depth_left()
    }

    /// Until when all links are valid, in unix seconds: the leaf's `exp`, because no link outlives its parent.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.leaf().claims.exp
    }

    /// SHA-256 of the whole text as received.
    #[must_use]
    pub fn token_sha256(&self) -> [u8; 32] {
        self.token_sha256
    }
}

/// Verifies a chain; the [module](self) lists the checks.
///
/// A text of one passport is a chain of one, refused with what is wrong with its link 0.
///
/// # Errors
/// [`ChainError`], the first failure in the order of the list.
pub fn verify_chain(text: &str, trust: &TrustStore, context: &VerifyContext<'_>) -> Result<VerifiedChain, ChainError> {
    verify_chain_with(text, trust, context, &PassportMemory::NOTHING).map(|(chain, _)| chain)
}

/// As [`verify_chain`], but the passports that `memory` has seen are neither read nor their signatures verified once more;
/// everything else is checked. So a chain whose parent was seen costs one verification.
///
/// The second half is for the memory; `None` when all of the chain was known, see [`memory`](crate::memory).
///
/// # Errors
/// As [`verify_chain`], with nothing to remember.
pub fn verify_chain_with(
    text: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    memory: &dyn Recall,
) -> Result<(VerifiedChain, Option<SeenChain>), ChainError> {
    // 1. form
    let tokens = Tokens::read(text, memory)?;
    let (root, delegated) = (&tokens.root, &tokens.delegated);
    // 2. root
    let tier = passport::check_issued(&root.claims, &root.kid, trust, context, |key| tokens.check_root(key));
    let tier = tier.map_err(|error| ChainError::at(0, error))?;
    // 3. narrowing
    let authority = rules::attenuate(root, delegated, tier)?;
    // 4. times and audience
    for (index, link) in (1..).zip(delegated) {
        check_present(link, context).map_err(|error| ChainError::at(index, error))?;
    }
    // 5. signatures
    tokens.check_delegated(delegated.len())?;
    let seen = tokens.seen();
    let Tokens { root, delegated, sha256: token_sha256, .. } = tokens;
    Ok((VerifiedChain { tier: authority.tier, root, delegated, authority, token_sha256 }, seen))
}

/// The links of a chain for display, explicitly unverified: neither signatures, times nor authority are looked at.
///
/// # Errors
/// [`ChainError`] when the text is malformed.
pub fn inspect_chain(text: &str) -> Result<Vec<Link>, ChainError> {
    let Tokens { root, delegated, .. } = Tokens::read(text, &PassportMemory::NOTHING)?;
    Ok(core::iter::once(root).chain(delegated).map(Arc::unwrap_or_clone).collect())
}

fn check_present(link: &Link, context: &VerifyContext<'_>) -> Result<(), PassportError> {
    passport::check_times(&link.claims, MAX_DELEGATED_TTL_SECONDS, context)?;
    passport::check_audience(&link.claims, context.audience)
}

#[cfg(test)]
mod tests;
