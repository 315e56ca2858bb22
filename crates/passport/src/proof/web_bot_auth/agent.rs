//! Who a foreign agent says it is: the field `signature-agent`, and the URL in it.

use alloc::string::String;

use super::super::base::Component;
use super::super::{ProofError, single_line, uri};
use super::directory::DIRECTORY_PATH;
use crate::fields::{self, Member, Value, plain_string};
use crate::http::HttpRequest;

/// Name of the field in which a foreign agent names the URL of its keys.
pub const SIGNATURE_AGENT_FIELD: &str = "signature-agent";
/// Longest accepted `signature-agent` value in bytes.
pub const MAX_SIGNATURE_AGENT_BYTES: usize = 2048;
/// Longest accepted URL of an agent in bytes.
pub const MAX_AGENT_URL_BYTES: usize = 512;
/// Most members of `signature-agent`; each signer on the way may add one.
const MAX_AGENT_MEMBERS: usize = 8;

/// The URL at which a foreign agent publishes its keys. It is the agent's name, and it is never fetched here.
///
/// URLs are compared in the normal form of RFC 3986 section 6.2, without their query. An origin alone stands for its
/// well-known directory, as in the first drafts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentUrl(String);

impl AgentUrl {
    /// Reads an absolute `https` URL of at most [`MAX_AGENT_URL_BYTES`] bytes.
    ///
    /// # Errors
    /// `proof_malformed` when it is none, or has user information or a fragment.
    pub fn parse(url: &str) -> Result<Self, ProofError> {
        if url.len() > MAX_AGENT_URL_BYTES {
            return Err(malformed("the URL is longer than 512 bytes"));
        }
        if url.contains('#') || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("the URL has a fragment, or is not visible ASCII"));
        }
        let url = uri::normalize(url).filter(|url| url.starts_with("https://"));
        let mut url = url.ok_or_else(|| malformed("it must be an https URL without user information"))?;
        // The normal form ends with the slash of an empty path and has two more before the host.
        if url.ends_with('/') && url.matches('/').count() == 3 {
            url.truncate(url.len() - 1);
            url.push_str(DIRECTORY_PATH);
        }
        Ok(Self(url))
    }

    /// The URL in normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and optional port.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or_default();
        rest.split_once('/').map_or(rest, |(authority, _)| authority)
    }
}

/// The URL that a signature covers; `None` when the request has no `signature-agent` field.
///
/// The field is a dictionary of which one member is covered, by its key or, where it is the only one, as a whole field.
/// Or it is a single string, as in the first drafts, and covered as a whole.
pub(super) fn covered(request: &HttpRequest<'_>, components: &[Component<'_>]) -> Result<Option<AgentUrl>, ProofError> {
    let whole = components.contains(&Component::Field(SIGNATURE_AGENT_FIELD));
    let mut keys = components.iter().filter_map(|component| match component {
        Component::AgentMember(key) => Some(*key),
        _ => None,
    });
    let key = keys.next();
    if keys.next().is_some() {
        return Err(coverage("has two members covered, and they name two agents"));
    }
    let value = match (field_text(request)?, key) {
        (None, None) if !whole => return Ok(None),
        (None, _) => return Err(coverage("is covered, but the request has no such field")),
        (Some(_), None) if !whole => return Err(coverage("must be covered")),
        (Some(_), Some(key)) => member(request, key)?,
        (Some(text), None) => only_value(text)?,
    };
    AgentUrl::parse(value).map(Some)
}

/// The text of one member of the field.
pub(in super::super) fn member<'a>(request: &HttpRequest<'a>, key: &str) -> Result<&'a str, ProofError> {
    let missing = || coverage("is covered by a key that the field does not have");
    let members = members(field_text(request)?.ok_or_else(missing)?)?;
    member_text(members.iter().find(|member| member.key == key).ok_or_else(missing)?)
}

/// The text of a field that names one agent.
fn only_value(text: &str) -> Result<&str, ProofError> {
    if let Some(rest) = text.strip_prefix('"') {
        let string = rest.strip_suffix('"').filter(|string| !string.contains(['"', '\\']));
        return string.ok_or_else(|| malformed("it is not one plain string"));
    }
    match members(text)?.as_slice() {
        [member] => member_text(member),
        _ => Err(coverage("names several agents: cover the one that signs, as `\"signature-agent\";key=\"…\"`")),
    }
}

/// The value of the one line of the field, without surrounding blanks.
fn field_text<'a>(request: &HttpRequest<'a>) -> Result<Option<&'a str>, ProofError> {
    if request.lines(SIGNATURE_AGENT_FIELD).next().is_none() {
        return Ok(None);
    }
    let line = single_line(request, SIGNATURE_AGENT_FIELD)?;
    if line.len() > MAX_SIGNATURE_AGENT_BYTES {
        return Err(malformed("it is longer than 2048 bytes"));
    }
    let text = core::str::from_utf8(line).map_err(|_| malformed("it is not ASCII"))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

fn members(text: &str) -> Result<alloc::vec::Vec<Member<'_>>, ProofError> {
    let members = fields::parse_dictionary(text.as_bytes())
        .map_err(|_| malformed("it is neither a dictionary such as `sig1=\"https://…\"` nor one string"))?;
    let twice = |(index, member): (usize, &Member<'_>)| members.iter().skip(index + 1).any(|m| m.key == member.key);
    if members.len() > MAX_AGENT_MEMBERS || members.iter().enumerate().any(twice) {
        return Err(malformed("it has more than 8 members, or a member twice"));
    }
    Ok(members)
}

fn member_text<'a>(member: &Member<'a>) -> Result<&'a str, ProofError> {
    match &member.value {
        Value::Item(item) if member.parameters.is_empty() => plain_string(item),
        _ => None,
    }
    .ok_or_else(|| malformed("the member is not a plain string without parameters"))
}

fn malformed(reason: &'static str) -> ProofError {
    ProofError::malformed(SIGNATURE_AGENT_FIELD, reason)
}

fn coverage(reason: &'static str) -> ProofError {
    ProofError::coverage(SIGNATURE_AGENT_FIELD, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_has_one_name() {
        let name = "https://signer.example/.well-known/http-message-signatures-directory";
        let same = ["https://signer.example", "HTTPS://Signer.Example:443/", "https://signer.example?a", name];
        for url in same {
            assert_eq!(AgentUrl::parse(url).unwrap().as_str(), name, "{url}");
        }
        let file = AgentUrl::parse("https://signer.example:8443/a/../jwks.json?v=2").unwrap();
        assert_eq!((file.as_str(), file.authority()), ("https://signer.example:8443/jwks.json", "signer.example:8443"));
        assert_eq!(AgentUrl::parse("https://signer.example//").unwrap().as_str(), "https://signer.example//");
    }

    #[test]
    fn what_names_no_agent() {
        let long = ["https://signer.example/", &"a".repeat(MAX_AGENT_URL_BYTES)].concat();
        for url in [
            "",
            "signer.example",
            "http://signer.example",
            "data:application/json,{}",
            "https://",
            "https://good.example@signer.example",
            "https://signer.example/#keys",
            "https://signer.example/a b",
            "https://s\u{ef}gner.example",
            "https://signer.example/%zz",
            &long,
        ] {
            assert_eq!(AgentUrl::parse(url).map_err(|error| error.code()), Err("proof_malformed"), "{url}");
        }
    }
}
