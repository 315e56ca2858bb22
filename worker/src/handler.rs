//! One request, from its arrival to the head of its answer.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use passgate_api::answer::{self, ToCover};
use passgate_api::driver::{Answer, Forward, Judge, Minted, Misjudged, RefusalRecord, Refused, new_request, used_up};
use passgate_api::edge::AdmissionDoc;
use passgate_api::http::authority::Scheme;
use passgate_api::http::headers;
use passgate_api::http::intake::HeadLimits;
use passgate_core::approval::{ApprovalRequest, Asked, RequestState};
use passgate_core::attest::{DecisionKind, GateRecord, OutcomeRecord, OutcomeResult, Stamp};
use passgate_core::flood::{Fold, RefusalBound};
use passgate_core::pipeline::{Judged, RawRequest, Refusal};
use passgate_core::reason::Reason;
use passgate_core::state::{Conduct, agent_key};
use passgate_passport::jwe::Seed;
use serde::Serialize;
use worker::{Context, Delay, Env, Headers, Request, Response, ResponseBuilder};

use crate::calls::{self, Boxed, Call, CallError};
use crate::intake::{self, Intake, Line};
use crate::look::Carried;
use crate::messages::{CURRENT_FIELD, DECISION_FIELD, OBJECT_FIELD};
use crate::policy::{self, Policy};
use crate::upstream::{self, Outbound};
use crate::{admission, approvals, clock, look, testing};

/// How long refusals are counted in the isolate before the count is sent on.
const FLUSH_AFTER: Duration = Duration::from_secs(10);

/// That of the isolate, for as long as it lives.
static JUDGE: Judge = Judge::new();

thread_local! {
    /// Refusals before authentication, so that a flood of them costs no call of an object each.
    static BOUND: RefCell<RefusalBound> = RefCell::default();
    static FLUSHING: Cell<bool> = const { Cell::new(false) };
}

/// What the steps of one request share.
struct Life<'c> {
    env: Env,
    context: &'c Context,
    policy: Rc<Policy>,
}

/// Decides a request and carries it upstream or refuses it.
pub(crate) async fn serve(request: Request, env: Env, context: &Context) -> Response {
    let line = Line::of(&request);
    let policy = match policy::in_force(&env, context).await {
        Ok(policy) => policy,
        Err(error) => return fault(Reason::InternalError, &error, "", &line),
    };
    testing::panic_at("intake");
    let life = Life { env, context, policy };
    let peer = request.headers().get("cf-connecting-ip").ok().flatten();
    match intake::take(request, line.clone(), &life.limits()).await {
        Ok(taken) => life.decide_and_carry(taken, peer).await,
        Err(error) => {
            let line = life.shown(line);
            let refusal = Refusal::early(&line.method, &line.path, error.reason(), error.to_string());
            life.refuse(&refusal, ToCover::default(), &line).await
        }
    }
}

#[cfg(feature = "testing")]
/// Forgets how many refusals there were this minute.
pub(crate) fn forget_refusals() {
    BOUND.take();
}

#[cfg(feature = "testing")]
/// As [`serve`], of a request taken in elsewhere.
pub(crate) async fn serve_taken(taken: Intake, env: Env, context: &Context) -> Response {
    match policy::in_force(&env, context).await {
        Ok(policy) => Life { env, context, policy }.decide_and_carry(taken, None).await,
        Err(error) => fault(Reason::InternalError, &error, "", &taken.line),
    }
}

