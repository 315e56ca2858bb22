//! Records of `wit/gate.wit` from and to the values of core, member by member.

use passgate_api::driver::{Decided, MintedPass};
use passgate_core::attest::{DelegatorRecord, Link, Stamp, Writer};
use passgate_core::gate::{Anomaly, EvaluatorRef};
use passgate_core::money::MicroUsd;
use passgate_core::pipeline::{Ask, HandedPermit, Permit, RateView, RawRequest, Verdict};
use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use passgate_core::reason::Reason;
use passgate_core::review::{Review, ReviewOutcome};
use passgate_core::state::{
    Admission, Conduct, Demand, IdempotencyAnswer, IdempotencyClaim, NonceAnswer, NonceClaim, PassAnswer, PassClaim,
    RateAnswer, RateClaim, RateWindow, Risk, RiskAnswer, RiskClaim, Scored, SessionAnswer, SessionClaim, SpendClaim,
    SpendMode, SpendPeriod, Subject, UseClaim,
};
use passgate_core::time::UnixMillis;

use super::bindings::exports::passgate::gate::evaluator as wit;

const HALF_ANSWER: &str = "it gave half an answer";

pub(super) fn evaluator_ref(reference: &EvaluatorRef) -> wit::EvaluatorRef {
    let EvaluatorRef { digest, engine, version } = reference.clone();
    wit::EvaluatorRef { digest, engine, version }
}

pub(super) fn request(raw: &RawRequest<'_>) -> wit::Request {
    let header = |header: &passgate_passport::http::Header<'_>| wit::Header {
        name: header.name.to_owned(),
        value: header.value.to_vec(),
    };
    wit::Request {
        method: raw.method.to_owned(),
        authority: raw.authority.map(str::to_owned),
        path: raw.path.to_owned(),
        query: raw.query.map(str::to_owned),
        headers: raw.headers.iter().map(header).collect(),
        body: raw.body.to_vec(),
    }
}

pub(super) fn place(writer: &Writer, link: &Link, stamp: &Stamp) -> wit::Place {
    wit::Place {
        now: stamp.now.0,
        random: stamp.random.to_vec(),
        seq: link.seq,
        prev: link.prev.map(|prev| prev.to_vec()),
        kid: writer.public_key().thumbprint().to_owned(),
    }
}

pub(super) fn delegator(delegator: wit::Delegator) -> DelegatorRecord {
    let wit::Delegator { agent_id, key_thumbprint, passport_id } = delegator;
    DelegatorRecord { agent_id, key_thumbprint, passport_id }
}

pub(super) fn demand(demand: wit::Demand) -> Demand {
    let rate = |claim: wit::RateClaim| RateClaim {
        per: claim.per,
        counter: claim.counter,
        limit: claim.limit,
        window: window(claim.window),
    };
    let spend = |claim: wit::SpendClaim| SpendClaim {
        per: claim.per,
        account: claim.account,
        period: match claim.period {
            wit::SpendPeriod::Day => SpendPeriod::Day,
            wit::SpendPeriod::Month => SpendPeriod::Month,
            wit::SpendPeriod::Total => SpendPeriod::Total,
        },
        cap: MicroUsd(claim.cap),
        amount: MicroUsd(claim.amount),
        mode: spend_mode(claim.mode),
        until: claim.until,
    };
    let use_claim = |claim: wit::UseClaim| UseClaim {
        key: claim.key,
        uses: claim.uses,
        until: claim.until,
        issued_at: claim.issued_at,
    };
    let wit::NonceClaim { key, nonce, remember_until } = demand.nonce;
    Demand {
        now: UnixMillis(demand.now),
        nonce: NonceClaim { key, nonce, remember_until },
        subjects: demand.subjects.into_iter().map(subject).collect(),
        conduct: into_conduct(demand.conduct),
        is_excused: demand.excused,
        session: demand.session.map(session_claim),
        risk: demand.risk.map(risk_claim),
        pass: demand.pass.map(|claim| PassClaim {
            key: claim.key,
            remember_until: claim.remember_until,
            issued_at: claim.issued_at,
        }),
        approvals: demand.approvals.into_iter().map(use_claim).collect(),
        rates: demand.rates.into_iter().map(rate).collect(),
        idempotency: demand.idempotency.map(|claim| IdempotencyClaim {
            key: claim.key,
            request_sha256: claim.request_sha256,
            seconds: claim.seconds,
            mode: spend_mode(claim.mode),
        }),
        spends: demand.spends.into_iter().map(spend).collect(),
    }
}

