//! `plugin build`: a project becomes a component, by the tools of its language.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;
use wit_component::ComponentEncoder;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;

/// Where every project has its component.
const COMPONENT: &str = "plugin.wasm";
/// The target without an operating system: what is built for it cannot import one.
const TARGET: &str = "wasm32-unknown-unknown";

/// Arguments of `plugin build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project: a folder with a Cargo.toml, a package.json or a requirements.txt
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let component = build(&args.folder, &context.output)?;
    if context.output.is_json() {
        context.output.json(json!({ "component": component }))?;
    } else {
        context.output.data(&component.display().to_string())?;
    }
    Ok(Exit::Ok)
}

/// Builds the project in `folder` and gives the path of its component.
pub(super) fn build(folder: &Path, output: &Output) -> Result<PathBuf, Failure> {
    let component = folder.join(COMPONENT);
    let project = Project { folder, output };
    match fs::remove_file(&component) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Failure::io("remove", &component, &error)),
        _ => {}
    }
    if project.has("Cargo.toml") {
        project.rust(&component)?;
    } else if project.has("package.json") {
        project.javascript()?;
    } else if project.has("requirements.txt") {
        project.python()?;
    } else {
        let message = format!("{} has no Cargo.toml, package.json or requirements.txt", folder.display());
        return Err(Failure::usage(message).hint("`passgate plugin new` makes a project"));
    }
    if !component.is_file() {
        let message = format!("the build made no {}", component.display());
        return Err(Failure::unexpected(message).hint("let the project's build write plugin.wasm"));
    }
    Ok(component)
}

struct Project<'a> {
    folder: &'a Path,
    output: &'a Output,
}

impl Project<'_> {
    fn has(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    /// Cargo makes a core module, which says what it imports and exports; a component is made from that.
    fn rust(&self, component: &Path) -> Result<(), Failure> {
        let arguments = format!("build --release --target {TARGET} --message-format json-render-diagnostics");
        let messages = self.run("cargo", &arguments, &format!("`rustup target add {TARGET}` brings the target"))?;
        let module = self.module(&messages)?;
        let bytes = fs::read(&module).map_err(|error| Failure::io("read", &module, &error))?;
        self.output.say(&format!("making the component {}", component.display()));
        let encode = |bytes: &[u8]| ComponentEncoder::default().validate(true).module(bytes)?.encode();
        let encoded = encode(&bytes).map_err(|error| {
            Failure::unexpected(format_args!("{} does not become a component: {error:#}", module.display()))
                .hint("`passgate_plugin::export!(YourPlugin);` makes its exports")
        })?;
        fs::write(component, encoded).map_err(|error| Failure::io("write", component, &error))
    }

    /// The module that Cargo says it made from this package.
    fn module(&self, messages: &[u8]) -> Result<PathBuf, Failure> {
        let manifest = self.folder.join("Cargo.toml");
        let manifest = manifest.canonicalize().map_err(|error| Failure::io("find", &manifest, &error))?;
        let messages = messages.split(|byte| *byte == b'\n');
        let artifacts = messages.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
        let is_module = |path: &PathBuf| path.extension() == Some(OsStr::new("wasm"));
        let mut modules =
            artifacts.filter(|made| made.manifest_path == manifest).flat_map(|made| made.filenames).filter(is_module);
        match (modules.next(), modules.next()) {
            (Some(module), None) => Ok(module),
            _ => Err(Failure::unexpected("the package does not make exactly one module")
                .hint("say `crate-type = [\"cdylib\"]` under `[lib]` of its Cargo.toml")),
        }
    }

    fn javascript(&self) -> Result<(), Failure> {
        let install = "install --ignore-scripts --no-audit --no-fund --loglevel=error";
        self.run("npm", install, "npm must reach its registry; Node.js 20 or newer has it")?;
        self.run("npm", "run --silent build", "mend what the build says")?;
        Ok(())
    }

    fn python(&self) -> Result<(), Failure> {
        if !self.has(".venv/bin/python") {
            self.run("python3", "-m venv .venv", "Python 3.10 or newer with venv is needed")?;
        }
        let install = "-m pip install --quiet --disable-pip-version-check --requirement requirements.txt";
        self.run(".venv/bin/python", install, "pip must reach PyPI")?;
        let build = "--quiet --wit-path wit componentize --stub-wasi --output plugin.wasm app";
        self.run(".venv/bin/componentize-py", build, "mend what the build says")?;
        Ok(())
    }

    /// Runs a program in the folder, its talk on stderr, and gives what it wrote on stdout.
    fn run(&self, program: &str, arguments: &str, hint: &str) -> Result<Vec<u8>, Failure> {
        self.output.say(&format!("in {}: {program} {arguments}", self.folder.display()));
        let failed = |why: String| Failure::unexpected(format_args!("{program}: {why}")).hint(hint);
        let path = if program.starts_with('.') { absolute(self.folder)?.join(program) } else { program.into() };
        let ended = Command::new(path)
            .args(arguments.split_whitespace())
            .current_dir(self.folder)
            .env("VIRTUAL_ENV", absolute(self.folder)?.join(".venv"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if ended.status.success() {
            return Ok(ended.stdout);
        }
        if program != "cargo" {
            self.output.say(String::from_utf8_lossy(&ended.stdout).trim_end());
        }
        Err(failed(ended.status.to_string()))
    }
}

/// A line that Cargo writes for each file it made; the others do not read as one.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    filenames: Vec<PathBuf>,
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::io("find", path, &error))
}
