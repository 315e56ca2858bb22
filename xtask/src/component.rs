//! `cargo xtask component`: the evaluator as a WebAssembly component, in `target/component`.
//!
//! - `passgate-gate.wasm` runs in every host of components
//! - `passgate-gate-wide.wasm` is the same code for hosts that know wide arithmetic, which makes signatures faster; the gateway
//!   carries it in itself and runs it in wasmtime
//! - `passgate-gate.wit` is what the component says of itself
//!
//! Built from wasm32-unknown-unknown and made a component here. A component that imports anything is refused.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use wit_component::{ComponentEncoder, DecodedWasm, WitPrinter};

use crate::Checkout;
use crate::process::Task;
use crate::reproducible;
use crate::setup::wasm_target::{self, TARGET, Toolchain};
use crate::setup::{self, hex};
use crate::steps::{self, Outcome, Step};

/// Which instructions the component may use.
#[derive(Clone, Copy, Debug)]
enum Flavour {
    Portable,
    Wide,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Portable => "passgate-gate",
            Self::Wide => "passgate-gate-wide",
        }
    }

    /// 64-bit limbs need the product of two of them in one instruction; without it they are slower than 32-bit ones.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Portable => &[],
            Self::Wide => &["-Ctarget-feature=+wide-arithmetic", "--cfg=curve25519_dalek_bits=\"64\""],
        }
    }
}

/// # Errors
/// The first step that fails.
pub(crate) fn run(checkout: &Checkout) -> Result<()> {
    let mut steps = vec![setup::wasm_target_step(checkout)];
    steps.extend(self::steps(checkout));
    steps::run("component", steps)
}

/// Builds both.
pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    [("component: portable", Flavour::Portable), ("component: for wasmtime", Flavour::Wide)]
        .into_iter()
        .map(|(name, flavour)| {
            let checkout = checkout.clone();
            Step::new(name, move || build(&checkout, flavour))
        })
        .collect()
}

fn folder(checkout: &Checkout) -> PathBuf {
    checkout.root.join("target").join("component")
}

fn build(checkout: &Checkout, flavour: Flavour) -> Result<Outcome> {
    let folder = folder(checkout);
    let module = compile(checkout, flavour)?;
    let component = ComponentEncoder::default().module(&module)?.validate(true).encode()?;
    let wit = printed(&component)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |name: String, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("passgate-gate.wit".to_owned(), wit.as_bytes())?;
    write(format!("{}.wasm", flavour.name()), &component)?;
    Ok(Outcome::Note(format!("{} bytes, sha256:{}", component.len(), hex(&Sha256::digest(&component)))))
}

/// The core module.
fn compile(checkout: &Checkout, flavour: Flavour) -> Result<Vec<u8>> {
    let toolchain = wasm_target::toolchain(&checkout.root)?;
    // A folder of its own: with other flags than the rest has, cargo would build one and then the other anew.
    let target = folder(checkout).join(flavour.name());
    let mut flags: Vec<String> = flavour.flags().iter().map(|flag| (*flag).to_owned()).collect();
    flags.extend(reproducible::flags(checkout, toolchain)?);
    let task = Task::new("cargo", "build --profile component --package passgate-component --target", &checkout.root)
        .arg(TARGET)
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", &flags.join("\u{1f}"))
        .remedy("Mend the compile errors above; if the target is missing: cargo xtask setup");
    let task = match toolchain {
        Toolchain::Current => task,
        Toolchain::Debian => task.env("RUSTUP_TOOLCHAIN", "debian"),
    };
    task.run()?;
    let module = target.join(TARGET).join("component").join("passgate_component.wasm");
    fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}

/// The world of `component` as text.
///
/// # Errors
/// It imports something: then its decisions could depend on where it runs.
fn printed(component: &[u8]) -> Result<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("what was built is no component");
    };
    let world = resolve.worlds.get(world).context("the component has no world")?;
    let imports: Vec<String> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    if !imports.is_empty() {
        bail!(
            "the component imports {}: the evaluator depends on nothing but its arguments; find the dependency that asks \
             for a clock, randomness or the network",
            imports.join(", ")
        );
    }
    let package = world.package.context("the world has no package")?;
    let nested: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
    let mut printer = WitPrinter::default();
    printer.print(&resolve, package, &nested)?;
    Ok(printer.output.to_string())
}

#[cfg(test)]
mod tests {
    use super::printed;

    #[test]
    fn a_component_that_imports_is_refused() {
        // (component (import "clock" (func)))
        let importing = [
            0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0, 7, 5, 1, 0x40, 0, 1, 0, 10, 10, 1, 0, 5, b'c', b'l', b'o', b'c', b'k',
            1, 0,
        ];
        let error = printed(&importing).unwrap_err().to_string();
        assert!(error.starts_with("the component imports clock"), "{error}");
    }
}
