use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use passgate_passport::jwk::emit_set;
use passgate_passport::key::SecretKey;

use super::*;

const MINIMAL: &str = r#"# yaml-language-server: $schema=./passgate.schema.json
version: 1
gate: {id: gate_demo, level: L2, public_url: "http://127.0.0.1:8787"}
issuers:
  - {id: "https://issuer.acme.example", tier: L2, keys_file: issuers/acme.jwks.json}
routes:
  - {method: GET, path: /search, action: "web:search"}
  - {method: POST, path: /pay, action: "payments:create", amount: {pointer: /amount_usd}}
guardrails:
  rate_limits: {requests_per_minute: 10}
  allowed_domains: [api.example.com, "*.example.org"]
upstream: {url: "http://127.0.0.1:9000"}
attestation: {key_file: keys/attestation.jwk}
"#;

fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("issuers")).unwrap();
    let keys = emit_set([SecretKey::from_seed([1; 32]).public()]);
    fs::write(folder.path().join("issuers/acme.jwks.json"), keys).unwrap();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(text: &str) -> Result<Loaded, ConfigError> {
    let (_folder, path) = folder(text);
    Config::load(&path)
}

/// The error of the minimal configuration with `from` replaced by `to`, without its file.
fn error_of(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    let error = load(&MINIMAL.replacen(from, to, 1)).expect_err(to);
    let text = error.to_string();
    text.strip_prefix(&error.file.display().to_string()).unwrap().to_owned()
}

#[test]
fn what_is_left_out_has_its_default() {
    let (folder, path) = folder(MINIMAL);
    let loaded = Config::load(&path).unwrap();
    assert_eq!(loaded.config.server, ServerDoc::default());
    assert_eq!(loaded.config.server.listen, "127.0.0.1:8787");
    assert_eq!(loaded.config.upstream.response_timeout_ms, 30_000);
    assert_eq!(loaded.gate.id, "gate_demo");
    assert_eq!(loaded.gate.routes.len(), 2);
    assert_eq!(loaded.bundle.issuers[0].keys.len(), 1);
    assert!(loaded.gate.evaluator.digest.starts_with("sha256:"));
    let at = |name: &str| folder.path().join(name);
    let paths = Paths {
        store: Some(at("state/passgate.redb")),
        attestation_key: at("keys/attestation.jwk"),
        socket: at("state/passgate.sock"),
    };
    assert_eq!(loaded.paths, paths);
}

