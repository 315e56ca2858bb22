//! What approvers are shown, as lines that leave nothing of it out.

use std::collections::BTreeMap;

use passgate_core::approval::{MAX_SHOWN_BYTES, Need, ShownView};
use passgate_core::attest::sha256_label;
use passgate_core::money::MicroUsd;
use passgate_host::control::ApprovalDoc;
use passgate_passport::{b64, json};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{people, standing, times};
use crate::exit::{Exit, Failure};
use crate::inert::{inert, inert_lines};
use crate::output::aligned;
use crate::span;

/// The version of the document that is understood here.
const VERSION: u64 = 1;

/// A document as its digest says it is.
#[derive(Debug)]
pub(super) struct Sheet {
    /// SHA-256 of the document, which an approval names.
    pub(super) sha256: [u8; 32],
    /// What the gate goes by.
    pub(super) view: ShownView,
    /// What stands at each path: strings, numbers, and whatever is empty.
    leaves: BTreeMap<String, Value>,
}

type Rows = Vec<(String, String)>;

impl Sheet {
    /// The document that the request shows.
    pub(super) fn of(doc: &ApprovalDoc) -> Result<Self, Failure> {
        let bad = |why: &str, hint: &str| {
            let message = format!("what {} shows is not usable: {why}", doc.id);
            Failure::new(Exit::Invalid, "approval_content_mismatch", message).hint(hint)
        };
        const ASK: &str = "nothing was signed; ask the gate's operator how the document changed";
        let shown = doc.shown.as_deref().ok_or_else(|| bad("the gate left it out", ASK))?;
        let sha256 = Sha256::digest(shown).into();
        if sha256_label(&sha256) != doc.shown_sha256 {
            return Err(bad("its SHA-256 is another than the gate says", ASK));
        }
        let whole = json::parse(shown.as_bytes(), MAX_SHOWN_BYTES).map_err(|error| bad(&error.to_string(), ASK))?;
        if whole.get("v").and_then(Value::as_u64) != Some(VERSION) {
            return Err(bad("it is of a version that this program does not know", "use the version of the gate"));
        }
        let view = ShownView::of(shown).ok_or_else(|| bad("it is no such document", ASK))?;
        let mut leaves = BTreeMap::new();
        flatten(String::new(), &whole, &mut leaves);
        Ok(Self { sha256, view, leaves })
    }

    /// Everything, inert.
    pub(super) fn lines(&self, doc: &ApprovalDoc) -> Vec<String> {
        let mut left = self.leaves.clone();
        let mut rows: Rows = vec![
            ("request".to_owned(), doc.id.clone()),
            ("state".to_owned(), standing(doc)),
            ("asked".to_owned(), format!("{}, first at {}", times(doc.asked), doc.asked_at)),
            ("until".to_owned(), doc.expires_at.clone()),
        ];
        rows.extend(doc.note.clone().map(|note| ("note".to_owned(), note)));
        self.who(&mut left, &mut rows);
        what(&mut left, &mut rows);
        let text = body(&mut left, &mut rows);
        self.why(&mut left, &mut rows);
        let approvals = doc.approvals.iter().map(|token| ("approved by".to_owned(), given(token)));
        rows.extend(approvals);
        // Whatever has no name here is shown by its path.
        rows.extend(left.iter().map(|(path, value)| (path.clone(), plain(value))));
        rows.push(("shown".to_owned(), doc.shown_sha256.clone()));
        let mut lines = aligned(&rows);
        if let Some(text) = text {
            lines.push("body:".to_owned());
            lines.extend(inert_lines(&text).split('\n').map(|line| format!("| {line}")));
        }
        lines
    }

    /// What it comes to: who does what, for how much.
    pub(super) fn gist(&self) -> Vec<String> {
        let (agent, action) = (&self.view.agent, &self.view.action);
        let amount = action.amount_micro_usd.map(|amount| format!(", {} USD", MicroUsd(amount)));
        let target = action.target_domain.as_ref().map(|host| format!(", to {host}"));
        let name = action.name.as_deref().unwrap_or("no named action");
        let said = [amount, target].into_iter().flatten().collect::<String>();
        vec![inert(&format!("{} of {}: {name}{said}", agent.agent_id, agent.issuer))]
    }

