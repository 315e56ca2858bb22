//! Steps 3 to 6 of a request that asks for a one-action pass, or presents one.
//!
//! A request that asks is judged and admitted like any other. Where it would be allowed, the gate mints a pass for it
//! instead of forwarding it. A pass that is presented stands for an approval and for nothing else, and is spent by the
//! admission that allows the request. `docs/spec/action-pass.md` is the normative page.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::action::{Action, ActionHash, Agent};
use passgate_passport::action_pass::{
    self, ACTION_PASS_FIELD, ActionPass, Binding, MAX_ACTION_PASS_TTL_SECONDS, RedeemContext,
};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::id;
use passgate_passport::proof::CoveredRequest;
use passgate_passport::scope::ActionName;
use serde::{Deserialize, Serialize};

use super::authenticate::{Authenticated, known};
use super::decide::{Decision, Verdict};
use super::judge::{Finding, Judged};
use crate::attest::{ActionPassRecord, ActionPassUse, Stamp, Writer};
use crate::gate::{ActionPasses, Gate};
use crate::money::MicroUsd;
use crate::policy::Mode;
use crate::reason::Reason;
use crate::route::{Route, Values};
use crate::state::{Admission, PassAnswer, PassClaim};

/// What a request wants with a pass, and may have as far as that is known without state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PassUse {
    /// An allow mints one, and nothing is forwarded.
    Mint {
        /// The action.
        action_sha256: String,
        /// The thumbprint of the key that it will be bound to, if to any.
        holder_jkt: Option<String>,
        /// How long it will live.
        ttl_seconds: i64,
    },
    /// It presents one that holds for it.
    Redeem {
        /// The action.
        action_sha256: String,
        /// The pass's own id.
        jti: String,
        /// What the state has to remember.
        claim: PassClaim,
    },
}

/// What was judged of a request beside its bytes.
pub(super) struct JudgedValues<'a> {
    pub(super) action: Option<&'a ActionName>,
    pub(super) amount: Option<MicroUsd>,
    pub(super) target_domain: Option<&'a str>,
}

impl<'a> JudgedValues<'a> {
    pub(super) fn of(route: Option<&'a Route>, values: &'a Values) -> Self {
        Self {
            action: route.map(|route| &route.action),
            amount: values.amount.and_then(Result::ok),
            target_domain: values.host.as_ref().and_then(|host| host.as_deref().ok()),
        }
    }
}

/// What the field says. A text that asks for nothing is taken for a pass, and no pass reads like that.
enum Wish<'a> {
    Mint(Binding),
    Redeem(&'a str),
}

impl<'a> Wish<'a> {
    fn of(value: &'a str) -> Self {
        match value {
            "mint" | "mint;v=1" => Self::Mint(Binding::ContentAndKey),
            "mint;v=0" => Self::Mint(Binding::Content),
            token => Self::Redeem(token),
        }
    }
}

/// Looks at the field, which a proof covers wherever it stands. `None` without it.
///
/// # Errors
///
/// Why nothing can be minted or redeemed.
pub(super) fn pass_use(
    gate: &Gate,
    authenticated: &Authenticated<'_>,
    judged: &JudgedValues<'_>,
) -> Result<Option<PassUse>, Reason> {
    let Some(value) = authenticated.proof.covered().header(ACTION_PASS_FIELD) else { return Ok(None) };
    let passes = gate.action_passes.as_ref().filter(|passes| !passes.keys.is_empty());
    let passes = passes.ok_or(Reason::ActionPassRefused)?;
    match Wish::of(value) {
        Wish::Mint(binding) if binding < passes.binding => Err(Reason::ActionPassKeyRequired),
        // Rules that decide nothing vouch for nothing.
        Wish::Mint(_) if gate.rules.as_ref().is_some_and(|rules| rules.mode() == Mode::Shadow) => {
            Err(Reason::ActionPassRefused)
        }
        Wish::Mint(binding) => {
            let action = action_hash(gate, authenticated, judged).ok_or(Reason::ActionPassRefused)?;
            let bound = binding == Binding::ContentAndKey;
            Ok(Some(PassUse::Mint {
                action_sha256: action.label(),
                holder_jkt: bound.then(|| authenticated.proof.key_thumbprint().to_string()),
                ttl_seconds: passes.ttl_seconds,
            }))
        }
        Wish::Redeem(token) => {
            // What is no action is not the one that any pass is for.
            let action = action_hash(gate, authenticated, judged).ok_or(Reason::ActionPassContentMismatch)?;
            redeem(gate, passes, authenticated, token, &action).map(Some)
        }
    }
}

fn redeem(
    gate: &Gate,
    passes: &ActionPasses,
    authenticated: &Authenticated<'_>,
    token: &str,
    action: &ActionHash,
) -> Result<PassUse, Reason> {
    let now = authenticated.now.seconds();
    let context = RedeemContext {
        now,
        leeway_seconds: gate.leeway_seconds,
        gate_id: &gate.id,
        action,
        presenter_jkt: Some(authenticated.proof.key_thumbprint()),
        binding: passes.binding,
    };
    let verified = action_pass::verify(token, &passes.keys, &context).map_err(|error| known(error.code()))?;
    let claims = verified.claims();
    // A leeway makes no pass live longer than any may. The replay fence of the state relies on it.
    if now > claims.iat.saturating_add(MAX_ACTION_PASS_TTL_SECONDS) {
        return Err(Reason::ActionPassExpired);
    }
    let redemption = verified.redemption();
    Ok(PassUse::Redeem {
        action_sha256: action.label(),
        jti: claims.jti.clone(),
        claim: PassClaim { key: redemption.key, remember_until: redemption.until, issued_at: claims.iat },
    })
}