#[test]
fn mistakes_are_named_with_place_and_remedy() {
    let table = [
        (
            "requests_per_minute: 10",
            "request_per_minute: 10",
            &["rate_limits", "`request_per_minute`", "did you mean `requests_per_minute`?"][..],
        ),
        ("guardrails:", "guardrail:", &[":9:1:", "did you mean `guardrails`?"]),
        ("level: L2", "level: L4", &["gate.level", "`L4`", "did you mean `L1`?"]),
        ("version: 1", "version: 1\nversion: 2", &[":3:1", "`version` stands twice"]),
        ("id: gate_demo,", "id: gate_demo, id: other,", &["`id` stands twice"]),
        ("version: 1", "version: one", &[":2:10", "version"]),
        ("version: 1", "version: -1", &[":2:10", "version"]),
        ("version: 1", "version: 0o17", &[":2:10", "`0o17`", "plain decimal"]),
        ("version: 1", "version: 017", &[":2:10", "version"]),
        ("requests_per_minute: 10", "requests_per_minute: 010", &[":10:", "requests_per_minute"]),
        ("requests_per_minute: 10", "requests_per_minute: 1.5", &["requests_per_minute"]),
        ("requests_per_minute: 10", "requests_per_minute: 0", &["guardrails.rate_limits", "at least 1"]),
        ("id: gate_demo", "id: no", &[":3:12", "`no`", "quotes"]),
        ("id: gate_demo", "id: on", &[":3:12", "`on`", "quotes"]),
        ("id: gate_demo", "id: 0123", &[":3:12", "`0123`", "quotes"]),
        ("id: gate_demo", "id: 7", &["gate.id", "`7`", "quotes"]),
        ("id: gate_demo", "id: {a: b}", &["gate.id"]),
        ("id: gate_demo, ", "", &["gate", "`id` is missing"]),
        ("upstream: {url: \"http://127.0.0.1:9000\"}\n", "", &["`upstream` is missing"]),
        ("guardrails:\n", "guardrails:\n\trate_limits: {}\n", &[":10:"]),
        (
            "keys_file: issuers/acme.jwks.json",
            "keys_file: issuers/none.jwks.json",
            &["issuers[0].keys_file", "none.jwks.json", "cannot be read"],
        ),
        (", keys_file: issuers/acme.jwks.json", "", &["issuers[0]", "either `keys` or `keys_file`"]),
        ("api.example.com", "\"*.co.uk\"", &["guardrails.allowed_domains[0]", "`*.co.uk`"]),
        ("api.example.com", "\"*.github.io\"", &["guardrails.allowed_domains[0]", "`*.github.io`"]),
        ("api.example.com", "\"*.com\"", &["guardrails.allowed_domains[0]"]),
        ("api.example.com", "\"*.GitHub.io\"", &["guardrails.allowed_domains[0]"]),
        ("api.example.com", "\"ex\u{430}mple.com\"", &["guardrails.allowed_domains[0]"]),
        ("path: /search", "path: search", &["routes[0].path"]),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/v1", &["upstream.url", "scheme, host and port"]),
        ("http://127.0.0.1:9000", "http://127.0.0.1:8787", &["upstream.url", "the gate itself"]),
        ("upstream:", "server: {listen: \"localhost:80\"}\nupstream:", &["server.listen", "IP address"]),
        ("upstream:", "server: {decision_timeout_ms: 0}\nupstream:", &["server.decision_timeout_ms", "1 to 60000"]),
        ("upstream:", "server: {max_body_bytes: 1099511627776}\nupstream:", &["server.max_body_bytes"]),
        ("upstream:", "edge: {max_age_days: 0}\nupstream:", &["edge.max_age_days"]),
        ("upstream:", "edge: {max_age_days: 367}\nupstream:", &["edge.max_age_days"]),
        ("upstream:", "edge: {admission: tenant}\nupstream:", &["edge.admission", "agent"]),
        (
            "upstream:",
            "store: {kind: memory}\nupstream:",
            &["store.kind", "L2 and above need a durable store", "`redb`"],
        ),
        ("upstream:", "store: {kind: redis}\nupstream:", &["store.kind", "`redis`"]),
        ("upstream:", "self_issued: any_key\nupstream:", &["self_issued", "level L1"]),
        ("upstream:", "log: {level: trace}\nupstream:", &["log.level", "`trace`"]),
        ("version: 1", "<<: {version: 1}", &["merge keys"]),
        ("version: 1", "version: !secret 1", &[":2:18", "`!secret`"]),
        ("keys/attestation.jwk}\n", "keys/attestation.jwk}\n---\nversion: 2\n", &["more than one document"]),
        ("version: 1", "[]", &[":"]),
    ];
    for (from, to, needles) in table {
        let text = error_of(from, to);
        for needle in needles {
            assert!(text.contains(needle), "{to}: {text:?} lacks {needle:?}");
        }
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn mistakes_in_plugins_are_named() {
    let unpinned = "{policies: [{name: a, file: a.wasm}]}";
    let signed = |more: &str| format!("{{trusted_keys_file: k, policies: [{{name: a, file: a.wasm, {more}}}]}}");
    for (plugins, member, problem) in [
        ("{policies: [{name: a}]}".to_owned(), "plugins.policies[0]", "`file` is missing"),
        (unpinned.to_owned(), "plugins.policies[0].sha256", "trusted_keys_file"),
        (signed("limits: {deadline: 5}"), "plugins.policies[0].limits", "did you mean `deadline_ms`?"),
        (signed("limits: {fuel: 0}"), "plugins.policies[0].limits", "`fuel` is 0"),
        (signed("grants: [clock]"), "plugins.policies[0].grants[0]", "`clock`"),
        (signed("config: {share: 0.5}"), "plugins.policies[0].config", "0.5 is no integer"),
    ] {
        let text = error_of("upstream:", &format!("plugins: {plugins}\nupstream:"));
        assert!(text.contains(member) && text.contains(problem), "{text}");
    }
}

#[test]
fn a_plugin_is_given_its_configuration_as_it_is_written() {
    let policy = "{name: hours, file: p/hours.wasm, actions: [\"payments:*\"], grants: [log], \
        config: {from: 8, days: [mon, \"no\"], strict: true, note: \"0.5\"}}";
    let text = format!("plugins: {{trusted_keys_file: keys.jwks, policies: [{policy}]}}\nupstream:");
    let plugins = load(&MINIMAL.replacen("upstream:", &text, 1)).unwrap().config.plugins;
    let config = serde_json::json!({"from": 8, "days": ["mon", "no"], "strict": true, "note": "0.5"});
    assert_eq!(plugins.policies[0].config, config);
    assert_eq!(plugins.policies[0].limits, PluginLimitsDoc::default());
    let again: PluginsDoc = serde_json::from_value(serde_json::to_value(&plugins).unwrap()).unwrap();
    assert_eq!(again, plugins);
}

#[test]
fn a_private_authority_is_read_from_beside_the_configuration() {
    let named = |url: &str| {
        let upstream = format!("upstream: {{url: \"{url}\", ca_file: ca.pem}}");
        MINIMAL.replace("upstream: {url: \"http://127.0.0.1:9000\"}", &upstream)
    };
    let (folder, path) = folder(&named("https://tools.internal:8443"));
    let ca = folder.path().join("ca.pem");
    let certificate = rcgen::generate_simple_self_signed(vec!["tools.internal".to_owned()]).unwrap().cert.pem();
    fs::write(&ca, &certificate).unwrap();
    assert_eq!(Config::load(&path).unwrap().config.upstream.ca_file.as_deref(), Some("ca.pem"));

    let refused = |needle: &str| {
        let error = Config::load(&path).unwrap_err();
        assert_eq!(error.member.as_deref(), Some("upstream.ca_file"));
        assert!(error.problem.contains(needle) && error.remedy.is_some(), "{error}");
    };
    fs::write(&ca, "no certificate").unwrap();
    refused("no certificate in PEM form");
    fs::write(&ca, format!("{certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).unwrap();
    refused("certificate 2");
    fs::write(&ca, " ".repeat(1024 * 1024 + 1)).unwrap();
    refused("longer than");
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o666)).unwrap();
    refused("changed by every user");
    fs::remove_file(&ca).unwrap();
    refused("cannot be read");
    fs::write(&path, named("http://127.0.0.1:9000")).unwrap();
    refused("`http`");
}

#[test]
fn numbers_have_one_spelling_only() {
    let minute = error_of("requests_per_minute: 10", "requests_per_minute: 6_0");
    assert!(minute.contains(": guardrails.rate_limits.requests_per_minute: `6_0` reads differently"), "{minute}");
    let spend = "requests_per_minute: 10}\n  spend_limits: {monthly_usd: 1e3}";
    let monthly = error_of("requests_per_minute: 10}", spend);
    assert!(monthly.contains(": guardrails.spend_limits.monthly_usd: `1e3` reads differently"), "{monthly}");
}

#[test]
fn memory_is_for_development() {
    let text = MINIMAL.replace("level: L2", "level: L1").replace("upstream:", "store: {kind: memory}\nupstream:");
    assert_eq!(load(&text).unwrap().paths.store, None);
    let named = text.replace("{kind: memory}", "{kind: memory, path: x}");
    assert_eq!(load(&named).unwrap_err().member.as_deref(), Some("store.path"));
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    let marked = load(&format!("\u{feff}{MINIMAL}")).unwrap();
    assert_eq!(marked.gate.policy, load(MINIMAL).unwrap().gate.policy);
}

#[test]
fn bombs_and_bulk_are_refused_without_effort() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    for text in [
        format!("{bomb}{MINIMAL}"),
        MINIMAL.replacen("routes:\n", &format!("routes:\n{}", "  - {path: /a, action: \"a:b\"}\n".repeat(20_000)), 1),
        format!("version: {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
    ] {
        let error = load(&text).unwrap_err();
        assert!(error.problem.len() < 200, "{error}");
    }
    let bulk = load(&format!("{MINIMAL}# {}\n", "x".repeat(10 * 1024 * 1024))).unwrap_err();
    assert!(bulk.problem.contains("1 MiB"), "{bulk}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let (_folder, path) = folder("");
    assert!(Config::load(&path).is_err());
    fs::write(&path, [0xff, 0xfe, b'a']).unwrap();
    assert!(Config::load(&path).unwrap_err().problem.contains("UTF-8"));
    fs::write(&path, "version: 1\0").unwrap();
    assert!(Config::load(&path).is_err());
    assert!(Config::load(Path::new("/nowhere/passgate.yml")).unwrap_err().remedy.unwrap().contains("passgate init"));
    assert!(Config::load(path.parent().unwrap()).is_err());
}

#[test]
fn key_files_with_private_or_no_keys_are_refused() {
    let (folder, path) = folder(MINIMAL);
    let keys = folder.path().join("issuers/acme.jwks.json");
    let private = SecretKey::from_seed([1; 32]).to_private_jwk();
    for (text, needle) in [
        (format!("{{\"keys\":[{}]}}", private.as_str()), "private"),
        ("{\"keys\":[]}".to_owned(), "no Ed25519 key"),
        ("not json".to_owned(), "not usable"),
        (" ".repeat(70_000), "not usable"),
    ] {
        fs::write(&keys, text).unwrap();
        let error = Config::load(&path).unwrap_err();
        assert_eq!(error.member.as_deref(), Some("issuers[0].keys_file"));
        assert!(error.problem.contains(needle), "{error}");
        assert!(!error.to_string().contains("\"d\""), "{error}");
    }
}

#[test]
fn a_link_to_a_configuration_is_followed_and_told() {
    let (real, path) = folder(MINIMAL);
    let (linked, link) = folder("");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let loaded = Config::load(&link).unwrap();
    assert_eq!(loaded.path, link);
    assert_eq!(loaded.resolved_path, real.path().join(FILE_NAME).canonicalize().unwrap());
    assert!(loaded.paths.attestation_key.starts_with(linked.path()));
}

#[test]
fn a_socket_path_that_no_system_takes_is_refused() {
    let long = format!("control: {{socket: {}/s}}\nupstream:", "d".repeat(100));
    let error = load(&MINIMAL.replacen("upstream:", &long, 1)).unwrap_err();
    assert_eq!(error.member.as_deref(), Some("control.socket"));
}

#[test]
fn discovery_goes_from_the_flag_outwards() {
    let (folder, path) = folder(MINIMAL);
    let deep = folder.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    let user = tempfile::tempdir().unwrap();
    let own = user.path().join("passgate").join(FILE_NAME);
    fs::create_dir(own.parent().unwrap()).unwrap();
    fs::write(&own, MINIMAL).unwrap();
    let xdg = |name: &str| (name == "XDG_CONFIG_HOME").then(|| user.path().into());
    let both = |name: &str| xdg(name).or_else(|| (name == FILE_VARIABLE).then(|| "/named.yml".into()));

    assert_eq!(discover(Some(Path::new("/flag.yml")), &deep, both).unwrap(), Path::new("/flag.yml"));
    assert_eq!(discover(None, &deep, both).unwrap(), Path::new("/named.yml"));
    assert_eq!(discover(None, &deep, xdg).unwrap(), path);
    assert_eq!(discover(None, user.path(), xdg).unwrap(), own);
    assert!(discover(None, user.path(), |_| None).is_err());
}

#[test]
fn the_schema_knows_every_member_and_refuses_others() {
    let schema = schema();
    let members = schema["properties"].as_object().unwrap();
    let config = serde_json::to_value(load(MINIMAL).unwrap().config).unwrap();
    for name in config.as_object().unwrap().keys() {
        assert!(members.contains_key(name), "{name}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version", "gate", "routes", "upstream", "attestation"]));
}

#[test]
fn a_member_without_a_value_is_not_a_member_left_out() {
    let minute = "rate_limits: {requests_per_minute: 10}";
    let domains = "allowed_domains: [api.example.com, \"*.example.org\"]";
    let guardrails = format!("\n  {minute}\n  {domains}\n");
    let in_guardrails = |text: &str| format!("{minute}\n  {text}");
    let at_top = |text: &str| ("upstream:", format!("{text}\nupstream:"));
    let route = "action: \"web:search\"";
    let rows = [
        (guardrails.as_str(), "\n".to_owned(), "guardrails"),
        (minute, "rate_limits:".to_owned(), "guardrails.rate_limits"),
        (minute, "rate_limits: {requests_per_minute: }".to_owned(), "guardrails.rate_limits.requests_per_minute"),
        (minute, "rate_limits: {requests_per_hour: ~}".to_owned(), "guardrails.rate_limits.requests_per_hour"),
        (minute, "rate_limits: {requests_per_day}".to_owned(), "guardrails.rate_limits.requests_per_day"),
        (minute, "rate_limits: {per_gate: }".to_owned(), "guardrails.rate_limits.per_gate"),
        (minute, "rate_limits: {per_tenant: null}".to_owned(), "guardrails.rate_limits.per_tenant"),
        (
            minute,
            "rate_limits: {per_action: {requests_per_minute: }}".to_owned(),
            "guardrails.rate_limits.per_action.requests_per_minute",
        ),
        (domains, "allowed_domains:\n    # - api.example.com".to_owned(), "guardrails.allowed_domains"),
        (domains, "allowed_domains: [api.example.com, ~]".to_owned(), "guardrails.allowed_domains[1]"),
        (minute, in_guardrails("spend_limits:"), "guardrails.spend_limits"),
        (
            minute,
            in_guardrails("spend_limits: {per_transaction_usd: ~}"),
            "guardrails.spend_limits.per_transaction_usd",
        ),
        (minute, in_guardrails("spend_limits: {daily_usd: }"), "guardrails.spend_limits.daily_usd"),
        (minute, in_guardrails("spend_limits: {monthly_usd: Null}"), "guardrails.spend_limits.monthly_usd"),
        (minute, in_guardrails("approval_workflows:"), "guardrails.approval_workflows"),
        (
            minute,
            in_guardrails("approval_workflows: {require_approval_above_usd: NULL}"),
            "guardrails.approval_workflows.require_approval_above_usd",
        ),
        (route, format!("{route}, domain: "), "routes[0].domain"),
        (route, format!("{route}, amount: "), "routes[0].amount"),
        ("method: GET", "method: ".to_owned(), "routes[0].method"),
        ("version: 1", "version: !!null ''".to_owned(), "version"),
    ];
    let top = ["server:", "server: {max_body_bytes: }", "store:", "store: {path: ~}", "control: {metrics_listen: }"]
        .into_iter()
        .chain(["self_issued:", "log: {format: }", "log:"])
        .map(at_top);
    let rows = rows.into_iter().map(|(from, to, member)| (from, to, Some(member)));
    for (from, to, member) in rows.chain(top.map(|(from, to)| (from, to, None))) {
        let text = error_of(from, &to);
        assert!(text.ends_with(": has no value; remove the key or give a value"), "{to}: {text}");
        assert!(member.is_none_or(|member| text.contains(&format!(": {member}: "))), "{to}: {text}");
    }
    for explicit in ["{}", "{rate_limits: {}}", "{allowed_domains: []}"] {
        load(&MINIMAL.replacen(&guardrails, &format!(" {explicit}\n"), 1)).unwrap();
    }
}

#[test]
fn what_everyone_can_change_is_refused() {
    let (folder, path) = folder(MINIMAL);
    for (file, member) in
        [(path.clone(), None), (folder.path().join("issuers/acme.jwks.json"), Some("issuers[0].keys_file"))]
    {
        for mode in [0o666, 0o602] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let error = Config::load(&path).unwrap_err();
            assert_eq!(error.member.as_deref(), member);
            assert!(error.to_string().contains("chmod o-w"), "{error}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        Config::load(&path).unwrap();
    }
}
