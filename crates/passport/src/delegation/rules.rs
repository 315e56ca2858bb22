//! The rules between a delegated passport and those above it. No signature is looked at here.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{ChainError, Link, MAX_DELEGATED_TTL_SECONDS, MIN_DELEGATED_TTL_SECONDS, Violation};
use crate::constraints::Constraints;
use crate::did_key;
use crate::digest::read_sha256_label;
use crate::scope::Scope;
use crate::trust::Tier;

/// So many comparisons of permissions cost less than sorting them.
const FEW_COMPARISONS: usize = 64;

/// What a link has: what it states where it states something, else what its parent has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Authority {
    pub(super) permissions: Vec<Scope>,
    pub(super) constraints: Constraints,
    pub(super) audience: Option<Vec<String>>,
    pub(super) tier: Tier,
}

/// The authority of the last link. `tier` is the root's.
pub(super) fn attenuate(root: &Link, delegated: &[Arc<Link>], tier: Tier) -> Result<Authority, ChainError> {
    if root.parent().is_some() {
        return Err(ChainError::at(0, Violation::RootMissing));
    }
    let mut authority = Authority {
        // Those of the last link: every link states its own.
        permissions: Vec::new(),
        constraints: root.constraints.clone(),
        audience: root.claims.aud.clone(),
        tier,
    };
    let mut parent = root;
    for (index, child) in (1..).zip(delegated) {
        let above = core::iter::once(root).chain(delegated.iter().take(index - 1).map(Arc::as_ref));
        check_parent(root, parent, child)
            .and_then(|()| check_new(above, child))
            .and_then(|()| check_lifetime(parent, child))
            .map_err(|violation| ChainError::at(index, violation))?;
        if !covers(&parent.claims.permissions, &child.claims.permissions) {
            return Err(ChainError::at(index, Violation::WidensScope));
        }
        authority = authority.narrowed(child).map_err(|violation| ChainError::at(index, violation))?;
        parent = child;
    }
    authority.permissions = parent.claims.permissions.clone();
    Ok(authority)
}

/// The child was made from this parent and may have been.
fn check_parent(root: &Link, parent: &Link, child: &Link) -> Result<(), Violation> {
    let named = child.parent().ok_or(Violation::NotDelegated)?;
    let parent_key = &parent.claims.cnf_key;
    let rules = [
        (named.jti == parent.claims.jti, Violation::ParentMismatch),
        (read_sha256_label(&named.sha256) == Some(parent.token_sha256), Violation::ParentHashMismatch),
        (named.root_issuer == root.claims.iss, Violation::RootMismatch),
        (named.spawned_by == parent.claims.sub, Violation::SpawnerMismatch),
        (did_key::names(&child.claims.iss, parent_key), Violation::IssuerMismatch),
        (child.kid == parent_key.thumbprint(), Violation::KeyMismatch),
        (child.depth_left() < parent.depth_left(), Violation::TooDeep),
        (child.claims.status_list.is_none(), Violation::StatusList),
    ];
    first_broken(rules)
}

/// The child is nobody above it: neither by key, the issuer's among them, nor by name, nor by passport.
fn check_new<'a>(mut above: impl Iterator<Item = &'a Link> + Clone, child: &Link) -> Result<(), Violation> {
    let own = &child.claims;
    let own_kid = own.cnf_key.thumbprint();
    let is_other = |ancestor: &Link| {
        let theirs = &ancestor.claims;
        own.cnf_key != theirs.cnf_key && own_kid != ancestor.kid && own.sub != theirs.sub
    };
    first_broken([
        (above.clone().all(is_other), Violation::OwnAncestor),
        (above.all(|ancestor| own.jti != ancestor.claims.jti), Violation::IdReused),
    ])
}

/// Times are compared as they stand: leeway is for clocks, and here is none.
fn check_lifetime(parent: &Link, child: &Link) -> Result<(), Violation> {
    let (parent, child) = (&parent.claims, &child.claims);
    let seconds = child.exp.saturating_sub(child.iat);
    let begins = child.nbf.unwrap_or(child.iat).min(child.iat);
    first_broken([
        ((MIN_DELEGATED_TTL_SECONDS..=MAX_DELEGATED_TTL_SECONDS).contains(&seconds), Violation::Lifetime),
        (child.exp <= parent.exp, Violation::OutlivesParent),
        (begins >= parent.iat, Violation::PredatesParent),
    ])
}

impl Authority {
    /// All but the permissions.
    fn narrowed(self, child: &Link) -> Result<Self, Violation> {
        let claims = &child.claims;
        Ok(Self {
            permissions: self.permissions,
            audience: narrowed_audience(self.audience, claims.aud.as_ref())?,
            tier: narrowed_tier(self.tier, claims.trust_tier)?,
            constraints: self.constraints.narrowed(&child.constraints)?,
        })
    }
}

fn narrowed_audience(
    parent: Option<Vec<String>>,
    child: Option<&Vec<String>>,
) -> Result<Option<Vec<String>>, Violation> {
    match (parent, child) {
        (Some(wide), Some(narrow)) if !narrow.iter().all(|name| wide.contains(name)) => Err(Violation::WidensAudience),
        (inherited, None) => Ok(inherited),
        (_, stated) => Ok(stated.cloned()),
    }
}

fn narrowed_tier(parent: Tier, child: Option<Tier>) -> Result<Tier, Violation> {
    let tier = child.unwrap_or(parent);
    if tier <= parent { Ok(tier) } else { Err(Violation::WidensTier) }
}

/// Whether one of `wide` covers each of `narrow`. What has no wildcard covers itself alone, so in long lists it is looked
/// up: else the longest would cost more than all signatures of their chain.
fn covers(wide: &[Scope], narrow: &[Scope]) -> bool {
    if wide.len().saturating_mul(narrow.len()) <= FEW_COMPARISONS {
        // Most are handed on as they are.
        let covered = |scope| wide.contains(scope) || wide.iter().any(|pattern| pattern.covers_scope(scope));
        return narrow.iter().all(covered);
    }
    let mut same: Vec<&Scope> = wide.iter().collect();
    same.sort_unstable();
    let patterns: Vec<&Scope> = wide.iter().filter(|scope| scope.as_str().contains('*')).collect();
    narrow
        .iter()
        .all(|scope| same.binary_search(&scope).is_ok() || patterns.iter().any(|pattern| pattern.covers_scope(scope)))
}

fn first_broken<const N: usize>(rules: [(bool, Violation); N]) -> Result<(), Violation> {
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, violation)) => Err(violation),
        None => Ok(()),
    }
}
