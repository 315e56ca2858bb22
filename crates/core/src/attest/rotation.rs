//! What the record of a key rotation says: the key that signs from the next record on.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

use passgate_passport::b64;
use passgate_passport::key::PublicKey;
use serde::{Deserialize, Serialize};

/// A rotation: the key that signs this record hands over to another one, and signs nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotationRecord {
    /// The key that signs every later record.
    pub new_key: JwkRecord,
    /// Later records of what.
    pub scope: RotationScope,
}

/// How far a rotation reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationScope {
    /// This chain, and chains that are started after this record of it. Other chains of the gate rotate for themselves.
    Chain,
    /// Everything that stands after this record in the gate's ledger: the gate writes one chain at a time.
    Ledger,
}

/// A public Ed25519 key as a JWK (RFC 8037), members in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwkRecord {
    /// `Ed25519`.
    pub crv: String,
    /// The RFC 7638 thumbprint.
    pub kid: String,
    /// `OKP`.
    pub kty: String,
    /// The key, base64url.
    pub x: String,
}

impl KeyRotationRecord {
    /// The rotation to `key`.
    pub fn new(key: &PublicKey, scope: RotationScope) -> Self {
        let new_key = JwkRecord {
            crv: "Ed25519".to_owned(),
            kid: key.thumbprint().to_owned(),
            kty: "OKP".to_owned(),
            x: b64::encode(key.as_bytes()),
        };
        Self { new_key, scope }
    }

    /// The key that it names, under every rule for keys; `None` when it is none.
    pub fn key(&self) -> Option<PublicKey> {
        PublicKey::from_jwk(&serde_json::to_vec(&self.new_key).ok()?).ok()
    }
}
