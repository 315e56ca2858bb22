//! The native gateway as a library.
//!
//! # In scope
//!
//! What a gate needs of the machine it runs on: its configuration ([`config`]), files with secrets ([`files`]), time and
//! randomness ([`env`]), the HTTP data plane ([`http`]), the gateway itself ([`gateway`]), the control plane and its
//! client ([`control`]), the operators' rules and their compilation ([`policy`]), the evaluator as a component ([`evaluator`]), the issuers' status lists ([`status_lists`]), policy plugins ([`plugins`]), the log ([`logging`])
//! and [`metrics`].
//!
//! # Out of scope
//!
//! Deciding. Rules stand in `passgate_core`, the order of a request's life in `passgate_api`; nothing here can turn a
//! refusal into an allow.

pub mod attestation_key;
pub mod config;
pub mod control;
pub mod env;
pub mod evaluator;
pub mod files;
pub mod gateway;
pub mod health;
pub mod http;
pub mod logging;
mod look_again;
pub mod metrics;
pub mod open_files;
pub mod plugins;
pub mod policy;
mod policy_files;
pub mod ready;
mod signed_file;
pub mod status_lists;
pub mod store;
