//! The `Signature-Input` and `Signature` fields (RFC 9421 sections 4.1 and 4.2), read in one way only.
//!
//! A text is accepted when it is exactly what we would write for the values read from it. So there is one spelling of
//! each proof, no key can hide behind another, and the signed `@signature-params` line is the text received.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::Write as _;

use sfv::BareItemFromInput;

use super::ProofError;
use super::base::{Component, push_quoted};
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

/// What a use of RFC 9421 asks of its signatures.
pub(super) struct Profile {
    /// The value of `tag`.
    pub(super) tag: &'static str,
    /// The parameters that have to be there.
    pub(super) required: &'static [&'static str],
    /// What to say when one is not.
    pub(super) missing: &'static str,
    /// Most signatures in one message.
    pub(super) max_labels: usize,
    /// Longest accepted `signature-input` value in bytes.
    pub(super) max_input_bytes: usize,
    /// Longest accepted `signature` value in bytes.
    pub(super) max_signature_bytes: usize,
    /// Reads one entry of the component list.
    pub(super) component: for<'a> fn(&InnerItem<'a>) -> Result<Component<'a>, ProofError>,
}

/// Signatures that prove possession of a passport's key.
pub(super) const PASSGATE: Profile = Profile {
    tag: "passgate",
    required: &["created", "nonce", "keyid"],
    missing: "created, nonce and keyid are required",
    max_labels: 1,
    max_input_bytes: MAX_SIGNATURE_INPUT_BYTES,
    max_signature_bytes: MAX_SIGNATURE_BYTES,
    component: plain_component,
};

/// A member of a `signature-input` value, fully read and in canonical form.
pub(super) struct SignatureInput<'a> {
    pub(super) label: &'a str,
    pub(super) components: Vec<Component<'a>>,
    pub(super) parameters: Parameters<'a>,
    /// The member value as received: the text of the `@signature-params` line.
    pub(super) params_text: &'a str,
}

/// The signature parameters we accept. What a profile requires has been there.
pub(super) struct Parameters<'a> {
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<&'a str>,
    pub(super) keyid: &'a str,
}

/// A value of a signature parameter.
#[derive(Clone, Copy)]
pub(super) enum Parameter<'a> {
    Integer(i64),
    Text(&'a str),
}

/// Reads a `signature-input` value: at least one signature, and as many as the profile allows.
pub(super) fn parse_inputs<'a>(value: &'a [u8], profile: &Profile) -> Result<Vec<SignatureInput<'a>>, ProofError> {
    check_length(INPUT_FIELD, value, profile.max_input_bytes)?;
    let mut rest = core::str::from_utf8(value).map_err(|_| bad_input("it is not ASCII"))?;
    let mut inputs: Vec<SignatureInput<'a>> = Vec::with_capacity(1);
    for member in members(INPUT_FIELD, value, profile)? {
        let Value::InnerList(items) = &member.value else {
            return Err(bad_input("its member is not a list of components"));
        };
        let components = read_components(items, profile)?;
        let received = read_parameters(&member.parameters)?;
        let separator = if inputs.is_empty() { "" } else { ", " };
        let (params_text, behind) = rest
            .strip_prefix(separator)
            .and_then(|rest| rest.strip_prefix(member.key)?.strip_prefix('='))
            .and_then(|rest| split_prefix(rest, &serialize(&components, &received)))
            .ok_or_else(not_canonical)?;
        rest = behind;
        let parameters = check_parameters(&received, profile)?;
        inputs.push(SignatureInput { label: member.key, components, parameters, params_text });
    }
    if rest.is_empty() { Ok(inputs) } else { Err(not_canonical()) }
}

/// Reads a `signature-input` value of one signature, and the `signature` that goes with it.
pub(super) fn parse_only<'a>(
    input: &'a [u8],
    signature: &[u8],
    profile: &Profile,
) -> Result<(SignatureInput<'a>, Vec<u8>), ProofError> {
    let inputs = parse_inputs(input, profile)?;
    let signatures = parse_signatures(signature, &inputs, profile)?;
    match (inputs.into_iter().next(), signatures.into_iter().next()) {
        (Some(input), Some(signature)) => Ok((input, signature)),
        _ => Err(bad_input("it must have exactly one label")),
    }
}

