//! `plugin test`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use passgate_core::plugin::PluginRecord;
use passgate_host::plugins::{PluginKeys, Trial};
use serde_json::{Value, json};

use super::build;
use super::cases::{Case, Cases, Expect};
use super::{LimitArgs, refused};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::{Output, Paint};

/// The name of the file with a project's cases.
const CASES: &str = "cases.yml";

/// Arguments of `plugin test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A project, which is built first, or a component
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The cases [default: cases.yml in the project, or beside the component]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// How a case went.
struct Went<'a> {
    case: &'a Case,
    record: PluginRecord,
    /// What happened when there was no answer.
    failure: Option<String>,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let output = &context.output;
    let is_project = args.plugin.is_dir();
    let cases = args.cases.clone().unwrap_or_else(|| {
        let folder = if is_project { Some(args.plugin.as_path()) } else { args.plugin.parent() };
        folder.unwrap_or(Path::new("")).join(CASES)
    });
    if !cases.is_file() {
        let message = format!("{} is not there", cases.display());
        return Err(Failure::usage(message).hint("name the file with --cases; `plugin new` makes one to start from"));
    }
    let cases = Cases::read(&cases)?;
    let limits = args.limits.over(&cases.limits)?;
    let component = if is_project { build::build(&args.plugin, output)? } else { args.plugin.clone() };
    let keys = Arc::new(CaseKeys::default());
    let could_not_run = |error| refused(Exit::Unexpected, error);
    let trial = Trial::load(&component, limits, Arc::clone(&keys) as _).await.map_err(could_not_run)?;
    let mut went = Vec::new();
    for case in &cases.cases {
        keys.set(case);
        let (record, failure) = trial.evaluate(&case.question(), &case.config).await.map_err(could_not_run)?;
        let next = Went { case, record, failure };
        if !output.is_json() {
            next.report(output)?;
        }
        went.push(next);
    }
    let failed = went.iter().filter(|went| !went.passed()).count();
    let passed = went.len() - failed;
    if output.is_json() {
        let cases: Vec<Value> = went.iter().map(Went::json).collect();
        let digest = &trial.inspected().digest;
        output.json(
            json!({ "component": component, "digest": digest, "passed": passed, "failed": failed, "cases": cases }),
        )?;
    } else {
        output.data(&format!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Deny })
}

impl Went<'_> {
    fn passed(&self) -> bool {
        self.case.expect.is_met_by(&self.record)
    }

    fn got(&self) -> Value {
        let PluginRecord { outcome, reason, redacted, roles, verdict, fuel, .. } = &self.record;
        let mut got = json!({ "outcome": outcome, "fuel": fuel });
        if let Value::Object(members) = &mut got {
            let mut say =
                |name: &str, value: Option<Value>| members.extend(value.map(|value| (name.to_owned(), value)));
            say("verdict", verdict.map(|verdict| json!(verdict)));
            say("reason", reason.as_ref().map(|reason| json!(reason)));
            say("roles", (!roles.is_empty()).then(|| json!(roles)));
            say("redacted", (!redacted.is_empty()).then(|| json!(redacted)));
            say("failure", self.failure.as_ref().map(|failure| json!(failure)));
        }
        got
    }

    fn json(&self) -> Value {
        let Case { name, expect, .. } = self.case;
        json!({ "name": name, "passed": self.passed(), "expected": expect, "got": self.got() })
    }

    fn report(&self, output: &Output) -> Result<(), Failure> {
        let name = inert(&self.case.name);
        if self.passed() {
            return output.data(&format!("{}  {name}", output.paint(Paint::Good, "pass")));
        }
        output.data(&format!("{}  {name}", output.paint(Paint::Bad, "FAIL")))?;
        output.data(&format!("      expected {}", inert(&expected(&self.case.expect))))?;
        output.data(&format!("      got      {}", inert(&self.got().to_string())))
    }
}

fn expected(expect: &Expect) -> String {
    json!(expect).to_string()
}

/// The keys of the case that runs.
#[derive(Default)]
struct CaseKeys(Mutex<BTreeMap<String, String>>);

impl CaseKeys {
    fn set(&self, case: &Case) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&case.keys);
    }
}

#[async_trait::async_trait]
impl PluginKeys for CaseKeys {
    async fn get(&self, _: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.get(key).map(|value| value.as_bytes().to_vec()))
    }
}
