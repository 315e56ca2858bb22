//! `doctor`: what keeps a gate from working, and what to do about it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use passgate_core::gate::Profile;
use passgate_host::config::{EngineKind, Loaded};
use passgate_host::control::{Access, AccessError};
use passgate_host::evaluator::has_builtin;
use passgate_host::metrics::Metrics;
use passgate_host::plugins::{PluginHost, PluginStatus};
use passgate_host::status_lists;
use passgate_passport::trust::{IssuerStatus, SelfIssued};
use serde_json::json;

use super::issuer::ISSUERS_FOLDER;
use crate::access::{self, GateKeys};
use crate::context::Context;
use crate::credentials::AGENTS_FOLDER;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::{Output, Paint};
use crate::{files, moment};

/// How long the upstream may take to accept a connection.
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(2);
/// What findings about status lists are about.
const STATUS_LISTS: &str = "status lists";
/// What findings about what decides are about.
const EVALUATOR: &str = "evaluator";
/// What findings about plugins are about.
const PLUGINS: &str = "plugins";
/// Years in which a clock is plausible.
const PLAUSIBLE_YEARS: std::ops::RangeInclusive<u32> = 2026..=2099;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    subject: &'static str,
    verdict: Verdict,
    message: String,
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail(Exit),
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail(_) => "fail",
        }
    }
}

pub(crate) async fn run(_args: &Args, context: &Context) -> Outcome {
    let findings = match context.load() {
        Ok(loaded) => examine(&loaded).await,
        Err(failure) => vec![clock(), Finding::failed("configuration", failure)],
    };
    report(&findings, &context.output)?;
    let failed = findings.iter().find_map(|finding| match finding.verdict {
        Verdict::Fail(exit) => Some(exit),
        _ => None,
    });
    Ok(failed.unwrap_or(Exit::Ok))
}

async fn examine(loaded: &Loaded) -> Vec<Finding> {
    let configuration =
        format!("{} (gate {}, level {})", loaded.path.display(), loaded.gate.id, loaded.gate.level.as_str());
    let mut findings = vec![
        Finding::ok("configuration", configuration),
        clock(),
        attestation_key(loaded),
        issuers(loaded),
        level(loaded),
    ];
    findings.extend(published_lists(loaded));
    findings.extend(secrets(loaded));
    findings.extend(state_folder(loaded));
    findings.push(evaluator(loaded));
    findings.extend(plugins(loaded).await);
    findings.push(gateway(loaded).await);
    findings.push(upstream(&loaded.config.upstream.url).await);
    findings
}

impl Finding {
    fn ok(subject: &'static str, message: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Ok, message: message.into(), remedy: None }
    }

    fn warn(subject: &'static str, message: impl Into<String>, remedy: &str) -> Self {
        Self { subject, verdict: Verdict::Warn, message: message.into(), remedy: Some(remedy.to_owned()) }
    }

    fn failed(subject: &'static str, failure: Failure) -> Self {
        Self { subject, verdict: Verdict::Fail(failure.exit), message: failure.message, remedy: failure.hint }
    }
}

/// A wrong clock makes every credential expired, or none.
fn clock() -> Finding {
    let now = moment::now();
    let year = now.utc_month().split('-').next().and_then(|year| year.parse().ok()).unwrap_or(0);
    if PLAUSIBLE_YEARS.contains(&year) {
        return Finding::ok("clock", now.rfc3339());
    }
    let failure = Failure::unexpected(format_args!("it is {} by this machine's clock", now.rfc3339()));
    Finding::failed("clock", failure.hint("set the clock, and keep it set with NTP"))
}

fn attestation_key(loaded: &Loaded) -> Finding {
    match files::read_private_key(&loaded.paths.attestation_key) {
        Ok(key) => Finding::ok("attestation key", key.public().thumbprint()),
        // What is wrong with a file that is there says its own remedy.
        Err(failure) if loaded.paths.attestation_key.exists() => {
            Finding::failed("attestation key", Failure { exit: Exit::Config, ..failure })
        }
        Err(failure) => Finding::failed(
            "attestation key",
            Failure { exit: Exit::Config, ..failure }.hint("make one with `passgate keys generate --out FILE`"),
        ),
    }
}

