//! The WebAssembly engine of all plugins of a host: its bounds, its clock and its compiler.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use super::limits::{MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS};

/// How often a running call gives way to other tasks.
const TICK: Duration = Duration::from_millis(1);
/// After how many ticks without a call there are no more.
const IDLE_TICKS: u32 = 100;
/// The stack of a call, in bytes: what wasmtime itself gives.
const MAX_WASM_STACK_BYTES: usize = 512 * 1024;
/// With what functions of the host take of the same stack, in bytes.
const CALL_STACK_BYTES: usize = 2 * 1024 * 1024;
/// The stack of the compiler, in bytes. Deeply nested functions take some of it.
const COMPILER_STACK_BYTES: usize = 16 * 1024 * 1024;
/// The most calls at once, of all plugins. Further ones wait. A call computes, so more than a few per core gain nothing.
const MAX_CALLS: u32 = 64;
/// The most core instances, memories and tables of one component. One that was linked from many shared libraries, as
/// that of a Python interpreter, has some forty instances.
const MAX_CORE_INSTANCES: u32 = 64;
const MAX_MEMORIES: u32 = 2;
const MAX_TABLES: u32 = 8;

/// How much of the memory and of each table of a call stays with its place in the pool.
const KEPT_MEMORY_BYTES: usize = 256 * 1024;
const KEPT_TABLE_BYTES: usize = 16 * 1024;

/// An engine with what belongs to it.
pub(super) struct Engine {
    wasm: wasmtime::Engine,
    ticker: Ticker,
    calls: Semaphore,
    compiler: Arc<Semaphore>,
    /// Digests of components whose compilation was given up. Each has cost a whole timeout, so they stay few.
    given_up: Mutex<BTreeSet<String>>,
}

/// A call that may run. While it lives, the engine ticks.
pub(super) struct Running<'a> {
    ticker: &'a Ticker,
    _place: tokio::sync::SemaphorePermit<'a>,
}

/// Why a component was not compiled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CompileError {
    /// The compiler refuses it.
    Refused(String),
    /// It takes too long.
    TooSlow,
    /// The compiler is still at work on another component.
    Busy,
}

impl Engine {
    /// An engine with no plugin.
    ///
    /// # Errors
    ///
    /// What the operating system refused.
    pub(super) fn new() -> Result<Arc<Self>, String> {
        let wasm = wasmtime::Engine::new(&config()).map_err(|error| format!("{error:#}"))?;
        let ticker = Ticker::start(wasm.clone()).map_err(|error| error.to_string())?;
        let calls = Semaphore::new(usize::try_from(MAX_CALLS).unwrap_or(1));
        let compiler = Arc::new(Semaphore::new(1));
        Ok(Arc::new(Self { wasm, ticker, calls, compiler, given_up: Mutex::default() }))
    }

    /// The engine itself.
    pub(super) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// A place for one call, or `None` when there is none before `deadline`.
    pub(super) async fn enter(&self, deadline: Instant) -> Option<Running<'_>> {
        let place = timeout_at(deadline, self.calls.acquire()).await.ok()?.ok()?;
        self.ticker.begin();
        Some(Running { ticker: &self.ticker, _place: place })
    }

    /// Compiles the component with this digest, one at a time, and gives up after `timeout`. What was given up once is
    /// not tried again.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub(super) async fn compile(
        &self,
        digest: &str,
        bytes: Vec<u8>,
        timeout: Duration,
    ) -> Result<Component, CompileError> {
        let wasm = self.wasm.clone();
        self.in_time(digest, timeout, move || Component::new(&wasm, bytes)).await
    }

    /// Runs `work` in a thread of its own. Nothing can stop a compiler, so after `timeout` it is left to itself; until
    /// it is done, no other starts.
    async fn in_time<T: Send + 'static>(
        &self,
        digest: &str,
        timeout: Duration,
        work: impl FnOnce() -> wasmtime::Result<T> + Send + 'static,
    ) -> Result<T, CompileError> {
        if self.given_up().contains(digest) {
            return Err(CompileError::TooSlow);
        }
        let waiting = timeout_at(Instant::now() + timeout, Arc::clone(&self.compiler).acquire_owned()).await;
        let permit = waiting.map_err(|_| CompileError::Busy)?.map_err(|_| CompileError::Busy)?;
        // Waiting for another is not this one's time.
        let deadline = Instant::now() + timeout;
        let (done, result) = oneshot::channel();
        let worker = move || {
            let result = work().map_err(|error| CompileError::Refused(format!("{error:#}")));
            drop(permit);
            // Nobody waits for a result that comes too late.
            let _ = done.send(result);
        };
        // A thread of the runtime's would hold up the end of the process.
        thread::Builder::new()
            .name("plugin-compiler".to_owned())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(worker)
            .map_err(|error| CompileError::Refused(format!("no thread to compile it in: {error}")))?;
        match timeout_at(deadline, result).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CompileError::Refused("the compiler ended in a panic".to_owned())),
            Err(_) => {
                self.given_up().insert(digest.to_owned());
                Err(CompileError::TooSlow)
            }
        }
    }

    fn given_up(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.ticker.end();
    }
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_CALLS)
        .total_core_instances(MAX_CALLS * MAX_CORE_INSTANCES)
        .total_memories(MAX_CALLS * MAX_MEMORIES)
        .total_tables(MAX_CALLS * MAX_TABLES)
        .total_stacks(MAX_CALLS)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .max_memory_size(MAX_MEMORY_BYTES)
        .table_elements(MAX_TABLE_ELEMENTS);
    // What a call wrote is put back in place where the system tells which pages that is: the next call need not fault them
    // in again.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_TABLE_BYTES);
    }
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .consume_fuel(true)
        .max_wasm_stack(MAX_WASM_STACK_BYTES)
        .async_stack_size(CALL_STACK_BYTES)
        .wasm_features(WasmFeatures::THREADS, false)
        // One core compiles; the others go on serving requests.
        .parallel_compilation(false)
        // Equal arguments give equal answers, down to the bits of a NaN.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// The thread that lets running calls give way. It sleeps when none ran for a while: to wake it costs as much as a short call.
