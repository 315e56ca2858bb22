//! Passes for one action: what a gate mints after an allow or an approval, and redeems once.
//!
//! A pass is a compact JWS (`typ: actionpass+jwt`) signed by the gate and bound to the [`ActionHash`] of the one action
//! it is for. Version 0 is bound to that content alone, version 1 also to the key that has to present it
//! (`cnf.jkt`, RFC 7800 and RFC 9449). [`verify`] checks in this order, and the first failure is the one reported:
//!
//! 1. size, token form, header and claims (`action_pass_malformed`);
//! 2. that `kid` names a key of the gate (`action_pass_key_unknown`), and the signature (`action_pass_signature_invalid`);
//! 3. audience and issuer (`action_pass_audience_mismatch`, `action_pass_issuer_mismatch`);
//! 4. lifetime and times (`action_pass_lifetime_exceeded`, `action_pass_not_yet_valid`, `action_pass_expired`);
//! 5. the action (`action_pass_content_mismatch`);
//! 6. the presenter's key (`action_pass_key_required`, `action_pass_key_mismatch`).
//!
//! What holds here has still to be redeemed: [`VerifiedActionPass::redemption`] is what the state remembers, in the same
//! atomic step that admits the request. `docs/spec/action-pass.md` is the normative page.

pub(crate) mod claims;
mod error;

use alloc::string::String;
use alloc::vec::Vec;

use crate::action::ActionHash;
use crate::jws::{self, TokenType};
use crate::key::{PublicKey, SecretKey};
use crate::passport::MAX_LEEWAY_SECONDS;

pub use error::{ActionPassError, ClaimError, MintError};

/// Name of the field by which a request asks a gate for a pass or presents one. Every proof covers it where it stands.
pub const ACTION_PASS_FIELD: &str = "agent-action-pass";
/// The longest pass in bytes: with ids of 256 characters, each escaped, and all approvals it stays below.
pub const MAX_ACTION_PASS_BYTES: usize = 4 * 1024;
/// The longest lifetime, `exp - iat`, in seconds: a pass is for what is about to happen.
pub const MAX_ACTION_PASS_TTL_SECONDS: i64 = 300;
/// Most approvals that one pass names.
pub const MAX_APPROVALS: usize = 8;

/// What a pass says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPass {
    /// The one action it is for.
    pub action: ActionHash,
    /// The approvals it rests on: at most [`MAX_APPROVALS`] ids `appr_<ULID>` in ascending order, none of them twice.
    pub approvals: Vec<String>,
    /// The attestation of the decision it comes from: `att_<ULID>`.
    pub attestation_id: String,
    /// The gate that it is redeemed at (`aud`): 1 to 256 visible ASCII characters.
    pub audience: String,
    /// Valid until and including, unix seconds; 1 to [`MAX_ACTION_PASS_TTL_SECONDS`] after `iat`.
    pub exp: i64,
    /// The thumbprint of the key that has to present it (`cnf.jkt`). With it the pass is of version 1, else of version 0.
    pub holder_jkt: Option<String>,
    /// Minted at, unix seconds from 0.
    pub iat: i64,
    /// The gate that minted it (`iss`), which is the one that redeems it.
    pub issuer: String,
    /// Its own id: `actp_<ULID>`, see [`new_id`](crate::id::new_id).
    pub jti: String,
}

/// To what a pass is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// Version 0: to the action.
    Content,
    /// Version 1: to the action and to the key that presents it.
    ContentAndKey,
}

impl Binding {
    /// The claim `v`.
    #[must_use]
    pub fn version(self) -> u64 {
        match self {
            Self::Content => 0,
            Self::ContentAndKey => 1,
        }
    }
}

/// What a pass is held against.
#[derive(Debug, Clone, Copy)]
pub struct RedeemContext<'a> {
    /// The present, in unix seconds.
    pub now: i64,
    /// Tolerated difference between clocks, from 0 to [`MAX_LEEWAY_SECONDS`]; more is cut to it.
    pub leeway_seconds: i64,
    /// The gate at which it is presented.
    pub gate_id: &'a str,
    /// The action that it is presented for, as this gate reads the request at hand.
    pub action: &'a ActionHash,
    /// The thumbprint of the key whose possession the presenter has proved for this very request.
    pub presenter_jkt: Option<&'a str>,
    /// The least that is accepted.
    pub binding: Binding,
}

/// A pass that holds for its context, not yet redeemed; made by [`verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a pass is good once: redeem it"]
pub struct VerifiedActionPass {
    claims: ActionPass,
}

