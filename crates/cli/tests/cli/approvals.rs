//! What a gate holds back, and what people say to it.

use std::fs;
use std::path::Path;
use std::process::Child;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Origin, Run, Served, command, finished, initialised, issued, run};

/// Two of finance approve mail; one of anybody approves what costs more than 50 USD.
const POLICY: &str = "
approvals:
  request_ttl_seconds: 3600
  approvers:
    - {name: alice, key_file: alice.jwks, roles: [finance]}
    - {name: bob, key_file: bob.jwks, roles: [finance, legal]}
    - {name: carol, key_file: carol.jwks}
rules:
  - {name: mail, effect: step_up, when: {actions: [\"mail:send\"]}, approval: {count: 2, roles: [finance]}}
  - {name: anything, effect: allow}
";

/// A gate with approvers, an agent, and the API behind it.
struct Desk {
    folder: TempDir,
    origin: Origin,
    served: Served,
}

impl Desk {
    fn open() -> Self {
        let (folder, origin) = (initialised(), Origin::start());
        for name in ["alice", "bob", "carol", "mallory"] {
            person(folder.path(), name);
        }
        issued(folder.path(), "travel", &["payments:*", "mail:*", "web:search"]);
        let path = folder.path().join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap().replace("daily_usd: 150", "daily_usd: 900");
        fs::write(&path, config + POLICY).unwrap();
        let served = Served::start(folder.path(), &origin.url);
        Self { folder, origin, served }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        run(self.folder.path(), arguments)
    }

    /// The arguments of a payment.
    fn paying<'a>(&self, url: &'a str, body: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["call", url, "-d", body, "--credentials", "agents/travel.json"], more].concat()
    }

    fn pay(&self, usd: &str, more: &[&str]) -> Run {
        let (url, body) = (format!("{}/pay", self.served.url), amount(usd));
        self.run(&self.paying(&url, &body, more))
    }

    /// A payment that is held back, and the id of its request for approval.
    fn held(&self, usd: &str) -> String {
        request_id(&self.pay(usd, &["--format", "json"]).exits(4))
    }

    fn mail(&self, more: &[&str]) -> Run {
        let (url, body) = (format!("{}/email", self.served.url), r#"{"domain": "partner.example"}"#);
        self.run(&self.paying(&url, body, more))
    }

    fn approve(&self, id: &str, name: &str, more: &[&str]) -> Run {
        let key = format!("{name}.jwk");
        let arguments = ["--format", "json", "approvals", "approve", id, "--key", &key, "--as", name, "--yes"];
        self.run(&[&arguments, more].concat())
    }

    fn shown(&self, id: &str) -> Value {
        self.run(&["--format", "json", "approvals", "show", id]).exits(0).json()
    }

    fn listed(&self, state: &str) -> Vec<Value> {
        let list = self.run(&["--format", "json", "approvals", "list", "--state", state]).exits(0).json();
        list["approvals"].as_array().unwrap().clone()
    }
}

/// A key pair in `NAME.jwk` and `NAME.jwks`.
fn person(folder: &Path, name: &str) {
    let key = format!("{name}.jwk");
    run(folder, &["keys", "generate", "--out", &key]).exits(0);
    let set = run(folder, &["keys", "jwks", &key]).exits(0).stdout;
    fs::write(folder.join(format!("{name}.jwks")), set).unwrap();
}

fn amount(usd: &str) -> String {
    format!(r#"{{"amount_usd": {usd}}}"#)
}

#[track_caller]
fn request_id(held: &Run) -> String {
    let approval = held.json()["approval"].clone();
    assert_eq!(approval["state"], "pending", "{approval}");
    assert!(approval["expires_at"].as_str().unwrap().ends_with('Z'), "{approval}");
    approval["request_id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_approved_is_let_through_once() {
    let desk = Desk::open();
    let told = desk.pay("75", &[]).exits(4);
    let id = desk.held("75");
    assert!(told.stderr.contains(&format!("passgate approvals show {id}")), "{}", told.stderr);
    assert!(told.stderr.contains(&format!("--approval {id}")), "{}", told.stderr);
    let early = desk.pay("75", &["--approval", &id, "--format", "json"]).exits(4);
    assert_eq!(early.error()["code"], "approval_pending");

    let approved = desk.approve(&id, "carol", &["--note", "a phone call", "--ttl", "120"]).exits(0).json();
    assert_eq!((&approved["request_id"], &approved["state"]), (&id.as_str().into(), &"approved".into()));
    assert!(approved["approval_id"].as_str().unwrap().starts_with("appr_"), "{approved}");
    let token = desk.shown(&id)["approvals"][0].as_str().unwrap().to_owned();
    let waiting = desk.pay("75", &[]).exits(4);
    assert!(waiting.stderr.contains("is approved until"), "{}", waiting.stderr);

    // Anything else than what was shown is refused, be it by a byte.
    let other = desk.pay("75.0", &["--approval", &id]).exits(2);
    assert!(other.stderr.contains("approval_content_mismatch"), "{}", other.stderr);
    assert!(desk.origin.arrived().is_empty());
    desk.pay("75", &["--approval", &id]).exits(0);
    assert_eq!(desk.origin.arrived().len(), 1);

    let again = desk.pay("75", &["--approval", &id, "--format", "json"]).exits(2);
    assert_eq!(again.error()["code"], "approval_used");
    let by_hand = desk.pay("75", &["-H", &format!("agent-approval: {token}")]).exits(2);
    assert!(by_hand.stderr.contains("approval_used"), "{}", by_hand.stderr);
    assert!(desk.origin.arrived().is_empty());
    assert_ne!(desk.held("75"), id, "what was used is asked for anew");
    let record = desk.run(&["--format", "json", "ledger", "query", "--decision", "allow"]).exits(0).json();
    let used = &record["attestations"][0]["request"]["approvals"][0];
    assert_eq!((&used["approver"], &used["id"]), (&"carol".into(), &approved["approval_id"]));
    desk.run(&["ledger", "verify"]).exits(0);
}

#[test]
fn what_is_denied_stays_denied_and_says_why() {
    let desk = Desk::open();
    let id = desk.held("75");
    let denied = desk.run(&["approvals", "deny", &id, "--note", "not this month"]).exits(0);
    assert!(denied.stdout.starts_with("denied  areq_") && denied.stdout.contains("att_"), "{}", denied.stdout);
    let refused = desk.pay("75", &["--approval", &id]).exits(2);
    assert!(refused.stderr.contains("not this month"), "{}", refused.stderr);
    let waited = desk.pay("75", &["--wait", "60"]).exits(2);
    assert!(waited.stderr.contains("not this month"), "{}", waited.stderr);
    let again = desk.pay("75", &["--format", "json"]).exits(4).json();
    assert_eq!(
        (&again["approval"]["request_id"], &again["approval"]["state"]),
        (&id.as_str().into(), &"denied".into())
    );
    let late = desk.approve(&id, "alice", &[]).exits(1);
    assert_eq!(late.error()["code"], "approval_request_closed");
    let twice = desk.run(&["--format", "json", "approvals", "deny", &id]).exits(1);
    assert_eq!(twice.error()["code"], "approval_request_closed");
    assert!(desk.listed("pending").is_empty());
    assert_eq!(desk.listed("denied")[0]["note"], "not this month");
}

#[test]
fn as_many_approve_as_the_rule_says_and_of_its_role() {
    let desk = Desk::open();
    let id = request_id(&desk.mail(&["--format", "json"]).exits(4));
    assert_eq!(desk.approve(&id, "carol", &[]).exits(5).error()["code"], "approval_role_missing");
    assert_eq!(desk.approve(&id, "alice", &[]).exits(0).json()["state"], "pending");
    assert_eq!(desk.approve(&id, "alice", &[]).exits(1).error()["code"], "approval_twice");
    desk.mail(&["--approval", &id]).exits(4);
    let listed = desk.run(&["approvals", "list"]).exits(0).stdout;
    assert!(listed.contains("pending, 1 approved") && listed.contains("2 of finance"), "{listed}");
    assert_eq!(desk.approve(&id, "bob", &[]).exits(0).json()["state"], "approved");
    let shown = desk.run(&["approvals", "show", &id]).exits(0).stdout;
    assert_eq!(shown.lines().filter(|line| line.starts_with("approved by")).count(), 2, "{shown}");
    desk.mail(&["--approval", &id, "--show-request"]).exits(0);
    desk.mail(&["--approval", &id]).exits(2);
    assert_eq!(desk.origin.arrived().len(), 1);
}

#[test]
fn a_grant_lets_through_as_much_as_it_says() {
    let desk = Desk::open();
    let id = desk.held("60");
    let flags = ["--grant", "--uses", "3", "--per-transaction", "80", "--ttl", "2h"];
    desk.approve(&id, "alice", &flags).exits(0);
    let present = |usd: &str| desk.pay(usd, &["--approval", &id]);
    assert!(present("90").exits(2).stderr.contains("approval_out_of_bounds"));
    for usd in ["60", "70", "51"] {
        present(usd).exits(0);
    }
    assert!(present("52").exits(2).stderr.contains("approval_used"));
    assert_eq!(desk.origin.arrived().len(), 3);

    let id = desk.held("60");
    let more = |flags: &[&str]| desk.approve(&id, "alice", flags);
    assert!(more(&["--uses", "3"]).exits(1).error()["message"].as_str().unwrap().contains("--grant"));
    assert!(more(&["--grant"]).exits(1).error()["message"].as_str().unwrap().contains("--uses"));
    let stranger = more(&["--grant", "--uses", "1", "--agent", "boss"]).exits(1).error();
    assert!(stranger["hint"].as_str().unwrap().contains("travel"), "{stranger}");
    for (flags, told) in [
        (&["--ttl", "86401"][..], "86400"),
        (&["--grant", "--uses", "1", "--ttl", "8d"], "604800"),
        (&["--grant", "--uses", "1001"], "1001"),
        (&["--grant", "--uses", "1", "--domain", "API.example"], "constraints.domains"),
        (&["--note", ""], "note"),
    ] {
        let error = more(flags).exits(1).error();
        assert!(error["message"].as_str().unwrap().contains(told), "{flags:?}: {error}");
    }
    assert_eq!(desk.shown(&id)["approved"], 0);
    let flags = ["--grant", "--uses", "9", "--permission", "payments:*", "--agent", "travel", "--total", "100"];
    more(&flags).exits(0);
    desk.pay("60", &["--approval", &id]).exits(0);
    assert!(desk.pay("60", &["--approval", &id]).exits(2).stderr.contains("spend_total_exceeded"));
}

#[test]
fn a_grant_is_for_one_agent_of_a_chain_and_those_below() {
    let desk = Desk::open();
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "boss", "--permission", "payments:*"];
    desk.run(&[&issue[..], &["--delegations", "2"]].concat()).exits(0);
    for name in ["helper", "other"] {
        let credentials = ["passport", "delegate", "--credentials", "agents/boss.json", "--agent-id", name];
        desk.run(&[&credentials[..], &["--permission", "payments:*"]].concat()).exits(0);
    }
    let url = format!("{}/pay", desk.served.url);
    let pay = |agent: &str, usd: &str, more: &[&str]| {
        let (file, body) = (format!("agents/{agent}.json"), amount(usd));
        desk.run(&[&["call", &url, "-d", &body, "--credentials", &file], more].concat())
    };
    let held = |usd: &str| request_id(&pay("helper", usd, &["--format", "json"]).exits(4));
    let id = held("60");
    let shown = desk.run(&["approvals", "show", &id]).exits(0).stdout;
    assert!(shown.lines().any(|line| line.starts_with("handed on by") && line.contains("boss (key ")), "{shown}");
    desk.approve(&id, "alice", &["--grant", "--uses", "5"]).exits(0);
    pay("helper", "70", &["--approval", &id]).exits(0);
    for agent in ["other", "boss"] {
        let refused = pay(agent, "70", &["--approval", &id]).exits(2);
        assert!(refused.stderr.contains("approval_agent_mismatch"), "{agent}: {}", refused.stderr);
    }
    let id = held("65");
    desk.approve(&id, "alice", &["--grant", "--uses", "5", "--agent", "boss"]).exits(0);
    for agent in ["helper", "other", "boss"] {
        pay(agent, "70", &["--approval", &id]).exits(0);
    }
}

#[test]
fn whoever_waits_goes_on_once_it_is_approved() {
    let desk = Desk::open();
    let waiting = |usd: &str, flag: &str| -> Child {
        let (url, body) = (format!("{}/pay", desk.served.url), amount(usd));
        command(desk.folder.path(), &desk.paying(&url, &body, &[flag])).spawn().unwrap()
    };
    let (approved, denied) = (waiting("75", "--wait"), waiting("80", "--wait=600"));
    let id_of = |micro_usd: u64| loop {
        let found = desk.listed("pending").into_iter().find(|doc| doc["amount_micro_usd"] == micro_usd);
        if let Some(doc) = found {
            return doc["id"].as_str().unwrap().to_owned();
        }
    };
    desk.approve(&id_of(75_000_000), "alice", &[]).exits(0);
    desk.run(&["approvals", "deny", &id_of(80_000_000), "--note", "too much"]).exits(0);
    let approved = finished(approved.wait_with_output().unwrap()).exits(0);
    assert!(approved.stderr.contains("Waiting 5 min for the approval of areq_"), "{}", approved.stderr);
    assert!(approved.stderr.contains("allow (HTTP 200"), "{}", approved.stderr);
    assert_eq!(approved.stdout, "\u{1b}[2Jhello\r\n", "the first answer is not printed");
    let denied = finished(denied.wait_with_output().unwrap()).exits(2);
    assert!(denied.stderr.contains("too much"), "{}", denied.stderr);
    assert_eq!(desk.origin.arrived().len(), 1);

    let given_up = desk.pay("85", &["--wait", "1", "--format", "json"]).exits(4);
    let id = request_id(&given_up);
    desk.approve(&id, "alice", &[]).exits(0);
    desk.pay("85", &["--approval", &id, "--wait"]).exits(0);
    desk.pay("5", &["--wait"]).exits(0);
}

#[test]
fn what_is_withdrawn_lets_nothing_through() {
    let desk = Desk::open();
    let id = desk.held("75");
    desk.approve(&id, "alice", &["--grant", "--uses", "5"]).exits(0);
    let token = desk.shown(&id)["approvals"][0].as_str().unwrap().to_owned();
    let by_hand = || desk.pay("75", &["-H", &format!("agent-approval: {token}")]);
    by_hand().exits(0);
    let withdrawn = desk.run(&["--format", "json", "approvals", "withdraw", &id]).exits(0).json();
    assert_eq!((&withdrawn["request_id"], &withdrawn["state"]), (&id.as_str().into(), &"withdrawn".into()));
    assert!(by_hand().exits(2).stderr.contains("approval_revoked"));
    let refused = desk.pay("75", &["--approval", &id, "--format", "json"]).exits(2);
    assert_eq!(refused.error()["code"], "approval_withdrawn");
    assert_eq!(desk.origin.arrived().len(), 1);
    assert_ne!(desk.held("75"), id);
    desk.run(&["ledger", "verify"]).exits(0);
}

#[test]
fn approvers_see_all_that_they_sign() {
    let desk = Desk::open();
    assert!(desk.run(&["approvals", "list"]).exits(0).stderr.contains("No such request"));
    let url = format!("{}/pay?for=trip", desk.served.url);
    let body = "{\"amount_usd\": 75, \"note\": \"\u{202e}\u{9b}2J\"}";
    let held = desk.run(&desk.paying(&url, body, &["--format", "json"])).exits(4);
    let id = request_id(&held);
    desk.run(&desk.paying(&url, body, &[])).exits(4);
    desk.mail(&[]).exits(4);

    let listed = desk.run(&["approvals", "list"]).exits(0).stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let line = listed.lines().next().unwrap();
    for part in [&id, "pending", "until ", "travel", "payments:create", "75.00 USD", "1 approver", "asked 2 times"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let one = desk.run(&["--format", "json", "approvals", "list", "--limit", "1"]).exits(0).json();
    assert_eq!((one["approvals"].as_array().unwrap().len(), &one["more"]), (1, &true.into()));
    assert_eq!(desk.listed("all").len(), 2);

    let doc = desk.shown(&id);
    let shown = desk.run(&["approvals", "show", &id]).exits(0).stdout;
    let digest = doc["shown_sha256"].as_str().unwrap();
    let has = |name: &str, value: &str| {
        let found = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
        assert_eq!(found.map(str::trim), Some(value), "{name}: {shown}");
    };
    has("method", "POST");
    has("path", "/pay");
    has("query", "for=trip");
    has("authority", desk.served.url.trim_start_matches("http://"));
    has("amount", "75.00 USD");
    has("needs", "1 approver (approval_required)");
    has("policy version", "1");
    has("shown", digest);
    assert!(shown.ends_with("body:\n| {\"amount_usd\": 75, \"note\": \"\\u{202e}\\u{9b}2J\"}\n"), "{shown}");

    // Nobody confirms, so nothing is signed.
    let silent = ["approvals", "approve", &id, "--key", "alice.jwk", "--as", "alice"];
    let silent = desk.run(&silent).exits(1);
    assert!(silent.stderr.contains("--yes"), "{}", silent.stderr);
    let signed = desk.run(&["approvals", "approve", &id, "--key", "alice.jwk", "--as", "alice", "--yes"]).exits(0);
    assert!(signed.stderr.contains(digest) && signed.stderr.contains("this request, once"), "{}", signed.stderr);
    assert!(signed.stdout.starts_with("approved  areq_"), "{}", signed.stdout);
}

#[test]
fn an_approval_that_does_not_count_says_why() {
    let desk = Desk::open();
    let id = desk.held("75");
    let unknown = "areq_01ARYZ6S410000000000000001";
    for verb in ["show", "deny", "withdraw"] {
        let error = desk.run(&["--format", "json", "approvals", verb, unknown]).exits(1).error();
        assert_eq!(error["code"], "not_found", "{verb}");
    }
    assert_eq!(desk.approve(unknown, "alice", &[]).exits(1).error()["code"], "not_found");
    assert_eq!(desk.pay("75", &["--approval", unknown, "--format", "json"]).exits(1).error()["code"], "not_found");
    desk.pay("75", &["--approval", "areq_1/../x"]).exits(1);
    assert_eq!(desk.approve(&id, "mallory", &[]).exits(5).error()["code"], "approval_key_unknown");
    let other = ["--format", "json", "approvals", "approve", &id, "--key", "alice.jwk", "--as", "bob", "--yes"];
    assert_eq!(desk.run(&other).exits(5).error()["code"], "approval_issuer_mismatch");
    assert_eq!(desk.shown(&id)["state"], "pending");

    // Without a gateway the store answers.
    let Desk { folder, served, .. } = desk;
    assert_eq!(served.stop("-TERM"), 0);
    let offline = |arguments: &[&str]| run(folder.path(), &[&["--format", "json", "approvals"], arguments].concat());
    let key = ["--key", "mallory.jwk", "--as", "mallory", "--yes"];
    assert_eq!(offline(&[&["approve", &id], &key[..]].concat()).exits(5).error()["code"], "approval_key_unknown");
    assert_eq!(offline(&["show", unknown]).exits(1).error()["code"], "not_found");
    assert_eq!(offline(&["list"]).exits(0).json()["approvals"][0]["id"], id);
    let key = ["--key", "alice.jwk", "--as", "alice", "--yes"];
    assert_eq!(offline(&[&["approve", &id], &key[..]].concat()).exits(0).json()["state"], "approved");
    let again = Served::again(folder.path());
    let (url, body) = (format!("{}/pay", again.url), amount("75"));
    let pay = ["call", &url, "-d", &body, "--credentials", "agents/travel.json", "--approval", &id];
    run(folder.path(), &pay).exits(0);
    assert_eq!(again.stop("-TERM"), 0);
    offline(&["withdraw", &id]).exits(0);
    run(folder.path(), &["ledger", "verify"]).exits(0);
}

#[test]
fn an_agent_with_an_approvers_key_does_not_approve_itself() {
    let folder = initialised();
    for name in ["alice", "bob", "carol"] {
        person(folder.path(), name);
    }
    let issue = ["passport", "issue", "--issuer", "local", "--agent-id", "travel", "--permission", "payments:*"];
    run(folder.path(), &[&issue[..], &["--public-key", "alice.jwk"]].concat()).exits(0);
    let path = folder.path().join("passgate.yml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + POLICY).unwrap();
    let origin = Origin::start();
    let served = Served::start(folder.path(), &origin.url);
    let (url, body) = (format!("{}/pay", served.url), amount("75"));
    let call = ["call", &url, "-d", &body, "--key", "alice.jwk", "--format", "json"];
    let id = request_id(&run(folder.path(), &call).exits(4));
    let approve = ["--format", "json", "approvals", "approve", &id, "--yes", "--key"];
    let own = run(folder.path(), &[&approve[..], &["alice.jwk", "--as", "alice"]].concat()).exits(5);
    assert_eq!(own.error()["code"], "approval_self");
    run(folder.path(), &[&approve[..], &["bob.jwk", "--as", "bob"]].concat()).exits(0);
    run(folder.path(), &[&call[..], &["--approval", &id]].concat()).exits(0);
    assert_eq!(origin.arrived().len(), 1);
}
