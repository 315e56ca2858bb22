//! Request proofs from outside: every single change to a good request gets its documented refusal.

mod dpop;
mod dpop_properties;
mod dpop_refusals;
mod input;
mod message;
mod properties;
mod refusals;
mod signing;
mod web_bot_auth;
mod web_bot_auth_directory;
mod web_bot_auth_properties;
mod web_bot_auth_refusals;
