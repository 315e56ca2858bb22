//! Proof of possession: what it covers, when it counts, and that it counts once.

use anyhow::Result;
use serde_json::json;

use super::policy::{SCOUT, ask, pay, plain, policy, scout, search};
use super::{Draft, Recipe};
use crate::agent::{NOW, PassportDraft, RequestDraft, edited, without};
use crate::case::Request;

const COURIER: u8 = 12;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = forms()?;
    recipes.extend(changes()?);
    recipes.extend(times()?);
    recipes.extend(replays()?);
    Ok(recipes)
}

fn forms() -> Result<Vec<Recipe>> {
    let good = search()?.sign()?;
    let missing = Draft::new("A passport alone is not enough.", plain()?)
        .wire(search()?.unsigned(), Some("proof_missing"))?
        .wire(without(good.clone(), "signature"), Some("proof_missing"))?
        .wire(without(good.clone(), "signature-input"), Some("proof_missing"))?;
    let input = |from: &str, to: &str| edited(good.clone(), "signature-input", from, to);
    let malformed = Draft::new("A proof that is not in its one accepted form is malformed.", plain()?)
        .wire(input("sig1=", "sig2="), Some("proof_malformed"))?
        .wire(input("sig1=", "sig1 = "), Some("proof_malformed"))?
        .wire(input("created=1", "created=x1"), Some("proof_malformed"))?
        .wire(input(";tag=\"passgate\"", ";tag=\"web-bot-auth\""), Some("proof_malformed"))?
        .wire(input("alg=\"ed25519\"", "alg=\"hmac-sha256\""), Some("proof_malformed"))?
        .wire(input("nonce-of-no-step-0001", "short"), Some("proof_malformed"))?
        .wire(input(";tag=", ";extra=1;tag="), Some("proof_malformed"))?
        .wire(edited(good.clone(), "signature", ":", ""), Some("proof_malformed"))?
        .wire(edited(good.clone(), "signature", "sig1=:", "sig1=:AA"), Some("proof_malformed"))?;
    let bread = pay("1")?.sign()?;
    let uncovered = |name: &str| edited(bread.clone(), "signature-input", &format!("\"{name}\" "), "");
    let coverage = Draft::new("A proof covers method, target, passport, body and its type.", plain()?)
        .wire(uncovered("@method"), Some("proof_coverage"))?
        .wire(uncovered("@target-uri"), Some("proof_coverage"))?
        .wire(uncovered("agent-passport"), Some("proof_coverage"))?
        .wire(uncovered("content-digest"), Some("proof_coverage"))?
        .wire(edited(bread.clone(), "signature-input", " \"content-type\"", ""), Some("proof_coverage"))?
        .wire(input("\"@method\"", "\"@method\";req"), Some("proof_coverage"))?;
    let mut more = search()?.header("x-intent", "buy bread").nonce("nonce-covering-more-0");
    more.cover = ["@authority", "@scheme", "@path", "@query", "x-intent"].map(str::to_owned).to_vec();
    let covers_more = Draft::new("A proof may cover more than it must.", plain()?).wire(more.sign()?, None)?;
    let stolen = RequestDraft::new("GET", "/search?q=bread", &scout()?.issue()?, COURIER);
    let stolen =
        Draft::new("Somebody else's passport is of no use.", plain()?).send(stolen, Some("proof_key_mismatch"))?;
    Ok(vec![
        ("proof_missing_deny", missing),
        ("proof_malformed_deny", malformed),
        ("proof_coverage_deny", coverage),
        ("proof_covers_more", covers_more),
        ("proof_key_mismatch_deny", stolen),
    ])
}

fn changes() -> Result<Vec<Recipe>> {
    let invalid = Some("proof_signature_invalid");
    let good = ask("GET", "/search?q=bread&n=1")?.header("x-intent", "buy").sign()?;
    let target = |target: &str| Request { target: target.to_owned(), ..good.clone() };
    let mut changed = Draft::new("A request changed after signing is denied.", plain()?)
        .wire(Request { method: "POST".to_owned(), ..good.clone() }, invalid)?;
    for other in [
        "/search?n=1&q=bread",
        "/search?q=bread&n=2",
        "/search?q=bread&n=1&n=1",
        "/search",
        "/search?q=bread&n=1&",
        "/Search?q=bread&n=1",
    ] {
        changed = changed.wire(target(other), invalid)?;
    }
    let nonce = edited(good.clone(), "signature-input", "nonce-of-no-step-0001", "nonce-of-no-step-0002");
    let changed = changed.wire(nonce, invalid)?;
    let uncovered = Draft::new("A field the proof does not cover may change, and nothing is decided by it.", plain()?)
        .wire(edited(good.clone(), "x-intent", "buy", "sell"), None)?;
    let paid = pay("1")?.sign()?;
    let body = |body: &str| Request { body: body.to_owned(), ..paid.clone() };
    let digest = edited(paid.clone(), "content-digest", "sha-256=:", "sha-256=:AA");
    let bodies = Draft::new("The digest is computed over the body as received.", plain()?)
        .wire(body("{\"amount\":1000}"), Some("content_digest_mismatch"))?
        .wire(body("{\"amount\":1} "), Some("content_digest_mismatch"))?
        .wire(body(""), Some("content_digest_mismatch"))?
        .wire(digest, invalid)?
        .wire(without(paid, "content-digest"), Some("content_digest_missing"))?;
    let added = Draft::new("A body added to a request that was signed without one is denied.", plain()?)
        .wire(Request { body: "{}".to_owned(), ..search()?.sign()? }, Some("content_digest_missing"))?;
    Ok(vec![
        ("proof_request_changed_deny", changed),
        ("proof_uncovered_field", uncovered),
        ("content_digest_deny", bodies),
        ("content_digest_absent_deny", added),
    ])
}

