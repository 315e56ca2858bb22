//! Who a mail goes to.

use passgate_plugin::Deny;
use serde::Deserialize;
use serde_json::Value;

/// The most recipients of one mail: one that has more is a mailing, not a mail.
const MAX_RECIPIENTS: usize = 100;

/// `example.com`, or `*.example.com` for its sub-domains.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Domain {
    /// In lower case, without `*.`.
    name: String,
    is_below: bool,
}

impl Domain {
    fn matches(&self, domain: &str) -> bool {
        if self.is_below {
            domain.strip_suffix(self.name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            domain == self.name
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (is_below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let name = name.to_ascii_lowercase();
        if !is_domain(&name) {
            return Err(format!("`{text}` is no domain; write example.com, or *.example.com for its sub-domains"));
        }
        Ok(Self { name, is_below })
    }
}

/// The first domain of a recipient that is not on the list. A mail without any recipient, or with one that has two
/// readings, is refused.
pub(crate) fn outside(mail: &Value, pointers: &[String], domains: &[Domain]) -> Result<Option<String>, Deny> {
    let mut recipients = Vec::new();
    for value in pointers.iter().filter_map(|pointer| mail.pointer(pointer)) {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                for item in items {
                    recipients.push(domain_of(item)?);
                }
            }
            one => recipients.push(domain_of(one)?),
        }
    }
    if recipients.is_empty() {
        return Err(Deny::new("the mail names no recipient"));
    }
    if recipients.len() > MAX_RECIPIENTS {
        return Err(Deny::new(format_args!("the mail has more than {MAX_RECIPIENTS} recipients")));
    }
    Ok(recipients.into_iter().find(|domain| !domains.iter().any(|listed| listed.matches(domain))))
}

fn domain_of(recipient: &Value) -> Result<String, Deny> {
    let address = match recipient {
        Value::String(address) => address,
        Value::Object(members) => members.get("email").and_then(Value::as_str).ok_or("a recipient has no `email`")?,
        _ => return Err(Deny::new("a recipient is neither a text nor an object")),
    };
    let unclear = "a recipient is not one plain address such as name@example.com";
    let (name, domain) = address.split_once('@').ok_or(unclear)?;
    let domain = domain.to_ascii_lowercase();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~.".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) || !is_domain(&domain) {
        return Err(Deny::new(unclear));
    }
    Ok(domain)
}

/// Whether a text in lower case is the name of a domain with a dot in it: no address in brackets, no trailing dot, and
/// international names in their ASCII form alone.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}
