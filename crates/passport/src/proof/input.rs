//! The `Signature-Input` and `Signature` fields (RFC 9421 sections 4.1 and 4.2), read in one way only.
//!
//! A text is accepted when it is exactly what we would write for the values read from it. So there is one spelling of
//! each proof, no key can hide behind another, and the signed `@signature-params` line is the text received.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Write as _;

use sfv::BareItemFromInput;

use super::ProofError;
use super::base::Component;
use crate::fields::{self, InnerItem, Member, Value, plain_string};

/// Longest accepted `signature-input` value in bytes.
pub const MAX_SIGNATURE_INPUT_BYTES: usize = 4096;
/// Longest accepted `signature` value in bytes. One Ed25519 signature needs 90 and its label.
pub const MAX_SIGNATURE_BYTES: usize = 1024;
/// Most components one signature may cover.
pub const MAX_COMPONENTS: usize = 32;
/// Shortest accepted nonce in characters: 16 characters of base64url are 96 random bits.
pub const MIN_NONCE_CHARS: usize = 16;
/// Longest accepted nonce in characters. Every nonce is remembered for minutes, so its size is memory.
pub const MAX_NONCE_CHARS: usize = 128;

pub(super) const INPUT_FIELD: &str = "signature-input";
pub(super) const SIGNATURE_FIELD: &str = "signature";
/// The only signature algorithm (RFC 9421 section 3.3.6).
const ALGORITHM: &str = "ed25519";
/// Marks signatures made for a gate (RFC 9421 section 2.3, `tag`).
pub(super) const TAG: &str = "passgate";

/// A `signature-input` value, fully read and in canonical form.
pub(super) struct SignatureInput<'a> {
    pub(super) label: &'a str,
    pub(super) components: Vec<Component<'a>>,
    pub(super) parameters: Parameters<'a>,
    /// The member value as received: the text of the `@signature-params` line.
    pub(super) params_text: &'a str,
}

/// The signature parameters we accept.
pub(super) struct Parameters<'a> {
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
    pub(super) nonce: &'a str,
    pub(super) keyid: &'a str,
}

/// A value of a signature parameter.
#[derive(Clone, Copy)]
pub(super) enum Parameter<'a> {
    Integer(i64),
    Text(&'a str),
}

/// Reads a `signature-input` value.
pub(super) fn parse_input(value: &[u8]) -> Result<SignatureInput<'_>, ProofError> {
    if value.len() > MAX_SIGNATURE_INPUT_BYTES {
        return Err(bad_input("it is longer than 4096 bytes"));
    }
    let text = core::str::from_utf8(value).map_err(|_| bad_input("it is not ASCII"))?;
    let member = only_member(INPUT_FIELD, value)?;
    let Value::InnerList(items) = &member.value else {
        return Err(bad_input("its member is not a list of components"));
    };
    let components = read_components(items)?;
    let received = read_parameters(&member.parameters)?;
    let params_text = text
        .strip_prefix(member.key)
        .and_then(|rest| rest.strip_prefix('='))
        .filter(|rest| *rest == serialize(&components, &received))
        .ok_or_else(|| bad_input("it is not written in the canonical form of RFC 9651"))?;
    Ok(SignatureInput { label: member.key, components, parameters: check_parameters(&received)?, params_text })
}

/// Reads a `signature` value whose single label must be `label`.
pub(super) fn parse_signature(value: &[u8], label: &str) -> Result<Vec<u8>, ProofError> {
    let malformed = |reason: &'static str| ProofError::malformed(SIGNATURE_FIELD, reason);
    if value.len() > MAX_SIGNATURE_BYTES {
        return Err(malformed("it is longer than 1024 bytes"));
    }
    let member = only_member(SIGNATURE_FIELD, value)?;
    if member.key != label {
        return Err(malformed("its label is not the one in signature-input"));
    }
    let Value::Item(BareItemFromInput::ByteSequence(signature)) = member.value else {
        return Err(malformed("its member is not a byte sequence"));
    };
    if signature.len() != 64 {
        return Err(malformed("an Ed25519 signature has 64 bytes"));
    }
    if serialize_signature(label, &signature).as_bytes() != value {
        return Err(malformed("it is not written in the canonical form of RFC 9651"));
    }
    Ok(signature)
}

/// The canonical text of a component list with its parameters.
pub(super) fn serialize(components: &[Component<'_>], parameters: &[(&str, Parameter<'_>)]) -> String {
    let mut text = String::with_capacity(256);
    text.push('(');
    for (index, component) in components.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        push_quoted(&mut text, component.name());
    }
    text.push(')');
    for (key, value) in parameters {
        text.push(';');
        text.push_str(key);
        text.push('=');
        match value {
            // Writing to a String cannot fail.
            Parameter::Integer(number) => drop(write!(text, "{number}")),
            Parameter::Text(string) => push_quoted(&mut text, string),
        }
    }
    text
}

/// The canonical text of a `signature` field.
pub(super) fn serialize_signature(label: &str, signature: &[u8]) -> String {
    use base64::Engine as _;
    let mut text = String::with_capacity(label.len() + 92);
    text.push_str(label);
    text.push_str("=:");
    base64::engine::general_purpose::STANDARD.encode_string(signature, &mut text);
    text.push(':');
    text
}

