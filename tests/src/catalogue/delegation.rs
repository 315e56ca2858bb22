//! Chains of passports, and what passports limit.

use anyhow::{Context as _, Result};
use passgate_api::bundle::Bundle;
use passgate_core::state::Subject;
use passgate_passport::did_key;
use passgate_passport::jws::{self, TokenType};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::policy::{PERMISSIONS, SCOUT, plain, policy};
use super::{Draft, Recipe};
use crate::agent::{ChainDraft, ISSUER_SEED, NOW, RequestDraft, key};

/// The key seeds of the agents below the scout, in their order.
const BELOW: [u8; 5] = [41, 42, 43, 44, 45];

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let mut recipes = chains()?;
    recipes.extend(violations()?);
    recipes.extend(limits()?);
    recipes.extend(counters()?);
    Ok(recipes)
}

/// The scout's passport, with these limits, handed on as often as there are further limits.
fn chain(limits: &[Value]) -> Result<ChainDraft> {
    let (root, below) = limits.split_first().context("a chain has a root")?;
    let mut chain = ChainDraft::new("agent_scout", SCOUT, PERMISSIONS, root)?;
    for (seed, limits) in BELOW.into_iter().zip(below) {
        chain = chain.hand_on(&format!("agent_{seed}"), seed, PERMISSIONS, limits)?;
    }
    Ok(chain)
}

fn free(depth: usize) -> Result<ChainDraft> {
    chain(&vec![json!({}); depth + 1])
}

fn search(chain: &ChainDraft) -> RequestDraft {
    chain.ask("GET", "/search?q=bread")
}

fn pay(chain: &ChainDraft, amount: &str) -> RequestDraft {
    chain.ask("POST", "/pay").json(&format!("{{\"amount\":{amount}}}"))
}

fn chains() -> Result<Vec<Recipe>> {
    let acts = (0..=5).try_fold(
        Draft::new("Whoever holds the last passport of a chain acts by it, up to five delegations deep.", plain()?),
        |draft, depth| draft.send(search(&free(depth)?), None),
    )?;
    let narrow = free(1)?.hand_on("agent_reader", 50, &["web:search"], &json!({}))?;
    let scope = Draft::new("What was not handed on is not permitted, whatever those above may do.", plain()?)
        .send(search(&narrow), None)?
        .send(narrow.ask("GET", "/records/7"), Some("permission_scope_missing"))?;
    let three = free(2)?;
    let above = RequestDraft { seed: BELOW[0], ..search(&three) };
    let proof = Draft::new("Only the key of the last passport proves possession.", plain()?)
        .send(above, Some("proof_key_mismatch"))?
        .send(RequestDraft { seed: SCOUT, ..search(&three) }, Some("proof_key_mismatch"))?;
    let mut revoked = Vec::new();
    let names = ["delegation_root_revoked_deny", "delegation_middle_revoked_deny"];
    for (at, (name, id)) in names.into_iter().zip(&three.ids).enumerate() {
        let draft = Draft::new("Revoking a passport ends every chain through it, and nothing above it.", plain()?)
            .send(search(&three), None)?
            .revoke(Subject::Passport(id.clone()))
            .send(search(&three.prefix(0)), (at == 0).then_some("revoked"))?
            .send(search(&three), Some("revoked"))?;
        revoked.push((name, draft));
    }
    let agent = Subject::Agent { issuer: crate::agent::ISSUER.to_owned(), agent_id: "agent_41".to_owned() };
    let revoked_agent = Draft::new("An agent below the root is revoked under the root's issuer.", plain()?)
        .send(search(&three), None)?
        .revoke(agent)
        .send(search(&three), Some("revoked"))?;
    revoked.push(("delegation_agent_revoked_deny", revoked_agent));
    let mut recipes =
        vec![("delegation_chain", acts), ("delegation_scope_deny", scope), ("delegation_proof_deny", proof)];
    recipes.extend(revoked);
    Ok(recipes)
}

