//! What happens in the demonstration. Every step states the decision it expects; any other one ends it.

use passgate_core::attest::DecisionKind;
use passgate_passport::b64;
use passgate_passport::scope::Scope;
use serde_json::json;

use super::stage::{Actor, Expected, Stage};
use crate::credentials::Credentials;
use crate::exit::Failure;
use crate::request::{Request, RequestArgs};

/// Tries of a limit that has to be reached; far above every limit of the configuration.
const MAX_TRIES: u32 = 400;
/// Calls that the configuration lets one agent make in a minute.
const CALLS_PER_MINUTE: u32 = 60;

/// Plays all of it.
pub(crate) async fn play(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let agent = stage.hire("shopper", "Shopping agent", &["web:search", "payments:create", "mail:send"])?;
    permissions(stage, &agent).await?;
    let payment = spending(stage, &agent).await?;
    theft(stage, &agent, &payment).await?;
    revocation(stage, &agent).await?;
    flood(stage).await?;
    evidence(stage).await
}

async fn permissions(stage: &mut Stage<'_>, agent: &Actor) -> Result<(), Failure> {
    let search = stage.signed(agent, "GET", "/search?q=weather", None)?;
    stage.ask("searches, which its passport permits", &search, &allow()).await?;
    let delete = stage.signed(agent, "DELETE", "/records/7", None)?;
    stage
        .ask("deletes a record, which its passport does not permit", &delete, &deny("permission_scope_missing"))
        .await?;
    let letter = |domain: &str| json!({ "to": "kim", "domain": domain, "text": "hello" }).to_string();
    let mail = stage.signed(agent, "POST", "/email", Some(&letter("mail.partner.example")))?;
    stage.ask("sends mail to a partner's domain", &mail, &allow()).await?;
    let leak = stage.signed(agent, "POST", "/email", Some(&letter("evil.example.net")))?;
    stage.ask("sends mail to a domain that is not on the list", &leak, &deny("domain_not_allowed")).await?;
    Ok(())
}

/// Returns an allowed payment as it was sent.
async fn spending(stage: &mut Stage<'_>, agent: &Actor) -> Result<Request, Failure> {
    let pay = |usd: u32| json!({ "amount_usd": usd, "to": "shop" }).to_string();
    let small = stage.signed(agent, "POST", "/pay", Some(&pay(20)))?;
    stage.ask("pays $20", &small, &allow()).await?;
    let large = stage.signed(agent, "POST", "/pay", Some(&pay(75)))?;
    let step_up = Expected { decision: DecisionKind::StepUp, reason: Some("approval_required") };
    stage.ask("pays $75, and more than $50 needs a person", &large, &step_up).await?;
    let huge = stage.signed(agent, "POST", "/pay", Some(&pay(500)))?;
    stage.ask("pays $500 at once", &huge, &deny("spend_per_transaction_exceeded")).await?;
    // A loop, because at midnight (UTC) the day's budget is whole again.
    let mut paid = 0;
    loop {
        let next = stage.signed(agent, "POST", "/pay", Some(&pay(50)))?;
        let seen = stage.look(&next).await?;
        match seen.decision() {
            Some(DecisionKind::Allow) if paid < MAX_TRIES => paid += 1,
            _ => {
                let what = format!(
                    "the agent pays $50 again and again: {paid} times, then another would exceed the day's $150"
                );
                stage.tell(&what, &next, &seen, &deny("spend_daily_exceeded"))?;
                return Ok(small);
            }
        }
    }
}

async fn theft(stage: &mut Stage<'_>, agent: &Actor, payment: &Request) -> Result<(), Failure> {
    stage.ask("is overheard, and its $20 payment sent again", payment, &deny("nonce_replayed")).await?;
    let altered = Request { body: br#"{"amount_usd":50,"to":"thief"}"#.to_vec(), ..payment.clone() };
    stage
        .ask(
            "is overheard, and its payment sent with another amount and payee",
            &altered,
            &deny("content_digest_mismatch"),
        )
        .await?;
    let forged = Stage::with(agent, forge(&agent.credentials)?);
    let request = stage.signed(&forged, "DELETE", "/records/7", None)?;
    stage.ask("edits its own passport to permit everything", &request, &deny("passport_signature_invalid")).await?;
    Ok(())
}

/// The same passport with other permissions under the old signature.
fn forge(genuine: &Credentials) -> Result<Credentials, Failure> {
    let broken = || Failure::unexpected("the passport has no three parts");
    let (header, rest) = genuine.passport.split_once('.').ok_or_else(broken)?;
    let (payload, signature) = rest.split_once('.').ok_or_else(broken)?;
    let payload = b64::decode(payload).map_err(Failure::unexpected)?;
    let raised = String::from_utf8_lossy(&payload).replace("\"web:search\"", "\"*\"");
    let passport = format!("{header}.{}.{signature}", b64::encode(raised.as_bytes()));
    Ok(Credentials { passport, key: super::stage::copy_key(&genuine.key)? })
}

async fn revocation(stage: &mut Stage<'_>, agent: &Actor) -> Result<(), Failure> {
    let before = stage.signed(agent, "GET", "/search?q=news", None)?;
    stage.ask("searches again", &before, &allow()).await?;
    stage.revoke(agent, "the operator revokes its passport").await?;
    let after = stage.signed(agent, "GET", "/search?q=news", None)?;
    stage.ask("searches once more, with the revoked passport", &after, &deny("revoked")).await?;
    Ok(())
}

async fn flood(stage: &mut Stage<'_>) -> Result<(), Failure> {
    let crawler = stage.hire("crawler", "Crawler", &["web:search"])?;
    let mut allowed = 0;
    loop {
        let next = stage.signed(&crawler, "GET", "/search?q=more", None)?;
        let seen = stage.look(&next).await?;
        match seen.decision() {
            Some(DecisionKind::Allow) if allowed < MAX_TRIES => allowed += 1,
            _ => {
                let what = format!("another agent searches as fast as it can: {allowed} times, then it has to wait");
                stage.tell(&what, &next, &seen, &deny("rate_limit_exceeded"))?;
                break;
            }
        }
    }
    if allowed < CALLS_PER_MINUTE {
        return Err(Failure::unexpected(format_args!(
            "only {allowed} of {CALLS_PER_MINUTE} calls a minute were allowed"
        )));
    }
    Ok(())
}

async fn evidence(stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.check_deeds()?;
    let export = stage.export().await?;
    stage.verify_ledger(&export)?;
    stage.find_flipped_byte(&export)
}

const fn allow() -> Expected {
    Expected { decision: DecisionKind::Allow, reason: None }
}

const fn deny(reason: &'static str) -> Expected {
    Expected { decision: DecisionKind::Deny, reason: Some(reason) }
}

/// The request as `call` makes it from its flags.
pub(super) fn request(url: &str, method: &str, body: Option<&str>) -> Result<Request, Failure> {
    let args = RequestArgs { method: Some(method.to_owned()), data: body.map(str::to_owned), headers: Vec::new() };
    Request::from_args(url, &args)
}

pub(super) fn scopes(permissions: &[&str]) -> Result<Vec<Scope>, Failure> {
    permissions.iter().map(|text| Scope::parse(text).map_err(Failure::unexpected)).collect()
}
