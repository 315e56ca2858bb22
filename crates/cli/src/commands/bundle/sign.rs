//! `bundle sign`.

use std::path::{Path, PathBuf};

use passgate_api::edge::{self, EdgeBundle, EdgeDoc, EdgeUpstreamDoc, VerifiedBundle};
use passgate_host::config::Loaded;
use passgate_host::files as host_files;

use super::report;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{files, moment};

const SECONDS_PER_DAY: i64 = 86_400;

/// Arguments of `bundle sign`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The private JWK that the gate's PASSGATE_BUNDLE_KEYS lists the public half of
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file for the bundle
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let bundle = signed(&context.load()?, &args.key)?;
    let line = format!("{}\n", bundle.jws());
    host_files::write_public(&args.out, line.as_bytes(), files::existing(args.force))?;
    report(&bundle, &[("path", args.out.display().to_string().into())], context)?;
    Ok(Exit::Ok)
}

/// The configuration's policy, signed now with the key in the file.
pub(super) fn signed(loaded: &Loaded, key: &Path) -> Result<VerifiedBundle, Failure> {
    let key = files::read_private_key(key)?;
    let now = moment::now().seconds();
    let bundle = bundle(loaded, now)?;
    let refused = |error: edge::BundleError| Failure::config(error);
    bundle.check().map_err(refused)?;
    // A gate reads it in the same way, and says here what it would say there.
    edge::verify(&bundle.sign(&key), &[key.public().clone()], now).map_err(refused)
}

fn bundle(loaded: &Loaded, now: i64) -> Result<EdgeBundle, Failure> {
    let config = &loaded.config;
    if config.upstream.ca_file.is_some() {
        return Err(Failure::config("upstream.ca_file: the edge trusts public certificate authorities alone")
            .hint("remove it, and give the upstream a certificate of a public authority"));
    }
    if !config.plugins.policies.is_empty() {
        return Err(Failure::config(
            "plugins.policies: there are no plugins at the edge, so what they refuse would pass there",
        )
        .hint("serve this gate natively, or take the plugins out of the edge's configuration"));
    }
    Ok(EdgeBundle {
        iat: now,
        exp: now.saturating_add(i64::from(config.edge.max_age_days).saturating_mul(SECONDS_PER_DAY)),
        policy: loaded.bundle.clone(),
        edge: EdgeDoc {
            upstream: EdgeUpstreamDoc {
                url: canonical(&config.upstream.url),
                response_timeout_ms: config.upstream.response_timeout_ms,
                idle_timeout_ms: config.upstream.idle_timeout_ms,
                max_response_bytes: config.upstream.max_response_bytes,
            },
            max_body_bytes: config.server.max_body_bytes,
            decision_timeout_ms: config.server.decision_timeout_ms,
            admission: config.edge.admission,
        },
    })
}

/// The upstream in its one spelling. The configuration was checked, so it is an origin in some spelling.
fn canonical(url: &str) -> String {
    let lower = url.strip_suffix('/').unwrap_or(url).to_ascii_lowercase();
    let default_port = if lower.starts_with("http://") { ":80" } else { ":443" };
    lower.strip_suffix(default_port).map(str::to_owned).unwrap_or(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_has_one_spelling() {
        for (written, canonical_form) in [
            ("https://API.example/", "https://api.example"),
            ("https://api.example:443", "https://api.example"),
            ("http://api.example:80/", "http://api.example"),
            ("http://api.example:443", "http://api.example:443"),
            ("http://[2001:DB8::1]:9000", "http://[2001:db8::1]:9000"),
            ("http://[2001:db8::80]", "http://[2001:db8::80]"),
        ] {
            assert_eq!(canonical(written), canonical_form);
            assert!(passgate_api::origin::parse(canonical_form).is_some(), "{canonical_form}");
        }
    }
}
