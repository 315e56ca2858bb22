//! Serves the routes within limits. Whoever can reach the socket, or the address of the metrics, shares open files with
//! the data plane, so a connection here costs as little and ends as surely as one there.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use passgate_api::answer::Problem;
use passgate_api::http::reply::Reply;
use tokio::sync::watch;

use super::Control;
use super::routes::{self, ControlBody, Surface};
use crate::http::server::{self, Fault, Handler, Listener, ServerLimits, Stopped};

/// Connections, and requests, at once on each listener. There is one operator and one scraper, or a few.
const MAX_CONNECTIONS: usize = 64;
/// Time for a complete request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the rest of a request until the head of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// An export may be read with pauses, and take long.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long requests may go on when the gate stops; a long export does not hold it up.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Serves until `stopping` says so, then lets short requests finish.
pub(super) async fn serve(
    listener: impl Listener,
    control: Control,
    surface: Surface,
    mut stopping: watch::Receiver<bool>,
) {
    let stopped = async move {
        // An error means that the gateway itself is gone.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let plane = Arc::new(Plane { control, surface });
    let Stopped { connections_cut } = server::serve(listener, limits(), plane, stopped).await;
    if connections_cut > 0 {
        tracing::warn!(connections_cut, "requests to the control plane were cut at shutdown");
    }
}

fn limits() -> ServerLimits {
    ServerLimits {
        max_connections: MAX_CONNECTIONS,
        max_requests_in_flight: MAX_CONNECTIONS,
        max_parallel_reads: MAX_CONNECTIONS,
        header_read_timeout: HEADER_TIMEOUT,
        write_stall_timeout: WRITE_STALL_TIMEOUT,
        max_connection_age: MAX_CONNECTION_AGE,
        drain_deadline: STOP_GRACE,
        ..ServerLimits::default()
    }
}

struct Plane {
    control: Control,
    surface: Surface,
}

impl<P: Send + 'static> Handler<P> for Plane {
    type Body = ControlBody;
    type Taken = Request<Incoming>;

    /// The routes read what they need themselves.
    async fn take(&self, request: Request<Incoming>, _peer: P) -> Request<Incoming> {
        request
    }

    async fn call(&self, request: Request<Incoming>) -> Response<ControlBody> {
        let answer = routes::answer(&self.control, self.surface, request);
        tokio::time::timeout(REQUEST_TIMEOUT, answer).await.unwrap_or_else(|_| {
            let mut response = failure(503, "timeout", "The request took too long.");
            // What is left of its body must not be taken for a request.
            response.extensions_mut().insert(server::CloseAfter);
            response
        })
    }

    fn fault(&self, fault: Fault) -> Response<ControlBody> {
        match fault {
            Fault::Panicked => failure(500, "internal_error", "The gate failed."),
            Fault::Overloaded => failure(503, "gate_overloaded", "Too many requests at once."),
        }
    }
}

fn failure(status: u16, code: &'static str, title: &'static str) -> Response<ControlBody> {
    routes::written(Reply::problem(&Problem::new(status, code, title)))
}
