//! Possession proven with DPoP.

use anyhow::Result;
use serde_json::json;

use super::policy::{SCOUT, ask, pay, plain, policy, scout, search};
use super::{Draft, Recipe};
use crate::agent::{ChainDraft, NOW, PassportDraft, RequestDraft, edited, without};
use crate::case::Request;

const COURIER: u8 = 12;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = forms()?;
    recipes.push(("dpop_changed_deny", changes()?));
    recipes.extend(moments()?);
    Ok(recipes)
}

fn forms() -> Result<Vec<Recipe>> {
    let below = ChainDraft::new("agent_scout", SCOUT, &["web:*"], &json!({}))?.hand_on(
        "agent_below",
        41,
        &["web:*"],
        &json!({}),
    )?;
    let mut covering = search()?.header("x-intent", "buy bread").dpop();
    covering.cover = vec!["x-intent".to_owned()];
    let good = Draft::new("A DPoP proof is as good as a message signature.", plain()?)
        .send(search()?.dpop(), None)?
        .send(ask("GET", "/search")?.dpop(), None)?
        .send(pay("1")?.dpop(), None)?
        .send(covering, None)?
        .send(below.ask("GET", "/search?q=bread").dpop(), None)?;
    let (signed, proven) = (search()?.sign()?, search()?.dpop().sign()?);
    let mut both = signed.clone();
    both.headers.extend(proven.headers.iter().filter(|(name, _)| name == "dpop").cloned());
    let half = without(both.clone(), "signature");
    let mut twice = proven.clone();
    twice.headers.extend(proven.headers.iter().filter(|(name, _)| name == "dpop").cloned());
    let ambiguous = Draft::new("A request has one proof.", plain()?)
        .wire(both, Some("proof_ambiguous"))?
        .wire(half, Some("proof_ambiguous"))?
        .wire(twice, Some("proof_malformed"))?
        .wire(edited(proven.clone(), "dpop", ".", ".."), Some("proof_malformed"))?
        .wire(edited(proven, "dpop", "ey", " ey"), Some("proof_malformed"))?;
    let stolen = RequestDraft::new("GET", "/search?q=bread", &scout()?.issue()?, COURIER).dpop();
    let stolen =
        Draft::new("The key in the proof is the passport's.", plain()?).send(stolen, Some("proof_key_mismatch"))?;
    Ok(vec![("dpop_proof", good), ("dpop_ambiguous_deny", ambiguous), ("dpop_key_mismatch_deny", stolen)])
}

fn changes() -> Result<Draft> {
    let search = ask("GET", "/search?q=bread")?.dpop().sign()?;
    let paid = pay("1")?.dpop().sign()?;
    let target = |request: &Request, target: &str| Request { target: target.to_owned(), ..request.clone() };
    let other_passport = PassportDraft::new("agent_scout", SCOUT, &["web:*"])?.issue()?;
    let mut swapped = search.clone();
    for (name, value) in &mut swapped.headers {
        if name == "agent-passport" {
            other_passport.clone_into(value);
        }
    }
    let mut typed = search.clone();
    typed.headers.push(("content-type".to_owned(), "text/plain".to_owned()));
    let mut with_body = search.clone();
    "{}".clone_into(&mut with_body.body);
    Draft::new("A request changed after it was proven is denied, with what was changed.", plain()?)
        .wire(Request { method: "PUT".to_owned(), ..search.clone() }, Some("proof_method_mismatch"))?
        .wire(target(&search, "/Search?q=bread"), Some("proof_target_mismatch"))?
        .wire(target(&search, "/search?q=Bread"), Some("proof_target_mismatch"))?
        .wire(target(&search, "/search"), Some("proof_target_mismatch"))?
        .wire(target(&paid, "/pay?draft=1"), Some("proof_coverage"))?
        .wire(swapped, Some("proof_passport_mismatch"))?
        .wire(typed, Some("proof_coverage"))?
        .wire(with_body, Some("content_digest_missing"))?
        .wire(edited(paid.clone(), "content-type", "json", "x-json"), Some("proof_field_mismatch"))?
        .wire(Request { body: paid.body.replace('1', "2"), ..paid.clone() }, Some("content_digest_mismatch"))?
        .wire(Request { body: String::new(), ..paid }, Some("content_digest_mismatch"))
}

fn moments() -> Result<Vec<Recipe>> {
    let late = search()?.dpop().sign()?;
    let replay = Draft::new("A DPoP proof is accepted once, at any time.", policy(json!({}))?)
        .wire(late.clone(), None)?
        .wire(late.clone(), Some("nonce_replayed"))?
        .at(300)
        .wire(late.clone(), Some("nonce_replayed"))?
        .at(301)
        .wire(late, Some("proof_expired"))?;
    let window = Draft::new("A DPoP proof counts for five minutes.", plain()?)
        .at(-31)
        .wire(search()?.dpop().nonce("nonce-of-dpop-window-1").sign()?, Some("proof_in_future"))?
        .at(-30)
        .wire(search()?.dpop().nonce("nonce-of-dpop-window-1").sign()?, None)?
        .at(300)
        .wire(search()?.dpop().nonce("nonce-of-dpop-window-2").sign()?, None)?
        .at(301)
        .wire(search()?.dpop().nonce("nonce-of-dpop-window-3").sign()?, Some("proof_expired"))?;
    let apart = RequestDraft { created: NOW, ..search()? };
    let forms = Draft::new("A nonce of one form says nothing of the other's.", plain()?)
        .wire(apart.clone().sign()?, None)?
        .wire(apart.dpop().sign()?, None)?;
    Ok(vec![("dpop_replay_deny", replay), ("dpop_window_deny", window), ("dpop_nonce_apart", forms)])
}
