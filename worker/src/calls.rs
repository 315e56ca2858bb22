//! Calls from the Worker to its objects, and among them.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use passgate_core::attest::{GateRecord, Stamp};
use passgate_passport::json;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Headers, Stub, web_sys};

use crate::clock;
use crate::messages::{GATE_FIELD, STAMP_FIELD, gate_text};
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

/// A call of an object: what is short stands in header fields, the rest in the body.
///
/// In a box: it is handed on with each thing that it gets.
pub(crate) struct Call(Box<Parts>);

struct Parts {
    path: &'static str,
    headers: Headers,
    body: String,
    unsendable: Option<String>,
}

impl Call {
    pub(crate) fn new(path: &'static str) -> Self {
        Self(Box::new(Parts { path, headers: Headers::new(), body: String::new(), unsendable: None }))
    }

    /// With a field. Values are ASCII.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Err(error) = self.0.headers.set(name, value) {
            self.0.unsendable = Some(error.to_string());
        }
        self
    }

    /// With the stamp of the record that it makes.
    pub(crate) fn stamp(self, stamp: Stamp) -> Self {
        self.with(STAMP_FIELD, &clock::to_text(stamp))
    }

    /// With the gate whose record it makes.
    pub(crate) fn gate(self, gate: &GateRecord) -> Self {
        self.with(GATE_FIELD, &gate_text(gate))
    }

    /// With a body.
    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        match String::from_utf8(body) {
            Ok(body) => self.0.body = body,
            Err(error) => self.0.unsendable = Some(error.to_string()),
        }
        self
    }

    /// With a document as its body.
    pub(crate) fn json(mut self, document: &impl Serialize) -> Self {
        match serde_json::to_string(document) {
            Ok(body) => self.0.body = body,
            Err(error) => self.0.unsendable = Some(error.to_string()),
        }
        self
    }

    /// Makes the call and gives the bytes of the answer.
    pub(crate) async fn to(self, stub: &Stub) -> Result<Vec<u8>, CallError> {
        let Parts { path, headers, body, unsendable } = *self.0;
        if let Some(why) = unsendable {
            return Err(CallError::Failed(why));
        }
        let exchange = async {
            crate::testing::pass_on(&headers)?;
            // Not that of the crate `worker`, which can resize images.
            let init = web_sys::RequestInit::new();
            init.set_method("POST");
            init.set_headers(&headers.0);
            init.set_body(&body.as_str().into());
            let request = web_sys::Request::new_with_str_and_init(&format!("https://object{path}"), &init)?;
            crate::testing::count_object_call(path);
            let mut response = stub.fetch_with_request(request.into()).await?;
            Ok((response.status_code(), response.bytes().await?))
        };
        let (status, answer) = exchange.await.map_err(|error: worker::Error| CallError::Failed(error.to_string()))?;
        match status {
            200 => Ok(answer),
            _ => Err(CallError::Refused(status, String::from_utf8_lossy(&answer).into_owned())),
        }
    }

    /// Makes the call and reads the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(self, stub: &Stub) -> Result<T, CallError> {
        let path = self.0.path;
        let answer = self.to(stub).await?;
        json::read_back(&answer).map_err(|error| CallError::Failed(format!("{path} was answered strangely: {error}")))
    }
}

/// A future among others of its kind.
pub(crate) type Boxed<'f, T> = Pin<Box<dyn Future<Output = T> + 'f>>;

/// Goes on with all of `futures` at once, until one fails or all are done; gives the outputs in their order.
///
/// Not that of `futures_util`, which brings a scheduler along: whenever one of these few can go on, all are asked.
pub(crate) async fn try_join_all<T, E>(mut futures: Vec<Boxed<'_, Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut is_waiting = false;
        for (future, output) in futures.iter_mut().zip(&mut done).filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(Ok(value)) => *output = Some(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => is_waiting = true,
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(done.into_iter().flatten().collect())
}
