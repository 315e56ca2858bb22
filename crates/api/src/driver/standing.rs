//! Suspending and reinstating.

use passgate_core::attest::{Body, Stamp};
use passgate_core::state::Subject;
use passgate_store::{Changed, StoreError};

use super::Driver;

impl Driver {
    /// Suspends `subject` until it is reinstated. When this returns, the next admission is refused.
    ///
    /// # Errors
    ///
    /// When the store cannot carry it out; the suspension may then be in force or not, and is safe to repeat.
    pub async fn suspend(&self, subject: Subject, stamp: Stamp) -> Result<Changed, StoreError> {
        let seal = self.sealing(Body::Suspension(subject.clone()), stamp);
        self.state.suspend(self.chain_uid(), subject, stamp.now.seconds(), seal).await
    }

    /// Ends the suspension of `subject`. When this returns, the next admission is let in, as far as this is concerned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Revoked`] when it is revoked; else when the store cannot carry it out: the reinstatement may then be
    /// in force or not, and is safe to repeat.
    pub async fn reinstate(&self, subject: Subject, stamp: Stamp) -> Result<Changed, StoreError> {
        let seal = self.sealing(Body::Reinstatement(subject.clone()), stamp);
        self.state.reinstate(self.chain_uid(), subject, seal).await
    }
}
