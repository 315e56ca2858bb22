//! Compiler flags with which a WebAssembly module comes out the same on every machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::Checkout;
use crate::setup::wasm_target::{self, Toolchain};

/// Paths of this machine would end up in the module, and its digest would be another one elsewhere.
///
/// # Errors
/// Nothing says where cargo or the standard library have their sources.
pub(crate) fn flags(checkout: &Checkout, toolchain: Toolchain) -> Result<Vec<String>> {
    let home = cargo_home()?;
    let library = wasm_target::library_source(toolchain, &checkout.root)?;
    let remapped = [(&checkout.root, "/passgate"), (&home, "/cargo"), (&library, "/library")];
    Ok(remapped.map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display())).into())
}

/// Where cargo keeps the sources of crates.
fn cargo_home() -> Result<PathBuf> {
    let of_user = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(of_user);
    home.context("neither CARGO_HOME nor HOME says where cargo keeps its sources")
}
