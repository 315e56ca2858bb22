//! Tokens, proofs and exports through libraries that nobody here wrote, both ways: npm `jose`, `dpop`, `web-bot-auth` and
//! `http-message-sig`, PyPI `joserfc` and `http-message-signatures`.
#![cfg(test)]

use std::process::Command;

use passgate_core::attest::{Body, GateRecord, KeyRotationRecord, Link, RotationScope, Stamp, Writer, sha256_label};
use passgate_core::ledger::{HeadBuilder, Verifier, head_line, record_line};
use passgate_core::state::Subject;
use passgate_core::time::UnixMillis;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::jwk;
use passgate_passport::proof::web_bot_auth::{self, ForeignParams};
use passgate_tests::agent::{self, ISSUER};
use passgate_tests::origin::Origin;
use passgate_tests::program::{jose_client, npm_client, output, python, python_client};
use passgate_tests::site::{Site, now};
use passgate_tests::surface::{payload, text_member};
use passgate_tests::wire::exchange;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ROUTES: &str = "  - {path: '/**', action: 'web:call'}";

fn site(upstream: &str) -> Site {
    Site::new(upstream, ROUTES, "  {}").unwrap()
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn both_libraries_verify_our_passport() {
    let site = site("http://127.0.0.1:9");
    let agent = site.agent("agent-export", &["web:*", "records:read"]).unwrap();
    let jwks = object(&std::fs::read_to_string(site.folder().join("issuers/local.jwks.json")).unwrap());
    let job = json!({ "token": agent.passport, "jwks": jwks });
    for claims in [
        python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).unwrap(),
        jose_client(&["verify", "passport+jwt"], &job).unwrap(),
    ] {
        let claims = object(&claims);
        assert_eq!(claims["sub"], "agent-export");
        assert_eq!(claims["jti"], agent.passport_id.as_str());
        assert_eq!(claims["permissions"], json!(["web:*", "records:read"]));
    }
    // And they notice a change, so that the check above means something.
    let job = json!({ "token": agent::with_other_signature(&agent.passport), "jwks": jwks });
    assert!(python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).is_err());
    assert!(jose_client(&["verify", "passport+jwt"], &job).is_err());
}

#[test]
fn we_verify_their_passports() {
    let site = site("http://127.0.0.1:9");
    let key = object(&jose_client(&["generate"], &Value::Null).unwrap());
    let mut public = key.clone();
    public.as_object_mut().unwrap().remove("d");
    let public = jwk::from_value(&public).unwrap();
    trust(&site, &object(&jwk::emit_set([&public])));
    let agent_jwk = object(&agent::key(42).public().to_jwk());
    let claims = json!({
        "iss": ISSUER, "sub": "agent-foreign", "jti": "pass_01ARZ3NDEKTSV4RRFFQ69G5FAV", "iat": now().unwrap(),
        "exp": now().unwrap() + 3600, "cnf": { "jwk": agent_jwk }, "permissions": ["web:search"],
    });
    let verify = |token: &str| site.code(&["passport", "verify", token]).unwrap();
    let job = json!({ "key": key, "claims": claims });
    for algorithm in ["EdDSA", "Ed25519"] {
        let python = python_client("joserfc_tokens.py", &["sign", "passport+jwt", algorithm], &job).unwrap();
        let node = jose_client(&["sign", "passport+jwt", algorithm], &job).unwrap();
        for token in [python, node] {
            let (code, said) = verify(&token);
            assert_eq!(code, 0, "{algorithm}: {said}");
            assert!(said.contains("agent-foreign"), "{said}");
        }
        let other_kind = jose_client(&["sign", "at+jwt", algorithm], &job).unwrap();
        assert_eq!(verify(&other_kind).0, 5, "another kind of token");
    }
    let stranger = object(&jose_client(&["generate"], &Value::Null).unwrap());
    let forged =
        jose_client(&["sign", "passport+jwt", "EdDSA"], &json!({ "key": stranger, "claims": claims })).unwrap();
    assert_eq!(verify(&forged).0, 5, "another key");
}

