//! What rules say of a request that a record tells of. A record does not hold everything that rules look at: what it comes
//! to is told where that does not matter, and otherwise what it depends on.

use std::collections::BTreeSet;

use passgate_core::attest::{
    ActionPassUse, AgentRecord, DecisionKind, EvidenceValue, GuardrailOutcome, Record, RequestRecord,
};
use passgate_core::gate::Gate;
use passgate_core::pipeline::MAX_RECORDED_PATH_BYTES;
use passgate_core::policy::{Condition, Effect, Fact, Facts, Mode, Policy, Rule, Value};
use passgate_core::route::{Declared, Route};
use passgate_core::time::UnixMillis;

/// The guardrail of rules in a record.
const RULES: &str = "rules";

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This, because of this rule if it is one's doing.
    Decided(DecisionKind, Option<String>),
    /// That depends on these facts.
    Depends(BTreeSet<String>),
}

/// A request of which a record tells, after its passport and proof were found good.
pub(super) struct Recorded<'r> {
    record: &'r Record,
    agent: &'r AgentRecord,
    request: &'r RequestRecord,
    now: UnixMillis,
    /// What everything but rules said.
    others: DecisionKind,
    /// The argument for which it was refused, because it was not of its kind.
    argument: Option<&'r String>,
    /// Whether it was refused by something that is no matter of policies.
    is_refused: bool,
    /// What was decided.
    pub(super) decided: DecisionKind,
}

/// What a rule says, and rules together: more beats less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Missing,
    Allow,
    StepUp,
    Unmet,
    Deny,
}

impl<'r> Recorded<'r> {
    /// The request of a decision; none when it was refused before it was judged, or the record is of something else.
    pub(super) fn of(record: &'r Record) -> Option<Self> {
        let guardrails = record.guardrails_evaluated.as_deref().filter(|all| !all.is_empty())?;
        let decided = record.decision?;
        let said = |ours: bool| {
            let those = guardrails.iter().filter(|one| (one.guardrail == RULES) == ours);
            those.map(|one| kind(one.result)).max_by_key(|kind| weight(*kind)).unwrap_or(DecisionKind::Allow)
        };
        // A replay, say, is refused by none of them.
        let is_theirs = weight(said(true)).max(weight(said(false))) < weight(decided);
        let others = if is_theirs { decided } else { said(false) };
        let is_refused = is_theirs && decided == DecisionKind::Deny;
        let rules = guardrails.iter().find(|one| one.guardrail == RULES);
        let argument = match rules.and_then(|rules| rules.evidence.get("argument")) {
            Some(EvidenceValue::Text(name)) => Some(name),
            _ => None,
        };
        Some(Self {
            record,
            argument,
            agent: record.agent.as_ref()?,
            request: record.request.as_ref()?,
            now: UnixMillis::from_rfc3339(&record.timestamp)?,
            others,
            is_refused,
            decided,
        })
    }

    /// The id of the record.
    pub(super) fn id(&self) -> &'r str {
        &self.record.attestation_id
    }

    /// What it comes to with the rules of `gate`. What its other guardrails said stands.
    pub(super) fn under(&self, gate: &Gate) -> Verdict {
        let policy = gate.rules.as_deref().filter(|policy| policy.mode() == Mode::Enforce);
        if self.is_refused {
            return Verdict::Decided(DecisionKind::Deny, None);
        }
        if self.request.path.len() >= MAX_RECORDED_PATH_BYTES {
            return Verdict::Depends(BTreeSet::from(["path".to_owned()]));
        }
        let found = gate.routes.iter().find(|route| route.matches(&self.request.method, &self.request.path));
        let Some(route) = found else { return Verdict::Decided(DecisionKind::Deny, None) };
        if self.request.action.as_deref() != Some(route.action.as_str()) {
            // The passport was held against another action, or against none.
            return Verdict::Depends(BTreeSet::from(["permission_scope".to_owned()]));
        }
        if let Some(argument) = self.argument.filter(|name| route.arguments.iter().any(|other| other.name == **name)) {
            return Verdict::Depends(BTreeSet::from([Fact::Argument(argument.clone()).name().into_owned()]));
        }
        let Some(policy) = policy.filter(|_| self.others != DecisionKind::Deny) else {
            return Verdict::Decided(self.others, None);
        };
        self.ruled(policy, route)
    }

    fn ruled(&self, policy: &Policy, route: &Route) -> Verdict {
        let facts = self.facts(route);
        let judged: Vec<Judged<'_>> =
            policy.rules().iter().filter_map(|rule| Judged::of(policy, rule, route, &facts)).collect();
        // Of those that say the same the first by name, as in decisions.
        let certain = judged.iter().rev().filter(|rule| rule.is_certain()).max_by_key(|rule| rule.says);
        let least = certain.map_or(Says::Missing, |rule| rule.says);
        let open: Vec<&Judged<'_>> = judged.iter().filter(|rule| !rule.is_certain() && rule.most() > least).collect();
        let possible = open.iter().flat_map(|rule| [rule.says, rule.most()]).map(|says| says.max(least));
        let kinds: Vec<DecisionKind> = possible.chain([least]).map(|says| self.kind(says)).collect();
        match kinds.first().filter(|first| kinds.iter().all(|kind| kind == *first)) {
            Some(kind) => Verdict::Decided(*kind, certain.map(|rule| rule.rule.name.clone())),
            None => Verdict::Depends(open.iter().flat_map(|rule| rule.open.iter().cloned()).collect()),
        }
    }

    fn kind(&self, says: Says) -> DecisionKind {
        let pass = self.request.action_pass.as_ref();
        let redeems = pass.is_some_and(|pass| pass.usage == ActionPassUse::Redeem);
        match says {
            Says::Missing | Says::Unmet | Says::Deny => DecisionKind::Deny,
            Says::StepUp if !redeems => DecisionKind::StepUp,
            Says::Allow | Says::StepUp => self.others,
        }
    }

    fn facts(&self, route: &'r Route) -> Facts<'r> {
        let number = |number: u64| i64::try_from(number).map_or(Value::Unknown, Value::Number);
        Facts {
            action: route.action.as_str(),
            agent: self.agent.root_agent_id(),
            amount: match route.amount {
                None => Value::Nothing,
                Some(_) => self.request.amount_micro_usd.map_or(Value::Unknown, number),
            },
            class: Value::Text(route.class.as_str()),
            domain: match route.domain {
                None => Value::Nothing,
                Some(_) => self.request.target_domain.as_deref().map_or(Value::Unknown, Value::Text),
            },
            issuer: &self.agent.issuer,
            labels: self.agent.labels.iter().map(String::as_str).collect(),
            now: self.now.seconds(),
            purpose: self.agent.purpose.as_deref().map_or(Value::Nothing, Value::Text),
            records: if route.records == Some(Declared::None) { Value::Number(0) } else { Value::Unknown },
            resource: if route.resource == Some(Declared::None) { Value::Nothing } else { Value::Unknown },
            tier: &self.agent.trust_tier,
            ..Facts::default()
        }
    }
}

