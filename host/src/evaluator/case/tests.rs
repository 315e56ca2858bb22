use passgate_api::bundle::Bundle;
use passgate_api::driver::{Answer, Driver};
use passgate_core::attest::Record;
use passgate_core::pipeline::RawRequest;
use passgate_core::reason::Reason;
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::{NewPassport, issue};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::{self, ProofParams};
use passgate_passport::scope::Scope;
use passgate_passport::{id, json, jws};
use passgate_store::{Ledger as _, MemoryStore};
use serde_json::json;

use super::*;
use crate::evaluator::{Engine, builtin};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn stamp(number: u8) -> Stamp {
    Stamp { now: NOW, random: [number; 10] }
}

/// A self-issued passport and a request signed with its key.
fn fields() -> Vec<(String, Vec<u8>)> {
    let (key, now) = (SecretKey::from_seed([3; 32]), NOW.seconds());
    let scopes = vec![Scope::parse("web:*").unwrap()];
    let jti = id::new_id("pass", NOW.0, [4; 10]);
    let new = NewPassport::new(jti, "agent-1".to_owned(), key.public().clone(), scopes, now - 1, now + 60);
    let mut fields = vec![("agent-passport".to_owned(), issue(&key, &new).unwrap().into_bytes())];
    let headers = [Header { name: "agent-passport", value: &fields[0].1.clone() }];
    let (method, scheme, authority, path) = ("GET", "http", "gate.example", "/search");
    let request = HttpRequest { method, scheme, authority, path, query: None, headers: &headers, body: b"" };
    let params = ProofParams { created: now, nonce: "nonce-0123456789", expires: None };
    let signed = proof::sign(&request, &key, &params).unwrap();
    fields.push(("signature-input".to_owned(), signed.signature_input.into_bytes()));
    fields.push(("signature".to_owned(), signed.signature.into_bytes()));
    fields
}

/// The instance is gone when the store asks for the decision: the request is refused, and what is known of it recorded.
#[tokio::test]
async fn an_evaluator_that_breaks_down_before_it_decides_leaves_a_record() {
    let policy: Bundle = serde_json::from_value(json!({
        "version": 1, "gate": {"id": "gate_1", "level": "L1", "public_url": "http://gate.example"},
        "self_issued": "any_key", "routes": [{"method": "GET", "path": "/search", "action": "web:search"}],
    }))
    .unwrap();
    let component = builtin().expect("run `cargo xtask component` first");
    let digest = component.reference().digest.clone();
    let engine =
        Engine::component(component, json::canonical(&policy).unwrap(), ChallengeKey::new([9; 32]), stamp(1), 1024)
            .unwrap();
    let gate = Arc::new(Snapshot::from(policy.compile(crate::evaluator::native().unwrap()).unwrap()));
    let writer = Writer::new(SecretKey::from_seed([9; 32]), stamp(1).chain_uid(), gate.record());
    let store = Arc::new(MemoryStore::new(NOW.seconds() - 3600));
    let driver = Driver::start(store.clone(), writer, stamp(1)).await.unwrap();
    let fields = fields();
    let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
    let authority = Some("gate.example");
    let raw = RawRequest { method: "GET", authority, path: "/search", query: None, headers: &headers, body: b"" };
    let mut judged = engine.judge(&gate, &raw, NOW, Conduct::default()).await.unwrap();
    let Judgement::Component(case) = &mut judged.0 else { panic!("judged natively") };
    let broken: Result<(), String> = case.lent.call(|_| Err(wasmtime::Error::msg("broken on purpose")));
    assert!(broken.is_err());

    let Ok(Answer::Refuse(refused)) = driver.admit(judged.into_case(), stamp(2)).await else { panic!("allowed") };
    assert_eq!(refused.reason, Reason::InternalError);
    let stored = store.record(refused.attestation_id.as_deref().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.index.agent_id.as_deref(), Some("agent-1"));
    let key = SecretKey::from_seed([9; 32]).public().clone();
    let payload = jws::decode(&stored.jws, jws::TokenType::Attestation, 65_536).unwrap().verify(&key).unwrap();
    let record: Record = serde_json::from_slice(&payload.into_payload()).unwrap();
    assert_eq!((record.error, record.revocation), (Some(true), Some(RevocationCheck::Admission)));
    assert_eq!(record.evaluator.map(|evaluator| evaluator.digest), Some(digest));
    assert_eq!(record.request.and_then(|request| request.action).as_deref(), Some("web:search"));
    assert!(record.agent.is_some_and(|agent| agent.passport_sha256.starts_with("sha256:")));
    // The next request has another instance.
    assert!(engine.judge(&gate, &raw, NOW, Conduct::default()).await.is_ok());
}
