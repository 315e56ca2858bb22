//! What tests reach into: scripted time and randomness, panics on purpose, counted calls, a policy without Workers KV.
//!
//! Fields of a request script it; the Worker passes them on to its objects. Routes below `/.passgate/test/` do the rest.

mod bench;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use passgate_api::bundle::Bundle;
use passgate_api::edge::{Current, EdgeDoc};
use passgate_core::attest::Stamp;
use passgate_core::gate::EvaluatorRef;
use passgate_core::time::UnixMillis;
use passgate_passport::jwe::Seed;
use passgate_store::conformance;
use serde::Deserialize;
use worker::{Context, Env, Headers, Request, Response};

use crate::calls;
use crate::handler;
use crate::intake::Intake;
use crate::object::{Chain, Failure};
use crate::policy::{self, Policy};
use crate::store::ObjectStore;
use crate::{clock, intake::Line};

/// The stamp of the request's record, as `clock::to_text` writes it.
const STAMP: &str = "x-passgate-test-stamp";
/// The stamp of the first record of a chain that is started.
const START: &str = "x-passgate-test-start";
/// The stage at which to panic.
const PANIC: &str = "x-passgate-test-panic";
/// The policy put with `POST /.passgate/test/site`, instead of the one in Workers KV; its objects are others too.
const SITE: &str = "x-passgate-test-site";
/// How many milliseconds an object waits before it admits.
const WAIT: &str = "x-passgate-test-wait";
/// Whether an object holds back what it is told of subjects until one of them is suspended or reinstated.
const OVERTAKEN: &str = "x-passgate-test-overtaken";
const FIELDS: [&str; 6] = [STAMP, START, PANIC, SITE, WAIT, OVERTAKEN];

thread_local! {
    static SCRIPT: RefCell<BTreeMap<&'static str, String>> = const { RefCell::new(BTreeMap::new()) };
    static SITES: RefCell<BTreeMap<String, Rc<Policy>>> = const { RefCell::new(BTreeMap::new()) };
    static COUNTS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes the fields of a request the script of what runs next.
pub(crate) fn take_over(headers: &Headers) {
    let fields = FIELDS.iter().filter_map(|name| Some((*name, headers.get(name).ok().flatten()?)));
    SCRIPT.set(fields.collect());
}

/// Puts the script on a call to an object.
pub(crate) fn pass_on(headers: &Headers) -> worker::Result<()> {
    SCRIPT.with_borrow(|script| script.iter().try_for_each(|(name, value)| headers.set(name, value)))
}

fn scripted(name: &str) -> Option<String> {
    SCRIPT.with_borrow(|script| script.get(name).cloned())
}

pub(crate) fn stamp() -> Option<Stamp> {
    clock::from_text(&scripted(STAMP)?)
}

/// The random bits of the scripted stamp, and zeros.
pub(crate) fn seed() -> Option<Seed> {
    let mut bytes = [0; Seed::BYTES];
    bytes.iter_mut().zip(stamp()?.random).for_each(|(byte, random)| *byte = random);
    Some(Seed::new(bytes))
}

pub(crate) fn start_stamp() -> Option<Stamp> {
    clock::from_text(&scripted(START)?)
}

pub(crate) fn site_policy() -> Option<Rc<Policy>> {
    let site = scripted(SITE)?;
    SITES.with_borrow(|sites| sites.get(&site).cloned())
}

pub(crate) fn site_name(name: &str) -> String {
    scripted(SITE).map_or_else(|| name.to_owned(), |site| format!("{site}/{name}"))
}

#[expect(clippy::panic, reason = "that is what it is for")]
pub(crate) fn panic_at(stage: &str) {
    if scripted(PANIC).as_deref() == Some(stage) {
        // A panic itself says nothing in this build.
        worker::console_error!("asked to panic at {stage}");
        panic!();
    }
}

pub(crate) async fn wait() {
    if let Some(milliseconds) = scripted(WAIT).and_then(|text| text.parse().ok()) {
        worker::Delay::from(std::time::Duration::from_millis(milliseconds)).await;
    }
}

/// Whether the answer that the request asks for is to be overtaken by a change.
pub(crate) fn is_overtaken() -> bool {
    scripted(OVERTAKEN).is_some()
}

/// Waits for what another request brings about.
pub(crate) async fn wait_until(is_so: impl Fn() -> bool) {
    if !is_so() {
        worker::console_error!("an answer about subjects is held back");
    }
    while !is_so() {
        worker::Delay::from(std::time::Duration::from_millis(5)).await;
    }
}

fn count(what: String) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(what).or_default() += 1);
}

pub(crate) fn count_object_call(path: &str) {
    count(format!("object {path}"));
}

pub(crate) fn count_upstream_fetch() {
    count("upstream".to_owned());
}

