//! Whether a token still holds, as its issuer publishes it (Token Status List, draft-ietf-oauth-status-list).
//!
//! A token names an entry of a list ([`StatusRef`]). The list is a token too, signed by the issuer: [`verify`] reads it
//! and [`issue`] makes one. Nothing here fetches a list, or decides how old one may be.

mod issue;
mod list;

use alloc::string::String;

use crate::json::{MAX_SAFE_INTEGER, Node};

pub use issue::{IssueListError, NewStatusList, issue};
pub use list::{
    MAX_STATUS_LIST_BYTES, MAX_STATUS_LIST_TOKEN_BYTES, Status, StatusList, StatusListContext, StatusListError, verify,
};

/// Longest status list URI in bytes.
pub const MAX_STATUS_URI_BYTES: usize = 1024;

/// The `status.status_list` claim: an entry in a published list. Nothing here fetches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRef {
    /// Index of the entry, from 0.
    pub idx: u64,
    /// URI of the status list token.
    pub uri: String,
}

impl StatusRef {
    /// Reads a `status` claim. A status by any other mechanism is refused: ignoring it would ignore a revocation.
    pub(crate) fn from_claim(status: &Node<'_>) -> Result<Self, &'static str> {
        let list = sole_member(status, "status_list").ok_or("is not an object with `status_list` alone")?;
        let members = list.as_object().filter(|members| members.len() == 2);
        let members = members.ok_or("has a `status_list` that is not an object with `idx` and `uri` alone")?;
        let idx = members.get("idx").and_then(Node::as_u64).filter(|idx| *idx <= MAX_SAFE_INTEGER);
        let uri = members.get("uri").and_then(Node::as_str);
        Ok(Self {
            idx: idx.ok_or("has an `idx` that is no non-negative integer")?,
            uri: uri
                .filter(|uri| is_uri_text(uri))
                .map(String::from)
                .ok_or("has a `uri` that is not 1 to 1024 visible ASCII characters")?,
        })
    }
}

fn sole_member<'j, 'a>(value: &'j Node<'a>, name: &str) -> Option<&'j Node<'a>> {
    let members = value.as_object()?;
    if members.len() == 1 { members.get(name) } else { None }
}

fn is_uri_text(uri: &str) -> bool {
    (1..=MAX_STATUS_URI_BYTES).contains(&uri.len()) && uri.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
