//! Agents of the catalogue: keys from fixed seeds, passports and signed requests.

use anyhow::Result;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{NewDelegation, RootGrant, delegate, issue_root};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::{NewPassport, issue};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::dpop::{self, DpopParams};
use passgate_passport::proof::{self, ProofForm, ProofParams};
use passgate_passport::scope::Scope;
use serde_json::Value;

use crate::case::Request;

/// The scheme of every gate in the catalogue.
pub const SCHEME: &str = "http";
/// The authority of every gate in the catalogue.
pub const HOST: &str = "tools.example";
/// The issuer most passports come from.
pub const ISSUER: &str = "https://issuer.acme.example";
/// The seed of that issuer's key.
pub const ISSUER_SEED: u8 = 1;
/// Unix second of the catalogue's present: 2027-01-15T08:00:00Z.
pub const NOW: i64 = 1_800_000_000;

/// The test key with this seed byte. Anybody can make it.
pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A passport to be issued; change what the case is about.
#[derive(Debug, Clone)]
pub struct PassportDraft {
    /// The claims.
    pub claims: NewPassport,
    /// The seed of the key that signs it.
    pub issuer_seed: u8,
}

impl PassportDraft {
    /// A passport of [`ISSUER`] for the agent with this name and key seed: issued an hour ago, valid for 30 days.
    ///
    /// # Errors
    /// When a permission is no scope.
    pub fn new(agent_id: &str, agent_seed: u8, permissions: &[&str]) -> Result<Self> {
        let scopes = permissions.iter().map(|text| Scope::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let jti = passgate_passport::id::new_id("pass", NOW.unsigned_abs() * 1000, [agent_seed; 10]);
        let public = key(agent_seed).public().clone();
        let mut claims = NewPassport::new(jti, agent_id.to_owned(), public, scopes, NOW - 3600, NOW + 30 * 86_400);
        claims.iss = Some(ISSUER.to_owned());
        Ok(Self { claims, issuer_seed: ISSUER_SEED })
    }

    /// The same agent vouching for itself, for a week.
    ///
    /// # Errors
    /// When a permission is no scope.
    pub fn self_issued(agent_id: &str, agent_seed: u8, permissions: &[&str]) -> Result<Self> {
        let mut draft = Self::new(agent_id, agent_seed, permissions)?;
        draft.claims.iss = None;
        draft.claims.exp = NOW + 7 * 86_400;
        draft.issuer_seed = agent_seed;
        Ok(draft)
    }

    /// The passport.
    ///
    /// # Errors
    /// When no verifier would accept such claims.
    pub fn issue(&self) -> Result<String> {
        Ok(issue(&key(self.issuer_seed), &self.claims)?)
    }
}

/// A passport that may be handed on, and those made from it.
#[derive(Debug, Clone)]
pub struct ChainDraft {
    text: String,
    /// The ids of its passports, the root's first.
    pub ids: Vec<String>,
    /// The seeds of the keys of its agents, the root's first.
    seeds: Vec<u8>,
    /// The seed of the last agent's key.
    pub seed: u8,
}

impl ChainDraft {
    /// A root with these limits, a JSON object, that may be handed on five times.
    ///
    /// # Errors
    /// When no verifier would accept such claims.
    pub fn new(agent_id: &str, seed: u8, permissions: &[&str], limits: &Value) -> Result<Self> {
        Self::limited(agent_id, seed, permissions, limits, |_| {})
    }

    /// The same with changed claims.
    ///
    /// # Errors
    /// When no verifier would accept such claims.
    pub fn limited(
        agent_id: &str,
        seed: u8,
        permissions: &[&str],
        limits: &Value,
        change: impl FnOnce(&mut NewPassport),
    ) -> Result<Self> {
        let mut draft = PassportDraft::new(agent_id, seed, permissions)?;
        change(&mut draft.claims);
        let grant = RootGrant { depth_left: Some(5), constraints: constraints(limits)? };
        let text = issue_root(&key(draft.issuer_seed), &draft.claims, &grant)?;
        Ok(Self { text, ids: vec![draft.claims.jti], seeds: vec![seed], seed })
    }

