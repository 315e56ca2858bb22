//! Policy plugins, from an empty folder to a signed component. The tools of each language have to be there.

use std::fs;
use std::path::{Path, PathBuf};

use passgate_passport::plugin_signature::{POLICY_WORLD, verify};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Run, command, finished, run};

/// Runs the program with the tools of the languages: they keep what they download at home.
fn run_with_tools(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = command(folder, arguments);
    command.env("HOME", std::env::var_os("HOME").unwrap());
    // Crates are compiled once for all tests.
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins"));
    finished(command.output().unwrap())
}

/// How fast the machine is must not matter.
const PATIENT: [&str; 4] = ["--limit", "deadline_ms=10000", "--limit", "compile_timeout_ms=600000"];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").join(name)
}

/// Runs a project's cases, and gives what they said.
fn tested(folder: &Path, project: &str, exit: i32) -> Value {
    let test = ["--format", "json", "plugin", "test", project];
    run_with_tools(folder, &[&test[..], &PATIENT].concat()).exits(exit).json()
}

/// Makes a project in the language, and runs its cases.
fn new_and_test(language: &str) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["plugin", "new", "demo", "--lang", language]).exits(0);
    assert_eq!(made.stdout, "demo\n");
    assert!(made.stderr.contains("passgate plugin test demo"), "{}", made.stderr);
    let result = tested(folder.path(), "demo", 0);
    assert_eq!((&result["passed"], &result["failed"]), (&json!(5), &json!(0)), "{result}");
    (folder, result)
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_rust_plugin_from_an_empty_folder_to_a_signature() {
    let (folder, result) = new_and_test("rust");
    let folder = folder.path();
    let again = run(folder, &["--format", "json", "plugin", "new", "demo", "--lang", "rust"]).exits(1);
    assert_eq!(again.error()["code"], "file_exists");

    let inspect = ["--format", "json", "plugin", "inspect", "demo/plugin.wasm"];
    let inspected = run(folder, &[&inspect[..], &PATIENT].concat()).exits(0).json();
    assert_eq!(inspected["digest"], result["digest"]);
    assert_eq!((&inspected["name"], &inspected["version"]), (&json!("demo"), &json!("0.1.0")));
    assert_eq!(inspected["grants"], json!([]));
    assert_eq!((&inspected["limits"]["deadline_ms"], &inspected["limits"]["host_calls"]), (&json!(10_000), &json!(64)));
    assert!(inspected["exports"].as_array().unwrap().contains(&json!("passgate:policy/plugin@0.1.0")));
    let inspect = ["plugin", "inspect", "demo/plugin.wasm", "--limit", "fuel=20000000"];
    let shown = run(folder, &[&inspect[..], &PATIENT].concat()).exits(0);
    assert!(shown.stdout.contains("fuel 20000000") && shown.stderr.contains("sha256: \"sha256:"), "{shown:?}");

    run(folder, &["keys", "generate", "--out", "plugins.jwk"]).exits(0);
    let sign = ["--format", "json", "plugin", "sign", "demo/plugin.wasm", "--key", "plugins.jwk"];
    let sign = [&sign[..], &PATIENT].concat();
    let signed = run(folder, &sign).exits(0).json();
    assert_eq!(run(folder, &sign).exits(1).error()["code"], "file_exists");
    let key = fs::read(folder.join("plugins.jwk")).unwrap();
    let key = passgate_passport::key::SecretKey::from_private_jwk(key.trim_ascii()).unwrap();
    let jws = fs::read_to_string(folder.join("demo/plugin.wasm.jws")).unwrap();
    let sha256 = Sha256::digest(fs::read(folder.join("demo/plugin.wasm")).unwrap()).into();
    let claims = verify(jws.trim(), &sha256, POLICY_WORLD, &[key.public().clone()]).unwrap();
    assert_eq!((json!(claims.name), json!(claims.version)), (signed["name"].clone(), signed["version"].clone()));

    cases_that_fail_and_files_that_are_none(folder);
}

