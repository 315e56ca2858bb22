//! What the npm package runs as WebAssembly.
//!
//! # In scope
//!
//! Reports on passports ([`passport`]), attestations ([`attestation`]) and exports of a ledger ([`export`]); with the feature
//! `gate`, the evaluator with its state in memory ([`gate`]) and what is signed to hand a passport on (`delegation`). The
//! border is JSON in and JSON out, in the shapes of `ts/types.ts`, so that the glue stays small.
//!
//! # Out of scope
//!
//! Rules: they stand in core and passport. Private keys: JavaScript signs, with WebCrypto. Clocks and randomness: they are
//! arguments.

pub mod attestation;
#[cfg(feature = "gate")]
pub mod delegation;
pub mod export;
#[cfg(feature = "gate")]
pub mod gate;
mod keys;
pub mod passport;
mod report;
