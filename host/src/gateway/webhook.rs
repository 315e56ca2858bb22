//! Tells people that a request for approval waits: one POST for each, as by Standard Webhooks (standardwebhooks.com).
//!
//! | field | |
//! | --- | --- |
//! | `webhook-id` | the id of the request for approval: the same when it is told again |
//! | `webhook-timestamp` | Unix seconds of this attempt |
//! | `webhook-signature` | `v1,` and the base64 of HMAC-SHA-256 of `<id>.<timestamp>.<body>` |
//!
//! The body says that something waits and names it. What approvers are shown is not in it: who answers looks at the gate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use passgate_api::driver::Refused;
use passgate_core::approval::RequestState;
use passgate_core::time::UnixMillis;
use serde::Serialize;
use sha2::Sha256;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::outgoing::{self, Client, checked_url};
use crate::config::WebhookEntry;
use crate::env::Environment;
use crate::files::{self, FileError};
use crate::logging::inert;

/// Messages that wait to be sent. More are dropped, and said to be.
const MAX_WAITING: usize = 256;
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after each attempt that failed but the last.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// What stands before the secret in its file.
const SECRET_PREFIX: &[u8] = b"whsec_";
const MAX_SECRET_FILE_BYTES: usize = 256;

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The URL leads nowhere that may be told.
    #[error("approvals.webhook.url: {0}")]
    Url(&'static str),
    /// The secret cannot be read.
    #[error("approvals.webhook.secret_file: {0}")]
    File(#[from] FileError),
    /// It is none.
    #[error("approvals.webhook.secret_file: holds no secret: write `whsec_` and the base64 of 24 to 64 random bytes")]
    Secret,
    /// The TLS library refused its settings.
    #[error("approvals.webhook: TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where people are told.
pub(super) struct Webhook {
    queue: Option<mpsc::Sender<Message>>,
}

struct Message {
    id: String,
    body: Bytes,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    action: Option<&'a str>,
    agent_id: Option<&'a str>,
    attestation_id: &'a str,
    expires_at: String,
    gate_id: &'a str,
    request_id: &'a str,
}

impl Webhook {
    /// Begins to tell whom the configuration names, if anybody.
    pub(super) fn start(
        entry: Option<&WebhookEntry>,
        base: &Path,
        env: &Arc<dyn Environment>,
    ) -> Result<Self, WebhookError> {
        let Some(entry) = entry else { return Ok(Self { queue: None }) };
        let sender = Sender::new(entry, base, Arc::clone(env))?;
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(sender.run(waiting));
        Ok(Self { queue: Some(queue) })
    }

    /// Tells of the request for approval that a refusal opened, if it did: it has the ULID of the decision's record.
    pub(super) fn tell(&self, refused: &Refused, gate_id: &str, now: UnixMillis) {
        let (Some(queue), Some(notice), Some(record)) = (&self.queue, &refused.approval, &refused.attestation_id)
        else {
            return;
        };
        let is_new = notice.request_id.split_once('_').map(|(_, id)| id) == record.split_once('_').map(|(_, id)| id);
        if notice.state != RequestState::Pending || !is_new {
            return;
        }
        let expires = UnixMillis(u64::try_from(notice.expires_at).unwrap_or(0).saturating_mul(1000));
        let document = Document {
            kind: "approval.requested",
            timestamp: now.rfc3339(),
            data: Data {
                action: refused.action.as_deref(),
                agent_id: refused.agent_id.as_deref(),
                attestation_id: record,
                expires_at: expires.rfc3339(),
                gate_id,
                request_id: &notice.request_id,
            },
        };
        // Strings always serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default().into();
        if queue.try_send(Message { id: notice.request_id.clone(), body }).is_err() {
            tracing::warn!(request_id = notice.request_id, "nobody is told of a request for approval: too many wait");
        }
    }
}

struct Sender {
    client: Client,
    url: Uri,
    secret: Zeroizing<Vec<u8>>,
    env: Arc<dyn Environment>,
}

impl Sender {
    fn new(entry: &WebhookEntry, base: &Path, env: Arc<dyn Environment>) -> Result<Self, WebhookError> {
        let url = checked_url(&entry.url).map_err(WebhookError::Url)?;
        let text = files::read_secret(&base.join(&entry.secret_file), MAX_SECRET_FILE_BYTES)?;
        let secret = decoded(&text).ok_or(WebhookError::Secret)?;
        Ok(Self { client: outgoing::client(ATTEMPT_TIMEOUT)?, url, secret, env })
    }

    /// Sends what waits, one after the other, until nobody can give it more.
    async fn run(self, mut waiting: mpsc::Receiver<Message>) {
        while let Some(message) = waiting.recv().await {
            if let Err(why) = self.deliver(&message).await {
                tracing::warn!(request_id = message.id, error = %inert(&why), "nobody was told of a request for approval");
            }
        }
    }

    async fn deliver(&self, message: &Message) -> Result<(), String> {
        for pause in RETRY_AFTER {
            if self.attempt(message).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
        self.attempt(message).await
    }

    async fn attempt(&self, message: &Message) -> Result<(), String> {
        let timestamp = self.env.now().seconds().to_string();
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", signature(&self.secret, &message.id, &timestamp, &message.body))
            .body(Full::new(message.body.clone()))
            .map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(ATTEMPT_TIMEOUT, self.client.request(request)).await;
        match answer {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("answered with {}", StatusCode::as_u16(&answer.status()))),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ATTEMPT_TIMEOUT.as_secs())),
        }
    }
}

fn signature(secret: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    let mac = mac.chain_update(id).chain_update(".").chain_update(timestamp).chain_update(".").chain_update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn decoded(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let secret = STANDARD.decode(text.trim_ascii().strip_prefix(SECRET_PREFIX)?).map(Zeroizing::new).ok()?;
    (24..=64).contains(&secret.len()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_as_the_specification_signs_them() {
        // The example of the reference libraries of Standard Webhooks.
        let secret = decoded(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body), expected);
    }

    #[test]
    fn secrets_are_long_enough() {
        let written = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, is_one) in [
            (written(24), true),
            (written(64), true),
            (written(23), false),
            (written(65), false),
            ("whsec_".to_owned(), false),
            (STANDARD.encode([7; 32]), false),
        ] {
            assert_eq!(decoded(text.as_bytes()).is_some(), is_one, "{text}");
        }
    }
}
