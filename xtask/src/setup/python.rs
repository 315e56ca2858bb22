//! The Python packages that tests run against: an HTTP API nobody here wrote, and independent signers and verifiers.

use anyhow::{Result, bail};

use super::{fingerprint, is_stamped, read_asset, stamp, start_over, up_to_date, version_numbers};
use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

/// The oldest Python that every pinned package accepts.
const OLDEST: [u32; 2] = [3, 11];

/// Makes `target/tools/venv` hold exactly the packages of `requirements.txt`.
///
/// # Errors
/// Python, its venv module or its pip is missing or too old, or a download fails; each says what to install.
pub(super) fn ensure(checkout: &Checkout) -> Result<Outcome> {
    let requirements = read_asset(checkout, "requirements.txt")?;
    let venv = checkout.tools().join("venv");
    let python = venv.join("bin").join("python");
    let interpreter = interpreter(checkout)?;
    let wanted = fingerprint(&[&requirements, interpreter.as_bytes()]);
    // The interpreter a venv was made with may have been removed since.
    if is_stamped(&venv, &wanted) && Task::new(&python, "--version", &checkout.root).succeeds() {
        return Ok(up_to_date());
    }
    if !Task::new("python3", "-c", &checkout.root).arg("import ensurepip, venv").succeeds() {
        bail!("Python's venv module or pip is missing; install it, on Debian: apt-get install python3-venv");
    }
    start_over(&venv)?;
    Task::new("python3", "-m venv", &checkout.root)
        .arg(&venv)
        .remedy("Install Python's venv module and pip, on Debian: apt-get install python3-venv")
        .run()?;
    let pip = "-m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
               --only-binary :all: --requirement xtask/assets/requirements.txt";
    Task::new(&python, pip, &checkout.root)
        .remedy("The packages come from PyPI: check that pip reaches it, then run `cargo xtask setup` again.")
        .run()?;
    stamp(&venv, &wanted)?;
    Ok(Outcome::Note(format!("installed for Python {interpreter}")))
}

/// The version of `python3`, such as `3.11`.
fn interpreter(checkout: &Checkout) -> Result<String> {
    let program = "import sys; print('%d.%d' % sys.version_info[:2])";
    let version = Task::new("python3", "-c", &checkout.root)
        .arg(program)
        .remedy("Install Python 3.11 or newer, on Debian: apt-get install python3 python3-venv")
        .output()?;
    if version_numbers(&version, 2).is_none_or(|numbers| numbers.as_slice() < OLDEST.as_slice()) {
        bail!("python3 is {version}, but the tests' packages need 3.11 or newer: put a newer python3 first in PATH");
    }
    Ok(version)
}
