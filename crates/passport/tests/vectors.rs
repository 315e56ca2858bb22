//! Published test vectors through the public API. They are read from the folder in `PASSGATE_VECTORS`: with the
//! variable set a missing file fails the test, without it the tests say that they skipped.
#![cfg(test)]

use std::path::PathBuf;

use passgate_passport::b64;
use passgate_passport::json;
use passgate_passport::jwk;
use passgate_passport::jws::{self, JwsError, TokenType};
use passgate_passport::key::{KeyError, PublicKey, SecretKey};
use serde_json::Value;

/// The text of one vector file, or `None` when no folder is configured.
fn vector_file(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("PASSGATE_VECTORS") else {
        println!("skipped: PASSGATE_VECTORS is not set, {name} was not read");
        return None;
    };
    let path = PathBuf::from(folder).join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn vector_json(name: &str) -> Option<Value> {
    vector_file(name).map(|text| serde_json::from_str(&text).unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is no text in {value}"))
}

/// The groups' tests of a Wycheproof file, each with its group.
fn wycheproof(file: &Value) -> Vec<(&Value, &Value)> {
    let groups = file["testGroups"].as_array().unwrap();
    let tests: Vec<_> = groups
        .iter()
        .flat_map(|group| group["tests"].as_array().unwrap().iter().map(move |test| (group, test)))
        .collect();
    assert_eq!(Some(tests.len() as u64), file["numberOfTests"].as_u64());
    tests
}

#[test]
fn rfc_8032_signatures() {
    let Some(lines) = vector_file("rfc8032/sign.input") else { return };
    let mut count = 0;
    for line in lines.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let (secret, message, signed) = (hex(fields[0]), hex(fields[2]), hex(fields[3]));
        let key = SecretKey::from_seed(secret[..32].try_into().unwrap());
        assert_eq!(key.public().as_bytes(), &hex_array(fields[1]), "line {count}");
        assert_eq!(PublicKey::from_bytes(&hex_array(fields[1])).unwrap(), *key.public());
        let signature = &signed[..64];
        assert_eq!(key.sign(&message), signature, "line {count}");
        assert!(key.public().verify(&message, signature).is_ok(), "line {count}");
        // The same signature over one more byte, and with `S` changed, is none.
        assert!(key.public().verify(&[&message[..], &[0]].concat(), signature).is_err());
        let mut changed = signature.to_vec();
        changed[40] ^= 1;
        assert!(key.public().verify(&message, &changed).is_err());
        count += 1;
    }
    assert_eq!(count, 1024);
}

#[test]
fn wycheproof_ed25519() {
    let Some(file) = vector_json("wycheproof/ed25519_test.json") else { return };
    let tests = wycheproof(&file);
    assert_eq!(tests.len(), 151);
    for (group, test) in tests {
        let key = PublicKey::from_bytes(&hex_array(text(&group["publicKey"], "pk"))).unwrap();
        let verified = key.verify(&hex(text(test, "msg")), &hex(text(test, "sig"))).is_ok();
        assert_eq!(verified, text(test, "result") == "valid", "test {}: {}", test["tcId"], test["comment"]);
    }
}

/// What each speccheck case meets: cases 0, 1, 10 and 11 do not get past registration, the others fail verification.
/// Case 3 (key and `R` of mixed order) is the one a strict, cofactorless verifier accepts.
#[test]
fn ed25519_speccheck() {
    let Some(cases) = vector_json("ed25519-speccheck/cases.json") else { return };
    let outcomes: Vec<&str> = cases.as_array().unwrap().iter().map(speccheck_outcome).collect();
    let expected = [
        "weak key", "weak key", "invalid", "valid", "invalid", "invalid", "invalid", "invalid", "invalid", "invalid",
        "weak key", "weak key",
    ];
    assert_eq!(outcomes, expected);
}

fn speccheck_outcome(case: &Value) -> &'static str {
    match PublicKey::from_bytes(&hex_array(text(case, "pub_key"))) {
        Err(KeyError::Weak) => "weak key",
        Err(KeyError::NonCanonical) => "non-canonical key",
        Err(_) => "no key",
        Ok(key) => match key.verify(&hex(text(case, "message")), &hex(text(case, "signature"))) {
            Ok(()) => "valid",
            Err(_) => "invalid",
        },
    }
}

