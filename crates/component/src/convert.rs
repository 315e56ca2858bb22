//! Records of the WIT from and to the values of core, member by member.

use passgate_api::driver::{ApprovalNotice, PluginRefusal, Refused};
use passgate_core::approval::RequestState;
use passgate_core::attest::{BudgetOutcome, DecisionKind, Draft, Link, OutcomeResult, Stamp};
use passgate_core::gate::Anomaly;
use passgate_core::money::MicroUsd;
use passgate_core::pipeline::RateView;
use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use passgate_core::reason::Reason;
use passgate_core::review::{Review, ReviewOutcome};
use passgate_core::state::{
    Admission, Charge, Conduct, Counted, Demand, IdempotencyAnswer, NonceAnswer, PassAnswer, RateAnswer, RateWindow,
    Risk, RiskAnswer, RiskClaim, Scored, SessionAnswer, SessionClaim, SpendAnswer, SpendMode, SpendPeriod, Subject,
    Write,
};
use passgate_core::time::UnixMillis;
use passgate_passport::action_pass::{self, ActionPass};
use passgate_passport::jwe::Seed;

use crate::bindings::exports::passgate::gate::evaluator as wit;

pub(crate) fn field((name, value): (&'static str, String)) -> (String, String) {
    (name.to_owned(), value)
}

/// # Errors
///
/// When `random` is not 10 bytes.
pub(crate) fn stamp(now: u64, random: &[u8]) -> Result<Stamp, String> {
    let random = random.try_into().map_err(|_| format!("{} random bytes; give 10", random.len()))?;
    Ok(Stamp { now: UnixMillis(now), random })
}

/// # Errors
///
/// When `random` is not 32 bytes.
pub(crate) fn seed(random: Vec<u8>) -> Result<Seed, String> {
    let bytes = random.as_slice().try_into().map(Seed::new);
    bytes.map_err(|_| format!("{} random bytes; give {}", random.len(), Seed::BYTES))
}

/// # Errors
///
/// When `bytes` is not 32 bytes.
pub(crate) fn digest(bytes: &[u8]) -> Result<[u8; 32], String> {
    bytes.try_into().map_err(|_| format!("a SHA-256 of {} bytes; it has 32", bytes.len()))
}

/// # Errors
///
/// When the random bits or the digest have another length than theirs.
pub(crate) fn place(place: &wit::Place) -> Result<(Link, Stamp), String> {
    let prev = place.prev.as_deref().map(digest).transpose()?;
    Ok((Link { seq: place.seq, prev }, stamp(place.now, &place.random)?))
}

pub(crate) fn draft(draft: &Draft, kid: &str) -> wit::Draft {
    wit::Draft { attestation_id: draft.index().attestation_id.clone(), signing_input: draft.signing_input(kid) }
}

/// # Errors
///
/// What no gate would redeem.
pub(crate) fn mint_draft(pass: &ActionPass, kid: &str) -> Result<wit::MintDraft, String> {
    let signing_input = action_pass::signing_input(kid, pass).map_err(|error| error.to_string())?;
    Ok(wit::MintDraft { signing_input, action_sha256: pass.action.label(), expires_at: pass.exp })
}

pub(crate) fn verdict(kind: DecisionKind) -> wit::Verdict {
    match kind {
        DecisionKind::Allow => wit::Verdict::Allow,
        DecisionKind::Deny => wit::Verdict::Deny,
        DecisionKind::StepUp => wit::Verdict::StepUp,
    }
}

pub(crate) fn refused(refused: Refused) -> wit::Refused {
    let plugin = refused.plugin.map(|PluginRefusal { name, reason, roles }| wit::PluginRefusal { name, reason, roles });
    wit::Refused {
        verdict: verdict(refused.decision),
        reason_code: refused.reason.code().to_owned(),
        detail: refused.detail,
        agent_id: refused.agent_id,
        action: refused.action,
        plugin,
        approval: refused.approval.map(approval_notice),
    }
}

/// How a request for approval stands.
fn request_state(state: wit::ApprovalState) -> RequestState {
    match state {
        wit::ApprovalState::Pending => RequestState::Pending,
        wit::ApprovalState::Approved => RequestState::Approved,
        wit::ApprovalState::Denied => RequestState::Denied,
        wit::ApprovalState::Withdrawn => RequestState::Withdrawn,
        wit::ApprovalState::Used => RequestState::Used,
    }
}

fn approval_notice(notice: ApprovalNotice) -> wit::ApprovalNotice {
    let state = match notice.state {
        RequestState::Pending => wit::ApprovalState::Pending,
        RequestState::Approved => wit::ApprovalState::Approved,
        RequestState::Denied => wit::ApprovalState::Denied,
        RequestState::Withdrawn => wit::ApprovalState::Withdrawn,
        RequestState::Used => wit::ApprovalState::Used,
    };
    wit::ApprovalNotice { request_id: notice.request_id, state, expires_at: notice.expires_at }
}

fn into_approval_notice(notice: wit::ApprovalNotice) -> ApprovalNotice {
    let state = request_state(notice.state);
    ApprovalNotice { expires_at: notice.expires_at, request_id: notice.request_id, state }
}

/// A reason that this release does not know is answered as a fault, and so is an allow, which is no refusal.
pub(crate) fn into_refused(refused: wit::Refused, rates: Vec<wit::Rate>) -> Refused {
    let reason = Reason::from_code(&refused.reason_code).unwrap_or(Reason::InternalError);
    let rates: Vec<RateView> = rates.into_iter().map(rate_view).collect();
    let plugin = refused.plugin.map(|wit::PluginRefusal { name, reason, roles }| PluginRefusal { name, reason, roles });
    Refused {
        decision: if refused.verdict == wit::Verdict::StepUp { DecisionKind::StepUp } else { DecisionKind::Deny },
        reason,
        detail: refused.detail,
        attestation_id: None,
        approval: refused.approval.map(into_approval_notice),
        retry_after_seconds: passgate_core::pipeline::retry_after_seconds(&rates),
        rates,
        agent_id: refused.agent_id,
        action: refused.action,
        plugin,
    }
}

pub(crate) fn rate(view: RateView) -> wit::Rate {
    wit::Rate { per: view.per, limit: view.limit, window: window(view.window), answer: rate_answer(view.answer) }
}

pub(crate) fn rate_view(rate: wit::Rate) -> RateView {
    let window = match rate.window {
        wit::RateWindow::Minute => RateWindow::Minute,
        wit::RateWindow::Hour => RateWindow::Hour,
        wit::RateWindow::Day => RateWindow::Day,
    };
    RateView { per: rate.per, limit: rate.limit, window, answer: into_rate_answer(rate.answer) }
}

fn window(window: RateWindow) -> wit::RateWindow {
    match window {
        RateWindow::Minute => wit::RateWindow::Minute,
        RateWindow::Hour => wit::RateWindow::Hour,
        RateWindow::Day => wit::RateWindow::Day,
    }
}

fn rate_answer(answer: RateAnswer) -> wit::RateAnswer {
    let RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds } = answer;
    wit::RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds }
}