/// A passport below `parent` with changed claims, properly signed by the parent's key or by that of `signer`.
fn forged(
    chain: &ChainDraft,
    signer: Option<u8>,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Result<ChainDraft> {
    let parent = chain.tokens().last().context("a chain has passports")?;
    let above: Value = serde_json::from_slice(&crate::surface::payload(parent)?)?;
    let root = chain.tokens().next().context("a chain has passports")?;
    let root: Value = serde_json::from_slice(&crate::surface::payload(root)?)?;
    let seed = 60;
    let mut claims = json!({
        "iss": did_key::encode(key(chain.seed).public()),
        "sub": "agent_below",
        "jti": passgate_passport::id::new_id("pass", NOW.unsigned_abs() * 1000, [seed; 10]),
        "iat": NOW - 60,
        "exp": NOW + 3600,
        "cnf": { "jwk": super::policy::jwk(seed)? },
        "permissions": ["web:search"],
        "delegation": {
            "depth_left": 0,
            "parent": above.get("jti"),
            "parent_sha256": passgate_core::attest::sha256_label(&Sha256::digest(parent).into()),
            "root_issuer": root.get("iss"),
            "spawned_by": above.get("sub"),
        },
    });
    change(claims.as_object_mut().context("claims are an object")?);
    let signer = signer.unwrap_or(chain.seed);
    let token = jws::sign(&key(signer), TokenType::Passport, &serde_json_canonicalizer::to_vec(&claims)?);
    Ok(chain.with_token(&token, seed))
}

fn violations() -> Result<Vec<Recipe>> {
    let limits = json!({
        "spend": { "daily_micro_usd": 1000 }, "rate": { "requests_per_day": 10 }, "domains": ["*.shop.example"],
        "resources": ["records/*"], "context": { "tenant": ["a"] }, "max_records": 5, "purpose": "research", "task": "T-1",
        "labels": ["pii"],
    });
    let parent = ChainDraft::limited("agent_scout", SCOUT, &["web:*"], &limits, |claims| {
        claims.aud = Some(vec!["gate_conformance".to_owned()]);
    })?;
    let whole = parent.hand_on("agent_41", BELOW[0], &["web:*"], &json!({ "labels": ["pii"] }))?;
    let [root, child] = whole.tokens().collect::<Vec<_>>()[..] else { anyhow::bail!("a chain of two") };
    let texts = |parts: &[&str]| whole.with_text(&parts.join("~"));
    let mut draft = Draft::new("Each rule of delegation, broken alone, is a refusal with its own code.", plain()?);
    draft = draft
        // As it was made the chain holds: what is left is that the route tells nothing of what it limits.
        .send(search(&texts(&[root, child])), Some("constraints_unsupported"))?
        .send(search(&texts(&[child])), Some("issuer_unknown"))?
        .send(search(&texts(&[root, root])), Some("delegation_missing"))?
        .send(search(&texts(&[root, child, child])), Some("delegation_parent_mismatch"))?
        .send(search(&texts(&[root, child, ""])), Some("passport_malformed"))?;
    let member = |name: &'static str, value: Value| {
        move |claims: &mut serde_json::Map<String, Value>| {
            match name.split_once('.') {
                Some((outer, inner)) => {
                    let outer = claims.get_mut(outer).and_then(Value::as_object_mut);
                    outer.map(|outer| outer.insert(inner.to_owned(), value));
                }
                None => _ = claims.insert(name.to_owned(), value),
            };
        }
    };
    let other_hash = format!("sha256:{}", "0".repeat(64));
    for (name, value, code) in [
        ("delegation.parent_sha256", json!(other_hash), "delegation_parent_hash_mismatch"),
        ("delegation.root_issuer", json!("https://other.example"), "delegation_root_mismatch"),
        ("delegation.spawned_by", json!("agent_other"), "delegation_spawner_mismatch"),
        ("iss", json!(did_key::encode(key(99).public())), "delegation_issuer_mismatch"),
        ("status", json!({ "status_list": { "idx": 1, "uri": "https://a.example/1" } }), "delegation_status"),
        ("sub", json!("agent_scout"), "delegation_self"),
        ("cnf", json!({ "jwk": super::policy::jwk(SCOUT)? }), "delegation_self"),
        ("cnf", json!({ "jwk": super::policy::jwk(ISSUER_SEED)? }), "delegation_self"),
        ("jti", json!(whole.ids.first()), "delegation_id_reused"),
        ("exp", json!(NOW - 60 + 59), "delegation_lifetime"),
        ("exp", json!(NOW - 60 + 86_401), "delegation_lifetime"),
        ("iat", json!(NOW - 7_200), "delegation_predates_parent"),
        ("permissions", json!(["payments:create"]), "delegation_widens_scope"),
        ("permissions", json!(["*"]), "delegation_widens_scope"),
        ("aud", json!(["gate_conformance", "gate_other"]), "delegation_widens_audience"),
        ("trust_tier", json!("L3"), "delegation_widens_tier"),
        ("constraints", json!({ "spend": { "daily_micro_usd": 1001 } }), "delegation_widens_spend"),
        ("constraints", json!({ "rate": { "requests_per_day": 11 } }), "delegation_widens_rate"),
        ("constraints", json!({ "domains": ["shop.example"] }), "delegation_widens_domains"),
        ("constraints", json!({ "resources": ["*"] }), "delegation_widens_resources"),
        ("constraints", json!({ "context": { "tenant": ["a", "b"] } }), "delegation_widens_context"),
        ("constraints", json!({ "max_records": 6 }), "delegation_widens_max_records"),
        ("constraints", json!({ "purpose": "shopping" }), "delegation_changes_purpose"),
        ("constraints", json!({ "task": "T-2" }), "delegation_changes_task"),
        ("constraints", json!({ "labels": ["web"] }), "delegation_drops_label"),
        ("constraints", json!({ "max_usd": 1 }), "passport_malformed"),
        ("constraints", json!({}), "passport_malformed"),
        ("delegation", json!({ "depth_left": 0 }), "delegation_missing"),
        ("delegation", json!({ "depth": 1 }), "passport_malformed"),
    ] {
        draft = draft.send(search(&forged(&parent, None, member(name, value))?), Some(code))?;
    }
    // By another key, which its `kid` names; and by the parent's, whose signature is another's.
    let stranger = forged(&parent, Some(99), |_| {})?;
    let signed = forged(&parent, None, |_| {})?;
    draft = draft
        .send(search(&stranger), Some("delegation_key_mismatch"))?
        .send(search(&signed.with_other_signature()), Some("delegation_signature_invalid"))?;
    let brief = ChainDraft::limited("agent_scout", SCOUT, PERMISSIONS, &json!({}), |claims| claims.exp = NOW + 600)?;
    let late = forged(&brief, None, |_| {})?;
    let closed = ChainDraft::closed("agent_scout", SCOUT, PERMISSIONS)?;
    let deep = forged(&forged(&free(4)?, None, |_| {})?, None, |_| {})?;
    draft = draft
        .send(search(&late), Some("delegation_outlives_parent"))?
        .send(search(&forged(&closed, None, |_| {})?), Some("delegation_depth"))?
        .send(search(&deep), Some("delegation_depth"))?;
    Ok(vec![("delegation_rules_deny", draft)])
}

