//! Step 3, continued: what the operator's rules say of a request.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::constraints::{Constraints, is_resource};

use super::authenticate::Authenticated;
use super::decide::{Evidence, record};
use super::judge::Mapped;
use super::passes::{self, PassUse};
use crate::approval::Need;
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord};
use crate::gate::{Gate, RateLimits};
use crate::policy::{Effect, Explained, Facts, Mode, Outcome, Policy, Rule, Ruling, Value};
use crate::reason::{Class, Reason};
use crate::route::{ArgumentFault, Declared, Needs, Route, Values};
use crate::state::Conduct;

/// The most names of rules that a record has.
const MAX_RECORDED_RULES: usize = 16;

/// What the rules come to for the rest of the judgement.
#[derive(Default)]
pub(super) struct Ruled<'g> {
    /// What is recorded of them; nothing at a gate without rules.
    pub(super) record: Option<GuardrailRecord>,
    /// The limits of the rules that match, by their names.
    pub(super) rates: Vec<(&'g str, RateLimits)>,
    /// Where in the body the texts stand that those rules do not let through.
    pub(super) redact: Vec<String>,
    /// Who has to approve, as each rule that asks for it says.
    pub(super) needs: Vec<Need>,
}

/// For what values of a request are read at `gate`.
pub(super) fn needs<'a>(gate: &Gate, limits: &'a Constraints) -> Needs<'a> {
    let rules = gate.rules.as_deref();
    Needs { limits, rules: rules.is_some(), closed: rules.is_some_and(Policy::asks_closed) }
}

/// Holds a request against the arguments that its route declares, and against the rules. An argument that is none refuses
/// the request whatever they say, and in shadow too: it would be read in another way behind the gate.
pub(super) fn judge<'g>(
    gate: &'g Gate,
    authenticated: &Authenticated<'_>,
    mapped: Option<Mapped<'_>>,
    values: &Values,
    pass: &mut Result<Option<PassUse>, Reason>,
) -> Ruled<'g> {
    let Some(Mapped { route, class }) = mapped else {
        let none = |_: &Policy| record(GUARDRAIL, GuardrailOutcome::NotApplicable, None, Evidence::new());
        return Ruled { record: gate.rules.as_deref().map(none), ..Ruled::default() };
    };
    if let Some((reason, evidence)) = faulty(route, values) {
        let fault = record(GUARDRAIL, GuardrailOutcome::Fail, Some(reason), evidence);
        return Ruled { record: Some(fault), ..Ruled::default() };
    }
    let Some(policy) = &gate.rules else { return Ruled::default() };
    let constraints = authenticated.credential.constraints();
    let facts = facts(authenticated, &constraints, Mapped { route, class }, values);
    let ruling = policy.evaluate(&facts);
    let (reason, evidence) = said(&ruling, passes::redeems(pass));
    if policy.mode() == Mode::Shadow {
        return Ruled { record: Some(shadow(reason, evidence)), ..Ruled::default() };
    }
    if let (Ok(Some(pass)), Some(ttl)) = (pass, ruling.matched.iter().filter_map(|rule| rule.pass_ttl_seconds).min()) {
        pass.live_at_most(ttl);
    }
    let result = match reason {
        None => GuardrailOutcome::Pass,
        Some(reason) if reason.class() == Class::StepUp => GuardrailOutcome::StepUp,
        Some(_) => GuardrailOutcome::Fail,
    };
    Ruled {
        record: Some(record(GUARDRAIL, result, reason, evidence)),
        rates: ruling.matched.iter().map(|rule| (rule.name.as_str(), rule.rates)).collect(),
        redact: ruling.matched.iter().flat_map(|rule| &rule.redact).cloned().collect(),
        needs: if reason == Some(Reason::RuleStepUp) { needs_of(&ruling) } else { Vec::new() },
    }
}

/// What a record says where a text cannot be taken out.
pub(super) fn unredactable() -> GuardrailRecord {
    let evidence = Evidence::from_iter([text("requirement", "redact".to_string())]);
    record(GUARDRAIL, GuardrailOutcome::Fail, Some(Reason::RuleUnmet), evidence)
}

/// What becomes of each rule in the face of a request, for whoever wrote them. Nothing of a request that no route maps.
pub fn explain<'g>(gate: &'g Gate, authenticated: &Authenticated<'_>) -> Vec<Explained<'g>> {
    let covered = authenticated.proof.covered();
    let route = gate.routes.iter().find(|route| route.matches(covered.method(), covered.path()));
    let (Some(policy), Some(route)) = (&gate.rules, route) else { return Vec::new() };
    let constraints = authenticated.credential.constraints();
    let values = route.read(covered, &needs(gate, &constraints));
    policy.explain(&facts(authenticated, &constraints, Mapped::of(route, Conduct::default()), &values))
}

const GUARDRAIL: &str = "rules";

/// The first argument of the route that is none.
fn faulty(route: &Route, values: &Values) -> Option<(Reason, Evidence)> {
    let mut arguments = route.arguments.iter().zip(&values.arguments);
    arguments.find_map(|(argument, value)| {
        let reason = match value {
            Ok(_) => return None,
            Err(ArgumentFault::Missing) => Reason::ArgumentMissing,
            Err(ArgumentFault::Invalid) => Reason::ArgumentInvalid,
        };
        Some((reason, Evidence::from_iter([text("argument", argument.name.clone())])))
    })
}

