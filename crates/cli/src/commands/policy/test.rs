//! `policy test`: decisions that a policy has to make.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use passgate_api::bundle::LevelDoc;
use passgate_core::attest::{DecisionKind, EvidenceValue, GuardrailRecord};
use passgate_core::reason::Reason;
use passgate_core::state::LoadedRows;
use passgate_host::config::{self, Policy};
use serde_json::{Value, json};

use super::cases::{Case, Cases};
use super::coverage::Coverage;
use super::trial::{Trial, Tried, bare_gate};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::Paint;

/// How files of tests are named.
const SUFFIX: &str = "_test.yml";

/// Arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of tests, or folders with files *_test.yml [default: the configuration's folder, and those in it]
    files: Vec<PathBuf>,
    /// Fail when a rule decides no test
    #[arg(long)]
    require_coverage: bool,
    /// Run again whenever a file changes
    #[arg(long)]
    watch: bool,
}

/// What became of one test.
struct Run {
    name: String,
    /// Why it failed.
    fault: Option<String>,
}

/// What became of a file of tests.
struct Report {
    file: PathBuf,
    runs: Vec<Run>,
    coverage: Coverage,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    if !args.watch {
        return once(args, context);
    }
    let (mut files, mut seen) = (Vec::new(), None);
    loop {
        let now = stamps(&files);
        if seen.as_ref() != Some(&now) {
            files = watched(args, context);
            seen = Some(stamps(&files));
            if let Err(failure) = once(args, context) {
                context.output.failure(&failure);
            }
            context.output.say("waiting for a change; end with Ctrl-C");
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The files that a run depends on.
fn watched(args: &Args, context: &Context) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = found(args, context).unwrap_or_default();
    let policies: Vec<PathBuf> = files.iter().filter_map(|file| policy_file(file, &Cases::read(file).ok()?)).collect();
    files.extend(files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect::<Vec<_>>());
    files.extend(policies);
    files.extend(named(args, context));
    files.extend(context.config_path());
    if let Ok(loaded) = context.load() {
        files.extend(loaded.config.policy_files.iter().map(|name| loaded.base.join(name)));
    }
    files.sort();
    files.dedup();
    files
}

/// When they were changed last. A folder is when files are added to it.
fn stamps(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    files.iter().map(|file| file.metadata().and_then(|meta| meta.modified()).ok()).collect()
}

fn once(args: &Args, context: &Context) -> Outcome {
    let files = found(args, context)?;
    if files.is_empty() {
        return Err(
            Failure::usage("there are no tests here").hint("name files, or write one whose name ends with _test.yml")
        );
    }
    let reports = files.iter().map(|file| tried(file, context)).collect::<Result<Vec<_>, _>>()?;
    if context.output.is_json() {
        context.output.json(members(&reports))?;
    } else {
        reports.iter().try_for_each(|report| tell(report, context))?;
    }
    let failed = reports.iter().flat_map(|report| &report.runs).any(|run| run.fault.is_some());
    let idle = args.require_coverage && reports.iter().any(|report| report.coverage.idle().next().is_some());
    Ok(if failed || idle { Exit::Unexpected } else { Exit::Ok })
}

/// The files and folders that are asked for.
fn named(args: &Args, context: &Context) -> Vec<PathBuf> {
    let named = if args.files.is_empty() { vec![context.base()] } else { args.files.clone() };
    let here = |path: PathBuf| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
    named.into_iter().map(here).collect()
}

fn found(args: &Args, context: &Context) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in named(args, context) {
        if !path.is_dir() {
            found.push(path);
            continue;
        }
        collect(&path, args.files.is_empty(), &mut found)?;
    }
    found.sort();
    Ok(found)
}

/// The files of tests in a folder, and, if `deep`, in those in it.
fn collect(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = folder.read_dir().map_err(|error| Failure::io("read", folder, &error))?;
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if path.is_dir() && deep && !is_hidden {
            collect(&path, false, found)?;
        } else if path.is_file() && path.to_string_lossy().ends_with(SUFFIX) {
            found.push(path);
        }
    }
    Ok(())
}

fn policy_file(tests: &Path, cases: &Cases) -> Option<PathBuf> {
    let name = cases.policy.as_ref()?;
    Some(tests.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name)))
}

/// The policy under test.
pub(super) fn policy(tests: &Path, cases: &Cases, context: &Context) -> Result<Policy, Failure> {
    let Some(file) = policy_file(tests, cases) else {
        let loaded = context.load()?;
        return Ok(Policy { bundle: loaded.bundle, gate: loaded.gate, rules: loaded.rules });
    };
    Ok(config::load_policy_file(&file, bare_gate(LevelDoc::L2)).map_err(|errors| *errors.first)?.0)
}

