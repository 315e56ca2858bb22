//! The passports of a text: read, or found in a memory.

use alloc::sync::Arc;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::{ChainError, Link, MAX_DELEGATIONS, MAX_LINKS, SEPARATOR, Violation};
use crate::json::{Members, Node};
use crate::jws::{self, JwsError, TokenType, Unverified};
use crate::key::PublicKey;
use crate::memory::{Known, Recall, SeenChain, SeenPassport};
use crate::passport::{MAX_PASSPORT_BYTES, PassportError};

/// The passports of a text, well-formed and bounded in number.
pub(super) struct Tokens<'a> {
    pub(super) root: Arc<Link>,
    pub(super) delegated: Vec<Arc<Link>>,
    /// Of the whole text.
    pub(super) sha256: [u8; 32],
    root_signature: Signature<'a>,
    signatures: Vec<Signature<'a>>,
}

/// The signature of one passport.
struct Signature<'a> {
    /// `None` when it is known to be valid under the key that the `kid` names.
    unverified: Option<Unverified<'a>>,
    /// Of the text from its beginning to the end of this passport.
    chain_sha256: [u8; 32],
    bytes: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn read(text: &'a str, memory: &dyn Recall) -> Result<Self, ChainError> {
        if text.len() > MAX_PASSPORT_BYTES {
            let too_large = JwsError::TooLarge { limit: MAX_PASSPORT_BYTES };
            return Err(ChainError::at(0, PassportError::Token(too_large)));
        }
        let mut reader = Reader { memory, hash: Sha256::new() };
        // One beyond the limit is counted and not read.
        let mut texts = text.splitn(MAX_LINKS + 1, SEPARATOR);
        let (root, root_signature) = reader.passport(0, texts.next().unwrap_or_default())?;
        if texts.clone().nth(MAX_DELEGATIONS).is_some() {
            return Err(ChainError::at(MAX_LINKS, Violation::TooDeep));
        }
        let (mut delegated, mut signatures) = (Vec::new(), Vec::new());
        for (index, text) in (1..).zip(texts) {
            let (link, signature) = reader.passport(index, text)?;
            delegated.push(link);
            signatures.push(signature);
        }
        let sha256 = signatures.last().unwrap_or(&root_signature).chain_sha256;
        Ok(Self { root, delegated, sha256, root_signature, signatures })
    }

    /// That `key` signed the root, and is the one that its `kid` names.
    pub(super) fn check_root(&self, key: &PublicKey) -> Result<(), JwsError> {
        self.root_signature.check(&self.root.kid, key)
    }

    /// The first `count` delegated passports, each by the key of the one before it.
    pub(super) fn check_delegated(&self, count: usize) -> Result<(), ChainError> {
        let parents = core::iter::once(&self.root).chain(&self.delegated);
        let passports = parents.zip(&self.delegated).zip(&self.signatures).take(count);
        for (index, ((parent, link), signature)) in (1..).zip(passports) {
            let checked = signature.check(&link.kid, &parent.claims.cnf_key);
            checked.map_err(|_| ChainError::at(index, Violation::SignatureInvalid))?;
        }
        Ok(())
    }

    /// What is to be remembered once every signature was checked; nothing when all of it is known.
    pub(super) fn seen(&self) -> Option<SeenChain> {
        let signatures = || core::iter::once(&self.root_signature).chain(&self.signatures);
        if signatures().all(|signature| signature.unverified.is_none()) {
            return None;
        }
        let links = core::iter::once(&self.root).chain(&self.delegated);
        let seen = signatures().zip(links).map(|(signature, link)| SeenPassport {
            chain_sha256: signature.chain_sha256,
            link: Arc::clone(link),
            bytes: signature.bytes
                + link.claims.metadata.iter().flat_map(Members::values).map(Node::weight).sum::<usize>(),
        });
        Some(SeenChain(seen.collect()))
    }
}

impl Signature<'_> {
    /// `kid` is that of the passport.
    fn check(&self, kid: &str, key: &PublicKey) -> Result<(), JwsError> {
        match &self.unverified {
            Some(unverified) => unverified.check(key),
            None if kid == key.thumbprint() => Ok(()),
            None => Err(JwsError::KeyMismatch),
        }
    }
}

/// Reads a chain from its beginning.
struct Reader<'m> {
    memory: &'m dyn Recall,
    /// Of the text so far.
    hash: Sha256,
}

impl Reader<'_> {
    fn passport<'a>(&mut self, index: usize, text: &'a str) -> Result<(Arc<Link>, Signature<'a>), ChainError> {
        if index > 0 {
            self.hash.update([SEPARATOR as u8]);
        }
        self.hash.update(text);
        let chain_sha256 = self.hash.clone().finalize().into();
        let (link, unverified) = match self.memory.recall(&chain_sha256) {
            Some(Known(link)) => (link, None),
            None => {
                let token_sha256 = if index == 0 { chain_sha256 } else { Sha256::digest(text).into() };
                let (link, unverified) = read(text, token_sha256).map_err(|error| ChainError::at(index, error))?;
                (Arc::new(link), Some(unverified))
            }
        };
        Ok((link, Signature { unverified, chain_sha256, bytes: text.len() }))
    }
}

fn read(text: &str, token_sha256: [u8; 32]) -> Result<(Link, Unverified<'_>), PassportError> {
    #[cfg(test)]
    crate::counter::count(crate::counter::Work::Reading);
    let unverified = jws::decode(text, TokenType::Passport, MAX_PASSPORT_BYTES)?;
    let link = Link::read(unverified.payload(), unverified.kid(), token_sha256)?;
    Ok((link, unverified))
}
