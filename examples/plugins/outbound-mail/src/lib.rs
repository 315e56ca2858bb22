//! `outbound-mail`: whom agents may write to, with what attached, and without what is nobody else's business.
//!
//! ```yaml
//! - name: outbound-mail
//!   file: plugins/outbound-mail.wasm
//!   sha256: "sha256:…"                          # `passgate plugin inspect` shows it
//!   actions: ["mail:send"]
//!   config:
//!     recipients: [/to, /cc, /bcc]              # where recipients stand in the body; this is the default
//!     domains: [example.com, "*.partner.example"]   # the second: sub-domains of partner.example, not itself
//!     outside: step_up                          # other domains: deny, the default, or a person approves
//!     roles: [communications]                   # who may approve; without it, anybody who may approve
//!     attachments:                              # without this, a mail may have none
//!       pointer: /attachments
//!       max_count: 5
//!       max_bytes: 10000000                     # all of them together
//!       extensions: [pdf, png, txt]
//!     redact: [/internal_note]                  # taken out before the mail leaves the gate
//! ```
//!
//! A recipient is a text with one address, or an object with the address as `email`; one of them or a list. An
//! attachment is an object with `filename` and `content`, which is base64. What has another form is refused: who is
//! written to must not depend on how a mail API reads it.
//!
//! A mail that has to be approved is refused while it holds what would be taken out: what a person approves is what is sent.

mod attachments;
mod recipients;

use passgate_plugin::{Deny, Description, Facts, Plugin, Request, Verdict, deny, describe, export, step_up};
use serde::Deserialize;
use serde_json::Value;

struct OutboundMail;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_recipients")]
    recipients: Vec<String>,
    domains: Vec<recipients::Domain>,
    #[serde(default)]
    outside: Outside,
    #[serde(default)]
    roles: Vec<String>,
    attachments: Option<attachments::Limits>,
    #[serde(default)]
    redact: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outside {
    #[default]
    Deny,
    StepUp,
}

fn default_recipients() -> Vec<String> {
    ["/to", "/cc", "/bcc"].map(str::to_owned).to_vec()
}

impl Plugin for OutboundMail {
    type Config = Config;

    fn describe() -> Description {
        describe!("Mail goes to listed domains, with listed attachments, without internal notes")
    }

    fn evaluate(request: &Request, _: &Facts, config: &Config) -> Result<Verdict, Deny> {
        let mail: Value = request.json()?;
        attachments::check(&mail, config.attachments.as_ref())?;
        let outside = recipients::outside(&mail, &config.recipients, &config.domains)?;
        let redacted = to_redact(&mail, &config.redact)?;
        match (outside, config.outside) {
            (Some(domain), Outside::Deny) => deny(format_args!("mail to {domain} is not allowed")),
            (Some(_), Outside::StepUp) if !redacted.is_empty() => {
                deny(format_args!("a mail that needs approval must not have {}: send it without", redacted.join(", ")))
            }
            (Some(domain), Outside::StepUp) => {
                step_up(&config.roles, format_args!("mail to {domain}, outside the list"))
            }
            (None, _) if redacted.is_empty() => Ok(Verdict::Abstain),
            (None, _) => Ok(Verdict::Redact(redacted)),
        }
    }
}

export!(OutboundMail);

/// The pointers that lead to a text in this mail.
fn to_redact(mail: &Value, pointers: &[String]) -> Result<Vec<String>, Deny> {
    let mut found = Vec::new();
    for pointer in pointers {
        match mail.pointer(pointer) {
            None | Some(Value::Null) => {}
            Some(Value::String(_)) => found.push(pointer.clone()),
            Some(_) => return Err(Deny::new(format_args!("{pointer} is no text, so it cannot be taken out"))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
