//! Foreign agents, which the policy lists and which have no passport.

use alloc::sync::Arc;

use passgate_passport::action::ActionHash;
use passgate_passport::action_pass::{self, ACTION_PASS_FIELD, ActionPass, Binding};
use passgate_passport::jwk;
use passgate_passport::proof::web_bot_auth::{self, AgentUrl, Coverage, Directory, ForeignAgent, ForeignParams};

use super::*;
use crate::gate::{ActionPasses, ListedAgent};

const AGENT: &str = "https://crawler.example";

fn minter() -> SecretKey {
    SecretKey::from_seed([8; 32])
}

/// Lists the crawler, and takes passes that are bound to no key.
fn listing() -> Gate {
    let keys = jwk::emit_set([SecretKey::from_seed([2; 32]).public()]);
    let signer =
        ForeignAgent { url: AgentUrl::parse(AGENT).unwrap(), directory: Directory::read(keys.as_bytes()).unwrap() };
    let agent = ListedAgent {
        id: "crawler".to_owned(),
        signer,
        tier: Tier::L2,
        permissions: vec![Scope::parse("web:*").unwrap()],
        coverage: Coverage::EveryRequest,
    };
    let passes = ActionPasses { ttl_seconds: 120, binding: Binding::Content, keys: Vec::new() };
    let mut gate = Gate { action_passes: Some(passes), listed_agents: vec![Arc::new(agent)], ..gate() };
    gate.mint_with(vec![minter().public().clone()]);
    gate
}

fn search(pass: Option<&str>, nonce: &str) -> Call {
    let mut call = Call::new("GET", "/search", "");
    call.headers.clear();
    call.headers.extend(pass.map(|pass| (ACTION_PASS_FIELD.to_owned(), pass.as_bytes().to_vec())));
    let lines = call.lines();
    let http = HttpRequest {
        method: call.method,
        scheme: "https",
        authority: "gate.example",
        path: &call.path,
        query: None,
        headers: &lines,
        body: &call.body,
    };
    let params = ForeignParams { agent: AGENT, created: NOW.seconds(), expires: NOW.seconds() + 60, nonce };
    let signed = web_bot_auth::sign(&http, &call.key, &params).unwrap();
    let fields = [
        ("signature-agent", signed.signature_agent),
        ("signature-input", signed.signature_input),
        ("signature", signed.signature),
    ];
    call.headers.extend(fields.map(|(name, value)| (name.to_owned(), value.into_bytes())));
    call
}

#[test]
fn nobody_without_a_passport_gets_or_redeems_a_pass() {
    let gate = listing();
    let reason = |pass: Option<&str>, nonce: &str| {
        let judged = search(pass, nonce).judged(&gate).unwrap();
        decide(&judged, &admit(&mut LoadedRows::new(), &judged)).reason
    };
    assert_eq!(reason(None, "nonce-of-crawler-1"), None);
    for wish in ["mint", "mint;v=0"] {
        assert_eq!(reason(Some(wish), "nonce-of-crawler-2"), Some(Reason::ActionPassRefused), "{wish}");
    }
    let pass = ActionPass {
        action: ActionHash::from_label(&format!("sha256:{}", "0".repeat(64))).unwrap(),
        approvals: Vec::new(),
        attestation_id: passgate_passport::id::new_id("att", NOW.0, [1; 10]),
        audience: gate.id.clone(),
        exp: NOW.seconds() + 60,
        holder_jkt: None,
        iat: NOW.seconds(),
        issuer: gate.id.clone(),
        jti: passgate_passport::id::new_id("actp", NOW.0, [1; 10]),
    };
    let token = action_pass::mint(&minter(), &pass).unwrap();
    assert_eq!(reason(Some(&token), "nonce-of-crawler-3"), Some(Reason::ActionPassContentMismatch));
}
