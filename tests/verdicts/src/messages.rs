//! Signed requests, and status lists.

use passgate_passport::b64;
use passgate_passport::digest::{check_content_digest, content_digest};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::dpop::{self, DpopRules};
use passgate_passport::proof::{self, ProofParams};
use passgate_passport::status::{self, Status, StatusListContext};
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, Tier};
use serde_json::{Value, json};

use crate::{Set, Verdict, hex, json as parse, list, only, text};

pub(crate) const SETS: &[Set] = &[
    Set { name: "rfc9421", files: &["rfc9421/b26-ed25519.json"], count: 4, judge: rfc9421 },
    Set { name: "rfc9449", files: &["rfc9449/examples.json"], count: 4, judge: rfc9449 },
    Set { name: "status-list", files: &["status-list/ietf-tsl-vectors.json"], count: 6, judge: status_lists },
];

const PASSPORT: Header<'static> = Header { name: "agent-passport", value: b"aaa.bbb.ccc" };

/// Appendix B.2.6: its signature, its digest, and that it is no proof for a gate, which ours over the same request is.
fn rfc9421(files: &[String]) -> Result<Vec<Verdict>, String> {
    let vector = parse(only(files)?)?;
    let jwk = vector.get("key").cloned().and_then(|mut jwk| jwk.as_object_mut()?.remove("kid").map(|_| jwk));
    let jwk = jwk.ok_or("a vector without a key")?;
    let key = SecretKey::from_private_jwk(jwk.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let (label, signature) = text(&vector, "/signature")?.split_once("=:").ok_or("no signature")?;
    let base = text(&vector, "/signature_base")?.as_bytes();
    // Standard base64 into ours.
    let encoded = signature.trim_end_matches([':', '=']).replace('+', "-").replace('/', "_");
    let signature = b64::decode_array::<64>(&encoded).map_err(|error| error.to_string())?;
    let verified = key.public().verify(base, &signature).map_err(|error| error.to_string());
    let same = key.sign(base) == signature;
    let lines = fields(&vector)?;
    let mut headers: Vec<Header<'_>> =
        lines.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let body = text(&vector, "/request/body")?;
    let digest = headers.iter().find(|field| field.name == "content-digest").ok_or("no digest")?.value;
    let digest = check_content_digest(&[digest], body.as_bytes()).map_err(|error| error.to_string());
    let own_digest = content_digest(body.as_bytes()) == text(&vector, "/content_digest_sha256_of_body")?;
    headers.push(PASSPORT);
    let (path, query) = text(&vector, "/request/target")?.split_once('?').ok_or("no query")?;
    let request = HttpRequest {
        method: text(&vector, "/request/method")?,
        scheme: "https",
        authority: "example.com",
        path,
        query: Some(query),
        headers: &headers,
        body: body.as_bytes(),
    };
    let input = text(&vector, "/signature_input")?;
    let published = [("signature-input", input), ("signature", text(&vector, "/signature")?)];
    Ok(vec![
        Verdict::new("signature", true, verified.and_then(|()| truth(same, label))),
        Verdict::new("digest", true, digest.and_then(|()| truth(own_digest, &content_digest(body.as_bytes())))),
        Verdict::new("as a proof", false, proven(&request, &published, &key)),
        Verdict::new("our proof", true, own_proof(&request, &key)),
    ])
}

fn truth(holds: bool, text: &str) -> Result<String, String> {
    if holds { Ok(text.to_owned()) } else { Err("differs".to_owned()) }
}

/// The fields of the request, with their names in lower case.
fn fields(vector: &Value) -> Result<Vec<(String, &str)>, String> {
    let line = |line| Ok((text(line, "/0")?.to_lowercase(), text(line, "/1")?));
    list(vector, "/request/headers")?.iter().map(line).collect()
}

const CREATED: i64 = 1_618_884_473;

/// The signature of the request with these fields beside its own.
fn proven(request: &HttpRequest<'_>, added: &[(&str, &str)], key: &SecretKey) -> Result<String, String> {
    let added = added.iter().map(|(name, value)| Header { name, value: value.as_bytes() });
    let headers: Vec<Header<'_>> = request.headers.iter().copied().chain(added).collect();
    let request = HttpRequest { headers: &headers, ..*request };
    match proof::verify(&request, key.public(), CREATED) {
        Ok(_) => Ok("proof".to_owned()),
        Err(error) => Err(format!("{}: {error}", error.code())),
    }
}

fn own_proof(request: &HttpRequest<'_>, key: &SecretKey) -> Result<String, String> {
    let params = ProofParams { created: CREATED, nonce: "nonce-0123456789", expires: None };
    let signed = proof::sign_covering(request, key, &params, &["date", "content-length"]);
    let signed = signed.map_err(|error| error.to_string())?;
    let fields = [("signature-input", signed.signature_input.as_str()), ("signature", &signed.signature)];
    proven(request, &fields, key)?;
    Ok(signed.signature_input + &signed.signature)
}

/// Its proofs are made with P-256, which no gate takes.
fn rfc9449(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = parse(only(files)?)?;
    let key = SecretKey::from_seed([1; 32]);
    let judge = |(number, vector): (usize, &Value)| {
        let token = text(vector, "/jwt")?;
        let outcome = match text(vector, "/http/url") {
            Ok(url) => dpop_proof(token, text(vector, "/http/method")?, url, &key),
            // An access token, which no request is shown with.
            Err(_) => {
                jws::decode(token, TokenType::Passport, 1 << 16).map(|_| String::new()).map_err(|e| e.to_string())
            }
        };
        Ok(Verdict::new(number.to_string(), false, outcome))
    };
    list(&file, "/vectors")?.iter().enumerate().map(judge).collect()
}

fn dpop_proof(token: &str, method: &str, url: &str, key: &SecretKey) -> Result<String, String> {
    let (authority, path) =
        url.strip_prefix("https://").and_then(|rest| rest.split_once('/')).ok_or("a URL without a path")?;
    let (path, headers) = (format!("/{path}"), [PASSPORT, Header { name: "dpop", value: token.as_bytes() }]);
    let request =
        HttpRequest { method, scheme: "https", authority, path: &path, query: None, headers: &headers, body: b"" };
    match dpop::verify(&request, key.public(), CREATED, &DpopRules::default()) {
        Ok(_) => Ok("proof".to_owned()),
        Err(error) => Err(format!("{}: {error}", error.code())),
    }
}

const LIST: &str = "https://example.com/statuslists/1";

fn status_lists(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = parse(only(files)?)?;
    let key = SecretKey::from_seed([1; 32]);
    let issuer = Issuer {
        id: "https://example.com".to_owned(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey::unbounded(key.public().clone())],
        max_passport_ttl_seconds: 1,
    };
    let judge = |(number, vector): (usize, &Value)| {
        Ok(Verdict::new(number.to_string(), true, status_list(vector, &issuer, &key)?))
    };
    list(&file, "/vectors")?.iter().enumerate().map(judge).collect()
}

/// Whether every entry of the list has its status; those that the vector does not name are 0.
fn status_list(vector: &Value, issuer: &Issuer, key: &SecretKey) -> Result<Result<String, String>, String> {
    let lst = match text(vector, "/lst") {
        Ok(lst) => lst.to_owned(),
        Err(_) => b64::encode(&hex(text(vector, "/compressed_hex")?)?),
    };
    let named = vector.get("status").and_then(Value::as_object).ok_or("a vector without statuses")?;
    let claims = json!({"iat": 1, "sub": LIST, "status_list": {"bits": vector.get("bits"), "lst": lst}});
    let token = jws::sign(key, TokenType::StatusList, claims.to_string().as_bytes());
    let context = StatusListContext { issuer, uri: Some(LIST), now: 1, leeway_seconds: 0 };
    let list = match status::verify(&token, &context) {
        Ok(list) => list,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let wrong = (0..list.entries()).find(|idx| {
        let expected = named.get(&idx.to_string()).map_or(Some(0), Value::as_u64);
        Some(number(list.status(*idx))) != expected
    });
    Ok(match wrong {
        None => Ok(format!("{} entries", list.entries())),
        Some(idx) => Err(format!("entry {idx} is {}", number(list.status(idx)))),
    })
}

fn number(status: Status) -> u64 {
    match status {
        Status::Valid => 0,
        Status::Invalid => 1,
        Status::Suspended => 2,
        Status::Other(value) => value.into(),
        Status::OutOfRange => u64::MAX,
    }
}
