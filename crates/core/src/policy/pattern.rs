//! Patterns of texts as machines that look at each byte once.

use alloc::vec::Vec;

/// A deterministic finite automaton over the bytes of a whole text. It begins in its first state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pattern {
    /// The states.
    pub states: Vec<State>,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Whether a text that ends here is matched.
    pub accepts: bool,
    /// Where a byte leads, in order of bytes; a byte of none leads to no match.
    pub arcs: Vec<Arc>,
}

/// Where the bytes of a range lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arc {
    /// The first byte.
    pub first: u8,
    /// The last byte.
    pub last: u8,
    /// The place of the state.
    pub to: usize,
}

impl Pattern {
    /// Whether the whole of `text` is matched.
    pub fn matches(&self, text: &str) -> bool {
        let mut state = self.states.first();
        for byte in text.bytes() {
            let Some(at) = state else { return false };
            let arc = at.arcs.iter().find(|arc| arc.first <= byte && byte <= arc.last);
            state = arc.and_then(|arc| self.states.get(arc.to));
        }
        state.is_some_and(|state| state.accepts)
    }
}