fn spend_mode(mode: wit::SpendMode) -> SpendMode {
    match mode {
        wit::SpendMode::Charge => SpendMode::Charge,
        wit::SpendMode::Probe => SpendMode::Probe,
    }
}

pub(super) fn conduct(conduct: Conduct) -> wit::Conduct {
    let risk = match conduct.risk {
        Risk::Usual => wit::Risk::Usual,
        Risk::High => wit::Risk::High,
        Risk::TooHigh => wit::Risk::TooHigh,
    };
    wit::Conduct { raised: conduct.is_raised, risk }
}

fn into_conduct(conduct: wit::Conduct) -> Conduct {
    let risk = match conduct.risk {
        wit::Risk::Usual => Risk::Usual,
        wit::Risk::High => Risk::High,
        wit::Risk::TooHigh => Risk::TooHigh,
    };
    Conduct { is_raised: conduct.raised, risk }
}

fn risk_claim(claim: wit::RiskClaim) -> RiskClaim {
    let scored = |scored: wit::Scored| {
        let wit::Scored { action, domain, amount, class, credential, high_at, too_high_at } = scored;
        Scored { action, domain, amount, class, credential, high_at, too_high_at }
    };
    RiskClaim { key: claim.key, scored: claim.scored.map(scored), learns: claim.learns }
}

fn risk_answer(answer: RiskAnswer) -> wit::RiskAnswer {
    let RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain } = answer;
    wit::RiskAnswer { amount, class, credential, denials, new_action, new_agent, new_domain }
}

pub(super) fn review(review: Review) -> wit::Review {
    let outcome = match review.outcome {
        ReviewOutcome::Allowed => wit::ReviewOutcome::Allowed,
        ReviewOutcome::Denied => wit::ReviewOutcome::Denied,
        ReviewOutcome::TimedOut => wit::ReviewOutcome::TimedOut,
        ReviewOutcome::Unavailable => wit::ReviewOutcome::Unavailable,
        ReviewOutcome::AnswerInvalid => wit::ReviewOutcome::AnswerInvalid,
    };
    wit::Review { model: review.model, outcome, confidence: review.confidence, reason: review.reason }
}

