//! Making chains: a root that may be handed on, and the next passport of a chain.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::Serialize;
use serde_json::{Map, Value};

use super::link::Link;
use super::{ChainError, SEPARATOR, Tokens, rules};
use crate::claims::ClaimsError;
use crate::constraints::{Constraints, ConstraintsClaim};
use crate::did_key;
use crate::digest::sha256_label;
use crate::issue::{self, Extension, IssueError, NewPassport};
use crate::jws::{self, TokenType};
use crate::key::{PublicKey, SecretKey};
use crate::memory::PassportMemory;
use crate::scope::Scope;
use crate::trust::Tier;

/// What a root says beside the claims of every passport.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootGrant {
    /// How often it may be handed on, from 0 to [`MAX_DELEGATIONS`](super::MAX_DELEGATIONS); never, when `None`.
    pub depth_left: Option<u8>,
    /// Its limits.
    pub constraints: Constraints,
}

/// What a delegated passport shall say. What its parent limits and it does not, it inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelegation {
    /// The passport's id: `pass_<ULID>`, see [`new_id`](crate::id::new_id).
    pub jti: String,
    /// The sub-agent's id.
    pub sub: String,
    /// The key the sub-agent will prove possession of.
    pub cnf_key: PublicKey,
    /// What the sub-agent may ask for.
    pub permissions: Vec<Scope>,
    /// Issued at, unix seconds.
    pub iat: i64,
    /// Valid from, unix seconds, where that differs from `iat`.
    pub nbf: Option<i64>,
    /// Valid until, unix seconds.
    pub exp: i64,
    /// How often the sub-agent may hand it on; less than the parent's.
    pub depth_left: u8,
    /// Its limits.
    pub constraints: Constraints,
    /// A name for people.
    pub agent_name: Option<String>,
    /// For which gates it is meant; the parent's when `None`, never empty.
    pub aud: Option<Vec<String>>,
    /// The tier not to be treated above.
    pub trust_tier: Option<Tier>,
    /// The delegating agent's own data.
    pub metadata: Option<Map<String, Value>>,
}

impl NewDelegation {
    /// A delegation with the required claims alone that may not be handed on; the other fields can be set after.
    #[must_use]
    pub fn new(jti: String, sub: String, cnf_key: PublicKey, permissions: Vec<Scope>, iat: i64, exp: i64) -> Self {
        Self {
            jti,
            sub,
            cnf_key,
            permissions,
            iat,
            nbf: None,
            exp,
            depth_left: 0,
            constraints: Constraints::default(),
            agent_name: None,
            aud: None,
            trust_tier: None,
            metadata: None,
        }
    }
}

/// Why nothing was delegated: no verifier would accept it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegateError {
    /// The key is not the one in the `cnf` of the chain's last passport.
    #[error("the key is not that of the last passport of the chain: sign with the key of the agent that delegates")]
    WrongKey,
    /// The parent chain or the new passport breaks a rule.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A claim cannot be written.
    #[error(transparent)]
    Claims(ClaimsError),
}

/// Issues a root as [`issue`](crate::issue::issue) does, with limits and with leave to hand it on.
///
/// # Errors
/// [`IssueError`]; whatever is issued is read back with the verifier's own rules first.
pub fn issue_root(key: &SecretKey, passport: &NewPassport, grant: &RootGrant) -> Result<String, IssueError> {
    let delegation = grant.depth_left.map(|depth_left| DelegationClaim { parent: None, depth_left });
    let extension = Extension { delegation, constraints: ConstraintsClaim::of(&grant.constraints) };
    let payload = issue::encode(key, passport, &extension)?;
    Link::read(&payload, key.public().thumbprint(), [0; 32]).map_err(IssueError::Claims)?;
    issue::sign(key, &payload)
}

/// Makes the chain `parent_chain` with one more passport, signed by `parent_key`; nothing is asked of anybody.
///
/// Equal arguments give equal bytes on every runtime. What a verifier needs a clock or a trust store for is not looked
/// at: whether the parent has expired or its issuer is trusted.
///
/// # Errors
/// [`DelegateError`]; the new chain is read back with the verifier's own rules first.
pub fn delegate(parent_chain: &str, parent_key: &SecretKey, new: &NewDelegation) -> Result<String, DelegateError> {
    let input = encoded(parent_chain, Some(parent_key.public()), new)?;
    let signature = parent_key.sign(input.as_bytes());
    with_signature(parent_chain, input, &signature)
}

