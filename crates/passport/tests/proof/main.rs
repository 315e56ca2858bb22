//! Request proofs from outside: every single change to a good request gets its documented refusal.

mod input;
mod message;
mod properties;
mod refusals;
mod signing;
