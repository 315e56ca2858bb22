//! A client of a gate's control plane: on this machine's socket, or of a gate that runs elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use passgate_api::answer::Problem;
use passgate_api::edge;
use passgate_passport::jwk;
use passgate_passport::key::PublicKey;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::remote::{Remote, RemoteGate, RemoteGateError};
use passgate_api::http::approvals::{ApprovalDoc, ApprovalPage, ApprovalQuery, Approve, Deny};
use passgate_api::http::documents::{
    ExportFormat, Query, QueryPage, Reconciliation, Revocation, RevocationState, Rotated, Rotation,
};
use passgate_api::http::route::PluginKey;
use passgate_api::http::standing::{Change, Suspension};

/// How long the gateway may take to begin an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer read as one document, in bytes: a full page of the largest records.
const MAX_ANSWER_BYTES: usize = 128 * 1024 * 1024;
/// The media type of a status list token on the wire.
const STATUS_LIST_MEDIA_TYPE: &str = "application/statuslist+jwt";

/// The gateway did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no gateway answers on {}: {source}", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The gate that runs elsewhere cannot be connected to.
    #[error("no gate answers at {gate}: {why}")]
    Unreachable {
        /// Where it should be.
        gate: String,
        /// What went wrong.
        why: String,
    },
    /// What answers wants to be asked elsewhere.
    #[error("a redirect to `{location}` ({status}) is not followed: name the gate's own URL")]
    Redirected {
        /// The HTTP status.
        status: u16,
        /// Where it leads.
        location: String,
    },
    /// The gateway refused, with its problem document.
    #[error("the gateway refused ({status}): {title} {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        code: String,
        /// What kind of problem it is.
        title: String,
        /// What it is about this one.
        detail: String,
    },
    /// The exchange broke off, or what came back was not understood.
    #[error("the exchange with the gateway failed: {0}")]
    Exchange(String),
    /// What was received could not be written.
    #[error("the export could not be written: {0}")]
    Output(io::Error),
}

/// A client of one gate's control plane.
#[derive(Debug, Clone)]
pub struct ControlClient {
    way: Way,
}

/// How the gate is reached.
#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    Remote(Box<Remote>),
}

impl ControlClient {
    /// A client of the gateway that listens on `socket`.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] when nobody does.
    pub async fn connect(socket: &Path) -> Result<Self, ClientError> {
        connected(socket).await?;
        Ok(Self { way: Way::Socket(socket.to_owned()) })
    }

    /// A client of a gate that runs elsewhere. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`RemoteGateError`].
    pub fn remote(gate: RemoteGate) -> Result<Self, RemoteGateError> {
        Ok(Self { way: Way::Remote(Box::new(Remote::new(gate)?)) })
    }

    /// Where the gate is reached, when it runs elsewhere.
    #[must_use]
    pub fn remote_origin(&self) -> Option<&str> {
        match &self.way {
            Way::Socket(_) => None,
            Way::Remote(remote) => Some(remote.origin()),
        }
    }