fn into_rate_answer(answer: wit::RateAnswer) -> RateAnswer {
    let wit::RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds } = answer;
    RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds }
}

pub(crate) fn subject(subject: wit::Subject) -> Subject {
    match subject {
        wit::Subject::Passport(id) => Subject::Passport(id),
        wit::Subject::Agent((issuer, agent_id)) => Subject::Agent { issuer, agent_id },
        wit::Subject::Key(thumbprint) => Subject::Key(thumbprint),
        wit::Subject::Issuer(id) => Subject::Issuer(id),
        wit::Subject::Approval(id) => Subject::Approval(id),
    }
}

fn from_subject(subject: Subject) -> wit::Subject {
    match subject {
        Subject::Passport(id) => wit::Subject::Passport(id),
        Subject::Agent { issuer, agent_id } => wit::Subject::Agent((issuer, agent_id)),
        Subject::Key(thumbprint) => wit::Subject::Key(thumbprint),
        Subject::Issuer(id) => wit::Subject::Issuer(id),
        Subject::Approval(id) => wit::Subject::Approval(id),
    }
}

pub(crate) fn write(write: Write) -> wit::Write {
    wit::Write { key: write.key, value: write.value, expires_at: write.expires_at }
}

pub(crate) fn outcome_result(result: wit::OutcomeResult) -> OutcomeResult {
    match result {
        wit::OutcomeResult::Completed => OutcomeResult::Completed,
        wit::OutcomeResult::Unreachable => OutcomeResult::Unreachable,
        wit::OutcomeResult::TimedOut => OutcomeResult::TimedOut,
        wit::OutcomeResult::Aborted => OutcomeResult::Aborted,
        wit::OutcomeResult::NotForwarded => OutcomeResult::NotForwarded,
        wit::OutcomeResult::Withheld => OutcomeResult::Withheld,
    }
}