fn kind(result: GuardrailOutcome) -> DecisionKind {
    match result {
        GuardrailOutcome::Fail => DecisionKind::Deny,
        GuardrailOutcome::StepUp => DecisionKind::StepUp,
        _ => DecisionKind::Allow,
    }
}

/// More beats less.
const fn weight(kind: DecisionKind) -> u8 {
    match kind {
        DecisionKind::Allow => 0,
        DecisionKind::StepUp => 1,
        DecisionKind::Deny => 2,
    }
}

/// A rule that matches, or may.
struct Judged<'p> {
    rule: &'p Rule,
    /// What it says, if what it requires is met as far as is known.
    says: Says,
    /// Whether what it requires may not be met.
    may_be_unmet: bool,
    /// What that it matches, and that its requirements are met, depends on.
    open: BTreeSet<String>,
}

impl<'p> Judged<'p> {
    /// None when it does not match.
    fn of(policy: &Policy, rule: &'p Rule, route: &Route, facts: &Facts<'_>) -> Option<Self> {
        let is_known = |condition: &&Condition| is_recorded(&condition.fact, route, facts);
        let unknown = rule.effect != Effect::Allow;
        if !rule.when.iter().filter(is_known).all(|condition| policy.holds(condition, facts, unknown)) {
            return None;
        }
        let is_unmet = !rule.require.iter().filter(is_known).all(|condition| policy.holds(condition, facts, false));
        let name = |condition: &Condition| condition.fact.name().into_owned();
        let not_known = |conditions: &[Condition]| -> BTreeSet<String> {
            conditions.iter().filter(|condition| !is_known(condition)).map(name).collect()
        };
        let asked = if is_unmet { BTreeSet::new() } else { not_known(&rule.require) };
        let says = match rule.effect {
            Effect::Deny => Says::Deny,
            _ if is_unmet => Says::Unmet,
            Effect::StepUp => Says::StepUp,
            Effect::Allow => Says::Allow,
        };
        let may_be_unmet = !asked.is_empty();
        let open = not_known(&rule.when).into_iter().chain(asked).collect();
        Some(Self { rule, says, may_be_unmet, open })
    }

    fn is_certain(&self) -> bool {
        self.open.is_empty()
    }

    /// The most that it may say.
    fn most(&self) -> Says {
        if self.may_be_unmet { Says::Unmet } else { self.says }
    }
}

/// Whether a record holds what a fact was, or the route tells.
fn is_recorded(fact: &Fact, route: &Route, facts: &Facts<'_>) -> bool {
    match fact {
        Fact::Action | Fact::Agent | Fact::Issuer | Fact::Labels | Fact::Now | Fact::Purpose | Fact::Tier => true,
        Fact::Class => true,
        Fact::Amount | Fact::Domain => facts.value(fact) != Value::Unknown,
        Fact::Records => route.records.is_none() || facts.records != Value::Unknown,
        Fact::Resource => route.resource.is_none() || facts.resource != Value::Unknown,
        Fact::Argument(name) => route.arguments.iter().all(|argument| argument.name != *name),
        Fact::Closed => false,
    }
}