impl Life<'_> {
    fn limits(&self) -> HeadLimits {
        let scheme = if self.policy.gate.origin.scheme == "http" { Scheme::Http } else { Scheme::Https };
        let max_body_bytes = usize::try_from(self.policy.edge.max_body_bytes).unwrap_or(usize::MAX);
        HeadLimits { max_body_bytes, ..HeadLimits::new(scheme) }
    }

    /// The line as it is recorded and logged.
    fn shown(&self, mut line: Line) -> Line {
        line.path = self.policy.gate.shown_path(&line.path).into_owned();
        line
    }

    /// Steps 1 to 9.
    async fn decide_and_carry(mut self, taken: Intake, peer: Option<String>) -> Response {
        // What is sent has the path as it came.
        let line = self.shown(taken.line.clone());
        // Made before the request is judged, so that an allow cannot fail on it.
        let mut fields = match headers::forwardable(&taken.fields) {
            Ok(fields) => fields,
            Err(error) => {
                let refusal = Refusal::early(&line.method, &line.path, Reason::HeaderInvalid, error.to_string());
                return self.refuse(&refusal, ToCover::default(), &line).await;
            }
        };
        let borrowed = taken.headers();
        let raw = taken.raw(&borrowed);
        let stamp = match testing::stamp().map_or_else(clock::stamp, Ok) {
            Ok(stamp) => stamp,
            Err(error) => return fault(Reason::InternalError, &error, &self.policy.gate.id, &line),
        };
        let seed = match testing::seed().map_or_else(clock::seed, Ok) {
            Ok(seed) => seed,
            Err(error) => return fault(Reason::InternalError, &error, &self.policy.gate.id, &line),
        };
        let to_cover = ToCover::of(&raw).answering(self.policy.gate.challenge(stamp.now));
        let (judged, redacted, answer) = match self.judge_and_admit(&raw, stamp, &seed).await {
            Ok(decided) => decided,
            Err(refusal) => return self.refuse(&refusal, to_cover, &line).await,
        };
        testing::panic_at("decided");
        match answer {
            Answer::Refuse(mut refused) => {
                if let Some(ask) = judged.approval_to_ask(refused.decision) {
                    self.ask(new_request(ask, &stamp), &mut refused).await;
                }
                self.end_used(&judged, refused.decision, Some(refused.reason));
                refusal(&refused, &self.policy.gate.id, to_cover, &line)
            }
            Answer::Mint(minted) => {
                self.end_used(&judged, DecisionKind::Allow, None);
                mint(&minted, &line)
            }
            Answer::Forward(allowed) => {
                self.end_used(&judged, DecisionKind::Allow, None);
                if let Some(peer) = peer.and_then(|peer| peer.parse().ok()) {
                    fields.extend(headers::proxy_claims(peer, self.limits().scheme, taken.authority.as_deref()));
                }
                let Intake { line: Line { method, path, query, .. }, body, .. } = taken;
                let body = headers::with_body(&mut fields, body, redacted);
                self.carry(*allowed, &judged, Outbound { method, path, query, fields, body }, &line).await
            }
        }
    }

    /// Steps 1 to 7; once more under the newer policy when the agent's object has seen one, and once more where it knows the
    /// agent better than it was judged. The bytes are the body to forward where texts are taken out of it or encrypted.
    async fn judge_and_admit(&mut self, raw: &RawRequest<'_>, stamp: Stamp, seed: &Seed) -> Result<Admitted, Refusal> {
        testing::panic_at("judge");
        let (mut is_again, mut conduct) = (false, Conduct::default());
        loop {
            let judged = JUDGE.judge_as(&self.policy.gate, raw, stamp.now, conduct)?;
            let (judged, redacted) = judged.restrict(Vec::new(), raw.body, seed);
            let why = match self.admit(&judged, stamp).await {
                Ok(answer) => return Ok((judged, redacted, answer)),
                Err(Stale::Conduct(as_it_is)) if conduct != as_it_is => {
                    conduct = as_it_is;
                    continue;
                }
                Err(Stale::Conduct(_)) => "the agent behaves otherwise each time the request is judged",
                Err(Stale::Policy) if is_again => "the policy changes too fast",
                Err(Stale::Policy) => match policy::newer_than(&self.policy, &self.env).await {
                    Some(newer) => {
                        (self.policy, is_again) = (newer, true);
                        continue;
                    }
                    None => "a newer policy is in force and cannot be had",
                },
            };
            let fault = Answer::fault(Reason::InternalError, &why, Some(&judged));
            return Ok((judged, None, fault));
        }
    }

    /// Steps 4 to 7, in the agent's object, with one call.
    async fn admit(&self, judged: &Judged, stamp: Stamp) -> Result<Answer, Stale> {
        let unavailable = |error: &dyn std::fmt::Display| Answer::fault(Reason::StoreUnavailable, error, Some(judged));
        let name = self.object_of(judged);
        let stub = match calls::admission(&self.env, &name) {
            Ok(stub) => stub,
            Err(error) => return Ok(unavailable(&error)),
        };
        let admit = Call::new("/admit")
            .stamp(stamp)
            .with(OBJECT_FIELD, &name)
            .with(CURRENT_FIELD, &self.policy.current_text())
            .body(judged.to_bytes());
        let call = async move { admit.to(&stub).await };
        let timeout = Duration::from_millis(self.policy.edge.decision_timeout_ms.into());
        match within(timeout, call).await {
            Ok(Ok(bytes)) => match Misjudged::or_answer(&bytes) {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(Misjudged(as_it_is))) => Err(Stale::Conduct(as_it_is)),
                Err(error) => Ok(unavailable(&error)),
            },
            Ok(Err(error)) if admission::is_outdated(&error) => Err(Stale::Policy),
            Ok(Err(error)) => Ok(unavailable(&error)),
            Err(late) => {
                self.settle_late(late, judged);
                Ok(unavailable(&"no decision within the deadline"))
            }
        }
    }

    /// A decision that comes too late is none: an allow is settled as not forwarded.
    fn settle_late(&self, late: impl Future<Output = Result<Vec<u8>, CallError>> + 'static, judged: &Judged) {
        let settling = self.settling(judged);
        beside(self.context, async move {
            let Ok(bytes) = late.await else { return };
            let Ok(Answer::Forward(allowed)) = admission::read_answer(&bytes) else { return };
            let outcome = upstream::outcome(Err(OutcomeResult::NotForwarded), None, None, 0, 0);
            settling.settle(&allowed.attestation_id, &outcome).await;
        });
    }

    fn settling(&self, judged: &Judged) -> Settling {
        Settling { env: self.env.clone(), object: self.object_of(judged), gate: judged.gate().clone() }
    }

    fn object_of(&self, judged: &Judged) -> String {
        let agent = judged.agent();
        object_of(&self.policy, &agent.issuer, agent.root_agent_id())
    }

    /// Asks people, and names the request in what is answered. Should that fail, nobody is asked, and the refusal stands.
    async fn ask(&self, request: ApprovalRequest, refused: &mut Refused) {
        let timeout = Duration::from_millis(self.policy.edge.decision_timeout_ms.into());
        match within(timeout, approvals::ask(self.env.clone(), request)).await {
            Ok(Ok(Asked::Waiting(request))) => refused.await_approval(&request),
            Ok(Ok(Asked::TooMany)) => refused.note("too many requests for approval of this agent stand already"),
            Ok(Err(error)) => refused.note(&format!("nobody was asked: {error}")),
            Err(_) => refused.note("nobody was asked within the deadline"),
        }
    }

    /// Ends the requests for approval whose approvals are used up. Should that fail, whoever asks for the same is told of the
    /// used approval first.
    fn end_used(&self, judged: &Judged, decision: DecisionKind, reason: Option<Reason>) {
        for id in used_up(judged.demand(), decision, reason) {
            let (env, gate) = (self.env.clone(), Arc::clone(&self.policy.gate));
            beside(self.context, async move {
                if let Err(error) = approvals::end(&env, &gate, &id, RequestState::Used).await {
                    worker::console_warn!("the request for approval {id} is used and not ended: {error}");
                }
            });
        }
    }

    /// Steps 8 and 9.
    async fn carry(self, allowed: Forward, judged: &Judged, mut outbound: Outbound, line: &Line) -> Response {
        let rules = self.policy.gate.response_rules(&outbound.method, &outbound.path, judged.max_records());
        if rules.is_some() {
            headers::ask_for_whole(&mut outbound.fields);
        }
        let own = answer::allow_fields(&allowed.attestation_id, &allowed.rates);
        let Forward { permit, attestation_id, agent_id, action, .. } = allowed;
        let (settling, request_bytes, sent_at) = (self.settling(judged), outbound.body.len(), clock::now().0);
        let carried = look::carry(permit, &self.policy.edge.upstream, &outbound, rules.as_ref(), own).await;
        let Carried { response, status, report, looked } = carried;
        let decision_id = attestation_id.clone();
        beside(self.context, async move {
            // A body that is dropped reports; without a report it broke off.
            let report = match report {
                Ok(report) => report.await.map_err(|_| OutcomeResult::Aborted),
                Err(result) => Err(result),
            };
            let duration_ms = clock::now().0.saturating_sub(sent_at);
            let outcome = upstream::outcome(report, status, looked, request_bytes, duration_ms);
            settling.settle(&decision_id, &outcome).await;
        });
        log(&Decided {
            message: "decision",
            decision: "allow",
            reason: "none",
            detail: "",
            attestation_id: Some(&attestation_id),
            agent: Some(&agent_id),
            action: Some(&action),
            method: &line.method,
            path: &line.path,
            status: response.status_code(),
        });
        response
    }

    /// Records and answers a refusal before authentication, or one of a request that cannot be judged.
    async fn refuse(&self, early: &Refusal, to_cover: ToCover, line: &Line) -> Response {
        let gate = &self.policy.gate;
        let answer = match testing::stamp().map_or_else(clock::stamp, Ok) {
            Ok(stamp) => self.record_refusal(early, stamp).await,
            Err(error) => Answer::fault(Reason::InternalError, &error, None),
        };
        match answer {
            Answer::Refuse(refused) => refusal(&refused, &gate.id, to_cover, line),
            // Refusing never makes an allow; if it did, nothing would be sent.
            Answer::Forward(_) | Answer::Mint(_) => {
                fault(Reason::InternalError, "a refusal came back as an allow", &gate.id, line)
            }
        }
    }

    async fn record_refusal(&self, early: &Refusal, stamp: Stamp) -> Answer {
        let record = RefusalRecord::new(&self.policy.gate, early, stamp.now);
        if BOUND.with_borrow_mut(|bound| bound.note(stamp.now, early.reason)) == Fold::Counted {
            self.flush_soon();
            return Answer::Refuse(Box::new(record.refused(None)));
        }
        let unavailable = |error: &dyn std::fmt::Display| Answer::fault(Reason::StoreUnavailable, error, None);
        let stub = match calls::gate(&self.env) {
            Ok(stub) => stub,
            Err(error) => return unavailable(&error),
        };
        let message = Call::new("/refuse").stamp(stamp).gate(&self.policy.gate.record()).body(record.to_bytes());
        let call = async move { message.to(&stub).await };
        match within(Duration::from_millis(self.policy.edge.decision_timeout_ms.into()), call).await {
            Ok(Ok(bytes)) => admission::read_answer(&bytes).unwrap_or_else(|error| unavailable(&error)),
            Ok(Err(error)) => unavailable(&error),
            Err(_) => unavailable(&"no record within the deadline"),
        }
    }

    /// Sends what this isolate counted to the gate's object. What is counted when the platform ends the isolate is lost.
    fn flush_soon(&self) {
        if FLUSHING.replace(true) {
            return;
        }
        let (env, gate) = (self.env.clone(), self.policy.gate.record());
        beside(self.context, async move {
            Delay::from(FLUSH_AFTER).await;
            FLUSHING.set(false);
            let Some(folded) = BOUND.with_borrow_mut(RefusalBound::take) else { return };
            let sent = async {
                let stamp = clock::stamp().map_err(CallError::Failed)?;
                Call::new("/fold").stamp(stamp).gate(&gate).json(&folded).to(&calls::gate(&env)?).await
            };
            if let Err(error) = sent.await {
                worker::console_error!("counted refusals could not be recorded: {error}");
                BOUND.with_borrow_mut(|bound| bound.restore(folded));
            }
        });
    }
}

