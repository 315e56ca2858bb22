//! What Passgate says and is told: JSON shapes, the driver of a request's life, and the answers a gate gives.
//!
//! # In scope
//!
//! The policy's JSON shape and its compilation to a [`passgate_core::gate::Gate`] ([`bundle`]); the driver that carries
//! a request through parse, authenticate, judge, admit, decide and attest ([`driver`]); refusals as problem documents
//! with their header fields ([`answer`]); policies as signed bundles ([`edge`]); attestations as
//! the REST API shows them ([`view`]); with the feature `http`, what all gates that speak HTTP share: rules and control
//! routes (`http`).
//!
//! # Out of scope
//!
//! Sockets, files, YAML, clocks and randomness: hosts bring them. Rules: they stand in `passgate_core`.

pub mod answer;
pub mod bundle;
pub mod driver;
pub mod edge;
#[cfg(feature = "http")]
pub mod http;
pub mod origin;
pub mod usd;
pub mod view;
