//! The two WebAssembly modules with their glue: what verifies, and that with the evaluator.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::dist;
use crate::Checkout;
use crate::process::Task;
use crate::setup::hex;
use crate::setup::wasm_target::TARGET;
use crate::small;
use crate::steps::Outcome;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Verifiers alone, for pages.
    Verifier,
    /// With the evaluator.
    Full,
}

impl Build {
    /// Of its files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Full => "passgate",
        }
    }

    fn features(self) -> &'static str {
        match self {
            Self::Verifier => "",
            Self::Full => "--features gate",
        }
    }

    /// Most bytes of the module after gzip -9.
    fn gzip_limit(self) -> u64 {
        match self {
            Self::Verifier => 120 * 1024,
            Self::Full => 320 * 1024,
        }
    }
}

/// Where builds leave what is not in the package.
fn stage(checkout: &Checkout) -> PathBuf {
    checkout.root.join("target").join("web")
}

/// The glue of a build.
pub(super) fn glue(checkout: &Checkout, build: Build) -> PathBuf {
    stage(checkout).join(format!("{}.js", build.name()))
}

/// The module of a build, as it is in the package.
pub(super) fn module(checkout: &Checkout, build: Build) -> PathBuf {
    dist(checkout).join(format!("{}.wasm", build.name()))
}

/// `sha256:` and the digest of the module.
///
/// # Errors
/// It is not there.
pub(super) fn digest(checkout: &Checkout, build: Build) -> Result<String> {
    let path = module(checkout, build);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(format!("sha256:{}", hex(&Sha256::digest(bytes))))
}

/// Compiles a build, makes its glue, and leaves the module in the package.
///
/// # Errors
/// A program fails or is missing.
pub(super) fn build(checkout: &Checkout, build: Build) -> Result<Outcome> {
    let compile = Task::new("cargo", "build --package passgate-pkg --profile worker --target", &checkout.root)
        .arg(TARGET)
        .args(build.features())
        .remedy("Mend the compile errors above.");
    small::compiling(checkout, compile, &[small::COPY_LESS])?.run()?;
    let compiled = checkout.root.join("target").join(TARGET).join("worker").join("passgate_pkg.wasm");
    Task::new(checkout.cargo_tool("wasm-bindgen"), "--target web --omit-default-module-path", &checkout.root)
        .arg("--out-name")
        .arg(build.name())
        .arg("--out-dir")
        .arg(stage(checkout))
        .arg(&compiled)
        .remedy("If it is missing: cargo xtask setup")
        .run()?;
    let bound = stage(checkout).join(format!("{}_bg.wasm", build.name()));
    let folder = dist(checkout);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    small::wasm_opt(
        checkout,
        &format!("{} --strip-debug --strip-producers", small::PASSES),
        &bound,
        &module(checkout, build),
    )?;
    small::reorder(&module(checkout, build))?;
    Ok(Outcome::Note(small::size(checkout, &module(checkout, build))?.to_string()))
}

/// Checks both modules, and says how large the page is.
///
/// # Errors
/// One is too large.
pub(super) fn check_sizes(checkout: &Checkout) -> Result<Outcome> {
    let mut notes = Vec::new();
    for build in [Build::Verifier, Build::Full] {
        let size = small::size(checkout, &module(checkout, build))?;
        let (name, limit) = (build.name(), build.gzip_limit());
        if size.gzip > limit {
            bail!("{name}.wasm is too large: {size}; after gzip it may have {limit} bytes");
        }
        notes.push(format!("{name}.wasm {} of {limit} bytes after gzip -9", size.gzip));
    }
    let page = small::size(checkout, &dist(checkout).join("page").join("verify.html"))?;
    notes.push(format!("verify.html {page}"));
    Ok(Outcome::Note(notes.join("; ")))
}
