//! Whether the exported rules decide as the gate's own do, on generated requests.
//!
//! This shows differences and their absence among the requests that were tried; it is no proof for all requests. Half of the
//! requests are made to match a rule but for one fact, which goes through all values at the bounds that the rule sets; the
//! others are random mixtures of what rules name.

mod case;
mod cedar;
mod rego;

use std::collections::BTreeSet;

use passgate_core::policy::{Effect, Outcome, Policy};
use passgate_host::policy::Compiled;
use serde_json::{Map, Value, json};

use super::super::generated::shape::Shape;
use super::super::generated::{Case, Generator, Random};
use super::{File, Target};

/// What to try.
pub(super) struct Wanted {
    /// How many requests.
    pub(super) cases: u64,
    /// What they depend on.
    pub(super) seed: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proof {
    /// How many requests were tried, up to the first difference.
    pub(super) cases: u64,
    /// What they depend on.
    pub(super) seed: u64,
    /// What the gate's evaluator said of them.
    pub(super) outcomes: Outcomes,
    /// Those of them that no request came to, though a rule says them: nothing is shown of these.
    pub(super) unseen: Vec<&'static str>,
    /// The first difference.
    pub(super) difference: Option<Difference>,
}

/// How often requests came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outcomes([u64; 5]);

/// A request that the engines decide differently.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    request: Value,
    ours: Answer,
    theirs: Result<Answer, String>,
}

/// What an engine says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Answer {
    decision: Decision,
    /// The rules that match and deny.
    deny: BTreeSet<String>,
    /// Those that match and whose requirement is not met.
    unmet: BTreeSet<String>,
    /// Those that match and ask for approval.
    step_up: BTreeSet<String>,
    /// Those that match and allow.
    allow: BTreeSet<String>,
}

/// What rules come to, for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Decision {
    Allow,
    StepUp,
    #[default]
    Deny,
}

/// An engine with the exported rules.
pub(in super::super) trait Engine {
    /// What it says of a request; an error of any kind is one.
    fn answer(&self, case: &Case) -> Result<Answer, String>;

    /// The request as it is given to it.
    fn request(&self, case: &Case) -> Value;

    /// The question in the engine's own form, to be asked as often as one likes: whether the request is allowed, perhaps
    /// once a person has approved.
    fn prepared(&self, case: &Case) -> Result<Question<'_>, String>;
}

/// Asks an engine about a request.
pub(in super::super) type Question<'e> = Box<dyn Fn() -> Result<bool, String> + 'e>;

/// Compares the exported rules with those that they were made of.
///
/// # Errors
///
/// When the other engine does not take the files, which is a bug in the export.
pub(super) fn prove(
    target: Target,
    files: &[File],
    compiled: &Compiled,
    shape: &Shape,
    wanted: &Wanted,
) -> Result<Proof, String> {
    let engine = engine(target, files, compiled)?;
    let mut random = Random::new(wanted.seed);
    let generator = Generator::new(compiled, shape, &mut random);
    let mut proof =
        Proof { cases: 0, seed: wanted.seed, outcomes: Outcomes::default(), unseen: Vec::new(), difference: None };
    for number in 0..wanted.cases {
        let case = generator.request(number, &mut random);
        proof.cases += 1;
        proof.outcomes.count(&compiled.policy, &case);
        if differs(&*engine, &compiled.policy, &case) {
            let least = minimised(case, |case| differs(&*engine, &compiled.policy, case));
            proof.difference = Some(Difference {
                request: engine.request(&least),
                ours: ours(&compiled.policy, &least),
                theirs: engine.answer(&least),
            });
            break;
        }
    }
    proof.unseen = proof.outcomes.unseen(&compiled.policy);
    Ok(proof)
}

/// The engine of a language.
pub(in super::super) fn engine<'c>(
    target: Target,
    files: &[File],
    compiled: &'c Compiled,
) -> Result<Box<dyn Engine + 'c>, String> {
    Ok(match target {
        Target::Cedar => Box::new(cedar::Cedar::new(files, compiled)?),
        Target::Rego => Box::new(rego::Rego::new(files, compiled)?),
    })
}