fn cases_that_fail_and_files_that_are_none(folder: &Path) {
    let component = [&["plugin", "test", "demo/plugin.wasm", "--cases", "cases.yml"][..], &PATIENT].concat();
    let cases = folder.join("cases.yml");
    fs::copy(folder.join("demo/cases.yml"), &cases).unwrap();
    replace(&cases, "is no known shop", "is a well known shop");
    let failed = run(folder, &component).exits(2);
    assert!(failed.stdout.contains("FAIL  an unknown shop"), "{}", failed.stdout);
    assert!(failed.stdout.contains("expected {") && failed.stdout.contains("evil.example is no known shop"));
    assert!(failed.stdout.ends_with("4 passed, 1 failed\n"), "{}", failed.stdout);

    for (text, told) in [
        ("cases: []", "cases: is empty"),
        ("cases:\n  - { name: a, expect: {} }", "cases[0].expect: expects nothing"),
        ("cases:\n  - { name: a, expects: {} }", "cases.yml:2:"),
        ("cases:\n  - { name: a, expects: {} }", "did you mean `expect`?"),
        ("cases:\n  - { name: a, expect: { verdict: allow } }", "unknown value `allow`"),
        ("cases:\n  - { name: a, now: tomorrow, expect: { verdict: deny } }", "`tomorrow` is no time"),
        ("limits: { fule: 1 }\ncases:\n  - { name: a, expect: { verdict: deny } }", "did you mean `fuel`?"),
    ] {
        fs::write(&cases, text).unwrap();
        let refused = run(folder, &component).exits(3);
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    // Enough fuel to say who it is, and too little to read this.
    let config = r#"{"shops": ["#.to_owned() + &vec!["\"a\""; 5_000].join(",") + r#"], "approve_above_usd": 1}"#;
    fs::write(&cases, format!("limits: {{ fuel: 100000 }}\ncases:\n  - {{ name: a, config: {config}, expect: {{ outcome: fuel_exhausted }} }}")).unwrap();
    run(folder, &component).exits(0);
}

#[test]
fn what_is_no_plugin_is_not_run_shown_or_signed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(folder.join("cases.yml"), "cases:\n  - { name: a, expect: { verdict: abstain } }").unwrap();
    run(folder, &["keys", "generate", "--out", "k.jwk"]).exits(0);
    for (arguments, exit) in [
        (&["plugin", "test", "core.wasm"][..], 1),
        (&["plugin", "inspect", "core.wasm"], 3),
        (&["plugin", "inspect", "missing.wasm"], 3),
        (&["plugin", "sign", "core.wasm", "--key", "k.jwk"], 3),
    ] {
        let refused = run(folder, &[arguments, &["--format", "json"]].concat()).exits(exit);
        assert_eq!(refused.error()["code"], "plugin_refused", "{arguments:?}");
    }
    assert!(!folder.join("core.wasm.jws").exists());
    for arguments in [
        &["plugin", "new", "Demo", "--lang", "rust"][..],
        &["plugin", "new", "demo", "--lang", "cobol"],
        &["plugin", "new", "no/such/demo", "--lang", "rust"],
        &["plugin", "build", "."],
        &["plugin", "inspect", "core.wasm", "--limit", "fuel"],
        &["plugin", "inspect", "core.wasm", "--limit", "fule=1"],
        &["plugin", "inspect", "core.wasm", "--limit", "deadline_ms=99999999999"],
    ] {
        run(folder, arguments).exits(1);
    }
}

#[test]
fn the_examples_in_rust_pass_their_cases() {
    let folder = tempfile::tempdir().unwrap();
    for (name, grants) in [("business-hours", json!(["keys"])), ("outbound-mail", json!([])), ("sql-guard", json!([]))]
    {
        let project = example(name);
        let result = tested(folder.path(), project.to_str().unwrap(), 0);
        assert_eq!(result["failed"], 0, "{result}");
        let component = project.join("plugin.wasm");
        let inspect = ["--format", "json", "plugin", "inspect", component.to_str().unwrap()];
        let inspected = run(folder.path(), &[&inspect[..], &PATIENT].concat()).exits(0).json();
        assert_eq!((&inspected["name"], &inspected["grants"]), (&json!(name), &grants));
    }
}

#[test]
fn a_javascript_plugin_and_the_example() {
    new_and_test("js");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(tested(folder.path(), example("weekday-amounts").to_str().unwrap(), 0)["failed"], 0);
}

#[test]
fn a_python_plugin_and_the_example() {
    new_and_test("python");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(tested(folder.path(), example("currencies").to_str().unwrap(), 0)["failed"], 0);
}
