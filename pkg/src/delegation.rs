//! Handing a passport on: what the agent's key, which JavaScript holds, has to sign.

use passgate_passport::claims::ClaimsError;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{self, DelegateError, NewDelegation};
use passgate_passport::json;
use passgate_passport::key::PublicKey;
use passgate_passport::scope::Scope;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::report;

/// Longest order, in bytes: more than a chain has room for.
const MAX_ORDER_BYTES: usize = 64 * 1024;

/// What the new passport shall say. Limits, key and permissions are read by the rules of passports.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    jti: String,
    sub: String,
    /// A public JWK, as its JSON.
    jwk: String,
    permissions: Vec<String>,
    iat: i64,
    exp: i64,
    #[serde(default)]
    depth_left: u8,
    #[serde(default)]
    agent_name: Option<String>,
    #[serde(default)]
    aud: Option<Vec<String>>,
    /// The claim, as its JSON.
    #[serde(default)]
    constraints: Option<String>,
}

/// What is to be signed, or why no verifier would accept it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    SigningInput(String),
    Refused { code: &'static str, detail: String },
}

/// What the key of the last passport of `chain` has to sign to hand it on by `order`, JSON of `ts/delegate.ts`.
///
/// # Errors
///
/// None that an argument can cause: the answer says why there is nothing to sign.
#[wasm_bindgen(js_name = delegationInput)]
pub fn signing_input(chain: &str, order: &str) -> Result<String, String> {
    let answer = Order::read(order).map_err(|detail| Answer::Refused { code: INVALID, detail });
    let answer = answer.and_then(|new| delegation::signing_input(chain, &new).map_err(|error| Answer::refused(&error)));
    report::to_json(&answer.map_or_else(|refused| refused, Answer::SigningInput))
}

/// The code for what is no claim.
const INVALID: &str = "claim_invalid";

impl Answer {
    fn refused(error: &DelegateError) -> Self {
        let code = if let DelegateError::Chain(error) = error { error.code() } else { INVALID };
        Self::Refused { code, detail: error.to_string() }
    }
}

impl Order {
    fn read(text: &str) -> Result<NewDelegation, String> {
        let order: Self = json::parse_into(text.as_bytes(), MAX_ORDER_BYTES).map_err(|error| error.to_string())?;
        order.new_delegation()
    }

    fn new_delegation(self) -> Result<NewDelegation, String> {
        let key = PublicKey::from_jwk(self.jwk.as_bytes()).map_err(|error| format!("publicKey: {error}"))?;
        let permissions = self.permissions.iter().map(|scope| Scope::parse(scope)).collect::<Result<_, _>>();
        let permissions = permissions.map_err(|error| format!("permissions: {error}"))?;
        let mut new = NewDelegation::new(self.jti, self.sub, key, permissions, self.iat, self.exp);
        new.depth_left = self.depth_left;
        new.agent_name = self.agent_name;
        new.aud = self.aud;
        new.constraints = limits(self.constraints.as_deref()).map_err(|error| error.to_string())?;
        Ok(new)
    }
}

fn limits(claim: Option<&str>) -> Result<Constraints, ClaimsError> {
    claim.map_or_else(|| Ok(Constraints::default()), |json| Constraints::from_json(json.as_bytes(), MAX_ORDER_BYTES))
}

#[cfg(test)]
mod tests {
    use passgate_passport::delegation::{RootGrant, delegate, issue_root, with_signature};
    use passgate_passport::issue::NewPassport;
    use passgate_passport::key::SecretKey;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn id(number: u8) -> String {
        format!("pass_01J000000000000000000000{number:02}")
    }

    fn root() -> String {
        let scopes = vec![Scope::parse("web:*").unwrap()];
        let agent = key(9).public().clone();
        let passport = NewPassport::new(id(0), "bot".to_owned(), agent, scopes, NOW - 60, NOW + 3600);
        issue_root(&key(9), &passport, &RootGrant { depth_left: Some(1), ..RootGrant::default() }).unwrap()
    }

    fn order(permission: &str) -> String {
        let limits = r#"{"spend":{"daily_micro_usd":5},"labels":["b","a"]}"#;
        json!({ "jti": id(1), "sub": "helper", "jwk": key(10).public().to_jwk(), "permissions": [permission],
            "iat": NOW, "exp": NOW + 600, "constraints": limits })
        .to_string()
    }

    #[test]
    fn the_input_is_that_of_the_other_implementations() {
        let answer: Value = serde_json::from_str(&signing_input(&root(), &order("web:search")).unwrap()).unwrap();
        let input = answer["signingInput"].as_str().unwrap().to_owned();
        let chain = with_signature(&root(), input.clone(), &key(9).sign(input.as_bytes())).unwrap();
        let order: Order = serde_json::from_str(&order("web:search")).unwrap();
        assert_eq!(chain, delegate(&root(), &key(9), &order.new_delegation().unwrap()).unwrap());
    }

    #[test]
    fn what_widens_is_refused_with_its_code() {
        for (order, code) in [
            (order("payments:create"), "delegation_widens_scope"),
            (order("No Scope"), "claim_invalid"),
            (r#"{"sub":"x"}"#.to_owned(), "claim_invalid"),
        ] {
            let answer: Value = serde_json::from_str(&signing_input(&root(), &order).unwrap()).unwrap();
            assert_eq!(answer["refused"]["code"], code);
        }
    }
}