/// A policy that needs no signature.
#[derive(Deserialize)]
#[serde(rename = "passgate::open")]
struct Site {
    id: String,
    policy: Bundle,
    edge: EdgeDoc,
    evaluator: EvaluatorRef,
    /// Tokens by URI; those that the gate refuses are left out.
    #[serde(default)]
    status_lists: BTreeMap<String, String>,
    /// When the lists are taken in, in Unix milliseconds.
    #[serde(default)]
    now_ms: u64,
}

/// A request as it would stand on the wire, for targets that no URL can carry.
#[derive(Deserialize)]
#[serde(rename = "passgate::open")]
struct Wire {
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    body: String,
}

/// A route of the tests.
pub(crate) struct Route(String);

impl Route {
    pub(crate) fn of(request: &Request) -> Option<Self> {
        request.path().strip_prefix("/.passgate/test/").map(|name| Self(name.to_owned()))
    }

    pub(crate) async fn serve(self, request: Request, env: Env, context: &Context) -> Response {
        serve(request, env, context, &self.0).await
    }
}

async fn serve(mut request: Request, env: Env, context: &Context, route: &str) -> Response {
    let answer = match route {
        "counts" => COUNTS.with_borrow(Response::from_json),
        "reset" => {
            COUNTS.take();
            Response::ok("")
        }
        "site" => request.json::<Site>().await.and_then(|site| put_site(&env, site).map_err(worker::Error::from)),
        "decide" => match request.json::<Wire>().await {
            Ok(wire) => Ok(decide(wire, env, context).await),
            Err(error) => Err(error),
        },
        "conformance" => run_in_object(&env, "conformance", "/test/conformance").await,
        "bench" => match request.json::<bench::Bench>().await {
            Ok(bench) => bench.run().await.map_err(worker::Error::from).and_then(|report| Response::from_json(&report)),
            Err(error) => Err(error),
        },
        _ => Response::error("no such test route", 404),
    };
    let failed = |error: worker::Error| Response::error(error.to_string(), 500);
    answer.or_else(failed).unwrap_or_else(|_| {
        handler::respond(passgate_api::answer::Response { status: 500, headers: Vec::new(), body: Vec::new() })
    })
}

fn put_site(env: &Env, site: Site) -> Result<Response, String> {
    let Site { id, policy, edge, evaluator, status_lists, now_ms } = site;
    let mut gate = policy.compile(evaluator).map_err(|error| error.to_string())?;
    policy::mint_with(env, &mut gate)?;
    for (uri, token) in &status_lists {
        let _ = gate.add_status_list(Some(uri), token, UnixMillis(now_ms));
    }
    let current = Current {
        version: policy.version,
        issued_at: 0,
        content_sha256: gate.policy.sha256.clone(),
        gate_id: gate.id.clone(),
        admission: edge.admission,
    };
    // The time of this site is not that of the one before.
    handler::forget_refusals();
    SITES.with_borrow_mut(|sites| sites.insert(id, Rc::new(Policy { gate: std::sync::Arc::new(gate), edge, current })));
    Response::ok("").map_err(|error| error.to_string())
}

/// Everything after the runtime's own parsing.
async fn decide(wire: Wire, env: Env, context: &Context) -> Response {
    let Wire { method, host, path, query, headers, body } = wire;
    let line = Line::scripted(method, path, query);
    let fields = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    let taken = Intake { line, authority: Some(host), fields, body: body.into_bytes() };
    handler::serve_taken(taken, env, context).await
}

async fn run_in_object(env: &Env, name: &str, path: &'static str) -> worker::Result<Response> {
    let answer = async { calls::Call::new(path).to(&calls::admission(env, name)?).await };
    match answer.await {
        Ok(bytes) => Response::from_bytes(bytes),
        Err(error) => Response::error(error.to_string(), 500),
    }
}

/// Messages that only tests send to an object.
pub(crate) async fn serve_object(chain: &Chain, path: &str) -> Result<Vec<u8>, Failure> {
    match path {
        "/test/conformance" => {
            conformance::all(async || emptied(chain)).await;
            Ok(b"the store in this object passes".to_vec())
        }
        _ => Err(Failure::new(404, format_args!("no message {path}"))),
    }
}

/// The object's store, with nothing in it.
#[expect(clippy::expect_used, reason = "a test suite stops at the first surprise")]
fn emptied(chain: &Chain) -> ObjectStore {
    let cleared = chain.database.transaction(|tables| {
        ["rows", "records", "chains"]
            .iter()
            .try_for_each(|table| tables.execute(&format!("DELETE FROM {table}"), Vec::new()).map(|_| ()))
    });
    cleared.expect("an object can be emptied");
    chain.store.clone()
}