/// The object that decides about an agent and all that it hands on to.
pub(crate) fn object_of(policy: &Policy, issuer: &str, root_agent_id: &str) -> String {
    let Policy { gate, current, .. } = policy;
    let name = match current.admission {
        AdmissionDoc::Gate => format!("{}/gate", gate.id),
        AdmissionDoc::Agent => format!("{}/agent/{}", gate.id, agent_key(issuer, root_agent_id)),
    };
    testing::site_name(&name)
}

/// A judgement, the body to forward in place of the request's, and the answer.
type Admitted = (Judged, Option<Vec<u8>>, Answer);

/// Why the agent's object does not go by a judgement.
enum Stale {
    /// It is under a policy older than the object has seen.
    Policy,
    /// Its agent behaves like this instead.
    Conduct(Conduct),
}

/// Where the outcome of an allowed request is recorded.
struct Settling {
    env: Env,
    object: String,
    gate: GateRecord,
}

impl Settling {
    /// Records what became of a decision.
    async fn settle(self, decision_id: &str, outcome: &OutcomeRecord) {
        let settled = async {
            let stub = calls::admission(&self.env, &self.object)?;
            let stamp = clock::stamp().map_err(CallError::Failed)?;
            let call = Call::new("/settle").stamp(stamp).gate(&self.gate).with(DECISION_FIELD, decision_id);
            call.json(outcome).to(&stub).await
        };
        if let Err(error) = settled.await {
            worker::console_error!("the outcome of {decision_id} could not be recorded: {error}");
        }
    }
}

