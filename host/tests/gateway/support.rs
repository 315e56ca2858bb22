//! A gate, an agent with a passport, a client, and a clock that the tests move.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use passgate_core::time::UnixMillis;
use passgate_host::config::{Config, Loaded};
use passgate_host::control::{ControlClient, Query};
use passgate_host::env::{Environment, RandomError};
use passgate_host::files::{self, Existing};
use passgate_host::gateway::{Gateway, RunningGateway, ServeError};
use passgate_host::store::Store;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{NewDelegation, RootGrant, delegate, issue_root};
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::NewPassport;
use passgate_passport::jwk::emit_set;
use passgate_passport::key::SecretKey;
use passgate_passport::proof::{self, ProofParams};
use passgate_passport::scope::Scope;
use passgate_passport::status::StatusRef;
use passgate_store::MemoryStore;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::{Origin, ok};

/// Where the tests' clock starts: 2026-03-01T12:00:00Z.
pub(crate) const NOON: u64 = 1_772_366_400_000;
pub(crate) const ISSUER: &str = "https://issuer.acme.example";
/// Long enough never to be met by a machine that is merely busy; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fails instead of waiting for ever.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened")
}

/// Asks again until there is something.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    patiently(async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

/// A clock that stands still until a test moves it, and randomness that counts.
#[derive(Debug)]
pub(crate) struct TestEnvironment {
    pub(crate) now_ms: AtomicU64,
    pub(crate) random_fails: AtomicBool,
    counter: AtomicU64,
}

impl TestEnvironment {
    pub(crate) fn new() -> Arc<Self> {
        let counter = AtomicU64::new(1);
        Arc::new(Self { now_ms: AtomicU64::new(NOON), random_fails: AtomicBool::new(false), counter })
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.now().seconds()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.now_ms.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Environment for TestEnvironment {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now_ms.load(Ordering::SeqCst))
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        if self.random_fails.load(Ordering::SeqCst) {
            return Err(RandomError("failing on purpose".to_owned()));
        }
        let number = self.counter.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        bytes.fill(0);
        for (byte, digit) in bytes.iter_mut().rev().zip(number.iter().rev()) {
            *byte = *digit;
        }
        Ok(())
    }
}

/// A folder with everything a gate needs, before the gate.
pub(crate) struct Site {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
    pub(crate) env: Arc<TestEnvironment>,
    pub(crate) listener: Option<TcpListener>,
    pub(crate) address: SocketAddr,
    pub(crate) issuer: SecretKey,
}

/// What a test wants otherwise than usual.
pub(crate) struct Wish {
    pub(crate) upstream: String,
    pub(crate) server: String,
    pub(crate) upstream_extra: String,
    pub(crate) guardrails: String,
    pub(crate) extra: String,
}

impl Wish {
    pub(crate) fn before(origin: &Origin) -> Self {
        Self::to(&origin.url())
    }

    pub(crate) fn to(upstream: &str) -> Self {
        Self {
            upstream: upstream.to_owned(),
            server: String::new(),
            upstream_extra: String::new(),
            guardrails: "rate_limits: {requests_per_minute: 100}".to_owned(),
            extra: String::new(),
        }
    }
}

