//! Where the revocation status of a token is published (Token Status List, draft-ietf-oauth-status-list).

use alloc::string::String;

use serde_json::Value;

use crate::json::MAX_SAFE_INTEGER;

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
    pub(crate) fn from_claim(status: &Value) -> Result<Self, &'static str> {
        let list = sole_member(status, "status_list").ok_or("is not an object with `status_list` alone")?;
        let members = list.as_object().filter(|members| members.len() == 2);
        let members = members.ok_or("has a `status_list` that is not an object with `idx` and `uri` alone")?;
        let idx = members.get("idx").and_then(Value::as_u64).filter(|idx| *idx <= MAX_SAFE_INTEGER);
        let uri = members.get("uri").and_then(Value::as_str);
        Ok(Self {
            idx: idx.ok_or("has an `idx` that is no non-negative integer")?,
            uri: uri
                .filter(|uri| is_uri_text(uri))
                .map(String::from)
                .ok_or("has a `uri` that is not 1 to 1024 visible ASCII characters")?,
        })
    }
}

fn sole_member<'j>(value: &'j Value, name: &str) -> Option<&'j Value> {
    let members = value.as_object()?;
    if members.len() == 1 { members.get(name) } else { None }
}

fn is_uri_text(uri: &str) -> bool {
    (1..=MAX_STATUS_URI_BYTES).contains(&uri.len()) && uri.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_status_list_entry_is_read() {
        let claim = json!({"status_list": {"idx": 412, "uri": "https://example.com/statuslists/1"}});
        let status = StatusRef::from_claim(&claim).unwrap();
        assert_eq!((status.idx, status.uri.as_str()), (412, "https://example.com/statuslists/1"));
    }

    #[test]
    fn other_shapes_are_refused() {
        let uri = "https://example.com/1";
        for claim in [
            json!(null),
            json!("https://example.com/1"),
            json!([]),
            json!({}),
            json!({"status_list": null}),
            json!({"status_list": {"idx": 1}}),
            json!({"status_list": {"uri": uri}}),
            json!({"status_list": {"idx": -1, "uri": uri}}),
            json!({"status_list": {"idx": 1.5, "uri": uri}}),
            json!({"status_list": {"idx": "1", "uri": uri}}),
            json!({"status_list": {"idx": 9_007_199_254_740_992_u64, "uri": uri}}),
            json!({"status_list": {"idx": 1, "uri": ""}}),
            json!({"status_list": {"idx": 1, "uri": "a b"}}),
            json!({"status_list": {"idx": 1, "uri": "a".repeat(1025)}}),
            json!({"status_list": {"idx": 1, "uri": uri, "bits": 1}}),
            json!({"status_list": {"idx": 1, "uri": uri}, "other_mechanism": {}}),
            json!({"other_mechanism": {}}),
        ] {
            assert!(StatusRef::from_claim(&claim).is_err(), "{claim}");
        }
    }
}
