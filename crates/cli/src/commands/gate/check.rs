//! `gate check`: a decision without a gate, with every guardrail's result.

use std::sync::Arc;

use passgate_core::attest::{DecisionKind, EvidenceValue, GuardrailOutcome, GuardrailRecord};
use passgate_core::gate::Gate;
use passgate_core::pipeline::{self, Decision, Judged, RawRequest, Refusal};
use passgate_core::plugin::PluginRecord;
use passgate_core::reason::Reason;
use passgate_core::state::{self, LoadedRows};
use passgate_core::time::UnixMillis;
use passgate_host::metrics::Metrics;
use passgate_host::plugins::{PluginHost, Question};
use passgate_host::status_lists;
use serde_json::{Value, json};

use crate::access::GateKeys;
use crate::commands::ledger::table;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::{Output, Paint};
use crate::request::{ProofArgs, Request, RequestArgs, SignerArgs};
use crate::{credentials, input, moment};

/// What only the running gate knows.
const NOT_CHECKED: [&str; 2] = [
    "counters and budgets of the running gate (rate and spend are judged as for a first request)",
    "replay and revocation known to the running gate",
];

/// Arguments of `gate check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The URL, as the gate's public_url names it
    #[arg(required_unless_present = "request")]
    url: Option<String>,
    /// A JSON file {method, url, headers, body}, or - for stdin; a signed request is judged as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "method", "data", "headers", "dpop"])]
    request: Option<String>,
    #[command(flatten)]
    flags: RequestArgs,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    proof: ProofArgs,
}

/// The result of a check.
#[derive(Debug)]
enum Checked {
    /// Refused before judgement.
    Refused(Box<Refusal>),
    /// Judged and decided as by a gate without history.
    Decided(Box<Judged>, Box<Decision>),
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let loaded = context.load()?;
    let now = moment::now();
    let request = match (&args.request, &args.url) {
        (Some(file), _) => Request::from_json(&input::read(file)?)?,
        (None, Some(url)) => Request::from_args(url, &args.flags)?,
        (None, None) => return Err(Failure::usage("name a URL or a request file")),
    };
    let request = if request.is_signed() {
        request
    } else {
        let signer = credentials::load(args.signer.credentials.as_deref(), args.signer.key.as_deref(), &loaded.base)?;
        request.sign(&signer, args.proof.form(), now)?
    };
    let (gate, _) = status_lists::gate_at(&loaded, now);
    let keys = Arc::new(GateKeys(loaded.clone()));
    let plugins = PluginHost::load(&loaded.config.plugins, &loaded.base, keys, Metrics::default()).await;
    let checked = check(&gate, &plugins.map_err(Failure::config)?, &request, now).await?;
    report(&checked, &context.output)?;
    Ok(checked.exit())
}

/// The steps of a request's life up to the decision, over a state without history.
async fn check(gate: &Gate, plugins: &PluginHost, request: &Request, now: UnixMillis) -> Result<Checked, Failure> {
    let headers = request.header_views();
    let raw = RawRequest {
        method: &request.method,
        authority: Some(&request.authority),
        path: &request.path,
        query: request.query.as_deref(),
        headers: &headers,
        body: &request.body,
    };
    let parsed = match pipeline::parse(gate, &raw, now) {
        Ok(parsed) => parsed,
        Err(refusal) => return Ok(Checked::Refused(Box::new(refusal))),
    };
    let authenticated = match pipeline::authenticate(gate, &parsed, now) {
        Ok(authenticated) => authenticated,
        Err(refusal) => return Ok(Checked::Refused(Box::new(refusal))),
    };
    let mut judged = pipeline::judge(gate, &authenticated);
    if !plugins.is_empty() || gate.redacts() {
        let question = Question::new((&judged).into(), gate, &raw, now);
        let said = plugins.evaluate(question, judged.is_denied()).await;
        (judged, _) = judged.restrict(said, raw.body, &moment::seed()?);
    }
    let admitted = state::admit(judged.demand(), &LoadedRows::new()).map_err(Failure::unexpected)?;
    let decision = pipeline::decide(&judged, &admitted.admission);
    Ok(Checked::Decided(Box::new(judged), Box::new(decision)))
}

impl Checked {
    fn decision(&self) -> DecisionKind {
        match self {
            Self::Refused(_) => DecisionKind::Deny,
            Self::Decided(_, decision) => decision.verdict.kind(),
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => Some(refusal.reason),
            Self::Decided(_, decision) => decision.reason,
        }
    }

    fn exit(&self) -> Exit {
        Exit::of(self.decision(), self.reason().map(Reason::class))
    }

    /// The reason in full; the operator may see what a caller may not.
    fn detail(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => Some(refusal.detail.clone()),
            Self::Decided(_, decision) => decision.reason.map(|reason| reason.title().to_owned()),
        }
    }

    fn guardrails(&self) -> &[GuardrailRecord] {
        match self {
            Self::Refused(_) => &[],
            Self::Decided(_, decision) => &decision.guardrails,
        }
    }

    fn plugins(&self) -> &[PluginRecord] {
        match self {
            Self::Refused(_) => &[],
            Self::Decided(judged, _) => judged.plugins(),
        }
    }

    fn action(&self) -> Option<&str> {
        match self {
            Self::Refused(_) => None,
            Self::Decided(judged, _) => judged.request().action.as_deref(),
        }
    }
}

fn report(checked: &Checked, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(json!({
            "decision": checked.decision().as_str(),
            "reason_code": checked.reason(),
            "detail": checked.detail(),
            "action": checked.action(),
            "guardrails_evaluated": checked.guardrails(),
            "plugins": checked.plugins(),
            "not_checked": NOT_CHECKED,
        }));
    }
    let paint = Paint::of(checked.decision());
    let reason = checked.reason().map(|reason| format!(" {reason}")).unwrap_or_default();
    output.data(&format!("{}{reason}", output.paint(paint, checked.decision().as_str())))?;
    if let Some(detail) = checked.detail() {
        output.data(&format!("  {}", inert(&detail)))?;
    }
    if let Some(action) = checked.action() {
        output.data(&format!("action {}", inert(action)))?;
    }
    for guardrail in checked.guardrails() {
        output.data(&guardrail_line(guardrail))?;
    }
    for plugin in checked.plugins() {
        output.data(&table::plugin_line(&json!(plugin)))?;
    }
    NOT_CHECKED.iter().try_for_each(|line| output.data(&format!("not checked: {line}")))
}

/// One guardrail's result.
pub(crate) fn guardrail_line(guardrail: &GuardrailRecord) -> String {
    let result = match guardrail.result {
        GuardrailOutcome::Pass => "pass",
        GuardrailOutcome::Fail => "fail",
        GuardrailOutcome::StepUp => "step_up",
        GuardrailOutcome::NotApplicable => "not applicable",
        GuardrailOutcome::NotEvaluated => "not evaluated",
        GuardrailOutcome::Shadow => "shadow",
    };
    let evidence: Vec<String> =
        guardrail.evidence.iter().map(|(name, value)| format!("{name}={}", figure(value))).collect();
    let reason = guardrail.reason_code.map(|reason| reason.code()).unwrap_or_default();
    let figures = inert(&evidence.join(" "));
    let gap = if reason.is_empty() || figures.is_empty() { "" } else { " " };
    format!("  {:16}  {result:14}  {reason}{gap}{figures}", guardrail.guardrail).trim_end().to_owned()
}

fn figure(value: &EvidenceValue) -> String {
    match value {
        EvidenceValue::Number(number) => Value::from(*number).to_string(),
        EvidenceValue::Text(text) => text.clone(),
    }
}
