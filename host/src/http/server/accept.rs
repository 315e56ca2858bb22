//! Where connections come from, and what happens when they do not.

use std::future::{Future, pending};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to leave the listener alone after it failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A source of connections.
pub trait Listener: Send + Sync + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What is known of the other end.
    type Peer: std::fmt::Debug + Copy + Send + Sync + 'static;

    /// The next connection. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// When there is none to be had for now; asking again later is always right.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        Ok((stream, peer))
    }
}

/// The other end of a Unix domain socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local;

impl Listener for UnixListener {
    type Stream = UnixStream;
    type Peer = Local;

    async fn accept(&self) -> io::Result<(UnixStream, Local)> {
        Self::accept(self).await.map(|(stream, _)| (stream, Local))
    }
}

/// Takes connections as long as there is room for them, and never gives up.
pub(super) struct Acceptor<L> {
    listener: L,
    connections: Arc<Semaphore>,
    failing: bool,
}

impl<L: Listener> Acceptor<L> {
    pub(super) fn new(listener: L, max_connections: usize) -> Self {
        Self { listener, connections: Arc::new(Semaphore::new(max_connections)), failing: false }
    }

    /// The next connection with its place. `told` hears `false` for every failure, and `true` once it is over.
    pub(super) async fn next(&mut self, told: impl Fn(bool)) -> (OwnedSemaphorePermit, L::Stream, L::Peer) {
        let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
            // Nobody closes this semaphore.
            return pending().await;
        };
        loop {
            let accepted = if self.failing {
                // Nobody waiting is no failure either.
                tokio::time::timeout(ACCEPT_PAUSE, self.listener.accept()).await.ok()
            } else {
                Some(self.listener.accept().await)
            };
            match accepted {
                Some(Err(error)) if is_the_clients(&error) => tracing::debug!(%error, "a client left at once"),
                Some(Err(error)) => {
                    if !mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "connections cannot be accepted for now");
                    }
                    told(false);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                well => {
                    if mem::take(&mut self.failing) {
                        tracing::info!("connections are accepted again");
                        told(true);
                    }
                    if let Some(Ok((stream, peer))) = well {
                        return (permit, stream, peer);
                    }
                }
            }
        }
    }
}

/// Whether one connection failed rather than the listener.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