pub(crate) fn budget(budget: wit::BudgetOutcome) -> BudgetOutcome {
    match budget {
        wit::BudgetOutcome::Committed => BudgetOutcome::Committed,
        wit::BudgetOutcome::Released => BudgetOutcome::Released,
        wit::BudgetOutcome::Held => BudgetOutcome::Held,
    }
}

pub(crate) fn from_budget(budget: BudgetOutcome) -> wit::BudgetOutcome {
    match budget {
        BudgetOutcome::Committed => wit::BudgetOutcome::Committed,
        BudgetOutcome::Released => wit::BudgetOutcome::Released,
        BudgetOutcome::Held => wit::BudgetOutcome::Held,
    }
}

pub(crate) fn charge(charge: wit::Charge) -> Charge {
    Charge { row_key: charge.row_key, amount: MicroUsd(charge.amount), expires_at: charge.expires_at }
}

pub(crate) fn from_charge(charge: Charge) -> wit::Charge {
    wit::Charge { row_key: charge.row_key, amount: charge.amount.0, expires_at: charge.expires_at }
}

pub(crate) fn demand(demand: &Demand) -> wit::Demand {
    wit::Demand {
        now: demand.now.0,
        nonce: wit::NonceClaim {
            key: demand.nonce.key.clone(),
            nonce: demand.nonce.nonce.clone(),
            remember_until: demand.nonce.remember_until,
        },
        subjects: demand.subjects.iter().cloned().map(from_subject).collect(),
        conduct: from_conduct(demand.conduct),
        excused: demand.is_excused,
        session: demand.session.as_ref().map(session_claim),
        risk: demand.risk.as_ref().map(risk_claim),
        pass: demand.pass.as_ref().map(|claim| wit::PassClaim {
            key: claim.key.clone(),
            remember_until: claim.remember_until,
            issued_at: claim.issued_at,
        }),
        approvals: demand
            .approvals
            .iter()
            .map(|claim| wit::UseClaim {
                key: claim.key.clone(),
                uses: claim.uses,
                until: claim.until,
                issued_at: claim.issued_at,
            })
            .collect(),
        rates: demand
            .rates
            .iter()
            .map(|claim| wit::RateClaim {
                per: claim.per.clone(),
                counter: claim.counter.clone(),
                limit: claim.limit,
                window: window(claim.window),
            })
            .collect(),
        idempotency: demand.idempotency.as_ref().map(|claim| wit::IdempotencyClaim {
            key: claim.key.clone(),
            request_sha256: claim.request_sha256.clone(),
            seconds: claim.seconds,
            mode: spend_mode(claim.mode),
        }),
        spends: demand
            .spends
            .iter()
            .map(|claim| wit::SpendClaim {
                per: claim.per.clone(),
                account: claim.account.clone(),
                period: match claim.period {
                    SpendPeriod::Day => wit::SpendPeriod::Day,
                    SpendPeriod::Month => wit::SpendPeriod::Month,
                    SpendPeriod::Total => wit::SpendPeriod::Total,
                },
                cap: claim.cap.0,
                amount: claim.amount.0,
                mode: spend_mode(claim.mode),
                until: claim.until,
            })
            .collect(),
    }
}

fn spend_mode(mode: SpendMode) -> wit::SpendMode {
    match mode {
        SpendMode::Charge => wit::SpendMode::Charge,
        SpendMode::Probe => wit::SpendMode::Probe,
    }
}

fn idempotency_answer(answer: IdempotencyAnswer) -> wit::IdempotencyAnswer {
    match answer {
        IdempotencyAnswer::First => wit::IdempotencyAnswer::First,
        IdempotencyAnswer::Repeated => wit::IdempotencyAnswer::Repeated,
        IdempotencyAnswer::Reused => wit::IdempotencyAnswer::Reused,
    }
}

