//! The standard library for wasm32-unknown-unknown, and its sources, from which the edge worker's own is built.
//!
//! `rustup target add` and `rustup component add` are the ordinary way. Where rustup's server cannot be reached, Debian's
//! own Rust packages can build that standard library; they are then linked as the rustup toolchain `debian`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{start_over, up_to_date};
use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

/// The one target that the edge worker, the npm package and the component are built from.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DEBIAN_PACKAGES: &str = "rustc-web cargo-web rust-web-src rust-web-llvm lld-22";

/// A Rust installation that can build for [`TARGET`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that runs now.
    Current,
    /// The rustup toolchain `debian`.
    Debian,
}

impl Toolchain {
    /// What goes between `cargo` or `rustc` and their arguments.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Debian => "+debian",
        }
    }
}

/// The toolchain to build for [`TARGET`] with.
///
/// # Errors
/// None has the target and the sources of its standard library.
pub(crate) fn toolchain(root: &Path) -> Result<Toolchain> {
    let is_whole = |&toolchain: &Toolchain| {
        target_library(toolchain, root).is_ok_and(|folder| has_core(&folder))
            && library_source(toolchain, root).is_ok_and(|folder| has_manifest(&folder))
    };
    [Toolchain::Current, Toolchain::Debian]
        .into_iter()
        .find(is_whole)
        .with_context(|| format!("no Rust toolchain here can build for {TARGET}: run `cargo xtask setup`"))
}

/// Installs the target where it is missing.
///
/// # Errors
/// Neither way works on this machine; one line says what to install.
pub(super) fn ensure(checkout: &Checkout) -> Result<Outcome> {
    let root = &checkout.root;
    if toolchain(root).is_ok() {
        return Ok(up_to_date());
    }
    let by_rustup = Task::new("rustup", "target add", root).arg(TARGET).run();
    let by_rustup = by_rustup.and_then(|()| Task::new("rustup", "component add rust-src", root).run());
    if by_rustup.is_ok() && toolchain(root).is_ok() {
        return Ok(Outcome::Note("installed by rustup".to_owned()));
    }
    if !can_install_packages(root) {
        bail!(
            "rustup could not add {TARGET} and rust-src; add them by hand (`rustup target add {TARGET}`, `rustup \
             component add rust-src`), or run this as root on Debian with rustup installed, where the packages \
             {DEBIAN_PACKAGES} take their place"
        );
    }
    eprintln!("rustup could not add {TARGET} and rust-src; building it from Debian's Rust packages");
    build_from_debian(checkout)?;
    Ok(Outcome::Note("built from Debian's packages, toolchain `debian`".to_owned()))
}

fn can_install_packages(root: &Path) -> bool {
    let is_root = Task::new("id", "-u", root).output().is_ok_and(|id| id == "0");
    let present = |program: &str| Task::new(program, "--version", root).succeeds();
    is_root && present("apt-get") && present("rustup")
}

fn build_from_debian(checkout: &Checkout) -> Result<()> {
    let root = &checkout.root;
    let remedy = "Debian 12 or newer has these packages; check apt's sources and the network.";
    Task::new("apt-get", "-qq update", root).remedy(remedy).run()?;
    Task::new("apt-get", "-qq install --yes --no-install-recommends", root)
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .remedy(remedy)
        .run()?;
    Task::new("rustup", "toolchain link debian /usr", root).run()?;

    let folder = checkout.tools().join("wasm-std");
    write_empty_crate(&folder)?;
    Task::new("cargo", "+debian build --quiet --release -Z build-std=std,panic_abort,proc_macro --target", &folder)
        .arg(TARGET)
        .arg("--target-dir")
        .arg(folder.join("target"))
        // The bitcode is what link-time optimisation of a wasm module needs; build-std is a nightly flag.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("RUSTC_BOOTSTRAP", "1")
        .remedy("The sources of the standard library come with Debian's rust-web-src, its crates from crates.io.")
        .run()?;
    let built = folder.join("target").join(TARGET).join("release").join("deps");
    copy_libraries(&built, &target_library(Toolchain::Debian, root)?)?;
    if toolchain(root)? != Toolchain::Debian {
        bail!("the toolchain `debian` was made, but another one has {TARGET} now: run `cargo xtask setup` again");
    }
    Ok(())
}

/// Where `toolchain` keeps the libraries of [`TARGET`], whether or not they are there.
fn target_library(toolchain: Toolchain, root: &Path) -> Result<PathBuf> {
    let rustc = Task::new("rustc", toolchain.argument(), root).args("--print target-libdir --target").arg(TARGET);
    rustc.output().map(PathBuf::from)
}

/// Where `toolchain` keeps the sources of the standard library, whether or not they are there; cargo looks here too.
///
/// # Errors
/// There is no such toolchain.
pub(crate) fn library_source(toolchain: Toolchain, root: &Path) -> Result<PathBuf> {
    let sysroot = Task::new("rustc", toolchain.argument(), root).args("--print sysroot").output()?;
    Ok(["lib", "rustlib", "src", "rust", "library"].iter().fold(PathBuf::from(sysroot), |path, part| path.join(part)))
}

/// Cargo builds a standard library that has this file.
fn has_manifest(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file()
}

fn has_core(folder: &Path) -> bool {
    libraries(folder).is_ok_and(|files| files.iter().any(|file| name_of(file).starts_with("libcore-")))
}

/// The name of the crate whose only purpose is to have its standard library built.
const EMPTY_CRATE: &str = "only_std";

fn write_empty_crate(folder: &Path) -> Result<()> {
    start_over(folder)?;
    let manifest = format!("[package]\nname = \"{EMPTY_CRATE}\"\nedition = \"2024\"\n\n[workspace]\n");
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src").join("lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), manifest).context("cannot write the crate that builds the standard library")
}

fn copy_libraries(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let own = format!("lib{EMPTY_CRATE}-");
    for file in libraries(from)? {
        let name = name_of(&file);
        if !name.starts_with(&own) {
            fs::copy(&file, to.join(&name)).with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    Ok(())
}

fn libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rlib") {
            found.push(path);
        }
    }
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{copy_libraries, has_core, libraries};

    #[test]
    fn only_the_standard_library_is_copied() {
        let base = std::env::temp_dir().join(format!("passgate-xtask-wasm-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        fs::create_dir_all(&from).unwrap();
        for name in ["libcore-1.rlib", "liballoc-2.rlib", "libonly_std-3.rlib", "core-1.d", "libcore-1.rmeta"] {
            fs::write(from.join(name), name).unwrap();
        }
        assert!(!has_core(&to));
        copy_libraries(&from, &to).unwrap();
        assert!(has_core(&to));
        let mut copied = libraries(&to).unwrap();
        copied.sort();
        assert_eq!(copied, [to.join("liballoc-2.rlib"), to.join("libcore-1.rlib")]);
        fs::remove_dir_all(&base).unwrap();
    }
}