/// The members of an array of texts.
fn texts(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_libraries_read_what_a_gateway_encrypted() {
    let origin = Origin::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("reader.jwk").to_string_lossy().into_owned();
    let key = |private: &Value| {
        let mut public = private.clone();
        public.as_object_mut().unwrap().remove("d");
        format!("  pii_controls: {{mode: encrypt, encrypt_to: {public}}}")
    };
    site(&origin.url()).output(&["keys", "generate", "--encryption", "--out", &own]).unwrap();
    // A key of ours, and one of a library's, which gives it no name.
    let ours = object(&std::fs::read_to_string(&own).unwrap());
    let theirs = object(&jose_client(&["generate-encryption"], &Value::Null).unwrap());
    let body = r#"{"note":"ask \u0061lice@example.com, gr\u00fc\u00df","cards":["4111 1111 1111 1111"],"n":1}"#;
    for (number, private) in [ours, theirs].iter().enumerate() {
        let site = Site::new(&origin.url(), ROUTES, &key(private)).unwrap();
        let agent = site.agent("agent-1", &["web:*"]).unwrap();
        site.start().unwrap();
        let request = site.signed_json(&agent, "/a", &format!("nonce-of-encrypted-{number}"), body).unwrap();
        let answer = exchange(site.address(), &request).await.unwrap();
        assert_eq!(answer.status, 200);
        let seen = origin.seen().last().unwrap().clone();
        let sent = object(std::str::from_utf8(&seen.body).unwrap());
        let note = sent["note"].as_str().unwrap().strip_prefix("ask ").unwrap();
        let (email, rest) = note.split_once(", ").unwrap();
        assert_eq!(rest, "gr\u{fc}\u{df}");
        let job = json!({ "key": private, "tokens": [email, sent["cards"][0]] });
        let expected = ["alice@example.com", "4111 1111 1111 1111"];
        assert_eq!(texts(&jose_client(&["decrypt"], &job).unwrap()), expected);
        assert_eq!(texts(&python_client("joserfc_tokens.py", &["decrypt"], &job).unwrap()), expected);
        let ledger = site.output(&["--format", "json", "ledger", "query", "--agent", "agent-1"]).unwrap();
        let digest = sha256_label(&Sha256::digest(&seen.body).into());
        assert!(ledger.contains(&digest) && ledger.contains("values_encrypted"), "{ledger}");
        assert!(!ledger.contains("alice") && !ledger.contains("4111"), "{ledger}");
        // And they notice a change, so that the check above means something.
        let job = json!({ "key": private, "tokens": [agent::with_other_signature(email)] });
        assert!(jose_client(&["decrypt"], &job).is_err());
        assert!(python_client("joserfc_tokens.py", &["decrypt"], &job).is_err());
        if number == 0 {
            assert_eq!(site.output(&["keys", "decrypt", email, "--key", &own]).unwrap(), "alice@example.com\n");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_with_a_jose_library_and_sha_256_alone() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let agent = site.agent("agent-export", &["web:*"]).unwrap();
    let jwks = site.folder().join("attestation.jwks.json");
    // Two runs make two chains.
    for _ in 0..2 {
        site.start().unwrap();
        site.output(&["call", "--credentials", &agent.file(), &site.url("/a")]).unwrap();
        assert_eq!(site.stop().unwrap(), 0);
    }
    let key = std::fs::read(site.folder().join("keys/attestation.jwk")).unwrap();
    let key = passgate_passport::key::SecretKey::from_private_jwk(&key).unwrap();
    std::fs::write(&jwks, jwk::emit_set([key.public()])).unwrap();
    let export = site.folder().join("export.jsonl");
    site.output(&["ledger", "export", "--jsonl", "-o", &export.to_string_lossy()]).unwrap();
    // With and without `-O`, which leaves assertions out.
    let verify = |optimise: &[&str]| {
        let script = passgate_tests::program::client("verify_ledger.py");
        output(Command::new(python().unwrap()).args(optimise).arg(script).arg(&export).arg(&jwks), "")
    };
    assert!(verify(&[]).unwrap().ends_with("in 2 chains\n"));
    let text = std::fs::read_to_string(&export).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let second_chain = lines.iter().rposition(|line| kind(line).as_deref() == Some("chain_start")).unwrap();
    let swapped = [&lines[..1], &lines[2..3], &lines[1..2], &lines[3..]].concat();
    for (changed, why) in [
        ([&lines[..1], &lines[2..]].concat(), "a deleted record"),
        (swapped, "swapped records"),
        (lines[second_chain..].to_vec(), "a deleted chain"),
        ([&lines[..], &lines[..1]].concat(), "a line behind the head"),
        (lines[..lines.len() - 1].to_vec(), "no head"),
    ] {
        std::fs::write(&export, changed.concat()).unwrap();
        for optimise in [&[][..], &["-O"]] {
            assert!(verify(optimise).is_err(), "{why} went unnoticed");
        }
    }
}

/// An export of one chain whose records and head these keys signed; at position 2 stands a rotation to key 2.
fn export_with_rotation(signers: &[u8], head_signer: u8) -> String {
    let writer = |seed| {
        let gate = GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() };
        Writer::new(agent::key(seed), "chain_1".to_owned(), gate)
    };
    let (mut lines, mut head, mut prev) = (String::new(), HeadBuilder::default(), None);
    for (seq, signer) in (0_u8..).zip(signers) {
        let body = match seq {
            0 => Body::Start(None),
            2 => Body::KeyRotation(KeyRotationRecord::new(agent::key(2).public(), RotationScope::Ledger)),
            _ => Body::Revocation(Subject::Passport(format!("pass_{seq}"))),
        };
        let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [seq; 10] };
        let entry = writer(*signer).seal(&Link { seq: seq.into(), prev }, &stamp, body);
        head.push("chain_1", &entry.jws, &entry.sha256);
        lines.push_str(&record_line(&entry.jws));
        prev = Some(entry.sha256);
    }
    let head = head.finish("gate_1".to_owned(), false, "2027-01-15T08:00:00.000Z".to_owned());
    lines + &head_line(&writer(head_signer).seal_head(&head.to_payload()))
}

#[test]
fn a_jose_library_follows_a_key_to_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (export, jwks) = (folder.path().join("export.jsonl"), folder.path().join("jwks.json"));
    let script = passgate_tests::program::client("verify_ledger.py");
    let ours = |lines: &str| {
        let mut verifier = Verifier::new(vec![agent::key(1).public().clone()]);
        lines.lines().try_for_each(|line| verifier.line(line.as_bytes()))?;
        verifier.finish()
    };
    std::fs::write(&jwks, jwk::emit_set([agent::key(1).public()])).unwrap();
    for (signers, head, holds) in [
        (&[1, 1, 1, 2, 2][..], 2, true),
        (&[1, 1, 1, 2, 1], 2, false),
        (&[1, 1, 1, 1, 1], 1, false),
        (&[1, 1, 2, 2, 2], 2, false),
        (&[1, 2, 1, 2, 2], 2, false),
        (&[1, 1, 3, 2, 2], 2, false),
        (&[1, 1, 1, 3, 2], 2, false),
        (&[1, 1, 1, 2, 2], 1, false),
        (&[1, 1, 1, 2, 2], 3, false),
    ] {
        let lines = export_with_rotation(signers, head);
        std::fs::write(&export, &lines).unwrap();
        let theirs = output(Command::new(python().unwrap()).arg(&script).arg(&export).arg(&jwks), "");
        assert_eq!(
            (ours(&lines).is_ok(), theirs.is_ok()),
            (holds, holds),
            "{signers:?} with a head by {head}: {theirs:?}"
        );
    }
}

