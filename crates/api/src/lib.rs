//! What Passgate says and is told: JSON shapes, the driver of a request's life, and the answers a gate gives.
//!
//! # In scope
//!
//! The policy's JSON shape and its compilation to a [`passgate_core::gate::Gate`] ([`bundle`]); the driver that carries
//! a request through parse, authenticate, judge, admit, decide and attest ([`driver`]); refusals as problem documents
//! with their header fields ([`answer`]); policies as signed bundles ([`edge`]); attestations as the REST API shows them ([`view`]).
//!
//! # Out of scope
//!
//! Sockets, files, YAML, clocks and randomness: hosts bring them. Rules: they stand in `passgate_core`.

pub mod answer;
pub mod bundle;
pub mod driver;
pub mod edge;
pub mod origin;
pub mod usd;
pub mod view;
