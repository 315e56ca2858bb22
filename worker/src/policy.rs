//! The gate in force, from the signed bundle in Workers KV.
//!
//! An isolate keeps what it verified last. It looks for a newer bundle every [`REFRESH_AFTER_MS`], beside a request and
//! not in front of it, and keeps the last good one when Workers KV fails or holds something else; how old a bundle may
//! get stands in the bundle, and the gate refuses beyond it. Workers KV shows a new value everywhere within 60 seconds
//! or more, and may show an old one again: so a lower version than one seen before is never taken, here or in an object.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use passgate_api::edge::{self, Current, EdgeDoc};
use passgate_core::gate::{EvaluatorRef, Gate};
use passgate_passport::challenge::ChallengeKey;
use worker::{Context, Env};

use crate::calls::{self, Call};
use crate::messages::{CURRENT_FIELD, InForce};
use crate::{clock, evaluator_digest, handler, lists, settings, testing};

/// The key of the bundle in Workers KV.
pub(crate) const BUNDLE_KEY: &str = "bundle";
/// How long an isolate uses what it has before it looks again.
const REFRESH_AFTER_MS: u64 = 10_000;
/// After this long without a successful look, one is made in front of the request.
const MUST_REFRESH_AFTER_MS: u64 = 300_000;
/// What the build leaves in the place of the digest when it is not the project's own.
const UNSET_DIGEST: &str = "passgate-evaluator-digest-unset";

/// A verified bundle, compiled. One value is one snapshot: a request sees exactly one.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) gate: Arc<Gate>,
    pub(crate) edge: EdgeDoc,
    pub(crate) current: Current,
}

impl Policy {
    /// What objects are told of the bundle.
    pub(crate) fn current_text(&self) -> String {
        // Strings and integers always serialise.
        serde_json::to_string(&self.current).unwrap_or_default()
    }
}