/// The policy with routes that say what passports limit.
fn declaring() -> Result<Bundle> {
    let mut bundle = plain()?;
    let more = json!([
        { "method": "GET", "path": "/crm/{customer}", "action": "records:read",
          "resource": { "path": "customers/{customer}" }, "records": { "query": "limit" },
          "context": { "tenant": { "query": "tenant" } }, "refuse_labels": ["untrusted_web"] },
        { "method": "POST", "path": "/crm", "action": "records:read", "resource": { "pointer": "/customer" },
          "records": { "pointer": "/limit" }, "context": { "tenant": { "pointer": "/tenant" } } },
        { "method": "GET", "path": "/ping", "action": "records:read", "resource": "none", "records": "none" },
    ]);
    bundle.routes.extend(serde_json::from_value::<Vec<_>>(more)?);
    Ok(bundle)
}

fn limits() -> Result<Vec<Recipe>> {
    let resources = chain(&[json!({ "resources": ["customers/*"] }), json!({ "resources": ["customers/42"] })])?;
    let post = |chain: &ChainDraft, body: Value| {
        chain.ask("POST", "/crm").json(&serde_json_canonicalizer::to_string(&body).unwrap_or_default())
    };
    let resource = Draft::new("A passport that limits resources reaches those only.", declaring()?)
        .send(resources.ask("GET", "/crm/42"), None)?
        .send(post(&resources, json!({ "customer": "customers/42" })), None)?
        .send(resources.ask("GET", "/ping"), None)?
        .send(resources.ask("GET", "/crm/43"), Some("resource_not_permitted"))?
        .send(post(&resources, json!({ "customer": "customers/43" })), Some("resource_not_permitted"))?
        .send(post(&resources, json!({})), Some("resource_not_permitted"))?
        .send(resources.prefix(0).ask("GET", "/crm/43"), None)?
        .send(resources.ask("GET", "/records/42"), Some("constraints_unsupported"))?;
    let tenants = chain(&[json!({ "context": { "tenant": ["a", "b"] } }), json!({ "context": { "tenant": "a" } })])?;
    let context = Draft::new("A request carries a permitted value for each name of the context.", declaring()?)
        .send(tenants.ask("GET", "/crm/1?tenant=a"), None)?
        .send(tenants.ask("GET", "/crm/1?tenant=b"), Some("context_not_permitted"))?
        .send(tenants.ask("GET", "/crm/1?tenant=a&tenant=a"), Some("context_not_permitted"))?
        .send(tenants.ask("GET", "/crm/1"), Some("context_not_permitted"))?
        .send(post(&tenants, json!({ "tenant": ["a"] })), Some("context_not_permitted"))?
        .send(tenants.ask("GET", "/ping"), Some("constraints_unsupported"))?;
    let few = chain(&[json!({ "max_records": 100 }), json!({ "max_records": 10 })])?;
    let records = Draft::new("A passport that limits records has to be told how many are asked for.", declaring()?)
        .send(few.ask("GET", "/crm/1?limit=10"), None)?
        .send(few.ask("GET", "/ping"), None)?
        .send(few.ask("GET", "/crm/1?limit=11"), Some("records_not_permitted"))?
        .send(few.ask("GET", "/crm/1?limit=010"), Some("records_not_permitted"))?
        .send(few.ask("GET", "/crm/1"), Some("records_not_permitted"))?
        .send(post(&few, json!({ "limit": 10.5 })), Some("records_not_permitted"))?;
    let tainted = chain(&[json!({}), json!({ "labels": ["untrusted_web"] }), json!({ "purpose": "tidy up" })])?;
    let labels =
        Draft::new("What an agent has been in touch with closes actions to it and to all below it.", declaring()?)
            .send(tainted.ask("GET", "/ping"), None)?
            .send(tainted.prefix(0).ask("GET", "/crm/1"), None)?
            .send(tainted.ask("GET", "/crm/1"), Some("label_refused"))?;
    let shops = chain(&[json!({ "domains": ["*.shop.example"] }), json!({ "domains": ["a.shop.example"] })])?;
    let to = |shop: &str| shops.ask("POST", "/email").json(&json!({ "to": shop }).to_string());
    let domains = Draft::new(
        "Domains of gate and passport both count.",
        policy(json!({ "allowed_domains": ["a.shop.example", "b.shop.example"] }))?,
    )
    .send(to("a.shop.example"), None)?
    .send(to("b.shop.example"), Some("domain_not_allowed"))?
    .send(search(&shops), None)?;
    Ok(vec![
        ("constraints_resources_deny", resource),
        ("constraints_context_deny", context),
        ("constraints_records_deny", records),
        ("constraints_labels_deny", labels),
        ("constraints_domains", domains),
    ])
}

