//! The gate component in wasmtime, under the driver of the API crate, over the store in memory.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use passgate_api::driver::{Driver, Misjudged};
use passgate_core::state::Conduct;
use passgate_core::time::UnixMillis;
use passgate_host::evaluator::{Engine, Evaluator, builtin};
use passgate_host::status_lists::Snapshot;
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::json;
use passgate_store::State;

use super::native::{answered, memory};
use super::{Implementation, StepResult, attestation_key, evaluator, gate_and_writer, payload, seed, stamp};
use crate::case::Case;
use crate::traffic::{headers, raw};

/// The component that the gateway carries.
#[derive(Debug, Default)]
pub struct Wasmtime;

/// The component that this program carries, as the gateway does.
///
/// # Errors
/// When it carries none.
pub fn component() -> Result<Evaluator> {
    builtin().context("build the component first: cargo xtask component")
}

#[async_trait]
impl Implementation for Wasmtime {
    fn name(&self) -> &'static str {
        "component in wasmtime"
    }

    async fn run(&mut self, case: &Case) -> Result<Vec<StepResult>> {
        let store = Arc::new(memory(case)?);
        let (gate, writer) = gate_and_writer(case)?;
        let mut minting = case.policy.compile(evaluator())?;
        minting.mint_with(vec![attestation_key().public().clone()]);
        let mut snapshot = Snapshot::from(minting);
        for (uri, token) in &case.status_lists {
            snapshot.take_in(uri, token, UnixMillis(case.now_ms));
        }
        let snapshot = Arc::new(snapshot);
        let start = stamp(case.now_ms, 0);
        let component = component()?.named(evaluator());
        let engine =
            Engine::component(component, json::canonical(&case.policy)?, ChallengeKey::new([9; 32]), start, 1 << 20)?;
        let driver = Driver::start(Arc::clone(&store) as Arc<dyn State>, writer, start).await?;
        let mut results = Vec::new();
        for (step, number) in case.steps.iter().zip(1..) {
            let stamp = stamp(step.at_ms, number);
            if let Some(change) = step.change() {
                let entry = change.carry_out(&driver, stamp).await?;
                results.push(StepResult { attestation: payload(&entry.jws)?, ..StepResult::default() });
                continue;
            }
            let request = step.request.as_ref().context("a step is a change or a request")?;
            let headers = headers(request);
            let (mut conduct, seed) = (Conduct::default(), seed(stamp));
            let answer = loop {
                let answer = match engine.judge(&snapshot, &raw(request, &headers), stamp.now, conduct).await {
                    Ok(judged) => {
                        let (judged, _) = judged.restrict(Vec::new(), request.body.as_bytes(), &seed)?;
                        driver.admit(judged.into_case(), stamp).await
                    }
                    Err(refusal) => Ok(driver.record_refusal(&refusal, stamp).await),
                };
                match answer {
                    Ok(answer) => break answer,
                    Err(Misjudged(as_it_is)) => {
                        ensure!(
                            conduct != as_it_is,
                            "the request is judged as what it is, and refused as what it is not"
                        );
                        conduct = as_it_is;
                    }
                }
            };
            results.push(answered(&gate, &answer, store.as_ref()).await?);
        }
        Ok(results)
    }
}
