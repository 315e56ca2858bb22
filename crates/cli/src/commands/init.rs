//! `init [DIR]`: a configuration with its keys, ready to be served.

use std::path::{Path, PathBuf};

use passgate_host::config;
use passgate_host::files::{self as host_files, Existing};
use passgate_passport::key::PublicKey;
use serde_json::json;

use super::issuer::{self, IssuerFiles};
use crate::context::Context;
use crate::credentials::AGENTS_FOLDER;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, moment};

/// The schema file beside the configuration.
const SCHEMA_FILE: &str = "passgate.schema.json";
/// The attestation key, relative to the configuration.
const ATTESTATION_KEY: &str = "keys/attestation.jwk";
/// What version control must not see.
const GITIGNORE: &str =
    "# Private keys, credentials and state stay on this machine.\n/keys/\n/issuers/*.jwk\n/agents/\n/state/\n";
/// The example configuration; words in `@…@` are replaced.
const TEMPLATE: &str = include_str!("init/passgate.yml");

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; made if it is not there
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The id of the issuer that is made with it
    #[arg(long, value_name = "URL", default_value = "https://issuer.passgate.example")]
    issuer_id: String,
    /// The API behind the gate
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    upstream: String,
    /// Replace the configuration, its schema and .gitignore; keys that are there are kept
    #[arg(long)]
    force: bool,
}

/// What a new configuration says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The gate's id.
    pub(crate) gate_id: String,
    /// Where it listens.
    pub(crate) listen: String,
    /// The API behind it.
    pub(crate) upstream: String,
    /// The issuer's id.
    pub(crate) issuer_id: String,
    /// The issuer's name in files.
    pub(crate) issuer_name: String,
}

/// What was made.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// The issuer's key files.
    pub(crate) issuer: IssuerFiles,
    /// The key attestations verify with.
    pub(crate) attestation_key: PublicKey,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    issuer::check_id(&args.issuer_id)?;
    config::check_upstream(&args.upstream).map_err(|(problem, remedy)| Failure::usage(problem).hint(remedy))?;
    let settings = Settings {
        gate_id: "gate_local".to_owned(),
        listen: "127.0.0.1:8787".to_owned(),
        upstream: args.upstream.clone(),
        issuer_id: args.issuer_id.clone(),
        issuer_name: "local".to_owned(),
    };
    let layout = create(&args.dir, &settings, args.force)?;
    let output = &context.output;
    let thumbprint = layout.attestation_key.thumbprint();
    if output.is_json() {
        output.json(json!({ "config": layout.config, "issuer_id": settings.issuer_id,
            "issuer_key_file": layout.issuer.private, "attestation_key_thumbprint": thumbprint }))?;
        return Ok(Exit::Ok);
    }
    output.members(&[
        ("configuration", layout.config.display().to_string()),
        ("issuer", format!("{} ({})", settings.issuer_id, layout.issuer.private.display())),
        ("attestation key", thumbprint.to_owned()),
    ])?;
    output.say(&next_steps(&args.dir, &settings));
    Ok(Exit::Ok)
}

fn next_steps(dir: &Path, settings: &Settings) -> String {
    let enter = if dir == Path::new(".") { String::new() } else { format!("  cd {}\n", dir.display()) };
    let Settings { listen, upstream, issuer_name, .. } = settings;
    format!(
        "\nNext, with your API at {upstream}:\n{enter}\
        \x20 passgate serve\n\
        and in a second terminal:\n{enter}\
        \x20 passgate passport issue --issuer {issuer_name} --agent-id agent-1 --permission web:search\n\
        \x20 passgate call 'http://{listen}/search?q=hello'\n\
        \x20 passgate ledger verify"
    )
}

