//! What policy plugins of a Passgate gate are written with.
//!
//! ```
//! use passgate_plugin::{Deny, Description, Facts, Plugin, Request, Verdict, deny};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     merchants: Vec<String>,
//! }
//!
//! struct KnownMerchants;
//!
//! impl Plugin for KnownMerchants {
//!     type Config = Config;
//!
//!     fn describe() -> Description {
//!         passgate_plugin::describe!("Payments go to known merchants only")
//!     }
//!
//!     fn evaluate(_: &Request, facts: &Facts, config: &Config) -> Result<Verdict, Deny> {
//!         let merchant = facts.target_domain.as_deref().ok_or("the payment names no merchant")?;
//!         if config.merchants.iter().any(|known| known == merchant) {
//!             return Ok(Verdict::Abstain);
//!         }
//!         deny(format_args!("{merchant} is no known merchant"))
//!     }
//! }
//!
//! passgate_plugin::export!(KnownMerchants);
//! ```
//!
//! # In scope
//!
//! The types of the world `passgate:policy/policy` (`wit/plugin.wit`), one trait, one macro, and what every rule needs:
//! its configuration, the body and the headers, the log and the gate's keys. Natively everything works too, so that rules
//! are tested with `cargo test`; see [`testing`].
//!
//! # Out of scope
//!
//! Clocks, randomness, files and the network: a plugin has none. The time is [`Facts::now_ms`].

mod answer;
mod json;
pub mod keys;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "passgate_plugin::bindings",
    });
}

use serde::de::DeserializeOwned;

pub use answer::{Deny, deny, step_up};
pub use bindings::passgate::policy::types::{Agent, Description, Facts, Header, Obligation, Request, Verdict};

/// A policy plugin: says who it is, and judges one request at a time.
pub trait Plugin {
    /// What the operator configures, read from the `config` of the plugin in `passgate.yml`. A configuration that does not
    /// fit refuses every request, so `#[serde(deny_unknown_fields)]` is a good idea. Without a configuration it is `null`,
    /// which `()` and `Option` accept.
    type Config: DeserializeOwned;

    /// Who the plugin is; [`describe!`] takes name and version from the crate.
    fn describe() -> Description;

    /// Judges one request.
    ///
    /// # Errors
    ///
    /// An error refuses the request, with its text as the reason: `?` on whatever cannot be understood is the right thing.
    fn evaluate(request: &Request, facts: &Facts, config: &Self::Config) -> Result<Verdict, Deny>;
}

/// The answer of a plugin as the gate sees it: configuration read, errors made refusals, reasons within their bounds.
pub fn judge<P: Plugin>(request: &Request, facts: &Facts) -> Verdict {
    answer::within_bounds(json::config(&facts.config).and_then(|config| P::evaluate(request, facts, &config)))
}

impl Request {
    /// The value of the header field `name`, in whatever case it is written. `None` if the agent's proof covers none.
    ///
    /// # Errors
    ///
    /// A field that stands twice has two readings.
    pub fn header(&self, name: &str) -> Result<Option<&str>, Deny> {
        let mut found = self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Deny::new(format_args!("the header {name} stands twice"))),
            (first, _) => Ok(first.map(|header| header.value.as_str())),
        }
    }

    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// When the body is not JSON of this shape, or a member stands twice in it, so that two readers may see two values.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Deny> {
        json::body(&self.body)
    }
}

/// The [`Description`] of a plugin: name and version of its crate, and the given summary.
#[macro_export]
macro_rules! describe {
    ($summary:expr) => {
        $crate::Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: $summary.to_owned(),
        }
    };
}

/// Makes the component's exports from a type that implements [`Plugin`]. Once in a crate, which has to be a `cdylib`.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "generated: the exports of the component")]
        const _: () = {
            struct Exports;

            impl $crate::bindings::exports::passgate::policy::plugin::Guest for Exports {
                fn describe() -> $crate::Description {
                    <$plugin as $crate::Plugin>::describe()
                }

                fn evaluate(request: $crate::Request, facts: $crate::Facts) -> $crate::Verdict {
                    $crate::judge::<$plugin>(&request, &facts)
                }
            }

    $crate::bindings::export!(Exports with_types_in $crate::bindings);
        };

        // Elsewhere nobody calls it but its tests, and it counts as used all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::Request, &$crate::Facts) -> $crate::Verdict = $crate::judge::<$plugin>;
    };
}

#[cfg(test)]
mod tests;
