//! Building blocks of the HTTP data plane; none of them decides anything about an agent.
//!
//! # In scope
//!
//! * [`server`]: accepts connections under limits and keeps one failing request from hurting another;
//! * [`intake`]: turns what arrived into one owned, unambiguous request, or refuses it;
//! * [`authority`]: the one spelling of a host and port;
//! * [`headers`]: which header fields may cross the gate, in either direction;
//! * [`upstream`]: sends a request to the one configured origin and meters the answer.
//!
//! # Framing
//!
//! Request bodies are read completely before anything is decided and are sent on with a `Content-Length` of the gate's
//! own. Whatever framing the client used ends here, so a request that two parsers would cut at different places reaches
//! the origin as the one request that was judged, or not at all.

pub mod headers;
pub mod intake;
pub mod server;
pub mod upstream;

pub use passgate_api::http::authority;

/// An error of a foreign body or connector, kept only to be logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