fn differs(engine: &dyn Engine, policy: &Policy, case: &Case) -> bool {
    engine.answer(case) != Ok(ours(policy, case))
}

/// What the gate's evaluator says of a request.
fn ours(policy: &Policy, case: &Case) -> Answer {
    case.with(|facts| {
        let ruling = policy.evaluate(facts);
        let mut answer = Answer {
            decision: match ruling.outcome {
                Outcome::Allowed(_) => Decision::Allow,
                Outcome::StepUp(_) => Decision::StepUp,
                Outcome::Denied(_) | Outcome::Unmet(..) | Outcome::Missing => Decision::Deny,
            },
            ..Answer::default()
        };
        for rule in ruling.matched {
            if !rule.require.iter().all(|condition| policy.holds(condition, facts, false)) {
                answer.unmet.insert(rule.name.clone());
            }
            let set = match rule.effect {
                Effect::Allow => &mut answer.allow,
                Effect::StepUp => &mut answer.step_up,
                Effect::Deny => &mut answer.deny,
            };
            set.insert(rule.name.clone());
        }
        answer
    })
}

/// The case with as little in it as still `differs`.
fn minimised(mut case: Case, differs: impl Fn(&Case) -> bool) -> Case {
    loop {
        let Some(simpler) = case.simpler().into_iter().find(|simpler| differs(simpler)) else { return case };
        case = simpler;
    }
}

impl Outcomes {
    const NAMES: [&'static str; 5] = ["denied", "unmet", "step_up", "allowed", "missing"];

    fn count(&mut self, policy: &Policy, case: &Case) {
        let place = case.with(|facts| match policy.evaluate(facts).outcome {
            Outcome::Denied(_) => 0,
            Outcome::Unmet(..) => 1,
            Outcome::StepUp(_) => 2,
            Outcome::Allowed(_) => 3,
            Outcome::Missing => 4_usize,
        });
        if let Some(count) = self.0.get_mut(place) {
            *count += 1;
        }
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().zip(self.0)
    }

    /// What no request came to, though the policy has a rule that says it.
    fn unseen(&self, policy: &Policy) -> Vec<&'static str> {
        let rules = policy.rules();
        let has = |effect| rules.iter().any(|rule| rule.effect == effect);
        let asks = rules.iter().any(|rule| !rule.require.is_empty());
        let possible = [has(Effect::Deny), asks, has(Effect::StepUp), has(Effect::Allow), false];
        self.named().zip(possible).filter(|((_, count), is)| *count == 0 && *is).map(|((name, _), _)| name).collect()
    }

    pub(super) fn to_json(self) -> Value {
        let members: Map<String, Value> = self.named().map(|(name, count)| (name.to_owned(), count.into())).collect();
        Value::Object(members)
    }
}

impl Proof {
    /// For people.
    pub(super) fn lines(&self, target: &str) -> Vec<(&'static str, String)> {
        let mut lines =
            vec![("target", target.to_owned()), ("seed", self.seed.to_string()), ("requests", self.cases.to_string())];
        lines.extend(self.outcomes.named().map(|(name, count)| (name, count.to_string())));
        let result = if self.difference.is_some() { "the engines differ" } else { "no difference found" };
        lines.push(("result", result.to_owned()));
        lines
    }
}

impl Difference {
    pub(super) fn to_json(&self) -> Value {
        let theirs = match &self.theirs {
            Ok(answer) => answer.to_json(),
            Err(error) => json!({ "error": error }),
        };
        json!({ "request": self.request, "passgate": self.ours.to_json(), "target": theirs })
    }
}

impl Answer {
    fn to_json(&self) -> Value {
        json!({
            "decision": self.decision.as_str(), "deny": self.deny, "unmet": self.unmet, "step_up": self.step_up,
            "allow": self.allow,
        })
    }
}

impl Decision {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::StepUp => "step_up",
            Self::Deny => "deny",
        }
    }
}

/// The text of a file that the export has.
fn text<'f>(files: &'f [File], name: &str) -> Result<&'f str, String> {
    let found = files.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| text.as_str()).ok_or_else(|| format!("the export has no {name}"))
}
