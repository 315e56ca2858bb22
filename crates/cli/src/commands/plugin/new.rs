//! `plugin new`: a project that builds, with a rule to start from.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use passgate_passport::plugin_signature::is_name;
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};

/// What stands for the project's name in its files.
const NAME: &str = "@NAME@";
/// What a plugin and the gate agree on.
const CONTRACT: &str = include_str!("../../../../../wit/plugin.wit");

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder, which must not be there; its name is that of the plugin
    folder: PathBuf,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    Rust,
    Js,
    Python,
}

/// A file of a project: path and text.
type File = (&'static str, &'static str);

const CASES: File = ("cases.yml", include_str!("new/cases.yml"));

/// The crate `passgate-plugin` comes along, because no registry has it.
const RUST: &[File] = &[
    CASES,
    ("Cargo.toml", include_str!("new/rust/manifest.toml")),
    (".gitignore", include_str!("new/rust/gitignore")),
    ("src/lib.rs", include_str!("new/rust/lib.rs")),
    ("wit/plugin.wit", CONTRACT),
    ("vendor/passgate-plugin/Cargo.toml", include_str!("../../../../plugin/Cargo.toml")),
    ("vendor/passgate-plugin/src/answer.rs", include_str!("../../../../plugin/src/answer.rs")),
    ("vendor/passgate-plugin/src/json.rs", include_str!("../../../../plugin/src/json.rs")),
    ("vendor/passgate-plugin/src/keys.rs", include_str!("../../../../plugin/src/keys.rs")),
    ("vendor/passgate-plugin/src/lib.rs", include_str!("../../../../plugin/src/lib.rs")),
    ("vendor/passgate-plugin/src/log.rs", include_str!("../../../../plugin/src/log.rs")),
    ("vendor/passgate-plugin/src/testing.rs", include_str!("../../../../plugin/src/testing.rs")),
    ("vendor/passgate-plugin/src/tests.rs", include_str!("../../../../plugin/src/tests.rs")),
];

const JAVASCRIPT: &[File] = &[
    CASES,
    ("package.json", include_str!("new/js/package.json")),
    ("package-lock.json", include_str!("new/js/package-lock.json")),
    (".gitignore", include_str!("new/js/gitignore")),
    ("plugin.js", include_str!("new/js/plugin.js")),
    ("plugin.test.js", include_str!("new/js/plugin.test.js")),
    ("wit/world.wit", include_str!("new/world.wit")),
    ("wit/deps/passgate-policy/plugin.wit", CONTRACT),
];

const PYTHON: &[File] = &[
    CASES,
    ("requirements.txt", include_str!("new/python/requirements.txt")),
    (".gitignore", include_str!("new/python/gitignore")),
    ("app.py", include_str!("new/python/app.py")),
    ("rule.py", include_str!("new/python/rule.py")),
    ("test_rule.py", include_str!("new/python/test_rule.py")),
    ("wit/world.wit", include_str!("new/world.wit")),
    ("wit/deps/passgate-policy/plugin.wit", CONTRACT),
];

impl Language {
    const fn files(self) -> &'static [File] {
        match self {
            Self::Rust => RUST,
            Self::Js => JAVASCRIPT,
            Self::Python => PYTHON,
        }
    }

    /// The file with the rule, and how its unit tests run.
    const fn start(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => ("src/lib.rs", "cargo test"),
            Self::Js => ("plugin.js", "npm test"),
            Self::Python => ("rule.py", "python3 -m unittest"),
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let name = name(&args.folder)?;
    // Anything that is there counts, also an empty folder.
    fs::create_dir(&args.folder).map_err(|error| {
        Failure::new(Exit::Unexpected, "file_exists", format_args!("cannot make {}: {error}", args.folder.display()))
            .hint("name a new folder in one that is there")
    })?;
    for (path, text) in args.lang.files() {
        write(&args.folder.join(path), &text.replace(NAME, &name))?;
    }
    let output = &context.output;
    let folder = args.folder.display();
    if output.is_json() {
        output.json(json!({ "folder": args.folder, "name": name }))?;
        return Ok(Exit::Ok);
    }
    output.data(&folder.to_string())?;
    let (rule, unit_tests) = args.lang.start();
    output.say(&format!(
        "\nThe rule is in {folder}/{rule}, what it should answer in {folder}/cases.yml. Next:\n\
        \x20 (cd {folder} && {unit_tests})          the rule by itself\n\
        \x20 passgate plugin test {folder}          the component, in the gate's own plugin host\n\
        \x20 passgate plugin inspect {folder}/plugin.wasm"
    ));
    Ok(Exit::Ok)
}

/// The name of the plugin: that of the folder.
fn name(folder: &Path) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    // Packages in some languages must not begin with a digit.
    if !is_name(&name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(Failure::usage(format_args!("`{name}` cannot name a plugin"))
            .hint("name the folder with 1 to 64 lower-case letters, digits and -, beginning with a letter"));
    }
    Ok(name.into_owned())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_for_plugins_comes_along_whole() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin/src");
        let mut there: Vec<String> = fs::read_dir(sources)
            .unwrap()
            .map(|entry| format!("vendor/passgate-plugin/src/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        there.sort();
        let given: Vec<&str> = RUST.iter().map(|(path, _)| *path).filter(|path| path.contains("plugin/src/")).collect();
        assert_eq!(given, there);
    }

    #[test]
    fn names_are_those_of_plugins_and_packages() {
        assert_eq!(name(Path::new("rules/opening-hours2")).unwrap(), "opening-hours2");
        for bad in ["", ".", "..", "/", "Rules", "2nd", "-a", "a_b", "ä", &"a".repeat(65)] {
            assert!(name(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
