//! The native gateway over HTTP, in this process so that its clock and randomness can be scripted.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use passgate_api::answer::MINTED_STATUS;
use passgate_core::attest::Kind;
use passgate_core::time::UnixMillis;
use passgate_host::config::{Config, EngineKind, FILE_NAME, Loaded};
use passgate_host::env::{Environment, RandomError};
use passgate_host::files::{self, Existing};
use passgate_host::gateway::{Gateway, RunningGateway};
use passgate_passport::jwe::Seed;
use passgate_store::{Filter, Ledger, RedbStore, StoredRecord};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, UnixStream};

use super::component::component;
use super::{Implementation, StepResult, attestation_key, evaluator, minted, payload, seed, stamp, text_member};
use crate::case::{Case, Change, Request};
use crate::origin::Origin;
use crate::wire::{self, exchange, exchange_on};

/// How long an outcome may take to be recorded before it counts as lost.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// The socket of the control plane, relative to the configuration.
const SOCKET: &str = "state/passgate.sock";
/// The file of the status lists, relative to the configuration.
const LISTS: &str = "lists.txt";

/// `passgate_host`'s gateway on its embedded store, in front of an origin that answers 200.
#[derive(Debug)]
pub struct Http {
    /// What decides in it.
    pub engine: EngineKind,
}

#[async_trait]
impl Implementation for Http {
    fn name(&self) -> &'static str {
        match self.engine {
            EngineKind::Native => "gateway over HTTP, native",
            EngineKind::Component => "gateway over HTTP, component",
        }
    }

    /// The gateway also records what became of allowed requests, so its decisions stand at other places of the chain.
    fn own_members(&self) -> &'static [&'static str] {
        &["prev", "seq"]
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let origin = Origin::start().await?;
        let folder = tempfile::tempdir()?;
        let loaded = configure(folder.path(), case, &origin.url(), self.engine)?;
        let env = Arc::new(Script::new(case.now_ms));
        let store = Arc::new(RedbStore::open(folder.path().join("passgate.redb"))?);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut gateway =
            Gateway::new(loaded, Arc::<Script>::clone(&env)).listener(listener).store(Arc::<RedbStore>::clone(&store));
        if self.engine == EngineKind::Component {
            gateway = gateway.evaluator(component()?.named(evaluator()));
        }
        let run = Run { gateway: gateway.start().await?, address, store, origin };
        let mut results = Vec::new();
        for (step, number) in case.steps.iter().zip(1..) {
            env.set(step.at_ms, number);
            results.push(match (step.change(), &step.request) {
                (Some(change), _) => run.change(&folder.path().join(SOCKET), change).await?,
                (None, Some(request)) => run.request(request).await?,
                (None, None) => bail!("a step is a change or a request"),
            });
        }
        run.gateway.shutdown().await;
        Ok(results)
    }
}

/// The policy of the case as a configuration file: JSON is YAML.
fn configure(folder: &Path, case: &Case, upstream: &str, engine: EngineKind) -> Result<Loaded> {
    files::write_key(&folder.join("attestation.jwk"), &attestation_key(), Existing::Keep)?;
    let mut config = serde_json::to_value(&case.policy)?;
    let members = config.as_object_mut().context("a policy is an object")?;
    publish_lists(folder, case, members)?;
    // A configuration has rules as they are written; a case has them compiled.
    members.remove("rules");
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("upstream", json!({ "url": upstream }));
    set("evaluator", json!({ "engine": engine }));
    set("store", json!({ "kind": "redb", "path": "passgate.redb" }));
    set("attestation", json!({ "key_file": "attestation.jwk" }));
    set("control", json!({ "socket": SOCKET }));
    let path = folder.join(FILE_NAME);
    std::fs::write(&path, config.to_string())?;
    let mut loaded = Config::load(&path)?;
    loaded.bundle.rules.clone_from(&case.policy.rules);
    ensure!(loaded.bundle == case.policy, "the configuration is another policy");
    loaded.gate = loaded.bundle.compile(evaluator())?;
    Ok(loaded)
}

/// Puts the case's status lists into a file that every issuer with checked lists names.
fn publish_lists(folder: &Path, case: &Case, policy: &mut Map<String, Value>) -> Result<()> {
    let tokens: Vec<&str> = case.status_lists.values().map(String::as_str).collect();
    std::fs::write(folder.join(LISTS), tokens.join("\n"))?;
    let issuers = policy.get_mut("issuers").and_then(Value::as_array_mut).context("a policy has issuers")?;
    let checked = issuers.iter_mut().filter_map(|issuer| issuer.get_mut("status_list")?.as_object_mut());
    checked.for_each(|settings| _ = settings.insert("file".to_owned(), json!(LISTS)));
    Ok(())
}