impl Site {
    pub(crate) async fn new(wish: Wish) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("keys")).unwrap();
        files::write_key(&at("keys/attestation.jwk"), &SecretKey::from_seed([9; 32]), Existing::Keep).unwrap();
        let issuer = SecretKey::from_seed([1; 32]);
        fs::write(at("issuer.jwks.json"), emit_set([issuer.public()])).unwrap();
        let Wish { upstream, server, upstream_extra, guardrails, extra } = wish;
        let text = format!(
            r#"version: 7
gate: {{id: gate_test, level: L2, public_url: "http://{address}"}}
issuers:
  - {{id: "{ISSUER}", tier: L2, keys_file: issuer.jwks.json}}
routes:
  - {{method: GET, path: /search, action: "web:search"}}
  - {{method: GET, path: "/files/**", action: "files:read"}}
  - {{method: HEAD, path: /search, action: "web:search"}}
  - {{method: POST, path: /pay, action: "payments:create", amount: {{pointer: /amount_usd}}}}
  - {{method: POST, path: /email, action: "email:send", domain: {{pointer: /to}}}}
  - {{method: DELETE, path: "/records/{{id}}", action: "records:delete"}}
  - {{method: GET, path: /customers, action: "customers:read", records: {{query: limit}}, response_records: {{pointer: /items, max_records: 3}}}}
guardrails:
  {guardrails}
server: {{shutdown_grace_ms: 20000{server}}}
upstream: {{url: "{upstream}"{upstream_extra}}}
attestation: {{key_file: keys/attestation.jwk}}
{extra}
"#
        );
        let config = at("passgate.yml");
        fs::write(&config, text).unwrap();
        Self { folder, config, env: TestEnvironment::new(), listener: Some(listener), address, issuer }
    }

    pub(crate) fn loaded(&self) -> Loaded {
        Config::load(&self.config).unwrap()
    }

    pub(crate) fn gateway(&mut self) -> Gateway {
        let env: Arc<dyn Environment> = Arc::<TestEnvironment>::clone(&self.env);
        let gateway = Gateway::new(self.loaded(), env);
        match self.listener.take() {
            Some(listener) => gateway.listener(listener),
            None => gateway,
        }
    }

    /// A gate on the configured store.
    pub(crate) async fn start(&mut self) -> Result<RunningGateway, ServeError> {
        let gateway = self.gateway();
        patiently(gateway.start()).await
    }

    /// A gate on a store of the test's own.
    pub(crate) async fn start_on(&mut self, store: Arc<dyn Store>) -> RunningGateway {
        let gateway = self.gateway().store(store);
        patiently(gateway.start()).await.unwrap()
    }

    /// A gate on a store in memory that forgot nothing recently.
    pub(crate) async fn start_in_memory(&mut self) -> RunningGateway {
        self.start_on(Arc::new(self.memory())).await
    }

    pub(crate) fn memory(&self) -> MemoryStore {
        MemoryStore::new(self.env.seconds() - 3600)
    }

    pub(crate) fn agent(&self, agent_id: &str, permissions: &[&str]) -> Agent {
        self.listed_agent(agent_id, permissions, None)
    }

    /// An agent whose passport names this entry of a status list.
    pub(crate) fn listed_agent(&self, agent_id: &str, permissions: &[&str], status: Option<StatusRef>) -> Agent {
        self.granted_agent(agent_id, permissions, status, &RootGrant::default())
    }

    /// An agent whose passport permits so many records.
    pub(crate) fn bounded_agent(&self, agent_id: &str, permissions: &[&str], max_records: u64) -> Agent {
        let constraints = Constraints { max_records: Some(max_records), ..Constraints::default() };
        self.granted_agent(agent_id, permissions, None, &RootGrant { constraints, ..RootGrant::default() })
    }

    /// An agent that may hand on what it may.
    pub(crate) fn delegating_agent(&self, agent_id: &str, permissions: &[&str]) -> Agent {
        self.granted_agent(agent_id, permissions, None, &RootGrant { depth_left: Some(1), ..RootGrant::default() })
    }

    fn granted_agent(
        &self,
        agent_id: &str,
        permissions: &[&str],
        status: Option<StatusRef>,
        grant: &RootGrant,
    ) -> Agent {
        let number = self.env.counter.fetch_add(1, Ordering::SeqCst);
        let mut seed = [42; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_seed(seed);
        let id = passgate_passport::id::new_id("pass", NOON, [u8::try_from(number % 256).unwrap(); 10]);
        let scopes = permissions.iter().map(|text| Scope::parse(text).unwrap()).collect();
        let now = self.env.seconds();
        let passport = NewPassport {
            iss: Some(ISSUER.to_owned()),
            status_list: status,
            ..NewPassport::new(id.clone(), agent_id.to_owned(), key.public().clone(), scopes, now, now + 86_400)
        };
        let passport = issue_root(&self.issuer, &passport, grant).unwrap();
        Agent { key, passport, id, authority: self.address.to_string(), env: Arc::clone(&self.env) }
    }

    pub(crate) async fn control(&self) -> ControlClient {
        ControlClient::connect(&self.loaded().paths.socket).await.unwrap()
    }

    /// All attestations of a running gate.
    pub(crate) async fn attestations(&self) -> Vec<Map<String, Value>> {
        let query = Query { limit: Some(1000), ..Query::default() };
        self.control().await.query(&query).await.unwrap().attestations
    }

    /// The outcome of a decision, once it is recorded.
    pub(crate) async fn outcome_of(&self, decision_id: &str) -> Map<String, Value> {
        eventually(async || {
            let all = self.attestations().await;
            let outcome = all.into_iter().find(|record| record.get("decision_id").is_some_and(|id| id == decision_id));
            outcome.map(|record| record["outcome"].as_object().unwrap().clone())
        })
        .await
    }

    pub(crate) async fn send(&self, call: &Call) -> Reply {
        send(self.address, call).await
    }
}

/// A gate in memory before an origin that says `ok`, and an agent that may do everything but delete.
pub(crate) async fn usual() -> (Site, RunningGateway, Origin, Agent) {
    let origin = Origin::start(|_| ok("ok")).await;
    let mut site = Site::new(Wish::before(&origin)).await;
    let gate = site.start_in_memory().await;
    let agent = site.agent("agent-7", &["web:*", "files:read", "payments:create", "email:send"]);
    (site, gate, origin, agent)
}

