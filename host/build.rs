//! Puts into the program what was built before it: the gate component that `cargo xtask component` made, if it is newer than its
//! sources, and the verify page of `cargo xtask web build`.

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
    println!("cargo:rustc-check-cfg=cfg(gate_component, verify_page)");
    let workspace = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    component(&workspace, &out.join("gate.wasm"));
    page(&workspace, &out.join("verify.html"));
}

/// Without the page, the gateway has no `/verify`.
fn page(workspace: &Path, out: &Path) {
    let page = workspace.join("pkg/dist/page/verify.html");
    println!("cargo:rerun-if-changed={}", page.display());
    if page.exists() {
        match fs::copy(&page, out) {
            Ok(_) => println!("cargo:rustc-cfg=verify_page"),
            Err(error) => println!("cargo:warning=the verify page cannot be copied to {}: {error}", out.display()),
        }
    }
}

fn component(workspace: &Path, out: &Path) {
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
    match fs::copy(&component, out) {
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
