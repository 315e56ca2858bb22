//! The programs that end-to-end tests start: the `passgate` binary, and what others wrote.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

/// How long a program may take to be ready on a busy machine, before it counts as stuck.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where [`free_port`] looks.
const FIRST_PORT: u16 = 20_000;
const PORTS: u32 = 12_000;

/// The workspace's root.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The `passgate` binary: the one that `PASSGATE_PROGRAM` names, else it is built first if it is not up to date.
///
/// # Errors
/// When it is not there, or does not build.
pub fn passgate() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("PASSGATE_PROGRAM").map(PathBuf::from) {
        ensure!(named.is_file(), "PASSGATE_PROGRAM names {}, which is no file", named.display());
        return Ok(named);
    }
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(|error| anyhow!(error))
}

/// Builds into the folder this test was built into, with the profile it was built with.
fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile =
        test.ancestors().find(|folder| folder.join("deps").is_dir()).context("no target folder above the test")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "passgate-cli"]).current_dir(root());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    // What cargo says about this test would reach the build scripts of others and build them anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    let built = cargo.output().context("cargo did not start")?;
    ensure!(built.status.success(), "passgate-cli does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    let binary = profile.join("passgate");
    ensure!(binary.is_file(), "{} is not there after building passgate-cli", binary.display());
    Ok(binary)
}

/// The Python with the packages that tests need.
///
/// # Errors
/// When it is not set up; says how to.
pub fn python() -> Result<PathBuf> {
    tool("venv/bin/python")
}

/// The folder of the npm package jose.
///
/// # Errors
/// When it is not set up; says how to.
pub fn jose() -> Result<PathBuf> {
    tool("npm/node_modules/jose")
}

/// The folder of the npm package that makes a component a JavaScript module.
///
/// # Errors
/// When it is not set up; says how to.
pub fn jco() -> Result<PathBuf> {
    tool("npm/node_modules/@bytecodealliance/jco-transpile")
}

/// A component that `cargo xtask component` built.
///
/// # Errors
/// When it is not there; says how to build it.
pub fn gate_component(name: &str) -> Result<PathBuf> {
    let path = root().join("target/component").join(name);
    ensure!(path.exists(), "{} is not there: run `cargo xtask component` first", path.display());
    Ok(path)
}

/// The glue of the WebAssembly that judges published vectors.
///
/// # Errors
/// When it is not built.
pub fn verdicts_module() -> Result<PathBuf> {
    let path = root().join("target/vectors/verdicts.js");
    ensure!(path.is_file(), "{} is not there: run `cargo xtask vectors`", path.display());
    Ok(path)
}

/// The npm package as it is built.
///
/// # Errors
/// When it is not built.
pub fn npm_package() -> Result<PathBuf> {
    let folder = root().join("pkg").join("dist");
    ensure!(folder.join("passgate.wasm").is_file(), "{} is not built: run `cargo xtask web build`", folder.display());
    Ok(folder)
}

/// The folder of all npm packages.
///
/// # Errors
/// When it is not set up; says how to.
pub fn npm() -> Result<PathBuf> {
    tool("npm/node_modules")
}

/// The Node.js that is new enough for the packages around workerd.
///
/// # Errors
/// When it is not set up; says how to.
pub fn edge_node() -> Result<PathBuf> {
    tool("bin/node")
}

fn tool(path: &str) -> Result<PathBuf> {
    let path = root().join("target/tools").join(path);
    ensure!(path.exists(), "{} is not there: run `cargo xtask setup` first", path.display());
    Ok(path)
}

/// A script in `tests/clients`.
pub fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs `command` with `input` on its standard input.
///
/// # Errors
/// When it does not start.
pub fn run(command: &mut Command, input: &str) -> Result<Output> {
    let name = command.get_program().to_owned();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| anyhow!("{} did not start: {error}", name.display()))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let text = input.to_owned();
    // A program that does not read its input is not at fault.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).is_ok());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut out = child.stdout.take().context("no standard output")?;
    let mut err = child.stderr.take().context("no standard error")?;
    let reader = std::thread::spawn(move || std::io::copy(&mut err, &mut stderr).map(|_| stderr));
    std::io::copy(&mut out, &mut stdout)?;
    let stderr = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    let _fed = writer.join();
    Ok(Output { status: child.wait()?, stdout, stderr })
}

/// Runs `command` with `input`, and gives its standard output.
///
/// # Errors
/// When it fails; with what it wrote to standard error.
pub fn output(command: &mut Command, input: &str) -> Result<String> {
    let output = run(command, input)?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a script of `tests/clients` with the set-up Python.
///
/// # Errors
/// When it fails or Python is not set up.
pub fn python_client(name: &str, arguments: &[&str], input: &Value) -> Result<String> {
    output(Command::new(python()?).arg(client(name)).args(arguments), &input.to_string())
}

/// Runs `jose_tokens.mjs`.
///
/// # Errors
/// When it fails or the package is not set up.
pub fn jose_client(arguments: &[&str], input: &Value) -> Result<String> {
    let script = client("jose_tokens.mjs");
    output(Command::new("node").arg(script).args(arguments).env("PASSGATE_JOSE", jose()?), &input.to_string())
}

/// Runs a script of `tests/clients` with the set-up Node.js, which finds the npm packages in `PASSGATE_NPM`.
///
/// # Errors
/// When it fails or the packages are not set up.
pub fn npm_client(name: &str, arguments: &[&str], input: &Value) -> Result<String> {
    let mut node = Command::new(edge_node()?);
    output(node.arg(client(name)).args(arguments).env("PASSGATE_NPM", npm()?), &input.to_string())
}

/// A TCP port nobody listens on at the moment, below those that outgoing connections usually get: a gateway that is
/// down for a while finds it free when it comes back.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        // Tests of other processes start elsewhere.
        let tried = TRIED.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(101));
        let port = FIRST_PORT + u16::try_from(tried % PORTS)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST_PORT} on is free")
}

/// A program that runs in the background; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Mutex<Vec<String>>,
}

impl Running {
    /// Starts `command`. Its standard error is read line by line.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, lines, seen: Mutex::default() })
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Errors
    /// When the program ends without it; with what it said instead.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut seen = self.seen.lock().map_err(|_| anyhow!("another reader panicked"))?;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(()),
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("no `{text}` within a minute; it said:\n{}", seen.join("\n")),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("it ended without `{text}`; it said:\n{}", seen.join("\n"))
                }
            }
        }
    }

    /// Waits until something listens on `port`.
    ///
    /// # Errors
    /// When nothing does in the end.
    pub fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let said: Vec<String> = self.lines.try_iter().collect();
                bail!("it ended ({status}) and said:\n{}", said.join("\n"));
            }
            ensure!(Instant::now() < deadline, "nothing listens on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end; gives the exit code.
    ///
    /// # Errors
    /// When it cannot be told, or a signal ended it.
    pub fn terminate(&mut self) -> Result<i32> {
        output(Command::new("kill").args(["-TERM", &self.child.id().to_string()]), "")?;
        self.child.wait()?.code().context("a signal ended it")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.kill();
    }
}