/// What the gate demands, and what its level demands and the policy does not.
fn level(loaded: &Loaded) -> Finding {
    let gate = &loaded.gate;
    let none = Profile { challenge: false, status_lists: false };
    let demanded: Vec<&str> = gate.profile.beyond(none).collect();
    let demanded = if demanded.is_empty() { "nothing else".to_owned() } else { demanded.join(", ") };
    let message =
        format!("{}: passports of tier {} or higher; {demanded}", gate.level.as_str(), gate.level.minimum_tier());
    let loosened: Vec<&str> = gate.loosened().collect();
    if loosened.is_empty() {
        return Finding::ok("level", message);
    }
    let message = format!("{message}; not {}, which the level demands", loosened.join(", "));
    Finding::warn("level", message, "every attestation says so; remove what loosens it from `gate` once you can")
}

fn issuers(loaded: &Loaded) -> Finding {
    let trust = &loaded.gate.trust;
    let active = trust.issuers().filter(|issuer| issuer.status == IssuerStatus::Active).count();
    let now = moment::now().seconds();
    let without_key = trust.issuers().find(|issuer| !issuer.keys.iter().any(|key| key.contains(now)));
    if let Some(issuer) = without_key {
        let message = format!("no key of {} is valid now, so its passports are refused", issuer.id);
        return Finding::warn("issuers", message, "add a key whose interval contains the present");
    }
    if active == 0 && *trust.self_issued() == SelfIssued::Refused {
        return Finding::warn(
            "issuers",
            "none is trusted, so every request is refused",
            "run `passgate issuer create`",
        );
    }
    Finding::ok("issuers", format!("{active} active of {}", trust.issuers().count()))
}

/// The lists of the issuers whose lists are checked, and how old they are.
fn published_lists(loaded: &Loaded) -> Vec<Finding> {
    let now = moment::now();
    let (gate, problems) = status_lists::gate_at(loaded, now);
    let mut findings = Vec::new();
    for issuer in gate.status_lists.issuers() {
        let most = gate.status_lists.max_age_seconds(issuer).unwrap_or_default();
        let lists: Vec<_> = gate.status_lists.iter().filter(|list| list.issuer() == issuer).collect();
        if lists.is_empty() {
            let message = format!("none of {issuer} is at hand, so its passports are refused");
            findings.push(Finding::warn(
                STATUS_LISTS,
                message,
                "name a file in its status_list, and keep it up to date",
            ));
        }
        for list in lists {
            let age = list.age_seconds(now.seconds());
            let message = format!("{}: {} entries, {age} s old of at most {most}", list.uri(), list.entries());
            findings.push(if list.is_fresh(now.seconds(), most) {
                Finding::ok(STATUS_LISTS, message)
            } else {
                Finding::warn(STATUS_LISTS, format!("{message}; too old to be used"), "have its issuer sign a new one")
            });
        }
    }
    let remedy = "put the issuer's list there, one token a line";
    let found = problems.into_iter().map(|problem| (problem.path.display().to_string(), problem.why));
    findings.extend(found.map(|(path, why)| Finding::warn(STATUS_LISTS, format!("{path}: {why}"), remedy)));
    findings
}

fn evaluator(loaded: &Loaded) -> Finding {
    let settings = &loaded.config.evaluator;
    match (settings.engine, &settings.file) {
        (_, Some(file)) => Finding::ok(EVALUATOR, format!("the component in {file}")),
        (Some(EngineKind::Native), None) => Finding::ok(EVALUATOR, "in this program, as configured"),
        (_, None) if has_builtin() => Finding::ok(EVALUATOR, "the component that this program carries"),
        (Some(EngineKind::Component), None) => {
            let failure = Failure::config("this passgate carries no gate component");
            Finding::failed(EVALUATOR, failure.hint("run `cargo xtask component` before building it, or name a file"))
        }
        (None, None) => {
            let remedy = "run `cargo xtask component` before building, or set `evaluator.engine: native`";
            Finding::warn(EVALUATOR, "in this program, which was built without the gate component", remedy)
        }
    }
}

