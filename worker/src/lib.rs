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

use wasm_bindgen::prelude::*;
use worker::{Context, DurableObject, Env, Request, Response, State, durable_object, event};

#[wasm_bindgen(inline_js = "export function evaluator_digest() { return \"passgate-evaluator-digest-unset\"; }")]
extern "C" {
    /// The digest of this module, put in place by the build.
    fn evaluator_digest() -> String;
}

/// Every request.
#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _context: Context) -> worker::Result<Response> {
    Response::error(evaluator_digest(), 503)
}

/// Admission of one root agent.
#[durable_object]
#[derive(Debug)]
pub struct AdmissionObject {
    _state: State,
}

impl DurableObject for AdmissionObject {
    fn new(state: State, _env: Env) -> Self {
        Self { _state: state }
    }

    async fn fetch(&self, _request: Request) -> worker::Result<Response> {
        Response::error("", 503)
    }
}

/// What concerns the whole gate.
#[durable_object]
#[derive(Debug)]
pub struct GateObject {
    _state: State,
}

impl DurableObject for GateObject {
    fn new(state: State, _env: Env) -> Self {
        Self { _state: state }
    }

    async fn fetch(&self, _request: Request) -> worker::Result<Response> {
        Response::error("", 503)
    }
}
