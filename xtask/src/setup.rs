//! `cargo xtask setup`: what the tests need and cargo does not bring.
//!
//! - `target/tools/venv`: a Python environment with the packages of `xtask/assets/requirements.txt`
//! - `target/tools/npm/node_modules`: the npm packages of `xtask/assets/package.json`
//! - `target/tools/bin/node`: the Node.js that runs them
//! - `target/tools/cargo/bin`: the programs that make a Worker of a Rust crate
//! - the Rust target wasm32-unknown-unknown, rustfmt and clippy
//!
//! Running it again costs less than a second: each folder holds a stamp with the hash of the lists it was made from.

mod cargo;
mod node;
mod python;
pub(crate) mod wasm_target;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::Checkout;
use crate::process::Task;
use crate::steps::{Outcome, Step};

pub(crate) fn steps(checkout: &Checkout) -> Vec<Step> {
    let step = |name, work: fn(&Checkout) -> Result<Outcome>| {
        let checkout = checkout.clone();
        Step::new(name, move || work(&checkout))
    };
    vec![
        step("rust components", components),
        step("rust wasm target", wasm_target::ensure),
        step("python packages", python::ensure),
        step("npm packages", node::ensure),
        step("cargo programs", cargo::ensure),
    ]
}

/// What [`steps`] does for WebAssembly alone: neither Python nor Node is looked for.
pub(crate) fn wasm_target_step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("rust wasm target", move || wasm_target::ensure(&checkout))
}

/// A minimal rustup profile lacks both.
fn components(checkout: &Checkout) -> Result<Outcome> {
    let present = |command: &str| Task::new("cargo", command, &checkout.root).succeeds();
    if present("fmt --version") && present("clippy --version") {
        return Ok(up_to_date());
    }
    Task::new("rustup", "component add rustfmt clippy", &checkout.root)
        .remedy("Install rustfmt and clippy for this toolchain, or Rust itself from https://rustup.rs.")
        .run()?;
    Ok(Outcome::Note("installed".to_owned()))
}

fn up_to_date() -> Outcome {
    Outcome::Note("already there".to_owned())
}

/// The stamp is written last, so a folder that was left half made is made again.
const STAMP: &str = ".passgate-stamp";

/// SHA-256 over the parts with their lengths, in hex: moving a byte from one part to the next changes it.
fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A formatter that writes to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn is_stamped(folder: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == fingerprint)
}

fn stamp(folder: &Path, fingerprint: &str) -> Result<()> {
    let path = folder.join(STAMP);
    fs::write(&path, fingerprint).with_context(|| format!("cannot write {}", path.display()))
}

/// An empty folder at `folder`, whatever was there before.
pub(crate) fn start_over(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn read_asset(checkout: &Checkout, name: &str) -> Result<Vec<u8>> {
    let path = checkout.root.join("xtask").join("assets").join(name);
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The first `count` numbers of a version such as `v20.11.1` or `3.13.0rc1`.
fn version_numbers(text: &str, count: usize) -> Option<Vec<u32>> {
    let numbers = text.trim().trim_start_matches('v').split('.').take(count);
    let parsed: Option<Vec<u32>> = numbers.map(|number| number.parse().ok()).collect();
    parsed.filter(|numbers| numbers.len() == count)
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, is_stamped, stamp, start_over, version_numbers};

    #[test]
    fn a_fingerprint_depends_on_every_part_and_on_where_parts_end() {
        assert_eq!(fingerprint(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let base = fingerprint(&[b"ab", b"c"]);
        assert_eq!(base, fingerprint(&[b"ab", b"c"]));
        assert_ne!(base, fingerprint(&[b"a", b"bc"]));
        assert_ne!(base, fingerprint(&[b"abc"]));
        assert_ne!(base, fingerprint(&[b"ab", b"d"]));
    }

    #[test]
    fn a_stamp_holds_for_its_fingerprint_only_and_starting_over_removes_it() {
        let folder = std::env::temp_dir().join(format!("passgate-xtask-stamp-{}", std::process::id()));
        assert!(!is_stamped(&folder, "one"));
        start_over(&folder).unwrap();
        stamp(&folder, "one").unwrap();
        assert!(is_stamped(&folder, "one"));
        assert!(!is_stamped(&folder, "two"));
        start_over(&folder).unwrap();
        assert!(!is_stamped(&folder, "one"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn version_numbers_are_read_from_what_programs_print() {
        assert_eq!(version_numbers("v20.20.2\n", 1), Some(vec![20]));
        assert_eq!(version_numbers("3.11", 2), Some(vec![3, 11]));
        assert_eq!(version_numbers("3", 2), None);
        assert_eq!(version_numbers("unknown", 1), None);
    }
}
