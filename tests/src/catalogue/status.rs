//! Status lists: what they say of a passport, and how old they may be.

use anyhow::Result;
use passgate_api::bundle::{Bundle, StatusListDoc};
use passgate_passport::b64;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::status::{NewStatusList, StatusRef, issue};
use serde_json::json;

use super::policy::{SCOUT, plain, scout, search};
use super::{Draft, Recipe};
use crate::agent::{ISSUER, ISSUER_SEED, NOW, RequestDraft, key, without};

const URI: &str = "https://issuer.acme.example/status/1";
/// How old a list may be in these cases, in seconds.
const MAX_AGE_SECONDS: u32 = 300;
/// When the lists of these cases are issued: before the gates start.
const ISSUED_AT: i64 = NOW - 100;
const STRANGER_SEED: u8 = 99;

/// A gate that checks the lists of the issuer.
fn checking() -> Result<Bundle> {
    let mut bundle = plain()?;
    for issuer in &mut bundle.issuers {
        issuer.status_list = Some(StatusListDoc { max_age_seconds: MAX_AGE_SECONDS });
    }
    Ok(bundle)
}

/// 64 entries, of which these are revoked.
fn list(revoked: &[u64]) -> NewStatusList {
    NewStatusList {
        iss: ISSUER.to_owned(),
        uri: URI.to_owned(),
        iat: ISSUED_AT,
        exp: None,
        ttl_seconds: Some(60),
        entries: 64,
        revoked: revoked.iter().copied().collect(),
    }
}

/// A list of two bits an entry: valid, revoked, suspended, and a value that means nothing here.
fn wide_list() -> String {
    let stream = [0x78, 0xda, 0x7b, 0x02, 0x00, 0x00, 0xe5, 0x00, 0xe5];
    let claims = json!({ "iat": ISSUED_AT, "status_list": { "bits": 2, "lst": b64::encode(&stream) }, "sub": URI });
    jws::sign(&key(ISSUER_SEED), TokenType::StatusList, claims.to_string().as_bytes())
}

fn sign(list: &NewStatusList) -> Result<String> {
    Ok(issue(&key(ISSUER_SEED), list)?)
}

/// A search under a passport with this entry.
fn entry(idx: u64) -> Result<RequestDraft> {
    let mut draft = scout()?;
    draft.claims.status_list = Some(StatusRef { idx, uri: URI.to_owned() });
    Ok(RequestDraft::new("GET", "/search?q=bread", &draft.issue()?, SCOUT))
}

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let valid =
        Draft::new("A passport that a recent list calls valid is used, and the list's age recorded.", checking()?)
            .list(URI, sign(&list(&[3]))?)
            .send(entry(4)?, None)?
            .at(60)
            .send(entry(4)?, None)?;
    let revoked = Draft::new("A passport that the list calls revoked is denied.", checking()?)
        .list(URI, sign(&list(&[3]))?)
        .send(entry(3)?, Some("status_revoked"))?;
    let others =
        Draft::new("Only `valid` is valid: neither suspended, nor an unknown value, nor no entry.", checking()?)
            .list(URI, wide_list())
            .send(entry(0)?, None)?
            .send(entry(1)?, Some("status_revoked"))?
            .send(entry(2)?, Some("status_suspended"))?
            .send(entry(3)?, Some("status_unknown"))?
            .send(entry(4)?, Some("status_unknown"))?;
    let missing = Draft::new("Where lists are checked, a passport has to name one.", checking()?)
        .list(URI, sign(&list(&[]))?)
        .send(search()?, Some("status_missing"))?;
    let unauthenticated = Draft::new("Who does not prove possession learns nothing of the status.", checking()?)
        .list(URI, sign(&list(&[3]))?)
        .wire(without(entry(3)?.sign()?, "signature"), Some("proof_missing"))?;
    let mut recipes = vec![
        ("status_list_valid", valid),
        ("status_list_revoked_deny", revoked),
        ("status_list_values_deny", others),
        ("status_list_missing_deny", missing),
        ("status_list_unproven_deny", unauthenticated),
    ];
    recipes.extend(ages()?);
    recipes.extend(absent()?);
    Ok(recipes)
}

fn ages() -> Result<Vec<Recipe>> {
    let last = i64::from(MAX_AGE_SECONDS) + ISSUED_AT - NOW;
    let stale =
        Draft::new("A list counts until it is older than the policy allows; then the gate refuses.", checking()?)
            .list(URI, sign(&list(&[3]))?)
            .at(last)
            .send(entry(4)?, None)?
            .at(last + 1)
            .send(entry(4)?, Some("status_list_stale"))?
            .send(entry(3)?, Some("status_list_stale"))?;
    let short = NewStatusList { exp: Some(NOW + 50), ..list(&[]) };
    let expired = Draft::new("A list that ends earlier counts no longer than it says itself.", checking()?)
        .list(URI, sign(&short)?)
        .at(49)
        .send(entry(4)?, None)?
        .at(50)
        .send(entry(4)?, Some("status_list_stale"))?;
    Ok(vec![("status_list_stale_deny", stale), ("status_list_expired_deny", expired)])
}

fn absent() -> Result<Vec<Recipe>> {
    let none = Draft::new("Without the list that a passport names, the gate refuses.", checking()?)
        .list(
            "https://issuer.acme.example/status/2",
            sign(&NewStatusList { uri: "https://issuer.acme.example/status/2".to_owned(), ..list(&[]) })?,
        )
        .send(entry(4)?, Some("status_list_unavailable"))?;
    let forged = issue(&key(STRANGER_SEED), &list(&[]))?;
    let forged = Draft::new("A list that somebody else signed is as good as none.", checking()?)
        .list(URI, forged)
        .send(entry(4)?, Some("status_list_unavailable"))?;
    let mut distrusting = checking()?;
    for key in distrusting.issuers.iter_mut().flat_map(|issuer| &mut issuer.keys) {
        key.compromised_at = Some(ISSUED_AT + 1);
    }
    let before = Draft::new("A list that is dated before its key was compromised counts.", distrusting.clone())
        .list(URI, sign(&list(&[]))?)
        .send(entry(4)?, None)?;
    let after = Draft::new("A list of a key that was compromised by then is as good as none.", distrusting)
        .list(URI, sign(&NewStatusList { iat: ISSUED_AT + 1, ..list(&[]) })?)
        .send(entry(4)?, Some("status_list_unavailable"))?;
    Ok(vec![
        ("status_list_unavailable_deny", none),
        ("status_list_forged_deny", forged),
        ("status_list_before_compromise", before),
        ("status_list_compromised_deny", after),
    ])
}