fn counters() -> Result<Vec<Recipe>> {
    let spend = |micro: u64| json!({ "spend": { "daily_micro_usd": micro } });
    let parent = chain(&[spend(10_000_000)])?;
    let one = parent.hand_on("agent_41", 41, PERMISSIONS, &spend(6_000_000))?;
    let other = parent.hand_on("agent_42", 42, PERMISSIONS, &spend(6_000_000))?;
    let exceeded = Some("spend_daily_exceeded");
    let budgets = Draft::new("What children spend counts against the cap of their parent as well.", plain()?)
        .send(pay(&one, "6"), None)?
        .send(pay(&one, "0.01"), exceeded)?
        .send(pay(&other, "4.01"), exceeded)?
        .send(pay(&other, "4"), None)?
        .send(pay(&parent, "0.01"), exceeded)?;
    let of_gate = policy(json!({ "spend_limits": { "daily_usd": 10 }, "rate_limits": { "requests_per_day": 4 } }))?;
    let (alone, below) = (free(0)?, free(2)?);
    let shared = Draft::new("The gate's limits of an agent hold for it and all below it together.", of_gate)
        .send(pay(&alone, "6"), None)?
        .send(pay(&below, "4.01"), exceeded)?
        .send(pay(&below, "4"), None)?
        .send(search(&alone), None)?
        .send(search(&below), Some("rate_limit_exceeded"))?;
    let transaction = chain(&[json!({ "spend": { "per_transaction_micro_usd": 5_000_000 } }), json!({})])?;
    let cap = Draft::new(
        "The strictest cap of one transaction counts.",
        policy(json!({ "spend_limits": { "per_transaction_usd": 20 } }))?,
    )
    .send(pay(&transaction, "5"), None)?
    .send(pay(&transaction, "5.01"), Some("spend_per_transaction_exceeded"))?;
    let rate = |n: u64| json!({ "rate": { "requests_per_minute": n } });
    let busy = chain(&[rate(3), rate(2)])?;
    let limited = Some("rate_limit_exceeded");
    let rates = Draft::new("A passport's rate counts what its holder and all below it ask.", plain()?)
        .send(search(&busy), None)?
        .send(search(&busy), None)?
        .send(search(&busy), limited)?
        .send(search(&busy.prefix(0)), None)?
        .send(search(&busy.prefix(0)), limited)?
        .send(search(&chain(&[rate(5), rate(0)])?), limited)?;
    let renewed = chain(&[spend(10_000_000)])?;
    let again = ChainDraft::limited("agent_scout", SCOUT, PERMISSIONS, &spend(10_000_000), |claims| {
        claims.jti = passgate_passport::id::new_id("pass", NOW.unsigned_abs() * 1000, [77; 10]);
    })?;
    let renewal = Draft::new("A renewed passport goes on with the budget of the one before.", plain()?)
        .send(pay(&renewed, "9"), None)?
        .send(pay(&again, "2"), exceeded)?;
    let total = |micro: u64| json!({ "spend": { "total_micro_usd": micro } });
    let whole = chain(&[total(10_000_000), total(4_000_000)])?;
    let exhausted = Some("spend_total_exceeded");
    let totals = Draft::new("A total is spent once, however many days it takes.", plain()?)
        .send(pay(&whole, "4"), None)?
        .send(pay(&whole, "0.01"), exhausted)?
        .send(pay(&whole.prefix(0), "6"), None)?
        .send(pay(&whole.prefix(0), "0.01"), exhausted)?;
    let task = |name: &str| json!({ "task": name });
    let tasks = policy(json!({ "spend_limits": { "per_task": { "total_usd": 10 } } }))?;
    let (first, second) = (chain(&[task("T-1"), json!({})])?, chain(&[task("T-2")])?);
    let tasks = Draft::new("A task spends what its issuer's passports spend, and who has none spends nothing.", tasks)
        .send(pay(&first, "6"), None)?
        .send(pay(&first.prefix(0), "4"), None)?
        .send(pay(&first.prefix(0), "0.01"), exhausted)?
        .send(pay(&second, "10"), None)?
        .send(pay(&chain(&[json!({}), task("T-3")])?, "1"), Some("spend_task_missing"))?
        .send(search(&free(0)?), None)?;
    Ok(vec![
        ("constraints_total_deny", totals),
        ("constraints_task", tasks),
        ("delegation_budgets_deny", budgets),
        ("delegation_gate_limits_deny", shared),
        ("constraints_transaction_deny", cap),
        ("constraints_rates_deny", rates),
        ("constraints_renewed_deny", renewal),
    ])
}
