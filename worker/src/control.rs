//! The control routes over this runtime: everything below [`PREFIX`] is the gate's own and never goes upstream.

use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use passgate_api::driver::GivenAnswer;
use passgate_api::edge;
use passgate_api::http::control::{Controlled, OperationError, respond};
use passgate_api::http::documents::{Reconciliation, Revocation};
use passgate_api::http::intake::IntakeError;
use passgate_api::http::keys::ApiKeys;
use passgate_api::http::reply::{Body, Reply};
use passgate_api::http::route::{Route, RouteError};
use passgate_api::http::standing::{Change, Suspension};
use passgate_api::view;
use passgate_core::approval::{ApprovalRequest, RequestState};
use passgate_core::attest::Writer;
use passgate_core::gate::Gate;
use passgate_core::state::{Standing, Subject};
use passgate_core::time::UnixMillis;
use passgate_passport::key::PublicKey;
use passgate_passport::key_set::DatedKey;
use passgate_store::{Ledger, StoreError};
use serde::Serialize;
use serde_json::Value;
use worker::{Context, Env, Headers, Request, Response, ResponseBuilder};

use crate::calls::{self, Call, CallError};
use crate::intake::{self, Line};
use crate::ledger::GateLedger;
use crate::messages::{AFTER_FIELD, CURRENT_FIELD, RECORD_FIELD, Recorded, Told};
use crate::object::{NOT_HELD, REVOKED};
use crate::policy::{self, Policy};
use crate::{approvals, clock, handler, lists, settings, upstream};

/// What the paths of the gate's own routes start with.
pub(crate) const PREFIX: &str = "/.passgate/";

/// Answers a request below [`PREFIX`].
pub(crate) async fn serve(request: Request, env: Env, context: &Context) -> Response {
    let line = Line::of(&request);
    let is_head = line.method == "HEAD";
    let reply = answer(request, &line, env, context).await;
    given(reply, is_head).unwrap_or_else(|error| {
        worker::console_error!("an answer of a control route could not be given: {error}");
        ResponseBuilder::new().with_status(500).empty()
    })
}

async fn answer(mut request: Request, line: &Line, env: Env, context: &Context) -> Reply {
    let path = line.path.strip_prefix(PREFIX.trim_end_matches('/')).unwrap_or_default();
    let route = match Route::parse(&line.method, path) {
        // There are no plugins at the edge.
        Ok(Route::PluginKey(_) | Route::PutPluginKey(_) | Route::DeletePluginKey(_)) => {
            return RouteError::NotFound.into();
        }
        Ok(route) => route,
        Err(error) => return error.into(),
    };
    if let Err(refused) = authorise(&env, &route, &request) {
        return refused;
    }
    let body = match intake::body(&mut request, route.max_body_bytes()).await {
        Ok(body) => body,
        Err(IntakeError::BodyTooLarge) => return Reply::too_large(),
        Err(error) => return Reply::bad_request(error),
    };
    match route {
        Route::Bundle => bundle(&env).await,
        Route::PutBundle => put_bundle(&env, &body).await,
        Route::StatusList(key) => lists::publish(&env, &key).await,
        Route::PutStatusLists => match policy::in_force(&env, context).await {
            Ok(policy) => lists::put(&env, &policy, &body).await,
            Err(error) => failed(error),
        },
        route => match Control::open(env, context).await {
            Ok(control) => respond(control, route, line.query.as_deref(), &body).await,
            Err(error) => failed(error),
        },
    }
}

/// Whether the request may use the route. A list of keys that cannot be read lets nobody in.
fn authorise(env: &Env, route: &Route, request: &Request) -> Result<(), Reply> {
    if route.scope().is_none() {
        return Ok(());
    }
    let text = settings::api_keys(env).map_err(failed)?;
    let keys = ApiKeys::from_json(text.as_bytes()).map_err(failed)?;
    let presented = request.headers().get("authorization").ok().flatten();
    keys.authorise(route, presented.iter().map(String::as_bytes)).map(|_| ()).map_err(Reply::from)
}

/// 503: what the gate needs for it is not there.
pub(crate) fn failed(why: impl ToString) -> Reply {
    OperationError::Gate(why.to_string()).into()
}

