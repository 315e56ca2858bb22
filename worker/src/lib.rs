//! The gate at the edge.
//!
//! # In scope
//!
//! What a Worker has to do around the gate's own crates: requests come in and go upstream, the policy is read from
//! Workers KV, state and ledger live in Durable Objects.
//!
//! # Out of scope
//!
//! Policy. What could be a unit test in `passgate_core` is there.
#![cfg(target_arch = "wasm32")]

#[cfg(all(feature = "testing", not(debug_assertions)))]
compile_error!("the feature `testing` scripts time and randomness: no release build may have it");

mod admission;
mod approvals;
mod calls;
mod clock;
mod control;
mod gate;
mod handler;
mod intake;
mod kv;
mod ledger;
mod lists;
mod look;
mod messages;
mod object;
mod policy;
mod settings;
mod sql;
mod standing;
mod store;
#[cfg_attr(not(feature = "testing"), path = "testing_off.rs")]
mod testing;
mod upstream;

use wasm_bindgen::prelude::*;
use worker::{Context, Env, Request, Response, event};

#[wasm_bindgen(inline_js = "export function evaluator_digest() { return \"passgate-evaluator-digest-unset\"; }")]
extern "C" {
    /// The digest of this module, put in place by the build.
    fn evaluator_digest() -> String;
}

/// Every request.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    testing::take_over(request.headers());
    #[cfg(feature = "testing")]
    if let Some(route) = testing::Route::of(&request) {
        return Ok(route.serve(request, env, &context).await);
    }
    if request.path().starts_with(control::PREFIX) {
        return Ok(control::serve(request, env, &context).await);
    }
    Ok(handler::serve(request, env, &context).await)
}
