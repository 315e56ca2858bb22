//! Key directories of foreign agents: what is read, and one attack for each check.

#![expect(clippy::panic, reason = "a failing helper fails its test")]

use passgate_passport::http::Header;
use passgate_passport::jwk::{self, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::web_bot_auth::{
    self, AgentUrl, DIRECTORY_MEDIA_TYPE, Directory, DirectoryResponse, MAX_DIRECTORY_SIGNATURES,
};

use crate::message::{NOW, agent, other_agent};

const MALFORMED: &str = "directory_malformed";

fn read(json: &str) -> &'static str {
    Directory::read(json.as_bytes()).map_or_else(|error| error.code(), |_| "ok")
}

/// A set of the agent's key, with one more member in it.
fn with_member(member: &str) -> &'static str {
    let jwk = agent().public().to_jwk().replace("\"kty\"", &format!("{member},\"kty\""));
    read(&format!("{{\"keys\":[{jwk}]}}"))
}

#[test]
fn a_directory_as_agents_publish_it() {
    let rsa = r#"{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"PS512","kid":"rsa"}"#;
    let mut jwk = agent().public().to_jwk();
    jwk.insert_str(1, r#""alg":"ed25519","use":"sig","nbf":1712793600,"exp":1815385600,"x5c":[],"#);
    let set = format!(r#"{{"keys":[{rsa},{jwk}],"purpose":"rag"}}"#);
    let directory = Directory::read(set.as_bytes()).unwrap();
    assert_eq!(directory.keys().collect::<Vec<_>>(), [agent().public()]);
    assert_eq!(directory.key_at(agent().public().thumbprint(), NOW), Some(agent().public()));
    assert_eq!(directory.key_at(agent().public().thumbprint(), i64::MIN), None);
    assert_eq!(directory.key_at(other_agent().public().thumbprint(), NOW), None);
    for alg in ["EdDSA", "Ed25519"] {
        assert_eq!(with_member(&format!("\"alg\":\"{alg}\"")), "ok");
    }
}

#[test]
fn a_directory_with_a_bad_key() {
    let good = agent().public().to_jwk();
    assert_eq!(read(&format!("{{\"keys\":[{good}]}}")), "ok");
    assert_eq!(read(&format!("{{\"keys\":[{good},{good}]}}")), MALFORMED, "twice");
    assert_eq!(read(&format!("{{\"keys\":[{good},\"x\"]}}")), MALFORMED);
    let renamed = good.replace(agent().public().thumbprint(), "key-1");
    assert_eq!(read(&format!("{{\"keys\":[{renamed}]}}")), MALFORMED, "kid is not the thumbprint");
    let secret = agent().to_private_jwk();
    assert_eq!(read(&format!("{{\"keys\":[{}]}}", secret.as_str())), MALFORMED, "the secret is public");
    for member in [
        "\"alg\":\"hmac-sha256\"",
        "\"alg\":\"none\"",
        "\"use\":\"enc\"",
        "\"key_ops\":[\"sign\"]",
        "\"k\":\"AAAA\"",
        "\"nbf\":1712793600000",
        "\"exp\":1.5",
        "\"exp\":-1",
        "\"nbf\":\"2027-01-15\"",
        "\"exp\":null",
    ] {
        assert_eq!(with_member(member), MALFORMED, "{member}");
    }
    let weak = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"AQ{}"}}]}}"#, "A".repeat(41));
    assert_eq!(read(&weak), MALFORMED);
}