    fn who(&self, left: &mut BTreeMap<String, Value>, rows: &mut Rows) {
        let agent = &self.view.agent;
        left.retain(|path, value| match path.as_str() {
            "agent.agent_id" | "agent.issuer" => false,
            // Another agent than the one above would stand out.
            "action.agent.id" => value != agent.agent_id.as_str(),
            "action.agent.issuer" => value != agent.issuer.as_str(),
            "action.gate_id" => value != self.view.gate.gate_id.as_str(),
            "action.passport_sha256" => value != agent.passport_sha256.as_str(),
            "v" | "action.v" => value != VERSION,
            _ => true,
        });
        rows.push(("agent".to_owned(), format!("{} of {}", agent.agent_id, agent.issuer)));
        for (i, above) in agent.delegated_by.iter().enumerate() {
            let at = |member: &str| format!("agent.delegated_by.{i}.{member}");
            ["agent_id", "key_thumbprint", "passport_id"].map(at).iter().for_each(|path| drop(left.remove(path)));
            let words = format!("{} (key {}, {})", above.agent_id, above.key_thumbprint, above.passport_id);
            rows.push(("handed on by".to_owned(), words));
        }
        for (i, label) in agent.labels.iter().enumerate() {
            left.remove(&format!("agent.labels.{i}"));
            rows.push(("label".to_owned(), label.clone()));
        }
        const NAMED: [(&str, &str); 6] = [
            ("purpose", "agent.purpose"),
            ("task", "agent.task"),
            ("trust tier", "agent.trust_tier"),
            ("key", "agent.key_thumbprint"),
            ("passport", "agent.passport_id"),
            ("passport digest", "agent.passport_sha256"),
        ];
        named(&NAMED, left, rows);
    }

    /// What wants approval, under which policy, and where.
    fn why(&self, left: &mut BTreeMap<String, Value>, rows: &mut Rows) {
        for (i, need) in self.view.needs.iter().enumerate() {
            left.retain(|path, _| {
                let member = path.strip_prefix(&format!("needs.{i}."));
                let is_role = member.is_some_and(|member| member.starts_with("roles."));
                !is_role && !matches!(member, Some("count" | "name" | "reason_code" | "said"))
            });
            rows.push(("needs".to_owned(), wanted(need)));
        }
        const NAMED: [(&str, &str); 5] = [
            ("policy version", "policy.version"),
            ("policy", "policy.sha256"),
            ("gate", "gate.gate_id"),
            ("level", "gate.level"),
            ("action digest", "action_sha256"),
        ];
        named(&NAMED, left, rows);
    }
}

/// What would be done.
fn what(left: &mut BTreeMap<String, Value>, rows: &mut Rows) {
    const BEFORE: [(&str, &str); 2] = [("action", "action.name"), ("effect class", "effect_class")];
    named(&BEFORE, left, rows);
    if let Some(amount) = left.remove("action.amount_micro_usd") {
        let words = amount.as_u64().map_or_else(|| plain(&amount), |amount| format!("{} USD", MicroUsd(amount)));
        rows.push(("amount".to_owned(), words));
    }
    const AFTER: [(&str, &str); 8] = [
        ("method", "action.method"),
        ("scheme", "action.scheme"),
        ("authority", "action.authority"),
        ("path", "action.path"),
        ("query", "action.query"),
        ("target domain", "action.target_domain"),
        ("content type", "action.content_type"),
        ("content encoding", "action.content_encoding"),
    ];
    named(&AFTER, left, rows);
}

