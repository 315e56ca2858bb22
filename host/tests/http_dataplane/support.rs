//! A gate made of the building blocks alone, which allows every request it can take in, and a raw client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming};
use passgate_host::http::BoxError;
use passgate_host::http::authority::Scheme;
use passgate_host::http::headers;
use passgate_host::http::intake::{Intake, IntakeError, IntakeLimits, intake};
use passgate_host::http::server::{CloseAfter, Fault, Handler, Listener, ServerLimits, Stopped, serve};
use passgate_host::http::upstream::{BodyReport, Outbound, Upstream, UpstreamConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::origin::Origin;

/// Long enough never to be met by a machine that is merely busy; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fails instead of waiting for ever.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened")
}

pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    pub(crate) core: Arc<Core>,
    pub(crate) reports: mpsc::UnboundedReceiver<BodyReport>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Stopped>,
}

/// Settings of a test gate; times are short where a test waits for them to pass.
pub(crate) struct Settings {
    pub(crate) server: ServerLimits,
    pub(crate) intake: IntakeLimits,
    pub(crate) upstream: UpstreamConfig,
}

impl Settings {
    pub(crate) fn new(origin: &str) -> Self {
        let second = Duration::from_secs(1);
        Self {
            server: ServerLimits { header_read_timeout: second, ..ServerLimits::default() },
            intake: IntakeLimits { body_timeout: second, ..IntakeLimits::new(Scheme::Http) },
            upstream: UpstreamConfig::new(origin),
        }
    }
}

/// The handler of the gate.
pub(crate) struct Core {
    intake: IntakeLimits,
    upstream: Upstream,
    judged: Mutex<Vec<Intake>>,
    reports: mpsc::UnboundedSender<BodyReport>,
    /// Requests to `/hold` add a permit to `held` when they arrive and take one of `release` to go on.
    pub(crate) held: Semaphore,
    pub(crate) release: Semaphore,
    /// What the gate said of accepting connections.
    pub(crate) accepting: Mutex<Vec<bool>>,
}

impl Gate {
    pub(crate) async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::start_on(listener, address, settings)
    }

    /// A gate that takes its connections from `listener`, which clients reach at `address`.
    pub(crate) fn start_on(
        listener: impl Listener<Peer = SocketAddr>,
        address: SocketAddr,
        settings: Settings,
    ) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let core = Arc::new(Core {
            intake: settings.intake,
            upstream: Upstream::new(settings.upstream).unwrap(),
            judged: Mutex::default(),
            reports: sender,
            held: Semaphore::new(0),
            release: Semaphore::new(0),
            accepting: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve(listener, settings.server, Arc::clone(&core), shutdown));
        Self { address, core, reports, stop: Some(stop), serving }
    }

    pub(crate) async fn before(origin: &Origin) -> Self {
        Self::start(Settings::new(&origin.url())).await
    }

    /// Method, target and body of every request that was taken in.
    pub(crate) fn judged(&self) -> Vec<(String, String, Vec<u8>)> {
        let target = |intake: &Intake| match &intake.query {
            Some(query) => format!("{}?{query}", intake.path),
            None => intake.path.clone(),
        };
        let judged = self.core.judged.lock().unwrap();
        judged.iter().map(|intake| (intake.method.clone(), target(intake), intake.body.to_vec())).collect()
    }

    pub(crate) fn authorities(&self) -> Vec<Option<String>> {
        self.core.judged.lock().unwrap().iter().map(|intake| intake.authority.clone()).collect()
    }

    /// Tells the gate to stop; the handle says how that went.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn stopped(self) -> Stopped {
        patiently(self.serving).await.unwrap()
    }

    /// Sends bytes on a connection of their own and returns what came back before the gate closed it.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = Client::connect(self.address).await;
        client.send(bytes).await;
        client.rest().await
    }
}

pub(crate) struct Client(pub TcpStream);

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Writes bytes; the gate may have stopped reading before the last of them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = patiently(self.0.write_all(bytes.as_ref())).await;
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut received = Vec::new();
        let _ = patiently(self.0.read_to_end(&mut received)).await;
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Everything up to and including `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut received = Vec::new();
        while !received.ends_with(end.as_bytes()) {
            let byte = patiently(self.0.read_u8()).await;
            received.push(byte.unwrap_or_else(|_| panic!("closed after {:?}", String::from_utf8_lossy(&received))));
        }
        String::from_utf8(received).unwrap()
    }
}

/// Body that panics when it is asked for data.
struct Bomb;

impl Body for Bomb {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("a body panics on purpose");
    }
}

type TestBody = UnsyncBoxBody<Bytes, BoxError>;

fn plain(status: StatusCode, text: &str) -> Response<TestBody> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

impl Core {
    async fn forward(&self, taken: Intake, peer: SocketAddr) -> Response<TestBody> {
        let mut fields = match headers::forwardable(&taken.headers) {
            Ok(fields) => fields,
            Err(error) => return plain(StatusCode::BAD_REQUEST, &format!("{error:?}")),
        };
        self.judged.lock().unwrap().push(taken.clone());
        fields.extend(headers::proxy_claims(peer.ip(), Scheme::Http, taken.authority.as_deref()));
        let outbound =
            Outbound { method: taken.method, path: taken.path, query: taken.query, headers: fields, body: taken.body };
        match self.upstream.send(outbound).await {
            Ok(answer) => {
                let reports = self.reports.clone();
                tokio::spawn(async move {
                    if let Ok(report) = answer.report.await {
                        let _ = reports.send(report);
                    }
                });
                let mut response = Response::new(answer.body.map_err(Into::into).boxed_unsync());
                *response.status_mut() = answer.status;
                *response.headers_mut() = answer.headers;
                response.headers_mut().insert("passgate-decision", HeaderValue::from_static("allow"));
                response
            }
            Err(error) => plain(error.status(), error.code()),
        }
    }
}

impl Handler for Core {
    type Body = TestBody;
    type Taken = (String, SocketAddr, Result<Intake, IntakeError>);

    async fn take(&self, request: Request<Incoming>, peer: SocketAddr) -> Self::Taken {
        let path = request.uri().path().to_owned();
        assert_ne!(path, "/panic-in-intake", "a handler panics on purpose");
        (path, peer, intake(request, &self.intake).await)
    }

    async fn call(&self, (path, peer, taken): Self::Taken) -> Response<TestBody> {
        match path.as_str() {
            "/panic" => panic!("a handler panics on purpose"),
            "/panic-in-body" => return Response::new(Bomb.boxed_unsync()),
            "/hold" => {
                self.held.add_permits(1);
                self.release.acquire().await.unwrap().forget();
                return plain(StatusCode::OK, "released");
            }
            _ => {}
        }
        match taken {
            Ok(taken) => self.forward(taken, peer).await,
            Err(error) => {
                // The error's own name tells more apart than the code that callers are given.
                let status = StatusCode::from_u16(error.reason().class().status()).unwrap();
                let mut response = plain(status, &format!("{error:?}"));
                response.extensions_mut().insert(CloseAfter);
                response
            }
        }
    }

    fn accepting(&self, well: bool) {
        self.accepting.lock().unwrap().push(well);
    }

    fn fault(&self, fault: Fault) -> Response<TestBody> {
        match fault {
            Fault::Panicked => plain(StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Fault::Overloaded => plain(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        }
    }
}
