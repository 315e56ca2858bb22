//! `passport verify`: a passport, or a chain of them, against the trust store at hand.

use passgate_core::attest::StatusListRecord;
use passgate_core::reason::Class;
use passgate_host::config::Loaded;
use passgate_host::control::Revocation;
use passgate_host::status_lists;
use passgate_passport::delegation::{VerifiedChain, verify_chain};
use passgate_passport::passport::VerifyContext;
use passgate_passport::scope::Scope;
use serde_json::{Value, json};

use super::invalid;
use super::narrowing::{self, limit_rows, times};
use crate::access::{self, GateArgs, RevocationCheck};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Output, Paint};
use crate::{input, limits, moment, span};

/// Arguments of `passport verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A passport or a chain, a file with one or with credentials, or - for stdin
    token: String,
    #[command(flatten)]
    gate: GateArgs,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let token = input::passport(&args.token)?;
    let loaded = context.load()?;
    let verified = verify(&token, &loaded)?;
    let listed = status(&verified, &loaded)?;
    let subjects = Revocation::all_of(verified.links());
    let revocation = access::revocation(args.gate.named(context)?, Some(&loaded), &subjects).await?;
    if let Some(code) = revocation.denied() {
        return Err(Failure::new(Exit::Invalid, code, revocation));
    }
    let found = Found { verified, revocation, listed };
    let output = &context.output;
    if output.is_json() {
        output.json(found.to_json(&loaded.gate.id))?
    } else {
        found.print(&loaded.gate.id, output)?
    }
    Ok(Exit::Ok)
}

/// Everything a gate checks of a passport or a chain without state.
fn verify(token: &str, loaded: &Loaded) -> Result<VerifiedChain, Failure> {
    let gate = &loaded.gate;
    let now = moment::now().seconds();
    let verify = VerifyContext { now, leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    let verified = verify_chain(token, &gate.trust, &verify).map_err(|error| invalid(&error))?;
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

/// The status list that speaks for the root, where the gate checks those of its issuer.
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

/// What was found out.
struct Found {
    verified: VerifiedChain,
    revocation: RevocationCheck,
    listed: Option<StatusListRecord>,
}

impl Found {
    fn not_checked(&self) -> Vec<&'static str> {
        let possession = "possession of the passport's key (that takes a request)";
        let list = self.verified.root().claims.status_list.is_some() && self.listed.is_none();
        let revocation = self.revocation == RevocationCheck::NotChecked;
        [
            Some(possession),
            list.then_some("the published status list"),
            revocation.then_some("revocation (no gateway runs, and no store was found)"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn permissions(&self) -> Vec<&str> {
        self.verified.permissions().iter().map(Scope::as_str).collect()
    }

    fn to_json(&self, gate_id: &str) -> Value {
        let (verified, leaf) = (&self.verified, &self.verified.leaf().claims);
        let chain: Vec<Value> = narrowing::steps(verified.links()).iter().map(|step| step.to_json("narrows")).collect();
        json!({ "valid": true, "gate_id": gate_id, "passport_id": leaf.jti, "agent_id": leaf.sub,
            "agent_name": leaf.agent_name, "issuer": verified.root_issuer(), "trust_tier": verified.tier().as_str(),
            "key_thumbprint": leaf.cnf_key.thumbprint(), "permissions": self.permissions(),
            "expires_at": span::date(verified.expires_at()), "audience": verified.audience(),
            "constraints": limits::to_json(verified.constraints()), "depth_left": verified.depth_left(),
            "chain": chain, "revocation": self.revocation.to_string(), "status_list": self.listed,
            "not_checked": self.not_checked() })
    }

    fn print(&self, gate_id: &str, output: &Output) -> Result<(), Failure> {
        let (verified, leaf) = (&self.verified, &self.verified.leaf().claims);
        output.data(&format!("{} at gate {gate_id}", output.paint(Paint::Good, "valid")))?;
        if verified.delegations() > 0 {
            for (index, step) in narrowing::steps(verified.links()).iter().enumerate() {
                step.print(index, "narrows", output)?;
            }
            output.data("in all, the last of them has")?;
        }
        let mut rows = vec![
            ("passport id", leaf.jti.clone()),
            ("agent", self.agent()),
            ("issuer", verified.root_issuer().to_owned()),
            ("tier", verified.tier().to_string()),
            ("permissions", self.permissions().join(" ")),
        ];
        rows.extend(limit_rows(verified.constraints()).map(|row| ("limit", row)));
        rows.extend(verified.audience().map(|gates| ("audience", gates.join(" "))));
        rows.extend(verified.leaf().delegation.as_ref().map(|delegation| ("handed on", times(delegation.depth_left))));
        rows.push(("expires", span::date(verified.expires_at())));
        rows.push(("revocation", self.revocation.to_string()));
        rows.extend(
            self.listed
                .as_ref()
                .map(|list| ("status list", format!("{}, {} s old: {}", list.status, list.age_seconds, list.uri))),
        );
        output.members(&rows)?;
        self.not_checked().iter().try_for_each(|line| output.data(&format!("not checked: {line}")))
    }

    /// A name in a delegated passport is not the issuer's word, so it stands with the passport alone.
    fn agent(&self) -> String {
        let leaf = &self.verified.leaf().claims;
        match &leaf.agent_name {
            Some(name) if self.verified.delegations() == 0 => format!("{} ({name})", leaf.sub),
            _ => leaf.sub.clone(),
        }
    }
}
