//! Random chains out of a small world, so that what links state meets. All passports are signed by those who should.

use std::sync::OnceLock;

use passgate_passport::did_key;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::SecretKey;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::verifier::Moment;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const ISSUER_SEED: u8 = 1;
pub(crate) const ROOT_TTL: i64 = 100_000;
const IAT: i64 = 1_700_000_000;
/// After every `iat` below and before every `exp`.
pub(crate) const NOW: i64 = IAT + 50;

/// A chain and what its links state.
pub(crate) struct Chain {
    pub(crate) tokens: Vec<String>,
    pub(crate) claims: Vec<Value>,
}

impl Chain {
    pub(crate) fn text(&self) -> String {
        self.tokens.join("~")
    }
}

/// A chain that may break rules of narrowing.
pub(crate) fn chain(seed: u64) -> Chain {
    let mut dice = Dice(seed);
    let mischief = [0, 15, 60][dice.roll(3)];
    make(&mut dice, mischief)
}

/// A chain that breaks none.
pub(crate) fn honest(seed: u64) -> Chain {
    make(&mut Dice(seed), 0)
}

/// A chain and a moment to present it at. One in four chains was tampered with, one in two moments is any.
pub(crate) fn presented(seed: u64) -> (String, Moment) {
    let mut dice = Dice(!seed);
    let chain = chain(seed);
    let mut tokens = chain.tokens;
    let (one, other) = (dice.roll(tokens.len()), dice.roll(tokens.len()));
    match dice.roll(20) {
        0 => tokens.swap(one, other),
        1 => drop(tokens.remove(one)),
        2 => tokens.truncate(one + 1),
        3 => tokens.push(honest(seed ^ 1).tokens.pop().unwrap()),
        4 => {
            let mut bytes = tokens[one].clone().into_bytes();
            let at = dice.roll(bytes.len());
            bytes[at] = dice.pick(b"A-z0");
            tokens[one] = String::from_utf8(bytes).unwrap();
        }
        _ => {}
    }
    let mut moment = Moment { now: NOW, leeway: 0, audience: None };
    if dice.roll(2) == 0 {
        moment.now = dice.pick(&[IAT - 1, IAT, IAT + 3, IAT + 59, IAT + 7190, IAT + 7200, IAT + 7201, IAT + 90_000]);
        moment.leeway = dice.pick(&[0, 0, 5, 300]);
        moment.audience = dice.pick(&[None, Some("1"), Some("2"), Some("4")]);
    }
    (tokens.join("~"), moment)
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Patterns(char),
    Hosts,
    Texts,
    Number,
    Purpose,
    Labels,
    Tier,
}

/// What a link may state, by JSON pointer.
const STATEMENTS: [(&str, Kind); 18] = [
    ("/permissions", Kind::Patterns(':')),
    ("/aud", Kind::Texts),
    ("/trust_tier", Kind::Tier),
    ("/constraints/spend/per_transaction_micro_usd", Kind::Number),
    ("/constraints/spend/daily_micro_usd", Kind::Number),
    ("/constraints/spend/monthly_micro_usd", Kind::Number),
    ("/constraints/spend/total_micro_usd", Kind::Number),
    ("/constraints/rate/requests_per_minute", Kind::Number),
    ("/constraints/rate/requests_per_hour", Kind::Number),
    ("/constraints/rate/requests_per_day", Kind::Number),
    ("/constraints/domains", Kind::Hosts),
    ("/constraints/resources", Kind::Patterns('/')),
    ("/constraints/context/u", Kind::Texts),
    ("/constraints/context/v", Kind::Texts),
    ("/constraints/max_records", Kind::Number),
    ("/constraints/purpose", Kind::Purpose),
    ("/constraints/task", Kind::Purpose),
    ("/constraints/labels", Kind::Labels),
];

fn make(dice: &mut Dice, mischief: usize) -> Chain {
    let mut chain = Chain { tokens: vec![], claims: vec![] };
    let mut above = Map::new();
    let links = 1 + dice.roll(6);
    for link in 0..links {
        let claims = next(dice, mischief, &chain, &mut above);
        let signer = if link == 0 { key(ISSUER_SEED) } else { key_of(&chain.claims[link - 1]) };
        chain.tokens.push(jws::sign(signer, TokenType::Passport, claims.to_string().as_bytes()));
        chain.claims.push(claims);
    }
    chain
}

fn next(dice: &mut Dice, mischief: usize, chain: &Chain, above: &mut Map<String, Value>) -> Value {
    let link = chain.claims.len();
    let mut claims = match chain.claims.last() {
        None => json!({"iss": ISSUER, "iat": IAT, "exp": IAT + 7200, "delegation": {"depth_left": 5}}),
        Some(parent) => child(dice, mischief, chain, parent),
    };
    // Who repeats an agent of the chain repeats the key too, so that the next link can be signed.
    let agent = if dice.roll(1000) < mischief { dice.roll(link + 1) } else { link };
    claims["sub"] = json!(format!("agent-{agent}"));
    claims["cnf"] = json!({ "jwk": jwk(agent) });
    claims["jti"] =
        json!(format!("pass_0000000000000000000000000{}", if dice.roll(1000) < mischief { 0 } else { link }));
    for (pointer, kind) in STATEMENTS {
        if let Some(value) = state(dice, mischief, kind, above.get(pointer), pointer == "/permissions") {
            above.insert(pointer.to_owned(), value.clone());
            put(&mut claims, pointer, value);
        }
    }
    if link == 0 {
        // A root's tier has to be the computed one.
        claims.as_object_mut().unwrap().remove("trust_tier");
        above.insert("/trust_tier".to_owned(), json!("L2"));
    }
    claims
}

