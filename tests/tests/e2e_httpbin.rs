//! The gateway in front of httpbin, driven by two clients: `passgate call`, and a Python program that builds its
//! signatures with the PyPI package http-message-signatures.
#![cfg(test)]

use std::process::Command;

use passgate_tests::program::{Running, free_port, python, python_client};
use passgate_tests::site::{Agent, Site};
use serde_json::{Value, json};

const ROUTES: &str = "  - {method: GET, path: '/anything/search', action: 'web:search'}
  - {method: POST, path: '/anything/pay', action: 'payments:create', amount: {pointer: /amount_usd}}
  - {method: DELETE, path: '/anything/records/{id}', action: 'records:delete'}
  - {method: GET, path: '/redirect-to', action: 'web:search'}
  - {method: GET, path: '/status/{code}', action: 'web:search'}
  - {method: GET, path: '/stream-bytes/{count}', action: 'web:search'}";
const GUARDRAILS: &str = "  spend_limits: {per_transaction_usd: 100}
  approval_workflows: {require_approval_above_usd: 50}";

struct Setup {
    _httpbin: Running,
    site: Site,
    agent: Agent,
}

fn setup() -> Setup {
    let port = free_port().unwrap();
    let mut command = Command::new(python().unwrap());
    command.args(["-m", "waitress", "--listen", &format!("127.0.0.1:{port}"), "httpbin:app"]);
    let mut httpbin = Running::start(&mut command).unwrap();
    httpbin.wait_for_port(port).unwrap();
    let site = Site::new(&format!("http://127.0.0.1:{port}"), ROUTES, GUARDRAILS).unwrap();
    let agent = site.agent("agent-e2e", &["web:*", "payments:*"]).unwrap();
    site.start().unwrap();
    Setup { _httpbin: httpbin, site, agent }
}

/// What httpbin says it received; names in lower case.
fn echoed(body: &str) -> (Value, serde_json::Map<String, Value>) {
    let echo: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let headers = echo["headers"].as_object().unwrap();
    let headers = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    (echo, headers)
}

fn check_stripped(headers: &serde_json::Map<String, Value>) {
    for name in ["agent-passport", "signature", "signature-input", "x-http-method-override", "passgate-decision"] {
        assert!(!headers.contains_key(name), "{name} reached httpbin");
    }
}

#[test]
fn our_own_client() {
    let Setup { site, agent, _httpbin } = setup();
    let credentials = agent.file();
    let call = |arguments: &[&str]| site.run(&[&["call", "--credentials", &credentials], arguments].concat()).unwrap();
    let target = "/anything/search?q=caf%C3%A9&b=%2F&b=2&empty=";
    let claims = ["x-http-method-override: DELETE", "passgate-decision: allow", "x-forwarded-for: 192.0.2.1"];
    let claims: Vec<&str> = claims.iter().flat_map(|claim| ["-H", *claim]).collect();
    let allowed = call(&[&[site.url(target).as_str(), "-H", "x-note: kept"], claims.as_slice()].concat());
    assert_eq!(allowed.status.code(), Some(0), "{}", String::from_utf8_lossy(&allowed.stderr));
    let (echo, headers) = echoed(&String::from_utf8(allowed.stdout).unwrap());
    assert_eq!(echo["method"], "GET");
    assert_eq!(echo["args"], json!({ "q": "caf\u{e9}", "b": ["/", "2"], "empty": "" }));
    assert_eq!(headers["x-note"], "kept");
    assert!(!echo.to_string().contains("192.0.2.1"), "a claim about the client's address reached httpbin");
    check_stripped(&headers);

    let body = "{ \"amount_usd\": 12.50,\t\"note\": \"caf\u{e9} \\u0000\" }";
    let json_type = ["-X", "POST", "-H", "content-type: application/json"];
    let pay = |body: &str| call(&[&[site.url("/anything/pay").as_str(), "-d", body], json_type.as_slice()].concat());
    let paid = pay(body);
    assert_eq!(paid.status.code(), Some(0), "{}", String::from_utf8_lossy(&paid.stderr));
    let (echo, headers) = echoed(&String::from_utf8(paid.stdout).unwrap());
    assert_eq!(echo["data"], body, "the body reached httpbin byte for byte");
    assert_eq!(headers["content-length"], body.len().to_string());
    check_stripped(&headers);

    assert_eq!(pay("{\"amount_usd\":51}").status.code(), Some(4));
    assert_eq!(pay("{\"amount_usd\":101}").status.code(), Some(2));
    assert_eq!(call(&[&site.url("/anything/records/7"), "-X", "DELETE"]).status.code(), Some(2));
    assert_eq!(call(&[&site.url("/anything/unknown")]).status.code(), Some(2));
    assert_eq!(call(&[&site.url("/anything/search"), "--replay", "1"]).status.code(), Some(5));
}