fn kind(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).unwrap();
    text_member(&payload(line["jws"].as_str()?).unwrap(), "kind").unwrap()
}

/// The credentials of an agent that two others handed their permissions on to.
fn handed_on(site: &Site) -> Value {
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "agent-root", "--permission", "web:*"];
    site.output(&[&issue[..], &["--delegations", "2", "--out", "agents/agent-root.json"]].concat()).unwrap();
    for (parent, child, depth) in [("agent-root", "agent-middle", "1"), ("agent-middle", "agent-leaf", "0")] {
        let parent = format!("agents/{parent}.json");
        let delegate = ["passport", "delegate", "--credentials", &parent, "--agent-id", child];
        site.output(&[&delegate[..], &["--permission", "web:call", "--delegations", depth]].concat()).unwrap();
    }
    object(&std::fs::read_to_string(site.folder().join("agents/agent-leaf.json")).unwrap())
}

#[test]
fn both_libraries_verify_every_passport_of_our_chain_with_its_parents_key() {
    let site = site("http://127.0.0.1:9");
    let credentials = handed_on(&site);
    let mut keys = object(&std::fs::read_to_string(site.folder().join("issuers/local.jwks.json")).unwrap());
    let links: Vec<&str> = credentials["passport"].as_str().unwrap().split('~').collect();
    assert_eq!(links.len(), 3);
    for (link, agent) in links.iter().zip(["agent-root", "agent-middle", "agent-leaf"]) {
        let job = json!({ "token": link, "jwks": keys });
        let python = object(&python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).unwrap());
        let node = object(&jose_client(&["verify", "passport+jwt"], &job).unwrap());
        assert_eq!(python, node);
        assert_eq!(node["sub"], agent);
        keys = json!({ "keys": [node["cnf"]["jwk"]] });
    }
    // The leaf's own key signed nothing here.
    let job = json!({ "token": links[2], "jwks": keys });
    assert!(python_client("joserfc_tokens.py", &["verify", "passport+jwt"], &job).is_err());
    assert!(jose_client(&["verify", "passport+jwt"], &job).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_made_with_jose_alone_is_accepted_and_one_that_widens_is_not() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let order = |middle: &str| {
        let permissions = json!([["web:*"], [middle], ["web:call"]]);
        json!({ "issuer": ISSUER, "now": now().unwrap(), "permissions": permissions })
    };
    let made = object(&npm_client("jose_chain.mjs", &[], &order("web:call")).unwrap());
    let file = site.folder().join("agents/jose.json").to_string_lossy().into_owned();
    write_secret(&file, &made["credentials"].to_string());
    trust(&site, &made["jwks"]);
    let (code, said) = site.code(&["passport", "verify", &file]).unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("agent-jose-1"), "{said}");
    site.start().unwrap();
    for dpop in [&[][..], &["--dpop"]] {
        let (code, said) = site.code(&[&["call", "--credentials", &file, &site.url("/a?b=1")], dpop].concat()).unwrap();
        assert_eq!(code, 0, "{dpop:?}: {said}");
    }
    assert_eq!(origin.seen().len(), 2);
    site.stop().unwrap();
    let wider = object(&npm_client("jose_chain.mjs", &[], &order("mail:*")).unwrap());
    write_secret(&file, &wider["credentials"].to_string());
    std::fs::write(site.folder().join("issuers/foreign.jwks.json"), wider["jwks"].to_string()).unwrap();
    let (code, said) = site.code(&["passport", "verify", &file]).unwrap();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("no permission of its parent covers"), "{said}");
}

