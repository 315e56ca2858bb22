//! `passport verify`: a passport against the trust store at hand.

use passgate_core::attest::StatusListRecord;
use passgate_core::reason::Class;
use passgate_host::config::Loaded;
use passgate_host::control::Revocation;
use passgate_host::status_lists;
use passgate_passport::delegation::{self, VerifiedChain};
use passgate_passport::passport::VerifyContext;
use serde_json::json;

use crate::access::{self, GateArgs, RevocationCheck};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;
use crate::output::Paint;
use crate::{input, moment, span};

/// Arguments of `passport verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A passport, a file with one or with credentials, or - for stdin
    token: String,
    #[command(flatten)]
    gate: GateArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let token = input::passport(&args.token)?;
    let loaded = context.load()?;
    let verified = verify(&token, &loaded)?;
    let listed = status(&verified, &loaded)?;
    let revocation = access::revocation(args.gate.named(context)?, &loaded, &Revocation::all_of(&verified)).await?;
    if matches!(revocation, RevocationCheck::Revoked { .. }) {
        return Err(Failure::new(Exit::Invalid, "revoked", revocation));
    }
    report(&verified, &revocation, listed.as_ref(), &loaded, context)
}

/// Everything a gate checks of a passport without state.
fn verify(token: &str, loaded: &Loaded) -> Result<VerifiedChain, Failure> {
    let gate = &loaded.gate;
    let now = moment::now().seconds();
    let verify = VerifyContext { now, leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    let verified = delegation::verify_chain(token, &gate.trust, &verify)
        .map_err(|error| Failure::new(Exit::Invalid, error.code(), &error))?;
    if verified.tier() < gate.level.minimum_tier() {
        let message = format!(
            "the passport has tier {}, and the gate {} is of level {}",
            verified.tier(),
            gate.id,
            gate.level.as_str()
        );
        return Err(Failure::new(Exit::Invalid, "tier_insufficient", message));
    }
    Ok(verified)
}

/// The status list that speaks for it, where the gate checks those of its issuer.
fn status(verified: &VerifiedChain, loaded: &Loaded) -> Result<Option<StatusListRecord>, Failure> {
    let now = moment::now();
    let (gate, _) = status_lists::gate_at(loaded, now);
    gate.status_lists.check(&verified.root().claims, now).map_err(|refusal| {
        let exit = if refusal.reason.class() == Class::Fault { Exit::Unreachable } else { Exit::Invalid };
        let failure =
            Failure::new(exit, refusal.reason.code(), format_args!("{} ({})", refusal.reason.title(), refusal.detail));
        if exit == Exit::Unreachable { failure.hint("see `passgate doctor` for the lists at hand") } else { failure }
    })
}

fn report(
    verified: &VerifiedChain,
    revocation: &RevocationCheck,
    listed: Option<&StatusListRecord>,
    loaded: &Loaded,
    context: &Context,
) -> Outcome {
    let claims = &verified.leaf().claims;
    let mut not_checked = vec!["possession of the passport's key (that takes a request)".to_owned()];
    if claims.status_list.is_some() && listed.is_none() {
        not_checked.push("the published status list".to_owned());
    }
    if *revocation == RevocationCheck::NotChecked {
        not_checked.push("revocation (no gateway runs, and no store was found)".to_owned());
    }
    let permissions: Vec<&str> = claims.permissions.iter().map(passgate_passport::scope::Scope::as_str).collect();
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "valid": true, "gate_id": loaded.gate.id, "passport_id": claims.jti, "agent_id": claims.sub,
            "agent_name": claims.agent_name, "issuer": verified.root_issuer(), "trust_tier": verified.tier().as_str(),
            "key_thumbprint": claims.cnf_key.thumbprint(), "permissions": permissions, "expires_at": span::date(claims.exp),
            "revocation": revocation.to_string(), "status_list": listed, "not_checked": not_checked }))?;
        return Ok(Exit::Ok);
    }
    output.data(&format!("{} at gate {}", output.paint(Paint::Good, "valid"), loaded.gate.id))?;
    output.members(&[
        ("passport id", claims.jti.clone()),
        ("agent", agent(verified)),
        ("issuer", verified.root_issuer().to_owned()),
        ("tier", verified.tier().to_string()),
        ("permissions", permissions.join(" ")),
        ("expires", span::date(claims.exp)),
        ("revocation", revocation.to_string()),
    ])?;
    if let Some(list) = listed {
        let text = format!("{}, {} s old: {}", list.status, list.age_seconds, list.uri);
        output.members(&[("status list", text)])?;
    }
    not_checked.iter().try_for_each(|line| output.data(&format!("not checked: {}", inert(line))))?;
    Ok(Exit::Ok)
}

fn agent(verified: &VerifiedChain) -> String {
    let claims = &verified.leaf().claims;
    match &claims.agent_name {
        Some(name) => format!("{} ({name})", claims.sub),
        None => claims.sub.clone(),
    }
}