/// Goes on with `work` beside and after the answer.
pub(crate) fn beside(context: &Context, work: impl Future<Output = ()> + 'static) {
    // Boxed, so that what carries it to the runtime is compiled once.
    let work: Boxed<'static, ()> = Box::pin(work);
    context.wait_until(work);
}

/// The output, or the future itself when it takes longer.
async fn within<T, F: Future<Output = T> + 'static>(timeout: Duration, work: F) -> Result<T, Boxed<'static, T>> {
    let work: Boxed<'static, T> = Box::pin(work);
    match select(work, Box::pin(Delay::from(timeout))).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right(((), late)) => Err(late),
    }
}

/// The answer to a request that the gate itself failed on.
fn fault(reason: Reason, cause: &str, gate_id: &str, line: &Line) -> Response {
    match Answer::fault(reason, &cause, None) {
        Answer::Refuse(refused) => refusal(&refused, gate_id, ToCover::default(), line),
        Answer::Forward(_) | Answer::Mint(_) => {
            respond(answer::Response { status: 503, headers: Vec::new(), body: Vec::new() })
        }
    }
}

/// An allowed request that asked for a one-action pass is over with it.
fn mint(minted: &Minted, line: &Line) -> Response {
    let response = respond(answer::minted(minted));
    log(&Decided {
        message: "decision",
        decision: "allow",
        reason: "none",
        detail: "a one-action pass was minted",
        attestation_id: Some(&minted.attestation_id),
        agent: Some(&minted.agent_id),
        action: Some(&minted.action),
        method: &line.method,
        path: &line.path,
        status: response.status_code(),
    });
    response
}