/// Loads them as a gate does when it starts.
async fn plugins(loaded: &Loaded) -> Vec<Finding> {
    let keys = Arc::new(GateKeys(loaded.clone()));
    match PluginHost::load(&loaded.config.plugins, &loaded.base, keys, Metrics::default()).await {
        Ok(host) => {
            let describe = |plugin: &PluginStatus| format!("{} {} ({})", plugin.name, plugin.version, plugin.digest);
            host.status().iter().map(|plugin| Finding::ok(PLUGINS, describe(plugin))).collect()
        }
        Err(error) => vec![Finding::failed(PLUGINS, Failure::config(error))],
    }
}

/// Private keys and credentials beside the configuration; the attestation key has a finding of its own.
fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, extension) in [(ISSUERS_FOLDER, "jwk"), (AGENTS_FOLDER, "json"), ("keys", "jwk")] {
        let folder = loaded.base.join(folder);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|found| found == extension));
        paths.retain(|path| *path != loaded.paths.attestation_key);
        paths.sort();
        findings.extend(paths.iter().filter_map(|path| exposed(path, 0o077, "600")));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("secrets", "for their owner alone"));
    }
    findings
}

/// The control socket gives its folder's readers the right to revoke.
fn state_folder(loaded: &Loaded) -> Option<Finding> {
    let folder = loaded.paths.socket.parent().filter(|folder| folder.is_dir())?;
    Some(exposed(folder, 0o077, "700").unwrap_or_else(|| Finding::ok("state folder", folder.display().to_string())))
}

fn exposed(path: &Path, bits: u32, mode: &str) -> Option<Finding> {
    let found = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (found & bits != 0).then(|| {
        let message = format!("{} is open to others (mode {found:04o})", path.display());
        let failure = Failure::new(Exit::Invalid, "file_exposed", message);
        Finding::failed("secrets", failure.hint(format_args!("run `chmod {mode} {}`", path.display())))
    })
}

/// A running gateway, or a store that opens.
async fn gateway(loaded: &Loaded) -> Finding {
    match access::open_if_there(loaded).await {
        Ok(Some(Access::Running(client))) => match client.health().await {
            Ok(()) => Finding::ok("gateway", format!("runs ({})", loaded.paths.socket.display())),
            Err(error) => Finding::failed("gateway", AccessError::from(error).into()),
        },
        Ok(Some(Access::Offline(_))) => Finding::ok("store", "opens; no gateway runs"),
        Ok(None) => Finding::ok("store", "is made when the gate is served for the first time"),
        Err(AccessError::Key(_)) => {
            Finding::warn("store", "not looked at, because the attestation key is not usable", "mend the key first")
        }
        Err(error) => Finding::failed("store", error.into()),
    }
}

async fn upstream(url: &str) -> Finding {
    let target = url.parse::<http::Uri>().ok().and_then(|uri| {
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some((host, uri.port_u16().unwrap_or(default_port)))
    });
    let Some(target) = target else {
        return Finding::failed("upstream", Failure::config(format_args!("{url} is no URL with a host")));
    };
    let refused = |why: &dyn std::fmt::Display| {
        let failure = Failure::unreachable(format_args!("{url} accepts no connection: {why}"));
        Finding::failed("upstream", failure.hint("start the API, or correct upstream.url"))
    };
    match tokio::time::timeout(UPSTREAM_TIMEOUT, tokio::net::TcpStream::connect(target)).await {
        Ok(Ok(_)) => Finding::ok("upstream", format!("{url} accepts connections")),
        Ok(Err(error)) => refused(&error),
        Err(_) => refused(&"no answer in time"),
    }
}

fn report(findings: &[Finding], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let members = findings.iter().map(|finding| {
            json!({ "subject": finding.subject, "result": finding.verdict.as_str(), "message": finding.message, "remedy": finding.remedy })
        });
        return output.json(json!({ "checks": members.collect::<Vec<_>>() }));
    }
    for finding in findings {
        let paint = match finding.verdict {
            Verdict::Ok => Paint::Good,
            Verdict::Warn => Paint::Wait,
            Verdict::Fail(_) => Paint::Bad,
        };
        let word = output.paint(paint, &format!("{:4}", finding.verdict.as_str()));
        let remedy = finding.remedy.as_ref().map(|remedy| format!("; {}", inert(remedy))).unwrap_or_default();
        output.data(&format!("{word}  {:15}  {}{remedy}", finding.subject, inert(&finding.message)))?;
    }
    Ok(())
}
