//! The signature base against the published Ed25519 example, and the window's arithmetic.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use std::path::Path;
use std::println;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::Value;

use super::base::{self, Component};
use super::*;

/// Reads a published vector; `None`, said aloud, when the tests run without the vectors.
pub(super) fn vector(file: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("PASSGATE_VECTORS") else {
        println!("skipped: PASSGATE_VECTORS does not name the folder of test vectors");
        return None;
    };
    let path = Path::new(&folder).join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_slice(&text).unwrap())
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} is missing"))
}

fn bytes32(base64url: &str) -> [u8; 32] {
    URL_SAFE_NO_PAD.decode(base64url).unwrap().try_into().unwrap()
}

/// The request of RFC 9421 appendix B.2, with the header lines of a vector file.
fn with_example_request<T>(vector: &Value, run: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
    let headers: Vec<(String, String)> = vector["request"]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (text(line, "/0").to_lowercase(), text(line, "/1").to_string()))
        .collect();
    let headers: Vec<Header<'_>> =
        headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let (path, query) = text(vector, "/request/target").split_once('?').unwrap();
    run(&HttpRequest {
        method: text(vector, "/request/method"),
        scheme: "https",
        authority: "example.com",
        path,
        query: Some(query),
        headers: &headers,
        body: text(vector, "/request/body").as_bytes(),
    })
}

/// Splits `sig-b26=("a" "b");x=1` into the component names and the text behind the label.
fn split_input(input: &str) -> (Vec<&str>, &str) {
    let (_, params_text) = input.split_once('=').unwrap();
    let (list, _) = params_text.trim_start_matches('(').split_once(')').unwrap();
    (list.split(' ').map(|name| name.trim_matches('"')).collect(), params_text)
}

#[test]
fn rfc9421_b26_base_and_signature() {
    let Some(vector) = vector("rfc9421/b26-ed25519.json") else {
        return;
    };
    let (names, params_text) = split_input(text(&vector, "/signature_input"));
    let components: Vec<_> = names.iter().map(|name| Component::parse(name).unwrap()).collect();
    let secret = SecretKey::from_seed(bytes32(text(&vector, "/key/d")));
    let key = PublicKey::from_bytes(&bytes32(text(&vector, "/key/x"))).unwrap();
    assert_eq!(secret.public(), &key);
    with_example_request(&vector, |request| {
        let (built, covered) = base::build(request, &components, params_text).unwrap();
        assert_eq!(built, text(&vector, "/signature_base"));
        let fields: Vec<_> = covered.iter().map(|(name, _)| *name).collect();
        assert_eq!(fields, ["date", "content-type", "content-length"]);

        let encoded = text(&vector, "/signature").trim_start_matches("sig-b26=:").trim_end_matches(':');
        let signature = STANDARD.decode(encoded).unwrap();
        assert_eq!(key.verify(built.as_bytes(), &signature), Ok(()));
        assert_eq!(secret.sign(built.as_bytes()).as_slice(), signature);
        assert_eq!(input::serialize_signature("sig-b26", &signature), text(&vector, "/signature"));

        let digest = request.lines("content-digest").next().unwrap();
        assert_eq!(check_content_digest(&[digest], request.body), Ok(()));
        assert_eq!(content_digest(request.body), text(&vector, "/content_digest_sha256_of_body"));
    });
}

#[test]
fn rfc9421_b26_is_not_a_proof_for_a_gate() {
    let Some(vector) = vector("rfc9421/b26-ed25519.json") else {
        return;
    };
    // No nonce, and neither the target nor a passport is covered.
    let input = text(&vector, "/signature_input").as_bytes();
    let Err(error) = input::parse_inputs(input, &input::PASSGATE) else { panic!("accepted") };
    assert_eq!(error.code(), "proof_malformed");
}

const PLAIN: HttpRequest<'static> = HttpRequest {
    method: "GET",
    scheme: "https",
    authority: "api.example",
    path: "/a%2Fb",
    query: None,
    headers: &[],
    body: b"",
};

fn lines(request: &HttpRequest<'_>, names: &[&str]) -> Result<String, ProofError> {
    let components: Vec<_> = names.iter().map(|name| Component::parse(name).unwrap()).collect();
    base::build(request, &components, "()").map(|(text, _)| text)
}

#[test]
fn derived_components() {
    let all = ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"];
    let with_query = HttpRequest { query: Some("a=%2f&&a"), ..PLAIN };
    assert_eq!(
        lines(&with_query, &all).unwrap(),
        "\"@method\": GET\n\"@target-uri\": https://api.example/a%2Fb?a=%2f&&a\n\"@authority\": api.example\n\
         \"@scheme\": https\n\"@request-target\": /a%2Fb?a=%2f&&a\n\"@path\": /a%2Fb\n\"@query\": ?a=%2f&&a\n\
         \"@signature-params\": ()"
    );
    let uri = |query| lines(&HttpRequest { query, ..PLAIN }, &["@target-uri", "@query"]).unwrap();
    assert_eq!(uri(None), "\"@target-uri\": https://api.example/a%2Fb\n\"@query\": ?\n\"@signature-params\": ()");
    assert_eq!(uri(Some("")), "\"@target-uri\": https://api.example/a%2Fb?\n\"@query\": ?\n\"@signature-params\": ()");
}