struct Ticker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    stop: AtomicBool,
}

impl Ticker {
    fn start(wasm: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let ticks = move || {
            let mut idle = 0;
            while !seen.stop.load(Ordering::Acquire) {
                idle = if seen.running.load(Ordering::Acquire) == 0 { idle + 1 } else { 0 };
                if idle > IDLE_TICKS {
                    // A call that begins in between has left a token that ends this at once.
                    thread::park();
                    idle = 0;
                } else {
                    thread::sleep(TICK);
                    wasm.increment_epoch();
                }
            }
        };
        let thread = thread::Builder::new().name("plugin-ticker".to_owned()).spawn(ticks)?;
        Ok(Self { shared, thread })
    }

    fn begin(&self) {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.thread().unpark();
        }
    }

    fn end(&self) {
        self.shared.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_compiler_works_at_a_time_and_is_given_up_when_it_takes_too_long() {
        let engine = Engine::new().unwrap();
        let (go_on, told) = mpsc::channel::<()>();
        let stuck = engine.in_time("bomb", Duration::from_millis(1), move || Ok(told.recv()?)).await;
        assert_eq!(stuck, Err(CompileError::TooSlow));
        let second = engine.in_time("good", Duration::from_millis(1), || Ok(())).await;
        assert_eq!(second, Err(CompileError::Busy), "the first is still at work");
        go_on.send(()).unwrap();
        assert_eq!(engine.in_time("good", MINUTE, || Ok(7)).await, Ok(7));
        assert_eq!(engine.in_time("bomb", MINUTE, || Ok(7)).await, Err(CompileError::TooSlow), "not tried again");
    }

    #[tokio::test]
    async fn a_compiler_that_panics_is_an_error() {
        let engine = Engine::new().unwrap();
        let result = engine.in_time::<()>("a", MINUTE, || panic!("on purpose")).await;
        assert_eq!(result, Err(CompileError::Refused("the compiler ended in a panic".to_owned())));
        assert_eq!(engine.in_time("b", MINUTE, || Ok(7)).await, Ok(7), "the next one has its turn");
    }

    #[tokio::test]
    async fn what_is_no_component_is_refused() {
        let engine = Engine::new().unwrap();
        let result = engine.compile("a", b"no component".to_vec(), MINUTE).await;
        assert!(matches!(result, Err(CompileError::Refused(_))));
    }

    #[tokio::test]
    async fn calls_beyond_the_places_wait() {
        let engine = Engine::new().unwrap();
        let now = Instant::now();
        let mut running = Vec::new();
        for _ in 0..MAX_CALLS {
            running.push(engine.enter(now + MINUTE).await.unwrap());
        }
        assert!(engine.enter(now).await.is_none());
        running.pop();
        assert!(engine.enter(now + MINUTE).await.is_some());
    }
}