fn session_claim(claim: wit::SessionClaim) -> SessionClaim {
    let anomaly = |anomaly: wit::Anomaly| Anomaly {
        window_calls: anomaly.window_calls,
        min_calls: anomaly.min_calls,
        denied_percent: anomaly.denied_percent,
        write_percent: anomaly.write_percent,
    };
    SessionClaim {
        key: claim.key,
        ceiling: claim.ceiling,
        action: claim.action,
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

fn pass_answer(answer: PassAnswer) -> wit::PassAnswer {
    match answer {
        PassAnswer::Redeemed => wit::PassAnswer::Redeemed,
        PassAnswer::Unspent => wit::PassAnswer::Unspent,
        PassAnswer::Replayed => wit::PassAnswer::Replayed,
        PassAnswer::Fenced => wit::PassAnswer::Fenced,
    }
}

pub(super) fn admission(admission: &Admission) -> wit::Admission {
    wit::Admission {
        nonce: match admission.nonce {
            NonceAnswer::Fresh => wit::NonceAnswer::Fresh,
            NonceAnswer::Replayed => wit::NonceAnswer::Replayed,
            NonceAnswer::Fenced => wit::NonceAnswer::Fenced,
            NonceAnswer::QuotaExceeded => wit::NonceAnswer::QuotaExceeded,
        },
        revoked: admission.revoked.as_ref().map(|(subject, at)| (from_subject(subject), *at)),
        suspended: admission.suspended.as_ref().map(|(subject, at)| (from_subject(subject), *at)),
        conduct: admission.conduct.map(conduct),
        session: admission.session.clone().map(session_answer),
        risk: admission.risk.map(risk_answer),
        pass: admission.pass.map(pass_answer),
        approvals: admission.approvals.iter().copied().map(pass_answer).collect(),
        rates: admission.rates.iter().map(rate_answer).collect(),
        idempotency: admission.idempotency.map(|answer| match answer {
            IdempotencyAnswer::First => wit::IdempotencyAnswer::First,
            IdempotencyAnswer::Repeated => wit::IdempotencyAnswer::Repeated,
            IdempotencyAnswer::Reused => wit::IdempotencyAnswer::Reused,
        }),
        spends: admission
            .spends
            .iter()
            .map(|answer| wit::SpendAnswer { fits: answer.fits, spent_before: answer.spent_before.0 })
            .collect(),
    }
}

/// # Errors
///
/// When verdict, permit, pass and reason do not go together: nothing is forwarded on half an answer.
pub(super) fn decided(decided: wit::Decided, writer: &Writer) -> Result<(Decided, wit::Draft), String> {
    let wit::Decided { verdict, permit, mint, refused, ask, rates, draft } = decided;
    let reason = refused.as_ref().and_then(|refused| Reason::from_code(&refused.reason_code));
    let verdict = match (verdict, permit, reason) {
        _ if ask.is_some() && verdict != wit::Verdict::StepUp => return Err(HALF_ANSWER.to_owned()),
        (wit::Verdict::Mint, None, None) if refused.is_none() && mint.is_some() => Verdict::Mint,
        _ if mint.is_some() => return Err(HALF_ANSWER.to_owned()),
        (wit::Verdict::Allow, Some(permit), None) if refused.is_none() => {
            Verdict::Allow(Permit::handed_over(HandedPermit::from_bytes(&permit).map_err(|error| error.to_string())?))
        }
        (wit::Verdict::Deny, None, Some(_)) => Verdict::Deny,
        (wit::Verdict::StepUp, None, Some(_)) => Verdict::StepUp,
        _ => return Err(HALF_ANSWER.to_owned()),
    };
    let minted = mint.map(|mint| MintedPass {
        token: writer.mint_draft(mint.signing_input),
        action_sha256: mint.action_sha256,
        expires_at: mint.expires_at,
    });
    let ask = ask.map(|wit::Ask { agent, shown, ttl_seconds }| Ask { agent, shown, ttl_seconds });
    Ok((Decided { verdict, reason, rates: rates.into_iter().map(rate_view).collect(), minted, ask }, draft))
}

pub(super) fn plugin_report(record: &PluginRecord) -> wit::PluginReport {
    let record = record.clone();
    wit::PluginReport {
        name: record.name,
        version: record.version,
        digest: record.digest,
        config_sha256: record.config_sha256,
        fuel: record.fuel,
        outcome: match record.outcome {
            PluginOutcome::Answered => wit::PluginOutcome::Answered,
            PluginOutcome::Trapped => wit::PluginOutcome::Trapped,
            PluginOutcome::TimedOut => wit::PluginOutcome::TimedOut,
            PluginOutcome::FuelExhausted => wit::PluginOutcome::FuelExhausted,
            PluginOutcome::LimitExceeded => wit::PluginOutcome::LimitExceeded,
            PluginOutcome::AnswerInvalid => wit::PluginOutcome::AnswerInvalid,
            PluginOutcome::Unavailable => wit::PluginOutcome::Unavailable,
            PluginOutcome::NotRun => wit::PluginOutcome::NotRun,
        },
        verdict: record.verdict.map(|verdict| match verdict {
            PluginVerdict::Abstain => wit::PluginVerdict::Abstain,
            PluginVerdict::Deny => wit::PluginVerdict::Deny,
            PluginVerdict::StepUp => wit::PluginVerdict::StepUp,
            PluginVerdict::Redact => wit::PluginVerdict::Redact,
        }),
        reason: record.reason,
        roles: record.roles,
        redacted: record.redacted,
    }
}

fn rate_view(rate: wit::Rate) -> RateView {
    let wit::RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds } = rate.answer;
    let answer = RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds };
    RateView { per: rate.per, limit: rate.limit, window: window(rate.window), answer }
}

fn rate_answer(answer: &RateAnswer) -> wit::RateAnswer {
    let RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds } = *answer;
    wit::RateAnswer { conforms, remaining, reset_seconds, retry_after_seconds }
}

fn window(window: wit::RateWindow) -> RateWindow {
    match window {
        wit::RateWindow::Minute => RateWindow::Minute,
        wit::RateWindow::Hour => RateWindow::Hour,
        wit::RateWindow::Day => RateWindow::Day,
    }
}

fn subject(subject: wit::Subject) -> Subject {
    match subject {
        wit::Subject::Passport(id) => Subject::Passport(id),
        wit::Subject::Agent((issuer, agent_id)) => Subject::Agent { issuer, agent_id },
        wit::Subject::Key(thumbprint) => Subject::Key(thumbprint),
        wit::Subject::Issuer(id) => Subject::Issuer(id),
        wit::Subject::Approval(id) => Subject::Approval(id),
    }
}

fn from_subject(subject: &Subject) -> wit::Subject {
    match subject.clone() {
        Subject::Passport(id) => wit::Subject::Passport(id),
        Subject::Agent { issuer, agent_id } => wit::Subject::Agent((issuer, agent_id)),
        Subject::Key(thumbprint) => wit::Subject::Key(thumbprint),
        Subject::Issuer(id) => wit::Subject::Issuer(id),
        Subject::Approval(id) => wit::Subject::Approval(id),
    }
}
