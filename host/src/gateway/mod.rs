//! The native gateway: takes requests in, has them decided, forwards what is allowed and records what became of it.
//!
//! The numbers of a request's life are those of `passgate_core::pipeline`. Steps 1 to 7 are `passgate_api`'s driver;
//! here stand the deadline around it, step 8 (forward) and step 9 (settle).
//!
//! # Fail closed
//!
//! Forwarding takes a `Permit` by value, and only an allow holds one. A store that fails, does not answer in time or
//! panics ends in an answer of status 503 with nothing forwarded.

mod error;
mod forward;
mod handler;
mod judge;
mod look;
mod outgoing;
mod page;
mod reviewer;
mod settle;
mod status;
mod upkeep;
mod webhook;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use passgate_api::driver::Driver;
use passgate_core::attest::{RotationScope, Stamp, Writer};
use passgate_core::gate::Gate;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::json;
use passgate_passport::key::SecretKey;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::reviewer::Reviewer;
pub use self::reviewer::ReviewerError;
use self::webhook::Webhook;
pub use self::webhook::WebhookError;
pub use error::{ErrorClass, ServeError};
pub use page::has_verify_page;

use self::handler::Door;
use self::upkeep::Unrecorded;
use crate::attestation_key::KeyFiles;
use crate::config::{EngineKind, Loaded};
use crate::control::{Control, Keys, Operations, Served};
use crate::env::Environment;
use crate::evaluator::{self, ComponentError, Engine, Evaluator, EvaluatorFile, MAX_INSTANCES, builtin, has_builtin};
use crate::health::Health;
use crate::http::authority::Scheme;
use crate::http::intake::IntakeLimits;
use crate::http::server::{self, ServerLimits, Stopped};
use crate::http::upstream::{Upstream, UpstreamConfig};
use crate::metrics::Metrics;
use crate::open_files;
use crate::plugins::PluginHost;
use crate::policy_files::{self, Governed, PolicyFiles};
use crate::ready::ReadyInfo;
use crate::status_lists::{self, InForce, Snapshot, StatusListFiles};
use crate::store::{self, Store, StoredKeys};

/// Serves until `shutdown` completes, then lets running requests finish within the configured grace.
///
/// # Errors
///
/// [`ServeError`] when the gate cannot start; its class says whose fault it is.
pub async fn serve(
    loaded: Loaded,
    env: Arc<dyn Environment>,
    on_ready: impl FnOnce(&ReadyInfo) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    if let Err(shortage) = open_files::make_room(loaded.config.server.max_connections.into()) {
        tracing::warn!("{shortage}");
    }
    let running = Gateway::new(loaded, env).start().await?;
    on_ready(running.info());
    shutdown.await;
    running.shutdown().await;
    Ok(())
}

/// A gateway that is about to start.
pub struct Gateway {
    loaded: Loaded,
    env: Arc<dyn Environment>,
    listener: Option<TcpListener>,
    store: Option<Arc<dyn Store>>,
    evaluator: Option<Evaluator>,
}

impl Gateway {
    /// The gateway that `loaded` describes.
    #[must_use]
    pub fn new(loaded: Loaded, env: Arc<dyn Environment>) -> Self {
        Self { loaded, env, listener: None, store: None, evaluator: None }
    }

    /// Serves on `listener` instead of the configured address.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Runs on `store` instead of the configured one.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Decides with `evaluator` instead of the component that this program carries.
    #[must_use]
    pub fn evaluator(mut self, evaluator: Evaluator) -> Self {
        self.evaluator = Some(evaluator);
        self
    }

