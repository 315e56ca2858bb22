//! What a mail carries.

use passgate_plugin::Deny;
use serde::Deserialize;
use serde_json::Value;

/// What attachments may be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pointer: String,
    max_count: usize,
    /// Of all contents together, decoded.
    max_bytes: u64,
    /// In lower case, without the dot.
    extensions: Vec<String>,
}

/// Where attachments stand when the configuration does not say so: there must be none.
const USUAL_POINTER: &str = "/attachments";

/// One attachment. Members that nobody knows might name other contents, such as a file or a URL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    filename: String,
    content: String,
    #[serde(rename = "content_type", default)]
    _content_type: Option<String>,
    #[serde(rename = "content_id", default)]
    _content_id: Option<String>,
    #[serde(rename = "disposition", default)]
    _disposition: Option<String>,
}

/// Refuses a mail whose attachments are not within the limits.
pub(crate) fn check(mail: &Value, limits: Option<&Limits>) -> Result<(), Deny> {
    let pointer = limits.map_or(USUAL_POINTER, |limits| &limits.pointer);
    let attachments = match mail.pointer(pointer) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(items)) if items.is_empty() => return Ok(()),
        Some(attachments) => attachments,
    };
    let limits = limits.ok_or("attachments are not allowed")?;
    let attachments: Vec<Attachment> =
        Vec::deserialize(attachments).map_err(|error| format!("an attachment is not of the expected form: {error}"))?;
    if attachments.len() > limits.max_count {
        return Err(Deny::new(format_args!("more than {} attachments", limits.max_count)));
    }
    let mut bytes = 0_u64;
    for attachment in &attachments {
        let extension = extension(&attachment.filename).ok_or("an attachment's name has no plain extension")?;
        if !limits.extensions.contains(&extension) {
            return Err(Deny::new(format_args!("attachments of type .{extension} are not allowed")));
        }
        bytes =
            bytes.saturating_add(decoded_length(&attachment.content).ok_or("an attachment's content is no base64")?);
    }
    if bytes > limits.max_bytes {
        return Err(Deny::new(format_args!("attachments of more than {} bytes", limits.max_bytes)));
    }
    Ok(())
}

/// What follows the last dot, in lower case. Only letters and digits: a trailing dot or space makes another name on some
/// systems.
fn extension(filename: &str) -> Option<String> {
    let (name, extension) = filename.rsplit_once('.')?;
    let is_plain = !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_plain && !name.is_empty() && !filename.chars().any(|c| c.is_control() || c == '/' || c == '\\'))
        .then(|| extension.to_ascii_lowercase())
}

/// How many bytes a base64 text stands for; `None` when it is none.
fn decoded_length(text: &str) -> Option<u64> {
    let data = text.trim_end_matches('=');
    let padding = text.len() - data.len();
    let is_base64 = data.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    let is_whole = text.len().is_multiple_of(4) && padding <= 2;
    (is_base64 && is_whole).then(|| data.len() as u64 * 3 / 4)
}
