//! The decision core of Passgate.
//!
//! # In scope
//!
//! What a request *may* do: the gate's definition ([`gate`]), the steps of a request's life ([`pipeline`]), the rules
//! over state rows ([`state`]), status lists ([`status`]), what the operator's rules ([`policy`]) and policy plugins
//! ([`plugin`]) say, the attestation of every decision ([`attest`]) and the verification of a ledger ([`ledger`]).
//! Everything depends only on its arguments: equal inputs give equal bytes on every runtime.
//!
//! # Out of scope
//!
//! Clocks, randomness, storage, the network, configuration files and JSON shapes of APIs. Callers pass the time and
//! random bytes in, carry [`state::Demand`]s to a store and send what [`pipeline::decide`] permits.
#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod approval;
pub mod attest;
pub mod domain;
pub mod flood;
pub mod gate;
pub mod ledger;
pub mod money;
pub mod path;
pub mod pii;
pub mod pipeline;
pub mod plugin;
pub mod policy;
pub mod reason;
pub mod review;
pub mod route;
pub mod state;
pub mod status;
pub mod time;

pub use passgate_passport as passport;
