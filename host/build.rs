//! Puts the gate component that `cargo xtask component` made into the program, if it is there and newer than its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the component is made of, in the workspace.
const SOURCES: [&str; 6] = [
    "wit/gate.wit",
    "crates/api/src",
    "crates/component/src",
    "crates/core/src",
    "crates/passport/src",
    "crates/store/src",
];

fn main() {
    println!("cargo:rustc-check-cfg=cfg(gate_component)");
    let workspace = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let component = workspace.join("target/component/passgate-gate-wide.wasm");
    println!("cargo:rerun-if-changed={}", component.display());
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", workspace.join(source).display());
    }
    let Ok(built) = fs::metadata(&component).and_then(|file| file.modified()) else {
        println!(
            "cargo:warning=this gateway decides natively: to build the gate component into it, run `cargo xtask component` first"
        );
        return;
    };
    if SOURCES.iter().any(|source| newest(&workspace.join(source)).is_some_and(|changed| changed > built)) {
        println!(
            "cargo:warning=this gateway decides natively: the gate component is older than its sources; run `cargo xtask component`"
        );
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("gate.wasm");
    match fs::copy(&component, &out) {
        Ok(_) => println!("cargo:rustc-cfg=gate_component"),
        Err(error) => println!("cargo:warning=the gate component cannot be copied to {}: {error}", out.display()),
    }
}

/// When the file, or the newest file of the folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return fs::metadata(path).and_then(|file| file.modified()).ok();
    }
    let entries = fs::read_dir(path).ok()?.filter_map(Result::ok);
    entries.filter_map(|entry| newest(&entry.path())).max()
}
