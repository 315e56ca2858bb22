//! `call URL`: one signed request, and what the gate said about it.

mod approval;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use passgate_core::attest::DecisionKind;
use passgate_passport::approval::APPROVAL_FIELD;
use serde_json::{Value, json};

use self::approval::{Standing, Waiting};
use crate::client::{Answer, Client, Verdict};
use crate::context::Context;
use crate::credentials::Credentials;
use crate::exit::{Failure, Outcome};
use crate::inert::inert;
use crate::output::Output;
use crate::request::{ProofArgs, Request, RequestArgs, SignerArgs};
use crate::span::{self, Span};
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
    /// Present the approvals of this request for approval, which the answer to the request held back names
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// When the request is held back, wait so long for its approval and send it again [default: 300 seconds]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "300", value_parser = Span::of_seconds)]
    wait: Option<Span>,
    /// A PEM file with the certificate authorities to trust, instead of the public ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "60s")]
    timeout: Span,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let request = Request::from_args(&args.url, &args.request)?;
    let caller = Caller::new(args, context)?;
    let request = match &args.approval {
        Some(id) => caller.approved(request, id).await?,
        None => request,
    };
    let (mut answer, mut signed) = caller.send(&request).await?;
    if let Some(wait) = args.wait.filter(|_| args.approval.is_none()) {
        (answer, signed) = caller.once_approved(request, answer, signed, wait).await?;
    }
    let output = &context.output;
    let mut exit = print(answer, args.include, output).await?.exit()?;
    for _ in 0..args.replay {
        exit = print(caller.client.send(&signed).await?, args.include, output).await?.exit()?;
    }
    Ok(exit)
}

/// What sends requests of one agent.
struct Caller<'a> {
    args: &'a Args,
    client: Client,
    signer: Credentials,
    output: &'a Output,
}

impl<'a> Caller<'a> {
    fn new(args: &'a Args, context: &'a Context) -> Result<Self, Failure> {
        let (file, key) = (args.signer.credentials.as_deref(), args.signer.key.as_deref());
        let signer = credentials::load(file, key, &context.base())?;
        let trust_roots = access::trust_roots(args.ca_file.as_deref())?;
        let client = Client::new(Duration::from_secs(args.timeout.seconds.unsigned_abs()), &trust_roots)?;
        Ok(Self { args, client, signer, output: &context.output })
    }

    /// Signs and sends, once more where the gate wants a challenge answered. Gives the request as it was sent last.
    async fn send(&self, request: &Request) -> Result<(Answer, Request), Failure> {
        let signed = self.signed(request, None)?;
        let answer = self.client.send(&signed).await?;
        let Some(challenge) = answer.challenge() else { return Ok((answer, signed)) };
        let signed = self.signed(request, Some(challenge))?;
        Ok((self.client.send(&signed).await?, signed))
    }

    fn signed(&self, request: &Request, challenge: Option<&str>) -> Result<Request, Failure> {
        let signed = request.clone().sign_answering(challenge, &self.signer, self.args.proof.form(), moment::now())?;
        if self.args.show_request {
            show_request(&signed, self.output);
        }
        Ok(signed)
    }

    /// `request` with the approvals of the request for approval `id`.
    async fn approved(&self, request: Request, id: &str) -> Result<Request, Failure> {
        match Waiting::at(&self.client, &request, id)?.approvals(self.args.wait).await? {
            Standing::Approved(field) => request.with_field(APPROVAL_FIELD, &field),
            Standing::Pending(failure) => Err(failure),
        }
    }

    /// Where `answer` asks for approval: waits for it, and sends `request` again with it.
    async fn once_approved(
        &self,
        request: Request,
        answer: Answer,
        signed: Request,
        wait: Span,
    ) -> Result<(Answer, Request), Failure> {
        if answer.verdict().decision != Some(DecisionKind::StepUp) {
            return Ok((answer, signed));
        }
        let (answer, verdict) = answer.whole().await?;
        let Some(notice) = &verdict.approval else { return Ok((answer, signed)) };
        let length = span::length(wait.seconds);
        self.output.say(&format!("Waiting {length} for the approval of {}.", inert(&notice.request_id)));
        match Waiting::at(&self.client, &request, &notice.request_id)?.approvals(Some(wait)).await? {
            Standing::Approved(field) => self.send(&request.with_field(APPROVAL_FIELD, &field)?).await,
            Standing::Pending(_) => Ok((answer, signed)),
        }
    }
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
        verdict.approval.iter().for_each(|notice| output.say(&approval::next_step(notice)));
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
        members.extend(verdict.approval.as_ref().map(|notice| ("approval".to_owned(), approval::to_json(notice))));
        let (name, text) = match std::str::from_utf8(body) {
            Ok(text) => ("body", text.to_owned()),
            Err(_) => ("body_base64url", passgate_passport::b64::encode(body)),
        };
        members.insert(name.to_owned(), text.into());
    }
    members
}
