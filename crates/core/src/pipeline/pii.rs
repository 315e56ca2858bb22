//! Step 3, continued: what of a request is personal data or a secret.
//!
//! Looked at are the path, the query and the body: of JSON each member name and each value after unescaping, with the name of
//! the member as its context, of other text the whole. A body that is no text, or is coded, cannot be looked at.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use passgate_passport::json::{self, Node};
use passgate_passport::proof::CoveredRequest;
use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::decide::{Evidence, record};
use super::judge::Finding;
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord};
use crate::gate::{Gate, PiiControls};
use crate::pii::{Class, Classes, Found, find_with_context};
use crate::reason::Reason;
use crate::route::MAX_JSON_BODY_BYTES;

/// What stands in the place of what is taken out of a text.
const MASK: &str = "[redacted]";

/// What was found, by what the policy does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PiiFindings {
    pub(super) finding: Finding,
    /// How often each class was found. Nothing says where, or what it was.
    found: SortedMap<String, u64>,
    /// The body could not be looked at.
    is_unscannable: bool,
    /// How many texts of the body were changed.
    masked: u64,
}

/// The texts of a body of which parts are taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ToMask {
    classes: Classes,
    pub(super) pointers: Vec<String>,
}

/// Looks at a request as the policy of `gate` says.
pub(super) fn judge(gate: &Gate, covered: &CoveredRequest<'_>) -> Option<(PiiFindings, ToMask)> {
    let controls = gate.guardrails.pii.as_ref()?;
    let mut scan = Scan::new(controls.looked_for());
    scan.fixed(covered.path(), "");
    for (name, value) in covered.query().into_iter().flat_map(|query| query.split('&')).map(pair) {
        scan.fixed(&spaced(name), "");
        scan.fixed(&spaced(value), name);
    }
    let is_unscannable = !scan.body(covered);
    let has =
        |classes: Classes, found: Classes| Class::ALL.iter().any(|of| classes.contains(*of) && found.contains(*of));
    let finding = if is_unscannable && controls.denies_unscannable {
        Finding::Fail(Reason::PiiUnscannable)
    } else if has(controls.block, scan.classes) {
        Finding::Fail(Reason::PiiBlocked)
    } else if has(controls.redact, scan.fixed_classes) {
        Finding::Fail(Reason::PiiUnredactable)
    } else {
        Finding::Pass
    };
    let wanted = |(pointer, classes): (String, Classes)| has(controls.redact, classes).then_some(pointer);
    let pointers = scan.strings.into_iter().filter_map(wanted).collect();
    let found = PiiFindings { finding, found: scan.found, is_unscannable, masked: 0 };
    Some((found, ToMask { classes: controls.redact, pointers }))
}

/// A parameter of a query with its name.
fn pair(parameter: &str) -> (&str, &str) {
    parameter.split_once('=').unwrap_or(("", parameter))
}

/// A form's way to write spaces.
fn spaced(text: &str) -> String {
    text.replace('+', " ")
}

impl PiiControls {
    fn looked_for(&self) -> Classes {
        self.block.union(self.redact).union(self.log)
    }
}

/// What is found on the way through a request.
struct Scan {
    wanted: Classes,
    found: SortedMap<String, u64>,
    /// All that was found, and what of it stands where nothing can be taken out.
    classes: Classes,
    fixed_classes: Classes,
    /// Where in the body strings stand that have something.
    strings: Vec<(String, Classes)>,
}

impl Scan {
    fn new(wanted: Classes) -> Self {
        let (classes, fixed_classes) = (Classes::NONE, Classes::NONE);
        Self { wanted, found: SortedMap::new(), classes, fixed_classes, strings: Vec::new() }
    }

    /// Looks at a text, whose name says what it may be.
    fn look(&mut self, text: &str, name: &str) -> Classes {
        let found: Vec<Found> = find_with_context(text, name, self.wanted);
        for Found { class, .. } in &found {
            match self.found.get_mut(class.as_str()) {
                Some(count) => *count += 1,
                None => {
                    self.found.insert(class.as_str().to_string(), 1);
                }
            }
        }
        let classes: Classes = found.into_iter().map(|found| found.class).collect();
        self.classes = self.classes.union(classes);
        classes
    }

