//! The component of a plugin, as it was read.

use super::component::{Refused, Shape};
use super::settings::Settings;
use crate::signed_file::Code;

/// A component that may run.
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    /// SHA-256 of the bytes, with its label.
    pub(super) digest: String,
    pub(super) shape: Shape,
}

impl Source {
    /// Reads the component, checks its pin or its signature, and looks at its shape.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, the component is not the one that may run, or as for [`Shape::of`].
    pub(super) fn read(settings: &Settings) -> Result<Self, Refused> {
        let Code { bytes, digest } = settings.signed_file().read()?;
        let shape = Shape::of(&bytes)?;
        Ok(Self { bytes, digest, shape })
    }
}