/// Makes a configuration with its keys in `dir`. Nothing is written when one of its files is there and `force` is not
/// given; with `force` the texts are replaced and the keys kept, because records and passports depend on them.
pub(crate) fn create(dir: &Path, settings: &Settings, force: bool) -> Result<Layout, Failure> {
    let config = dir.join(config::FILE_NAME);
    let attestation = dir.join(ATTESTATION_KEY);
    let issuer = IssuerFiles::of(dir, &settings.issuer_name)?;
    let schema = dir.join(SCHEMA_FILE);
    let ignore = dir.join(".gitignore");
    if !force {
        refuse_existing(&[&config, &schema, &ignore, &attestation, &issuer.private, &issuer.public])?;
    }
    let text = render(settings);
    // A configuration that would not load is not written: the settings are at fault.
    config::Config::parse(&config, &text)?;
    for folder in [AGENTS_FOLDER, "state", "keys"] {
        host_files::create_private_dir(&dir.join(folder))?;
    }
    let attestation_key = attestation_key(&attestation)?;
    if !issuer.private.exists() {
        issuer.create(force)?;
    }
    let existing = files::existing(force);
    host_files::write_public(&schema, format!("{:#}\n", config::schema()).as_bytes(), existing)?;
    host_files::write_public(&ignore, GITIGNORE.as_bytes(), existing)?;
    host_files::write_public(&config, text.as_bytes(), existing)?;
    Ok(Layout { config, issuer, attestation_key })
}

fn refuse_existing(paths: &[&PathBuf]) -> Result<(), Failure> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => {
            Err(Failure::new(Exit::Unexpected, "file_exists", format_args!("{} is there already", path.display()))
                .hint("choose another folder; --force replaces the configuration and keeps the keys"))
        }
        None => Ok(()),
    }
}

fn attestation_key(path: &Path) -> Result<PublicKey, Failure> {
    if path.exists() {
        return Ok(files::read_private_key(path)?.public().clone());
    }
    let key = moment::new_key()?;
    host_files::write_key(path, &key, Existing::Keep)?;
    Ok(key.public().clone())
}

/// Texts go in as JSON strings, which are YAML strings too.
fn render(settings: &Settings) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    TEMPLATE
        .replace("@GATE_ID@", &quoted(&settings.gate_id))
        .replace("@PUBLIC_URL@", &quoted(&format!("http://{}", settings.listen)))
        .replace("@LISTEN@", &quoted(&settings.listen))
        .replace("@UPSTREAM@", &quoted(&settings.upstream))
        .replace("@ISSUER_ID@", &quoted(&settings.issuer_id))
        .replace("@ISSUER_KEYS@", &quoted(&format!("{}/{}.jwks.json", issuer::ISSUERS_FOLDER, settings.issuer_name)))
        .replace("@ATTESTATION_KEY@", &quoted(ATTESTATION_KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            gate_id: "gate_local".into(),
            listen: "127.0.0.1:8787".into(),
            upstream: "http://127.0.0.1:9000".into(),
            issuer_id: "https://issuer.passgate.example".into(),
            issuer_name: "local".into(),
        }
    }

    #[test]
    fn what_is_made_loads_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let layout = create(folder.path(), &settings(), false).unwrap();
        let text = std::fs::read_to_string(&layout.config).unwrap();
        assert_eq!(text.lines().next(), Some(config::SCHEMA_LINE));
        assert!(!text.contains('@'), "{text}");
        let loaded = config::Config::load(&layout.config).unwrap();
        assert_eq!(loaded.gate.trust.issuers().count(), 1);
        assert_eq!(loaded.gate.routes.len(), 4);
    }

    #[test]
    fn nothing_is_overwritten_and_keys_never() {
        let folder = tempfile::tempdir().unwrap();
        let first = create(folder.path(), &settings(), false).unwrap();
        let error = create(folder.path(), &settings(), false).unwrap_err();
        assert_eq!((error.exit, error.code), (Exit::Unexpected, "file_exists"));
        let changed = Settings { upstream: "http://127.0.0.1:9001".into(), ..settings() };
        let second = create(folder.path(), &changed, true).unwrap();
        assert_eq!(first.attestation_key, second.attestation_key);
        assert!(std::fs::read_to_string(&second.config).unwrap().contains(":9001"));
        let unusable = Settings { gate_id: "x".into(), ..changed };
        std::fs::remove_file(&second.config).unwrap();
        assert!(create(folder.path(), &unusable, false).is_err(), "the keys are there");
    }
}
