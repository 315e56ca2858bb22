//! `approvals approve`: a person looks at what is held back and signs for it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use passgate_core::approval::MAX_ELEVATION_SECONDS;
use passgate_host::control::{ApprovalDoc, Approve};
use passgate_passport::approval::{Approval, MAX_APPROVAL_TTL_SECONDS, MAX_GRANT_TTL_SECONDS, sign};
use passgate_passport::id::{APPROVAL_PREFIX, new_id};
use serde_json::{Value, json};

use super::grant::{self, GrantArgs};
use super::shown::Sheet;
use super::{checked, people, refused};
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::Output;
use crate::span::{self, Span};
use crate::{files, moment};

/// How long an approval of one request lives when nothing is said, in seconds.
const DEFAULT_TTL_SECONDS: i64 = 600;
/// And a grant.
const DEFAULT_GRANT_TTL_SECONDS: i64 = 3_600;

/// Arguments of `approvals approve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the request for approval
    id: String,
    /// The approver's private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The approver's name, as the gate's policy has it
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// How long the approval holds: a day at most, a week with --grant, 300 seconds with --grant for a session [default: 600 seconds, 3600 with --grant]
    #[arg(long, value_name = "SECONDS", value_parser = Span::of_seconds)]
    ttl: Option<Span>,
    /// How the approver knows; the ledger keeps it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    grant: GrantArgs,
    #[command(flatten)]
    gate: GateArgs,
}

pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    checked(args.note.as_deref())?;
    let key = files::read_private_key(&args.key)?;
    let access = access::open(&args.gate, context).await?;
    let doc = access.approval(&args.id).await.map_err(refused)?;
    let sheet = Sheet::of(&doc)?;
    if doc.state != "pending" {
        let message = format!("{} is {}: nobody waits for an answer", doc.id, doc.state);
        return Err(Failure::new(Exit::Unexpected, "approval_request_closed", message)
            .hint("`passgate approvals list` shows those that wait"));
    }
    let mut approval = unsigned(args, &doc, &sheet)?;
    confirm(args, &doc, &sheet, &approval, &context.output)?;
    // A person may take long to read.
    let ttl = approval.exp.saturating_sub(approval.iat);
    approval.iat = moment::now().seconds();
    approval.exp = approval.iat.saturating_add(ttl);
    let token = sign(&key, &approval)
        .map_err(|error| Failure::new(Exit::Unexpected, "approval_not_signed", error).hint("nothing was approved"))?;
    let given = Approve { approval: token, note: args.note.clone() };
    let record = access.approve(&doc.id, &given).await.map_err(refused)?;
    let record = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    // It was taken in, whether or not the gate can be asked once more.
    let after = access.approval(&doc.id).await;
    let after = after.unwrap_or_else(|_| ApprovalDoc { state: "unknown".to_owned(), ..doc });
    report(&approval, record, &after, &context.output)
}

/// The approval of what `sheet` shows.
fn unsigned(args: &Args, doc: &ApprovalDoc, sheet: &Sheet) -> Result<Approval, Failure> {
    let grant = args.grant.grant(&sheet.view)?;
    let (default, most) = match &grant {
        None => (DEFAULT_TTL_SECONDS, MAX_APPROVAL_TTL_SECONDS),
        Some(_) if grant::elevates(&sheet.view) => (MAX_ELEVATION_SECONDS, MAX_ELEVATION_SECONDS),
        Some(_) => (DEFAULT_GRANT_TTL_SECONDS, MAX_GRANT_TTL_SECONDS),
    };
    let ttl = args.ttl.map_or(default, |ttl| ttl.seconds);
    if ttl > most {
        let kind = match &grant {
            None => "an approval of one request",
            Some(_) if grant::elevates(&sheet.view) => "a grant that elevates a session",
            Some(_) => "a grant",
        };
        return Err(Failure::usage(format_args!("{kind} holds for {most} seconds at most, not {ttl}"))
            .hint("choose a shorter --ttl"));
    }
    let now = moment::now();
    Ok(Approval {
        audience: sheet.view.gate.gate_id.clone(),
        exp: now.seconds().saturating_add(ttl),
        grant,
        iat: now.seconds(),
        issuer: args.name.clone(),
        jti: new_id(APPROVAL_PREFIX, now.0, *moment::random::<10>()?),
        request_id: doc.id.clone(),
        shown_sha256: sheet.sha256,
    })
}

/// Shows what is signed, and lets a person say yes to it.
fn confirm(args: &Args, doc: &ApprovalDoc, sheet: &Sheet, approval: &Approval, output: &Output) -> Result<(), Failure> {
    let asks = !args.yes;
    if asks && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage("nobody is here to confirm what is signed")
            .hint("look at it with `passgate approvals show`, then give --yes"));
    }
    let ttl = approval.exp.saturating_sub(approval.iat);
    let scope = approval.grant.as_ref().map_or_else(|| "this request, once".to_owned(), grant::words);
    let mut lines = sheet.lines(doc);
    lines.push(String::new());
    // Once more, where a long body cannot hide it.
    lines.extend(sheet.gist());
    lines.push(inert(&format!("{} approves {scope}, for {}.", args.name, span::length(ttl))));
    if !asks {
        lines.iter().for_each(|line| output.say(line));
        return Ok(());
    }
    let question = format!("{}\nType yes to sign: ", lines.join("\n"));
    let mut answer = String::new();
    let mut stderr = io::stderr().lock();
    let read = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let read = read.and_then(|()| io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        Ok(_) => Err(Failure::new(Exit::Unexpected, "not_confirmed", "nothing was signed: the answer was not yes")),
        Err(error) => Err(Failure::unexpected(format_args!("nothing was signed: no answer could be read: {error}"))),
    }
}

fn report(approval: &Approval, record: &str, after: &ApprovalDoc, output: &Output) -> Outcome {
    let expires = span::date(approval.exp);
    if output.is_json() {
        output.json(json!({ "request_id": after.id, "approval_id": approval.jti, "approver": approval.issuer,
            "expires_at": expires, "state": after.state, "approved": after.approved, "attestation_id": record }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[
        ("approved", after.id.clone()),
        ("approval", approval.jti.clone()),
        ("by", approval.issuer.clone()),
        ("until", expires),
        ("state", after.state.clone()),
        ("record", record.to_owned()),
    ])?;
    if after.state == "pending" {
        let (needs, count) = (people(&after.needs), after.approved);
        output.say(&inert(&format!("It needs {needs}; {count} approved so far.")));
    }
    Ok(Exit::Ok)
}
