//! Requests for approval: kept by the gate's object, whichever object decided.

use passgate_api::driver::GivenAnswer;
use passgate_api::http::control::OperationError;
use passgate_core::approval::{ApprovalRequest, Asked, RefusedAnswer, RequestState};
use passgate_core::attest::ApprovalAnswerRecord;
use passgate_core::gate::Gate;
use passgate_store::StoreError;
use worker::Env;

use crate::calls::{self, Call, CallError};
use crate::clock;
use crate::messages::{Replace, Requests};
use crate::object::CHANGED;

/// How often a change is tried when others come first. People answer, so more in a row are no accident.
const MAX_TRIES: usize = 5;

/// Asks people.
pub(crate) async fn ask(env: Env, request: ApprovalRequest) -> Result<Asked, CallError> {
    Call::new("/ask").json(&request).ask(&calls::gate(&env)?).await
}

/// The request with this id.
pub(crate) async fn one(env: &Env, id: &str) -> Result<Option<ApprovalRequest>, OperationError> {
    let found = async { Call::new("/request").json(&id).ask(&calls::gate(env)?).await };
    found.await.map_err(|error: CallError| StoreError::Unavailable(error.to_string()).into())
}

/// Requests that follow `after`.
pub(crate) async fn some(env: &Env, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, OperationError> {
    let which = Requests { after: after.to_owned(), limit };
    let found = async { Call::new("/requests").json(&which).ask(&calls::gate(env)?).await };
    found.await.map_err(|error: CallError| StoreError::Unavailable(error.to_string()).into())
}

/// Takes in an answer. It is held against the policy here, since the object knows none, and counts only if the request is
/// still what it was.
pub(crate) async fn answer(env: &Env, gate: &Gate, id: &str, answer: &GivenAnswer) -> Result<String, OperationError> {
    for _ in 0..MAX_TRIES {
        let before = one(env, id).await?.ok_or(StoreError::Answer(RefusedAnswer::NotFound))?;
        let answered = answer.given(before.clone(), gate, clock::now().seconds()).map_err(StoreError::Answer)?;
        let record = Some(answer.record(&answered));
        if let Some(record) = replace(env, gate, before, answered.request, record).await? {
            return Ok(record);
        }
    }
    Err(StoreError::Answer(RefusedAnswer::Changed).into())
}

/// Ends a request: whoever asks for the same asks anew.
pub(crate) async fn end(env: &Env, gate: &Gate, id: &str, state: RequestState) -> Result<(), OperationError> {
    for _ in 0..MAX_TRIES {
        let before = one(env, id).await?.ok_or(StoreError::Answer(RefusedAnswer::NotFound))?;
        let after = before.clone().ended(state);
        if replace(env, gate, before, after, None).await?.is_some() {
            return Ok(());
        }
    }
    Err(StoreError::Answer(RefusedAnswer::Changed).into())
}

/// The record, empty where there is none; nothing when somebody else changed the request first.
async fn replace(
    env: &Env,
    gate: &Gate,
    before: ApprovalRequest,
    after: ApprovalRequest,
    record: Option<ApprovalAnswerRecord>,
) -> Result<Option<String>, OperationError> {
    let stamp = crate::testing::stamp().map_or_else(clock::stamp, Ok).map_err(OperationError::Gate)?;
    let change = Replace { before, after, record };
    let call = Call::new("/replace").gate(&gate.record()).stamp(stamp).json(&change);
    let replaced: Result<Option<String>, CallError> = async { call.ask(&calls::gate(env)?).await }.await;
    match replaced {
        Ok(record) => Ok(Some(record.unwrap_or_default())),
        Err(CallError::Refused(CHANGED, _)) => Ok(None),
        Err(error) => Err(StoreError::Unavailable(error.to_string()).into()),
    }
}