#[test]
fn a_directory_without_keys_or_beyond_its_bounds() {
    assert_eq!(read("{\"keys\":[]}"), "directory_empty");
    assert_eq!(read(r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#), "directory_empty");
    for json in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[],\"keys\":[]}"] {
        assert_eq!(read(json), MALFORMED, "{json}");
    }
    let keys: Vec<SecretKey> =
        (0..=u8::try_from(MAX_JWKS_KEYS).unwrap()).map(|it| SecretKey::from_seed([it; 32])).collect();
    let all = |count: usize| read(&jwk::emit_set(keys.iter().take(count).map(SecretKey::public)));
    assert_eq!((all(MAX_JWKS_KEYS), all(MAX_JWKS_KEYS + 1)), ("ok", MALFORMED));
    let padded = format!("{{\"keys\":[{}]{}}}", agent().public().to_jwk(), " ".repeat(MAX_JWKS_BYTES));
    assert_eq!(read(&padded), MALFORMED);
}

/// A signed response, to be changed at will.
struct Response {
    url: AgentUrl,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// Served for both keys, and signed by these.
fn signed_by(keys: &[&SecretKey]) -> Response {
    let url = AgentUrl::parse("https://signer.example").unwrap_or_else(|error| panic!("{error}"));
    let body = jwk::emit_set([agent().public(), other_agent().public()]);
    let signed = web_bot_auth::sign_response(&url, body.as_bytes(), keys, NOW, NOW + 86_400);
    let signed = signed.unwrap_or_else(|error| panic!("{error}"));
    let headers = vec![
        ("content-type", DIRECTORY_MEDIA_TYPE.to_owned()),
        ("content-digest", signed.content_digest.unwrap_or_default()),
        ("signature-input", signed.signature_input),
        ("signature", signed.signature),
    ];
    Response { url, headers, body }
}

impl Response {
    fn line(&mut self, name: &str) -> &mut String {
        let line = self.headers.iter_mut().find(|(other, _)| *other == name);
        &mut line.unwrap_or_else(|| panic!("{name} is not there")).1
    }

    /// The keys that vouch for it, or the refusal's code.
    fn verify_at(&self, now: i64) -> Result<Vec<String>, &'static str> {
        let headers: Vec<Header<'_>> =
            self.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let response = DirectoryResponse { url: &self.url, headers: &headers, body: self.body.as_bytes() };
        match web_bot_auth::verify_response(&response, now) {
            Ok(directory) => Ok(directory.keys().map(|key| key.thumbprint().to_owned()).collect()),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                Err(error.code())
            }
        }
    }
}

/// Makes one change to a good response.
fn changed(change: impl FnOnce(&mut Response)) -> &'static str {
    let mut response = signed_by(&[&agent(), &other_agent()]);
    assert_eq!(response.verify_at(NOW).map(|keys| keys.len()), Ok(2));
    change(&mut response);
    response.verify_at(NOW).err().unwrap_or("ok")
}

#[test]
fn only_keys_that_sign_are_vouched_for() {
    let thumbprint = |key: SecretKey| key.public().thumbprint().to_owned();
    let both = signed_by(&[&other_agent(), &agent()]);
    assert_eq!(both.verify_at(NOW), Ok(vec![thumbprint(agent()), thumbprint(other_agent())]));
    assert_eq!(signed_by(&[&agent()]).verify_at(NOW), Ok(vec![thumbprint(agent())]));
    let stranger = SecretKey::from_seed([9; 32]);
    assert_eq!(signed_by(&[&agent(), &stranger]).verify_at(NOW), Err("proof_key_unknown"));
    assert_eq!(signed_by(&[&agent(), &agent()]).verify_at(NOW), Err("proof_malformed"));
}

#[test]
fn a_directory_served_elsewhere() {
    assert_eq!(changed(|it| it.url = AgentUrl::parse("https://thief.example").unwrap()), "proof_signature_invalid");
    assert_eq!(changed(|it| it.url = AgentUrl::parse("https://signer.example/jwks.json").unwrap()), "ok");
}

#[test]
fn a_directory_with_other_keys() {
    let swapped = jwk::emit_set([agent().public(), SecretKey::from_seed([9; 32]).public()]);
    assert_eq!(changed(|it| it.body = swapped.clone()), "content_digest_mismatch");
    let redigested = |it: &mut Response| {
        it.body = swapped.clone();
        *it.line("content-digest") = passgate_passport::digest::content_digest(swapped.as_bytes());
    };
    assert_eq!(changed(redigested), "proof_signature_invalid");
    assert_eq!(changed(|it| it.body = "{}".into()), MALFORMED);
}

