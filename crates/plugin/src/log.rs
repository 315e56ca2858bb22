//! The gate's log, when the operator grants `log`. Natively, lines go to stderr and to [`testing::logged`].
//!
//! [`testing::logged`]: crate::testing::logged

use std::fmt::Display;

pub use crate::bindings::passgate::policy::log::Level;

/// Writes a line. Lines count against the limits of the call, and past them the request is refused.
pub fn write(level: Level, message: impl Display) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::passgate::policy::log::write(level, &message.to_string());
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::log(level, message.to_string());
}

/// [`write()`] at the level of the same name.
pub fn debug(message: impl Display) {
    write(Level::Debug, message);
}

/// See [`debug`].
pub fn info(message: impl Display) {
    write(Level::Info, message);
}

/// See [`debug`].
pub fn warn(message: impl Display) {
    write(Level::Warn, message);
}

/// See [`debug`].
pub fn error(message: impl Display) {
    write(Level::Error, message);
}