fn into_idempotency_answer(answer: wit::IdempotencyAnswer) -> IdempotencyAnswer {
    match answer {
        wit::IdempotencyAnswer::First => IdempotencyAnswer::First,
        wit::IdempotencyAnswer::Repeated => IdempotencyAnswer::Repeated,
        wit::IdempotencyAnswer::Reused => IdempotencyAnswer::Reused,
    }
}

pub(crate) fn conduct(conduct: wit::Conduct) -> Conduct {
    let risk = match conduct.risk {
        wit::Risk::Usual => Risk::Usual,
        wit::Risk::High => Risk::High,
        wit::Risk::TooHigh => Risk::TooHigh,
    };
    Conduct { is_raised: conduct.raised, risk }
}

fn from_conduct(conduct: Conduct) -> wit::Conduct {
    let risk = match conduct.risk {
        Risk::Usual => wit::Risk::Usual,
        Risk::High => wit::Risk::High,
        Risk::TooHigh => wit::Risk::TooHigh,
    };
    wit::Conduct { raised: conduct.is_raised, risk }
}

fn risk_claim(claim: &RiskClaim) -> wit::RiskClaim {
    let scored = |scored: Scored| {
        let Scored { action, domain, amount, class, credential, high_at, too_high_at } = scored;
        wit::Scored { action, domain, amount, class, credential, high_at, too_high_at }
    };
    wit::RiskClaim { key: claim.key.clone(), scored: claim.scored.clone().map(scored), learns: claim.learns }
}

fn risk_answer(answer: RiskAnswer) -> wit::RiskAnswer {
    let RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain } = answer;
    wit::RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain }
}

fn into_risk_answer(answer: wit::RiskAnswer) -> RiskAnswer {
    let wit::RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain } = answer;
    RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain }
}

pub(crate) fn review(review: wit::Review) -> Review {
    let outcome = match review.outcome {
        wit::ReviewOutcome::Allowed => ReviewOutcome::Allowed,
        wit::ReviewOutcome::Denied => ReviewOutcome::Denied,
        wit::ReviewOutcome::TimedOut => ReviewOutcome::TimedOut,
        wit::ReviewOutcome::Unavailable => ReviewOutcome::Unavailable,
        wit::ReviewOutcome::AnswerInvalid => ReviewOutcome::AnswerInvalid,
    };
    Review { confidence: review.confidence, model: review.model, outcome, reason: review.reason }
}

fn session_claim(claim: &SessionClaim) -> wit::SessionClaim {
    let anomaly = |anomaly: Anomaly| wit::Anomaly {
        window_calls: anomaly.window_calls,
        min_calls: anomaly.min_calls,
        denied_percent: anomaly.denied_percent,
        write_percent: anomaly.write_percent,
    };
    wit::SessionClaim {
        key: claim.key.clone(),
        ceiling: claim.ceiling.clone(),
        action: claim.action.clone(),
        writes: claim.writes,
        idle_seconds: claim.idle_seconds,
        max_seconds: claim.max_seconds,
        anomaly: claim.anomaly.map(anomaly),
    }
}

fn session_answer(answer: SessionAnswer) -> wit::SessionAnswer {
    let SessionAnswer { id, opened_at, calls, window, denied, writes, is_within } = answer;
    wit::SessionAnswer { id, opened_at, calls, window, denied, writes, within: is_within }
}

fn into_session_answer(answer: wit::SessionAnswer) -> SessionAnswer {
    let wit::SessionAnswer { id, opened_at, calls, window, denied, writes, within } = answer;
    SessionAnswer { id, opened_at, calls, window, denied, writes, is_within: within }
}

pub(crate) fn counted(counted: Counted) -> wit::Counted {
    let writes = |of: Vec<Write>| of.into_iter().map(write).collect();
    wit::Counted { allowed: writes(counted.allowed), denied: writes(counted.denied), held: writes(counted.held) }
}

fn pass_answer(answer: PassAnswer) -> wit::PassAnswer {
    match answer {
        PassAnswer::Redeemed => wit::PassAnswer::Redeemed,
        PassAnswer::Unspent => wit::PassAnswer::Unspent,
        PassAnswer::Replayed => wit::PassAnswer::Replayed,
        PassAnswer::Fenced => wit::PassAnswer::Fenced,
    }
}

