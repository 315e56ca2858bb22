//! HTTP without a server: the rules and the control routes that every gate shares, over names, values and bytes.
//!
//! # In scope
//!
//! What may reach a gate and cross it: [`authority`], [`headers`], the head of a request ([`intake`]).
//!
//! # Out of scope
//!
//! Connections, protocol versions, timeouts and reading bodies: whoever serves brings them.

pub mod authority;
pub mod documents;
pub mod headers;
pub mod intake;