/// What goes upstream of the body; its text comes last, since it may have many lines.
fn body(left: &mut BTreeMap<String, Value>, rows: &mut Rows) -> Option<String> {
    let (bytes, sha256) = (left.remove("body.bytes"), left.remove("body.sha256"));
    if left.get("action.payload_sha256") == sha256.as_ref() {
        left.remove("action.payload_sha256");
    }
    let text = left.remove("body.text").map(|text| plain(&text));
    let kind = if text.is_some() { "" } else { ", no text or too long to be shown" };
    let bytes = bytes.as_ref().map(plain).unwrap_or_default();
    rows.push(("body".to_owned(), format!("{bytes} bytes{kind}")));
    rows.extend(sha256.map(|digest| ("body digest".to_owned(), plain(&digest))));
    // Strings were taken out of what the agent sent.
    let sent = left.remove("action.payload_sha256");
    rows.extend(sent.map(|digest| ("body as sent".to_owned(), format!("{} (redacted)", plain(&digest)))));
    text.filter(|text| !text.is_empty())
}

/// A need with its reason.
fn wanted(need: &Need) -> String {
    let by = need.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let said = need.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
    format!("{} ({}{by}){said}", people(std::slice::from_ref(need)), need.reason_code)
}

fn named(names: &[(&str, &str)], left: &mut BTreeMap<String, Value>, rows: &mut Rows) {
    rows.extend(names.iter().filter_map(|(name, path)| Some(((*name).to_owned(), plain(&left.remove(*path)?)))));
}

