//! Step 2: who is asking, proven.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use passgate_passport::approval::APPROVAL_FIELD;
use passgate_passport::delegation;
use passgate_passport::memory::{PassportMemory, Recall, SeenChain};
use passgate_passport::passport::VerifyContext;
use passgate_passport::proof::dpop::DpopRules;
use passgate_passport::proof::web_bot_auth::{self, Presented};
use passgate_passport::proof::{self, PASSPORT_FIELD, ProofError, VerifiedProof};

use super::credential::Credential;
use super::idempotency;
use super::parse::{Parsed, Refusal};
use crate::attest::{AgentRecord, StatusListRecord};
use crate::gate::{Gate, ListedAgent};
use crate::reason::Reason;
use crate::time::UnixMillis;

/// A request whose agent is proven. Only [`authenticate`] makes it, so a judgement without authentication does not
/// compile.
#[derive(Debug)]
pub struct Authenticated<'a> {
    pub(super) credential: Credential,
    pub(super) proof: VerifiedProof<'a>,
    pub(super) now: UnixMillis,
    pub(super) status_list: Option<StatusListRecord>,
    /// The approvals that it presents, as received: they prove themselves.
    pub(super) approvals: Option<&'a [u8]>,
    /// Whose account of the upstream it says it is for, when it has an idempotency key: neither has to be proven.
    pub(super) keyed_for: Option<String>,
    /// Its passports, where one of them was not known.
    pub(super) seen: Option<SeenChain>,
}

/// Verifies passport, tier, proof and status of `parsed`, in this order.
///
/// 1. The request carries a passport (`passport_missing`).
/// 2. The passport, or the chain of passports, verifies for this gate (`passport_*`, `issuer_*`, `tier_mismatch`,
///    `audience_mismatch`, `delegation_*`).
/// 3. Its tier reaches the gate's level (`tier_insufficient`).
/// 4. The proof verifies with the passport's key and answers the gate's challenge, where it asks for one (`proof_*`,
///    `content_digest_*`).
/// 5. Its issuer's status list, where those are checked, says that it is valid (`status_*`). This comes last: the state
///    of a gate's lists, and of a passport in them, is told to nobody but the holder of the passport's key.
///
/// At a gate that lists foreign agents, a request without passport that one of them signed (Web Bot Auth) takes the
/// place of 1 and 2: the signature verifies with a key of the agent it names (`proof_*`, `content_digest_*`), and the
/// tier that the policy gives the agent reaches the gate's level.
///
/// Revocation and replay need state: they are part of the demand.
///
/// # Errors
///
/// The first of these that fails. An agent whose passport verified is named in the refusal.
pub fn authenticate<'a>(gate: &Gate, parsed: &'a Parsed<'a>, now: UnixMillis) -> Result<Authenticated<'a>, Refusal> {
    authenticate_with(gate, parsed, now, &PassportMemory::NOTHING)
}

