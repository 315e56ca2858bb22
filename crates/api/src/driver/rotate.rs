//! Rotating the key of a chain.

use std::sync::Arc;

use passgate_core::attest::{Body, Entry, KeyRotationRecord, Link, RotationScope, Stamp};
use passgate_core::state::{KeyRotation, RotationError};
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_store::StoreError;

use super::Driver;

impl Driver {
    /// Hands over to `key`: appends the record of it, signed with the key that is in force, after which every record is
    /// signed with the new one. `None` when it signs already: a rotation whose answer was lost is safe to repeat.
    ///
    /// Whoever gives up waiting leaves a rotation that happens or not; either way every record is signed with the right key,
    /// and [`Driver::writer`] goes on with the old one until this is called again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rotation`] when one of the keys was retired; else when the store cannot carry it out: the rotation may
    /// then have happened or not.
    pub async fn rotate(
        &self,
        key: SecretKey,
        scope: RotationScope,
        stamp: Stamp,
    ) -> Result<Option<Entry>, StoreError> {
        let present = self.writer();
        let (old, new) = (present.public_key().clone(), key.public().clone());
        if old == new {
            return Ok(None);
        }
        let (pen, next) = (Arc::clone(&self.pen), Arc::new(present.with_key(key)));
        let body = Body::KeyRotation(KeyRotationRecord::new(&new, scope));
        let seal =
            Box::new(move |link: &Link| pen.hand_over(link, &next, |writer| writer.seal(link, &stamp, body.clone())));
        let rotation = KeyRotation { old, new: new.clone(), at: stamp.now.seconds() };
        let rotated = self.state.rotate_key(self.chain_uid(), rotation, seal).await;
        let is_done = match &rotated {
            Ok(_) | Err(StoreError::Rotation(RotationError::Done)) => true,
            // It may have been written, and the answer lost.
            Err(_) => self.is_in_force(&new).await,
        };
        if !is_done {
            return rotated.map(Some);
        }
        self.pen.settle(&new);
        if *self.writer().public_key() == new {
            return Ok(rotated.ok());
        }
        // Another writer of this store rotated, and this one has a key that was retired.
        Err(StoreError::Rotation(RotationError::Retired))
    }

    /// Whether the store says that `key` was handed over to.
    async fn is_in_force(&self, key: &PublicKey) -> bool {
        self.state.key_history().await.is_ok_and(|history| history.current() == Some(key))
    }
}