#[test]
fn a_directory_before_and_after_its_time() {
    let response = signed_by(&[&agent()]);
    let at = |now| response.verify_at(now).map(|keys| keys.len());
    assert_eq!(at(NOW - 1), Err("proof_in_future"), "no leeway");
    assert_eq!((at(NOW), at(NOW + 86_400)), (Ok(1), Ok(1)));
    assert_eq!(at(NOW + 86_401), Err("proof_expired"));
}

#[test]
fn a_directory_that_is_served_as_something_else() {
    for other in ["application/json", "application/jwk-set+json", "", "text/html"] {
        assert_eq!(changed(|it| *it.line("content-type") = other.into()), "directory_media_type", "{other}");
    }
    let spelt = DIRECTORY_MEDIA_TYPE.to_uppercase() + " ; charset=utf-8";
    assert_eq!(changed(|it| *it.line("content-type") = spelt), "ok");
    assert_eq!(changed(|it| it.headers.retain(|(name, _)| *name != "content-type")), "directory_media_type");
}

#[test]
fn a_directory_without_all_that_is_asked() {
    for field in ["signature", "signature-input"] {
        assert_eq!(changed(|it| it.headers.retain(|(name, _)| *name != field)), "proof_missing", "{field}");
        assert_eq!(changed(|it| it.headers.push((field, String::new()))), "proof_malformed", "{field}");
        let one_less = |it: &mut Response| {
            let line = it.line(field);
            let first = line.find(", ").unwrap();
            line.truncate(first);
        };
        assert_eq!(changed(one_less), "proof_malformed", "{field}");
    }
    assert_eq!(changed(|it| it.headers.retain(|(name, _)| *name != "content-digest")), "content_digest_missing");
    let edit = |from: &str, to: &str| {
        changed(|it| {
            let line = it.line("signature-input");
            assert!(line.contains(from), "{from}");
            *line = line.replacen(from, to, 1);
        })
    };
    assert_eq!(edit(";req", ""), "proof_coverage");
    assert_eq!(edit(";req", ";req=?0"), "proof_coverage");
    assert_eq!(edit("\"@authority\";req ", ""), "proof_coverage");
    assert_eq!(edit(" \"content-digest\"", ""), "proof_coverage");
    assert_eq!(edit("\"@authority\";req", "\"@authority\";req \"@method\""), "proof_coverage");
    assert_eq!(edit("tag=\"http-message-signatures-directory\"", "tag=\"web-bot-auth\""), "proof_malformed");
    assert_eq!(edit(&format!(";expires={}", NOW + 86_400), ""), "proof_malformed");
    assert_eq!(edit("binding1", "binding0"), "proof_malformed");
    assert_eq!(edit(", ", ","), "proof_malformed");
    let one_label_for_two = |it: &mut Response| {
        for field in ["signature-input", "signature"] {
            *it.line(field) = it.line(field).replace("binding1", "binding0");
        }
    };
    assert_eq!(changed(one_label_for_two), "proof_malformed");
}

#[test]
fn one_bad_signature_among_good_ones() {
    let forged = |it: &mut Response| {
        let line = it.line("signature");
        let second = line.find("binding1=:").unwrap() + 10;
        // Its first signature in place of the second.
        let first = line.get(10..98).unwrap().to_owned();
        line.replace_range(second..second + 88, &first);
    };
    assert_eq!(changed(forged), "proof_signature_invalid");
}

#[test]
fn more_signatures_than_are_read() {
    let keys: Vec<SecretKey> = (0..=16).map(|it| SecretKey::from_seed([it; 32])).collect();
    let keys: Vec<&SecretKey> = keys.iter().collect();
    let url = AgentUrl::parse("https://signer.example").unwrap();
    let sign = |count: usize| {
        let signed = web_bot_auth::sign_response(&url, b"{}", &keys[..count], NOW, NOW + 1);
        signed.map(|_| count).map_err(|error| error.code())
    };
    assert_eq!(sign(MAX_DIRECTORY_SIGNATURES), Ok(16));
    assert_eq!(sign(MAX_DIRECTORY_SIGNATURES + 1), Err("proof_malformed"));
    assert_eq!(sign(0), Err("proof_malformed"));
}