/// Registers [`ISSUER`] with these keys.
fn trust(site: &Site, jwks: &Value) {
    std::fs::write(site.folder().join("issuers/foreign.jwks.json"), jwks.to_string()).unwrap();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let entry = format!("issuers:\n  - {{id: '{ISSUER}', tier: L2, keys_file: issuers/foreign.jwks.json}}\n");
    std::fs::write(site.config(), config.replacen("issuers:\n", &entry, 1)).unwrap();
}

fn write_secret(path: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_presented_with_http_message_signatures() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    handed_on(&site);
    site.start().unwrap();
    let order = |target: &str, tamper: Value| {
        let body = json!("{}");
        let headers = json!({ "Content-Type": "application/json" });
        json!({ "method": "POST", "url": site.url(target), "headers": headers, "body": body, "tamper": tamper })
    };
    let requests = json!([order("/a?b=1", Value::Null), order("/b", json!("Agent-Passport"))]);
    let credentials = site.folder().join("agents/agent-leaf.json");
    let job = json!({ "credentials": credentials, "requests": requests });
    let answers = object(&python_client("http_message_signatures_client.py", &[], &job).unwrap());
    assert_eq!((&answers[0][0]["status"], &answers[1][0]["status"]), (&json!(200), &json!(401)), "{answers}");
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_of_npm_dpop_are_accepted_where_they_cover_the_request() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let credentials = handed_on(&site);
    site.start().unwrap();
    let body = "{\"a\":1}";
    let post = |claims: bool| json!({ "method": "POST", "url": site.url("/d?e=%2f"), "body": body, "type": "application/json", "claims": claims });
    let requests = json!([
        { "method": "GET", "url": site.url("/a/b") },
        { "method": "DELETE", "url": site.url("/a") },
        { "method": "GET", "url": site.url("/c?q=1"), "claims": true },
        post(true),
        { "method": "GET", "url": site.url("/c?q=1") },
        post(false),
    ]);
    let job = json!({ "credentials": credentials, "requests": requests });
    let answers = object(&npm_client("dpop_client.mjs", &["send"], &job).unwrap());
    assert_eq!(statuses(&answers), [200, 200, 200, 200, 401, 401], "{answers}");
    assert_eq!(origin.seen().last().unwrap().body, body);
}

