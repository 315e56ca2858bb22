//! Signatures that were found valid before, so that the bytes that an agent sends with every request are verified once.
//!
//! What is remembered is one fact and no other: that the Ed25519 signature of exactly these token bytes is valid, by
//! the strict rules, under exactly these key bytes ([`SignatureId`]). It stays true for ever, so nothing has to be
//! forgotten. Expiry, audience, issuers, tiers, narrowing and revocation are looked at every time, and whether the key
//! is the one that had to sign is decided before anybody asks whether it did.
//!
//! Nothing here changes behind a reference. [`verify_chain_with`](crate::delegation::verify_chain_with) asks a
//! [`KnownSignatures`] and gives back [`ValidSignatures`], which nobody else can make; they are for the caller to add,
//! best after the request's proof of possession held, so that nobody fills a memory with passports of others.
//!
//! - A gateway with threads keeps a [`SignatureMemory`] behind a read-write lock, reads it while it verifies, and writes
//!   when [`ValidSignatures::has_news`]. A Worker keeps one for as long as its isolate lives.
//! - A component without state takes hints: a slice of [`SignatureId`] is a [`KnownSignatures`] too. Its host keeps what
//!   [`ValidSignatures::ids`] gave, finds it again by the SHA-256 of each token, and vouches for what it passes in.

mod shelf;

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::did_key;
use crate::key::PublicKey;
use shelf::Shelf;

/// Length of a [`SignatureId`] as bytes.
pub const SIGNATURE_ID_BYTES: usize = 64;

/// The bytes of one token and of the key that its signature was verified with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignatureId {
    token_sha256: [u8; 32],
    key: [u8; 32],
}

impl SignatureId {
    /// `token_sha256` is that of the whole token: header, payload and signature.
    pub(crate) fn new(token_sha256: [u8; 32], key: &PublicKey) -> Self {
        Self { token_sha256, key: *key.as_bytes() }
    }

    /// SHA-256 of the whole token, by which a host finds the ids that belong to a text.
    #[must_use]
    pub fn token_sha256(&self) -> [u8; 32] {
        self.token_sha256
    }

    /// SHA-256 of the token, then the key, for a host that keeps ids elsewhere.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNATURE_ID_BYTES] {
        let mut bytes = [0; SIGNATURE_ID_BYTES];
        for (to, from) in bytes.iter_mut().zip(self.token_sha256.iter().chain(&self.key)) {
            *to = *from;
        }
        bytes
    }

    /// What [`Self::to_bytes`] gave. Who passes it to a verifier says that the signature was verified: take it from the
    /// evaluator alone, and never from a request.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SIGNATURE_ID_BYTES]) -> Self {
        let (mut token_sha256, mut key) = ([0; 32], [0; 32]);
        for (to, from) in token_sha256.iter_mut().chain(&mut key).zip(bytes) {
            *to = *from;
        }
        Self { token_sha256, key }
    }
}

/// Where a verifier asks whether it verified a signature before.
pub trait KnownSignatures {
    /// Whether the signature was found valid. A wrong yes accepts a forgery; a no costs a verification.
    fn is_known(&self, id: &SignatureId) -> bool;
}

/// The hints of a host: a few, so they are looked through.
impl KnownSignatures for [SignatureId] {
    fn is_known(&self, id: &SignatureId) -> bool {
        self.contains(id)
    }
}

impl<const N: usize> KnownSignatures for [SignatureId; N] {
    fn is_known(&self, id: &SignatureId) -> bool {
        self.contains(id)
    }
}

/// The memory of a verifier that has none.
pub(crate) const NOTHING: &[SignatureId; 0] = &[];

/// The signature of one token, verified or known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) id: SignatureId,
    pub(crate) is_new: bool,
}

/// The signatures of a chain that was accepted whole; made by verification alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSignatures {
    ids: Vec<SignatureId>,
    has_news: bool,
    holder: Holder,
}

impl ValidSignatures {
    /// `iss` and `sub` are those of the root.
    pub(crate) fn new(checked: &[Checked], iss: &str, sub: &str) -> Self {
        Self {
            ids: checked.iter().map(|one| one.id).collect(),
            has_news: checked.iter().any(|one| one.is_new),
            holder: Holder::of(iss, sub),
        }
    }

    /// One for each passport, from the root on.
    #[must_use]
    pub fn ids(&self) -> &[SignatureId] {
        &self.ids
    }

    /// Whether any of them was not known: else adding them notes their use and nothing more.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.has_news
    }
}

/// To whom a remembered signature is charged: the agent that the root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    is_self_issued: bool,
    digest: [u8; 32],
}

impl Holder {
    /// Neither name has a line break, so no two pairs are the same text. A self-issuer chooses `sub` freely, so it counts
    /// for nothing there.
    fn of(iss: &str, sub: &str) -> Self {
        let is_self_issued = iss.starts_with(did_key::SCHEME);
        let name: String = if is_self_issued { String::from(iss) } else { [iss, sub].join("\n") };
        Self { is_self_issued, digest: Sha256::digest(name).into() }
    }
}

/// Signatures that were found valid, bounded in number.
///
/// Where it is full, the agent with the most entries loses the one not used for longest; of several such agents the one
/// whose oldest entry is the oldest. So an agent that delegates without end displaces its own entries and not those of
/// others. Agents that issue for themselves cost nothing to make, so theirs have room of their own and displace no
/// entries that descend from a registered issuer.
///
/// An entry takes about half a kilobyte.
#[derive(Debug, Clone)]
pub struct SignatureMemory {
    registered: Shelf,
    self_issued: Shelf,
}

impl SignatureMemory {
    /// A memory for `registered` signatures of chains whose root a registered issuer signed, and for `self_issued`
    /// signatures of others. Zero remembers none.
    #[must_use]
    pub const fn new(registered: usize, self_issued: usize) -> Self {
        Self { registered: Shelf::new(registered), self_issued: Shelf::new(self_issued) }
    }

    /// Adds what a verification found, and notes the use of what was known.
    pub fn remember(&mut self, valid: &ValidSignatures) {
        let shelf = if valid.holder.is_self_issued { &mut self.self_issued } else { &mut self.registered };
        for id in &valid.ids {
            shelf.put(*id, valid.holder.digest);
        }
    }

    /// How many signatures are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registered.len() + self.self_issued.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl KnownSignatures for SignatureMemory {
    fn is_known(&self, id: &SignatureId) -> bool {
        self.registered.contains(id) || self.self_issued.contains(id)
    }
}

#[cfg(test)]
mod tests;
