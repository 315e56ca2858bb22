//! The helpers, natively.

use serde_json::Value;

use super::testing::{facts, logged, request, set_key};
use super::*;

/// Answers as its configuration says.
struct Echo;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    deny: Option<String>,
    step_up: Option<String>,
}

impl Plugin for Echo {
    type Config = Config;

    fn describe() -> Description {
        describe!("Answers as it is told")
    }

    fn evaluate(_: &Request, _: &Facts, config: &Config) -> Result<Verdict, Deny> {
        match (&config.deny, &config.step_up) {
            (Some(reason), _) => deny(reason),
            (None, Some(reason)) => step_up(&["finance".to_owned()], reason),
            (None, None) => Ok(Verdict::Abstain),
        }
    }
}

fn judged(config: &str) -> Verdict {
    judge::<Echo>(&request("/", ""), &facts("web:search", config))
}

fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plugin_takes_its_name_and_version_from_its_crate() {
    let description = Echo::describe();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("passgate-plugin", "0.1.0"));
}

#[test]
fn a_configuration_that_does_not_fit_is_a_deny() {
    for config in ["null", "[]", r#"{"denny": "x"}"#, r#"{"deny": 1}"#, "{", ""] {
        let reason = denied(judged(config));
        assert!(reason.starts_with("the plugin's configuration does not fit: "), "{config}: {reason}");
    }
    assert!(matches!(judged("{}"), Verdict::Abstain));
}

#[test]
fn reasons_stay_within_what_the_gate_takes() {
    let config = |member: &str, reason: &str| serde_json::json!({ member: reason }).to_string();
    for (reason, told) in
        [("plain", "plain"), (" a\n\u{1b}b ", "a  b"), ("", "no reason given"), ("\n", "no reason given")]
    {
        assert_eq!(denied(judged(&config("deny", reason))), told);
    }
    let long = "ä".repeat(200);
    assert_eq!(denied(judged(&config("deny", &format!("x{long}")))), format!("x{}", "ä".repeat(127)));
    match judged(&config("step_up", &long)) {
        Verdict::StepUp(obligation) => {
            assert_eq!((obligation.reason, obligation.roles), ("ä".repeat(128), vec!["finance".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn headers_are_found_in_any_case_and_have_one_reading() {
    let mut asked = request("/", "");
    let mut add = |name: &str, value: &str| {
        asked.headers.push(Header { name: name.to_owned(), value: value.to_owned() });
        asked.clone()
    };
    let one = add("content-type", "application/json");
    assert_eq!(one.header("Content-Type"), Ok(Some("application/json")));
    assert_eq!(one.header("accept"), Ok(None));
    assert_eq!(
        add("content-type", "text/plain").header("content-type").unwrap_err().reason().to_owned(),
        "the header content-type stands twice"
    );
}

#[test]
fn a_body_with_two_readings_is_refused() {
    for body in [r#"{"a": 1, "a": 2}"#, r#"[{"b": {"a": 1, "c": [], "a": 1}}]"#, r#"{"a": 1, "\u0061": 2}"#] {
        let refused = request("/", body).json::<Value>().unwrap_err().reason().to_owned();
        assert!(refused.contains("the member `a` stands twice"), "{body}: {refused}");
    }
    for body in ["", "{", "{} {}", "\u{feff}{}", "{'a': 1}"] {
        assert!(request("/", body).json::<Value>().is_err(), "{body}");
    }
    let body = r#"{"a": [1, -1, 1.5, true, null, "x", {"a": {"a": 1}}]}"#;
    assert_eq!(request("/", body).json::<Value>().unwrap(), serde_json::from_str::<Value>(body).unwrap());
    assert!(request("/", &"[".repeat(10_000)).json::<Value>().is_err());
}

#[test]
fn keys_and_log_work_natively() {
    assert_eq!(keys::get("freeze"), None);
    set_key("freeze", "2026-01-01");
    assert_eq!(keys::get("freeze").as_deref(), Some(&b"2026-01-01"[..]));
    log::warn(format_args!("{} left", 3));
    assert_eq!(logged(), [(log::Level::Warn, "3 left".to_owned())]);
}
