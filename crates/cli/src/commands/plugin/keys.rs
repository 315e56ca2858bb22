//! `plugin keys set|get|rm`: in force when it returns, recorded in the ledger.

use std::sync::Arc;

use clap::Subcommand;
use passgate_core::state;
use passgate_host::control::{Access, PluginKey};
use passgate_host::env::SystemEnvironment;
use passgate_passport::b64;
use serde_json::{Map, Value, json};

use crate::access;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::input;

/// Verbs of `plugin keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a key a value; the ledger shows its SHA-256
    Set {
        #[command(flatten)]
        named: Named,
        /// The value as text, or - for the bytes on stdin; a secret belongs there, because others see arguments
        #[arg(default_value = input::STDIN, allow_hyphen_values = true)]
        value: String,
    },
    /// Print the value of a key, byte by byte
    Get {
        #[command(flatten)]
        named: Named,
    },
    /// Delete a key
    Rm {
        #[command(flatten)]
        named: Named,
    },
}

/// Which key of which plugin.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The plugin's name in the configuration
    plugin: String,
    /// The key: at most 128 bytes
    key: String,
}

pub(super) async fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Set { named, value } => set(named, value, context).await,
        Command::Get { named } => get(named, context).await,
        Command::Rm { named } => {
            let key = named.checked()?;
            let access = access::open_own(&context.load()?).await?;
            let record = access.set_plugin_key(&key, None).await?;
            report("deleted", &key, &record, &access, context)
        }
    }
}

impl Named {
    fn checked(&self) -> Result<PluginKey, Failure> {
        state::plugin_row_key(&self.plugin, &self.key).map_err(Failure::usage)?;
        Ok(PluginKey { plugin: self.plugin.clone(), key: self.key.clone() })
    }
}

async fn set(named: &Named, value: &str, context: &Context) -> Outcome {
    let key = named.checked()?;
    let value = if value == input::STDIN { input::read(value)?.to_vec() } else { value.as_bytes().to_vec() };
    state::plugin_key_write(&key.plugin, &key.key, &value).map_err(Failure::usage)?;
    // A key may be there before the gate is served for the first time.
    let access = Access::open_or_create(&context.load()?, Arc::new(SystemEnvironment)).await?;
    let record = access.set_plugin_key(&key, Some(value)).await?;
    report("set", &key, &record, &access, context)
}

async fn get(named: &Named, context: &Context) -> Outcome {
    let key = named.checked()?;
    let value = access::open_own(&context.load()?).await?.plugin_key(&key).await?;
    let PluginKey { plugin, key } = key;
    let value = value.ok_or_else(|| {
        Failure::new(Exit::Unexpected, "not_found", format_args!("the plugin {plugin} has no key `{key}`"))
            .hint("write it with `passgate plugin keys set`")
    })?;
    if context.output.is_json() {
        let value = b64::encode(&value);
        context.output.json(json!({ "plugin": plugin, "key": key, "value_base64url": value }))?;
    } else {
        context.output.foreign(&value)?;
    }
    Ok(Exit::Ok)
}

/// Says what was changed, through whom, and where it is recorded.
fn report(done: &str, of: &PluginKey, record: &Map<String, Value>, access: &Access, context: &Context) -> Outcome {
    let id = record.get("attestation_id").and_then(Value::as_str).unwrap_or_default();
    let (output, through) = (&context.output, access::describe(access));
    if output.is_json() {
        let PluginKey { plugin, key } = of;
        output.json(json!({ "done": done, "plugin": plugin, "key": key, "attestation_id": id, "through": through }))?;
        return Ok(Exit::Ok);
    }
    let named = format!("{} of {}", of.key, of.plugin);
    output.members(&[(done, named), ("record", id.to_owned()), ("through", through.into_owned())])?;
    output.say("In force from the next request on.");
    Ok(Exit::Ok)
}
