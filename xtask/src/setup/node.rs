//! The npm packages that tests run against: an independent JOSE implementation.

use std::fs;

use anyhow::{Context as _, Result, bail};

use super::{fingerprint, is_stamped, read_asset, stamp, start_over, up_to_date, version_numbers};
use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

/// The oldest Node.js with `globalThis.crypto`, which the packages use.
const OLDEST: u32 = 20;

/// Makes `target/tools/npm/node_modules` hold exactly the packages of `package-lock.json`. No install script runs.
///
/// # Errors
/// Node.js or npm is missing or too old, or a download fails; each says what to install.
pub(super) fn ensure(checkout: &Checkout) -> Result<Outcome> {
    let manifest = read_asset(checkout, "package.json")?;
    let lock = read_asset(checkout, "package-lock.json")?;
    let folder = checkout.tools().join("npm");
    let node = node_version(checkout)?;
    let wanted = fingerprint(&[&manifest, &lock]);
    if is_stamped(&folder, &wanted) {
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
    stamp(&folder, &wanted)?;
    Ok(Outcome::Note(format!("installed for Node.js {node}")))
}

/// The version of `node`, such as `v20.11.1`.
fn node_version(checkout: &Checkout) -> Result<String> {
    let version = Task::new("node", "--version", &checkout.root)
        .remedy("Install Node.js 20 or newer with npm, on Debian 13: apt-get install nodejs npm")
        .output()?;
    if version_numbers(&version, 1).is_none_or(|numbers| numbers.as_slice() < [OLDEST].as_slice()) {
        bail!("node is {version}, but the tests' packages need 20 or newer: put a newer node first in PATH");
    }
    Ok(version)
}