/// Whether a string may be a nonce: 16 to 128 visible ASCII characters, none of which needs an escape.
pub(super) fn check_nonce(nonce: &str) -> Result<(), ProofError> {
    if !(MIN_NONCE_CHARS..=MAX_NONCE_CHARS).contains(&nonce.len()) {
        return Err(bad_input("the nonce must have 16 to 128 characters"));
    }
    if !nonce.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
        return Err(bad_input("the nonce must be visible ASCII without quotes and backslashes"));
    }
    Ok(())
}

/// Whether `created` and `expires` can stand together.
pub(super) fn check_times(created: i64, expires: Option<i64>) -> Result<(), ProofError> {
    /// Largest integer of a structured field (RFC 9651 section 3.3.1).
    const MAX_INTEGER: i64 = 999_999_999_999_999;
    let in_range = |time: i64| (0..=MAX_INTEGER).contains(&time);
    if !in_range(created) || !expires.is_none_or(in_range) {
        return Err(bad_input("created and expires must be seconds since 1970"));
    }
    if expires.is_some_and(|expires| expires < created) {
        return Err(bad_input("expires lies before created"));
    }
    Ok(())
}

fn bad_input(reason: impl Into<alloc::borrow::Cow<'static, str>>) -> ProofError {
    ProofError::malformed(INPUT_FIELD, reason)
}

fn push_quoted(text: &mut String, plain: &str) {
    text.push('"');
    text.push_str(plain);
    text.push('"');
}

/// The single member of a dictionary field.
fn only_member<'a>(field: &'static str, value: &'a [u8]) -> Result<Member<'a>, ProofError> {
    let members = fields::parse_dictionary(value).map_err(|error| ProofError::malformed(field, error.to_string()))?;
    let mut members = members.into_iter();
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        _ => Err(ProofError::malformed(field, "it must have exactly one label")),
    }
}

fn read_components<'a>(items: &[InnerItem<'a>]) -> Result<Vec<Component<'a>>, ProofError> {
    if items.len() > MAX_COMPONENTS {
        return Err(bad_input("it covers more than 32 components"));
    }
    let mut components: Vec<Component<'a>> = Vec::with_capacity(items.len());
    for item in items {
        let name = plain_string(&item.value).ok_or_else(|| bad_input("a component is not a plain string"))?;
        if item.has_parameters {
            return Err(ProofError::coverage(name, "has parameters, which are not supported"));
        }
        let component = Component::parse(name)?;
        if components.contains(&component) {
            return Err(bad_input("a component is covered twice"));
        }
        components.push(component);
    }
    Ok(components)
}

/// The parameters in the order received, each of a type we can write.
fn read_parameters<'a>(
    parameters: &[(&'a str, BareItemFromInput<'a>)],
) -> Result<Vec<(&'a str, Parameter<'a>)>, ProofError> {
    let mut read: Vec<(&'a str, Parameter<'a>)> = Vec::with_capacity(parameters.len());
    for (key, value) in parameters {
        if read.iter().any(|(other, _)| other == key) {
            return Err(bad_input("a signature parameter stands twice"));
        }
        let value = match (value, plain_string(value)) {
            (_, Some(text)) => Parameter::Text(text),
            (BareItemFromInput::Integer(number), None) => Parameter::Integer((*number).into()),
            _ => {
                return Err(bad_input("a signature parameter is neither an integer nor a plain string"));
            }
        };
        read.push((key, value));
    }
    Ok(read)
}

fn check_parameters<'a>(received: &[(&'a str, Parameter<'a>)]) -> Result<Parameters<'a>, ProofError> {
    let (mut created, mut expires, mut nonce, mut keyid) = (None, None, None, None);
    for (key, value) in received {
        match (*key, *value) {
            ("created", Parameter::Integer(time)) => created = Some(time),
            ("expires", Parameter::Integer(time)) => expires = Some(time),
            ("nonce", Parameter::Text(text)) => nonce = Some(text),
            ("keyid", Parameter::Text(text)) => keyid = Some(text),
            ("alg", Parameter::Text(ALGORITHM)) | ("tag", Parameter::Text(TAG)) => {}
            ("alg", _) => return Err(bad_input("alg must be \"ed25519\"")),
            ("tag", _) => return Err(bad_input("tag must be \"passgate\"")),
            ("created" | "expires" | "nonce" | "keyid", _) => {
                return Err(bad_input("created and expires are integers, nonce and keyid are strings"));
            }
            _ => return Err(bad_input("a signature parameter is unknown")),
        }
    }
    let missing = || bad_input("created, nonce and keyid are required");
    let parameters = Parameters {
        created: created.ok_or_else(missing)?,
        expires,
        nonce: nonce.ok_or_else(missing)?,
        keyid: keyid.ok_or_else(missing)?,
    };
    check_nonce(parameters.nonce)?;
    check_times(parameters.created, parameters.expires)?;
    Ok(parameters)
}