/// None of these tokens is signed with Ed25519, so no reader of any of our tokens may accept one, valid or not.
#[test]
fn wycheproof_json_web_signatures_are_all_refused() {
    let Some(file) = vector_json("wycheproof/json_web_signature_test.json") else { return };
    let tests = wycheproof(&file);
    assert_eq!(tests.len(), 401);
    for (_, test) in tests {
        let token = test["jws"].as_str().map_or_else(|| test["jws"].to_string(), String::from);
        for typ in TokenType::ALL {
            assert!(jws::decode(&token, typ, 1 << 20).is_err(), "test {} as {typ:?}", test["tcId"]);
        }
    }
}

/// The same headers with everything else made right: what is left to refuse them is the algorithm.
#[test]
fn wycheproof_algorithms_are_refused_for_themselves() {
    let Some(file) = vector_json("wycheproof/json_web_signature_test.json") else { return };
    let key = SecretKey::from_seed([1; 32]);
    let mut refused = 0;
    for (_, test) in wycheproof(&file) {
        let header = test["jws"].as_str().and_then(|token| token.split('.').next());
        let header: Option<Value> =
            header.and_then(|header| b64::decode(header).ok()).and_then(|header| json::parse(&header, 1 << 16).ok());
        let Some(algorithm) = header.as_ref().and_then(|header| header.get("alg")) else { continue };
        let header = serde_json::json!({"alg": algorithm, "kid": key.public().thumbprint(), "typ": "passport+jwt"});
        let input = format!("{}.{}", b64::encode(header.to_string().as_bytes()), b64::encode(b"{}"));
        let token = format!("{input}.{}", b64::encode(&key.sign(input.as_bytes())));
        let error = jws::decode(&token, TokenType::Passport, 1 << 16).unwrap_err();
        assert!(matches!(error, JwsError::Algorithm | JwsError::HeaderShape { member: "alg" }), "{algorithm}: {error}");
        refused += 1;
    }
    assert!(refused > 300, "only {refused} headers were readable");
}

#[test]
fn jose_rfc_examples() {
    let Some(file) = vector_json("jose-rfc/rfc7515-rfc8037.json") else { return };
    let vectors = file["vectors"].as_array().unwrap();
    for vector in vectors {
        // Their headers lack `kid` and `typ`, so none is one of our tokens.
        for typ in TokenType::ALL {
            assert!(jws::decode(text(vector, "jws"), typ, 1 << 16).is_err(), "{}", vector["id"]);
        }
    }
    let vector = vectors.iter().find(|vector| vector["alg"] == "EdDSA").unwrap();
    let key = SecretKey::from_private_jwk(vector["jwk"].to_string().as_bytes()).unwrap();
    assert_eq!(key.public().thumbprint(), text(vector, "thumbprint_sha256"));
    let (input, signature) = text(vector, "jws").rsplit_once('.').unwrap();
    let signature = b64::decode_array::<64>(signature).unwrap();
    assert_eq!(key.sign(input.as_bytes()), signature);
    assert!(key.public().verify(input.as_bytes(), &signature).is_ok());
    assert_eq!(jwk::from_value(&vector["jwk"]), Err(jwk::JwkError::Private));
}

#[test]
fn rfc_7638_thumbprints() {
    let Some(file) = vector_json("rfc7638-thumbprint/cloudflare-vectors.json") else { return };
    let vector = file.as_array().unwrap().iter().find(|vector| vector["name"] == "ed25519").unwrap();
    let key = PublicKey::from_jwk(text(vector, "jwk").as_bytes()).unwrap();
    assert_eq!(key.thumbprint(), text(vector, "thumbprint"));
}

/// The RFC 8037 example of the JOSE cookbook: a reader that takes no `kid` from its header refuses it, the key does not.
#[test]
fn jose_cookbook_curve25519() {
    let Some(file) = vector_json("jose-cookbook/curve25519/jws.json") else { return };
    let key = SecretKey::from_private_jwk(file["input"]["key"].to_string().as_bytes()).unwrap();
    let compact = text(&file["output"], "compact");
    let (input, signature) = compact.rsplit_once('.').unwrap();
    assert!(key.public().verify(input.as_bytes(), &b64::decode(signature).unwrap()).is_ok());
    assert!(jws::decode(compact, TokenType::Passport, 1 << 16).is_err());
}