/// The examples of RFC 9421 section 2.1, except those with line folding, which is refused.
#[test]
fn field_values_as_in_the_rfc() {
    let headers = [
        Header { name: "x-ows-header", value: b"  Leading and trailing whitespace.   " },
        Header { name: "cache-control", value: b"max-age=60" },
        Header { name: "cache-control", value: b"\t   must-revalidate" },
        Header { name: "example-dict", value: b"a=1,    b=2;x=1;y=2,   c=(a   b   c)" },
        Header { name: "x-empty-header", value: b"" },
    ];
    let request = HttpRequest { headers: &headers, ..PLAIN };
    assert_eq!(
        lines(&request, &["x-ows-header", "cache-control", "example-dict", "x-empty-header"]).unwrap(),
        "\"x-ows-header\": Leading and trailing whitespace.\n\"cache-control\": max-age=60, must-revalidate\n\
         \"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c)\n\"x-empty-header\": \n\"@signature-params\": ()"
    );
}

#[test]
fn targets_that_could_be_cut_elsewhere_are_refused() {
    let bad = [
        HttpRequest { method: "", ..PLAIN },
        HttpRequest { method: "GET\n", ..PLAIN },
        HttpRequest { scheme: "HTTPS", ..PLAIN },
        HttpRequest { scheme: "", ..PLAIN },
        HttpRequest { authority: "", ..PLAIN },
        HttpRequest { authority: "API.example", ..PLAIN },
        HttpRequest { authority: "api.example/x", ..PLAIN },
        HttpRequest { authority: "user@api.example", ..PLAIN },
        HttpRequest { path: "", ..PLAIN },
        HttpRequest { path: "a", ..PLAIN },
        HttpRequest { path: "*", ..PLAIN },
        HttpRequest { path: "/a?b", ..PLAIN },
        HttpRequest { path: "/a#b", ..PLAIN },
        HttpRequest { path: "/a b", ..PLAIN },
        HttpRequest { path: "/\u{e9}", ..PLAIN },
        HttpRequest { query: Some("a#b"), ..PLAIN },
        HttpRequest { query: Some("a\nb"), ..PLAIN },
    ];
    for request in bad {
        let code = lines(&request, &["@method"]).map_err(|error| error.code());
        assert_eq!(code, Err("proof_malformed"), "{request:?}");
    }
}

#[test]
fn component_names() {
    for name in ["@status", "@query-param", "@signature-params", "@", "@METHOD", "signature", "signature-input"] {
        assert_eq!(Component::parse(name).map_err(|error| error.code()), Err("proof_coverage"), "{name}");
    }
    for name in ["", "Host", "x y", "x:", "x\"", "\u{e9}"] {
        assert_eq!(Component::parse(name).map_err(|error| error.code()), Err("proof_coverage"), "{name}");
    }
    assert_eq!(Component::parse("x-a_b.c").unwrap().name(), "x-a_b.c");
}

#[test]
fn window_edges_are_inclusive() {
    let at = |now| check_window(1_000, None, now).map_err(|error| error.code());
    assert_eq!(at(969), Err("proof_in_future"));
    assert_eq!(at(970), Ok(1_300));
    assert_eq!(at(1_300), Ok(1_300));
    assert_eq!(at(1_301), Err("proof_expired"));
    let early = |now| check_window(1_000, Some(1_100), now).map_err(|error| error.code());
    assert_eq!(early(1_100), Ok(1_100));
    assert_eq!(early(1_101), Err("proof_expired"));
    assert_eq!(check_window(1_000, Some(9_000), 1_300), Ok(1_300));
    assert_eq!(check_window(0, None, i64::MIN).map_err(|error| error.code()), Err("proof_in_future"));
    assert_eq!(check_window(0, None, i64::MAX).map_err(|error| error.code()), Err("proof_expired"));
}

proptest! {
    /// No instant outside `[created - 30, expires_at]` accepts, every instant inside does, and the answer names the
    /// same end throughout, so a nonce kept until then covers every acceptance.
    #[test]
    fn the_window_is_one_interval(
        created in 0i64..10_000,
        expires in proptest::option::of(0i64..2_000),
        now in -500i64..11_000,
    ) {
        let expires = expires.map(|after| created + after);
        let end = expires.map_or(created + 300, |expires| expires.min(created + 300));
        let inside = (created - 30..=end).contains(&now);
        match check_window(created, expires, now) {
            Ok(expires_at) => {
                prop_assert!(inside);
                prop_assert_eq!(expires_at, end);
            }
            Err(error) => {
                prop_assert!(!inside);
                let code = if now < created - 30 { "proof_in_future" } else { "proof_expired" };
                prop_assert_eq!(error.code(), code);
            }
        }
    }
}