/// What this isolate has.
#[derive(Default)]
struct Kept {
    policy: Option<Rc<Policy>>,
    looked_at_ms: u64,
    is_looking: bool,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// The policy in force. Fails when there is none.
pub(crate) async fn in_force(env: &Env, context: &Context) -> Result<Rc<Policy>, String> {
    if let Some(policy) = testing::site_policy() {
        return Ok(policy);
    }
    let (policy, age) =
        KEPT.with_borrow(|kept| (kept.policy.clone(), clock::now().0.saturating_sub(kept.looked_at_ms)));
    match policy {
        Some(policy) if age < REFRESH_AFTER_MS => Ok(policy),
        Some(policy) if age < MUST_REFRESH_AFTER_MS => {
            if !KEPT.with_borrow_mut(|kept| std::mem::replace(&mut kept.is_looking, true)) {
                let env = env.clone();
                handler::beside(context, async move {
                    refresh(&env).await;
                });
            }
            Ok(policy)
        }
        Some(policy) => Ok(refresh(env).await.unwrap_or(policy)),
        None => look(env).await,
    }
}

/// The policy that the gate's object has, when it is newer than `seen`: a bundle is there before Workers KV shows it.
pub(crate) async fn newer_than(seen: &Policy, env: &Env) -> Option<Rc<Policy>> {
    let told: Result<Option<String>, _> = async { Call::new("/bundle").ask(&calls::gate(env)?).await }.await;
    let policy = match told {
        Ok(Some(jws)) => adopt(env, &jws).await,
        Ok(None) => look(env).await,
        Err(error) => Err(error.to_string()),
    };
    match policy {
        Ok(policy) => Some(policy).filter(|policy| policy.current.version > seen.current.version),
        Err(error) => {
            worker::console_error!("the newer bundle cannot be used: {error}");
            None
        }
    }
}

/// Looks for a newer bundle, and goes on with the last good one when there is none.
async fn refresh(env: &Env) -> Option<Rc<Policy>> {
    let looked = look(env).await;
    KEPT.with_borrow_mut(|kept| kept.is_looking = false);
    looked.inspect_err(|error| worker::console_error!("the bundle in use is kept: {error}")).ok()
}

/// Takes the bundle in Workers KV, and the status lists beside it.
async fn look(env: &Env) -> Result<Rc<Policy>, String> {
    let kv = settings::kv(env).map_err(|error| error.to_string())?;
    let adopted = match kv.get(BUNDLE_KEY).await {
        Ok(Some(jws)) => adopt_if_in_force(env, &jws).await,
        Ok(None) => Err("no bundle is published: run `passgate bundle push`".to_owned()),
        Err(error) => Err(format!("Workers KV cannot be read: {error}")),
    };
    match adopted {
        Ok(policy) => {
            KEPT.with_borrow_mut(|kept| kept.looked_at_ms = clock::now().0);
            Ok(policy)
        }
        Err(error) => {
            // A bundle that may not be used keeps no newer status list out.
            if let Some(policy) = KEPT.with_borrow(|kept| kept.policy.clone()) {
                keep(with_lists(env, Policy::clone(&policy)).await)?;
            }
            Err(error)
        }
    }
}

/// Takes a bundle from Workers KV, unless the gate's object knows one that it may not take the place of: Workers KV may
/// show an old value again, and an isolate that has just started cannot tell.
async fn adopt_if_in_force(env: &Env, jws: &str) -> Result<Rc<Policy>, String> {
    let policy = compile(env, jws)?;
    let told = async {
        let ask = Call::new("/in-force").with(CURRENT_FIELD, &policy.current_text());
        ask.ask::<InForce>(&calls::gate(env)?).await
    };
    let InForce { current, jws: put } = told.await.map_err(|error| error.to_string())?;
    match (policy.current.replaces(&current), put) {
        (Ok(()), _) => {
            may_replace(&policy)?;
            keep(with_lists(env, policy).await)
        }
        (Err(_), Some(put)) => adopt(env, &put).await,
        (Err(error), None) => Err(error.to_string()),
    }
}

/// Verifies a bundle and makes it the one in force here, unless it may not take the place of the one that is.
pub(crate) async fn adopt(env: &Env, jws: &str) -> Result<Rc<Policy>, String> {
    let policy = compile(env, jws)?;
    may_replace(&policy)?;
    keep(with_lists(env, policy).await)
}

/// The policy with the status lists at hand.
async fn with_lists(env: &Env, policy: Policy) -> Policy {
    let mut gate = Gate::clone(&policy.gate);
    lists::read_into(env, &mut gate).await;
    Policy { gate: Arc::new(gate), ..policy }
}

/// Verifies and compiles a bundle.
pub(crate) fn compile(env: &Env, jws: &str) -> Result<Policy, String> {
    let keys = settings::bundle_keys(env).map_err(|error| error.to_string())?;
    let bundle = edge::verify(jws.trim(), &keys, clock::now().seconds()).map_err(|error| error.to_string())?;
    let mut gate = bundle.gate(evaluator()?).map_err(|error| error.to_string())?;
    if gate.profile.challenge {
        let key = settings::attestation_key(env).map_err(|error| error.to_string())?;
        gate.challenge_key = Some(ChallengeKey::of(&key));
    }
    mint_with(env, &mut gate)?;
    Ok(Policy { gate: Arc::new(gate), edge: bundle.bundle().edge.clone(), current: bundle.current() })
}

/// Tells a gate that has one-action passes which key they are minted with: the one that its objects sign with.
pub(crate) fn mint_with(env: &Env, gate: &mut Gate) -> Result<(), String> {
    if gate.action_passes.is_some() {
        let key = settings::attestation_key(env).map_err(|error| error.to_string())?;
        gate.mint_with(vec![key.public().clone()]);
    }
    Ok(())
}

/// Puts a bundle where isolates look for it.
pub(crate) async fn publish(env: &Env, jws: &str) -> Result<(), String> {
    let kv = settings::kv(env).map_err(|error| error.to_string())?;
    kv.put(BUNDLE_KEY, jws).await.map_err(|error| error.to_string())
}

fn may_replace(policy: &Policy) -> Result<(), String> {
    let known = KEPT.with_borrow(|kept| kept.policy.clone());
    let Some(known) = known else { return Ok(()) };
    policy.current.replaces(&known.current).map_err(|error| error.to_string())
}

/// Another request may have brought a newer one meanwhile.
fn keep(policy: Policy) -> Result<Rc<Policy>, String> {
    may_replace(&policy)?;
    let policy = Rc::new(policy);
    KEPT.with_borrow_mut(|kept| kept.policy = Some(Rc::clone(&policy)));
    Ok(policy)
}

/// The code that decides here. The build puts its digest in place; without it records would not say what decided.
fn evaluator() -> Result<EvaluatorRef, String> {
    let digest = evaluator_digest();
    if digest == UNSET_DIGEST {
        return Err("this module was not built with `cargo xtask worker build`".to_owned());
    }
    Ok(EvaluatorRef { digest, engine: "edge".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}