    /// A passport that does not say that it may be handed on.
    ///
    /// # Errors
    /// When no verifier would accept such claims.
    pub fn closed(agent_id: &str, seed: u8, permissions: &[&str]) -> Result<Self> {
        let draft = PassportDraft::new(agent_id, seed, permissions)?;
        Ok(Self { text: draft.issue()?, ids: vec![draft.claims.jti], seeds: vec![seed], seed })
    }

    /// With one more passport, which may be handed on as often as the rules allow.
    ///
    /// # Errors
    /// When no verifier would accept such claims.
    pub fn hand_on(&self, agent_id: &str, seed: u8, permissions: &[&str], limits: &Value) -> Result<Self> {
        let scopes = permissions.iter().map(|text| Scope::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let jti = passgate_passport::id::new_id("pass", NOW.unsigned_abs() * 1000, [seed; 10]);
        let public = key(seed).public().clone();
        let new = NewDelegation::new(jti.clone(), agent_id.to_owned(), public, scopes, NOW - 60, NOW + 3600);
        let depth_left = u8::try_from(5_usize.saturating_sub(self.ids.len()))?;
        let new = NewDelegation { constraints: constraints(limits)?, depth_left, ..new };
        let text = delegate(&self.text, &key(self.seed), &new)?;
        let (mut ids, mut seeds) = (self.ids.clone(), self.seeds.clone());
        ids.push(jti);
        seeds.push(seed);
        Ok(Self { text, ids, seeds, seed })
    }

    /// The passports from the root to the one after `delegations` of them.
    #[must_use]
    pub fn prefix(&self, delegations: usize) -> Self {
        let tokens: Vec<&str> = self.tokens().take(delegations + 1).collect();
        let seeds: Vec<u8> = self.seeds.iter().copied().take(delegations + 1).collect();
        let seed = seeds.last().copied().unwrap_or(self.seed);
        Self { text: tokens.join("~"), ids: self.ids.iter().take(delegations + 1).cloned().collect(), seeds, seed }
    }

    /// Another text for the same agent.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Self {
        Self { text: text.to_owned(), ..self.clone() }
    }

    /// With one more token as it is, for the agent with this key seed.
    #[must_use]
    pub fn with_token(&self, token: &str, seed: u8) -> Self {
        let mut seeds = self.seeds.clone();
        seeds.push(seed);
        Self { text: format!("{}~{token}", self.text), ids: self.ids.clone(), seeds, seed }
    }

    /// With another signature of the last passport.
    #[must_use]
    pub fn with_other_signature(&self) -> Self {
        self.with_text(&with_other_signature(&self.text))
    }

    /// The passports.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.text.split('~')
    }

    /// A request of its last agent.
    #[must_use]
    pub fn ask(&self, method: &str, target: &str) -> RequestDraft {
        RequestDraft::new(method, target, &self.text, self.seed)
    }
}

/// The limits that this object says; none when it is empty.
fn constraints(limits: &Value) -> Result<Constraints> {
    match limits.as_object() {
        Some(members) if members.is_empty() => Ok(Constraints::default()),
        _ => Ok(Constraints::from_json(limits.to_string().as_bytes(), 16 * 1024)?),
    }
}

/// A request to be signed; change what the case is about.
#[derive(Debug, Clone)]
pub struct RequestDraft {
    /// The request without the fields of the proof.
    pub request: Request,
    /// The passport it presents.
    pub passport: String,
    /// The seed of the key that signs.
    pub seed: u8,
    /// When it is signed, Unix seconds.
    pub created: i64,
    /// Until when it may be accepted, if that is earlier than the window's end.
    pub expires: Option<i64>,
    /// The nonce.
    pub nonce: String,
    /// What is covered beyond the mandatory.
    pub cover: Vec<String>,
    /// In which form possession is proven.
    pub form: ProofForm,
}

