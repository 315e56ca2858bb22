//! `policy check`: everything that is wrong with a policy.

use std::path::PathBuf;

use passgate_api::bundle::LevelDoc;
use passgate_host::config::{self, Config, ConfigError, ConfigErrors};
use passgate_passport::jwk::PRIVATE_MEMBERS;
use serde_json::{Value, json};

use super::trial::bare_gate;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Paint;

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A policy file to check alone [default: the whole configuration]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let checked = match &args.file {
        Some(file) => config::load_policy_file(file, bare_gate(LevelDoc::L2))
            .map(|(policy, _)| (file.clone(), policy.bundle, policy.rules)),
        None => {
            let path = context.config_path()?;
            Config::load_whole(&path).map(|loaded| (path, loaded.bundle, loaded.rules))
        }
    };
    match checked {
        Ok((path, bundle, rules)) => {
            let rules = rules.map_or(0, |rules| rules.policy.rules().len());
            if context.output.is_json() {
                let found = json!({"ok": true, "routes": bundle.routes.len(), "rules": rules, "errors": []});
                context.output.json(found)?;
            } else {
                let path = crate::inert::inert(&path.display().to_string());
                let text = format!("{path}: ok, {} routes, {rules} rules", bundle.routes.len());
                context.output.data(&context.output.paint(Paint::Good, &text))?;
            }
            Ok(Exit::Ok)
        }
        Err(errors) => {
            tell(&errors, context)?;
            Ok(Exit::Config)
        }
    }
}

fn tell(errors: &ConfigErrors, context: &Context) -> Result<(), Failure> {
    let all = || std::iter::once(errors.first.as_ref()).chain(&errors.others);
    if context.output.is_json() {
        let members: Vec<Value> = all().map(members).collect();
        return context.output.json(json!({"ok": false, "errors": members, "untold": errors.untold}));
    }
    for error in all() {
        context.output.data(&context.output.paint(Paint::Bad, &crate::inert::inert(&error.to_string())))?;
        if let Some(line) = line_of(error) {
            context.output.data(&format!("    {}", crate::inert::inert(line.trim())))?;
        }
    }
    if errors.untold > 0 {
        context.output.data(&format!("and {} more", errors.untold))?;
    }
    Ok(())
}

/// The line of the file that the error is about; none that a private key may stand in.
fn line_of(error: &ConfigError) -> Option<String> {
    let (line, _) = error.position?;
    let text = std::fs::read_to_string(&error.file).ok()?;
    let line = text.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
    (!may_hold_private_key(line)).then(|| line.to_owned())
}

/// Whether the line has a member that only private and symmetric JWKs have.
fn may_hold_private_key(line: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let quotes = ['"', '\''];
    line.match_indices(':').any(|(colon, _)| {
        let before = line.get(..colon).unwrap_or_default().trim_end().trim_end_matches(quotes);
        let name = before.rsplit(|c: char| !is_name(c)).next().unwrap_or_default();
        PRIVATE_MEMBERS.contains(&name)
    })
}

fn members(error: &ConfigError) -> Value {
    json!({
        "file": error.file.display().to_string(),
        "line": error.position.map(|(line, _)| line),
        "column": error.position.map(|(_, column)| column),
        "member": error.member,
        "problem": error.problem,
        "remedy": error.remedy,
    })
}
