//! Passports, issuers and tiers.

use anyhow::Result;
use passgate_api::bundle::{Bundle, IssuerStatusDoc, IssuerTierDoc, LevelDoc, SelfIssuedDoc};
use passgate_passport::jws::{self, TokenType};
use passgate_passport::status::StatusRef;
use passgate_passport::trust::Tier;
use serde_json::{Value, json};

use super::policy::{SCOUT, jwk, plain, scout, search};
use super::{Because, Draft, Recipe};
use crate::agent::{NOW, PassportDraft, RequestDraft, key, without};

const DAY: i64 = 86_400;
const HIGH_ISSUER: &str = "https://issuer.bank.example";
const HIGH_SEED: u8 = 3;
const STRANGER_SEED: u8 = 99;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = tokens()?;
    recipes.extend(issuers()?);
    recipes.extend(times()?);
    recipes.extend(claims()?);
    Ok(recipes)
}

/// A search under another passport of the same key.
fn with(passport: &str) -> RequestDraft {
    RequestDraft::new("GET", "/search?q=bread", passport, SCOUT)
}

/// A passport whose claims are changed after the fact, properly signed by the issuer.
fn with_claims(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Result<String> {
    let token = scout()?.issue()?;
    let mut claims = serde_json::from_slice(&crate::surface::payload(&token)?)?;
    change(&mut claims);
    Ok(jws::sign(&key(scout()?.issuer_seed), TokenType::Passport, &serde_json_canonicalizer::to_vec(&claims)?))
}

fn tokens() -> Result<Vec<Recipe>> {
    let missing = Draft::new("A request without a passport is denied.", plain()?)
        .wire(without(search()?.unsigned(), "agent-passport"), Some("passport_missing"))?;
    let good = scout()?.issue()?;
    let claims = crate::surface::payload(&good)?;
    let mut malformed = Draft::new("What is not exactly a passport is malformed.", plain()?);
    let other_kinds = TokenType::ALL.into_iter().filter(|kind| *kind != TokenType::Passport);
    let typed = other_kinds.map(|kind| jws::sign(&key(scout().map_or(0, |draft| draft.issuer_seed)), kind, &claims));
    let texts = ["x", "a.b.c", "..", "e30.e30.e30"].map(str::to_owned);
    for token in texts.into_iter().chain([format!("{good}."), format!("{good}=")]).chain(typed) {
        malformed = malformed.send(with(&token), Some("passport_malformed"))?;
    }
    let Some((signed, _)) = good.rsplit_once('.') else { anyhow::bail!("a passport has dots") };
    let zero_signature = format!("{signed}.{}", "A".repeat(86));
    let mut stranger = scout()?;
    stranger.issuer_seed = STRANGER_SEED;
    let forged = Draft::new("A passport that its issuer did not sign is denied.", plain()?)
        .send(with(&stranger.issue()?), Some("issuer_key_unknown"))?
        .send(with(&zero_signature), Some("passport_signature_invalid"))?;
    let two = with(&good).header("agent-passport", &good).unsigned();
    let two_passports = Draft::new("A request presents one passport.", plain()?).wire(two, Some("header_invalid"))?;
    Ok(vec![
        ("passport_missing_deny", missing),
        ("passport_malformed_deny", malformed),
        ("passport_forged_deny", forged),
        ("passport_two_deny", two_passports),
    ])
}

fn issuers() -> Result<Vec<Recipe>> {
    let mut elsewhere = scout()?;
    elsewhere.claims.iss = Some("https://issuer.evil.example".to_owned());
    let unknown = Draft::new("An issuer that is not listed is not trusted.", plain()?)
        .send(with(&elsewhere.issue()?), Some("issuer_unknown"))?
        .send(with(&PassportDraft::self_issued("agent_scout", SCOUT, &["web:*"])?.issue()?), Some("issuer_unknown"))?;
    let mut suspended_policy = plain()?;
    for issuer in &mut suspended_policy.issuers {
        issuer.status = IssuerStatusDoc::Suspended;
    }
    let suspended = Draft::new("A suspended issuer's passports are denied.", suspended_policy)
        .send(search()?, Some("issuer_suspended"))?;
    let mut bounded = plain()?;
    for key in bounded.issuers.iter_mut().flat_map(|issuer| &mut issuer.keys) {
        (key.not_before, key.not_after) = (Some(NOW - 3600), Some(NOW + 60));
    }
    let mut early = scout()?;
    early.claims.iat -= 1;
    let interval = Draft::new("An issuer's key counts inside its interval, at issuing and now.", bounded)
        .send(search()?, None)?
        .send(with(&early.issue()?), Some("issuer_key_unknown"))?
        .at(60)
        .send(search()?, None)?
        .at(61)
        .send(search()?, Some("issuer_key_unknown"))?;
    let mut rotated = plain()?;
    for issuer in &mut rotated.issuers {
        issuer.keys.push(serde_json::from_value(json!({ "jwk": jwk(2)? }))?);
    }
    let mut by_new_key = scout()?;
    by_new_key.issuer_seed = 2;
    let rotation = Draft::new("During a rotation both of an issuer's keys count.", rotated)
        .send(search()?, None)?
        .send(with(&by_new_key.issue()?), None)?;
    let mut compromised_policy = plain()?;
    for issuer in &mut compromised_policy.issuers {
        for key in &mut issuer.keys {
            key.compromised_at = Some(scout()?.claims.iat);
        }
        issuer.keys.push(serde_json::from_value(json!({ "jwk": jwk(2)? }))?);
    }
    let mut no_trust_policy = compromised_policy.clone();
    for key in no_trust_policy.issuers.iter_mut().flat_map(|issuer| issuer.keys.first_mut()) {
        key.compromised_at = Some(0);
    }
    let compromised =
        Draft::new("What a compromised key signed is void from that time on, and stands before.", compromised_policy)
            .send(with(&early.issue()?), None)?
            .send(with(&by_new_key.issue()?), None)?
            .send(search()?, Some("issuer_key_compromised"))?;
    let no_trust = Draft::new("A key that is not trusted at all signs nothing, however it is dated.", no_trust_policy)
        .send(with(&by_new_key.issue()?), None)?
        .send(search()?, Some("issuer_key_compromised"))?
        .send(with(&early.issue()?), Some("issuer_key_compromised"))?;
    Ok(vec![
        ("issuer_key_compromised_deny", compromised),
        ("issuer_key_no_trust_deny", no_trust),
        ("issuer_unknown_deny", unknown),
        ("issuer_suspended_deny", suspended),
        ("issuer_key_interval_deny", interval),
        ("issuer_key_rotation", rotation),
    ])
}

fn times() -> Result<Vec<Recipe>> {
    let mut short = scout()?;
    short.claims.exp = NOW + 100;
    let short = with(&short.issue()?);
    let expiry = Draft::new("The last valid second is the expiry plus the leeway of 30 seconds.", plain()?)
        .at(100)
        .send(short.clone(), None)?
        .at(130)
        .send(short.clone(), None)?
        .at(131)
        .send(short, Some("passport_expired"))?;
    let mut later = scout()?;
    later.claims.nbf = Some(NOW + 100);
    let later = with(&later.issue()?);
    let beginning = Draft::new("The first valid second is the beginning minus the leeway of 30 seconds.", plain()?)
        .at(69)
        .send(later.clone(), Some("passport_not_yet_valid"))?
        .at(70)
        .send(later, None)?;
    let mut ahead = scout()?;
    ahead.claims.iat = NOW + 31;
    let ahead = Draft::new("A passport issued in the future is not valid yet.", plain()?)
        .send(with(&ahead.issue()?), Some("passport_not_yet_valid"))?;
    let mut capped = plain()?;
    for issuer in &mut capped.issuers {
        issuer.max_passport_ttl_days = 30;
    }
    let lived = |seconds: i64| -> Result<RequestDraft> {
        let mut draft = scout()?;
        draft.claims.exp = draft.claims.iat + seconds;
        Ok(with(&draft.issue()?))
    };
    let lifetime = Draft::new("An issuer's passports live no longer than its limit.", capped)
        .send(lived(30 * DAY)?, None)?
        .send(lived(30 * DAY + 1)?, Some("passport_lifetime_exceeded"))?;
    Ok(vec![
        ("passport_expiry_deny", expiry),
        ("passport_beginning", beginning),
        ("passport_from_the_future_deny", ahead),
        ("passport_lifetime_deny", lifetime),
    ])
}

/// Without what the level demands beside the tier.
fn loosened(mut policy: Bundle) -> Bundle {
    policy.gate.require_challenge = Some(false);
    policy.gate.require_status_lists = Some(false);
    policy
}

fn claims() -> Result<Vec<Recipe>> {
    let for_gates = |gates: &[&str]| -> Result<RequestDraft> {
        let mut draft = scout()?;
        draft.claims.aud = Some(gates.iter().map(|gate| (*gate).to_owned()).collect());
        Ok(with(&draft.issue()?))
    };
    let audience = Draft::new("A passport that names gates is good at those only.", plain()?)
        .send(for_gates(&["gate_conformance"])?, None)?
        .send(for_gates(&["gate_other", "gate_conformance"])?, None)?
        .send(for_gates(&["gate_other"])?, Some("audience_mismatch"))?
        .send(for_gates(&["GATE_CONFORMANCE"])?, Some("audience_mismatch"))?;
    let mut claimed = scout()?;
    claimed.claims.trust_tier = Some(Tier::L2);
    let honest = with(&claimed.issue()?);
    claimed.claims.trust_tier = Some(Tier::L3);
    let tier_claim = Draft::new("A claimed tier is compared with the computed one, never believed.", plain()?)
        .send(honest, None)?
        .send(with(&claimed.issue()?), Some("tier_mismatch"))?;
    let unsupported = |name: &str, value: Value| with_claims(|claims| _ = claims.insert(name.to_owned(), value));
    let mut broken = Draft::new("Claims of the wrong shape are refused.", plain()?);
    for (name, value) in [
        ("sub", json!("")),
        ("sub", json!("agent scout")),
        ("exp", json!("soon")),
        ("exp", json!(1.5)),
        ("iat", json!(-1)),
        ("jti", json!("pass_1")),
        ("permissions", json!("web:*")),
        ("permissions", json!(["WEB:*"])),
        ("agent_name", json!("\u{202e}evil")),
        (
            "cnf",
            json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" } }),
        ),
        ("cnf", json!({ "kid": "x" })),
        ("delegation", json!({ "depth": 1 })),
        ("constraints", json!({ "max_usd": 1 })),
    ] {
        broken = broken.send(with(&unsupported(name, value)?), Some("passport_malformed"))?;
    }
    let mut listed = scout()?;
    listed.claims.status_list = Some(StatusRef { idx: 4, uri: "https://issuer.acme.example/status/1".to_owned() });
    let status = Draft::new("A status list that was not looked at is recorded as not checked.", plain()?)
        .send(with(&listed.issue()?), None)?;
    Ok(vec![
        ("audience_deny", audience),
        ("tier_claim_deny", tier_claim),
        ("claims_malformed_deny", broken),
        ("status_list_not_checked", status),
    ])
}

/// Which tiers reach which level.
pub(super) fn tiers() -> Result<Vec<Recipe>> {
    let level = |level: LevelDoc, self_issued: SelfIssuedDoc| -> Result<Bundle> {
        let mut bundle = plain()?;
        bundle.gate.level = level;
        bundle.self_issued = self_issued;
        let mut high = bundle.issuers.clone();
        for issuer in &mut high {
            (issuer.id, issuer.tier) = (HIGH_ISSUER.to_owned(), IssuerTierDoc::L3);
            issuer.keys = vec![serde_json::from_value(json!({ "jwk": jwk(HIGH_SEED)? }))?];
        }
        bundle.issuers.append(&mut high);
        Ok(bundle)
    };
    let mut high = scout()?;
    (high.claims.iss, high.issuer_seed) = (Some(HIGH_ISSUER.to_owned()), HIGH_SEED);
    let passports =
        [PassportDraft::self_issued("agent_scout", SCOUT, &["web:*"])?.issue()?, scout()?.issue()?, high.issue()?];
    let matrix = |description, policy: Bundle, expected: [Because; 3]| -> Result<Draft> {
        let mut draft = Draft::new(description, policy);
        for (passport, because) in passports.iter().zip(expected) {
            draft = draft.send(with(passport), because)?;
        }
        Ok(draft)
    };
    let listed = |seed: u8| SelfIssuedDoc::Listed(vec![key(seed).public().thumbprint().to_owned()]);
    let insufficient = Some("tier_insufficient");
    let unknown = Some("issuer_unknown");
    let l1 = matrix("A gate of level L1 takes every tier.", level(LevelDoc::L1, SelfIssuedDoc::AnyKey)?, [None; 3])?;
    let l1_listed = matrix("A listed key may issue for itself.", level(LevelDoc::L1, listed(SCOUT))?, [None; 3])?;
    let l1_others = matrix(
        "A key that is not listed may not issue for itself.",
        level(LevelDoc::L1, listed(STRANGER_SEED))?,
        [unknown, None, None],
    )?;
    let l2 = matrix(
        "A gate of level L2 takes managed and certified issuers.",
        level(LevelDoc::L2, SelfIssuedDoc::Refused)?,
        [unknown, None, None],
    )?;
    let l3 = matrix(
        "A gate of level L3 takes certified issuers only.",
        loosened(level(LevelDoc::L3, SelfIssuedDoc::Refused)?),
        [unknown, insufficient, None],
    )?;
    let mut challenging = level(LevelDoc::L2, SelfIssuedDoc::Refused)?;
    challenging.gate.require_challenge = Some(true);
    let challenge = Draft::new("A proof that answers no challenge is denied where the gate asks for one.", challenging)
        .send(search()?, Some("proof_nonce_required"))?
        .send(search()?.dpop(), Some("proof_nonce_required"))?;
    let mut too_long = PassportDraft::self_issued("agent_scout", SCOUT, &["web:*"])?;
    too_long.claims.exp = too_long.claims.iat + 30 * DAY;
    let own_month = with(&too_long.issue()?);
    let foreign = with_claims(|claims| {
        let did = passgate_passport::did_key::encode(key(SCOUT).public());
        claims.insert("iss".to_owned(), did.into());
    })?;
    let self_limits = Draft::new(
        "A self-issued passport lives 30 days at most and is signed by the key it names.",
        level(LevelDoc::L1, SelfIssuedDoc::AnyKey)?,
    )
    .send(own_month, None)?
    .send(with(&foreign), Some("issuer_key_unknown"))?;
    Ok(vec![
        ("level_l1", l1),
        ("level_l1_listed", l1_listed),
        ("level_l1_not_listed", l1_others),
        ("level_l2", l2),
        ("level_l3", l3),
        ("level_challenge_deny", challenge),
        ("self_issued_limits_deny", self_limits),
    ])
}
