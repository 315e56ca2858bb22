//! A request that can be changed at will, and a signer of its own.
//!
//! The signer is written from RFC 9421 for these tests, so that flawed proofs carry a good signature and only the flaw
//! can be the reason of a refusal.

#![expect(clippy::panic, reason = "a failing helper fails its test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use passgate_passport::digest::content_digest;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::{self, ProofParams, VerifiedProof};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const NONCE: &str = "bm9uY2Utb2YtdGVzdA";
pub(crate) const BODY: &[u8] = br#"{"amount_micros":5000000}"#;
/// What [`good`] covers.
pub(crate) const COVERED: &str =
    r#""@method" "@target-uri" "agent-passport" "content-digest" "content-type" "x-intent""#;

pub(crate) fn agent() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

pub(crate) fn other_agent() -> SecretKey {
    SecretKey::from_seed([8; 32])
}

/// The parameters of a good proof.
pub(crate) fn good_params() -> String {
    let keyid = agent().public().thumbprint().to_owned();
    format!(r#"created={NOW};nonce="{NONCE}";keyid="{keyid}""#)
}

/// A signed request that is accepted.
pub(crate) fn good() -> Message {
    Message::post().signed(COVERED, &good_params())
}

/// An owned request.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Unsigned, with a passport and nothing else that must be covered.
    pub(crate) fn get() -> Self {
        let mut message = Self {
            method: "GET".into(),
            scheme: "https".into(),
            authority: "api.example".into(),
            path: "/v1/pay".into(),
            query: Some("a=1&b=%2F".into()),
            headers: Vec::new(),
            body: Vec::new(),
        };
        message.add("host", "api.example");
        message.add("agent-passport", "aaa.bbb.ccc");
        message.add("x-other", "loose");
        message
    }

    /// Unsigned, with a body, its digest, a type and one more field to cover.
    pub(crate) fn post() -> Self {
        let mut message = Self { method: "POST".into(), body: BODY.into(), ..Self::get() };
        message.add("content-type", "application/json");
        message.add("content-digest", content_digest(BODY));
        message.add("x-intent", "pay the invoice");
        message
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other == name)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        assert!(self.has(name), "{name} is not there");
        self.headers.retain(|(other, _)| other != name);
    }

    /// The first line's value, to be changed.
    pub(crate) fn line(&mut self, name: &str) -> &mut Vec<u8> {
        let line = self.headers.iter_mut().find(|(other, _)| other == name);
        &mut line.unwrap_or_else(|| panic!("{name} is not there")).1
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        *self.line(name) = value.into();
    }

    pub(crate) fn value(&self, name: &str) -> Vec<u8> {
        self.clone().line(name).clone()
    }

    pub(crate) fn view<T>(&self, run: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        let lines = self.headers.iter();
        let headers: Vec<_> = lines.map(|(name, value)| Header { name, value }).collect();
        run(&HttpRequest {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            body: &self.body,
        })
    }

    /// The refusal's code, or `ok`.
    pub(crate) fn code_at(&self, now: i64) -> &'static str {
        self.view(|request| match proof::verify(request, agent().public(), now) {
            Ok(_) => "ok",
            Err(error) => {
                assert!(!error.to_string().is_empty());
                error.code()
            }
        })
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code_at(NOW)
    }

    /// Runs on the verified proof, which must be good.
    pub(crate) fn verified<T>(&self, run: impl FnOnce(&VerifiedProof<'_>) -> T) -> T {
        self.view(|request| match proof::verify(request, agent().public(), NOW) {
            Ok(proof) => run(&proof),
            Err(error) => panic!("{error}"),
        })
    }

    /// Signs with a component list and parameters given as text, whatever they say.
    pub(crate) fn signed(self, components: &str, params: &str) -> Self {
        self.signed_by(&agent(), components, params)
    }

    pub(crate) fn signed_by(mut self, key: &SecretKey, components: &str, params: &str) -> Self {
        let separator = if params.is_empty() { "" } else { ";" };
        let params_text = format!("({components}){separator}{params}");
        let mut base = Vec::new();
        for name in components.split('"').skip(1).step_by(2) {
            base.extend_from_slice(format!("\"{name}\": ").as_bytes());
            base.extend(self.component(name));
            base.push(b'\n');
        }
        base.extend_from_slice(format!("\"@signature-params\": {params_text}").as_bytes());
        self.add("signature-input", format!("p={params_text}"));
        self.add("signature", format!("p=:{}:", STANDARD.encode(key.sign(&base))));
        self
    }

    pub(crate) fn component(&self, name: &str) -> Vec<u8> {
        let query = self.query.as_ref().map_or(String::new(), |query| format!("?{query}"));
        match name {
            "@method" => self.method.clone().into(),
            "@scheme" => self.scheme.clone().into(),
            "@authority" => self.authority.clone().into(),
            "@path" => self.path.clone().into(),
            "@query" if query.is_empty() => "?".into(),
            "@query" => query.into(),
            "@request-target" => format!("{}{query}", self.path).into(),
            "@target-uri" => format!("{}://{}{}{query}", self.scheme, self.authority, self.path).into(),
            field => {
                let lines = self.headers.iter().filter(|(other, _)| other == field);
                let lines: Vec<&[u8]> = lines.map(|(_, value)| value.trim_ascii()).collect();
                lines.join(&b", "[..])
            }
        }
    }

    /// Signs with the library's signer and adds the fields it returns.
    pub(crate) fn signed_by_library(mut self, params: &ProofParams<'_>, extra: &[&str]) -> Self {
        let signed = self.view(|request| proof::sign_covering(request, &agent(), params, extra));
        let signed = signed.unwrap_or_else(|error| panic!("{error}"));
        self.add("signature-input", signed.signature_input);
        self.add("signature", signed.signature);
        if let Some(digest) = signed.content_digest {
            self.add("content-digest", digest);
        }
        self
    }
}
