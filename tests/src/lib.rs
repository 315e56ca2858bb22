//! What every implementation of the gate has to do alike, as data, and the runner that checks it.
//!
//! # In scope
//!
//! The shape of a conformance case ([`case`]); the catalogue that `tests/vectors/cases/*.json` is generated from
//! ([`catalogue`]) with its keys, passports and signed requests ([`agent`]); the surfaces a case is run on ([`surface`]);
//! what load tests and benchmarks send ([`traffic`], [`wire`], [`caller`]), how they count ([`measure`]) and what they leave to
//! chance ([`chance`]); the programs that end-to-end tests start ([`program`]), a gate set up as an operator would ([`site`]), one at the edge
//! ([`edge`]) and an API behind it ([`origin`]).
//!
//! # Out of scope
//!
//! Rules of the gate: they are tested where they are written. The keys here are made from fixed seeds and protect
//! nothing.

pub mod agent;
pub mod caller;
pub mod case;
pub mod catalogue;
pub mod chance;
pub mod edge;
pub mod measure;
pub mod origin;
pub mod program;
pub mod site;
pub mod surface;
pub mod traffic;
pub mod wire;
