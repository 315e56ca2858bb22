//! Which components are taken into use, and what a host says of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use passgate_core::plugin::{PluginOutcome, PluginVerdict};
use passgate_host::config::{PluginGrant, PluginLimitsDoc};
use passgate_host::plugins::{BreakerState, Trial, inspect};
use serde_json::{Value, json};

use crate::guest::{Guest, SUMMARY, TEXT, verdict};
use crate::support::{Keys, Loaded, Plugins, question};

/// Why a component is not taken into use.
async fn refusal(component: &[u8], more: Value) -> String {
    let mut plugins = Plugins::new();
    plugins.add("plugin", component, more);
    let file = plugins.path("plugin.wasm");
    let error = plugins.load().await.err().expect("it was loaded");
    assert_eq!((error.plugin.as_str(), &error.file), ("plugin", &file));
    assert!(!error.remedy.is_empty() && !error.to_string().contains('\n'), "{error}");
    error.problem
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_its_reason() {
    let newer = Guest { world: "0.2.0", ..Guest::good() };
    let other_export = wat::parse_str(r#"(component (core module) (instance $i) (export "a:b/c" (instance $i)))"#);
    let wrong_type =
        wat::parse_str(r#"(component (instance $i) (export "passgate:policy/plugin@0.1.0" (instance $i)))"#);
    let mut truncated = Guest::good().component();
    truncated.truncate(truncated.len() - 7);
    for (component, problem) in [
        (Guest::good().module(), "core module"),
        (b"MZ".to_vec(), "no WebAssembly component"),
        (Vec::new(), "no WebAssembly component"),
        (b"\x7fELF\x02\x01\x01\xc8compiled before".to_vec(), "no WebAssembly component"),
        (truncated, "malformed"),
        (newer.component(), "made for passgate:policy@0.2.0"),
        (other_export.unwrap(), "does not export passgate:policy/plugin@0.1.0"),
        (wrong_type.unwrap(), "does not fit the world"),
    ] {
        let given = refusal(&component, json!({})).await;
        assert!(given.contains(problem), "{given}");
    }
}

#[tokio::test]
async fn what_is_imported_has_to_be_granted() {
    for (import, problem) in [
        (r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance))"#, "wasi:clocks/monotonic-clock@0.2.0"),
        (r#"(import "wasi:random/random@0.2.0" (instance))"#, "wasi:random/random@0.2.0"),
        (r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#, "wasi:sockets/tcp@0.2.0"),
        (r#"(import "run" (func))"#, "run"),
        (r#"(import "passgate:policy/admin@0.1.0" (instance))"#, "passgate:policy/admin@0.1.0"),
        (r#"(import "passgate:policy/log@0.1.1" (instance))"#, "made for passgate:policy@0.1.1"),
        (r#"(import "passgate:policy/keys@0.1.0" (instance))"#, "not granted: keys"),
    ] {
        let guest = Guest { foreign: import.to_owned(), ..Guest::good() };
        let given = refusal(&guest.component(), json!({"grants": ["log"]})).await;
        assert!(given.contains(problem), "{given}");
    }
    for name in ["log", "keys"] {
        let guest = Guest::good().with_imports(&[name]).component();
        let other = if name == "log" { "keys" } else { "log" };
        let given = refusal(&guest, json!({"grants": [other]})).await;
        assert!(given.contains(&format!("not granted: {name}")), "{given}");
        let mut plugins = Plugins::new();
        plugins.add("plugin", &guest, json!({"grants": [name]}));
        let record = plugins.load().await.unwrap().ask_one("a:b").await;
        assert_eq!(record.outcome, PluginOutcome::Answered);
    }
    let types = r#"(import "passgate:policy/types@0.1.0" (instance (export "now" (func (result u64)))))"#;
    let text = format!(r#"(component {types} (instance $i) (export "passgate:policy/plugin@0.1.0" (instance $i)))"#);
    let given = refusal(&wat::parse_str(text).unwrap(), json!({})).await;
    assert!(given.contains("does not fit the world"), "functions are no types: {given}");
}

#[tokio::test]
async fn bombs_are_refused_before_they_are_compiled() {
    let nested = |what: &str, count: usize| wat::parse_str(format!("(component {})", what.repeat(count))).unwrap();
    for (component, problem) in [
        (with_functions(100_001, 0), "100001 functions"),
        (with_functions(1, 1024 * 1024), "bytes of code in one function"),
        (with_functions(50, 1_000_000), "bytes of code"),
        (nested("(core module)", 65), "65 modules"),
        (nested("(component)", 65), "65 modules"),
        (instances(257), "257 instances"),
        (types(20_001), "20001 types"),
    ] {
        let given = refusal(&component, json!({})).await;
        assert!(given.contains(problem), "{given}");
    }
    let given = refusal(&with_functions(50, 1_000_000), json!({"limits": {"component_bytes": 33_554_432}})).await;
    assert!(given.contains("longer than 33554432 bytes"), "{given}");
}

/// A component with a module of so many functions, each of so many instructions that do nothing.
fn with_functions(count: usize, instructions: usize) -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id], leb128(content.len()).as_slice(), content].concat();
    let body = [[0].as_slice(), &vec![1; instructions], &[0x0b]].concat();
    let code = [leb128(body.len()), body].concat().repeat(count);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(3, &[leb128(count), vec![0; count]].concat()),
        section(10, &[leb128(count), code].concat()),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn instances(count: usize) -> Vec<u8> {
    let instances = "(core instance (instantiate $m))".repeat(count);
    wat::parse_str(format!("(component (core module $m) {instances})")).unwrap()
}

/// So many types of functions, in one group.
fn types(count: usize) -> Vec<u8> {
    let one = |bits: usize| {
        let parameters: Vec<_> = (0..15).map(|bit| if bits >> bit & 1 == 1 { "i32" } else { "i64" }).collect();
        format!("(type (func (param {})))", parameters.join(" "))
    };
    let all: String = (0..count).map(one).collect();
    wat::parse_str(format!("(component (core module (rec {all})))")).unwrap()
}

#[tokio::test]
async fn a_component_with_resources_of_its_own_is_refused() {
    let resource = r#"(type $r (resource (rep i32))) (core func (canon resource.new $r))"#;
    let guest = Guest { foreign: resource.to_owned(), ..Guest::good() };
    let given = refusal(&guest.component(), json!({})).await;
    assert!(given.contains("ResourceNew"), "{given}");
}

#[tokio::test]
async fn what_wants_too_much_from_the_start_is_refused() {
    let large = Guest::good().with_fields("(memory $more 4096)");
    for (guest, problem) in [
        (Guest::good().with_fields("(table 30000 funcref)"), "table_elements"),
        (Guest { describe: "(loop $again (br $again))".to_owned(), ..Guest::good() }, "FuelExhausted"),
        (Guest { describe: "(unreachable)".to_owned(), ..Guest::good() }, "Trapped"),
        (Guest { version: "one".to_owned(), ..Guest::good() }, "semantic version"),
        (Guest::good().with_fields("(func $start (loop $again (br $again))) (start $start)"), "FuelExhausted"),
    ] {
        let given = refusal(&guest.component(), json!({})).await;
        assert!(given.contains(problem), "{given}");
    }
    assert!(!refusal(&large.component(), json!({})).await.is_empty(), "a memory of 256 MiB");
}

#[tokio::test]
async fn the_file_has_to_be_the_one_that_is_pinned() {
    let other = format!("sha256:{}", "0".repeat(64));
    let given = refusal(&Guest::good().component(), json!({"sha256": other})).await;
    assert!(given.contains(&other), "{given}");

    let mut plugins = Plugins::new();
    plugins.add("plugin", &Guest::good().component(), json!({}));
    fs::set_permissions(plugins.path("plugin.wasm"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(plugins.load().await.err().unwrap().problem.contains("changed by every user"));

    let mut plugins = Plugins::new();
    plugins.add("plugin", &Guest::good().component(), json!({}));
    fs::remove_file(plugins.path("plugin.wasm")).unwrap();
    assert!(plugins.load().await.err().unwrap().problem.contains("cannot be read"));
}

#[tokio::test]
async fn the_limits_in_force_are_told_as_they_are() {
    let config = json!({"a": 1});
    let more = json!({"grants": ["log"], "actions": ["payments:*"], "config": config, "limits": {"fuel": 123_456}});
    let loaded = Loaded::with(&Guest::good(), more).await;
    let [status] = loaded.host.status().try_into().unwrap();
    assert_eq!(status.limits, PluginLimitsDoc { fuel: 123_456, deadline_ms: 10_000, ..PluginLimitsDoc::default() });
    assert_eq!((status.name.as_str(), status.declared_name.as_str()), ("plugin", "guest"));
    assert_eq!((status.version.as_str(), status.summary.as_str()), ("1.0.0", SUMMARY));
    assert_eq!(status.grants, [PluginGrant::Log]);
    assert_eq!(status.actions, Some(vec!["payments:*".to_owned()]));
    assert_eq!((status.breaker, status.refused_reload), (BreakerState::Closed, None));
    let record = loaded.ask_one("payments:create").await;
    assert_eq!((record.digest, record.config_sha256), (status.digest, status.config_sha256));
    // What is told is what a call has.
    let spin = Guest::new("(loop $again (br $again)) (unreachable)");
    let spinning = Loaded::with(&spin, json!({"limits": {"fuel": 123_456}})).await.ask_one("a:b").await;
    assert_eq!((spinning.outcome, spinning.fuel), (PluginOutcome::FuelExhausted, 123_456));
}

#[tokio::test]
async fn a_component_can_be_inspected_and_tried_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limit.wasm");
    let read = format!("(call $keys (i32.const {TEXT}) (i32.const 5) (i32.const 512))");
    let answer = verdict(1, "i32.load (i32.const 516)", "i32.load (i32.const 520)");
    let guest = Guest::new(&format!("{read} {answer}")).with_text("limit").with_imports(&["keys"]);
    fs::write(&path, guest.component()).unwrap();

    let limits = PluginLimitsDoc { deadline_ms: 10_000, ..PluginLimitsDoc::default() };
    let inspected = inspect(&path, limits.clone()).await.unwrap();
    assert_eq!((inspected.name.as_str(), inspected.version.as_str()), ("guest", "1.0.0"));
    assert_eq!(inspected.imports, ["passgate:policy/types@0.1.0", "passgate:policy/keys@0.1.0"]);
    assert_eq!(inspected.exports, ["passgate:policy/plugin@0.1.0"]);
    assert_eq!((inspected.grants, &inspected.limits), (vec![PluginGrant::Keys], &limits));
    assert_eq!(inspected.bytes, guest.component().len() as u64);

    let keys = Arc::new(Keys([(("limit".to_owned(), "limit".to_owned()), b"seven".to_vec())].into()));
    let trial = Trial::load(&path, limits.clone(), keys).await.unwrap();
    let (record, problem) = trial.evaluate(&question("a:b"), &json!({"a": 1})).await.unwrap();
    assert_eq!((record.verdict, problem), (Some(PluginVerdict::Deny), None));
    assert_eq!((record.reason.as_deref(), record.digest), (Some("seven"), inspected.digest));
    let (configured, _) = trial.evaluate(&question("a:b"), &json!({"a": 2})).await.unwrap();
    assert_ne!(configured.config_sha256, record.config_sha256);

    let unlimited = PluginLimitsDoc { fuel: u64::MAX, ..limits.clone() };
    assert!(Trial::load(&path, unlimited, Arc::new(Keys::default())).await.is_err());

    fs::write(&path, Guest::new("(unreachable)").component()).unwrap();
    let trial = Trial::load(&path, limits, Arc::new(Keys::default())).await.unwrap();
    for _ in 0..10 {
        let (record, problem) = trial.evaluate(&question("a:b"), &Value::Null).await.unwrap();
        assert_eq!(record.outcome, PluginOutcome::Trapped, "it is called however often it fails");
        assert!(problem.unwrap().contains("unreachable"));
    }
}
