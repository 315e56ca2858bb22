//! The component of a plugin, as it was read.

use super::component::{Refused, Shape};
use super::settings::Settings;
use crate::signed_file::Code;

/// A component that may run.
pub(super) struct Source {
    pub(super) code: Code,
    pub(super) shape: Shape,
}

impl Source {
    /// Reads the component, checks its pin or its signature, and looks at its shape.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, the component is not the one that may run, or as for [`Shape::of`].
    pub(super) fn read(settings: &Settings) -> Result<Self, Refused> {
        let code = settings.signed_file().read()?;
        let shape = Shape::of(&code.bytes)?;
        Ok(Self { code, shape })
    }
}
