//! The `passgate` program against the build that is deployed, as the guide of the edge has it: chains, challenges,
//! one-action passes, and a new attestation key.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use passgate_passport::key::SecretKey;
use passgate_tests::edge::{Build, Edge, api_key, bundle_key};
use passgate_tests::origin::Origin;
use passgate_tests::program;
use passgate_tests::surface::attestation_key;
use serde_json::Value;
use tempfile::TempDir;

/// A gate at the edge, and the folder of its operator.
struct Site {
    folder: TempDir,
    edge: Edge,
    origin: Origin,
    url: String,
    /// The configuration that `init` made.
    template: String,
}

/// What the program said, and its exit code.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

impl Site {
    async fn new() -> Self {
        let (origin, edge) = (Origin::start().await.unwrap(), Edge::start(Build::Release).unwrap());
        let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", edge.address().unwrap()));
        let mut site = Self { folder, edge, origin, url, template: String::new() };
        site.run(&["init", "--upstream", &site.origin.url()]).await.exits(0);
        site.template = fs::read_to_string(site.folder.path().join("passgate.yml")).unwrap();
        let files = [("keys/bundle.jwk", bundle_key().to_private_jwk().to_string()), ("keys/operator.key", api_key())];
        for (name, text) in files {
            let path = site.folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        site.trust(&[&attestation_key()]);
        site
    }

    /// The keys that the ledger is verified with.
    fn trust(&self, keys: &[&SecretKey]) {
        let public = passgate_passport::jwk::emit_set(keys.iter().map(|key| key.public()));
        fs::write(self.folder.path().join("attestation.jwks.json"), public).unwrap();
    }

    /// Publishes this version of the policy, with `gate` among the members of the gate and `further` beside it.
    async fn push(&self, version: u32, gate: &str, further: &str) {
        let path = self.folder.path().join("passgate.yml");
        let mut text = self.template.clone();
        let changes = [
            ("version: 1\n".to_owned(), format!("version: {version}\n{further}\n")),
            ("  level: L2\n".to_owned(), format!("  level: L2\n{gate}\n")),
        ];
        for (from, to) in changes {
            assert!(text.contains(&from), "{text}");
            text = text.replacen(&from, &to, 1);
        }
        let public_url = text.lines().find(|line| line.starts_with("  public_url:")).unwrap().to_owned();
        text = text.replacen(&public_url, &format!("  public_url: {}", self.url), 1);
        fs::write(path, text).unwrap();
        self.run(&["bundle", "push", "--key", "keys/bundle.jwk"]).await.exits(0);
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(program::passgate().unwrap());
        command.args(arguments).current_dir(self.folder.path());
        command.env("PASSGATE_GATE", &self.url).env("PASSGATE_API_KEY_FILE", "keys/operator.key");
        let output = tokio::task::spawn_blocking(move || program::run(&mut command, "")).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    async fn call(&self, agent: &str, target: &str, flags: &[&str]) -> Said {
        let (credentials, url) = (format!("agents/{agent}.json"), format!("{}{target}", self.url));
        self.run(&[&["call", &url, "--credentials", &credentials][..], flags].concat()).await
    }

    /// An agent whose passport may be handed on twice.
    async fn issue(&self, agent: &str) {
        let issue = ["passport", "issue", "--issuer", "local", "--agent-id", agent, "--delegations", "2"];
        let permissions = ["--permission", "payments:*", "--permission", "web:*"];
        self.run(&[&issue[..], &permissions].concat()).await.exits(0);
    }

    async fn hand_on(&self, from: &str, to: &str, depth: &str) {
        let from = format!("agents/{from}.json");
        let delegate = ["passport", "delegate", "--credentials", &from, "--agent-id", to, "--delegations", depth];
        self.run(&[&delegate[..], &["--permission", "payments:create", "--spend-daily", "20"]].concat()).await.exits(0);
    }

    async fn id(&self, agent: &str) -> String {
        let file = format!("agents/{agent}.json");
        let inspected = self.run(&["--format", "json", "passport", "inspect", &file]).await.exits(0);
        inspected.json()["claims"]["jti"].as_str().unwrap().to_owned()
    }

    async fn verify_ledger(&self) {
        self.run(&["ledger", "verify", "--jwks", "attestation.jwks.json"]).await.exits(0);
    }
}

const PAY: [&str; 2] = ["-d", r#"{"amount_usd": 5}"#];

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_acts_within_its_scope_until_its_middle_is_revoked() {
    let site = Site::new().await;
    site.push(1, "", "").await;
    site.issue("root").await;
    site.hand_on("root", "worker", "1").await;
    site.hand_on("worker", "helper", "0").await;
    site.call("helper", "/pay", &PAY).await.exits(0);
    site.call("helper", "/pay", &[&PAY[..], &["--dpop"]].concat()).await.exits(0);
    let outside = site.call("helper", "/search", &[]).await.exits(2);
    assert!(outside.stderr.contains("permission_scope_missing"), "{}", outside.stderr);
    let spent = site.call("worker", "/pay", &["-d", r#"{"amount_usd": 10.01}"#]).await.exits(2);
    assert!(spent.stderr.contains("spend_daily_exceeded"), "the worker's budget is that of all below it");

    site.run(&["passport", "suspend", &site.id("root").await]).await.exits(0);
    site.call("helper", "/pay", &PAY).await.exits(5);
    site.run(&["passport", "reinstate", &site.id("root").await]).await.exits(0);
    site.call("helper", "/pay", &PAY).await.exits(0);

    site.run(&["passport", "revoke", &site.id("worker").await]).await.exits(0);
    for agent in ["helper", "worker"] {
        let refused = site.call(agent, "/pay", &PAY).await.exits(5);
        assert!(refused.stderr.contains("credential_rejected"), "{}", refused.stderr);
    }
    site.call("root", "/pay", &PAY).await.exits(0);
    assert_eq!(site.origin.seen().len(), 4);
    site.verify_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_by_both_forms_of_proof() {
    let site = Site::new().await;
    site.push(1, "  require_challenge: true", "").await;
    site.issue("root").await;
    for flags in [&["--show-request"][..], &["--show-request", "--dpop"]] {
        let asked = site.call("root", "/search", flags).await.exits(0);
        assert_eq!(asked.stderr.matches("> GET ").count(), 2, "{}", asked.stderr);
    }
    assert_eq!(site.origin.seen().len(), 2);
    site.verify_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_minted_redeemed_once_and_void_for_another_byte() {
    let site = Site::new().await;
    site.push(1, "", "action_passes: {}").await;
    site.issue("root").await;
    let call = async |pass: &str| {
        let field = format!("Agent-Action-Pass: {pass}");
        site.call("root", "/pay", &[&PAY[..], &["-H", &field]].concat()).await
    };
    let minted = call("mint").await.exits(0).json();
    assert_eq!(site.origin.seen().len(), 0, "nothing is forwarded for it");
    let pass = minted["action_pass"].as_str().unwrap();
    let field = format!("Agent-Action-Pass: {pass}");
    let other = site.call("root", "/pay", &["-d", r#"{"amount_usd": 6}"#, "-H", &field]).await.exits(2);
    assert!(other.stderr.contains("action_pass_content_mismatch"), "{}", other.stderr);
    call(pass).await.exits(0);
    let again = call(pass).await.exits(2);
    assert!(again.stderr.contains("action_pass_redeemed"), "{}", again.stderr);
    assert_eq!(site.origin.seen().len(), 1);
    site.verify_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_attestation_key_goes_on_with_the_chains_of_the_one_before() {
    let site = Site::new().await;
    site.push(1, "", "").await;
    site.issue("root").await;
    site.call("root", "/search", &[]).await.exits(0);
    let next = SecretKey::from_seed([77; 32]);
    site.edge.hand_over_to(next).unwrap();
    let site = Site { url: format!("http://{}", site.edge.address().unwrap()), ..site };
    site.push(2, "", "").await;
    site.call("root", "/search", &[]).await.exits(0);
    // The first key verifies what the next one signed, because it handed over to it; nobody else's does.
    site.verify_ledger().await;
    let records = site.edge.records().await.unwrap();
    assert!(records.iter().any(|record| record["kind"] == "key_rotation"), "{records:?}");
    site.trust(&[&SecretKey::from_seed([78; 32])]);
    site.run(&["ledger", "verify", "--jwks", "attestation.jwks.json"]).await.exits(7);
}
