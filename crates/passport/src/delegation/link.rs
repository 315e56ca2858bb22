//! One passport of a chain: its claims, and what it says about delegation.

use alloc::string::String;

use super::{MAX_DELEGATED_PERMISSIONS, MAX_DELEGATIONS};
use crate::claims::{self, Claims, ClaimsError, identifier, invalid, passport_id};
use crate::constraints::Constraints;
use crate::digest::read_sha256_label;
use crate::json::{Members, Node};

/// One passport of a chain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The claims of every passport.
    pub claims: Claims,
    /// What it states about delegation.
    pub delegation: Option<Delegation>,
    /// What it states as its limits; what it inherits is not in here.
    pub constraints: Constraints,
    /// Thumbprint of the key that signed.
    pub kid: String,
    /// SHA-256 of this passport alone, as received.
    pub token_sha256: [u8; 32],
}

impl Link {
    /// How often its holder may hand on what it has. A passport that does not say so may not be handed on.
    #[must_use]
    pub fn depth_left(&self) -> u8 {
        self.delegation.as_ref().map_or(0, |delegation| delegation.depth_left)
    }

    /// What it says about its parent; `None` for a root.
    #[must_use]
    pub fn parent(&self) -> Option<&ParentRef> {
        self.delegation.as_ref().and_then(|delegation| delegation.parent.as_ref())
    }
}

/// The `delegation` claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delegation {
    /// How many delegations may follow, from 0 to [`MAX_DELEGATIONS`]; to one less in a delegated passport.
    pub depth_left: u8,
    /// Where it comes from; `None` in a root.
    pub parent: Option<ParentRef>,
}

/// What a delegated passport says about the one it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentRef {
    /// The parent's `jti`.
    pub jti: String,
    /// `sha256:` and the SHA-256 of the parent's token in lower-case hexadecimal.
    pub sha256: String,
    /// The `iss` of the root.
    pub root_issuer: String,
    /// The parent's `sub`.
    pub spawned_by: String,
}

impl Link {
    pub(super) fn read(payload: &[u8], kid: &str, token_sha256: [u8; 32]) -> Result<Self, ClaimsError> {
        let members = claims::read_members(payload)?;
        let link = Self {
            claims: Claims::from_members(&members)?,
            delegation: claims::optional(&members, "delegation", Delegation::from_claim)?,
            constraints: claims::optional(&members, "constraints", Constraints::from_node)?.unwrap_or_default(),
            kid: String::from(kid),
            token_sha256,
        };
        if link.parent().is_some() && link.claims.permissions.len() > MAX_DELEGATED_PERMISSIONS {
            return Err(invalid("permissions", "has more than 64 scopes in a delegated passport"));
        }
        Ok(link)
    }
}

impl Delegation {
    /// A root has `depth_left` alone, a delegated passport all five members; nothing else is read.
    fn from_claim(value: &Node<'_>) -> Result<Self, ClaimsError> {
        let members = value.as_object().ok_or(SHAPE)?;
        let most = match members.len() {
            1 => MAX_DELEGATIONS,
            5 => MAX_DELEGATIONS - 1,
            _ => return Err(SHAPE),
        };
        let depth = members.get("depth_left").and_then(Node::as_u64).and_then(|depth| u8::try_from(depth).ok());
        let depth_left = depth.filter(|depth| usize::from(*depth) <= most);
        let depth_left =
            depth_left.ok_or(invalid("delegation.depth_left", "is no integer from 0 to 5, or 4 below a root"))?;
        let parent = if members.len() == 1 { None } else { Some(ParentRef::from_members(members)?) };
        Ok(Self { depth_left, parent })
    }
}

impl ParentRef {
    fn from_members(members: &Members<'_>) -> Result<Self, ClaimsError> {
        let member = |name| members.get(name).ok_or(SHAPE);
        let sha256 =
            member("parent_sha256")?.as_str().filter(|text| read_sha256_label(text).is_some()).map(String::from);
        Ok(Self {
            jti: passport_id(member("parent")?, "delegation.parent")?,
            sha256: sha256.ok_or(invalid("delegation.parent_sha256", "is not `sha256:` and 64 digits of 0-9 a-f"))?,
            root_issuer: identifier(member("root_issuer")?, "delegation.root_issuer")?,
            spawned_by: identifier(member("spawned_by")?, "delegation.spawned_by")?,
        })
    }
}

const SHAPE: ClaimsError = invalid(
    "delegation",
    "is no object with `depth_left` alone, or with `parent`, `parent_sha256`, `root_issuer` and `spawned_by` beside it",
);