impl RequestDraft {
    /// A request without a body.
    pub fn new(method: &str, target: &str, passport: &str, seed: u8) -> Self {
        let request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            host: HOST.to_owned(),
            headers: Vec::new(),
            body: String::new(),
        };
        let nonce = "nonce-of-no-step-0001".to_owned();
        Self {
            request,
            passport: passport.to_owned(),
            seed,
            created: NOW,
            expires: None,
            nonce,
            cover: Vec::new(),
            form: ProofForm::MessageSignature,
        }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.request.body);
        self
    }

    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Proven with DPoP.
    #[must_use]
    pub fn dpop(mut self) -> Self {
        self.form = ProofForm::Dpop;
        self
    }

    /// With another nonce.
    #[must_use]
    pub fn nonce(mut self, nonce: &str) -> Self {
        nonce.clone_into(&mut self.nonce);
        self
    }

    /// Signed at another second.
    #[must_use]
    pub fn created(mut self, created: i64) -> Self {
        self.created = created;
        self
    }

    /// The request with its passport and proof.
    ///
    /// # Errors
    /// When no verifier would accept such a proof.
    pub fn sign(&self) -> Result<Request> {
        self.sign_with(&key(self.seed))
    }

    /// The same with any key.
    ///
    /// # Errors
    /// When no verifier would accept such a proof.
    pub fn sign_with(&self, key: &SecretKey) -> Result<Request> {
        let mut request = self.request.clone();
        request.headers.push(("agent-passport".to_owned(), self.passport.clone()));
        let (path, query) = self.request.path_and_query();
        let headers: Vec<Header<'_>> =
            request.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let http = HttpRequest {
            method: &request.method,
            scheme: SCHEME,
            authority: &self.request.host,
            path,
            query,
            headers: &headers,
            body: request.body.as_bytes(),
        };
        let cover: Vec<&str> = self.cover.iter().map(String::as_str).collect();
        if self.form == ProofForm::Dpop {
            let params = DpopParams { created: self.created, jti: &self.nonce, expires: self.expires, nonce: None };
            let proof = dpop::sign(&http, key, &params, &cover)?;
            request.headers.push(("dpop".to_owned(), proof));
            return Ok(request);
        }
        let params = ProofParams { created: self.created, nonce: &self.nonce, expires: self.expires };
        let signed = proof::sign_covering(&http, key, &params, &cover)?;
        let added = [
            ("content-digest", signed.content_digest),
            ("signature-input", Some(signed.signature_input)),
            ("signature", Some(signed.signature)),
        ];
        let added = added.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        request.headers.extend(added);
        Ok(request)
    }

    /// The request with its passport and no proof.
    #[must_use]
    pub fn unsigned(&self) -> Request {
        let mut request = self.request.clone();
        request.headers.push(("agent-passport".to_owned(), self.passport.clone()));
        request
    }
}

/// `request` without the lines of one field.
#[must_use]
pub fn without(mut request: Request, name: &str) -> Request {
    request.headers.retain(|(field, _)| field != name);
    request
}

/// `request` with every occurrence of `from` in the values of one field replaced.
#[must_use]
pub fn edited(mut request: Request, name: &str, from: &str, to: &str) -> Request {
    for (field, value) in &mut request.headers {
        if field == name {
            *value = value.replace(from, to);
        }
    }
    request
}

/// `token` with another signature of the same length.
#[must_use]
pub fn with_other_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let flip = |(at, character)| {
        if at == 0 && character == 'A' {
            'B'
        } else if at == 0 {
            'A'
        } else {
            character
        }
    };
    let other: String = signature.chars().enumerate().map(flip).collect();
    format!("{signed}.{other}")
}
