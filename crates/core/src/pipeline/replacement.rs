//! Step 3, continued: what stands in the place of what is taken out of a body.
//!
//! In the place of what is encrypted stands a placeholder until the request is to be forwarded. So approvers are shown the
//! same however often it is made, and the last search looks at everything but what the gate itself encrypted: nothing is
//! passed over for what it looks like.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::ops::Range;

use passgate_passport::jwe::{self, EncryptionKey, Seed};

/// What stands in the place of what is taken out of a text.
pub(super) const MASK: &str = "[redacted]";
/// What approvers are shown in the place of what is encrypted.
const PLACEHOLDER: &str = "[encrypted]";
/// Most values of one body that are encrypted. Each costs about as much as verifying three signatures, and makes the body
/// longer by [`jwe::MAX_OVERHEAD_BYTES`] and a third of itself at most.
pub(super) const MAX_ENCRYPTED_VALUES: usize = 256;

/// How texts are written in a body.
pub(super) type Escape = fn(&str, &mut Vec<u8>);

/// A part of a body that something is taken out of, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Replacement {
    bytes: Vec<u8>,
    /// Where in it placeholders stand, and for what.
    sealed: Vec<(Range<usize>, String)>,
    is_masked: bool,
}

/// What stands in the place of a part of the body.
pub(super) type Edit = (Range<usize>, Replacement);

impl Replacement {
    /// These bytes, from which something was taken out.
    pub(super) fn masked(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), sealed: Vec::new(), is_masked: true }
    }

    /// What stands there however the text is.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A text of which these parts, in order and without overlaps, are taken out, or encrypted where that is said.
    pub(super) fn text(&mut self, text: &str, parts: &[(Range<usize>, bool)], escape: Escape) {
        let mut at = 0;
        for (Range { start, end }, is_sealed) in parts {
            escape(text.get(at..*start).unwrap_or_default(), &mut self.bytes);
            let first = self.bytes.len();
            escape(if *is_sealed { PLACEHOLDER } else { MASK }, &mut self.bytes);
            if *is_sealed {
                self.sealed.push((first..self.bytes.len(), text.get(*start..*end).unwrap_or_default().to_string()));
            }
            self.is_masked |= !is_sealed;
            at = *end;
        }
        escape(text.get(at..).unwrap_or_default(), &mut self.bytes);
    }

    /// Whether something is taken out and not encrypted.
    pub(super) fn is_masked(&self) -> bool {
        self.is_masked
    }

    /// With placeholders, as approvers are shown it.
    pub(super) fn shown(&self) -> &[u8] {
        &self.bytes
    }

    /// How many values are encrypted.
    pub(super) fn values(&self) -> usize {
        self.sealed.len()
    }

    /// The bytes, where nothing is encrypted in them.
    pub(super) fn without_placeholders(self) -> Option<Vec<u8>> {
        self.sealed.is_empty().then_some(self.bytes)
    }

    /// As it is forwarded. Without placeholders nobody needs a key.
    pub(super) fn encrypted(self, to: Option<&EncryptionKey>, seed: &Seed) -> Option<Vec<u8>> {
        if self.sealed.is_empty() {
            return Some(self.bytes);
        }
        let mut edits = Vec::with_capacity(self.sealed.len());
        for ((range, text), number) in self.sealed.into_iter().zip(0..) {
            // Base64url and dots: as they are in JSON, in a form and in a plain text.
            let token = jwe::encrypt(to?, text.as_bytes(), seed, number).ok()?;
            edits.push((range, Self { bytes: token.into_bytes(), ..Self::default() }));
        }
        Some(edited(&self.bytes, edits).bytes)
    }
}

/// The body with edits that are in order and do not overlap.
pub(super) fn edited(body: &[u8], edits: Vec<Edit>) -> Replacement {
    let mut edited = Replacement { bytes: Vec::with_capacity(body.len()), ..Replacement::default() };
    let mut at = 0;
    for (range, replacement) in edits {
        edited.push(body.get(at..range.start).unwrap_or_default());
        let first = edited.bytes.len();
        let moved = replacement.sealed.into_iter();
        edited.sealed.extend(moved.map(|(range, text)| (first + range.start..first + range.end, text)));
        edited.push(&replacement.bytes);
        edited.is_masked |= replacement.is_masked;
        at = range.end;
    }
    edited.push(body.get(at..).unwrap_or_default());
    edited
}