    /// Opens the store, starts a chain in it, binds the addresses and serves.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; nothing is left running then.
    pub async fn start(self) -> Result<RunningGateway, ServeError> {
        let Self { loaded, env, listener, store, evaluator } = self;
        let upstream = Upstream::new(upstream_config(&loaded))?;
        let (webhook, reviewer) = asked(&loaded, &env)?;
        let key_files = KeyFiles::of(&loaded.paths.attestation_key);
        key_files.check()?;
        let store = opened(store, &loaded, env.as_ref()).await?;
        let signing = key_files.signing(&store.key_history().await?)?;
        let (listener, metrics_listener) = listeners(&loaded, listener).await?;
        let socket = crate::control::bind_socket(&loaded.paths.socket).await?;
        let mut lists = StatusListFiles::of(&loaded);
        let challenge_key = ChallengeKey::of(&signing.key);
        let gate = first_gate(&loaded, &challenge_key, &mut lists, env.as_ref());
        let record = gate.record();
        let gate = Arc::new(InForce::new(gate));
        let stamp = env.stamp()?;
        let (engine, evaluator_file) = engine(&loaded, evaluator, challenge_key, stamp).await?;
        let (engine, metrics) = (Arc::new(engine), Metrics::default());
        let keys = Arc::new(StoredKeys(Arc::clone(&store)));
        let plugins = PluginHost::load(&loaded.config.plugins, &loaded.base, keys, metrics.clone()).await?;
        let writer = Writer::new(signing.key, stamp.chain_uid(), record);
        let driver = Arc::new(chain(&store, writer, signing.next, env.as_ref()).await?);
        gate.mint_with(driver.writer().public_key());
        let health = Arc::new(Health::new(metrics.clone()));
        let info = ReadyInfo::new(
            &loaded,
            &listener,
            metrics_listener.as_ref(),
            &driver.writer(),
            store.durability(),
            &engine,
            &plugins,
        )?;
        let operations = Operations::running(
            Arc::clone(&driver),
            Arc::clone(&store),
            Arc::clone(&env),
            Arc::clone(&gate),
            Keys::new(key_files, store.key_history().await?),
        );
        let operations = Arc::new(operations);
        let served =
            Control::new(Arc::clone(&operations), Arc::clone(&health), metrics.clone()).serve(socket, metrics_listener);
        let core = Core {
            gate,
            operations,
            engine,
            plugins,
            driver,
            store,
            upstream,
            env,
            metrics,
            health,
            webhook,
            reviewer,
            unrecorded: Unrecorded::default(),
            limits: Limits::of(&loaded),
        };
        Ok(RunningGateway::start(
            Arc::new(core),
            listener,
            server_limits(&loaded),
            served,
            info,
            Watched { lists: Arc::new(Mutex::new(lists)), evaluator_file, policy_files: PolicyFiles::of(&loaded) },
        ))
    }
}

/// The store of whoever starts the gateway, or the configured one.
async fn opened(
    store: Option<Arc<dyn Store>>,
    loaded: &Loaded,
    env: &dyn Environment,
) -> Result<Arc<dyn Store>, ServeError> {
    match store {
        Some(store) => Ok(store),
        None => Ok(store::open(&loaded.paths, env).await?),
    }
}

/// Who is told of requests for approval, and who reviews requests.
fn asked(loaded: &Loaded, env: &Arc<dyn Environment>) -> Result<(Webhook, Option<Reviewer>), ServeError> {
    let entry = loaded.config.approvals.as_ref().and_then(|approvals| approvals.webhook.as_ref());
    let webhook = Webhook::start(entry, &loaded.base, env)?;
    Ok((webhook, Reviewer::new(loaded.config.reviewer.as_ref(), &loaded.base)?))
}

/// The gate as it starts, with the status lists that are at hand.
fn first_gate(
    loaded: &Loaded,
    challenge_key: &ChallengeKey,
    lists: &mut StatusListFiles,
    env: &dyn Environment,
) -> Snapshot {
    let gate = Gate { challenge_key: Some(challenge_key.clone()), ..loaded.gate.clone() };
    let gate = Snapshot::from(gate);
    lists.read(&gate, env.now()).unwrap_or(gate)
}

/// Where requests come in, and where metrics are asked for.
async fn listeners(
    loaded: &Loaded,
    given: Option<TcpListener>,
) -> Result<(TcpListener, Option<TcpListener>), ServeError> {
    let listener = match given {
        Some(listener) => listener,
        None => bind(&loaded.config.server.listen).await?,
    };
    let metrics = match &loaded.config.control.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    Ok((listener, metrics))
}

