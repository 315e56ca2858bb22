//! Places for requests whose bodies are still coming.
//!
//! A body that does not come holds its place until its time is up, and holding one costs a client nothing. So one place
//! belongs to each connection alone, where nobody else can take it; what it reads beside that comes out of a pool that
//! all connections share and of which each may have only a part.

use std::sync::Arc;

use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ServerLimits;

/// The places of one connection.
#[derive(Debug)]
pub(super) struct Places {
    own: Arc<Semaphore>,
    further: Arc<Semaphore>,
    pool: Arc<Semaphore>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Places {
    /// The places of a new connection. `pool` is shared by all and has [`ServerLimits::max_parallel_reads`] permits.
    pub(super) fn new(limits: &ServerLimits, pool: &Arc<Semaphore>) -> Self {
        let further = limits.max_reads_per_connection.saturating_sub(1);
        Self { own: Arc::new(Semaphore::new(1)), further: Arc::new(Semaphore::new(further)), pool: Arc::clone(pool) }
    }

    /// A place to read `body` in, or `None` when there is none. A body that has ended already needs no room.
    pub(super) fn take(&self, body: &impl Body) -> Option<Place> {
        if body.is_end_stream() {
            return Some(Place { _permits: [None, None] });
        }
        let permit = |from: &Arc<Semaphore>| Arc::clone(from).try_acquire_owned().ok();
        if let Some(own) = permit(&self.own) {
            return Some(Place { _permits: [Some(own), None] });
        }
        Some(Place { _permits: [Some(permit(&self.further)?), Some(permit(&self.pool)?)] })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;

    fn coming() -> Full<Bytes> {
        Full::new(Bytes::from_static(b"x"))
    }

    #[test]
    fn each_connection_has_a_place_that_no_other_can_take() {
        let limits = ServerLimits { max_reads_per_connection: 3, ..ServerLimits::default() };
        let pool = Arc::new(Semaphore::new(3));
        let (first, second) = (Places::new(&limits, &pool), Places::new(&limits, &pool));
        let held: Vec<Place> = (0..3).map(|_| first.take(&coming()).unwrap()).collect();
        assert!(first.take(&coming()).is_none(), "the part of one connection");
        assert!(first.take(&Empty::<Bytes>::new()).is_some());
        let also: Vec<Place> = (0..2).map(|_| second.take(&coming()).unwrap()).collect();
        assert!(second.take(&coming()).is_none(), "the pool is empty");
        let third = Places::new(&limits, &pool);
        let own = third.take(&coming()).unwrap();
        drop((held, also, own));
        assert_eq!(pool.available_permits(), 3);
        assert!((0..3).map(|_| first.take(&coming())).all(|place| place.is_some()));
    }
}