/// Time and randomness by step. The first random bits of a step are its stamp's; what is asked for later in the same
/// step, such as the id of an outcome, gets others. What keys are made from is the same whenever it is asked for.
struct Script {
    now_ms: AtomicU64,
    drawn: Mutex<(usize, u8)>,
}

impl Script {
    fn new(now_ms: u64) -> Self {
        Self { now_ms: AtomicU64::new(now_ms), drawn: Mutex::default() }
    }

    fn set(&self, at_ms: u64, step: usize) {
        self.now_ms.store(at_ms, Ordering::SeqCst);
        *self.drawn.lock().unwrap_or_else(PoisonError::into_inner) = (step, 0);
    }
}

impl Environment for Script {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.now_ms.load(Ordering::SeqCst))
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let (step, times) = *drawn;
        if bytes.len() == Seed::BYTES {
            bytes.copy_from_slice(seed(stamp(0, step)).as_bytes());
            return Ok(());
        }
        drawn.1 = times.checked_add(1).ok_or_else(|| RandomError("the script is used up".to_owned()))?;
        let random = stamp(0, step).random;
        for (byte, value) in bytes.iter_mut().zip(random.iter().chain(&[0; 32])) {
            *byte = *value;
        }
        if let Some(first) = bytes.first_mut() {
            *first = times;
        }
        Ok(())
    }
}

struct Run {
    gateway: RunningGateway,
    address: SocketAddr,
    store: Arc<RedbStore>,
    origin: Origin,
}

impl Run {
    async fn request(&self, request: &Request) -> Result<StepResult> {
        let reached = self.origin.seen().len();
        let answer = exchange(self.address, request).await?;
        let decision = answer.decision().context("the answer has no decision")?;
        let id = answer.attestation_id().context("the answer names no record")?;
        let record = self.store.record(id).await?.context("the record is not in the ledger")?;
        // A request that asked for a one-action pass is over with it.
        let is_forwarded = decision == "allow" && answer.status != MINTED_STATUS;
        if is_forwarded {
            self.settled(id).await?;
        }
        let forwarded = self.origin.seen().len() - reached;
        ensure!(forwarded == usize::from(is_forwarded), "{decision}, and {forwarded} requests reached the origin");
        result(&answer, &record)
    }

    /// Waits for the outcome, so that its record is not made in the next step.
    async fn settled(&self, id: &str) -> Result<()> {
        let settled = async {
            loop {
                let records = self.records().await?;
                let payloads = records.iter().filter(|record| record.index.kind == Kind::Outcome);
                for record in payloads {
                    if text_member(&payload(&record.jws)?, "decision_id")?.as_deref() == Some(id) {
                        return Ok(());
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SETTLED_WITHIN, settled).await.context("the outcome was not recorded")?
    }

    async fn change(&self, socket: &Path, change: Change<'_>) -> Result<StepResult> {
        let request = Request {
            method: "POST".to_owned(),
            target: change.path().to_owned(),
            host: "localhost".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::to_string(change.subject())?,
        };
        let answer = exchange_on(UnixStream::connect(socket).await?, &request).await?;
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(matches!(answer.status, 200 | 201), "{} was answered with {}: {said}", change.path(), answer.status);
        let records = self.records().await?;
        let record = records.iter().rfind(|record| record.index.kind == change.kind());
        let record = record.context("the change is not recorded")?;
        Ok(StepResult { attestation: payload(&record.jws)?, ..StepResult::default() })
    }

    async fn records(&self) -> Result<Vec<StoredRecord>> {
        let (mut records, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.records(&Filter::default(), cursor, 1000).await?;
            records.extend(page.records);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(records);
            }
        }
    }
}

/// What the caller saw, and the reason that was recorded.
fn result(answer: &wire::Answer, record: &StoredRecord) -> Result<StepResult> {
    let attestation = payload(&record.jws)?;
    let refused = answer.decision() != Some("allow");
    Ok(StepResult {
        decision: answer.decision().map(str::to_owned),
        reason_code: text_member(&attestation, "reason_code")?,
        public_code: if refused { text_member(&answer.body, "reason_code")? } else { None },
        status: Some(answer.status),
        action_pass: minted(answer.status, &answer.body)?,
        attestation,
    })
}