#[test]
fn responses_come_back_as_they_are() {
    let Setup { site, agent, _httpbin } = setup();
    let order = |target: &str| json!({ "method": "GET", "url": site.url(target) });
    let targets = ["/redirect-to?url=http%3A%2F%2Fevil.example%2F", "/status/418", "/stream-bytes/70000?seed=1"];
    let answers = python_client_answers(&agent, json!(targets.map(order)));
    let [redirect, teapot, bytes] = [0, 1, 2].map(|number: usize| &answers[number][0]);
    assert_eq!(
        (redirect["status"].as_u64(), redirect["headers"]["location"].as_str()),
        (Some(302), Some("http://evil.example/"))
    );
    assert_eq!(teapot["status"], 418);
    assert_eq!(bytes["status"], 200);
    for answer in [redirect, teapot, bytes] {
        assert_eq!(answer["headers"]["passgate-decision"], "allow");
        assert!(answer["headers"]["passgate-attestation"].as_str().unwrap().starts_with("att_"));
    }
}

fn python_client_answers(agent: &Agent, requests: Value) -> Value {
    let job = json!({ "credentials": agent.file(), "requests": requests });
    serde_json::from_str(&python_client("http_message_signatures_client.py", &[], &job).unwrap()).unwrap()
}

#[test]
fn a_client_with_another_signature_library() {
    let Setup { site, agent, _httpbin } = setup();
    let target = "/anything/search?q=caf%C3%A9&b=%2F&b=2&empty=";
    let body = "{ \"amount_usd\": 12.50,\t\"note\": \"x\" }";
    let json_type = json!({ "Content-Type": "application/json" });
    let pay = |amount: u32| {
        let body = format!("{{\"amount_usd\":{amount}}}");
        json!({ "method": "POST", "url": site.url("/anything/pay"), "headers": json_type, "body": body })
    };
    let answers = python_client_answers(
        &agent,
        json!([
            { "method": "GET", "url": site.url(target), "headers": { "X-Note": "kept", "X-Real-Ip": "127.0.0.1" }, "times": 3 },
            { "method": "POST", "url": site.url("/anything/pay"), "headers": json_type, "body": body },
            pay(51),
            pay(101),
            { "method": "DELETE", "url": site.url("/anything/records/7") },
            { "method": "GET", "url": site.url("/anything/search"), "tamper": "Signature-Input" },
            { "method": "GET", "url": site.url("/anything/search"), "tamper": "Agent-Passport" },
        ]),
    );
    let seen = |request: usize, time: usize| {
        let answer = &answers[request][time];
        (
            answer["status"].as_u64().unwrap(),
            answer["headers"]["passgate-decision"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let expected = [
        ((0, 0), 200, "allow"),
        ((0, 1), 401, "deny"),
        ((0, 2), 401, "deny"),
        ((1, 0), 200, "allow"),
        ((2, 0), 403, "step_up"),
        ((3, 0), 403, "deny"),
        ((4, 0), 403, "deny"),
        ((5, 0), 401, "deny"),
        ((6, 0), 401, "deny"),
    ];
    for ((request, time), status, decision) in expected {
        assert_eq!(
            seen(request, time),
            (status, decision.to_owned()),
            "request {request}, time {time}: {}",
            answers[request][time]
        );
    }
    let text = |request: usize, time: usize| answers[request][time]["body"].as_str().unwrap().to_owned();
    let (echo, headers) = echoed(&text(0, 0));
    assert_eq!(echo["args"], json!({ "q": "caf\u{e9}", "b": ["/", "2"], "empty": "" }));
    assert_eq!(headers["x-note"], "kept");
    assert!(!headers.contains_key("x-real-ip"), "a claim about the client's address reached httpbin");
    check_stripped(&headers);
    assert_eq!(echoed(&text(1, 0)).0["data"], body);
    let problem: Value = serde_json::from_str(&text(0, 1)).unwrap();
    assert_eq!(problem["reason_code"], "nonce_replayed");
    let problem: Value = serde_json::from_str(&text(2, 0)).unwrap();
    assert_eq!(
        (&problem["reason_code"], &problem["obligations"][0]["type"]),
        (&json!("approval_required"), &json!("approval"))
    );
}
