//! Handing on less: what a sub-agent gets, what is refused, and what is told of a chain.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{NewDelegation, RootGrant, delegate, inspect_chain, issue_root};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::NewPassport;
use passgate_passport::jws::{TokenType, sign};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::dpop::DpopRules;
use passgate_passport::proof::{ProofForm, verify_either};
use passgate_passport::scope::Scope;
use passgate_passport::{b64, did_key};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ISSUER, Origin, Run, initialised, issuer_key, now, run, served_once};

/// The credentials file as JSON.
pub(crate) fn credentials(folder: &Path, agent: &str) -> Value {
    let file = fs::read(folder.join(format!("agents/{agent}.json"))).unwrap();
    serde_json::from_slice(&file).unwrap()
}

pub(crate) fn presented(folder: &Path, agent: &str) -> String {
    credentials(folder, agent)["passport"].as_str().unwrap().to_owned()
}

fn private_key(folder: &Path, agent: &str) -> SecretKey {
    SecretKey::from_private_jwk(credentials(folder, agent)["private_key"].to_string().as_bytes()).unwrap()
}

const ROOT: &[&str] = &["passport", "issue", "--issuer", "local", "--agent-id", "root", "--permission", "payments:*"];

/// `parent` hands on to `agent`, in JSON.
pub(crate) fn hand_on(folder: &Path, parent: &str, agent: &str, flags: &[&str]) -> Run {
    let file = format!("agents/{parent}.json");
    let named = ["passport", "delegate", "--credentials", &file, "--agent-id", agent, "--format", "json"];
    let permission: &[&str] = if flags.contains(&"--permission") { &[] } else { &["--permission", "payments:refund"] };
    run(folder, &[&named[..], permission, flags].concat())
}

/// root, then `worker`, then `helper`.
pub(crate) fn chain(folder: &Path) {
    let limits = ["--delegations", "2", "--spend-daily", "50", "--domain", "*.example.com", "--label", "pii"];
    run(folder, &[ROOT, &limits[..], &["--agent-name", "The root"]].concat()).exits(0);
    let flags = ["--delegations", "1", "--spend-daily", "20", "--domain", "api.example.com", "--max-records", "10"];
    hand_on(
        folder,
        "root",
        "worker",
        &[&flags[..], &["--label", "pii", "--label", "web", "--agent-name", "W"]].concat(),
    )
    .exits(0);
    hand_on(folder, "worker", "helper", &["--ttl", "10m"]).exits(0);
}

fn chained() -> TempDir {
    let folder = initialised();
    chain(folder.path());
    folder
}

fn verify(folder: &Path, argument: &str) -> Run {
    run(folder, &["--format", "json", "passport", "verify", argument])
}

#[test]
fn a_chain_says_who_handed_on_what() {
    let folder = chained();
    let text = presented(folder.path(), "helper");
    assert_eq!(text.split('~').count(), 3);
    assert!(text.starts_with(&format!("{}~", presented(folder.path(), "worker"))));
    for argument in ["agents/helper.json", text.as_str()] {
        let json = verify(folder.path(), argument).exits(0).json();
        assert_eq!((json["agent_id"].as_str(), json["issuer"].as_str()), (Some("helper"), Some(ISSUER)));
        assert_eq!((json["trust_tier"].as_str(), json["depth_left"].as_u64()), (Some("L2"), Some(0)));
        assert_eq!(json["permissions"], json!(["payments:refund"]));
        let limits = json!({"spend": {"daily_micro_usd": 20_000_000}, "domains": ["api.example.com"],
            "max_records": 10, "labels": ["pii", "web"]});
        assert_eq!(json["constraints"], limits, "what is not stated is inherited");
        let links = json["chain"].as_array().unwrap();
        let agents: Vec<&str> = links.iter().map(|link| link["agent_id"].as_str().unwrap()).collect();
        assert_eq!(agents, ["root", "worker", "helper"]);
        assert_eq!(links[1]["spawned_by"], "root");
        let narrowed = |link: &Value| -> Vec<String> {
            link["narrows"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap().into()).collect()
        };
        assert_eq!(narrowed(&links[0]), [""; 0]);
        assert_eq!(
            narrowed(&links[1]),
            [
                "permissions",
                "constraints.spend.daily_micro_usd",
                "constraints.domains",
                "constraints.max_records",
                "constraints.labels",
                "exp",
                "delegation.depth_left"
            ]
        );
        assert_eq!(narrowed(&links[2]), ["exp", "delegation.depth_left"]);
        assert_eq!(
            (&links[1]["narrows"][1]["parent"], &links[1]["narrows"][1]["own"]),
            (&json!(50_000_000), &json!(20_000_000))
        );
        assert!(json["not_checked"].to_string().contains("revocation"), "{json}");
    }
    let human = run(folder.path(), &["passport", "verify", "agents/helper.json"]).exits(0).stdout;
    let position = |text: &str| human.find(text).unwrap_or_else(|| panic!("no {text:?}: {human}"));
    let order = ["valid at gate", "root\n", "delegation 1\n", "delegation 2\n", "in all, ", "not checked: "];
    assert!(order.map(position).is_sorted(), "{human}");
    position("spend per day: at most 20.00 USD; its parent: at most 50.00 USD");
    position("records: at most 10; its parent: no limit");
    position("worker (W, says root)");
    position("handed on: never; its parent: once at most");
}