fn facts<'a>(
    authenticated: &'a Authenticated<'_>,
    constraints: &'a Constraints,
    Mapped { route, class }: Mapped<'a>,
    values: &'a Values,
) -> Facts<'a> {
    let credential = &authenticated.credential;
    let arguments = route.arguments.iter().zip(&values.arguments);
    let value = |value: &'a Result<_, _>| value.as_ref().ok().and_then(Option::as_ref);
    Facts {
        action: route.action.as_str(),
        agent: credential.root_agent_id(),
        amount: match values.amount {
            None => Value::Nothing,
            Some(amount) => {
                amount.ok().and_then(|amount| i64::try_from(amount.0).ok()).map_or(Value::Unknown, Value::Number)
            }
        },
        class: Value::Text(class.as_str()),
        closed: values.is_closed,
        domain: match &values.host {
            None => Value::Nothing,
            Some(host) => host.as_deref().map_or(Value::Unknown, Value::Text),
        },
        issuer: credential.issuer(),
        labels: constraints.labels.iter().flatten().map(String::as_str).collect(),
        now: authenticated.now.seconds(),
        purpose: constraints.purpose.as_deref().map_or(Value::Nothing, Value::Text),
        records: match values.records {
            None => Value::Unknown,
            Some(Declared::None) => Value::Number(0),
            Some(Declared::At(count)) => {
                count.and_then(|count| i64::try_from(count).ok()).map_or(Value::Unknown, Value::Number)
            }
        },
        resource: match &values.resource {
            None => Value::Unknown,
            Some(Declared::None) => Value::Nothing,
            // What could be read as another resource is none that is known.
            Some(Declared::At(resource)) => {
                resource.as_deref().filter(|text| is_resource(text)).map_or(Value::Unknown, Value::Text)
            }
        },
        tier: credential.tier().as_str(),
        arguments: arguments.map(|(argument, read)| (argument.name.as_str(), value(read))).collect(),
    }
}

/// Why the rules do not let the request through, if they do not. A pass that is presented stands for an approval.
fn said(ruling: &Ruling<'_>, redeems: bool) -> (Option<Reason>, Evidence) {
    let mut evidence = Evidence::new();
    let matched: Vec<&str> = ruling.matched.iter().take(MAX_RECORDED_RULES).map(|rule| rule.name.as_str()).collect();
    if !matched.is_empty() {
        evidence.extend([text("matched", matched.join(","))]);
    }
    if let Some(rule) = ruling.outcome.rule() {
        evidence.extend([text("rule", rule.name.clone())]);
    }
    let reason = match ruling.outcome {
        Outcome::Allowed(_) => None,
        Outcome::StepUp(_) if redeems => None,
        Outcome::StepUp(_) => {
            evidence.extend(approvals(ruling));
            Some(Reason::RuleStepUp)
        }
        Outcome::Unmet(_, condition) => {
            evidence.extend([text("requirement", condition.fact.name().into_owned())]);
            Some(Reason::RuleUnmet)
        }
        Outcome::Denied(_) => Some(Reason::RuleDenied),
        Outcome::Missing => Some(Reason::RuleMissing),
    };
    (reason, evidence)
}

/// What each rule that asks for approval wants.
fn needs_of(ruling: &Ruling<'_>) -> Vec<Need> {
    let asking = ruling.matched.iter().filter(|rule| rule.effect == Effect::StepUp);
    let need = |rule: &&Rule| Need {
        count: rule.approval.as_ref().map_or(1, |approval| approval.count.max(1)),
        name: Some(rule.name.clone()),
        reason_code: Reason::RuleStepUp,
        roles: rule.approval.as_ref().map(|approval| approval.roles.clone()).unwrap_or_default(),
        said: None,
    };
    asking.map(need).collect()
}

/// Who has to approve: as many as the rule that wants most, with the roles that any of them names.
fn approvals(ruling: &Ruling<'_>) -> Vec<(Cow<'static, str>, EvidenceValue)> {
    let asking = ruling.matched.iter().filter(|rule| rule.effect == Effect::StepUp);
    let (mut count, mut roles) = (1, Vec::new());
    for approval in asking.filter_map(|rule| rule.approval.as_ref()) {
        count = count.max(approval.count);
        roles
            .extend(approval.roles.iter().map(String::as_str).filter(|role| !roles.contains(role)).collect::<Vec<_>>());
    }
    let mut evidence = alloc::vec![(Cow::Borrowed("approvals"), EvidenceValue::Number(count.into()))];
    if !roles.is_empty() {
        roles.sort_unstable();
        evidence.push(text("roles", roles.join(",")));
    }
    evidence
}

/// What rules that decide nothing would have said.
fn shadow(reason: Option<Reason>, mut evidence: Evidence) -> GuardrailRecord {
    evidence.extend([text("would_be", reason.map_or("allow", Reason::code).to_string())]);
    record(GUARDRAIL, GuardrailOutcome::Shadow, None, evidence)
}

fn text(name: &'static str, text: String) -> (Cow<'static, str>, EvidenceValue) {
    (Cow::Borrowed(name), EvidenceValue::Text(text))
}
