//! `passport inspect`: what a passport or a chain says.

use passgate_passport::b64;
use passgate_passport::delegation::{Link, SEPARATOR};
use serde_json::{Value, json};

use super::{narrowing, unchecked};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::{inert, inert_json};
use crate::output::Output;
use crate::{input, span};

/// Arguments of `passport inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A passport or a chain, a file with one or with credentials, or - for stdin
    token: String,
}

/// A passport's two objects as they stand.
struct Parts {
    header: Value,
    claims: Value,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let text = input::passport(&args.token)?;
    let links = unchecked(&text)?;
    let parts = text.split(SEPARATOR).map(Parts::of).collect::<Result<Vec<_>, _>>()?;
    let output = &context.output;
    if output.is_json() {
        output.json(to_json(links.iter(), &parts))?;
        return Ok(Exit::Ok);
    }
    output.data("signature: not checked")?;
    output.data("validity, issuer and revocation: not checked (see `passgate passport verify`)")?;
    if links.count() > 1 {
        output.data("whether each passport only narrows: not checked")?;
        for (index, step) in narrowing::steps(links.iter()).iter().enumerate() {
            step.print(index, "differs", output)?;
        }
    }
    links.iter().zip(&parts).try_for_each(|(link, parts)| parts.print(link, output))?;
    Ok(Exit::Ok)
}

/// Header and claims are those of the last passport; the chain has all of them.
fn to_json<'a>(links: impl Iterator<Item = &'a Link>, parts: &[Parts]) -> Value {
    let steps = narrowing::steps(links);
    let shown = steps.iter().zip(parts).map(|(step, parts)| {
        let mut members = step.to_json("differs");
        if let Value::Object(members) = &mut members {
            members.insert("header".to_owned(), parts.header.clone());
            members.insert("claims".to_owned(), parts.claims.clone());
        }
        members
    });
    let chain: Vec<Value> = shown.collect();
    let leaf = parts.last();
    json!({ "signature": "not_checked", "header": leaf.map(|parts| &parts.header),
        "claims": leaf.map(|parts| &parts.claims), "chain": chain })
}

impl Parts {
    /// The parts of a token that the reader has accepted already.
    fn of(token: &str) -> Result<Self, Failure> {
        let mut parts = token.split('.').map(object);
        match (parts.next(), parts.next()) {
            (Some(header), Some(claims)) => Ok(Self { header: header?, claims: claims? }),
            _ => Err(Failure::unexpected("the passport has no header and payload")),
        }
    }

    fn print(&self, link: &Link, output: &Output) -> Result<(), Failure> {
        let claims = &link.claims;
        output.data(&format!("issued {}, expires {}", span::date(claims.iat), span::date(claims.exp)))?;
        if let Some(status) = &claims.status_list {
            output.data(&format!("status: entry {} of {} (not looked at)", status.idx, inert(&status.uri)))?;
        }
        output.data(&format!("header {}", inert_json(&format!("{:#}", self.header))))?;
        output.data(&format!("claims {}", inert_json(&format!("{:#}", self.claims))))
    }
}

fn object(part: &str) -> Result<Value, Failure> {
    let bytes = b64::decode(part).map_err(Failure::unexpected)?;
    serde_json::from_slice(&bytes).map_err(Failure::unexpected)
}
