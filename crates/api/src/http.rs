//! HTTP without a server: the rules and the control routes that every gate shares, over names, values and bytes.
//!
//! # In scope
//!
//! What may reach a gate and cross it: [`authority`], [`headers`], the head of a request ([`intake`]). What operators
//! and auditors ask of a gate: the routes ([`route`]), who may use them ([`keys`]), their documents ([`documents`]) and
//! answers ([`control`], [`reply`]).
//!
//! # Out of scope
//!
//! Connections, protocol versions, timeouts and reading bodies: whoever serves brings them.

pub mod approvals;
pub mod authority;
pub mod control;
pub mod documents;
pub mod export;
pub mod headers;
pub mod intake;
pub mod keys;
pub mod ledger;
pub mod passports;
pub mod reply;
pub mod route;
pub mod standing;
