//! Attestations as the REST API shows them: the record's payload with `signature` and `chain_hash` beside it.

use std::borrow::Cow;

use passgate_core::attest::sha256_label;
use passgate_passport::b64;
use passgate_passport::json::{self, Members, Node};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The longest cell of a CSV export, in characters.
const MAX_CELL_CHARS: usize = 1024;

/// The stored text is not a compact JWS with a JSON object in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored record is not a compact JWS with a JSON object as its payload")]
pub struct ViewError;

/// The record as an object: its payload, plus
///
/// - `signature`: `algorithm`, `kid`, and the base64url `value`;
/// - `chain_hash`: `sha256:` and the hash of this record's JWS, which covers `prev` and so the whole chain before it;
/// - `jws`: the record as signed.
///
/// # Errors
///
/// [`ViewError`] when the store holds something else. Nothing is verified here.
pub fn attestation(jws: &str) -> Result<Map<String, Value>, ViewError> {
    match view(jws)?.to_value() {
        Value::Object(members) => Ok(members),
        _ => Err(ViewError),
    }
}

/// The record as [`attestation`] has it, as JSON text.
///
/// # Errors
///
/// As [`attestation`].
pub fn attestation_json(jws: &str) -> Result<String, ViewError> {
    view(jws).map(|view| view.to_json())
}

fn view(jws: &str) -> Result<Node<'static>, ViewError> {
    let mut parts = jws.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ViewError);
    };
    let text = |text: &str| Node::String(Cow::Owned(text.to_owned()));
    let kid = object(header)?.get("kid").cloned().unwrap_or(Node::Null);
    let mut signed = Members::new();
    signed.insert("algorithm".into(), text("EdDSA"));
    signed.insert("kid".into(), kid);
    signed.insert("value".into(), text(signature));
    let mut view = object(payload)?;
    view.insert("chain_hash".into(), text(&sha256_label(&Sha256::digest(jws.as_bytes()).into())));
    view.insert("jws".into(), text(jws));
    view.insert("signature".into(), Node::Object(signed));
    Ok(Node::Object(view))
}

fn object(part: &str) -> Result<Members<'static>, ViewError> {
    let bytes = b64::decode(part).map_err(|_| ViewError)?;
    match json::node_back(&bytes).map_err(|_| ViewError)?.to_static() {
        Node::Object(members) => Ok(members),
        _ => Err(ViewError),
    }
}

/// The columns of a CSV export, as JSON pointers into the view.
const COLUMNS: [(&str, &str); 18] = [
    ("attestation_id", "/attestation_id"),
    ("kind", "/kind"),
    ("timestamp", "/timestamp"),
    ("decision", "/decision"),
    ("reason_code", "/reason_code"),
    ("agent_id", "/agent/agent_id"),
    ("passport_id", "/agent/passport_id"),
    ("trust_tier", "/agent/trust_tier"),
    ("gate_id", "/gate/gate_id"),
    ("action", "/request/action"),
    ("method", "/request/method"),
    ("path", "/request/path"),
    ("target_domain", "/request/target_domain"),
    ("amount_micro_usd", "/request/amount_micro_usd"),
    ("chain_uid", "/chain_uid"),
    ("seq", "/seq"),
    ("chain_hash", "/chain_hash"),
    ("jws", "/jws"),
];

/// The header row of a CSV export (RFC 4180, CRLF).
pub fn csv_header() -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    format!("{}\r\n", names.join(","))
}

/// One row of a CSV export.
///
/// # Errors
///
/// As [`attestation`].
pub fn csv_row(jws: &str) -> Result<String, ViewError> {
    let view = view(jws)?;
    let cell = |(_, pointer): &(&str, &str)| match view.pointer(pointer) {
        Ok(Some(Node::String(text))) if *pointer == "/jws" => text.to_string(),
        Ok(Some(Node::String(text))) => csv_text(text),
        Ok(Some(value)) => value.to_json(),
        _ => String::new(),
    };
    let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
    Ok(format!("{}\r\n", cells.join(",")))
}

/// A quoted cell that stays inert in a spreadsheet and a terminal: hostile characters are replaced, and a leading
/// formula character is defused with an apostrophe.
fn csv_text(text: &str) -> String {
    let inert = |c: char| if is_hostile(c) { '\u{fffd}' } else { c };
    let safe: String = text.chars().take(MAX_CELL_CHARS).map(inert).collect();
    let defuse = if safe.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{defuse}{}\"", safe.replace('"', "\"\""))
}

/// Whether the character must not be shown as it is in text that somebody else chose: it moves a cursor, breaks a line,
/// changes the order of what is shown, or is not seen at all.
///
/// That are controls (C0, DEL, C1), direction controls, line and paragraph separators, zero-width and other invisible
/// characters, tags and annotations. Variation selectors below U+E0000 pass: emoji are written with them.
pub fn is_hostile(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || is_bidi_control(c) || matches!(c, '\u{2028}' | '\u{2029}') || invisible
}

/// Characters that change the order in which text is shown (Unicode Bidi_Control).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_inert() {
        for (text, cell) in [
            ("plain", "\"plain\""),
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("a\"b,c", "\"a\"\"b,c\""),
            ("a\r\nb\u{1b}[31m\u{9b}\0", "\"a\u{fffd}\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}\""),
            ("\u{202e}evil", "\"\u{fffd}evil\""),
            ("a\u{200b}b\u{e0041}", "\"a\u{fffd}b\u{fffd}\""),
        ] {
            assert_eq!(csv_text(text), cell);
        }
    }

    #[test]
    fn hostile_is_what_moves_hides_or_reorders_and_nothing_that_is_read() {
        let hostile = "\0\t\n\r\u{1b}\u{7f}\u{9b}\u{85}\u{61c}\u{200e}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\u{200b}\u{200d}\
                       \u{ad}\u{2060}\u{2064}\u{feff}\u{fffb}\u{180e}\u{3164}\u{e0001}\u{e0041}\u{e007f}\u{e0100}";
        for c in hostile.chars() {
            assert!(is_hostile(c), "{c:?}");
        }
        for c in " ~a\u{e9}\u{df}\u{5d0}\u{639}\u{4e2d}\u{ac00}\u{301}\u{2010}\u{1f600}\u{fe0f}\u{fffd}".chars() {
            assert!(!is_hostile(c), "{c:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in ["", "a.b", "a.b.c.d", "!.!.!", "e30.W10.x"] {
            assert_eq!(attestation(text).map(|_| ()), Err(ViewError), "{text}");
        }
    }
}
