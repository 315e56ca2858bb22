//! The control plane: what operators ask of a gate, over a Unix domain socket that only its owner can open.
//!
//! These are the routes of [`passgate_api::http::route`] but those of bundles and pushed status lists, for which no API key is needed here, and `GET /healthz`,
//! `GET /readyz` and `GET /metrics`, also over TCP when `control.metrics_listen` is set.
//!
//! Errors are RFC 9457 problem documents. Without a running gateway, [`Access`] does the same on the store itself.

mod access;
mod client;
mod operations;
mod plane;
mod remote;
mod routes;

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use access::{Access, AccessError, Offline};
pub use client::{ClientError, ControlClient};
pub(crate) use operations::Keys;
pub use operations::{OperationError, Operations};
pub use passgate_api::http::approvals::{ApprovalDoc, ApprovalPage, ApprovalQuery, ApprovalStatus, Approve, Deny};
pub use passgate_api::http::documents::{
    DEFAULT_QUERY_LIMIT, DocumentError, ExportFormat, MAX_QUERY_LIMIT, Query, QueryPage, Reconciliation, Revocation,
    RevocationState, Rotated, Rotation,
};
pub use passgate_api::http::route::PluginKey;
pub use passgate_api::http::standing::{Change, Suspension};
pub use remote::{RemoteGate, RemoteGateError};

use self::routes::Surface;
use crate::files;
use crate::gateway::ServeError;
use crate::health::Health;
use crate::metrics::Metrics;

/// How long to wait for the control plane when the gate stops; it cuts what takes long before that.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Control {
    operations: Arc<Operations>,
    health: Arc<Health>,
    metrics: Metrics,
}

impl Control {
    pub(crate) fn new(operations: Arc<Operations>, health: Arc<Health>, metrics: Metrics) -> Self {
        Self { operations, health, metrics }
    }

    /// Serves everything on the socket, and health and metrics alone over TCP.
    pub(crate) fn serve(self, socket: ControlSocket, metrics: Option<TcpListener>) -> Served {
        let (stop, stopping) = watch::channel(false);
        let ControlSocket { listener, path } = socket;
        let all = plane::serve(listener, self.clone(), Surface::All, stopping.clone());
        let mut tasks = vec![tokio::spawn(all)];
        tasks.extend(metrics.map(|listener| tokio::spawn(plane::serve(listener, self, Surface::Observing, stopping))));
        Served { stop, tasks, path }
    }
}

/// A served control plane.
pub(crate) struct Served {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    path: PathBuf,
}

impl Served {
    /// Takes no more requests, lets short ones finish and removes the socket.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        let deadline = Instant::now() + STOP_TIMEOUT;
        for task in &mut self.tasks {
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                tracing::warn!("the control plane did not stop in time");
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // It may be gone already; the next start removes what is left.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A bound control socket.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// Binds the socket (mode 0600), making its folder (mode 0700) when it is not there. A folder that others can write to
/// is refused: they could put a socket of their own there. A socket that nobody listens on is replaced.
pub(crate) async fn bind_socket(path: &Path) -> Result<ControlSocket, ServeError> {
    let failed = |source: io::Error| ServeError::Socket { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::create_private_dir(folder)?;
    let mode = std::fs::metadata(folder).map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ServeError::SocketFolder { folder: folder.to_owned(), mode });
    }
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is there")));
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(ServeError::Running { path: path.to_owned() });
        }
        std::fs::remove_file(path).map_err(failed)?;
    }
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    // Between the two calls around it nobody can connect, whatever the mode is by then.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    Ok(ControlSocket { listener, path: path.to_owned() })
}
