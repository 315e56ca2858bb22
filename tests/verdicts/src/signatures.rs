//! Keys, signatures and tokens.

use passgate_passport::b64;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::{PublicKey, SecretKey};
use serde_json::Value;

use crate::{Set, Verdict, hex, hex_array, json, list, only, text};

pub(crate) const SETS: &[Set] = &[
    Set { name: "rfc8032", files: &["rfc8032/sign.input"], count: 1024, judge: rfc8032 },
    Set { name: "wycheproof-ed25519", files: &["wycheproof/ed25519_test.json"], count: 151, judge: wycheproof },
    Set { name: "speccheck", files: &["ed25519-speccheck/cases.json"], count: 12, judge: speccheck },
    Set {
        name: "wycheproof-jws",
        files: &["wycheproof/json_web_signature_test.json"],
        count: 401,
        judge: wycheproof_jws,
    },
    Set { name: "rfc8037", files: &["jose-rfc/rfc7515-rfc8037.json"], count: 2, judge: rfc8037 },
    Set { name: "jose-cookbook", files: &["jose-cookbook/curve25519/jws.json"], count: 2, judge: cookbook },
    Set { name: "rfc7638", files: &["rfc7638-thumbprint/cloudflare-vectors.json"], count: 2, judge: thumbprints },
];

/// Longest token that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 1 << 20;

fn rfc8032(files: &[String]) -> Result<Vec<Verdict>, String> {
    let judge = |(number, line): (usize, &str)| {
        let mut fields = line.split(':');
        let mut field = || fields.next().ok_or_else(|| format!("line {number} has too few fields"));
        let (secret, public, message, signed) = (field()?, hex_array(field()?)?, hex(field()?)?, hex(field()?)?);
        let seed = secret.get(..64).ok_or("a short secret key")?;
        let key = SecretKey::from_seed(hex_array(seed)?);
        let signature = key.sign(&message);
        let outcome = match PublicKey::from_bytes(&public) {
            Ok(named) if named == *key.public() && signed.starts_with(&signature) => {
                verified(&named, &message, &signature)
            }
            Ok(_) => Err("another key or signature".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Ok(Verdict::new((number + 1).to_string(), true, outcome))
    };
    only(files)?.lines().enumerate().map(judge).collect()
}

fn verified(key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<String, String> {
    key.verify(message, signature).map(|()| key.thumbprint().to_owned()).map_err(|error| error.to_string())
}

fn wycheproof(files: &[String]) -> Result<Vec<Verdict>, String> {
    each_of(&json(only(files)?)?, |group, test| {
        let (message, signature) = (hex(text(test, "/msg")?)?, hex(text(test, "/sig")?)?);
        let outcome = match PublicKey::from_bytes(&hex_array(text(group, "/publicKey/pk")?)?) {
            Ok(key) => verified(&key, &message, &signature),
            Err(error) => Err(error.to_string()),
        };
        Ok(Verdict::new(number(test)?, text(test, "/result")? == "valid", outcome))
    })
}

/// Every test of a Wycheproof file, with its group.
fn each_of(file: &Value, judge: impl Fn(&Value, &Value) -> Result<Verdict, String>) -> Result<Vec<Verdict>, String> {
    let mut verdicts = Vec::new();
    for group in list(file, "/testGroups")? {
        for test in list(group, "/tests")? {
            verdicts.push(judge(group, test)?);
        }
    }
    Ok(verdicts)
}

fn number(test: &Value) -> Result<String, String> {
    test.get("tcId").map(Value::to_string).ok_or_else(|| "a test without a number".to_owned())
}

/// A strict verifier accepts case 3 alone, where key and `R` have mixed order; 0, 1, 10 and 11 are no keys for it.
fn speccheck(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = json(only(files)?)?;
    let judge = |(number, case): (usize, &Value)| {
        let (message, signature) = (hex(text(case, "/message")?)?, hex(text(case, "/signature")?)?);
        let outcome = match PublicKey::from_bytes(&hex_array(text(case, "/pub_key")?)?) {
            Ok(key) => verified(&key, &message, &signature),
            Err(error) => Err(error.to_string()),
        };
        Ok(Verdict::new(number.to_string(), number == 3, outcome))
    };
    list(&file, "")?.iter().enumerate().map(judge).collect()
}

/// None of them is signed with Ed25519, so no reader of any of our tokens takes one.
fn wycheproof_jws(files: &[String]) -> Result<Vec<Verdict>, String> {
    each_of(&json(only(files)?)?, |_, test| {
        let token = test.get("jws").ok_or("a test without a token")?;
        let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
        Ok(Verdict::new(number(test)?, false, any_token(&token)))
    })
}

/// As whichever of our tokens it can be read; else why it is no passport.
fn any_token(token: &str) -> Result<String, String> {
    let read = |typ| jws::decode(token, typ, MAX_TOKEN_BYTES);
    match TokenType::ALL.into_iter().find(|typ| read(*typ).is_ok()) {
        Some(typ) => Ok(typ.as_str().to_owned()),
        None => read(TokenType::Passport).map(|_| String::new()).map_err(|error| error.to_string()),
    }
}

/// The example of RFC 8037 appendix A: the signature holds, and the token is none of ours, because it names no key.
fn rfc8037(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = json(only(files)?)?;
    let vector = list(&file, "/vectors")?.iter().find(|vector| text(vector, "/alg") == Ok("EdDSA"));
    let vector = vector.ok_or("no vector with EdDSA")?;
    let key = vector.get("jwk").ok_or("a vector without a key")?;
    example(key, text(vector, "/jws")?, Some(text(vector, "/thumbprint_sha256")?))
}

/// The same of the JOSE cookbook.
fn cookbook(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = json(only(files)?)?;
    let key = file.pointer("/input/key").ok_or("a vector without a key")?;
    example(key, text(&file, "/output/compact")?, None)
}

fn example(jwk: &Value, token: &str, thumbprint: Option<&str>) -> Result<Vec<Verdict>, String> {
    let key = SecretKey::from_private_jwk(jwk.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let (input, signature) = token.rsplit_once('.').ok_or("no token")?;
    let signature = b64::decode_array::<64>(signature).map_err(|error| error.to_string())?;
    let same = key.sign(input.as_bytes()) == signature
        && thumbprint.is_none_or(|thumbprint| thumbprint == key.public().thumbprint());
    let outcome = if same { verified(key.public(), input.as_bytes(), &signature) } else { Err("differs".to_owned()) };
    Ok(vec![Verdict::new("signature", true, outcome), Verdict::new("token", false, any_token(token))])
}

fn thumbprints(files: &[String]) -> Result<Vec<Verdict>, String> {
    let file = json(only(files)?)?;
    let judge = |vector: &Value| {
        let name = text(vector, "/name")?;
        let outcome = match PublicKey::from_jwk(text(vector, "/jwk")?.as_bytes()) {
            Ok(key) if key.thumbprint() == text(vector, "/thumbprint")? => Ok(key.thumbprint().to_owned()),
            Ok(_) => Err("another thumbprint".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        // Keys of other kinds are none of ours.
        Ok(Verdict::new(name, name == "ed25519", outcome))
    };
    list(&file, "")?.iter().map(judge).collect()
}
