//! The exported rules in Rego.

use std::collections::BTreeSet;
use std::net::IpAddr;

use passgate_host::policy::Compiled;
use regorus::{CompiledPolicy, Engine as Regorus, PolicyLengthConfig};
use serde_json::{Value, json};

use super::super::rego::{MODULE, QUERY};
use super::{Answer, Case, Decision, Engine, File, Question, text};

/// How large a module may be: that of many thousands of rules.
const LIMITS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: std::num::NonZeroU32::new(1024).unwrap(),
    max_file_bytes: std::num::NonZeroUsize::new(64 * 1024 * 1024).unwrap(),
    max_lines: std::num::NonZeroUsize::new(2_000_000).unwrap(),
};

/// An engine of Rego with the exported module.
pub(super) struct Rego<'a> {
    compiled: &'a Compiled,
    module: CompiledPolicy,
}

impl<'a> Rego<'a> {
    /// Reads the module.
    pub(super) fn new(files: &[File], compiled: &'a Compiled) -> Result<Self, String> {
        let mut engine = Regorus::new();
        // What a function cannot work on is an error, and not merely false.
        engine.set_policy_length_config(LIMITS);
        engine.set_strict_builtin_errors(true);
        engine.add_policy(MODULE.to_owned(), text(files, MODULE)?.to_owned()).map_err(|error| error.to_string())?;
        let module = engine.compile_with_entrypoint(&QUERY.into()).map_err(|error| error.to_string())?;
        Ok(Self { compiled, module })
    }
}

impl Engine for Rego<'_> {
    fn answer(&self, case: &Case) -> Result<Answer, String> {
        let input = regorus::Value::from(self.request(case));
        let ruling = self.module.eval_with_input(input).map_err(|error| error.to_string())?;
        let ruling = serde_json::to_value(&ruling).map_err(|error| error.to_string())?;
        let names = |set: &str| -> Result<BTreeSet<String>, String> {
            let listed = ruling.get(set).cloned().unwrap_or_default();
            serde_json::from_value(listed).map_err(|error| format!("{set}: {error}"))
        };
        Ok(Answer {
            decision: match ruling.get("decision").and_then(Value::as_str) {
                Some("allow") => Decision::Allow,
                Some("step_up") => Decision::StepUp,
                Some("deny") => Decision::Deny,
                other => return Err(format!("there is no decision {other:?}")),
            },
            deny: names("deny")?,
            unmet: names("unmet")?,
            step_up: names("step_up")?,
            allow: names("allow")?,
        })
    }

    fn request(&self, case: &Case) -> Value {
        case.to_json(self.compiled, |known: IpAddr| json!(known.to_string()))
    }

    fn prepared(&self, case: &Case) -> Result<Question<'_>, String> {
        let input = regorus::Value::from(self.request(case));
        let (deny, name) = (regorus::Value::from("deny"), regorus::Value::from("decision"));
        let decision =
            move |ruling: &regorus::Value| ruling.as_object().ok().and_then(|members| members.get(&name)).cloned();
        Ok(Box::new(move || {
            let ruling = self.module.eval_with_input(input.clone()).map_err(|error| error.to_string())?;
            decision(&ruling).map(|decision| decision != deny).ok_or_else(|| "there is no decision".to_owned())
        }))
    }
}
