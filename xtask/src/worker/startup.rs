//! How long the Worker takes before it can answer its first request. Cloudflare refuses one that needs more than a second.

use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{build, wrangler};
use crate::Checkout;
use crate::steps::{Outcome, Step};

/// The platform's limit, in microseconds of processor time.
const LIMIT_MICROSECONDS: u64 = 1_000_000;

/// What is read of a V8 processor profile.
#[derive(Deserialize)]
struct Profile {
    nodes: Vec<Node>,
    /// The node that ran, sample by sample.
    samples: Vec<u64>,
    /// Microseconds from the sample before, sample by sample.
    #[serde(rename = "timeDeltas")]
    time_deltas: Vec<i64>,
}

#[derive(Deserialize)]
struct Node {
    id: u64,
    #[serde(rename = "callFrame")]
    call_frame: CallFrame,
}

#[derive(Deserialize)]
struct CallFrame {
    #[serde(rename = "functionName")]
    function_name: String,
}

/// Starts the release build in the local runtime and reads how long that took.
pub(super) fn step(checkout: &Checkout) -> Step {
    let checkout = checkout.clone();
    Step::new("worker: startup", move || {
        let path = build::stage(&checkout).join("startup.cpuprofile");
        // Its printed report rounds; the profile is what counts.
        wrangler(&checkout, "check startup --outfile", &[])
            .arg(&path)
            .remedy("Read wrangler's output above: the Worker did not start.")
            .output()?;
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let busy = busy_microseconds(&text)?;
        if busy > LIMIT_MICROSECONDS {
            bail!("the Worker computes for {} ms before its first request, and Cloudflare allows 1000", busy / 1000);
        }
        Ok(Outcome::Note(format!("{}.{} ms of processor time", busy / 1000, busy % 1000 / 100)))
    })
}

/// The time in the profile that was not idle.
fn busy_microseconds(profile: &str) -> Result<u64> {
    let profile: Profile = serde_json::from_str(profile).context("wrangler wrote no processor profile")?;
    let idle = |id: u64| profile.nodes.iter().any(|node| node.id == id && node.call_frame.function_name == "(idle)");
    let spans = profile.samples.iter().zip(&profile.time_deltas).filter(|(id, _)| !idle(**id));
    Ok(spans.map(|(_, &microseconds)| u64::try_from(microseconds).unwrap_or(0)).sum())
}

#[cfg(test)]
mod tests {
    use super::busy_microseconds;

    #[test]
    fn idle_time_does_not_count_and_clocks_that_step_back_add_nothing() {
        let profile = r#"{"nodes":[
            {"id":1,"callFrame":{"functionName":"(idle)","url":""}},
            {"id":2,"callFrame":{"functionName":"fetch","url":""}}],
            "startTime":1,"endTime":2,"samples":[1,2,1,2,2],"timeDeltas":[10,200,3000,40000,-5]}"#;
        assert_eq!(busy_microseconds(profile).unwrap(), 40_200);
        busy_microseconds("{}").unwrap_err();
    }
}
