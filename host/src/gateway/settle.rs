//! Step 9: what became of an allowed request, as a second record.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use passgate_api::driver::{Answer, Misjudged};
use passgate_core::attest::{OutcomeRecord, OutcomeResult, ResponseRecord, sha256_label};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Core;
use super::handler::Slot;
use crate::http::upstream::{BodyEnd, BodyReport, UpstreamError};

/// How long the record of an outcome may take. Nobody waits for it, so it gets more than a decision.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a decision that is late is still waited for. A store that takes longer is not coming back in time to tell.
const LATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for a decision that its caller no longer waits for: an allow is recorded as not forwarded, which gives back what
/// it charged.
pub(super) async fn carry_on(
    core: Arc<Core>,
    decision: impl Future<Output = Result<Answer, Misjudged>>,
    request_bytes: usize,
    slot: Arc<Slot>,
) {
    match tokio::time::timeout(LATE_TIMEOUT, decision).await {
        Ok(Ok(Answer::Forward(allowed))) => {
            let decision_id = allowed.attestation_id;
            tracing::warn!(decision_id, "an allow came too late to be acted on");
            Settlement::open(&core, decision_id, request_bytes, slot).not_forwarded().await;
        }
        // A pass that nobody was given cannot be redeemed.
        Ok(Ok(Answer::Mint(_) | Answer::Refuse(_)) | Err(Misjudged(_))) => {}
        Err(_) => tracing::error!("a decision never came; if it was an allow, it is recorded without an outcome"),
    }
}

/// An allowed request whose outcome is still to be recorded. Dropped, it is recorded as aborted, so that a failure on
/// the way leaves no allow without an outcome.
pub(super) struct Settlement {
    open: Option<Open>,
}

struct Open {
    core: Arc<Core>,
    decision_id: String,
    started: Instant,
    request_bytes: u64,
    status: Option<u16>,
    response: Option<ResponseRecord>,
    slot: Arc<Slot>,
}

impl Settlement {
    pub(super) fn open(core: &Arc<Core>, decision_id: String, request_bytes: usize, slot: Arc<Slot>) -> Self {
        let open = Open {
            core: Arc::clone(core),
            decision_id,
            started: Instant::now(),
            request_bytes: u64::try_from(request_bytes).unwrap_or(u64::MAX),
            status: None,
            response: None,
            slot,
        };
        Self { open: Some(open) }
    }

    /// There is a response, with this status.
    pub(super) fn answered(&mut self, status: u16) {
        if let Some(open) = &mut self.open {
            open.status = Some(status);
        }
    }

    /// This was found in the response.
    pub(super) fn looked_at(&mut self, response: ResponseRecord) {
        if let Some(open) = &mut self.open {
            open.response = Some(response);
        }
    }

    /// Records that the response is not passed on.
    pub(super) fn withheld(mut self) {
        if let Some(open) = self.open.take() {
            tokio::spawn(open.record(OutcomeResult::Withheld, None));
        }
    }

    /// Records the outcome when the body has ended, failed or been dropped.
    pub(super) fn follow(mut self, report: oneshot::Receiver<BodyReport>) {
        tokio::spawn(async move {
            // The body reports in any case; without a report the drop below says that it broke off.
            if let Ok(report) = report.await
                && let Some(open) = self.open.take()
            {
                open.record(result_of(report.end), Some(&report)).await;
            }
        });
    }

    /// Records that nothing was sent.
    async fn not_forwarded(mut self) {
        if let Some(open) = self.open.take() {
            open.record(OutcomeResult::NotForwarded, None).await;
        }
    }

    /// Records that there was no response.
    pub(super) fn failed(mut self, error: &UpstreamError) {
        let result = match error {
            UpstreamError::Unsendable => OutcomeResult::NotForwarded,
            _ if !error.may_have_arrived() => OutcomeResult::Unreachable,
            UpstreamError::HeadTimeout => OutcomeResult::TimedOut,
            UpstreamError::CutOff(end) => result_of(*end),
            _ => OutcomeResult::Aborted,
        };
        if let Some(open) = self.open.take() {
            tokio::spawn(open.record(result, None));
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        // Outside a runtime the process is ending.
        if let (Some(open), Ok(runtime)) = (self.open.take(), Handle::try_current()) {
            runtime.spawn(open.record(OutcomeResult::Aborted, None));
        }
    }
}

fn result_of(end: BodyEnd) -> OutcomeResult {
    match end {
        BodyEnd::Complete => OutcomeResult::Completed,
        BodyEnd::IdleTimeout | BodyEnd::TotalTimeout => OutcomeResult::TimedOut,
        BodyEnd::TooLarge | BodyEnd::UpstreamFailed | BodyEnd::Dropped => OutcomeResult::Aborted,
    }
}

impl Open {
    async fn record(mut self, result: OutcomeResult, report: Option<&BodyReport>) {
        let outcome = OutcomeRecord {
            budget: None,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            request_bytes: self.request_bytes,
            response: self.response.take(),
            response_bytes: report.map_or(0, |report| report.bytes),
            response_sha256: report
                .filter(|report| report.end == BodyEnd::Complete)
                .map(|report| sha256_label(&report.sha256)),
            result,
            status: self.status,
        };
        let Self { core, decision_id, slot, .. } = self;
        let before = core.health.writes();
        match settle(&core, decision_id.clone(), outcome).await {
            // A store that decides too late does not work well because it also settles late.
            Ok(()) if result == OutcomeResult::NotForwarded => {}
            Ok(()) => core.health.store_write(true),
            Err(error) => {
                core.metrics.append_failed();
                core.health.slow_write_failed(before);
                tracing::error!(error, decision_id, "the outcome of an allowed request could not be recorded");
            }
        }
        drop(slot);
    }
}

async fn settle(core: &Core, decision_id: String, outcome: OutcomeRecord) -> Result<(), String> {
    let stamp = core.env.stamp().map_err(|error| error.to_string())?;
    let settled = tokio::time::timeout(SETTLE_TIMEOUT, core.driver.settle(decision_id, outcome, stamp));
    match settled.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the store did not answer in time".to_owned()),
    }
}
