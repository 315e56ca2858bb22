//! The entries of the package: one file each, for every runtime that loads WebAssembly in its own way.

use anyhow::Result;

use super::dist;
use super::modules::{self, Build};
use crate::Checkout;
use crate::process::Task;
use crate::steps::Outcome;

/// Source in `pkg/ts/entry`, build, what it exports from `pkg/ts`, file in `pkg/dist`, and how it is made.
type Entry = (&'static str, Build, &'static str, &'static str, &'static str);

const ESM: &str = "--format=esm --platform=neutral";
const NODE: &str = "--format=esm --platform=node";
const CJS: &str = "--format=cjs --platform=node";
/// The module stays a file that is imported.
const WORKERD: &str = "--format=esm --platform=neutral --external:*.wasm";
/// The module stands in the file.
const EMBEDDED_ESM: &str = "--format=esm --platform=neutral --loader:.wasm=binary";
const EMBEDDED_CJS: &str = "--format=cjs --platform=node --loader:.wasm=binary";

const ENTRIES: &[Entry] = &[
    ("node", Build::Full, "index", "esm/index.js", NODE),
    ("node", Build::Full, "index", "cjs/index.js", CJS),
    ("node", Build::Verifier, "verify", "esm/verify.js", NODE),
    ("node", Build::Verifier, "verify", "cjs/verify.js", CJS),
    ("web", Build::Full, "index", "web/index.js", ESM),
    ("web", Build::Verifier, "verify", "web/verify.js", ESM),
    ("workerd", Build::Full, "index", "workerd/index.js", WORKERD),
    ("workerd", Build::Verifier, "verify", "workerd/verify.js", WORKERD),
    ("slim", Build::Full, "index", "esm/slim.js", ESM),
    ("slim", Build::Full, "index", "cjs/slim.js", CJS),
    ("base64", Build::Full, "index", "esm/base64.js", EMBEDDED_ESM),
    ("base64", Build::Full, "index", "cjs/base64.js", EMBEDDED_CJS),
];

/// Makes them.
///
/// # Errors
/// esbuild fails or is missing.
pub(super) fn entries(checkout: &Checkout) -> Result<Outcome> {
    for entry in ENTRIES {
        bundle(checkout, entry)?;
    }
    Ok(Outcome::Note(format!("{} files", ENTRIES.len())))
}

fn bundle(checkout: &Checkout, &(source, build, api, file, options): &Entry) -> Result<()> {
    let root = &checkout.root;
    let quoted = |name: &str, value: &str| format!("--define:{name}=\"{value}\"");
    let alias = |name: &str, path: String| format!("--alias:{name}={path}");
    let beside = format!("../{}.wasm", build.name());
    let task = Task::new(checkout.npm_tool("esbuild"), "--bundle --target=es2022 --log-level=warning", root)
        .args(options)
        .arg(alias("passgate-glue", modules::glue(checkout, build).display().to_string()))
        .arg(alias("passgate-api", root.join("pkg/ts").join(format!("{api}.ts")).display().to_string()))
        .arg(alias("passgate-wasm", beside.clone()))
        .arg(alias("passgate-bytes", modules::module(checkout, build).display().to_string()))
        .arg(quoted("PASSGATE_WASM", &beside))
        .arg(quoted("PASSGATE_DIGEST", &modules::digest(checkout, build)?))
        .arg(format!("--outfile={}", dist(checkout).join(file).display()))
        .arg(format!("pkg/ts/entry/{source}.ts"))
        .remedy("Mend what esbuild names above, in pkg/ts.");
    // CommonJS has no `import.meta`.
    let task = if options.contains("--format=cjs") {
        task.arg("--define:import.meta.url=__passgate_url")
            .arg("--banner:js=const __passgate_url = require('node:url').pathToFileURL(__filename).href;")
    } else {
        task
    };
    checkout.with_node(task).run()
}
