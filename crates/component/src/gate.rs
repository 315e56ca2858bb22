//! A gate, and what it says of passports and requests before any state is asked.

use std::cell::RefCell;
use std::rc::Rc;

use passgate_api::answer::{self, ToCover};
use passgate_api::bundle::Bundle;
use passgate_api::driver::{Judge, RefusalRecord, Refused};
use passgate_core::gate::{self, EvaluatorRef};
use passgate_core::pipeline::RawRequest;
use passgate_core::reason::Reason;
use passgate_core::time::UnixMillis;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::delegation::{self, Link, VerifiedChain};
use passgate_passport::http::Header;
use passgate_passport::json;
use passgate_passport::key::PublicKey;
use passgate_passport::passport::VerifyContext;

use crate::bindings::exports::passgate::gate::evaluator as wit;
use crate::convert;
use crate::judgement::{Judgement, Refusal};

/// The longest policy, in bytes; that of a bundle.
const MAX_POLICY_BYTES: usize = 1024 * 1024;

/// A gate that status lists can be added to. Judgements keep the value they were made under.
pub(crate) struct Gate {
    gate: RefCell<Rc<gate::Gate>>,
    judge: Judge,
}

impl Gate {
    pub(crate) fn get(&self) -> Rc<gate::Gate> {
        Rc::clone(&self.gate.borrow())
    }
}

impl wit::GuestGate for Gate {
    fn open(policy: String, evaluator: wit::EvaluatorRef) -> Result<wit::Gate, wit::PolicyError> {
        let unreadable = |error: json::JsonError| wit::PolicyError { at: "policy".to_owned(), why: error.to_string() };
        let bundle: Bundle = json::parse_into(policy.as_bytes(), MAX_POLICY_BYTES).map_err(unreadable)?;
        let wit::EvaluatorRef { digest, engine, version } = evaluator;
        let gate = bundle.compile(EvaluatorRef { digest, engine, version });
        let gate = gate.map_err(|error| wit::PolicyError { at: error.at, why: error.why })?;
        Ok(wit::Gate::new(Self { gate: RefCell::new(Rc::new(gate)), judge: Judge::new() }))
    }

    fn set_challenge_key(&self, key: Vec<u8>) -> Result<(), String> {
        let bytes = key.try_into().map_err(|key: Vec<u8>| format!("the key has {} bytes; give 32", key.len()))?;
        Rc::make_mut(&mut self.gate.borrow_mut()).challenge_key = Some(ChallengeKey::new(bytes));
        Ok(())
    }

    fn challenge(&self, now: u64) -> Option<String> {
        self.get().challenge(UnixMillis(now))
    }

    fn add_status_list(&self, uri: Option<String>, token: String, now: u64) -> Result<bool, String> {
        let mut gate = self.gate.borrow_mut();
        let added = Rc::make_mut(&mut gate).add_status_list(uri.as_deref(), &token, UnixMillis(now));
        added.map_err(|error| error.to_string())
    }

    fn mint_with(&self, keys: Vec<Vec<u8>>) -> Result<(), String> {
        let keys = keys.iter().map(|bytes| {
            let bytes = bytes.as_slice().try_into();
            let bytes = bytes.map_err(|_| "a public key has 32 bytes".to_owned())?;
            PublicKey::from_bytes(bytes).map_err(|error| error.to_string())
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Rc::make_mut(&mut self.gate.borrow_mut()).mint_with(keys);
        Ok(())
    }

    fn verify_passport(&self, token: String, now: u64) -> Result<wit::Passport, wit::Rejection> {
        verify(&self.get(), &token, UnixMillis(now))
    }

    fn judge(&self, request: wit::Request, now: u64, conduct: wit::Conduct) -> Result<wit::Judgement, wit::Refusal> {
        let headers: Vec<Header<'_>> =
            request.headers.iter().map(|header| Header { name: &header.name, value: &header.value }).collect();
        let raw = RawRequest {
            method: &request.method,
            authority: request.authority.as_deref(),
            path: &request.path,
            query: request.query.as_deref(),
            headers: &headers,
            body: &request.body,
        };
        let (gate, now) = (self.get(), UnixMillis(now));
        match self.judge.judge_as(&gate, &raw, now, convert::conduct(conduct)) {
            Ok(judged) => Ok(wit::Judgement::new(Judgement::new(judged))),
            Err(refusal) => Err(wit::Refusal::new(Refusal::new(RefusalRecord::new(&gate, &refusal, now)))),
        }
    }

    fn answer(
        &self,
        refused: wit::Refused,
        rates: Vec<wit::Rate>,
        attestation_id: Option<String>,
        to_cover: wit::ToCover,
    ) -> wit::Response {
        let refused = Refused { attestation_id, ..convert::into_refused(refused, rates) };
        let wit::ToCover { action_pass, content_digest, content_encoding, content_type, dpop, challenge } = to_cover;
        let to_cover = ToCover { action_pass, content_digest, content_encoding, content_type, dpop, challenge };
        let answer = answer::refusal(&refused, &self.get().id, to_cover);
        wit::Response {
            status: answer.status,
            headers: answer.headers.into_iter().map(convert::field).collect(),
            body: answer.body,
        }
    }
}

/// The checks of a passport in the order of `passgate_core::pipeline::authenticate`, without a request's proof.
fn verify(gate: &gate::Gate, token: &str, now: UnixMillis) -> Result<wit::Passport, wit::Rejection> {
    let rejected = |code: &str, detail: String| wit::Rejection { reason_code: code.to_owned(), detail };
    let context = VerifyContext { now: now.seconds(), leeway_seconds: gate.leeway_seconds, audience: Some(&gate.id) };
    let chain = delegation::verify_chain(token, &gate.trust, &context)
        .map_err(|error| rejected(error.code(), error.to_string()))?;
    if chain.tier() < gate.level.minimum_tier() {
        let detail = format!("tier {} at a gate of level {}", chain.tier().as_str(), gate.level.as_str());
        return Err(rejected(Reason::TierInsufficient.code(), detail));
    }
    let status = gate.status_lists.check(&chain.root().claims, now);
    let consulted = status.map_err(|bad| rejected(bad.reason.code(), bad.detail))?;
    Ok(view(&chain, consulted.is_some()))
}

fn view(chain: &VerifiedChain, has_status: bool) -> wit::Passport {
    let claims = &chain.leaf().claims;
    let unchecked_list = chain.root().claims.status_list.is_some() && !has_status;
    let delegator = |link: &Link| wit::Delegator {
        agent_id: link.claims.sub.clone(),
        key_thumbprint: link.claims.cnf_key.thumbprint().to_owned(),
        passport_id: link.claims.jti.clone(),
    };
    wit::Passport {
        id: claims.jti.clone(),
        agent_id: claims.sub.clone(),
        agent_name: claims.agent_name.clone(),
        issuer: chain.root_issuer().to_owned(),
        trust_tier: chain.tier().as_str().to_owned(),
        permissions: chain.permissions().iter().map(ToString::to_string).collect(),
        key_thumbprint: claims.cnf_key.thumbprint().to_owned(),
        issued_at: claims.iat,
        expires_at: claims.exp,
        delegated_by: chain.links().take(chain.delegations()).map(delegator).collect(),
        not_checked: std::iter::once("revocation")
            .chain(unchecked_list.then_some("status_list"))
            .map(str::to_owned)
            .collect(),
    }
}
