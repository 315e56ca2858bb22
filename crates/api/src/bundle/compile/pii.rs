//! What becomes of personal data and secrets, of a policy.

use passgate_core::gate::{Encryption, PiiControls};
use passgate_core::pii::{Class, Classes};
use passgate_passport::jwe::EncryptionKey;
use passgate_passport::jwk::JwkError;

use super::{BundleError, error};
use crate::bundle::{EncryptionKeyDoc, PiiControlsDoc, PiiModeDoc};

/// Where the key stands.
const ENCRYPT_TO: &str = "guardrails.pii_controls.encrypt_to";

/// The classes by their modes, with the key where anything is encrypted.
pub(super) fn compile(doc: &PiiControlsDoc) -> Result<PiiControls, BundleError> {
    let mode_of = |class| doc.mode_of(class);
    let classes = classes_of(PiiModeDoc::Encrypt, mode_of);
    // A key is held to the same, whether anything is encrypted to it or not.
    let to = doc.encrypt_to.as_ref().map(EncryptionKeyDoc::compile).transpose()?;
    let encrypt = match (classes.is_empty(), to) {
        (true, _) => None,
        (false, Some(to)) => Some(Encryption { classes, to }),
        (false, None) => {
            let why = "something is encrypted: give the public key of whoever reads it, a JWK with `crv` X25519, as \
                `passgate keys generate --encryption` makes it";
            return Err(error(ENCRYPT_TO, why));
        }
    };
    Ok(PiiControls { encrypt, ..controls(mode_of, doc.denies_unscannable()) })
}

/// The classes by their modes, but for those that are encrypted.
pub(super) fn controls(mode_of: impl Fn(Class) -> PiiModeDoc, denies_unscannable: bool) -> PiiControls {
    let of = |mode| classes_of(mode, &mode_of);
    PiiControls {
        block: of(PiiModeDoc::Block),
        redact: of(PiiModeDoc::Redact),
        encrypt: None,
        log: of(PiiModeDoc::LogOnly),
        denies_unscannable,
    }
}

fn classes_of(mode: PiiModeDoc, mode_of: impl Fn(Class) -> PiiModeDoc) -> Classes {
    Class::ALL.into_iter().filter(|class| mode_of(*class) == mode).collect()
}

impl EncryptionKeyDoc {
    fn compile(&self) -> Result<EncryptionKey, BundleError> {
        if self.d.is_some() {
            return Err(error(ENCRYPT_TO, JwkError::Private));
        }
        let jwk = serde_json::to_vec(self).map_err(|e| error(ENCRYPT_TO, e))?;
        EncryptionKey::from_jwk(&jwk).map_err(|e| error(ENCRYPT_TO, e))
    }
}