/// Reads a `signature` value whose labels must be those of `inputs`; the signatures are in the order of `inputs`.
pub(super) fn parse_signatures(
    value: &[u8],
    inputs: &[SignatureInput<'_>],
    profile: &Profile,
) -> Result<Vec<Vec<u8>>, ProofError> {
    let malformed = |reason: &'static str| ProofError::malformed(SIGNATURE_FIELD, reason);
    check_length(SIGNATURE_FIELD, value, profile.max_signature_bytes)?;
    let mut canonical = String::with_capacity(value.len());
    let mut labelled: Vec<(&str, Vec<u8>)> = Vec::with_capacity(inputs.len());
    for member in members(SIGNATURE_FIELD, value, profile)? {
        let Value::Item(BareItemFromInput::ByteSequence(signature)) = member.value else {
            return Err(malformed("its member is not a byte sequence"));
        };
        if signature.len() != 64 {
            return Err(malformed("an Ed25519 signature has 64 bytes"));
        }
        canonical.push_str(if labelled.is_empty() { "" } else { ", " });
        canonical.push_str(&serialize_signature(member.key, &signature));
        labelled.push((member.key, signature));
    }
    if canonical.as_bytes() != value {
        return Err(malformed("it is not written in the canonical form of RFC 9651"));
    }
    let mut take = |label: &str| {
        let position = labelled.iter().position(|(key, _)| *key == label)?;
        Some(labelled.swap_remove(position).1)
    };
    let signatures: Option<Vec<_>> = inputs.iter().map(|input| take(input.label)).collect();
    // Each label stands once in both fields, so what is left over has none in signature-input.
    signatures.filter(|_| labelled.is_empty()).ok_or_else(|| malformed("its label is not the one in signature-input"))
}

/// The canonical text of a component list with its parameters.
pub(super) fn serialize(components: &[Component<'_>], parameters: &[(&str, Parameter<'_>)]) -> String {
    let mut text = String::with_capacity(256);
    text.push('(');
    for (index, component) in components.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        component.push_identifier(&mut text);
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

fn not_canonical() -> ProofError {
    bad_input("it is not written in the canonical form of RFC 9651")
}

fn check_length(field: &'static str, value: &[u8], max: usize) -> Result<(), ProofError> {
    if value.len() > max {
        return Err(ProofError::malformed(field, format!("it is longer than {max} bytes")));
    }
    Ok(())
}

/// `text` cut behind `prefix`, if it begins with it.
fn split_prefix<'a>(text: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    text.split_at_checked(prefix.len()).filter(|(start, _)| *start == prefix)
}

/// The members of a dictionary field: at least one, and no label twice.
fn members<'a>(field: &'static str, value: &'a [u8], profile: &Profile) -> Result<Vec<Member<'a>>, ProofError> {
    let members = fields::parse_dictionary(value).map_err(|error| ProofError::malformed(field, error.to_string()))?;
    if members.is_empty() || members.len() > profile.max_labels {
        let reason = match profile.max_labels {
            1 => "it must have exactly one label".into(),
            max => format!("it must have 1 to {max} labels"),
        };
        return Err(ProofError::malformed(field, reason));
    }
    let mut labels = members.iter().map(|member| member.key);
    while let Some(label) = labels.next() {
        if labels.clone().any(|other| other == label) {
            return Err(ProofError::malformed(field, "a label stands twice"));
        }
    }
    Ok(members)
}

/// The name of a component.
pub(super) fn component_name<'a>(item: &InnerItem<'a>) -> Result<&'a str, ProofError> {
    plain_string(&item.value).ok_or_else(|| bad_input("a component is not a plain string"))
}

/// A component without parameters.
pub(super) fn plain_component<'a>(item: &InnerItem<'a>) -> Result<Component<'a>, ProofError> {
    let name = component_name(item)?;
    if !item.parameters.is_empty() {
        return Err(ProofError::coverage(name, "has parameters, which are not supported"));
    }
    Component::parse(name)
}

fn read_components<'a>(items: &[InnerItem<'a>], profile: &Profile) -> Result<Vec<Component<'a>>, ProofError> {
    if items.len() > MAX_COMPONENTS {
        return Err(bad_input("it covers more than 32 components"));
    }
    let mut components: Vec<Component<'a>> = Vec::with_capacity(items.len());
    for item in items {
        let component = (profile.component)(item)?;
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

fn check_parameters<'a>(
    received: &[(&'a str, Parameter<'a>)],
    profile: &Profile,
) -> Result<Parameters<'a>, ProofError> {
    let (mut created, mut expires, mut nonce, mut keyid) = (None, None, None, None);
    for (key, value) in received {
        match (*key, *value) {
            ("created", Parameter::Integer(time)) => created = Some(time),
            ("expires", Parameter::Integer(time)) => expires = Some(time),
            ("nonce", Parameter::Text(text)) => nonce = Some(text),
            ("keyid", Parameter::Text(text)) => keyid = Some(text),
            ("alg", Parameter::Text(ALGORITHM)) => {}
            ("tag", Parameter::Text(tag)) if tag == profile.tag => {}
            ("alg", _) => return Err(bad_input("alg must be \"ed25519\"")),
            ("tag", _) => return Err(bad_input(format!("tag must be \"{}\"", profile.tag))),
            ("created" | "expires" | "nonce" | "keyid", _) => {
                return Err(bad_input("created and expires are integers, nonce and keyid are strings"));
            }
            _ => return Err(bad_input("a signature parameter is unknown")),
        }
    }
    let missing = || bad_input(profile.missing);
    if !profile.required.iter().all(|name| received.iter().any(|(key, _)| key == name)) {
        return Err(missing());
    }
    let parameters =
        Parameters { created: created.ok_or_else(missing)?, expires, nonce, keyid: keyid.ok_or_else(missing)? };
    nonce.map_or(Ok(()), check_nonce)?;
    check_times(parameters.created, parameters.expires)?;
    Ok(parameters)
}