fn refusal(refused: &Refused, gate_id: &str, to_cover: ToCover, line: &Line) -> Response {
    let response = respond(answer::refusal(refused, gate_id, to_cover));
    log(&Decided {
        message: "decision",
        decision: refused.decision.as_str(),
        reason: refused.reason.code(),
        detail: &refused.detail,
        attestation_id: refused.attestation_id.as_deref(),
        agent: refused.agent_id.as_deref(),
        action: refused.action.as_deref(),
        method: &line.method,
        path: &line.path,
        status: response.status_code(),
    });
    response
}

/// The response without its transport, for this runtime.
pub(crate) fn respond(given: answer::Response) -> Response {
    let headers = Headers::new();
    for (name, value) in &given.headers {
        // The gate's own fields are ASCII, and some stand more than once.
        if let Err(error) = headers.append(name, value) {
            worker::console_error!("the field {name} is left out of an answer: {error}");
        }
    }
    ResponseBuilder::new().with_status(given.status).with_headers(headers).fixed(given.body)
}

/// One line of the log. No tokens, bodies or query strings.
#[derive(Serialize)]
struct Decided<'a> {
    message: &'static str,
    decision: &'static str,
    reason: &'static str,
    detail: &'a str,
    attestation_id: Option<&'a str>,
    agent: Option<&'a str>,
    action: Option<&'a str>,
    method: &'a str,
    path: &'a str,
    status: u16,
}

fn log(decided: &Decided<'_>) {
    // Strings and integers always serialise.
    worker::console_log!("{}", serde_json::to_string(decided).unwrap_or_default());
}