fn times() -> Result<Vec<Recipe>> {
    let made = |created: i64, nonce: u32| -> Result<Request> {
        search()?.created(NOW + created).nonce(&format!("nonce-made-{nonce:08}")).sign()
    };
    let window = Draft::new(
        "A proof counts from 30 seconds before it was made until 300 seconds after, both included.",
        plain()?,
    )
    .wire(made(-300, 1)?, None)?
    .wire(made(-301, 2)?, Some("proof_expired"))?
    .wire(made(30, 3)?, None)?
    .wire(made(31, 4)?, Some("proof_in_future"))?;
    let mut short = search()?;
    short.expires = Some(NOW + 10);
    let first = short.clone().nonce("nonce-short-00000001").sign()?;
    let second = short.nonce("nonce-short-00000002").sign()?;
    let expires = Draft::new("A proof may end earlier than the window, that second included.", plain()?)
        .at(10)
        .wire(first, None)?
        .at(11)
        .wire(second, Some("proof_expired"))?;
    Ok(vec![("proof_window_deny", window), ("proof_expires_deny", expires)])
}

fn replays() -> Result<Vec<Recipe>> {
    let replayed = Some("nonce_replayed");
    let once = search()?.sign()?;
    let replay = Draft::new("The same request counts once, at any moment of its window.", plain()?)
        .wire(once.clone(), None)?
        .wire(once.clone(), replayed)?
        .at(299)
        .wire(once.clone(), replayed)?
        .at(300)
        .wire(once.clone(), replayed)?;
    let late = Draft::new("After its window a request is too old, used or not.", plain()?)
        .wire(once.clone(), None)?
        .at(301)
        .wire(once.clone(), Some("proof_expired"))?;
    let courier = PassportDraft::new("agent_courier", COURIER, &["web:*"])?.issue()?;
    let courier = RequestDraft::new("GET", "/search?q=bread", &courier, COURIER).sign()?;
    let two_agents =
        Draft::new("Two agents may use the same nonce.", plain()?).wire(once.clone(), None)?.wire(courier, None)?;
    let mut renewed = scout()?;
    renewed.claims.exp -= 1;
    let renewed = RequestDraft::new("GET", "/search?q=bread", &renewed.issue()?, SCOUT).sign()?;
    let two_passports = Draft::new("A nonce belongs to the key, not to the passport.", plain()?)
        .wire(once.clone(), None)?
        .wire(renewed, replayed)?;
    let other = ask("GET", "/search?q=butter")?.sign()?;
    let other_request = Draft::new("A nonce is spent for every request of the key.", plain()?)
        .wire(once.clone(), None)?
        .wire(other, replayed)?;
    let denied = ask("DELETE", "/records/7")?.sign()?;
    let burnt = Draft::new("A denied request spends its nonce.", plain()?)
        .wire(denied.clone(), Some("permission_scope_missing"))?
        .wire(denied, replayed)?;
    let limited = policy(json!({ "rate_limits": { "requests_per_minute": 2 } }))?;
    let no_token = Draft::new("A replay takes no rate token from the agent it was captured from.", limited)
        .wire(once.clone(), None)?
        .wire(once.clone(), replayed)?
        .wire(once.clone(), replayed)?
        .send(search()?, None)?;
    let set_back =
        Draft::new("When the clock is set back, proofs whose nonces may be forgotten are refused.", plain()?)
            .wire(once.clone(), None)?
            .at(1000)
            .send(search()?, None)?
            .send(search()?, None)?
            .at(100)
            .wire(once, Some("replay_fence"))?;
    Ok(vec![
        ("replay_deny", replay),
        ("replay_late_deny", late),
        ("nonce_of_two_agents", two_agents),
        ("nonce_of_two_passports_deny", two_passports),
        ("nonce_of_other_request_deny", other_request),
        ("nonce_of_denied_deny", burnt),
        ("replay_takes_no_token", no_token),
        ("replay_fence_deny", set_back),
    ])
}
