//! What this code makes of published test vectors, one line for each.
//!
//! # In scope
//!
//! The same functions, compiled for this machine and for WebAssembly, so that both can be held against the vectors and
//! against each other. Files are arguments.
//!
//! # Out of scope
//!
//! Reading files, and judging the lines: `tests/tests/verdicts.rs` does.

mod messages;
mod signatures;
mod texts;

use std::fmt::Write as _;

use serde_json::Value;
use wasm_bindgen::prelude::wasm_bindgen;

/// What became of one vector.
struct Verdict {
    name: String,
    accepted: bool,
    /// Why it was refused, or what came out of it; one line.
    code: String,
    expected: bool,
}

impl Verdict {
    /// `Ok` is accepted, with what came out of it.
    fn new(name: impl Into<String>, expected: bool, outcome: Result<String, String>) -> Self {
        let accepted = outcome.is_ok();
        let code = outcome.unwrap_or_else(|refusal| refusal);
        Self { name: name.into(), accepted, code, expected }
    }
}

/// Files that are judged together, of the folder of vectors.
struct Set {
    name: &'static str,
    files: &'static [&'static str],
    /// How many lines it has to give.
    count: usize,
    judge: fn(&[String]) -> Result<Vec<Verdict>, String>,
}

fn sets() -> impl Iterator<Item = &'static Set> {
    signatures::SETS.iter().chain(messages::SETS).chain(texts::SETS)
}

/// The sets, as JSON: their names, files and how many lines each has to give.
#[wasm_bindgen(js_name = vectorSets)]
#[must_use]
pub fn vector_sets() -> String {
    let entry = |set: &Set| serde_json::json!({ "name": set.name, "files": set.files, "count": set.count });
    Value::Array(sets().map(entry).collect()).to_string()
}

/// The lines of a set, from the texts of its files: name, verdict, what was expected and the code, with a tab between.
///
/// # Errors
///
/// When there is no such set, or a file has not the form of its vectors.
#[wasm_bindgen]
pub fn verdicts(set: &str, files: Vec<String>) -> Result<String, String> {
    let set = sets().find(|known| known.name == set).ok_or_else(|| format!("there is no set {set}"))?;
    let verdicts = (set.judge)(&files).map_err(|error| format!("{}: {error}", set.name))?;
    let mut lines = String::new();
    for Verdict { name, accepted, code, expected } in verdicts {
        let word = |holds| if holds { "accepted" } else { "refused" };
        let (name, code) = (name.escape_default(), code.escape_default());
        let written = writeln!(lines, "{}/{name}\t{}\t{}\t{code}", set.name, word(accepted), word(expected));
        written.map_err(|error| error.to_string())?;
    }
    Ok(lines)
}

fn only(files: &[String]) -> Result<&str, String> {
    match files {
        [file] => Ok(file),
        _ => Err(format!("{} files in the place of one", files.len())),
    }
}

fn json(file: &str) -> Result<Value, String> {
    serde_json::from_str(file).map_err(|error| error.to_string())
}

fn list<'v>(value: &'v Value, pointer: &str) -> Result<&'v [Value], String> {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| format!("no list at {pointer}"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str, String> {
    value.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("no text at {pointer}"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2)).ok_or("a text that is no hexadecimal")?;
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    Ok(digits.chunks(2).map(byte).collect())
}

fn hex_array<const N: usize>(text: &str) -> Result<[u8; N], String> {
    hex(text)?.try_into().map_err(|_| format!("not {N} bytes"))
}