/// What is signed, for a key that is held elsewhere: that in the `cnf` of the last passport of `parent_chain`.
///
/// # Errors
/// As [`delegate`].
pub fn signing_input(parent_chain: &str, new: &NewDelegation) -> Result<String, DelegateError> {
    /// A well-formed signature of nobody: its place is all that counts for the rules.
    const NO_SIGNATURE: [u8; 64] = [0; 64];
    let input = encoded(parent_chain, None, new)?;
    let chain = joined(parent_chain, input.clone(), &NO_SIGNATURE);
    let tokens = attenuated(&chain)?;
    tokens.check_delegated(tokens.delegated.len().saturating_sub(1))?;
    Ok(input)
}

/// The chain of a [`signing_input`] and the Ed25519 signature over it.
///
/// # Errors
/// [`DelegateError::Chain`] when the signature, or one above it, does not hold.
pub fn with_signature(parent_chain: &str, input: String, signature: &[u8; 64]) -> Result<String, DelegateError> {
    let chain = joined(parent_chain, input, signature);
    let tokens = attenuated(&chain)?;
    tokens.check_delegated(tokens.delegated.len())?;
    Ok(chain)
}

/// Header and payload of the new passport.
fn encoded(parent_chain: &str, key: Option<&PublicKey>, new: &NewDelegation) -> Result<String, DelegateError> {
    let tokens = Tokens::read(parent_chain, &PassportMemory::NOTHING)?;
    let parent = &tokens.delegated.last().unwrap_or(&tokens.root);
    let parent_key = &parent.claims.cnf_key;
    if key.is_some_and(|key| key != parent_key) {
        return Err(DelegateError::WrongKey);
    }
    let payload = encode(&tokens.root, parent, new).map_err(DelegateError::Claims)?;
    Ok(jws::signing_input(parent_key.thumbprint(), TokenType::Passport, &payload))
}

fn joined(parent_chain: &str, input: String, signature: &[u8; 64]) -> String {
    let token = jws::with_signature(input, signature);
    let mut chain = String::with_capacity(parent_chain.len() + 1 + token.len());
    chain.push_str(parent_chain);
    chain.push(SEPARATOR);
    chain.push_str(&token);
    chain
}

/// What [`verify_chain`](super::verify_chain) checks without a clock, a trust store and signatures.
fn attenuated(chain: &str) -> Result<Tokens<'_>, ChainError> {
    let tokens = Tokens::read(chain, &PassportMemory::NOTHING)?;
    rules::attenuate(&tokens.root, &tokens.delegated, highest_tier(&tokens.root))?;
    Ok(tokens)
}

/// The highest tier that a trust store can give the root: what the root claims, if it claims one, has to be its tier.
fn highest_tier(root: &Link) -> Tier {
    let most = if root.claims.iss.starts_with(did_key::SCHEME) { Tier::L1 } else { Tier::L3 };
    root.claims.trust_tier.unwrap_or(most).min(most)
}

fn encode(root: &Link, parent: &Link, new: &NewDelegation) -> Result<Vec<u8>, ClaimsError> {
    let parent_sha256 = sha256_label(&parent.token_sha256);
    let claim = ParentClaim {
        parent: &parent.claims.jti,
        parent_sha256: &parent_sha256,
        root_issuer: &root.claims.iss,
        spawned_by: &parent.claims.sub,
    };
    let extension = Extension {
        delegation: Some(DelegationClaim { parent: Some(claim), depth_left: new.depth_left }),
        constraints: ConstraintsClaim::of(&new.constraints),
    };
    let iss = did_key::encode(&parent.claims.cnf_key);
    issue::encode_payload(&iss, &new.as_passport(), &extension)
}

impl NewDelegation {
    fn as_passport(&self) -> NewPassport {
        NewPassport {
            iss: None,
            sub: self.sub.to_string(),
            jti: self.jti.to_string(),
            iat: self.iat,
            nbf: self.nbf,
            exp: self.exp,
            cnf_key: self.cnf_key.clone(),
            permissions: self.permissions.clone(),
            agent_name: self.agent_name.clone(),
            aud: self.aud.clone(),
            trust_tier: self.trust_tier,
            status_list: None,
            metadata: self.metadata.clone(),
        }
    }
}

/// The claim as written; the order of the fields is the order of the bytes.
#[derive(Serialize)]
pub(crate) struct DelegationClaim<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    parent: Option<ParentClaim<'a>>,
    depth_left: u8,
}

#[derive(Serialize)]
struct ParentClaim<'a> {
    parent: &'a str,
    parent_sha256: &'a str,
    root_issuer: &'a str,
    spawned_by: &'a str,
}