pub(crate) struct Agent {
    key: SecretKey,
    pub(crate) passport: String,
    pub(crate) id: String,
    authority: String,
    env: Arc<TestEnvironment>,
}

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn bare(authority: &str, method: &str, target: &str) -> Self {
        let headers = vec![("host".to_owned(), authority.to_owned())];
        Self { method: method.to_owned(), target: target.to_owned(), headers, body: String::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Agent {
    pub(crate) fn get(&self, target: &str) -> Call {
        self.call("GET", target, &[], "")
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Call {
        self.call("POST", target, &[("content-type", "application/json")], body)
    }

    pub(crate) fn key(&self) -> &SecretKey {
        &self.key
    }

    /// An agent that this one hands these permissions on to.
    pub(crate) fn hands_on(&self, agent_id: &str, permissions: &[&str]) -> Self {
        let number = self.env.counter.fetch_add(1, Ordering::SeqCst);
        let mut seed = [43; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let key = SecretKey::from_seed(seed);
        let id = passgate_passport::id::new_id("pass", NOON, [u8::try_from(number % 256).unwrap(); 10]);
        let scopes = permissions.iter().map(|text| Scope::parse(text).unwrap()).collect();
        let now = self.env.seconds();
        let new = NewDelegation::new(id.clone(), agent_id.to_owned(), key.public().clone(), scopes, now, now + 3_600);
        let passport = delegate(&self.passport, &self.key, &new).unwrap();
        Self { key, passport, id, authority: self.authority.clone(), env: Arc::clone(&self.env) }
    }

    /// A signed request with a nonce of its own.
    pub(crate) fn call(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> Call {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut lines = vec![("agent-passport", self.passport.as_str())];
        lines.extend(fields);
        let headers: Vec<Header<'_>> =
            lines.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let request = HttpRequest {
            method,
            scheme: "http",
            authority: &self.authority,
            path,
            query,
            headers: &headers,
            body: body.as_bytes(),
        };
        let nonce = format!("nonce-{:020}", self.env.counter.fetch_add(1, Ordering::SeqCst));
        let params = ProofParams { created: self.env.seconds(), nonce: &nonce, expires: None };
        let signed = proof::sign(&request, &self.key, &params).unwrap();
        let mut call = Call::bare(&self.authority, method, target);
        for (name, value) in lines {
            call = call.with(name, value);
        }
        call = call.with("signature-input", &signed.signature_input).with("signature", &signed.signature);
        if let Some(digest) = &signed.content_digest {
            call = call.with("content-digest", digest);
        }
        call.body = body.to_owned();
        call
    }
}

/// A response, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.field("content-type"), "application/problem+json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status, decision and reason code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        let problem = self.problem();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["decision"], self.field("passgate-decision"));
        let text = |name: &str| problem[name].as_str().unwrap().to_owned();
        (self.status, text("decision"), text("reason_code"))
    }

    #[track_caller]
    pub(crate) fn assert_refusal(&self, status: u16, reason: &str) {
        let (given, _, code) = self.refusal();
        assert_eq!((given, code.as_str()), (status, reason), "{self:?}");
    }
}

/// Sends one request on a connection of its own and gives the head of the response.
pub(crate) async fn begin(address: SocketAddr, call: &Call) -> http::Response<Incoming> {
    let stream = patiently(TcpStream::connect(address)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(call.method.as_str()).uri(&call.target);
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body.clone()))).unwrap();
    patiently(sender.send_request(request)).await.unwrap()
}

pub(crate) async fn send(address: SocketAddr, call: &Call) -> Reply {
    let (head, body) = begin(address, call).await.into_parts();
    let body = patiently(body.collect()).await.unwrap().to_bytes();
    let body = String::from_utf8(body.into()).unwrap();
    Reply { status: StatusCode::as_u16(&head.status), headers: head.headers, body }
}

/// The metric's value.
pub(crate) fn metric(gate: &RunningGateway, line: &str) -> String {
    let text = gate.metrics().encode().unwrap();
    let found = text.lines().find_map(|given| given.strip_prefix(line)?.strip_prefix(' '));
    let mut value = String::new();
    write!(value, "{}", found.unwrap_or_else(|| panic!("no {line} in\n{text}"))).unwrap();
    value
}

impl Site {
    /// A gate like before on another port; requests still name the first.
    pub(crate) async fn start_elsewhere(&mut self) -> RunningGateway {
        self.start_elsewhere_result().await.unwrap()
    }

    pub(crate) async fn start_elsewhere_result(&mut self) -> Result<RunningGateway, ServeError> {
        self.listener = Some(TcpListener::bind("127.0.0.1:0").await.unwrap());
        self.start().await
    }
}