/// Whether it presents a pass that holds for it.
pub(super) fn redeems(pass: &Result<Option<PassUse>, Reason>) -> bool {
    matches!(pass, Ok(Some(PassUse::Redeem { .. })))
}

/// The hash of [`action_of`].
fn action_hash(gate: &Gate, authenticated: &Authenticated<'_>, judged: &JudgedValues<'_>) -> Option<ActionHash> {
    action_of(gate, authenticated, judged)?.hash().ok()
}

/// The action as this gate judged it; `None` when it cannot be told apart from every other, or nobody handed the agent a
/// passport for it.
pub(super) fn action_of(gate: &Gate, authenticated: &Authenticated<'_>, judged: &JudgedValues<'_>) -> Option<Action> {
    let chain = authenticated.credential.passports()?;
    let covered = authenticated.proof.covered();
    let agent = Agent { id: chain.leaf().claims.sub.clone(), issuer: chain.root_issuer().to_string() };
    let headers = covered_headers(covered);
    let request = HttpRequest {
        method: covered.method(),
        scheme: covered.scheme(),
        authority: covered.authority(),
        path: covered.path(),
        query: covered.query(),
        headers: &headers,
        body: covered.body(),
    };
    let action = Action::of_request(&gate.id, &request, agent, chain.token_sha256()).ok()?;
    Some(Action {
        amount_micro_usd: judged.amount.map(|amount| amount.0),
        name: judged.action.cloned(),
        target_domain: judged.target_domain.map(String::from),
        ..action
    })
}

/// The fields that the proof covers, of which those that are part of an action stand on one line each.
fn covered_headers<'a>(covered: &'a CoveredRequest<'_>) -> Vec<Header<'a>> {
    covered.fields().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
}

impl PassUse {
    /// What is asked of the state for a pass that is presented.
    pub(super) fn claim(&self) -> Option<&PassClaim> {
        match self {
            Self::Mint { .. } => None,
            Self::Redeem { claim, .. } => Some(claim),
        }
    }

    /// A pass that would be minted lives no longer than this.
    pub(super) fn live_at_most(&mut self, seconds: i64) {
        if let Self::Mint { ttl_seconds, .. } = self {
            *ttl_seconds = (*ttl_seconds).min(seconds);
        }
    }

    pub(super) fn record(&self) -> ActionPassRecord {
        match self {
            Self::Mint { action_sha256, .. } => {
                ActionPassRecord { action_sha256: action_sha256.clone(), id: None, usage: ActionPassUse::Mint }
            }
            Self::Redeem { action_sha256, jti, .. } => ActionPassRecord {
                action_sha256: action_sha256.clone(),
                id: Some(jti.clone()),
                usage: ActionPassUse::Redeem,
            },
        }
    }
}

impl Judged {
    /// Whether an allow mints a pass instead of forwarding the request.
    pub(super) fn asks_for_pass(&self) -> bool {
        matches!(self.pass, Some(PassUse::Mint { .. }))
    }

    /// The id of the pass that stands for an approval.
    pub(super) fn presented_pass(&self) -> Option<&str> {
        match &self.pass {
            Some(PassUse::Redeem { jti, .. }) => Some(jti),
            Some(PassUse::Mint { .. }) | None => None,
        }
    }

    /// What is known of approval after the admission: a pass that was spent before stands for none, and neither does an
    /// approval that is used up.
    pub(super) fn approval(&self, admission: &Admission) -> Finding {
        match admission.pass {
            Some(PassAnswer::Replayed) => return Finding::Fail(Reason::ActionPassRedeemed),
            Some(PassAnswer::Fenced) => return Finding::Fail(Reason::ActionPassFenced),
            Some(PassAnswer::Redeemed | PassAnswer::Unspent) | None => {}
        }
        let has = |answer| admission.approvals.contains(&answer);
        match self.findings.unapproved {
            Some(reason) => Finding::Fail(reason),
            None if has(PassAnswer::Fenced) => Finding::Fail(Reason::ApprovalFenced),
            None if has(PassAnswer::Replayed) => Finding::Fail(Reason::ApprovalUsed),
            None if self.is_approved(admission) => Finding::Pass,
            None => self.findings.approval,
        }
    }

    /// Whether the admission did with a pass what an allow needs: it spent the one that was presented, and no other.
    pub(super) fn pass_is_settled(&self, admission: &Admission) -> bool {
        let spent = admission.pass == Some(PassAnswer::Redeemed);
        spent == self.demand.pass.is_some() && spent == self.presented_pass().is_some()
    }

    /// The pass that `decision` mints, if it does, to be signed with the key that records are signed with. It has the
    /// ULID of the decision's own record, so a gate whose ledger gives no id twice gives none to two passes.
    pub fn pass_to_mint(&self, decision: &Decision, stamp: &Stamp) -> Option<ActionPass> {
        let Some(PassUse::Mint { action_sha256, holder_jkt, ttl_seconds }) = &self.pass else { return None };
        if decision.verdict != Verdict::Mint {
            return None;
        }
        let iat = stamp.now.seconds();
        Some(ActionPass {
            action: ActionHash::from_label(action_sha256)?,
            approvals: self.approval_ids(),
            attestation_id: Writer::attestation_id(stamp),
            audience: self.gate.gate_id.clone(),
            exp: iat.saturating_add(*ttl_seconds),
            holder_jkt: holder_jkt.clone(),
            iat,
            issuer: self.gate.gate_id.clone(),
            jti: id::new_id(id::ACTION_PASS_PREFIX, stamp.now.0, stamp.random),
        })
    }
}