    /// One page of attestations.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn query(&self, query: &Query) -> Result<QueryPage, ClientError> {
        self.document(Method::GET, &with_query("/v1/attestations", query)?, Bytes::new()).await
    }

    /// The attestation with this id.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn attestation(&self, id: &str) -> Result<Option<Map<String, Value>>, ClientError> {
        let path = format!("/v1/attestations/{}", segment(id));
        match self.document(Method::GET, &path, Bytes::new()).await {
            Ok(found) => Ok(Some(found)),
            // Without a code it is not the gate that finds nothing.
            Err(ClientError::Refused { status: 404, code, .. }) if !code.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an export as it arrives. A broken-off export is an error, also when some of it was written.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn export(
        &self,
        format: ExportFormat,
        query: &Query,
        output: &mut (dyn AsyncWrite + Unpin + Send),
    ) -> Result<(), ClientError> {
        let query = Query { format: Some(format), limit: None, cursor: None, ..query.clone() };
        let path = with_query("/v1/attestations/export", &query)?;
        let mut body = self.request(Method::GET, &path, Bytes::new()).await?.into_body();
        while let Some(frame) = in_time(IDLE_TIMEOUT, body.frame()).await? {
            if let Ok(data) = frame.map_err(exchange)?.into_data() {
                output.write_all(&data).await.map_err(ClientError::Output)?;
            }
        }
        output.flush().await.map_err(ClientError::Output)
    }

    /// The keys that attestations verify with.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn keys(&self) -> Result<Vec<PublicKey>, ClientError> {
        let body = self.bytes(Method::GET, "/v1/keys", Bytes::new()).await?;
        jwk::parse_set(&body).map_err(exchange)
    }

    /// Hands over to the next attestation key of a gateway on this machine.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn rotate_key(&self, rotation: &Rotation) -> Result<Rotated, ClientError> {
        let body = serde_json::to_vec(rotation).map_err(exchange)?;
        self.document(Method::POST, "/v1/keys/rotate", body.into()).await
    }

    /// Revokes, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn revoke(&self, what: &Revocation) -> Result<Map<String, Value>, ClientError> {
        let body = serde_json::to_vec(what).map_err(exchange)?;
        self.document(Method::POST, "/v1/revocations", body.into()).await
    }

    /// Suspends or reinstates, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn change(
        &self,
        which: Suspension,
        what: &Revocation,
    ) -> Result<Change<Map<String, Value>>, ClientError> {
        let body = serde_json::to_vec(what).map_err(exchange)?;
        let response = self.request(Method::POST, which.path(), body.into()).await?;
        let changed = response.status() == StatusCode::CREATED;
        Ok(Change { record: self.parsed(response).await?, changed })
    }

    /// Says what became of a request whose outcome was not known, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn reconcile(&self, what: &Reconciliation) -> Result<Map<String, Value>, ClientError> {
        let body = serde_json::to_vec(what).map_err(exchange)?;
        self.document(Method::POST, "/v1/reconciliations", body.into()).await
    }

    /// One page of requests for approval.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn approvals(&self, query: &ApprovalQuery) -> Result<ApprovalPage, ClientError> {
        self.document(Method::GET, &with_query("/v1/approvals", query)?, Bytes::new()).await
    }

    /// The request for approval with this id, with what approvers are shown.
    ///
    /// # Errors
    ///
    /// [`ClientError`], also when there is none.
    pub async fn approval(&self, id: &str) -> Result<ApprovalDoc, ClientError> {
        self.document(Method::GET, &format!("/v1/approvals/{}", segment(id)), Bytes::new()).await
    }

    /// Gives an approval, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn approve(&self, id: &str, given: &Approve) -> Result<Map<String, Value>, ClientError> {
        self.answer_request(id, "approve", serde_json::to_vec(given).map_err(exchange)?).await
    }

    /// Denies a request for approval, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn deny(&self, id: &str, given: &Deny) -> Result<Map<String, Value>, ClientError> {
        self.answer_request(id, "deny", serde_json::to_vec(given).map_err(exchange)?).await
    }

    /// Takes a request for approval back, and every approval of it, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn withdraw(&self, id: &str) -> Result<Map<String, Value>, ClientError> {
        self.answer_request(id, "withdraw", Vec::new()).await
    }

    async fn answer_request(&self, id: &str, verb: &str, body: Vec<u8>) -> Result<Map<String, Value>, ClientError> {
        self.document(Method::POST, &format!("/v1/approvals/{}/{verb}", segment(id)), body.into()).await
    }

    /// Since when something is revoked or suspended.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn revocation(&self, of: &Revocation) -> Result<RevocationState, ClientError> {
        self.document(Method::GET, &with_query("/v1/revocations", of)?, Bytes::new()).await
    }

    /// The value of a plugin's key, if it has one.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn plugin_key(&self, of: &PluginKey) -> Result<Option<Vec<u8>>, ClientError> {
        match self.bytes(Method::GET, &key_path(of), Bytes::new()).await {
            Ok(value) => Ok(Some(value.into())),
            // Without a code it is not the gate that finds nothing.
            Err(ClientError::Refused { status: 404, code, .. }) if !code.is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a plugin's key this value, or deletes it without one, and gives the record of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn set_plugin_key(
        &self,
        of: &PluginKey,
        value: Option<Vec<u8>>,
    ) -> Result<Map<String, Value>, ClientError> {
        let method = if value.is_some() { Method::PUT } else { Method::DELETE };
        let body = value.unwrap_or_default().into();
        self.parsed(self.send(method, &key_path(of), "application/octet-stream", body).await?).await
    }

    /// Whether the gateway is well.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when it is not.
    pub async fn health(&self) -> Result<(), ClientError> {
        self.bytes(Method::GET, "/healthz", Bytes::new()).await.map(|_| ())
    }

    /// The metrics as text.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let body = self.bytes(Method::GET, "/metrics", Bytes::new()).await?;
        String::from_utf8(body.into()).map_err(exchange)
    }

    /// Gives a gate that runs elsewhere another bundle, and gives what it says about it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn put_bundle(&self, jws: &str) -> Result<Map<String, Value>, ClientError> {
        let body = Bytes::from(jws.to_owned());
        self.parsed(self.send(Method::PUT, "/v1/bundle", edge::MEDIA_TYPE, body).await?).await
    }

    /// Gives a gate that runs elsewhere a newer status list.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn put_status_list(&self, jws: &str) -> Result<(), ClientError> {
        let body = Bytes::from(jws.to_owned());
        let response = self.send(Method::PUT, "/v1/status-lists", STATUS_LIST_MEDIA_TYPE, body).await?;
        collect(response).await.map(|_| ())
    }

    async fn document<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, ClientError> {
        self.parsed(self.request(method, path, body).await?).await
    }

    async fn parsed<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        serde_json::from_slice(&collect(response).await?).map_err(exchange)
    }

    async fn bytes(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        collect(self.request(method, path, body).await?).await
    }

    async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, ClientError> {
        self.send(method, path, "application/json", body).await
    }

    /// Sends one request. An answer other than 2xx is an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        media_type: &'static str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, media_type);
        let request = request.body(Full::new(body)).map_err(exchange)?;
        let response = match &self.way {
            Way::Socket(socket) => send_on_socket(socket, request).await?,
            Way::Remote(remote) => in_time(ANSWER_TIMEOUT, remote.send(request)).await??,
        };
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }
}

