//! Whether a passport holds at a gate, for whoever asks.

use passgate_core::gate::Gate;
use passgate_core::reason::Reason;
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::delegation::{self, Link, VerifiedChain};
use passgate_passport::passport::VerifyContext;
use passgate_passport::scope::Scope;
use serde::{Deserialize, Serialize};

use super::control::Controlled;
use super::documents::Revocation;
use super::standing::worst;

/// A passport to verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presented {
    /// The compact JWS, or a chain of them.
    pub passport: String,
    /// Whom it has to be meant for; the gate when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// What a gate says about a passport. It is what the gate would let count in a request, proof of possession apart; and
/// about one that does not hold it says no more than it says to callers: [`Reason::public_code`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether it holds.
    pub valid: bool,
    /// The gate that says so.
    pub gate_id: String,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<&'static str>,
    /// What a passport that holds says.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub passport: Option<PassportView>,
    /// What was not looked at: `proof_of_possession`, `revocation`, `status_list`.
    pub not_checked: Vec<&'static str>,
}

/// What a passport says, read by a gate that it holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassportView {
    /// Its `jti`.
    pub passport_id: String,
    /// The agent's id, unique for its issuer.
    pub agent_id: String,
    /// The agent's name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    /// The `iss` of the passport that everything rests on.
    pub issuer: String,
    /// Who handed the authority on, from the agent of the issuer to the one that made this passport.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegated_by: Vec<DelegatorView>,
    /// The tier by the gate's own list of issuers.
    pub trust_tier: &'static str,
    /// The thumbprint of the key whose possession has to be proven.
    pub key_thumbprint: String,
    /// What the agent may ask for.
    pub permissions: Vec<String>,
    /// Until when it is valid: RFC 3339.
    pub expires_at: String,
}

/// An agent that handed its authority on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DelegatorView {
    /// The `jti` of its passport.
    pub passport_id: String,
    /// The agent's id.
    pub agent_id: String,
    /// The thumbprint of its key.
    pub key_thumbprint: String,
}

/// Verifies a passport as the gate does in a request, and looks for revocations and suspensions in the state. Where the
/// state cannot be asked, a passport that holds apart from that is shown, with `revocation` not checked.
pub async fn verify(gate: &dyn Controlled, presented: &Presented) -> Verification {
    let policy = gate.gate();
    let refused = |reason: Reason| Verification {
        valid: false,
        gate_id: policy.id.clone(),
        reason_code: Some(reason.public_code()),
        passport: None,
        not_checked: Vec::new(),
    };
    let verified = match check(&policy, presented, gate.now()) {
        Ok(verified) => verified,
        Err(reason) => return refused(reason),
    };
    let mut not_checked = vec!["proof_of_possession"];
    match policy.status_lists.check(&verified.root().claims, gate.now()) {
        Ok(None) if verified.root().claims.status_list.is_some() => not_checked.push("status_list"),
        Ok(_) => {}
        Err(refusal) => return refused(refusal.reason),
    }
    let subjects: Vec<Subject> = Revocation::all_of(verified.links()).into_iter().map(Subject::from).collect();
    match gate.standing(&subjects).await {
        Ok(found) if worst(&found).revoked_at.is_some() => return refused(Reason::Revoked),
        Ok(found) if worst(&found).is_denied() => return refused(Reason::Suspended),
        Ok(found) if found.len() == subjects.len() => {}
        Ok(_) | Err(_) => not_checked.push("revocation"),
    }
    Verification {
        valid: true,
        gate_id: policy.id.clone(),
        reason_code: None,
        passport: Some(view(&verified)),
        not_checked,
    }
}

/// What needs no state.
fn check(gate: &Gate, presented: &Presented, now: UnixMillis) -> Result<VerifiedChain, Reason> {
    let audience = presented.audience.as_deref().unwrap_or(&gate.id);
    let context = VerifyContext { now: now.seconds(), leeway_seconds: gate.leeway_seconds, audience: Some(audience) };
    if gate.policy_freshness.is_some_and(|freshness| freshness.is_over(now)) {
        return Err(Reason::PolicyStale);
    }
    let verified = delegation::verify_chain(&presented.passport, &gate.trust, &context)
        .map_err(|error| Reason::from_code(error.code()).unwrap_or(Reason::InternalError))?;
    if verified.tier() < gate.level.minimum_tier() {
        return Err(Reason::TierInsufficient);
    }
    Ok(verified)
}

fn view(chain: &VerifiedChain) -> PassportView {
    let claims = &chain.leaf().claims;
    let expires = UnixMillis(u64::try_from(chain.expires_at()).unwrap_or_default().saturating_mul(1000));
    let delegator = |link: &Link| DelegatorView {
        passport_id: link.claims.jti.clone(),
        agent_id: link.claims.sub.clone(),
        key_thumbprint: link.claims.cnf_key.thumbprint().to_owned(),
    };
    PassportView {
        passport_id: claims.jti.clone(),
        agent_id: claims.sub.clone(),
        agent_name: claims.agent_name.clone(),
        issuer: chain.root_issuer().to_owned(),
        delegated_by: chain.links().take(chain.delegations()).map(delegator).collect(),
        trust_tier: chain.tier().as_str(),
        key_thumbprint: claims.cnf_key.thumbprint().to_owned(),
        permissions: chain.permissions().iter().map(Scope::as_str).map(str::to_owned).collect(),
        expires_at: expires.rfc3339(),
    }
}