/// Who signed an approval that the gate took in, and for how long.
fn given(token: &str) -> String {
    let payload = token.split('.').nth(1).and_then(|payload| b64::decode(payload).ok());
    let claims: Value = payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default();
    let claim = |pointer: &str| claims.pointer(pointer);
    let text = |pointer: &str| claim(pointer).and_then(Value::as_str).unwrap_or("?").to_owned();
    let until = claim("/exp").and_then(Value::as_i64).map(span::date).unwrap_or_default();
    let uses = claim("/grant/uses").and_then(Value::as_u64);
    let uses = uses.map(|uses| format!(", a grant of {uses} uses")).unwrap_or_default();
    format!("{} ({}, until {until}{uses})", text("/iss"), text("/jti"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every value with its path; what has no members is a value as well.
fn flatten(path: String, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| flatten(below(name), value, leaves));
        }
        Value::Array(entries) if !entries.is_empty() => {
            let numbered = entries.iter().enumerate();
            numbered.for_each(|(i, value)| flatten(below(&i.to_string()), value, leaves));
        }
        value => {
            leaves.insert(path, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doc(shown: &Value) -> ApprovalDoc {
        let shown = shown.to_string();
        ApprovalDoc {
            action: None,
            agent_id: "travel".to_owned(),
            amount_micro_usd: None,
            approvals: Vec::new(),
            approved: 0,
            asked: 2,
            asked_at: "2026-01-01T00:00:00.000Z".to_owned(),
            expires_at: "2026-01-01T01:00:00.000Z".to_owned(),
            id: "areq_01ARYZ6S410000000000000001".to_owned(),
            issuer: "https://issuer.example".to_owned(),
            needs: Vec::new(),
            note: None,
            shown_sha256: sha256_label(&Sha256::digest(&shown).into()),
            shown: Some(shown),
            state: "pending".to_owned(),
        }
    }

    fn shown() -> Value {
        json!({
            "action": {"agent": {"id": "travel", "issuer": "https://issuer.example"}, "amount_micro_usd": 75_000_000,
                "authority": "gate.example", "gate_id": "gate-1", "method": "POST", "name": "payments:create",
                "passport_sha256": "sha256:aa", "path": "/pay", "payload_sha256": "sha256:bb", "query": "a=1",
                "scheme": "https", "target_domain": "shop.example", "v": 1},
            "action_sha256": "sha256:cc",
            "agent": {"agent_id": "travel", "issuer": "https://issuer.example", "key_thumbprint": "thumb",
                "delegated_by": [{"agent_id": "boss", "key_thumbprint": "above", "passport_id": "pass_0"}],
                "labels": ["pii"], "passport_id": "pass_1", "passport_sha256": "sha256:aa", "task": "trip-7",
                "trust_tier": "L2"},
            "body": {"bytes": 9, "sha256": "sha256:bb", "text": "{\"a\":\n1}\u{202e}"},
            "gate": {"gate_id": "gate-1", "level": "L2"},
            "needs": [{"count": 2, "name": "large", "reason_code": "rule_step_up", "roles": ["finance"]},
                {"count": 1, "name": "shops", "reason_code": "plugin_step_up", "said": "new shop"}],
            "policy": {"sha256": "sha256:dd", "version": 7},
            "v": 1,
        })
    }

    #[test]
    fn nothing_that_is_signed_is_left_out() {
        let doc = doc(&shown());
        let sheet = Sheet::of(&doc).unwrap();
        let text = sheet.lines(&doc).join("\n");
        for (path, value) in &sheet.leaves {
            let value = match path.as_str() {
                "v" | "action.v" | "body.text" => continue,
                "action.amount_micro_usd" => "75.00 USD".to_owned(),
                _ => plain(value),
            };
            assert!(text.contains(&value), "{path}: {value} is not in\n{text}");
        }
        assert!(text.ends_with("\nbody:\n| {\"a\":\n| 1}\\u{202e}"), "{text}");
        assert!(!text.contains("redacted") && !text.contains("agent."), "{text}");
        assert!(text.contains("2 of finance (rule_step_up of large)"), "{text}");
        assert!(text.contains("1 approver (plugin_step_up of shops): new shop"), "{text}");
        assert!(text.contains("handed on by     boss (key above, pass_0)"), "{text}");
    }

    #[test]
    fn what_this_program_does_not_know_is_shown_by_its_path() {
        let mut strange = shown();
        strange["action"]["currency"] = "EUR".into();
        strange["action"]["agent"]["id"] = "other".into();
        strange["action"]["payload_sha256"] = "sha256:ee".into();
        strange["needs"][0]["vetoed_by"] = json!(["nobody", []]);
        let doc = doc(&strange);
        let lines = Sheet::of(&doc).unwrap().lines(&doc);
        let has = |name: &str, value: &str| {
            lines.iter().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value))
        };
        assert!(has("action.currency", "EUR") && has("action.agent.id", "other"), "{lines:#?}");
        assert!(has("needs.0.vetoed_by.0", "nobody") && has("needs.0.vetoed_by.1", "[]"), "{lines:#?}");
        assert!(has("body as sent", "sha256:ee (redacted)"), "{lines:#?}");
    }

    #[test]
    fn a_document_that_is_not_what_its_digest_says_is_refused() {
        let whole = doc(&shown());
        let with = |shown: Option<String>, shown_sha256: &str| ApprovalDoc {
            shown,
            shown_sha256: shown_sha256.to_owned(),
            ..whole.clone()
        };
        let digest_of = |text: &str| sha256_label(&Sha256::digest(text).into());
        let twice = whole.shown.clone().unwrap().replacen("{\"action\"", "{\"v\":1,\"action\"", 1);
        let newer = whole.shown.clone().unwrap().replace("\"v\":1}", "\"v\":2}");
        for (doc, why) in [
            (with(whole.shown.clone().map(|text| text.replace("75000000", "75")), &whole.shown_sha256), "SHA-256"),
            (with(None, &whole.shown_sha256), "left it out"),
            (with(Some(twice.clone()), &digest_of(&twice)), "repeats"),
            (with(Some(newer.clone()), &digest_of(&newer)), "version"),
            (with(Some("{\"v\":1}".to_owned()), &digest_of("{\"v\":1}")), "no such document"),
        ] {
            let failure = Sheet::of(&doc).unwrap_err();
            assert_eq!((failure.exit, failure.code), (Exit::Invalid, "approval_content_mismatch"));
            assert!(failure.message.contains(why), "{why}: {}", failure.message);
        }
    }
}
