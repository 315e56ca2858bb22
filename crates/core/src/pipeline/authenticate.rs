//! Step 2: who is asking, proven.

use alloc::string::ToString;

use passgate_passport::delegation::{self, Link, VerifiedChain};
use passgate_passport::passport::VerifyContext;
use passgate_passport::proof::dpop::DpopRules;
use passgate_passport::proof::{self, PASSPORT_FIELD, VerifiedProof};

use super::parse::{Parsed, Refusal};
use crate::attest::{AgentRecord, DelegatorRecord, StatusListRecord, sha256_label};
use crate::gate::Gate;
use crate::reason::Reason;
use crate::time::UnixMillis;

/// A request whose agent is proven. Only [`authenticate`] makes it, so a judgement without authentication does not
/// compile.
#[derive(Debug)]
pub struct Authenticated<'a> {
    pub(super) chain: VerifiedChain,
    pub(super) proof: VerifiedProof<'a>,
    pub(super) now: UnixMillis,
    pub(super) status_list: Option<StatusListRecord>,
}

/// Verifies passport, tier, proof and status of `parsed`, in this order.
///
/// 1. The request carries a passport (`passport_missing`).
/// 2. The passport, or the chain of passports, verifies for this gate (`passport_*`, `issuer_*`, `tier_mismatch`,
///    `audience_mismatch`, `delegation_*`).
/// 3. Its tier reaches the gate's level (`tier_insufficient`).
/// 4. The proof verifies with the passport's key (`proof_*`, `content_digest_*`).
/// 5. Its issuer's status list, where those are checked, says that it is valid (`status_*`). This comes last: the state
///    of a gate's lists, and of a passport in them, is told to nobody but the holder of the passport's key.
///
/// Revocation and replay need state: they are part of the demand.
///
/// # Errors
///
/// The first of these that fails. An agent whose passport verified is named in the refusal.
pub fn authenticate<'a>(gate: &Gate, parsed: &'a Parsed<'a>, now: UnixMillis) -> Result<Authenticated<'a>, Refusal> {
    let refuse = |reason, detail, agent| Refusal::of(parsed, reason, detail, agent);
    let Some(header) = parsed.http.headers.iter().find(|header| header.name == PASSPORT_FIELD) else {
        return Err(refuse(Reason::PassportMissing, "no agent-passport field".to_string(), None));
    };
    let token = core::str::from_utf8(header.value)
        .map_err(|_| refuse(Reason::PassportMalformed, "the passport is not ASCII".to_string(), None))?;
    let context = VerifyContext { now: now.seconds(), leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    let chain = delegation::verify_chain(token, &gate.trust, &context)
        .map_err(|error| refuse(known(error.code()), error.to_string(), None))?;
    let agent = || Some(agent_record(&chain));
    if chain.tier() < gate.level.minimum_tier() {
        let detail = alloc::format!("tier {} at a gate of level {}", chain.tier().as_str(), gate.level.as_str());
        return Err(refuse(Reason::TierInsufficient, detail, agent()));
    }
    match proof::verify_either(&parsed.http, chain.key(), now.seconds(), &DpopRules::default()) {
        Ok(proof) => {
            // Those who delegate publish no lists: the root's says whether all of it holds.
            let status = gate.status_lists.check(&chain.root().claims, now);
            let status_list =
                status.map_err(|bad| refuse(bad.reason, bad.detail, agent()).with_status_list(bad.consulted))?;
            Ok(Authenticated { chain, proof, now, status_list })
        }
        Err(error) => Err(refuse(known(error.code()), error.to_string(), agent())),
    }
}

/// The reason with the code a check reported. A code missing from the table is our own fault, and denies.
pub(super) fn known(code: &str) -> Reason {
    Reason::from_code(code).unwrap_or(Reason::InternalError)
}

pub(super) fn agent_record(chain: &VerifiedChain) -> AgentRecord {
    let claims = &chain.leaf().claims;
    let delegator = |link: &Link| DelegatorRecord {
        agent_id: link.claims.sub.clone(),
        key_thumbprint: link.claims.cnf_key.thumbprint().to_string(),
        passport_id: link.claims.jti.clone(),
    };
    let constraints = chain.constraints();
    AgentRecord {
        agent_id: claims.sub.clone(),
        delegated_by: chain.links().take(chain.delegations()).map(delegator).collect(),
        issuer: chain.root_issuer().to_string(),
        key_thumbprint: claims.cnf_key.thumbprint().to_string(),
        labels: constraints.labels.iter().flatten().cloned().collect(),
        passport_id: claims.jti.clone(),
        passport_sha256: sha256_label(&chain.token_sha256()),
        purpose: constraints.purpose.clone(),
        trust_tier: chain.tier().as_str().to_string(),
    }
}
