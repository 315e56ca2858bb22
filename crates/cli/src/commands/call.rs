//! `call URL`: one signed request, and what the gate said about it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use passgate_core::attest::DecisionKind;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Verdict};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::Output;
use crate::request::{ProofArgs, Request, RequestArgs, SignerArgs};
use crate::span::Span;
use crate::{access, credentials, moment};

/// Arguments of `call`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The URL, as the gate's public_url names it
    url: String,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    proof: ProofArgs,
    /// Print the status and fields of the answer before its body
    #[arg(short, long)]
    include: bool,
    /// Print the signed request to stderr
    #[arg(long)]
    show_request: bool,
    /// Send the identical signed request this many times more; the last answer decides the exit code
    #[arg(long, value_name = "N", default_value_t = 0)]
    replay: u32,
    /// A PEM file with the certificate authorities to trust, instead of the public ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: Span,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let request = Request::from_args(&args.url, &args.request)?;
    let signer = credentials::load(args.signer.credentials.as_deref(), args.signer.key.as_deref(), &context.base())?;
    let mut signed = request.clone().sign(&signer, args.proof.form(), moment::now())?;
    let output = &context.output;
    if args.show_request {
        show_request(&signed, output);
    }
    let trust_roots = access::trust_roots(args.ca_file.as_deref())?;
    let client = Client::new(Duration::from_secs(args.timeout.seconds.unsigned_abs()), &trust_roots)?;
    let mut exit = Exit::Ok;
    for time in 0..=args.replay {
        let mut answer = client.send(&signed).await?;
        if time == 0
            && let Some(challenge) = answer.challenge()
        {
            signed = request.clone().sign_answering(Some(challenge), &signer, args.proof.form(), moment::now())?;
            if args.show_request {
                show_request(&signed, output);
            }
            answer = client.send(&signed).await?;
        }
        exit = print(answer, args.include, output).await?.exit()?;
    }
    Ok(exit)
}

/// Sends `request` and reads the whole answer.
pub(crate) async fn perform(client: &Client, request: &Request) -> Result<(Verdict, Bytes), Failure> {
    let answer = client.send(request).await?;
    let mut verdict = answer.verdict();
    let body = answer.collect().await?;
    verdict.read_reason(&body);
    Ok((verdict, body))
}

fn show_request(request: &Request, output: &Output) {
    output.say(&format!("> {} {}", inert(&request.method), inert(&request.url())));
    for (name, value) in &request.headers {
        output.say(&format!("> {name}: {}", inert(value)));
    }
    output.say(&format!("> ({} bytes of body)", request.body.len()));
}

/// The answer on stdout, the decision on stderr.
async fn print(answer: Answer, include: bool, output: &Output) -> Result<Verdict, Failure> {
    let mut verdict = answer.verdict();
    let head = include.then(|| head(&answer));
    if output.is_json() {
        let headers = include.then(|| fields(&answer));
        let body = answer.collect().await?;
        verdict.read_reason(&body);
        output.json(to_json(&verdict, headers, &body))?;
        return Ok(verdict);
    }
    if let Some(head) = head {
        output.foreign(head.as_bytes())?;
    }
    if answer.may_be_the_gates() {
        let body = answer.collect().await?;
        verdict.read_reason(&body);
        output.say(&verdict.line(output));
        output.foreign(&body)?;
        output.say("");
    } else {
        output.say(&verdict.line(output));
        stream(answer, output).await?;
    }
    Ok(verdict)
}

async fn stream(mut answer: Answer, output: &Output) -> Result<(), Failure> {
    while let Some(frame) = answer.body.frame().await {
        let frame = frame.map_err(|error| Failure::unreachable(format_args!("the answer broke off: {error}")))?;
        if let Ok(bytes) = frame.into_data() {
            output.foreign(&bytes)?;
        }
    }
    Ok(())
}

/// Status and fields as HTTP writes them.
fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP {}\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    head.push('\n');
    head
}

fn fields(answer: &Answer) -> Value {
    let pairs =
        answer.headers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]));
    Value::Array(pairs.collect())
}

/// The body as text where it is text, else as base64url.
fn to_json(verdict: &Verdict, headers: Option<Value>, body: &[u8]) -> Value {
    let mut members = json!({
        "decision": verdict.decision.map(DecisionKind::as_str),
        "reason_code": verdict.reason_code,
        "attestation_id": verdict.attestation_id,
        "status": verdict.status,
    });
    if let Value::Object(members) = &mut members {
        members.extend(headers.map(|headers| ("headers".to_owned(), headers)));
        let (name, text) = match std::str::from_utf8(body) {
            Ok(text) => ("body", text.to_owned()),
            Err(_) => ("body_base64url", passgate_passport::b64::encode(body)),
        };
        members.insert(name.to_owned(), text.into());
    }
    members
}
