//! The HTTP building blocks on real sockets: hostile bytes go in at one end, and the other end says what it saw.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test rig stops at the first surprise"
)]

mod crowding;
mod framing;
mod http2;
mod identity;
mod limits;
mod origin;
mod support;
mod target;
mod upstream;
