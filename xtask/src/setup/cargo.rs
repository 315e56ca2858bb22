//! The programs that make a Worker of a Rust crate: `worker-build`, and `wasm-bindgen` at the version of the lock file.

use anyhow::{Context as _, Result};

use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

use super::up_to_date;

/// One program of a crate on crates.io.
struct Program {
    /// The program, and what it prints before its version, if anything.
    name: &'static str,
    package: &'static str,
    version: String,
    /// Further arguments of `cargo install`.
    arguments: &'static str,
    /// How much to optimise it: each runs for seconds and would take minutes to optimise fully.
    opt_level: &'static str,
}

/// Goes with the crate `worker` of the workspace.
const WORKER_BUILD: &str = "0.8.7";

/// What else makes them quick to build.
const CHEAP: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// Installs what is missing or has another version into `target/tools/cargo/bin`.
///
/// # Errors
/// A crate cannot be downloaded or built.
pub(super) fn ensure(checkout: &Checkout) -> Result<Outcome> {
    let programs = [
        Program {
            name: "wasm-bindgen",
            package: "wasm-bindgen-cli",
            version: locked_version(checkout, "wasm-bindgen")?,
            // Without its own lock file, which names a crate that is not served any more, and without what it downloads
            // with: it only translates here.
            arguments: "--no-default-features",
            opt_level: "1",
        },
        Program {
            name: "worker-build",
            package: "worker-build",
            version: WORKER_BUILD.to_owned(),
            arguments: "--locked",
            // It only starts other programs.
            opt_level: "0",
        },
    ];
    let missing: Vec<&Program> = programs.iter().filter(|program| !is_there(checkout, program)).collect();
    if missing.is_empty() {
        return Ok(up_to_date());
    }
    let build = checkout.tools().join("cargo-build");
    for program in &missing {
        install(checkout, program, &build)?;
    }
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    let names = missing.iter().map(|program| format!("{} {}", program.package, program.version));
    Ok(Outcome::Note(format!("installed {}", names.collect::<Vec<_>>().join(", "))))
}

fn is_there(checkout: &Checkout, program: &Program) -> bool {
    let printed = Task::new(checkout.cargo_tool(program.name), "--version", &checkout.root).output();
    printed.is_ok_and(|text| text.split_whitespace().any(|word| word == program.version))
}

fn install(checkout: &Checkout, program: &Program, build: &std::path::Path) -> Result<()> {
    let task = Task::new("cargo", "install --quiet --force", &checkout.root)
        .args(program.arguments)
        .args("--version")
        .arg(format!("={}", program.version))
        .args("--bin")
        .arg(program.name)
        .args("--root")
        .arg(checkout.tools().join("cargo"))
        .arg(program.package)
        .env("CARGO_TARGET_DIR", &build.to_string_lossy())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", program.opt_level)
        .remedy(
            "The crates come from crates.io, and worker-build needs OpenSSL's headers, on Debian: apt-get install \
             pkg-config libssl-dev",
        );
    CHEAP.iter().fold(task, |task, (name, value)| task.env(name, value)).run()
}

/// The version of `package` in Cargo.lock.
fn locked_version(checkout: &Checkout, package: &str) -> Result<String> {
    let path = checkout.root.join("Cargo.lock");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    version_in_lock(&text, package).with_context(|| format!("Cargo.lock names no `{package}`"))
}

fn version_in_lock(text: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = text.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in_lock;

    #[test]
    fn the_version_is_that_of_exactly_the_package() {
        let text =
            "[[package]]\nname = \"a-b\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"a\"\nversion = \"4.5.6\"\n";
        assert_eq!(version_in_lock(text, "a").as_deref(), Some("4.5.6"));
        assert_eq!(version_in_lock(text, "a-b").as_deref(), Some("1.2.3"));
        assert_eq!(version_in_lock(text, "b"), None);
        assert_eq!(version_in_lock("name = \"a\"\n", "a"), None);
    }
}