/// The answer to a call that an object refused or failed.
pub(crate) fn not_done(error: CallError) -> Reply {
    match error {
        CallError::Refused(409, why) => {
            let problem = passgate_api::answer::Problem::new(409, "conflict", "What is in force does not permit it.");
            Reply::problem(&passgate_api::answer::Problem { detail: Some(why), ..problem })
        }
        error => OperationError::Store(StoreError::Unavailable(error.to_string())).into(),
    }
}

fn given(reply: Reply, is_head: bool) -> worker::Result<Response> {
    let headers = Headers::new();
    for (name, value) in &reply.fields {
        headers.append(name, value)?;
    }
    let builder = ResponseBuilder::new().with_status(reply.status).with_headers(headers);
    Ok(match reply.body {
        _ if is_head => builder.empty(),
        Body::Whole(bytes) => builder.fixed(bytes),
        Body::Pieces(pieces) => {
            let pieces = pieces.map(|piece| piece.map_err(|error| worker::Error::from(error.to_string())));
            builder.from_stream(upstream::boxed(pieces))?
        }
    })
}

async fn bundle(env: &Env) -> Reply {
    let kept: Result<Option<String>, CallError> = async { Call::new("/bundle").ask(&calls::gate(env)?).await }.await;
    match kept {
        Ok(Some(jws)) => Reply::new(200, edge::MEDIA_TYPE, Body::Whole(jws.into_bytes())),
        Ok(None) => Reply::not_found("no bundle was put here; one may be published in Workers KV"),
        Err(error) => not_done(error),
    }
}

/// Takes a bundle that verifies, compiles, and may take the place of the one in force. The gate's object has it before
/// Workers KV shows it, so no isolate goes on deciding under the older one for an agent that saw the newer.
async fn put_bundle(env: &Env, body: &[u8]) -> Reply {
    let Ok(jws) = std::str::from_utf8(body).map(str::trim) else { return Reply::bad_request("the bundle is no text") };
    let policy = match policy::compile(env, jws) {
        Ok(policy) => policy,
        Err(error) => return Reply::bad_request(error),
    };
    let message = Call::new("/put-bundle").with(CURRENT_FIELD, &policy.current_text()).body(jws.as_bytes().to_vec());
    let put = async { message.to(&calls::gate(env)?).await };
    if let Err(error) = put.await {
        return not_done(error);
    }
    if let Err(error) = policy::publish(env, jws).await {
        return failed(format_args!("the bundle is in force and not yet in Workers KV, put it again: {error}"));
    }
    let answer = Put {
        gate_id: policy.current.gate_id.clone(),
        good_until: policy.gate.policy_freshness.map(|freshness| freshness.good_until),
        policy_sha256: policy.gate.policy.sha256.clone(),
        version: policy.current.version,
    };
    if let Err(error) = policy::adopt(env, jws).await {
        worker::console_error!("the bundle just put is not used by this isolate: {error}");
    }
    Reply::json(200, &answer)
}

/// What is said of a bundle that was put.
#[derive(Serialize)]
struct Put {
    gate_id: String,
    good_until: Option<i64>,
    policy_sha256: String,
    version: u64,
}

/// The gate as its control routes see it.
struct Control {
    env: Env,
    policy: Rc<Policy>,
    writer: Writer,
    /// The key before, while objects hand over from it.
    before: Option<PublicKey>,
    ledger: GateLedger,
}

impl Control {
    #[expect(clippy::arc_with_non_send_sync, reason = "the routes are the same where there are threads")]
    async fn open(env: Env, context: &Context) -> Result<Arc<dyn Controlled>, String> {
        let policy = policy::in_force(&env, context).await?;
        let key = settings::attestation_key(&env).map_err(|error| error.to_string())?;
        // A writer that signs heads and writes no chain.
        let writer = Writer::new(key, String::new(), policy.gate.record());
        let ledger = GateLedger { env: env.clone() };
        let before = settings::attestation_key_before(&env).map_err(|error| error.to_string())?;
        let before = before.map(|key| key.public().clone()).filter(|key| key != writer.public_key());
        Ok(Arc::new(Self { env, policy, writer, before, ledger }))
    }
}