fn tried(file: &Path, context: &Context) -> Result<Report, Failure> {
    let cases = Cases::read(file)?;
    let policy = policy(file, &cases, context)?;
    let trial = Trial::new(&policy.gate)?;
    let mut coverage = Coverage::of(policy.rules.as_ref().map(|rules| &rules.policy));
    let mut runs = Vec::new();
    for case in &cases.tests {
        let fault = outcome(&trial, case, &mut coverage)?;
        runs.push(Run { name: case.name.clone(), fault });
    }
    Ok(Report { file: file.to_owned(), runs, coverage })
}

/// Why the test fails, if it does.
fn outcome(trial: &Trial, case: &Case, coverage: &mut Coverage) -> Result<Option<String>, Failure> {
    let now = case.request.now().ok_or_else(|| Failure::usage("the request has no instant"))?;
    let mut rows = LoadedRows::new();
    for _ in 1..case.repeat {
        trial.run(&case.request, now, &mut rows)?;
    }
    let tried = trial.run(&case.request, now, &mut rows)?;
    let decided = Decided::of(&tried);
    coverage.add(&trial.explain(&case.request, now)?, decided.rule.as_deref());
    let expected = case.expect.kind();
    let fits = decided.kind == expected
        && case.reason.as_ref().is_none_or(|code| decided.reason.map(Reason::code) == Some(code))
        && case.rule.as_ref().is_none_or(|rule| decided.rule.as_ref() == Some(rule));
    let wanted = Words { kind: expected, reason: case.reason.as_deref(), rule: case.rule.as_deref() };
    let got = Words { kind: decided.kind, reason: decided.reason.map(Reason::code), rule: decided.rule.as_deref() };
    Ok((!fits).then(|| format!("expected {}, and it is {}", wanted.text(), got.text())))
}

/// What was decided, and by which rule.
pub(super) struct Decided {
    pub(super) kind: DecisionKind,
    pub(super) reason: Option<Reason>,
    pub(super) rule: Option<String>,
}

impl Decided {
    pub(super) fn of(tried: &Tried) -> Self {
        match tried {
            Tried::Refused(refusal) => Self { kind: DecisionKind::Deny, reason: Some(refusal.reason), rule: None },
            Tried::Decided(_, decision) => {
                let rules = decision.guardrails.iter().find(|record| record.guardrail == "rules");
                Self { kind: decision.verdict.kind(), reason: decision.reason, rule: rules.and_then(rule) }
            }
        }
    }
}

fn rule(record: &GuardrailRecord) -> Option<String> {
    match record.evidence.get("rule") {
        Some(EvidenceValue::Text(name)) => Some(name.clone()),
        _ => None,
    }
}

/// A decision in words.
struct Words<'a> {
    kind: DecisionKind,
    reason: Option<&'a str>,
    rule: Option<&'a str>,
}

impl Words<'_> {
    fn text(&self) -> String {
        let reason = self.reason.map(|code| format!(" ({code})")).unwrap_or_default();
        let rule = self.rule.map(|name| format!(" by rule `{name}`")).unwrap_or_default();
        format!("{}{reason}{rule}", self.kind.as_str())
    }
}

fn tell(report: &Report, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    for run in &report.runs {
        let (paint, word) = if run.fault.is_some() { (Paint::Bad, "FAIL") } else { (Paint::Good, "ok  ") };
        output.data(&format!("{}  {}", output.paint(paint, word), inert(&run.name)))?;
        if let Some(fault) = &run.fault {
            output.data(&format!("      {}", inert(fault)))?;
        }
    }
    for (name, matched) in report.coverage.idle() {
        output.data(&format!("      rule `{name}` decides no test; it matches the requests of {matched}"))?;
    }
    let failed = report.runs.iter().filter(|run| run.fault.is_some()).count();
    let idle = report.coverage.idle().count();
    let rules = report.coverage.len();
    output.data(&format!(
        "{}: {} tests, {failed} failed; {} of {rules} rules decide one",
        report.file.display(),
        report.runs.len(),
        rules - idle
    ))
}

fn members(reports: &[Report]) -> Value {
    let of_run = |run: &Run| json!({"name": run.name, "ok": run.fault.is_none(), "fault": run.fault});
    let of_report = |report: &Report| {
        json!({
            "file": report.file.display().to_string(),
            "tests": report.runs.iter().map(of_run).collect::<Vec<_>>(),
            "rules": report.coverage.len(),
            "rules_without_test": report.coverage.idle().map(|(name, _)| name).collect::<Vec<_>>(),
        })
    };
    json!({ "files": reports.iter().map(of_report).collect::<Vec<_>>() })
}