/// Sends the request on a connection of its own.
async fn send_on_socket(socket: &Path, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
    let stream = TokioIo::new(connected(socket).await?);
    let (mut sender, connection) = http1::handshake(stream).await.map_err(exchange)?;
    tokio::spawn(async move {
        // Its failure shows in the response body.
        let _ = connection.await;
    });
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("passgate"));
    in_time(ANSWER_TIMEOUT, sender.send_request(request)).await?.map_err(exchange)
}

async fn connected(socket: &Path) -> Result<UnixStream, ClientError> {
    let failed = |source| ClientError::NotRunning { path: socket.to_owned(), source };
    UnixStream::connect(socket).await.map_err(failed)
}

async fn in_time<T>(limit: Duration, doing: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(limit, doing).await.map_err(|_| exchange("no answer in time"))
}

async fn refused(response: Response<Incoming>) -> ClientError {
    let status: StatusCode = response.status();
    let problem = collect(response).await.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
    let Some(Problem { reason_code, title, detail, .. }) = problem else {
        return ClientError::Refused {
            status: status.as_u16(),
            code: String::new(),
            title: "The answer is no gate's: it holds no problem document.".to_owned(),
            detail: String::new(),
        };
    };
    ClientError::Refused {
        status: status.as_u16(),
        code: reason_code.into_owned(),
        title: title.into_owned(),
        detail: detail.unwrap_or_default(),
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    Ok(in_time(IDLE_TIMEOUT, body.collect()).await?.map_err(exchange)?.to_bytes())
}

pub(super) fn exchange(error: impl ToString) -> ClientError {
    ClientError::Exchange(error.to_string())
}

/// The path with the document's members as its query.
fn with_query(path: &str, document: &impl serde::Serialize) -> Result<String, ClientError> {
    let members = serde_json::to_value(document).map_err(exchange)?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in members.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => query.append_pair(name, text),
            other => query.append_pair(name, &other.to_string()),
        };
    }
    Ok(format!("{path}?{}", query.finish()))
}

fn key_path(of: &PluginKey) -> String {
    format!("/v1/plugins/{}/keys/{}", segment(&of.plugin), segment(&of.key))
}

/// The id as one segment of a path.
fn segment(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20")
}
