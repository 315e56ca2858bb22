//! `ledger export`.

use std::path::{Path, PathBuf};

use passgate_host::control::{Access, ExportFormat, Query};
use tokio::fs::OpenOptions;

use super::FilterArgs;
use crate::access::{self, GateArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::input;

/// Arguments of `ledger export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    gate: GateArgs,
    /// Records as signed with a signed head, one object a line; can be verified [default]
    #[arg(long, conflicts_with = "csv")]
    jsonl: bool,
    /// A table
    #[arg(long)]
    csv: bool,
    /// The file to write, or - for stdout [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "output")]
    force: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Outcome {
    let access = access::open(&args.gate, context).await?;
    let format = if args.csv { ExportFormat::Csv } else { ExportFormat::Jsonl };
    let query = args.filter.to_query();
    match args.output.as_ref().filter(|path| path.as_os_str() != input::STDIN) {
        Some(path) => {
            to_file(&access, format, &query, path, args.force).await?;
            context.output.say(&format!("written: {}", path.display()));
        }
        None => access.export(format, &query, &mut tokio::io::stdout()).await?,
    }
    Ok(Exit::Ok)
}

/// Writes beside the file first: a broken-off export never stands under its name.
async fn to_file(
    access: &Access,
    format: ExportFormat,
    query: &Query,
    path: &Path,
    force: bool,
) -> Result<(), Failure> {
    if !force && path.exists() {
        return Err(Failure::new(Exit::Unexpected, "file_exists", format_args!("{} is there already", path.display()))
            .hint("use --force to replace it"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = write(access, format, query, &part).await;
    if let Err(failure) = written {
        // What is left cannot be helped: the first failure is the one to tell.
        let _left = tokio::fs::remove_file(&part).await;
        return Err(failure);
    }
    tokio::fs::rename(&part, path).await.map_err(|error| Failure::io("write", path, &error))
}

async fn write(access: &Access, format: ExportFormat, query: &Query, part: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::io("write", part, &error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(part).await.map_err(failed)?;
    access.export(format, query, &mut file).await?;
    file.sync_all().await.map_err(failed)
}
