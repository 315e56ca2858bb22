//! From the crate `worker` to the two files that are deployed: `index.js` and `index_bg.wasm`.
//!
//! 1. `worker-build` compiles the crate and writes the glue between Rust and the runtime
//! 2. what the module and the glue call each other is shortened, and what neither calls is left out
//! 3. `wasm-opt` makes the module of a release smaller, its functions are put in an order that gzip packs well, and their
//!    names are left out; `target/edge/build/named.wasm` keeps them for reading stack traces
//! 4. `esbuild` puts `worker/entry.mjs` around the glue, in one file
//! 5. the digest of the module goes into that file, for the records that name their evaluator

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::Checkout;
use crate::process::Task;
use crate::setup::{hex, start_over};
use crate::small::{self, Size};
use crate::steps::Outcome;

/// Which Worker to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// The one that is deployed, in `worker/build`.
    Release,
    /// With the feature `testing`, in `worker/build-testing`. Its profile has debug assertions, without which that feature
    /// does not compile: no release can have it.
    Testing,
    /// With that feature too and otherwise as the release is built, in `worker/build-bench`: what benchmarks run.
    Bench,
}

impl Flavour {
    /// The profile in the workspace's Cargo.toml.
    fn profile(self) -> &'static str {
        match self {
            Self::Release => "worker",
            Self::Testing => "worker-testing",
            Self::Bench => "worker-bench",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Release => "",
            Self::Testing | Self::Bench => "--features testing",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Release => "build",
            Self::Testing => "build-testing",
            Self::Bench => "build-bench",
        }
    }
}

/// How many bytes the module may have after gzip -9. What is loaded in every place where a request arrives has to be small;
/// the platform itself allows 3 MB.
const GZIP_LIMIT: u64 = 470 * 1024;

/// What the crate says its evaluator's digest is, until [`with_digest`] puts the digest there.
const DIGEST_UNSET: &str = "passgate-evaluator-digest-unset";

/// Classes of the libraries that are in the glue and that nothing here makes an object of.
const UNMADE: [&str; 5] =
    ["containerstartupoptions", "intounderlyingbytesource", "intounderlyingsink", "minifyconfig", "r2range"];

/// How the glue makes an object of a class out of what Rust gives it.
const GIVEN_BY_RUST: &str = "static __wrap(";

/// How a Worker asks for its requests to go straight to the origin when it fails.
const PASS_THROUGH: &str = "passThroughOnException";

/// Where builds leave what is not deployed. Not `target/worker`: that is cargo's, for the profile of that name.
pub(super) fn stage(checkout: &Checkout) -> PathBuf {
    checkout.root.join("target").join("edge")
}