/// What the state has to remember of a redeemed pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redemption {
    /// The name under which it is remembered: `<gate id>:<jti>`. Who finds it there refuses the pass.
    pub key: String,
    /// The last unix second in which any gate accepts the pass, whatever its leeway; after it the name may be forgotten.
    pub until: i64,
}

/// Mints a pass signed by `key`. Equal arguments give equal bytes on every runtime.
///
/// # Errors
/// [`MintError`] for what no verifier would accept.
pub fn mint(key: &SecretKey, pass: &ActionPass) -> Result<String, MintError> {
    let input = signing_input(key.public().thumbprint(), pass)?;
    let signature = key.sign(input.as_bytes());
    Ok(jws::with_signature(input, &signature))
}

/// What has to be signed where the key is held elsewhere, of which `kid` is the RFC 7638 thumbprint;
/// [`jws::with_signature`] makes the pass of it.
///
/// # Errors
/// [`MintError`] for what no verifier would accept.
pub fn signing_input(kid: &str, pass: &ActionPass) -> Result<String, MintError> {
    pass.check_mintable()?;
    Ok(jws::signing_input(kid, TokenType::ActionPass, &pass.payload()?))
}

/// Verifies a pass; the [module](self) lists the checks. `keys` are those that the gate mints with, or has minted with
/// in the last [`MAX_ACTION_PASS_TTL_SECONDS`].
///
/// # Errors
/// [`ActionPassError`], the first failure in the order of the list.
pub fn verify(
    token: &str,
    keys: &[PublicKey],
    context: &RedeemContext<'_>,
) -> Result<VerifiedActionPass, ActionPassError> {
    // 1. form
    let unverified = jws::decode(token, TokenType::ActionPass, MAX_ACTION_PASS_BYTES)?;
    let claims = ActionPass::from_payload(unverified.payload())?;
    // 2. signature
    let signer = keys.iter().find(|key| key.thumbprint() == unverified.kid()).ok_or(ActionPassError::KeyUnknown)?;
    unverified.verify(signer)?;
    // 3. gate
    if claims.audience != context.gate_id {
        return Err(ActionPassError::AudienceMismatch);
    }
    if claims.issuer != context.gate_id {
        return Err(ActionPassError::IssuerMismatch);
    }
    // 4. times
    claims.check_times(context)?;
    // 5. action
    if claims.action != *context.action {
        return Err(ActionPassError::ContentMismatch);
    }
    // 6. key
    claims.check_holder(context)?;
    Ok(VerifiedActionPass { claims })
}

impl ActionPass {
    /// To what it is bound.
    #[must_use]
    pub fn binding(&self) -> Binding {
        if self.holder_jkt.is_some() { Binding::ContentAndKey } else { Binding::Content }
    }

    fn check_mintable(&self) -> Result<(), MintError> {
        self.check().map_err(MintError::Claim)?;
        if self.issuer != self.audience {
            return Err(MintError::IssuerMismatch);
        }
        let seconds = self.exp.saturating_sub(self.iat);
        if seconds > MAX_ACTION_PASS_TTL_SECONDS {
            return Err(MintError::LifetimeExceeded { seconds });
        }
        Ok(())
    }

    fn check_times(&self, context: &RedeemContext<'_>) -> Result<(), ActionPassError> {
        let Self { iat, exp, .. } = *self;
        let now = context.now;
        let leeway = context.leeway_seconds.clamp(0, MAX_LEEWAY_SECONDS);
        let seconds = exp.saturating_sub(iat);
        if seconds > MAX_ACTION_PASS_TTL_SECONDS {
            return Err(ActionPassError::LifetimeExceeded { seconds });
        }
        if iat.saturating_sub(leeway) > now {
            return Err(ActionPassError::NotYetValid { iat, now });
        }
        if exp.saturating_add(leeway) < now {
            return Err(ActionPassError::Expired { exp, now });
        }
        Ok(())
    }

    fn check_holder(&self, context: &RedeemContext<'_>) -> Result<(), ActionPassError> {
        if self.binding() < context.binding {
            return Err(ActionPassError::KeyRequired);
        }
        if self.holder_jkt.is_some() && self.holder_jkt.as_deref() != context.presenter_jkt {
            return Err(ActionPassError::KeyMismatch);
        }
        Ok(())
    }
}

impl VerifiedActionPass {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &ActionPass {
        &self.claims
    }

    /// What the state has to remember, so that it is good once.
    #[must_use]
    pub fn redemption(&self) -> Redemption {
        let key = [&*self.claims.audience, ":", &self.claims.jti].concat();
        Redemption { key, until: self.claims.exp.saturating_add(MAX_LEEWAY_SECONDS) }
    }
}

#[cfg(test)]
mod tests;