#[tokio::test(flavor = "multi_thread")]
async fn jose_verifies_the_dpop_proofs_of_our_command() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let credentials = handed_on(&site);
    let file = "agents/agent-leaf.json";
    // Straight to the origin, which sees the proof that a gate would take away.
    let url = format!("{}/pay?draft=1", origin.url());
    let (_, said) = site.code(&["call", "--credentials", file, "--dpop", "-X", "POST", "--data", "{}", &url]).unwrap();
    assert!(said.contains("no Passgate gate answered"), "{said}");
    let seen = origin.seen().last().unwrap().clone();
    let proof = seen.headers["dpop"].to_str().unwrap();
    let mut jwk = credentials["private_key"].clone();
    jwk.as_object_mut().unwrap().remove("d");
    let verify = |proof: &str| npm_client("dpop_client.mjs", &["verify"], &json!({ "proof": proof, "jwk": jwk }));
    let claims = object(&verify(proof).unwrap());
    assert_eq!(claims["htm"], "POST");
    assert_eq!(claims["htu"], format!("{}/pay", origin.url()));
    assert!(claims["htq"].is_string() && claims["htb"].is_string() && claims["ath"].is_string(), "{claims}");
    assert!(verify(&agent::with_other_signature(proof)).is_err());
}

const CRAWLER: &str = "https://crawler.example";
const FIELDS: [&str; 2] = ["content-digest", "content-type"];

