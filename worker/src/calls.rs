//! Calls from the Worker to its objects, and among them.

use passgate_core::attest::Stamp;
use passgate_passport::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Headers, Method, Request, RequestInit, Stub};

use crate::clock;
use crate::messages::STAMP_FIELD;
use crate::settings;

/// The name of the one object of the whole gate.
const GATE_NAME: &str = "gate";

/// A call that did not give what was asked for. The caller denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// No answer: the object cannot be reached, failed or panicked. What was asked for may have happened.
    Failed(String),
    /// The object refused, with this status and for this reason, and changed nothing.
    Refused(u16, String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "an object gave no answer: {why}"),
            Self::Refused(_, why) => f.write_str(why),
        }
    }
}

/// The object that admits under this name.
pub(crate) fn admission(env: &Env, name: &str) -> Result<Stub, CallError> {
    stub(env, settings::ADMISSION, name)
}

/// The object of the whole gate.
pub(crate) fn gate(env: &Env) -> Result<Stub, CallError> {
    stub(env, settings::GATE, &crate::testing::site_name(GATE_NAME))
}

fn stub(env: &Env, class: &'static str, name: &str) -> Result<Stub, CallError> {
    let failed = |error: &dyn std::fmt::Display| CallError::Failed(error.to_string());
    let namespace = settings::objects(env, class).map_err(|error| failed(&error))?;
    namespace.get_by_name(name).map_err(|error| failed(&error))
}

/// Asks an object and reads its answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    stub: &Stub,
    path: &str,
    message: &impl Serialize,
    stamp: Option<Stamp>,
) -> Result<T, CallError> {
    let answer = send(stub, path, message, stamp).await?;
    json::read_back(&answer).map_err(|error| CallError::Failed(format!("{path} was answered strangely: {error}")))
}

/// Asks an object and gives the bytes of its answer.
pub(crate) async fn send(
    stub: &Stub,
    path: &str,
    message: &impl Serialize,
    stamp: Option<Stamp>,
) -> Result<Vec<u8>, CallError> {
    let body = serde_json::to_string(message).map_err(|error| CallError::Failed(error.to_string()))?;
    let exchange = async {
        let headers = Headers::new();
        if let Some(stamp) = stamp {
            headers.set(STAMP_FIELD, &clock::to_text(stamp))?;
        }
        crate::testing::pass_on(&headers)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(body.as_str().into()));
        let request = Request::new_with_init(&format!("https://object{path}"), &init)?;
        crate::testing::count_object_call(path);
        let mut response = stub.fetch_with_request(request).await?;
        Ok((response.status_code(), response.bytes().await?))
    };
    let (status, answer) = exchange.await.map_err(|error: worker::Error| CallError::Failed(error.to_string()))?;
    match status {
        200 => Ok(answer),
        _ => Err(CallError::Refused(status, String::from_utf8_lossy(&answer).into_owned())),
    }
}
