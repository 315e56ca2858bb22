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

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::constraints::Constraints;
use crate::jws::{Hashed, JwsError};
use crate::key::PublicKey;
use crate::memory::{self, Checked, KnownSignatures, ValidSignatures};
use crate::passport::{self, MAX_PASSPORT_BYTES, PassportError, VerifyContext};
use crate::scope::{ActionName, Scope};
use crate::trust::{Tier, TrustStore};

pub use error::{ChainError, Violation};
pub(crate) use issue::DelegationClaim;
pub use issue::{DelegateError, NewDelegation, RootGrant, delegate, issue_root, signing_input, with_signature};
pub use link::{Delegation, Link, ParentRef};
use rules::Authority;

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
    root: Link,
    delegated: Vec<Link>,
    authority: Authority,
    tier: Tier,
    token_sha256: [u8; 32],
}

impl VerifiedChain {
    /// The passports from the root to the leaf: 1 to [`MAX_LINKS`]. Revoking any of them ends the chain.
    pub fn links(&self) -> impl DoubleEndedIterator<Item = &Link> {
        core::iter::once(&self.root).chain(&self.delegated)
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
    check(text, trust, context, memory::NOTHING).map(|(chain, _)| chain)
}

/// As [`verify_chain`], but a signature that is `known` to be valid is not verified once more; everything else is
/// checked. So a chain whose parent was seen costs one verification.
///
/// The second half is for the caller's memory, see [`memory`].
///
/// # Errors
/// As [`verify_chain`], with nothing to remember.
pub fn verify_chain_with(
    text: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    known: &dyn KnownSignatures,
) -> Result<(VerifiedChain, ValidSignatures), ChainError> {
    let (chain, signatures) = check(text, trust, context, known)?;
    let valid = ValidSignatures::new(&signatures, &chain.root.claims.iss, &chain.root.claims.sub);
    Ok((chain, valid))
}

fn check(
    text: &str,
    trust: &TrustStore,
    context: &VerifyContext<'_>,
    known: &dyn KnownSignatures,
) -> Result<(VerifiedChain, Vec<Checked>), ChainError> {
    // 1. form
    let Tokens { root, root_token, delegated, tokens } = Tokens::read(text)?;
    // 2. root
    let issued = passport::check_issued(root_token, &root.claims, trust, context, known);
    let passport::Issued { signature, tier } = issued.map_err(|error| ChainError::at(0, error))?;
    // 3. narrowing
    let authority = rules::attenuate(&root, &delegated, tier)?;
    // 4. times and audience
    for (index, link) in (1..).zip(&delegated) {
        check_present(link, context).map_err(|error| ChainError::at(index, error))?;
    }
    // 5. signatures
    let mut signatures = alloc::vec![signature];
    check_signatures(&root, &delegated, tokens, known, &mut signatures)?;
    let token_sha256 = if delegated.is_empty() { root.token_sha256 } else { Sha256::digest(text).into() };
    Ok((VerifiedChain { tier: authority.tier, root, delegated, authority, token_sha256 }, signatures))
}

/// The links of a chain for display, explicitly unverified: neither signatures, times nor authority are looked at.
///
/// # Errors
/// [`ChainError`] when the text is malformed.
pub fn inspect_chain(text: &str) -> Result<Vec<Link>, ChainError> {
    let Tokens { root, delegated, .. } = Tokens::read(text)?;
    Ok(core::iter::once(root).chain(delegated).collect())
}

/// The passports of a text, well-formed and bounded in number; of each its link, and its token apart.
struct Tokens<'a> {
    root: Link,
    root_token: Hashed<'a>,
    delegated: Vec<Link>,
    tokens: Vec<Hashed<'a>>,
}

impl<'a> Tokens<'a> {
    fn read(text: &'a str) -> Result<Self, ChainError> {
        if text.len() > MAX_PASSPORT_BYTES {
            let too_large = JwsError::TooLarge { limit: MAX_PASSPORT_BYTES };
            return Err(ChainError::at(0, PassportError::Token(too_large)));
        }
        // One beyond the limit is counted and not read.
        let all: Vec<&str> = text.splitn(MAX_LINKS + 1, SEPARATOR).collect();
        let (root, texts) = all.split_first().map_or(("", &[][..]), |(root, texts)| (*root, texts));
        let (root, root_token) = link::read(root).map_err(|error| ChainError::at(0, error))?;
        if texts.len() > MAX_DELEGATIONS {
            return Err(ChainError::at(MAX_LINKS, Violation::TooDeep));
        }
        let (mut delegated, mut tokens) = (Vec::with_capacity(texts.len()), Vec::with_capacity(texts.len()));
        for (index, text) in (1..).zip(texts) {
            let (link, token) = link::read(text).map_err(|error| ChainError::at(index, error))?;
            delegated.push(link);
            tokens.push(token);
        }
        Ok(Self { root, root_token, delegated, tokens })
    }
}

fn check_present(link: &Link, context: &VerifyContext<'_>) -> Result<(), PassportError> {
    passport::check_times(&link.claims, MAX_DELEGATED_TTL_SECONDS, context)?;
    passport::check_audience(&link.claims, context.audience)
}

/// Every delegated passport by the key of the one before it, from the root on; those that hold are added to `valid`.
fn check_signatures(
    root: &Link,
    delegated: &[Link],
    tokens: Vec<Hashed<'_>>,
    known: &dyn KnownSignatures,
    valid: &mut Vec<Checked>,
) -> Result<(), ChainError> {
    let parents = core::iter::once(root).chain(delegated);
    for (index, (parent, token)) in (1..).zip(parents.zip(tokens)) {
        let checked = token.verify(&parent.claims.cnf_key, known);
        valid.push(checked.map_err(|_| ChainError::at(index, Violation::SignatureInvalid))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
