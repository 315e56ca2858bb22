//! People are told that a request waits, once; whoever waits is told how it stands.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use passgate_host::files::{self, Existing};
use passgate_passport::approval::{self, APPROVAL_FIELD, Approval};
use passgate_passport::id;
use passgate_passport::key::SecretKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::origin::{Origin, ok};
use crate::support::{Agent, Call, Site, Wish, eventually, patiently};

const PAY: &str = r#"{"amount_usd": 60}"#;

fn alice() -> SecretKey {
    SecretKey::from_seed([21; 32])
}

/// A gate where alice approves above 50 USD, and `hook` is told.
async fn site(origin: &Origin, hook: &Origin) -> Site {
    let extra = format!(
        "approvals:\n  approvers: [{{name: alice, key: {}, roles: [finance]}}]\n  webhook: {{url: \"{}/hook\", secret_file: hook.secret}}",
        alice().public().to_jwk(),
        hook.url(),
    );
    let guardrails = "approval_workflows: {require_approval_above_usd: 50}".to_owned();
    let site = Site::new(Wish { guardrails, extra, ..Wish::before(origin) }).await;
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    files::write_secret(&site.folder.path().join("hook.secret"), secret.as_bytes(), Existing::Keep).unwrap();
    site
}

#[tokio::test]
async fn people_are_told_once_and_what_they_approve_is_let_through_once() {
    let (origin, hook) = (Origin::start(|_| ok("ok")).await, Origin::start(|_| ok("")).await);
    let mut site = site(&origin, &hook).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["payments:create"]);
    for _ in 0..2 {
        let reply = site.send(&agent.post("/pay", PAY)).await;
        reply.assert_refusal(403, "approval_required");
    }
    let told = eventually(async || (!hook.seen().is_empty()).then(|| hook.seen())).await;
    let message: Value = serde_json::from_slice(&told[0].body).unwrap();
    assert_eq!((&message["type"], &message["data"]["agent_id"]), (&json!("approval.requested"), &json!("agent-7")));
    let request_id = message["data"]["request_id"].as_str().unwrap().to_owned();
    let field = |name: &str| told[0].headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    assert_eq!(field("webhook-id"), Some(request_id.clone()));
    assert!(field("webhook-signature").unwrap().starts_with("v1,"));
    assert!(!String::from_utf8_lossy(&told[0].body).contains("60"), "what is asked for stays at the gate");

    let status = format!("/.passgate/v1/approvals/{request_id}/status");
    let waits = site.send(&Call::bare(&site.address.to_string(), "GET", &status)).await;
    assert_eq!((waits.status, waits.field("retry-after")), (200, "5"));
    let control = site.control().await;
    let token = signed(&site, &request_id, "alice", &alice()).await;
    control.approve(&request_id, &serde_json::from_value(json!({ "approval": token })).unwrap()).await.unwrap();
    let with = |body: &str| agent.post("/pay", body).with(APPROVAL_FIELD, &token);
    site.send(&with(r#"{"amount_usd": 61}"#)).await.assert_refusal(403, "approval_content_mismatch");
    assert_eq!(site.send(&with(PAY)).await.status, 200);
    site.send(&with(PAY)).await.assert_refusal(403, "approval_used");
    assert_eq!(origin.seen().len(), 1);
    assert!(origin.seen()[0].headers.iter().all(|(name, _)| name != APPROVAL_FIELD));
    site.send(&agent.post("/pay", PAY)).await.assert_refusal(403, "approval_required");
    let told = eventually(async || (hook.seen().len() > 1).then(|| hook.seen())).await;
    assert_eq!(told.len(), 2, "of what waits already nobody is told again");
    patiently(gate.shutdown()).await;
}

/// The approval of what the gate shows of a request.
async fn signed(site: &Site, request_id: &str, name: &str, key: &SecretKey) -> String {
    let shown = site.control().await.approval(request_id).await.unwrap().shown.unwrap();
    let now = site.env.seconds();
    let given = Approval {
        audience: "gate_test".to_owned(),
        exp: now + 600,
        grant: None,
        iat: now,
        issuer: name.to_owned(),
        jti: id::new_id("appr", 1, Sha256::digest(name)[..10].try_into().unwrap()),
        request_id: request_id.to_owned(),
        shown_sha256: Sha256::digest(shown).into(),
    };
    approval::sign(key, &given).unwrap()
}

#[tokio::test]
async fn nobody_approves_for_itself_or_for_whom_it_hands_on_to() {
    let (origin, hook) = (Origin::start(|_| ok("ok")).await, Origin::start(|_| ok("")).await);
    let mut site = site(&origin, &hook).await;
    let above = site.delegating_agent("agent-7", &["payments:create"]);
    let below = above.hands_on("agent-8", &["payments:create"]);
    let named =
        |name: &str, key: &SecretKey| format!("{{name: {name}, key: {}, roles: [finance]}}", key.public().to_jwk());
    let text = fs::read_to_string(&site.config).unwrap();
    let more = format!("approvers: [{}, {}, ", named("above", above.key()), named("below", below.key()));
    fs::write(&site.config, text.replace("approvers: [", &more)).unwrap();
    let gate = site.start_in_memory().await;
    let control = site.control().await;
    let held_back = async |agent: &Agent| {
        let reply = site.send(&agent.post("/pay", PAY)).await;
        reply.assert_refusal(403, "approval_required");
        reply.problem()["approval"]["request_id"].as_str().unwrap().to_owned()
    };
    for (agent, approvers) in [(&below, &[("above", &above), ("below", &below)][..]), (&above, &[("above", &above)])] {
        let request_id = held_back(agent).await;
        for (name, approver) in approvers {
            let token = signed(&site, &request_id, name, approver.key()).await;
            let answer = serde_json::from_value(json!({ "approval": token })).unwrap();
            let refused = control.approve(&request_id, &answer).await.unwrap_err().to_string();
            assert!(refused.contains("(409)") && refused.contains("does not approve itself"), "{refused}");
            // Who leaves the gate out of it gets no further.
            let presented = agent.post("/pay", PAY).with(APPROVAL_FIELD, &token);
            site.send(&presented).await.assert_refusal(403, "approval_self");
        }
        assert_eq!(control.approval(&request_id).await.unwrap().state, "pending");
    }
    assert_eq!(origin.seen().len(), 0);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_gate_does_not_start_with_a_secret_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let (origin, hook) = (Origin::start(|_| ok("ok")).await, Origin::start(|_| ok("")).await);
    let mut site = site(&origin, &hook).await;
    let secret = site.folder.path().join("hook.secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = site.start().await.err().unwrap().to_string();
    assert!(refused.contains("webhook.secret_file") && refused.contains("chmod 600"), "{refused}");
    fs::remove_file(&secret).unwrap();
    files::write_secret(&secret, b"secret", Existing::Keep).unwrap();
    let refused = site.start().await.err().unwrap().to_string();
    assert!(refused.contains("holds no secret"), "{refused}");
}
