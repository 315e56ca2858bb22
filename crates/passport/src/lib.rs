//! Who is calling: keys, signed tokens, passports and the trust store that judges them.
//!
//! # In scope
//!
//! - Ed25519 keys as JWK ([`jwk`], RFC 8037) and as `did:key` ([`did_key`]), named by their RFC 7638 thumbprint ([`key`]).
//! - Strict JSON ([`json`], RFC 8259 within RFC 7493) and strict compact JWS ([`jws`], RFC 7515 under RFC 8725).
//! - Passports: issuing ([`issue`]), reading ([`claims`]) and the rules ([`passport`]) by a trust store ([`trust`]).
//! - Verifying passports and chains of delegated ones ([`delegation`]), and the limits they set ([`constraints`]).
//! - Which passports were read and verified before ([`memory`]).
//! - The one spelling and hash of an action ([`action`]), passes for one action ([`action_pass`]), and what people
//!   approve ([`approval`]).
//! - Token Status Lists: making one, and verifying one ([`status`], draft-ietf-oauth-status-list).
//! - Texts that only the holder of an X25519 key reads ([`jwe`], RFC 7516).
//! - Who signed a WebAssembly component ([`plugin_signature`]).
//! - Proofs of possession, as message signatures (RFC 9421) or as DPoP proofs (RFC 9449) ([`proof`]).
//! - Signatures of agents without a passport, and their key directories ([`proof::web_bot_auth`]).
//! - The permission scopes a passport carries ([`scope`]).
//!
//! # Out of scope
//!
//! - What a caller may do: guardrails, policies and decisions.
//! - Revocation state and every other thing that has to be looked up; a status list is read when it is at hand.
//! - Clocks, randomness and I/O. Time is an argument in unix seconds, random bytes are arguments, and nothing is ever fetched.
//!
//! Everything here is a pure function of its arguments, so one binary answers the same on every runtime.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod action;
pub mod action_pass;
pub mod approval;
pub mod b64;
pub mod challenge;
pub mod claims;
pub mod constraints;
#[cfg(test)]
mod counter;
pub mod delegation;
pub mod did_key;
pub mod digest;
mod fields;
pub mod http;
pub mod id;
pub mod issue;
pub mod json;
pub mod jwe;
pub mod jwk;
pub mod jws;
pub mod key;
pub mod key_set;
pub mod memory;
pub mod passport;
pub mod plugin_signature;
pub mod proof;
pub mod scope;
pub mod sorted;
pub mod status;
pub mod trust;