/// As [`authenticate`], but a passport that `memory` has seen is not read and its signature not verified once more. The
/// proof always is.
pub(super) fn authenticate_with<'a>(
    gate: &Gate,
    parsed: &'a Parsed<'a>,
    now: UnixMillis,
    memory: &dyn Recall,
) -> Result<Authenticated<'a>, Refusal> {
    if !gate.listed_agents.is_empty() && web_bot_auth::is_presented(&parsed.http) {
        return foreign(gate, parsed, now);
    }
    let refuse = |reason, detail, agent| Refusal::of(parsed, reason, detail, agent);
    let Some(header) = parsed.http.headers.iter().find(|header| header.name == PASSPORT_FIELD) else {
        return Err(refuse(Reason::PassportMissing, "no agent-passport field".to_string(), None));
    };
    let token = core::str::from_utf8(header.value)
        .map_err(|_| refuse(Reason::PassportMalformed, "the passport is not ASCII".to_string(), None))?;
    let context = VerifyContext { now: now.seconds(), leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    let (chain, seen) = delegation::verify_chain_with(token, &gate.trust, &context, memory)
        .map_err(|error| refuse(known(error.code()), error.to_string(), None))?;
    let key = chain.key().clone();
    let credential = Credential::Passports(Box::new(chain));
    let agent = || Some(credential.record(key.thumbprint()));
    check_tier(gate, parsed, &credential, agent)?;
    let challenges = gate.profile.challenge.then(|| accepted_challenges(gate, now));
    let challenges: Option<Vec<&str>> = challenges.as_ref().map(|all| all.iter().map(String::as_str).collect());
    let rules = DpopRules { nonces: challenges.as_deref() };
    let proof = proof::verify_either(&parsed.http, &key, now.seconds(), &rules)
        .map_err(|error| refuse(known(error.code()), error.to_string(), agent()))?;
    // Those who delegate publish no lists: the root's says whether all of it holds.
    let claims = credential.issued_claims();
    let status = claims.map(|claims| gate.status_lists.check(claims, now)).transpose();
    let status_list = status.map_err(|bad| refuse(bad.reason, bad.detail, agent()).with_status_list(bad.consulted))?;
    let (approvals, keyed_for) = (presented_approvals(parsed), idempotency::keyed_for(&parsed.http));
    let status_list = status_list.flatten();
    Ok(Authenticated { credential, proof, now, status_list, approvals, keyed_for, seen })
}

fn presented_approvals<'a>(parsed: &'a Parsed<'a>) -> Option<&'a [u8]> {
    parsed.http.headers.iter().find(|header| header.name == APPROVAL_FIELD).map(|header| header.value)
}

/// None without a key: a gate that cannot say what it asked for accepts no answer.
fn accepted_challenges(gate: &Gate, now: UnixMillis) -> Vec<String> {
    let key = gate.challenge_key.as_ref();
    key.map(|key| key.accepted(&gate.id, now.seconds()).to_vec()).unwrap_or_default()
}

/// A request that a foreign agent signed.
fn foreign<'a>(gate: &Gate, parsed: &'a Parsed<'a>, now: UnixMillis) -> Result<Authenticated<'a>, Refusal> {
    let refuse = |error: ProofError| Refusal::of(parsed, known(error.code()), error.to_string(), None);
    let presented = Presented::read(&parsed.http).map_err(refuse)?;
    let agent = listed(gate, &presented, now).ok_or_else(|| refuse(ProofError::KeyUnknown))?;
    let proof = presented.verify(&agent.signer, agent.coverage, now.seconds()).map_err(refuse)?;
    let credential = Credential::Listed(agent);
    check_tier(gate, parsed, &credential, || Some(credential.record(proof.key_thumbprint())))?;
    let (approvals, keyed_for) = (presented_approvals(parsed), idempotency::keyed_for(&parsed.http));
    Ok(Authenticated { credential, proof, now, status_list: None, approvals, keyed_for, seen: None })
}

/// The agent that the request names; where it names none, the one that has the key alone.
fn listed(gate: &Gate, presented: &Presented<'_>, now: UnixMillis) -> Option<Arc<ListedAgent>> {
    let mut agents = gate.listed_agents.iter();
    if let Some(url) = presented.agent() {
        return agents.find(|agent| agent.signer.url == *url).cloned();
    }
    let has_key = |agent: &&Arc<ListedAgent>| agent.signer.directory.key_at(presented.keyid(), now.seconds()).is_some();
    let mut having = agents.filter(has_key);
    having.next().filter(|_| having.next().is_none()).cloned()
}

fn check_tier(
    gate: &Gate,
    parsed: &Parsed<'_>,
    credential: &Credential,
    agent: impl Fn() -> Option<AgentRecord>,
) -> Result<(), Refusal> {
    let (tier, level) = (credential.tier(), gate.level);
    if tier >= level.minimum_tier() {
        return Ok(());
    }
    let detail = alloc::format!("tier {} at a gate of level {}", tier.as_str(), level.as_str());
    Err(Refusal::of(parsed, Reason::TierInsufficient, detail, agent()))
}

/// The reason with the code a check reported. A code missing from the table is our own fault, and denies.
pub(super) fn known(code: &str) -> Reason {
    Reason::from_code(code).unwrap_or(Reason::InternalError)
}