/// A new chain in `store`.
async fn chain(
    store: &Arc<dyn Store>,
    writer: Writer,
    next: Option<SecretKey>,
    env: &dyn Environment,
) -> Result<Driver, ServeError> {
    let driver = Driver::start(Arc::<dyn Store>::clone(store), writer, env.stamp()?).await?;
    if let Some(next) = next {
        // Whoever began a rotation stopped before its record.
        driver.rotate(next, RotationScope::Ledger, env.stamp()?).await?;
    }
    Ok(driver)
}

/// The evaluator that the configuration asks for. Compiling takes a second of all cores, so it is done beside the runtime.
async fn engine(
    loaded: &Loaded,
    given: Option<Evaluator>,
    challenge_key: ChallengeKey,
    chain: Stamp,
) -> Result<(Engine, Option<EvaluatorFile>), ServeError> {
    let file = EvaluatorFile::of(&loaded.config.evaluator, &loaded.base);
    let mut file = file.map_err(|(problem, remedy)| ComponentError::File(format!("{problem}; {remedy}")))?;
    let kind = loaded.config.evaluator.engine;
    let has_component = has_builtin() || given.is_some() || file.is_some();
    if !kind.map_or(has_component, |kind| kind == EngineKind::Component) {
        return Ok((Engine::native(), None));
    }
    let policy = json::canonical(&loaded.bundle).map_err(io::Error::other)?;
    let max_body_bytes = usize::try_from(loaded.config.server.max_body_bytes).unwrap_or(usize::MAX);
    let opened = tokio::task::spawn_blocking(move || {
        let evaluator = match (given, &mut file) {
            (Some(given), _) => given,
            (None, Some(file)) => file.load()?,
            (None, None) => builtin()?,
        };
        let engine = Engine::component(evaluator, policy, challenge_key, chain, max_body_bytes)?;
        file.iter_mut().for_each(EvaluatorFile::is_in_force);
        Ok::<_, ComponentError>((engine, file))
    });
    Ok(opened.await.map_err(io::Error::other)??)
}

/// What requests share.
struct Core {
    gate: Arc<InForce>,
    operations: Arc<Operations>,
    webhook: Webhook,
    reviewer: Option<Reviewer>,
    engine: Arc<Engine>,
    plugins: PluginHost,
    driver: Arc<Driver>,
    store: Arc<dyn Store>,
    upstream: Upstream,
    env: Arc<dyn Environment>,
    metrics: Metrics,
    health: Arc<Health>,
    unrecorded: Unrecorded,
    limits: Limits,
}

/// What a request may take.
struct Limits {
    intake: IntakeLimits,
    decision_timeout: Duration,
    /// One for each request from when it is read until its outcome is recorded.
    slots: Arc<Semaphore>,
    slot_count: u32,
    /// One for each request that waits for plugins.
    asking: Semaphore,
}

impl Limits {
    fn of(loaded: &Loaded) -> Self {
        let server = &loaded.config.server;
        let scheme = if loaded.gate.origin.scheme == "https" { Scheme::Https } else { Scheme::Http };
        let slot_count = server.max_connections;
        Self {
            intake: IntakeLimits {
                max_body_bytes: usize::try_from(server.max_body_bytes).unwrap_or(usize::MAX),
                body_timeout: milliseconds(server.body_timeout_ms),
                ..IntakeLimits::new(scheme)
            },
            decision_timeout: milliseconds(server.decision_timeout_ms),
            slots: Arc::new(Semaphore::new(usize::try_from(slot_count).unwrap_or(usize::MAX))),
            slot_count,
            asking: Semaphore::new(MAX_INSTANCES / 4 * 3),
        }
    }
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

fn server_limits(loaded: &Loaded) -> ServerLimits {
    let server = &loaded.config.server;
    let connections = usize::try_from(server.max_connections).unwrap_or(usize::MAX);
    ServerLimits {
        max_connections: connections,
        max_requests_in_flight: connections,
        max_parallel_reads: connections,
        header_read_timeout: milliseconds(server.header_timeout_ms),
        drain_deadline: milliseconds(server.shutdown_grace_ms),
        ..ServerLimits::default()
    }
}

fn upstream_config(loaded: &Loaded) -> UpstreamConfig {
    let upstream = &loaded.config.upstream;
    UpstreamConfig {
        trust_roots: loaded.trust_roots.clone(),
        connect_timeout: milliseconds(upstream.connect_timeout_ms),
        head_timeout: milliseconds(upstream.response_timeout_ms),
        body_idle_timeout: milliseconds(upstream.idle_timeout_ms),
        max_response_bytes: upstream.max_response_bytes,
        ..UpstreamConfig::new(&upstream.url)
    }
}

async fn bind(address: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address: address.to_owned(), source })
}