    /// Looks at a text of which nothing can be taken out.
    fn fixed(&mut self, text: &str, name: &str) {
        let classes = self.look(text, name);
        self.fixed_classes = self.fixed_classes.union(classes);
    }

    /// Whether the body could be looked at. One that is not JSON is looked at as the text that it is: escapes of any kind are
    /// seen through.
    fn body(&mut self, covered: &CoveredRequest<'_>) -> bool {
        let body = covered.body();
        if body.is_empty() {
            return true;
        }
        if covered.header("content-encoding").is_some() {
            return false;
        }
        let Ok(text) = core::str::from_utf8(body) else { return false };
        match json::read(body, MAX_JSON_BODY_BYTES) {
            Ok(document) => self.node(&document, "", &mut String::new()),
            Err(_) => self.fixed(text, ""),
        }
        true
    }

    /// Recursion ends with the reader's own bound on depth.
    fn node(&mut self, node: &Node<'_>, name: &str, pointer: &mut String) {
        let length = pointer.len();
        match node {
            Node::Null | Node::Bool(_) => {}
            Node::Number(text) => self.fixed(text, name),
            Node::String(text) => {
                let classes = self.look(text, name);
                if !classes.is_empty() {
                    self.strings.push((pointer.clone(), classes));
                }
            }
            Node::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    pointer.push('/');
                    pointer.push_str(&i.to_string());
                    self.node(item, name, pointer);
                    pointer.truncate(length);
                }
            }
            Node::Object(members) => {
                for (name, value) in members {
                    self.fixed(name, "");
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.node(value, name, pointer);
                    pointer.truncate(length);
                }
            }
        }
    }
}

impl ToMask {
    /// The string at `pointer` of a body without what is not let through, as JSON.
    pub(super) fn masked(&self, document: &Node<'_>, pointer: &str) -> Option<Vec<u8>> {
        let text = document.pointer(pointer).ok()??.as_str()?;
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for Found { start, end, .. } in find_with_context(text, member(pointer), self.classes) {
            masked.push_str(text.get(at..start)?);
            masked.push_str(MASK);
            at = end;
        }
        masked.push_str(text.get(at..)?);
        serde_json::to_vec(&masked).ok()
    }

    /// Whether a body has nothing more that is not let through.
    pub(super) fn is_clean(&self, body: &[u8]) -> bool {
        let mut scan = Scan::new(self.classes);
        match json::read(body, MAX_JSON_BODY_BYTES) {
            Ok(document) => scan.node(&document, "", &mut String::new()),
            Err(_) => return false,
        }
        scan.classes.is_empty()
    }
}

/// The name of the member that a pointer leads to, or that the list at its end is the value of.
fn member(pointer: &str) -> &str {
    let mut tokens = pointer.rsplit('/');
    tokens.find(|token| !token.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or_default()
}

impl PiiFindings {
    /// Something cannot be taken out.
    pub(super) fn refuse(&mut self) {
        self.finding = Finding::Fail(Reason::PiiUnredactable);
    }

    /// So many texts were changed.
    pub(super) fn note_masked(&mut self, texts: usize) {
        self.masked = u64::try_from(texts).unwrap_or(u64::MAX);
    }
}

/// What the record says.
pub(super) fn guardrail(findings: Option<&PiiFindings>) -> GuardrailRecord {
    const GUARDRAIL: &str = "pii";
    let Some(findings) = findings else {
        return record(GUARDRAIL, GuardrailOutcome::NotApplicable, None, Evidence::new());
    };
    let mut evidence = Evidence::new();
    for (class, count) in &findings.found {
        evidence.insert([class, "_found"].concat().into(), EvidenceValue::Number(*count));
    }
    if findings.masked > 0 {
        evidence.insert("texts_redacted".into(), EvidenceValue::Number(findings.masked));
    }
    if findings.is_unscannable {
        evidence.insert("body".into(), EvidenceValue::Text("unscannable".to_string()));
    }
    match findings.finding {
        Finding::Fail(reason) => record(GUARDRAIL, GuardrailOutcome::Fail, Some(reason), evidence),
        Finding::Pass | Finding::NotApplicable => record(GUARDRAIL, GuardrailOutcome::Pass, None, evidence),
    }
}