#[async_trait(?Send)]
impl Controlled for Control {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.policy.gate)
    }

    fn now(&self) -> UnixMillis {
        clock::now()
    }

    fn ledger(&self) -> &dyn Ledger {
        &self.ledger
    }

    fn keys(&self) -> Vec<DatedKey> {
        let keys = self.before.iter().chain([self.writer.public_key()]);
        keys.cloned().map(DatedKey::unbounded).collect()
    }

    fn seal_head(&self, payload: &[u8]) -> Result<String, OperationError> {
        Ok(self.writer.seal_head(payload))
    }

    async fn standing(&self, subjects: &[Subject]) -> Result<Vec<Standing>, OperationError> {
        let found = async { Call::new("/standing").json(&subjects).ask(&calls::gate(&self.env)?).await };
        found.await.map_err(|error: CallError| StoreError::Unavailable(error.to_string()).into())
    }

    async fn revoke(&self, what: &Revocation) -> Result<String, OperationError> {
        Ok(self.recorded("/revoke", what).await?.record)
    }

    async fn change(&self, which: Suspension, what: &Revocation) -> Result<Change, OperationError> {
        let path = match which {
            Suspension::Suspend => "/suspend",
            Suspension::Reinstate => "/reinstate",
        };
        let Recorded { record, changed, .. } = self.recorded(path, what).await?;
        Ok(Change { record, changed })
    }

    async fn reconcile(&self, what: &Reconciliation) -> Result<String, OperationError> {
        let stamp = crate::testing::stamp().map_or_else(clock::stamp, Ok).map_err(OperationError::Gate)?;
        let found = self.ledger.record(&what.decision_id).await?;
        let agent = found.as_ref().and_then(|record| decided_agent(&record.jws));
        let (issuer, agent_id) = agent.ok_or_else(|| StoreError::NotHeld(what.decision_id.clone()))?;
        let asked = async {
            let object = calls::admission(&self.env, &handler::object_of(&self.policy, &issuer, &agent_id))?;
            Call::new("/reconcile").stamp(stamp).gate(&self.policy.gate.record()).json(what).ask(&object).await
        };
        asked.await.map_err(|error: CallError| match error {
            CallError::Refused(NOT_HELD, _) => StoreError::NotHeld(what.decision_id.clone()).into(),
            error => StoreError::Unavailable(error.to_string()).into(),
        })
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, OperationError> {
        approvals::one(&self.env, id).await
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, OperationError> {
        approvals::some(&self.env, after, limit).await
    }

    async fn answer_request(&self, id: &str, answer: GivenAnswer) -> Result<String, OperationError> {
        approvals::answer(&self.env, &self.policy.gate, id, &answer).await
    }

    async fn end_request(&self, id: &str, state: RequestState) -> Result<(), OperationError> {
        approvals::end(&self.env, &self.policy.gate, id, state).await
    }
}

/// The issuer and the root agent of a decision, from its record.
fn decided_agent(jws: &str) -> Option<(String, String)> {
    let attestation = view::attestation(jws).ok()?;
    let agent = attestation.get("agent")?;
    let root = agent.get("delegated_by").and_then(|chain| chain.get(0)).unwrap_or(agent);
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((text(agent, "issuer")?, text(root, "agent_id")?))
}

impl Control {
    /// The gate's object records a change, then tells everyone who watches; only then it is done.
    async fn recorded(&self, path: &'static str, what: &Revocation) -> Result<Recorded, OperationError> {
        let stamp = crate::testing::stamp().map_or_else(clock::stamp, Ok).map_err(OperationError::Gate)?;
        let subject = what.subject();
        let told = async {
            let gate = calls::gate(&self.env)?;
            let change = Call::new(path).gate(&self.policy.gate.record()).stamp(stamp).json(subject);
            let recorded: Recorded = change.ask(&gate).await?;
            let (mut after, mut failure) = (String::new(), None);
            loop {
                let tell = Call::new("/tell").with(AFTER_FIELD, &after).json(subject);
                let Told { after: next, failed } = tell.ask(&gate).await?;
                failure = failure.or(failed);
                after = next;
                if after.is_empty() {
                    break;
                }
            }
            if let Some(why) = failure {
                return Err(CallError::Failed(why));
            }
            Call::new("/told").with(RECORD_FIELD, &recorded.id).json(subject).to(&gate).await?;
            Ok(recorded)
        };
        told.await.map_err(|error: CallError| match error {
            CallError::Refused(REVOKED, _) => StoreError::Revoked(Box::new(subject.clone())).into(),
            error => StoreError::Unavailable(error.to_string()).into(),
        })
    }
}
