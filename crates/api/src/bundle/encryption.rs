//! To whom something is encrypted.

use serde::{Deserialize, Serialize};

/// A public X25519 JWK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EncryptionKeyDoc {
    /// `OKP`.
    pub kty: String,
    /// `X25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// What whoever reads knows the key by, if present: 1 to 128 visible ASCII characters without `"` and `\`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `ECDH-ES`, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `enc`, if present.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<String>,
    /// Of a private key, which is refused. What it is, is not kept.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub d: Option<Withheld>,
}

/// A value that is there and is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld;

impl<'de> Deserialize<'de> for Withheld {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}
