//! The verifier a second time, from the text on: serde_json, base64, bs58, SHA-256 and the curve library directly, every
//! rule one after the other, and no signature spared. What a chain may state under another is in [`reference`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::random::{ISSUER, ISSUER_SEED, ROOT_TTL};
use crate::reference::{self, Judgement, Request};

/// The moment and the gate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: i64,
    pub(crate) leeway: i64,
    pub(crate) audience: Option<&'static str>,
}

/// What the chain permits of the universe, or why it is refused.
pub(crate) fn judge(text: &str, moment: Moment, universe: &[Request]) -> Result<Judgement, String> {
    let tokens: Vec<&str> = text.split('~').collect();
    if text.len() > 16 * 1024 || tokens.len() > 6 {
        return Err("too long".to_owned());
    }
    let mut links: Vec<Value> = vec![];
    for (at, token) in tokens.iter().enumerate() {
        let parent = at.checked_sub(1).map(|above| (&links[above], tokens[above]));
        let claims = read(token, parent.map(|(claims, _)| claims))?;
        match parent {
            None => check_root(&claims)?,
            Some((parent, token)) => check_child(&claims, parent, token, &links[0])?,
        }
        check_moment(&claims, moment)?;
        links.push(claims);
    }
    let judgement = reference::judge(&links, universe);
    judgement.refusal.clone().map_or(Ok(judgement), Err)
}

/// The claims of a token that its parent's key, or the issuer's, has signed.
fn read(token: &str, parent: Option<&Value>) -> Result<Value, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err("no token".to_owned()) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
    let parse = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|error| error.to_string());
    let key = match parent {
        None => SigningKey::from_bytes(&[ISSUER_SEED; 32]).verifying_key(),
        Some(parent) => key(parent)?,
    };
    let kid = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(key.as_bytes()));
    let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(kid));
    same("header", &parse(header)?, &json!({"alg": "EdDSA", "kid": kid, "typ": "passport+jwt"}))?;
    let signature = Signature::from_slice(&decode(signature)?).map_err(|error| error.to_string())?;
    let signed = format!("{header}.{payload}");
    key.verify_strict(signed.as_bytes(), &signature).map_err(|error| error.to_string())?;
    parse(payload)
}

fn key(claims: &Value) -> Result<VerifyingKey, String> {
    let x = claims.pointer("/cnf/jwk/x").and_then(Value::as_str).ok_or("no key")?;
    let bytes = URL_SAFE_NO_PAD.decode(x).map_err(|error| error.to_string())?;
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| "no key")?;
    VerifyingKey::from_bytes(&bytes).map_err(|error| error.to_string())
}

fn check_root(claims: &Value) -> Result<(), String> {
    same("issuer", &claims["iss"], &json!(ISSUER))?;
    same("parent of a root", &claims["delegation"]["parent"], &Value::Null)?;
    match number(claims, "exp") - number(claims, "iat") <= ROOT_TTL {
        true => Ok(()),
        false => Err("lives too long".to_owned()),
    }
}

fn check_child(claims: &Value, parent: &Value, parent_token: &str, root: &Value) -> Result<(), String> {
    let digits: String = Sha256::digest(parent_token).iter().map(|byte| format!("{byte:02x}")).collect();
    let parent_key = [&[0xed, 1][..], key(parent)?.as_bytes()].concat();
    let named = &claims["delegation"];
    same("parent", &named["parent"], &parent["jti"])?;
    same("hash", &named["parent_sha256"], &json!(format!("sha256:{digits}")))?;
    same("root", &named["root_issuer"], &root["iss"])?;
    same("spawner", &named["spawned_by"], &parent["sub"])?;
    same("issuer", &claims["iss"], &json!(format!("did:key:z{}", bs58::encode(parent_key).into_string())))
}

fn check_moment(claims: &Value, moment: Moment) -> Result<(), String> {
    let starts = number(claims, "iat") - moment.leeway <= moment.now;
    let ended = number(claims, "exp") + moment.leeway < moment.now;
    let aud = claims["aud"].as_array();
    let is_meant = match (moment.audience, aud) {
        (Some(gate), Some(named)) => named.contains(&json!(gate)),
        _ => true,
    };
    match starts && !ended && is_meant {
        true => Ok(()),
        false => Err(format!("not now, or not here: {starts} {ended} {is_meant}")),
    }
}

fn number(claims: &Value, name: &str) -> i64 {
    claims[name].as_i64().unwrap()
}

fn same(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what} is {found} and not {expected}")),
    }
}