fn into_pass_answer(answer: wit::PassAnswer) -> PassAnswer {
    match answer {
        wit::PassAnswer::Redeemed => PassAnswer::Redeemed,
        wit::PassAnswer::Unspent => PassAnswer::Unspent,
        wit::PassAnswer::Replayed => PassAnswer::Replayed,
        wit::PassAnswer::Fenced => PassAnswer::Fenced,
    }
}

pub(crate) fn admission(admission: Admission) -> wit::Admission {
    wit::Admission {
        nonce: match admission.nonce {
            NonceAnswer::Fresh => wit::NonceAnswer::Fresh,
            NonceAnswer::Replayed => wit::NonceAnswer::Replayed,
            NonceAnswer::Fenced => wit::NonceAnswer::Fenced,
            NonceAnswer::QuotaExceeded => wit::NonceAnswer::QuotaExceeded,
        },
        revoked: admission.revoked.map(|(subject, at)| (from_subject(subject), at)),
        suspended: admission.suspended.map(|(subject, at)| (from_subject(subject), at)),
        conduct: admission.conduct.map(from_conduct),
        session: admission.session.map(session_answer),
        risk: admission.risk.map(risk_answer),
        pass: admission.pass.map(pass_answer),
        approvals: admission.approvals.into_iter().map(pass_answer).collect(),
        rates: admission.rates.into_iter().map(rate_answer).collect(),
        idempotency: admission.idempotency.map(idempotency_answer),
        spends: admission
            .spends
            .into_iter()
            .map(|answer| wit::SpendAnswer { fits: answer.fits, spent_before: answer.spent_before.0 })
            .collect(),
    }
}

pub(crate) fn into_admission(admission: wit::Admission) -> Admission {
    let nonce = match admission.nonce {
        wit::NonceAnswer::Fresh => NonceAnswer::Fresh,
        wit::NonceAnswer::Replayed => NonceAnswer::Replayed,
        wit::NonceAnswer::Fenced => NonceAnswer::Fenced,
        wit::NonceAnswer::QuotaExceeded => NonceAnswer::QuotaExceeded,
    };
    let spend =
        |answer: wit::SpendAnswer| SpendAnswer { fits: answer.fits, spent_before: MicroUsd(answer.spent_before) };
    Admission::handed_over(
        nonce,
        admission.revoked.map(|(revoked, at)| (subject(revoked), at)),
        admission.suspended.map(|(suspended, at)| (subject(suspended), at)),
        admission.pass.map(into_pass_answer),
        admission.approvals.into_iter().map(into_pass_answer).collect(),
        admission.rates.into_iter().map(into_rate_answer).collect(),
        admission.spends.into_iter().map(spend).collect(),
    )
    .known(
        admission.session.map(into_session_answer),
        admission.risk.map(into_risk_answer),
        admission.idempotency.map(into_idempotency_answer),
    )
}

pub(crate) fn plugin_record(report: wit::PluginReport) -> PluginRecord {
    let outcome = match report.outcome {
        wit::PluginOutcome::Answered => PluginOutcome::Answered,
        wit::PluginOutcome::Trapped => PluginOutcome::Trapped,
        wit::PluginOutcome::TimedOut => PluginOutcome::TimedOut,
        wit::PluginOutcome::FuelExhausted => PluginOutcome::FuelExhausted,
        wit::PluginOutcome::LimitExceeded => PluginOutcome::LimitExceeded,
        wit::PluginOutcome::AnswerInvalid => PluginOutcome::AnswerInvalid,
        wit::PluginOutcome::Unavailable => PluginOutcome::Unavailable,
        wit::PluginOutcome::NotRun => PluginOutcome::NotRun,
    };
    let verdict = |verdict| match verdict {
        wit::PluginVerdict::Abstain => PluginVerdict::Abstain,
        wit::PluginVerdict::Deny => PluginVerdict::Deny,
        wit::PluginVerdict::StepUp => PluginVerdict::StepUp,
        wit::PluginVerdict::Redact => PluginVerdict::Redact,
    };
    PluginRecord {
        config_sha256: report.config_sha256,
        digest: report.digest,
        fuel: report.fuel,
        name: report.name,
        outcome,
        reason: report.reason,
        redacted: report.redacted,
        roles: report.roles,
        verdict: report.verdict.map(verdict),
        version: report.version,
    }
}
