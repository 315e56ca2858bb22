//! `policy export`: the gate's rules in the language of another policy engine.
//!
//! A rule is exported exactly or not at all: what the other language cannot say is refused with the rule's name, all of it
//! at once. `--prove` asks this gate's evaluator and the other engine about the same generated requests and compares which
//! rules match and what they come to.
//!
//! A request is exported as one record, Cedar's `context` and Rego's `input`: each fact under its name, absent where it is
//! not known, and the names of facts known to be nothing in `none`. Conditions on times of the week look at `clock`, the
//! minute of the week in each time zone that rules name, which the caller supplies.

mod cedar;
mod expression;
mod kinds;
#[cfg(feature = "prove")]
mod prove;
mod rego;
mod remarks;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use passgate_core::route::Route;
use passgate_host::config::Loaded;
use passgate_host::files as host_files;
use passgate_host::policy::Compiled;
use serde_json::{Map, Value, json};

use super::generated::shape::Shape;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;

/// The most requests that `--prove` generates: some hours of work.
const MAX_CASES: u64 = 100_000_000;

/// Arguments of `policy export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The language to write the rules in
    #[arg(long, value_enum)]
    to: Target,
    /// The folder for the files [default: stdout, unless --prove is given]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long, requires = "out")]
    force: bool,
    /// Compare the decisions of both engines about so many generated requests, and report on stdout
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_CASES))]
    prove: Option<u64>,
    /// What the generated requests depend on: the same seed gives the same requests
    #[arg(long, value_name = "N", default_value_t = 1, requires = "prove")]
    seed: u64,
}

/// A language of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Target {
    /// Policies, a schema and entities for Cedar
    Cedar,
    /// A module for Open Policy Agent and other engines of Rego
    Rego,
}

impl Target {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Cedar => "cedar",
            Self::Rego => "rego",
        }
    }
}

/// An exported file: its name and what is in it.
type File = (&'static str, String);

/// A condition that the other language cannot express.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    /// The rule.
    rule: String,
    /// What the condition looks at.
    fact: String,
    /// Why not.
    why: String,
}

/// What is exported.
struct Source<'a> {
    /// The rules.
    compiled: &'a Compiled,
    /// The routes that they are for.
    routes: &'a [Route],
    /// The id of the gate.
    gate: &'a str,
    /// What is not exported, a line each.
    remarks: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    if args.prove.is_some() {
        super::needs_engines()?;
    }
    let loaded = context.load()?;
    let compiled = loaded.rules.as_ref().ok_or_else(super::no_rules)?;
    let inexpressible = |refusals: Vec<Refusal>| refused(args.to, &refusals);
    let shape = Shape::of(compiled);
    let files = export(args.to, &source(compiled, &loaded), &shape).map_err(inexpressible)?;
    if let Some(folder) = &args.out {
        write(folder, &files, args.force)?;
        context.output.say(&format!("written: {}", folder.display()));
    } else if args.prove.is_none() {
        print(args.to, &files, context)?;
    }
    compare(args, &files, compiled, &shape, context)
}

#[cfg(feature = "prove")]
fn compare(args: &Args, files: &[File], compiled: &Compiled, shape: &Shape, context: &Context) -> Outcome {
    let Some(cases) = args.prove else { return Ok(Exit::Ok) };
    let wanted = prove::Wanted { cases, seed: args.seed };
    let proof = prove::prove(args.to, files, compiled, shape, &wanted).map_err(Failure::unexpected)?;
    report(args.to, &proof, context)
}

/// The other engine with the exported rules.
#[cfg(feature = "prove")]
pub(super) fn engine<'c>(
    target: Target,
    loaded: &Loaded,
    compiled: &'c Compiled,
) -> Result<Box<dyn prove::Engine + 'c>, Failure> {
    let files = export(target, &source(compiled, loaded), &Shape::of(compiled));
    let files = files.map_err(|refusals| refused(target, &refusals))?;
    prove::engine(target, &files, compiled).map_err(Failure::unexpected)
}

/// This program was built without the other engines.
#[cfg(not(feature = "prove"))]
fn compare(_: &Args, _: &[File], _: &Compiled, _: &Shape, _: &Context) -> Outcome {
    Ok(Exit::Ok)
}

fn source<'a>(compiled: &'a Compiled, loaded: &'a Loaded) -> Source<'a> {
    let mut remarks = remarks::of_rules(&compiled.policy);
    remarks.extend(remarks::of_gate(&loaded.gate));
    Source { compiled, routes: &loaded.gate.routes, gate: &loaded.gate.id, remarks }
}

/// The files, or everything that cannot be expressed.
fn export(target: Target, source: &Source<'_>, shape: &Shape) -> Result<Vec<File>, Vec<Refusal>> {
    let refusals = kinds::refusals(source.compiled, source.routes);
    if !refusals.is_empty() {
        return Err(refusals);
    }
    match target {
        Target::Cedar => cedar::export(source, shape),
        Target::Rego => rego::export(source, shape),
    }
}

fn refused(target: Target, refusals: &[Refusal]) -> Failure {
    let language = match target {
        Target::Cedar => "Cedar",
        Target::Rego => "Rego",
    };
    let lines: Vec<String> = refusals
        .iter()
        .map(|Refusal { rule, fact, why }| format!("rule `{rule}`: `{fact}` cannot be expressed in {language}: {why}"))
        .collect();
    Failure::new(Exit::Config, "export_inexpressible", lines.join("\n"))
        .hint("nothing was written: change these rules, or export to the other language")
}

fn write(folder: &Path, files: &[File], force: bool) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("create", folder, &error))?;
    for (name, text) in files {
        host_files::write_public(&folder.join(name), text.as_bytes(), files::existing(force))?;
    }
    Ok(())
}

/// One file alone is printed as it is; several each below a line with its name.
fn print(target: Target, files: &[File], context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    if output.is_json() {
        let files: Map<String, Value> = files.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        return output.json(json!({ "target": target.as_str(), "files": files }));
    }
    for (name, text) in files {
        if files.len() > 1 {
            output.data(&format!("==> {name} <=="))?;
        }
        output.foreign(text.as_bytes())?;
    }
    Ok(())
}

#[cfg(feature = "prove")]
fn report(target: Target, proof: &prove::Proof, context: &Context) -> Outcome {
    let output = &context.output;
    let difference = proof.difference.as_ref().map(prove::Difference::to_json);
    if output.is_json() {
        output.json(json!({
            "target": target.as_str(), "seed": proof.seed, "requests": proof.cases,
            "outcomes": proof.outcomes.to_json(), "unseen": proof.unseen, "difference": difference,
        }))?;
    } else {
        output.members(&proof.lines(target.as_str()))?;
        if let Some(difference) = &difference {
            output.data(&crate::inert::inert_json(&difference.to_string()))?;
        }
    }
    for outcome in &proof.unseen {
        output.warn(&format!("no request came to {outcome}, so nothing is shown of it: try more requests"));
    }
    if difference.is_some() {
        return Err(Failure::new(Exit::Unexpected, "export_differs", "the two engines decide differently")
            .hint("the request on stdout shows it; do not use this export"));
    }
    Ok(Exit::Ok)
}

#[cfg(feature = "prove")]
#[cfg(test)]
mod tests;