/// Files that are read again while the gateway serves.
struct Watched {
    lists: Arc<Mutex<StatusListFiles>>,
    evaluator_file: Option<EvaluatorFile>,
    policy_files: PolicyFiles,
}

/// A gateway that serves. Dropping it without [`RunningGateway::shutdown`] cuts everything off.
pub struct RunningGateway {
    info: ReadyInfo,
    core: Arc<Core>,
    stop: watch::Sender<bool>,
    data_plane: JoinHandle<Stopped>,
    upkeep: JoinHandle<()>,
    /// What looks at files; it may hold the store until it has ended.
    watching: JoinSet<()>,
    served: Served,
    grace: Duration,
}

impl RunningGateway {
    fn start(
        core: Arc<Core>,
        listener: TcpListener,
        limits: ServerLimits,
        served: Served,
        info: ReadyInfo,
        watched: Watched,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let grace = limits.drain_deadline;
        let door = Arc::new(Door::new(Arc::clone(&core)));
        let data_plane = tokio::spawn(server::serve(listener, limits, door, stopped(stopping.clone())));
        let (gate, env) = (Arc::clone(&core.gate), Arc::clone(&core.env));
        let lists = Arc::clone(&watched.lists);
        let mut watching = JoinSet::new();
        watching.spawn(status_lists::keep_reading(lists, gate, env, stopped(stopping.clone())));
        let driver = Arc::clone(&core.driver);
        let governed = Governed {
            gate: Arc::clone(&core.gate),
            engine: Arc::clone(&core.engine),
            lists: watched.lists,
            metrics: core.metrics.clone(),
            signing: Box::new(move || driver.writer().public_key().clone()),
        };
        watching.spawn(policy_files::keep_loaded(watched.policy_files, governed, stopped(stopping.clone())));
        if let Some(file) = watched.evaluator_file {
            let (engine, metrics) = (Arc::clone(&core.engine), core.metrics.clone());
            watching.spawn(evaluator::keep_loaded(file, engine, metrics, stopped(stopping.clone())));
        }
        watching.spawn(core.plugins.clone().keep_loaded(stopped(stopping.clone())));
        let upkeep = tokio::spawn(upkeep::run(Arc::clone(&core), stopping));
        Self { info, core, stop, data_plane, upkeep, watching, served, grace }
    }

    /// What is served where.
    #[must_use]
    pub fn info(&self) -> &ReadyInfo {
        &self.info
    }

    /// The bound address of the data plane.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.info.listen
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// Stops taking requests, lets running ones finish within the grace, records what is left to record, and closes
    /// the store.
    pub async fn shutdown(self) {
        self.core.health.stop();
        self.stop.send_replace(true);
        match self.data_plane.await {
            Ok(Stopped { connections_cut: 0 }) => {}
            Ok(Stopped { connections_cut }) => tracing::warn!(connections_cut, "connections were cut at shutdown"),
            Err(error) => tracing::error!(%error, "the data plane ended by itself"),
        }
        let outcomes = Arc::clone(&self.core.limits.slots).acquire_many_owned(self.core.limits.slot_count);
        if tokio::time::timeout(self.grace, outcomes).await.is_err() {
            tracing::error!("not every outcome was recorded before shutdown");
        }
        if let Err(error) = self.upkeep.await {
            tracing::error!(%error, "the background work ended by itself");
        }
        let mut watching = self.watching;
        let ended = async { while watching.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, ended).await.is_err() {
            tracing::warn!("a file was still being read at shutdown");
        }
        upkeep::flush(&self.core).await;
        self.served.stop().await;
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the gateway itself is gone.
    let _ = stopping.wait_for(|stop| *stop).await;
}
