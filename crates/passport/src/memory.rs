//! Passports that were accepted before, so that the bytes that an agent sends with every request are read and verified
//! once.
//!
//! What is remembered are two facts and no others: what exactly these bytes say, and that the Ed25519 signature of a
//! passport is valid, by the strict rules, under the key that its `kid` names. Both stay true for ever, so nothing has
//! to be forgotten. Expiry, audience, issuers and their keys, tiers, narrowing and revocation are looked at every time,
//! and whether the key is the one that had to sign is decided before anybody asks whether it did.
//!
//! A passport is found again by the SHA-256 of its chain up to and with itself: those are the bytes that were verified,
//! and the keys they were verified with, but for the issuer's, of which the `kid` is the SHA-256.
//!
//! Nothing here changes behind a reference. [`verify_chain_with`](crate::delegation::verify_chain_with) asks what
//! [recalls](Recall) them and gives back a [`SeenChain`], which nobody else can make, where there was something new. It is
//! for the caller to add, best after the request's proof of possession held, so that nobody fills a memory with
//! passports of others. A gateway with threads keeps a memory behind a lock that is held for one question at a time; a
//! Worker keeps one for as long as its isolate lives.

mod shelf;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use crate::delegation::Link;
use crate::did_key;
use shelf::Shelf;

/// The passports of a chain that was accepted whole; made by verification alone.
#[derive(Debug, Clone)]
pub struct SeenChain(pub(crate) Vec<SeenPassport>);

/// One of them, from the root on.
#[derive(Debug, Clone)]
pub(crate) struct SeenPassport {
    /// Of the text from the beginning of the chain to the end of this passport.
    pub(crate) chain_sha256: [u8; 32],
    pub(crate) link: Arc<Link>,
    /// What is charged for it: the length of its text.
    pub(crate) bytes: usize,
}

/// A passport that was accepted before, found again; a [`PassportMemory`] makes it.
#[derive(Debug, Clone)]
pub struct Known(pub(crate) Arc<Link>);

/// Where a verifier asks what it has seen: a [`PassportMemory`], or what keeps one behind a lock.
pub trait Recall {
    /// The passport at the end of a chain with that SHA-256. Its signature is valid under the key that its `kid` names.
    fn recall(&self, chain_sha256: &[u8; 32]) -> Option<Known>;
}

/// To whom a remembered passport is charged: the agent that the root names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Passports that were accepted, bounded in the length of their texts.
///
/// Where it is full, the agent that holds the most loses what has been in no new chain for longest; of several such agents
/// the one whose oldest passport is the oldest. So an agent that delegates without end displaces its own passports and not those
/// of others. Agents that issue for themselves cost nothing to make, so theirs have room of their own and displace
/// nothing that descends from a registered issuer.
///
/// A passport takes about three times its text.
#[derive(Debug, Clone)]
pub struct PassportMemory {
    registered: Shelf,
    self_issued: Shelf,
}

impl PassportMemory {
    /// One that never remembers.
    pub const NOTHING: Self = Self::new(0, 0);

    /// A memory for `registered` bytes of passports whose root a registered issuer signed, and for `self_issued` bytes of
    /// others.
    #[must_use]
    pub const fn new(registered: usize, self_issued: usize) -> Self {
        Self { registered: Shelf::new(registered), self_issued: Shelf::new(self_issued) }
    }

    /// Adds what a verification found.
    pub fn remember(&mut self, chain: &SeenChain) {
        let Some(root) = chain.0.first().map(|root| &root.link.claims) else { return };
        let holder = Holder::of(&root.iss, &root.sub);
        let shelf = if holder.is_self_issued { &mut self.self_issued } else { &mut self.registered };
        for passport in &chain.0 {
            shelf.put(passport, holder.digest);
        }
    }

    /// How many passports are remembered.
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

impl Recall for PassportMemory {
    fn recall(&self, chain_sha256: &[u8; 32]) -> Option<Known> {
        let found = self.registered.get(chain_sha256).or_else(|| self.self_issued.get(chain_sha256));
        found.map(|link| Known(Arc::clone(link)))
    }
}

#[cfg(test)]
mod tests;
