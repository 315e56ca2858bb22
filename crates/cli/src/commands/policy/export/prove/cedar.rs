//! The exported rules in Cedar.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision as Said, Effect, Entities, EntityUid, PolicyId, PolicySet, Request, Response, Schema,
    ValidationMode, Validator,
};
use passgate_host::policy::Compiled;
use serde_json::{Value, json};

use super::super::cedar::{ENTITIES, POLICIES, REQUIREMENT, SCHEMA, address};
use super::{Answer, Case, Decision, Engine, File, Question, text};

/// Cedar with the exported files.
pub(super) struct Cedar<'a> {
    compiled: &'a Compiled,
    schema: Schema,
    entities: Entities,
    policies: PolicySet,
    /// Those that permit, without those that forbid, which would hide which of them match.
    permits: PolicySet,
    /// The effect and the rule of each.
    rules: BTreeMap<PolicyId, (String, String)>,
    principal: EntityUid,
    action: EntityUid,
    gate: EntityUid,
}

impl<'a> Cedar<'a> {
    /// Reads the files, and checks the policies against the schema in its strict mode.
    pub(super) fn new(files: &[File], compiled: &'a Compiled) -> Result<Self, String> {
        let (schema, _) = Schema::from_cedarschema_str(text(files, SCHEMA)?).map_err(|error| error.to_string())?;
        let policies = PolicySet::from_str(text(files, POLICIES)?).map_err(|error| error.to_string())?;
        let found = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !found.validation_passed() {
            return Err(format!("the policies do not fit the schema: {found}"));
        }
        let entities = text(files, ENTITIES)?;
        let entities = Entities::from_json_str(entities, Some(&schema)).map_err(|error| error.to_string())?;
        let gate = entities.iter().map(cedar_policy::Entity::uid).find(|uid| uid.type_name().basename() == "Gate");
        let permits = policies.policies().filter(|policy| policy.effect() == Effect::Permit).cloned();
        let permits = PolicySet::from_policies(permits).map_err(|error| error.to_string())?;
        let uid = |text: &str| EntityUid::from_str(text).map_err(|error| error.to_string());
        Ok(Self {
            compiled,
            rules: rules(&policies)?,
            principal: uid("Passgate::Agent::\"any\"")?,
            action: uid("Passgate::Action::\"decide\"")?,
            gate: gate.ok_or("the entities have no gate")?,
            schema,
            entities,
            policies,
            permits,
        })
    }

    fn asked(&self, case: &Case) -> Result<Request, String> {
        let context = Context::from_json_value(self.request(case), Some((&self.schema, &self.action)));
        let context = context.map_err(|error| error.to_string())?;
        let (principal, action, gate) = (self.principal.clone(), self.action.clone(), self.gate.clone());
        let request = Request::new(principal, action, gate, context, Some(&self.schema));
        request.map_err(|error| error.to_string())
    }

    fn ask(&self, policies: &PolicySet, request: &Request) -> Result<Response, String> {
        let response = Authorizer::new().is_authorized(request, policies, &self.entities);
        let error = response.diagnostics().errors().next().map(ToString::to_string);
        error.map_or(Ok(response), Err)
    }

    /// Notes the rules of the policies that a response rests on.
    fn note(&self, response: &Response, answer: &mut Answer) -> Result<(), String> {
        for id in response.diagnostics().reason() {
            let (effect, rule) = self.rules.get(id).ok_or_else(|| format!("nothing is known of policy {id}"))?;
            let set = match effect.as_str() {
                "deny" => &mut answer.deny,
                "require" => &mut answer.unmet,
                "step_up" => &mut answer.step_up,
                "allow" => &mut answer.allow,
                other => return Err(format!("there is no effect `{other}`")),
            };
            set.insert(rule.clone());
        }
        Ok(())
    }
}

/// What the annotations of each policy say.
fn rules(policies: &PolicySet) -> Result<BTreeMap<PolicyId, (String, String)>, String> {
    let mut rules = BTreeMap::new();
    for policy in policies.policies() {
        let (Some(id), Some(effect)) = (policy.annotation("id"), policy.annotation("passgate_effect")) else {
            return Err(format!("policy {} does not say what it is", policy.id()));
        };
        let rule = id.strip_suffix(REQUIREMENT).unwrap_or(id);
        rules.insert(policy.id().clone(), (effect.to_owned(), rule.to_owned()));
    }
    Ok(rules)
}

impl Engine for Cedar<'_> {
    fn answer(&self, case: &Case) -> Result<Answer, String> {
        let request = self.asked(case)?;
        let whole = self.ask(&self.policies, &request)?;
        let mut answer = Answer::default();
        self.note(&whole, &mut answer)?;
        answer.decision = match whole.decision() {
            Said::Deny => Decision::Deny,
            Said::Allow if answer.step_up.is_empty() => Decision::Allow,
            Said::Allow => Decision::StepUp,
        };
        self.note(&self.ask(&self.permits, &request)?, &mut answer)?;
        Ok(answer)
    }

    fn request(&self, case: &Case) -> Value {
        let ip = |known: IpAddr| json!({ "__extn": { "fn": "ip", "arg": address(known) } });
        case.to_json(self.compiled, ip)
    }

    fn prepared(&self, case: &Case) -> Result<Question<'_>, String> {
        let request = self.asked(case)?;
        Ok(Box::new(move || Ok(self.ask(&self.policies, &request)?.decision() == Said::Allow)))
    }
}