/// Builds `flavour` and says how large it is.
///
/// # Errors
/// A program fails or is missing, the module cannot be told its digest, or the Worker could let requests pass by it.
pub(super) fn build(checkout: &Checkout, flavour: Flavour) -> Result<Outcome> {
    let stage = stage(checkout).join(flavour.folder());
    start_over(&stage)?;
    compile(checkout, flavour, &stage)?;
    shorten(&stage)?;
    optimise(checkout, flavour, &stage)?;
    bundle(checkout, &stage)?;
    let built = [stage.join("bundled.js"), stage.join("optimised.wasm")];
    finish(&built)?;
    // Only now: whoever watches the folder sees two files that belong together, and none of a failed build.
    let deployed = deployed(checkout, flavour);
    for (from, to) in built.iter().zip(&deployed).rev() {
        let folder = to.parent().unwrap_or(to);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(Outcome::Note(sizes(checkout, flavour)?.to_string()))
}

/// Checks the release that was built.
///
/// # Errors
/// It is too large.
pub(super) fn check_size(checkout: &Checkout) -> Result<Outcome> {
    let sizes = sizes(checkout, Flavour::Release)?;
    if sizes.module.gzip > GZIP_LIMIT {
        bail!(
            "the Worker is too large: {sizes}; after gzip the module may have {GZIP_LIMIT} bytes, and \
             `target/edge/build/named.wasm` shows what takes the room"
        );
    }
    Ok(Outcome::Note(sizes.to_string()))
}

/// The script and the module.
fn deployed(checkout: &Checkout, flavour: Flavour) -> [PathBuf; 2] {
    let folder = checkout.root.join("worker").join(flavour.folder());
    [folder.join("index.js"), folder.join("index_bg.wasm")]
}

fn compile(checkout: &Checkout, flavour: Flavour, stage: &Path) -> Result<()> {
    let task = Task::new(checkout.cargo_tool("worker-build"), "--no-opt --profile", &checkout.root.join("worker"))
        .arg(flavour.profile())
        .arg("--out-dir")
        .arg(stage)
        .args(flavour.features())
        // A failure of the compiler is explained by the compiler, not by the stack of the program that called it.
        .env("RUST_BACKTRACE", "0")
        .env("WASM_BINDGEN_BIN", &checkout.cargo_tool("wasm-bindgen").to_string_lossy())
        .env("ESBUILD_BIN", &esbuild(checkout)?.to_string_lossy())
        .remedy("Mend the compile errors above; if a program is missing: cargo xtask setup");
    checkout.with_node(small::compiling(checkout, task, &[])?).run()
}

/// `worker-build` would rather download an esbuild than fail when the one it is told of is not there.
fn esbuild(checkout: &Checkout) -> Result<PathBuf> {
    let program = checkout.npm_tool("esbuild");
    if !program.exists() {
        bail!("{} is not there: cargo xtask setup", program.display());
    }
    Ok(program)
}

/// Leaves the module in `optimised.wasm`.
fn optimise(checkout: &Checkout, flavour: Flavour, stage: &Path) -> Result<()> {
    let (compiled, named) = (stage.join("index_bg.wasm"), stage.join("named.wasm"));
    let optimised = stage.join("optimised.wasm");
    match flavour {
        Flavour::Release | Flavour::Bench => {
            small::wasm_opt(checkout, &format!("{} --debuginfo", small::PASSES), &compiled, &named)?;
            small::reorder(&named)?;
            small::strip(&named, &optimised)
        }
        // Tests wait for the build more than for the module.
        Flavour::Testing => {
            fs::copy(&compiled, &optimised).with_context(|| format!("cannot write {}", optimised.display()))?;
            Ok(())
        }
    }
}

/// The script shows whether another class of the libraries came into use: only such a one can be made of what Rust gives.
fn shorten(stage: &Path) -> Result<()> {
    let (module, script) = (stage.join("index_bg.wasm"), stage.join("index.js"));
    let text = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    if text.matches(GIVEN_BY_RUST).count() != 1 {
        bail!(
            "another class than IntoUnderlyingSource is made by Rust: see which, and correct UNMADE in worker/build.rs"
        );
    }
    small::shorten(&module, &script, &UNMADE)
}

fn bundle(checkout: &Checkout, stage: &Path) -> Result<()> {
    let task = Task::new(esbuild(checkout)?, "--bundle --minify --format=esm --log-level=warning", &checkout.root)
        .args("--external:./index_bg.wasm --external:cloudflare:*")
        .arg(format!("--alias:passgate-worker={}", stage.join("index.js").display()))
        .arg(format!("--outfile={}", stage.join("bundled.js").display()))
        .arg("worker/entry.mjs")
        .remedy("Mend worker/entry.mjs.");
    checkout.with_node(task).run()
}

/// Tells the script which module it goes with.
fn finish([script, module]: &[PathBuf; 2]) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let text = fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    if text.contains(PASS_THROUGH) {
        bail!("the Worker can call `{PASS_THROUGH}`, and with it let requests pass when it fails: remove the call");
    }
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    fs::write(script, with_digest(&text, &digest)?).with_context(|| format!("cannot write {}", script.display()))
}

fn with_digest(script: &str, digest: &str) -> Result<String> {
    match script.matches(DIGEST_UNSET).count() {
        1 => Ok(script.replace(DIGEST_UNSET, digest)),
        count => bail!(
            "the script names the digest of its module {count} times instead of once: the crate `worker` has to return \
             \"{DIGEST_UNSET}\" from one snippet of JavaScript"
        ),
    }
}

struct Sizes {
    script: Size,
    module: Size,
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "index_bg.wasm {}; index.js {}", self.module, self.script)
    }
}

fn sizes(checkout: &Checkout, flavour: Flavour) -> Result<Sizes> {
    let [script, module] = deployed(checkout, flavour);
    Ok(Sizes { script: small::size(checkout, &script)?, module: small::size(checkout, &module)? })
}

#[cfg(test)]
mod tests {
    use super::{DIGEST_UNSET, with_digest};

    #[test]
    fn the_digest_replaces_the_one_placeholder() {
        let text = format!("function d() {{ return \"{DIGEST_UNSET}\"; }}");
        assert_eq!(with_digest(&text, "sha256:00").unwrap(), "function d() { return \"sha256:00\"; }");
    }

    #[test]
    fn a_script_without_the_placeholder_or_with_two_is_refused() {
        for text in [String::new(), format!("{DIGEST_UNSET} {DIGEST_UNSET}")] {
            with_digest(&text, "sha256:00").unwrap_err();
        }
    }
}