#[test]
fn a_passport_without_a_chain_shows_its_limits_too() {
    let folder = initialised();
    fs::write(folder.path().join("limits.json"), r#"{"context": {"env": ["prod"]}, "domains": []}"#).unwrap();
    let flags = ["--constraints", "limits.json", "--rate-per-minute", "6", "--purpose", "refunds"];
    run(folder.path(), &[ROOT, &flags].concat()).exits(0);
    let json = verify(folder.path(), "agents/root.json").exits(0).json();
    let limits =
        json!({"rate": {"requests_per_minute": 6}, "domains": [], "context": {"env": ["prod"]}, "purpose": "refunds"});
    assert_eq!((&json["constraints"], &json["depth_left"]), (&limits, &json!(0)));
    let human = run(folder.path(), &["passport", "verify", "agents/root.json"]).exits(0).stdout;
    assert!(human.contains("limit        domains: none\n") && !human.contains("in all"), "{human}");
    let twice =
        run(folder.path(), &[ROOT, &["--force", "--constraints", "limits.json", "--domain", "a.example"]].concat());
    assert!(twice.exits(1).stderr.contains("--domain and the file"));
    fs::write(folder.path().join("limits.json"), r#"{"spend": {"daily_usd": 1}}"#).unwrap();
    let unknown =
        run(folder.path(), &[ROOT, &["--force", "--constraints", "limits.json", "--format", "json"]].concat());
    assert_eq!(unknown.exits(1).error()["code"], "constraints_invalid");
}

#[test]
fn what_widens_is_refused_before_anything_is_written() {
    let folder = initialised();
    let limits = [
        "--spend-daily",
        "50",
        "--rate-per-hour",
        "9",
        "--domain",
        "a.example",
        "--resource",
        "x/*",
        "--context",
        "env=test",
        "--max-records",
        "5",
        "--purpose",
        "p",
        "--label",
        "pii",
        "--audience",
        "gate_local",
    ];
    run(folder.path(), &[ROOT, &["--delegations", "1", "--ttl", "2h"], &limits[..]].concat()).exits(0);
    for (flags, code, hint) in [
        (&["--permission", "web:search"][..], "delegation_widens_scope", "payments:*"),
        (&["--ttl", "3h"], "delegation_outlives_parent", "--ttl 7"),
        (&["--ttl", "59s"], "delegation_lifetime", "from 60s to 24h"),
        (&["--ttl", "25h"], "delegation_lifetime", "from 60s to 24h"),
        (&["--delegations", "1"], "delegation_depth", "--delegations 0"),
        (&["--spend-daily", "50.01"], "delegation_widens_spend", "50.00 USD"),
        (&["--rate-per-hour", "10"], "delegation_widens_rate", "at most 9"),
        (&["--domain", "b.example"], "delegation_widens_domains", "a.example"),
        (&["--resource", "y"], "delegation_widens_resources", "x/*"),
        (&["--context", "env=prod"], "delegation_widens_context", "test"),
        (&["--max-records", "6"], "delegation_widens_max_records", "at most 5"),
        (&["--purpose", "q"], "delegation_changes_purpose", "--purpose"),
        (&["--label", "web"], "delegation_drops_label", "pii"),
        (&["--audience", "gate_other"], "delegation_widens_audience", "gate_local"),
    ] {
        let refused = hand_on(folder.path(), "root", "worker", flags).exits(1);
        let error = refused.error();
        assert_eq!(error["code"], code, "{flags:?}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{error}");
        assert_eq!(refused.stdout, "");
        assert!(!folder.path().join("agents/worker.json").exists(), "{flags:?}");
    }
    let own = hand_on(folder.path(), "root", "root", &["--out", "other.json"]).exits(1);
    assert_eq!(own.error()["code"], "delegation_self");
    hand_on(folder.path(), "root", "worker", &[]).exits(0);
    let once_more = hand_on(folder.path(), "worker", "helper", &[]).exits(1).error();
    assert_eq!(once_more["code"], "delegation_depth");
    assert!(once_more["hint"].as_str().unwrap().contains("--delegations"), "{once_more}");
    for flag in [&["--delegations", "5"][..], &["--delegations", "-1"], &["--ttl", "0s"], &["--spend-daily", "-1"]] {
        assert_eq!(hand_on(folder.path(), "root", "other", flag).exits(1).stdout, "");
    }
    run(folder.path(), &[ROOT, &["--force", "--delegations", "6"]].concat()).exits(1);
}

#[test]
fn credentials_that_do_not_hold_hand_nothing_on() {
    let folder = chained();
    run(folder.path(), &["keys", "generate", "--out", "other.jwk"]).exits(0);
    let wrong = hand_on(folder.path(), "worker", "x", &["--key", "other.jwk"]).exits(5);
    assert_eq!(wrong.error()["code"], "proof_key_mismatch");
    let path = folder.path().join("agents/worker.json");
    let genuine = fs::read_to_string(&path).unwrap();
    let text = presented(folder.path(), "worker");
    let (root, leaf) = text.split_once('~').unwrap();
    let twice = format!("{root}~{leaf}~{leaf}");
    for (changed, code) in
        [(leaf, "delegation_root_missing"), (&twice, "delegation_parent_mismatch"), ("a.b", "passport_malformed")]
    {
        fs::write(&path, genuine.replace(&text, changed)).unwrap();
        assert_eq!(hand_on(folder.path(), "worker", "x", &[]).exits(5).error()["code"], code);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(hand_on(folder.path(), "worker", "x", &[]).exits(5).error()["code"], "file_exposed");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let bound = SecretKey::from_seed([4; 32]);
    let ended = root_of(folder.path(), &bound, now() - 7200, now() - 3600);
    let file = json!({"schema_version": 1, "passport": ended, "private_key": jwk(&bound)});
    fs::write(&path, file.to_string()).unwrap();
    assert_eq!(hand_on(folder.path(), "worker", "x", &[]).exits(5).error()["code"], "passport_expired");
    assert!(!folder.path().join("agents/x.json").exists());
}

/// A root of the issuer that may be handed on.
fn root_of(folder: &Path, bound: &SecretKey, iat: i64, exp: i64) -> String {
    let id = "pass_01ARYZ6S410000000000000001".to_owned();
    let permissions = vec![Scope::parse("payments:*").unwrap()];
    let mut new = NewPassport::new(id, "root".to_owned(), bound.public().clone(), permissions, iat, exp);
    new.iss = Some(ISSUER.to_owned());
    issue_root(&issuer_key(folder), &new, &RootGrant { depth_left: Some(3), ..RootGrant::default() }).unwrap()
}

fn jwk(key: &SecretKey) -> Value {
    serde_json::from_str(&key.to_private_jwk()).unwrap()
}

#[test]
fn credentials_of_sub_agents_are_the_owners_alone_and_kept() {
    let folder = chained();
    let path = folder.path().join("agents/helper.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&path).unwrap();
    assert_eq!(hand_on(folder.path(), "worker", "helper", &[]).exits(1).error()["code"], "file_exists");
    assert_eq!(fs::read(&path).unwrap(), before);
    let shown = hand_on(folder.path(), "worker", "helper", &["--force"]).exits(0);
    let secret = credentials(folder.path(), "helper")["private_key"]["d"].as_str().unwrap().to_owned();
    assert!(!shown.stdout.contains(&secret) && !shown.stderr.contains(&secret));
    assert_eq!(shown.json()["spawned_by"], "worker");
}

#[test]
fn a_sub_agent_may_bring_its_key() {
    let folder = chained();
    run(folder.path(), &["keys", "generate", "--out", "own.jwk"]).exits(0);
    let own = SecretKey::from_private_jwk(fs::read(folder.path().join("own.jwk")).unwrap().trim_ascii()).unwrap();
    let did = did_key::encode(own.public());
    for brought in ["own.jwk", did.as_str()] {
        hand_on(folder.path(), "worker", "helper", &["--public-key", brought, "--force"]).exits(0);
        assert!(credentials(folder.path(), "helper").get("private_key").is_none());
        let links = inspect_chain(&presented(folder.path(), "helper")).unwrap();
        assert_eq!(links[2].claims.cnf_key, *own.public());
    }
    let thumbprint = format!("--public-key={}", own.public().thumbprint());
    let refused = hand_on(folder.path(), "worker", "helper", &[thumbprint.as_str(), "--force"]).exits(1);
    assert!(refused.error()["message"].as_str().unwrap().contains("does not hold it"), "{}", refused.stderr);
    hand_on(folder.path(), "worker", "helper", &["--public-key", "did:key:z6Mkfoo", "--force"]).exits(5);
}

#[test]
fn a_chain_ends_with_each_of_its_passports_and_agents() {
    for index in [0, 1, 2] {
        for how in ["passport", "agent", "key"] {
            let folder = served_once();
            chain(folder.path());
            let before = verify(folder.path(), "agents/helper.json").exits(0).json();
            assert_eq!(before["revocation"], "none, checked against its store");
            let link = &before["chain"][index];
            let text = |member: &str| link[member].as_str().unwrap();
            let arguments: &[&str] = match how {
                "passport" => &[text("passport_id")],
                "agent" => &["--agent", before["issuer"].as_str().unwrap(), text("agent_id")],
                _ => &["--key", text("key_thumbprint")],
            };
            run(folder.path(), &[&["passport", "revoke"], arguments].concat()).exits(0);
            let refused = verify(folder.path(), "agents/helper.json").exits(5);
            assert_eq!(refused.error()["code"], "revoked", "{how} {index}");
            if index > 0 {
                verify(folder.path(), "agents/root.json").exits(0);
            }
        }
    }
    let folder = served_once();
    chain(folder.path());
    let revoked = run(folder.path(), &["--format", "json", "passport", "revoke", "agents/worker.json"]).exits(0).json();
    let id = credentials(folder.path(), "worker")["passport_id"].as_str().unwrap().to_owned();
    assert!(revoked["revoked"].as_str().unwrap().contains(&id), "the last of the chain: {revoked}");
    verify(folder.path(), "agents/helper.json").exits(5);
}

/// A link signed by `parent` that says `claims`, whether or not it may.
fn forged(parent_chain: &str, parent: &SecretKey, claims: &Value) -> String {
    let leaf = parent_chain.rsplit('~').next().unwrap();
    let payload = leaf.split('.').nth(1).unwrap();
    let mut payload: Value = serde_json::from_slice(&b64::decode(payload).unwrap()).unwrap();
    payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    format!("{parent_chain}~{}", sign(parent, TokenType::Passport, payload.to_string().as_bytes()))
}

#[test]
fn inspecting_a_chain_shows_what_it_says_and_checks_nothing() {
    let folder = chained();
    let alone = tempfile::tempdir().unwrap();
    let text = presented(folder.path(), "helper");
    let inspect =
        |format: &str, text: &str| run(alone.path(), &["--format", format, "passport", "inspect", text]).exits(0);
    let json = inspect("json", &text).json();
    assert_eq!((json["signature"].as_str(), json["claims"]["sub"].as_str()), (Some("not_checked"), Some("helper")));
    assert_eq!(json["chain"][1]["claims"]["delegation"]["spawned_by"], "root");
    assert_eq!(json["chain"][1]["differs"][0]["what"], "permissions");

    // A sub-agent that gives itself more: shown as it is, and refused.
    let key = private_key(folder.path(), "worker");
    let helper = inspect_chain(&text).unwrap().pop().unwrap();
    let wider = forged(
        &presented(folder.path(), "worker"),
        &key,
        &json!({"sub": "x", "jti": "pass_01ARYZ6S410000000000000009", "iss": did_key::encode(key.public()),
            "cnf": {"jwk": serde_json::from_str::<Value>(&SecretKey::from_seed([9; 32]).public().to_jwk()).unwrap()},
            "permissions": ["*"], "constraints": {"spend": {"daily_micro_usd": 90_000_000}},
            "delegation": {"parent": helper.parent().unwrap().jti, "parent_sha256": helper.parent().unwrap().sha256,
                "root_issuer": ISSUER, "spawned_by": "worker", "depth_left": 0}}),
    );
    let human = inspect("human", &wider).stdout;
    assert!(human.contains("whether each passport only narrows: not checked\n"), "{human}");
    assert!(human.contains("differs      spend per day: at most 90.00 USD; its parent: at most 20.00 USD"), "{human}");
    assert_eq!(verify(folder.path(), &wider).exits(5).error()["code"], "delegation_widens_scope");
    let cut = text.split_once('~').unwrap().1;
    assert_eq!(verify(folder.path(), cut).exits(5).error()["code"], "issuer_unknown");
    assert_eq!(inspect("json", cut).json()["chain"].as_array().unwrap().len(), 2);
}

#[test]
fn hostile_text_in_a_chain_is_printed_inert() {
    let folder = initialised();
    let (root_key, child_key) = (SecretKey::from_seed([4; 32]), SecretKey::from_seed([5; 32]));
    let root = root_of(folder.path(), &root_key, now() - 10, now() + 3600);
    let id = "pass_01ARYZ6S410000000000000002".to_owned();
    let permissions = vec![Scope::parse("payments:refund").unwrap()];
    let mut new = NewDelegation::new(id, "child".into(), child_key.public().clone(), permissions, now(), now() + 600);
    new.agent_name = Some("n\u{200b}\u{e0041}".to_owned());
    let limits = json!({"context": {"env": "a\u{200b}b"}, "purpose": "p\u{2060}q"});
    new.constraints = Constraints::from_json(limits.to_string().as_bytes(), 1024).unwrap();
    let text = delegate(&root, &root_key, &new).unwrap();
    for verb in ["verify", "inspect"] {
        for format in ["human", "json"] {
            let shown = run(folder.path(), &["--format", format, "passport", verb, &text]).exits(0).stdout;
            let hostile =
                |c: char| ('\u{200b}'..='\u{206f}').contains(&c) || c == '\u{e0041}' || (c.is_control() && c != '\n');
            assert!(!shown.chars().any(hostile), "{verb} {format}: {shown:?}");
            assert!(shown.contains("200b"), "{verb} {format}: {shown:?}");
        }
    }
}

/// What arrived, as its receiver sees it: method, path, fields and body.
fn proven(
    arrived: &str,
    url: &str,
    path: &str,
    query: Option<&str>,
    presented: &str,
    key: &SecretKey,
) -> Option<ProofForm> {
    let (head, body) = arrived.split_once("\r\n\r\n").unwrap();
    let fields: Vec<(&str, &str)> = head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    let headers: Vec<Header<'_>> =
        fields.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let sent = fields.iter().find(|(name, _)| *name == "agent-passport").unwrap().1;
    assert_eq!(sent, presented, "the chain is sent as it is");
    let (scheme, authority) = url.split_once("://").unwrap();
    let method = head.split(' ').next().unwrap();
    let request = HttpRequest { method, scheme, authority, path, query, headers: &headers, body: body.as_bytes() };
    let verified = verify_either(&request, key.public(), now(), &DpopRules::default());
    verified.ok().map(|proof| proof.form())
}

#[test]
fn a_request_carries_the_chain_and_either_proof() {
    let folder = chained();
    let origin = Origin::start();
    let url = format!("{}/pay?draft=1", origin.url);
    let (text, key) = (presented(folder.path(), "helper"), private_key(folder.path(), "helper"));
    let call = ["call", &url, "-d", r#"{"a":1}"#, "--credentials", "agents/helper.json"];
    for (flag, form) in [(&[][..], ProofForm::MessageSignature), (&["--dpop"], ProofForm::Dpop)] {
        // The API is no gate, so there is no decision.
        run(folder.path(), &[&call[..], flag].concat()).exits(1);
        let arrived = origin.arrived();
        assert_eq!(arrived.len(), 1);
        assert_eq!(proven(&arrived[0], &origin.url, "/pay", Some("draft=1"), &text, &key), Some(form));
        assert_eq!(proven(&arrived[0], &origin.url, "/pay", Some("draft=2"), &text, &key), None);
        let other = private_key(folder.path(), "worker");
        assert_eq!(proven(&arrived[0], &origin.url, "/pay", Some("draft=1"), &text, &other), None);
        assert_eq!(arrived[0].contains("\r\ndpop: "), form == ProofForm::Dpop);
        assert_eq!(arrived[0].contains("\r\nsignature"), form == ProofForm::MessageSignature);
    }
    run(folder.path(), &["call", &url, "-H", "DPoP: x"]).exits(1);
    let shapeless = format!("{}/%7euser", origin.url);
    let refused = run(folder.path(), &["call", &shapeless, "--dpop", "--credentials", "agents/helper.json"]).exits(5);
    assert!(refused.stderr.contains("normal form"), "{}", refused.stderr);
    assert!(origin.arrived().is_empty());
}

#[test]
fn input_that_ends_early_is_no_chain() {
    let folder = chained();
    let text = presented(folder.path(), "helper");
    for broken in [format!("{text}~"), format!("~{text}"), text.replacen('~', "~~", 1), format!("{text}~{text}")] {
        let ended = verify(folder.path(), &broken).exits(5);
        assert!(
            ["passport_malformed", "delegation_missing"].contains(&ended.error()["code"].as_str().unwrap()),
            "{broken}"
        );
    }
}