fn child(dice: &mut Dice, mischief: usize, chain: &Chain, parent: &Value) -> Value {
    let number = |name: &str| parent[name].as_i64().unwrap();
    let mut odd = |change: i64| if dice.roll(1000) < mischief { change } else { 0 };
    let iat = number("iat") + 1 + odd(-2);
    let exp = number("exp") - 1 + odd(2) + odd(90_000) + odd(-7150);
    let left = parent["delegation"]["depth_left"].as_i64().unwrap() - 1 + odd(1);
    let hash: String = Sha256::digest(chain.tokens.last().unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "iss": did_key::encode(key_of(parent).public()), "iat": iat, "exp": exp,
        "delegation": {
            "parent": parent["jti"], "parent_sha256": format!("sha256:{hash}"), "root_issuer": ISSUER,
            "spawned_by": parent["sub"], "depth_left": left.clamp(0, 4),
        },
    })
}

/// The keys are few, and making one costs as much as a signature.
fn key(seed: u8) -> &'static SecretKey {
    static KEYS: OnceLock<Vec<SecretKey>> = OnceLock::new();
    &KEYS.get_or_init(|| (0..32).map(|seed| SecretKey::from_seed([seed; 32])).collect())[usize::from(seed)]
}

/// The public JWK of an agent.
fn jwk(agent: usize) -> Value {
    static JWKS: OnceLock<Vec<Value>> = OnceLock::new();
    let made = |agent| serde_json::from_str(&key(agent_seed(agent)).public().to_jwk()).unwrap();
    JWKS.get_or_init(|| (0..6).map(made).collect())[agent].clone()
}

fn agent_seed(agent: usize) -> u8 {
    u8::try_from(10 + agent).unwrap()
}

/// The key of the agent that a passport names.
fn key_of(claims: &Value) -> &'static SecretKey {
    let agent = claims["sub"].as_str().unwrap().strip_prefix("agent-").unwrap();
    key(agent_seed(agent.parse().unwrap()))
}

fn put(claims: &mut Value, pointer: &str, value: Value) {
    let mut place = claims;
    for name in pointer.split('/').skip(1) {
        place = &mut place[name];
    }
    *place = value;
}

/// What a link states under `above`, which is what those above it have; `None` for nothing.
fn state(dice: &mut Dice, mischief: usize, kind: Kind, above: Option<&Value>, required: bool) -> Option<Value> {
    if !required && dice.roll(2) == 0 {
        return None;
    }
    match above {
        Some(above) if dice.roll(1000) >= mischief => Some(narrower(dice, kind, above)),
        _ => Some(any(dice, kind)),
    }
}

fn any(dice: &mut Dice, kind: Kind) -> Value {
    let entries = 1 + dice.roll(3);
    let list =
        |dice: &mut Dice, one: &dyn Fn(&mut Dice) -> String| json!((0..entries).map(|_| one(dice)).collect::<Vec<_>>());
    match kind {
        Kind::Patterns(separator) => list(dice, &|dice| pattern(dice, separator)),
        Kind::Hosts => list(dice, &host),
        Kind::Texts | Kind::Labels => list(dice, &|dice| dice.pick(&["1", "2", "3"]).to_owned()),
        Kind::Number => json!(dice.roll(4)),
        Kind::Purpose => json!(dice.pick(&["p", "q"])),
        Kind::Tier => json!(dice.pick(&["L1", "L2", "L3"])),
    }
}

/// Wildcards stand anywhere in scopes, and last in resources.
fn pattern(dice: &mut Dice, separator: char) -> String {
    let count = 1 + dice.roll(3);
    let segment = |at: usize, dice: &mut Dice| match separator == ':' || at + 1 == count {
        true => dice.pick(&["a", "b", "*", "*"]),
        false => dice.pick(&["a", "b"]),
    };
    let segments: Vec<&str> = (0..count).map(|at| segment(at, dice)).collect();
    segments.join(&separator.to_string())
}

fn host(dice: &mut Dice) -> String {
    let labels: Vec<&str> = (0..2 + dice.roll(2)).map(|_| dice.pick(&["a", "b"])).collect();
    let wildcard = if dice.roll(2) == 0 { "*." } else { "" };
    format!("{wildcard}{}", labels.join("."))
}

fn narrower(dice: &mut Dice, kind: Kind, above: &Value) -> Value {
    let mut kept: Vec<String> =
        above.as_array().into_iter().flatten().map(|one| one.as_str().unwrap().to_owned()).collect();
    match kind {
        Kind::Number => json!(dice.roll(usize::try_from(above.as_u64().unwrap()).unwrap() + 1)),
        Kind::Purpose => above.clone(),
        Kind::Tier => json!(if dice.roll(2) == 0 { "L1".into() } else { above.clone() }),
        Kind::Labels => {
            kept.push(dice.pick(&["1", "2", "3", "4"]).to_owned());
            json!(kept)
        }
        Kind::Texts => {
            kept.truncate(1 + dice.roll(kept.len()));
            json!(kept)
        }
        Kind::Patterns(_) | Kind::Hosts => {
            if dice.roll(4) == 0 {
                kept.truncate(1 + dice.roll(kept.len()));
            }
            json!(
                kept.into_iter()
                    .map(|one| if dice.roll(4) == 0 { one.replacen('*', "b", 1) } else { one })
                    .collect::<Vec<_>>()
            )
        }
    }
}