#[tokio::test(flavor = "multi_thread")]
async fn requests_signed_with_npm_web_bot_auth_are_those_of_a_listed_agent() {
    let origin = Origin::start().await.unwrap();
    let site = site(&origin.url());
    let key = object(&jose_client(&["generate"], &Value::Null).unwrap());
    let other = object(&jose_client(&["generate"], &Value::Null).unwrap());
    list_agents(
        &site,
        &[("crawler", CRAWLER, "every_request", &key), ("reader", "https://reader.example", "unless_safe", &other)],
    );
    site.start().unwrap();
    let as_field = json!({ "signature-agent": format!("\"{CRAWLER}\"") });
    let as_member = json!({ "signature-agent": format!("sig1=\"{CRAWLER}\"") });
    let target = json!(["@authority", "@method", "@target-uri", "signature-agent"]);
    let body = "{}";
    let digest = passgate_passport::digest::content_digest(body.as_bytes());
    let mut with_body = as_member.clone();
    with_body[FIELDS[0]] = json!(digest);
    with_body[FIELDS[1]] = json!("application/json");
    let described = json!(["@authority", "@method", "@target-uri", FIELDS[0], FIELDS[1], ["signature-agent", "sig1"]]);
    let get = |headers: &Value, components: &Value| json!({ "method": "GET", "url": site.url("/a?b=1"), "headers": headers, "components": components });
    let requests = json!([
        get(&as_field, &target),
        { "method": "POST", "url": site.url("/c"), "headers": with_body, "components": described, "body": body },
        { "method": "POST", "url": site.url("/c?d=1"), "headers": with_body, "components": described, "body": "{ }" },
        // The package's own components cover the authority alone, which is too little for this agent.
        get(&as_field, &Value::Null),
    ]);
    let send = |key: &Value, requests: &Value| {
        let job = json!({ "key": key, "requests": requests });
        object(&npm_client("web_bot_auth_client.mjs", &["send"], &job).unwrap())
    };
    assert_eq!(statuses(&send(&key, &requests)), [200, 200, 401, 401]);
    let reader = json!({ "signature-agent": "\"https://reader.example\"" });
    let requests = json!([get(&reader, &Value::Null), get(&as_field, &target)]);
    // It is another agent's key that signs in the crawler's name.
    assert_eq!(statuses(&send(&other, &requests)), [200, 401]);
    assert_eq!(origin.seen().len(), 3);
}

fn statuses(answers: &Value) -> Vec<u64> {
    answers.as_array().unwrap().iter().map(|answer| answer["status"].as_u64().unwrap()).collect()
}

fn list_agents(site: &Site, agents: &[(&str, &str, &str, &Value)]) {
    let entries = agents.iter().map(|(id, url, coverage, key)| {
        let x = key["x"].as_str().unwrap();
        format!("  - {{id: {id}, signature_agent: '{url}', tier: L2, permissions: ['web:*'], coverage: {coverage}, keys: [{{kty: OKP, crv: Ed25519, x: '{x}'}}]}}\n")
    });
    let config = std::fs::read_to_string(site.config()).unwrap();
    let listed: String = entries.collect();
    std::fs::write(site.config(), format!("{config}\nforeign_agents:\n{listed}")).unwrap();
}

#[test]
fn npm_http_message_sig_verifies_what_we_sign_as_a_foreign_agent() {
    let key = agent::key(77);
    let body = b"{}";
    let headers = [Header { name: "content-type", value: b"application/json" }];
    let request = HttpRequest {
        method: "POST",
        scheme: "https",
        authority: "gate.example",
        path: "/pay",
        query: Some("draft=1"),
        headers: &headers,
        body,
    };
    let created = now().unwrap();
    let params = ForeignParams { agent: CRAWLER, created, expires: created + 60, nonce: "nonce-0123456789" };
    let signed = web_bot_auth::sign(&request, &key, &params).unwrap();
    let jwk = object(&key.public().to_jwk());
    let verify = |method: &str| {
        let headers = json!({
            "content-type": "application/json", "content-digest": signed.content_digest,
            "signature-agent": signed.signature_agent, "signature-input": signed.signature_input,
            "signature": signed.signature,
        });
        let request = json!({ "method": method, "url": "https://gate.example/pay?draft=1", "headers": headers });
        npm_client("web_bot_auth_client.mjs", &["verify"], &json!({ "jwk": jwk, "request": request }))
    };
    let params = object(&verify("POST").unwrap());
    assert_eq!((&params["keyid"], &params["tag"]), (&json!(key.public().thumbprint()), &json!("web-bot-auth")));
    assert!(verify("PUT").is_err());
}
