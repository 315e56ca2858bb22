//! A plugin as its author and its operator meet it: made, tested, signed, served, and seen in the ledger.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use passgate_tests::case::Request;
use passgate_tests::origin::Origin;
use passgate_tests::site::Site;
use passgate_tests::wire::exchange_on;
use serde_json::Value;
use tokio::net::UnixStream;

const ROUTES: &str = "  - {method: GET, path: /search, action: 'web:search'}
  - {method: POST, path: /pay, action: 'payments:create', amount: {pointer: /amount_usd}, domain: {pointer: /merchant}}";
const GUARDRAILS: &str = "  spend_limits: {daily_usd: 1000}";
/// How long something may take to come about on a busy machine, before it counts as never.
const WITHIN: Duration = Duration::from_secs(60);

/// Runs `passgate`, which has to succeed, and gives what it said.
fn done(site: &Site, arguments: &[&str]) -> String {
    let (code, said) = site.code(arguments).unwrap();
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

/// The metrics of the running gate.
async fn metrics(site: &Site) -> String {
    let request = Request {
        method: "GET".to_owned(),
        target: "/metrics".to_owned(),
        host: "localhost".to_owned(),
        headers: Vec::new(),
        body: String::new(),
    };
    let socket = UnixStream::connect(site.folder().join("state/passgate.sock")).await.unwrap();
    String::from_utf8(exchange_on(socket, &request).await.unwrap().body).unwrap()
}

fn plugins(records: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(records).unwrap();
    let of = |record: &Value| record["plugins"].as_array().cloned().unwrap_or_default();
    page["attestations"].as_array().unwrap().iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_is_tested_signed_and_refuses_in_a_running_gate() {
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), ROUTES, GUARDRAILS).unwrap();
    done(&site, &["plugin", "new", "demo", "--lang", "rust"]);
    done(&site, &["plugin", "test", "demo"]);
    done(&site, &["keys", "generate", "--out", "plugins.jwk"]);
    let keys = site.run(&["keys", "jwks", "plugins.jwk"]).unwrap();
    fs::write(site.folder().join("plugin-keys.jwks"), keys.stdout).unwrap();
    done(&site, &["plugin", "sign", "demo/plugin.wasm", "--key", "plugins.jwk"]);
    let config = fs::read_to_string(site.config()).unwrap();
    let plugins_of = |more: &str| {
        format!(
            "{config}\nplugins:\n  trusted_keys_file: plugin-keys.jwks\n  policies:\n    - {{name: demo, file: demo/plugin.wasm, actions: ['payments:*'], config: {{shops: [shop.example.com], approve_above_usd: 50}}{more}}}\n"
        )
    };
    fs::write(site.config(), plugins_of("")).unwrap();
    let agent = site.agent("agent-buyer", &["web:*", "payments:*"]).unwrap();
    let doctor = done(&site, &["doctor"]);
    assert!(doctor.contains("plugins") && doctor.contains("demo 0.1.0"), "{doctor}");
    site.start().unwrap();

    let (file, url) = (agent.file(), site.url("/pay"));
    let pay = |body: &str| {
        let json = "content-type: application/json";
        site.code(&["call", "--credentials", &file, &url, "-X", "POST", "-H", json, "-d", body]).unwrap()
    };
    let (code, said) = pay(r#"{"amount_usd":20,"merchant":"shop.example.com"}"#);
    assert_eq!(code, 0, "{said}");
    let (code, said) = pay(r#"{"amount_usd":20,"merchant":"other.example.com"}"#);
    assert!(code == 2 && said.contains("plugin_denied") && said.contains("other.example.com"), "{code}: {said}");
    let (code, said) = pay(r#"{"amount_usd":60,"merchant":"shop.example.com"}"#);
    assert!(code == 4 && said.contains("plugin_step_up"), "{code}: {said}");
    assert_eq!(origin.seen().len(), 1);

    let shown = done(&site, &["ledger", "query"]);
    let recorded =
        plugins(&String::from_utf8(site.run(&["ledger", "query", "--format", "json"]).unwrap().stdout).unwrap());
    assert_eq!(recorded.len(), 3);
    for plugin in &recorded {
        let (fuel, digest) = (plugin["fuel"].as_u64().unwrap(), plugin["digest"].as_str().unwrap());
        assert!(fuel > 0);
        let line = shown.lines().find(|line| line.contains(&format!("fuel {fuel}"))).unwrap();
        assert!(line.contains(digest) && line.contains("demo 0.1.0"), "{line}");
    }
    let check =
        ["gate", "check", &url, "--credentials", &file, "-X", "POST", "-H", "content-type: application/json", "-d"];
    let (code, said) =
        site.code(&[&check[..], &[r#"{"amount_usd":20,"merchant":"other.example.com"}"#]].concat()).unwrap();
    assert!(code == 2 && said.contains("plugin_denied"), "{code}: {said}");

    // A version that nobody signed is not taken into use: the gate goes on with the one before, and says so.
    let mut component = fs::read(site.folder().join("demo/plugin.wasm")).unwrap();
    component.extend_from_slice(&[0, 2, 1, b'x']);
    fs::write(site.folder().join("demo/new.wasm"), component).unwrap();
    fs::rename(site.folder().join("demo/new.wasm"), site.folder().join("demo/plugin.wasm")).unwrap();
    let alarm = async {
        while !metrics(&site).await.contains("passgate_plugin_reload_failures_total{plugin=\"demo\"} 1") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, alarm).await.unwrap();
    assert_eq!(pay(r#"{"amount_usd":20,"merchant":"other.example.com"}"#).0, 2);
    assert_eq!(site.stop().unwrap(), 0);
    let (code, said) = site.code(&["serve"]).unwrap();
    assert!(code == 3 && said.contains("plugin `demo`"), "{code}: {said}");
    let (code, said) = site.code(&["bundle", "sign", "--key", "plugins.jwk", "--out", "edge.jws"]).unwrap();
    assert!(code == 3 && said.contains("no plugins at the edge"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_freezes_everything_with_a_key() {
    let origin = Origin::start().await.unwrap();
    let site = Site::new(&origin.url(), ROUTES, GUARDRAILS).unwrap();
    let example = passgate_tests::program::root().join("examples/plugins/business-hours");
    done(&site, &["plugin", "test", &example.to_string_lossy()]);
    fs::copy(example.join("plugin.wasm"), site.folder().join("hours.wasm")).unwrap();
    let inspected = site.run(&["plugin", "inspect", "hours.wasm", "--format", "json"]).unwrap();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let digest = inspected["digest"].as_str().unwrap();
    let open: Vec<String> = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        .map(|day| format!("{day}: ['00:00-24:00']"))
        .into();
    let config = fs::read_to_string(site.config()).unwrap();
    let policy = format!(
        "{config}\nplugins:\n  policies:\n    - {{name: hours, file: hours.wasm, sha256: '{digest}', grants: [keys], config: {{time_zone: Europe/Berlin, open: {{{}}}}}}}\n",
        open.join(", ")
    );
    fs::write(site.config(), policy).unwrap();
    let agent = site.agent("agent-reader", &["web:*"]).unwrap();
    site.start().unwrap();
    let (file, url) = (agent.file(), site.url("/search"));
    let search = || site.code(&["call", "--credentials", &file, &url]).unwrap();
    assert_eq!(search().0, 0);
    done(&site, &["plugin", "keys", "set", "hours", "freeze", "incident 42"]);
    let (code, said) = search();
    assert!(code == 2 && said.contains("incident 42"), "{code}: {said}");
    done(&site, &["plugin", "keys", "rm", "hours", "freeze"]);
    assert_eq!(search().0, 0);
    done(&site, &["ledger", "verify"]);
    assert_eq!(site.stop().unwrap(), 0);
}
