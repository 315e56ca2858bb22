//! Step 3, continued: what of a request is personal data or a secret; and the same of a response.
//!
//! Looked at are the path, the query and the body: of JSON each member name and value after unescaping, with the name
//! of the member as its context, of other text the whole. A body that is no text, or is coded, cannot be looked at.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::ops::Range;

use passgate_passport::json::{self, JsonError, Text, TextKind};
use passgate_passport::jwe::Seed;
use passgate_passport::proof::CoveredRequest;
use passgate_passport::sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::decide::{Evidence, record};
use super::judge::Finding;
use super::replacement::{Edit, Escape, MASK, Replacement, edited};
use crate::attest::{EvidenceValue, GuardrailOutcome, GuardrailRecord};
use crate::gate::{Encryption, Gate, PiiControls};
use crate::pii::{Class, Classes, Found, find_with_context};
use crate::reason::Reason;
use crate::route::{self, MAX_JSON_BODY_BYTES};

/// What was found, by what the policy does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PiiFindings {
    pub(super) finding: Finding,
    /// How often each class was found. Nothing says where, or what it was.
    found: SortedMap<Class, u64>,
    /// The body could not be looked at.
    is_unscannable: bool,
    /// From how many texts of the body something was taken out.
    masked: u64,
    /// How many values of the body were encrypted.
    #[serde(default, skip_serializing_if = "is_zero")]
    encrypted: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The texts of a body of which parts are taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ToMask {
    redact: Classes,
    encrypt: Option<Encryption>,
    form: Form,
    /// Where they stand, in order. Of a form or a plain text it is the whole.
    ranges: Vec<Range<usize>>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// As JSON, or as nothing that parts could be taken out of.
    #[default]
    Json,
    /// As a form of names and values (`application/x-www-form-urlencoded`).
    Pairs,
    /// As a plain text (`text/plain`).
    Text,
}

impl Form {
    fn of(content_type: &str) -> Self {
        match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Self::Pairs,
            "text/plain" => Self::Text,
            _ => Self::Json,
        }
    }

    fn escape(self) -> Escape {
        match self {
            Self::Json => |text, into| {
                // A text always serialises. Each character is escaped by itself.
                let quoted = serde_json::to_vec(text).unwrap_or_default();
                into.extend_from_slice(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
            },
            Self::Pairs => |text, into| {
                form_urlencoded::byte_serialize(text.as_bytes())
                    .for_each(|part| into.extend_from_slice(part.as_bytes()));
            },
            Self::Text => |text, into| into.extend_from_slice(text.as_bytes()),
        }
    }
}

/// A body, with what its fields say of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) content_type: &'a str,
    pub(super) is_coded: bool,
    pub(super) bytes: &'a [u8],
}

impl<'a> Content<'a> {
    fn of(covered: &'a CoveredRequest<'_>) -> Self {
        Self {
            content_type: covered.header("content-type").unwrap_or_default(),
            is_coded: covered.header("content-encoding").is_some(),
            bytes: covered.body(),
        }
    }
}

/// Looks at a request as the policy of `gate` says.
pub(super) fn judge(gate: &Gate, covered: &CoveredRequest<'_>) -> Option<(PiiFindings, ToMask)> {
    let controls = gate.guardrails.pii.as_ref()?;
    let mut scan = Scan::new([controls.block, controls.redact, controls.encrypted(), controls.log]);
    scan.fixed(covered.path(), "");
    scan.query(covered.query().unwrap_or_default());
    let content = Content::of(covered);
    let is_unscannable = !scan.body(&content, controls.taken_out());
    let reasons = [Reason::PiiUnscannable, Reason::PiiBlocked, Reason::PiiUnredactable];
    Some(scan.judged(controls, content.content_type, is_unscannable, reasons))
}

/// Looks at a response as `controls` say, and gives the body without what is taken out of it. Without `content` it cannot be
/// looked at. Nothing is encrypted: what would be is taken out.
pub(super) fn judge_response(controls: &PiiControls, content: Option<&Content<'_>>) -> (PiiFindings, Option<Vec<u8>>) {
    let controls = PiiControls { redact: controls.taken_out(), encrypt: None, ..controls.clone() };
    let mut scan = Scan::new([controls.block, controls.redact, Classes::NONE, controls.log]);
    let is_unscannable = !content.is_some_and(|content| scan.body(content, controls.redact));
    let reasons = [Reason::ResponsePiiUnscannable, Reason::ResponsePiiBlocked, Reason::ResponsePiiUnredactable];
    let content_type = content.map(|content| content.content_type).unwrap_or_default();
    let (mut found, to_mask) = scan.judged(&controls, content_type, is_unscannable, reasons);
    if found.is_refused() || to_mask.is_nothing() {
        return (found, None);
    }
    let masked = content.and_then(|content| to_mask.taken_out_of(content));
    match &masked {
        Some((_, texts)) => found.note_masked(*texts),
        None => found.finding = Finding::Fail(Reason::ResponsePiiUnredactable),
    }
    (found, masked.map(|(body, _)| body))
}

impl PiiControls {
    fn looked_for(&self) -> Classes {
        self.block.union(self.taken_out()).union(self.log)
    }

    /// What does not go upstream as it is, and does not refuse the request.
    pub(crate) fn taken_out(&self) -> Classes {
        self.redact.union(self.encrypted())
    }

    fn encrypted(&self) -> Classes {
        self.encrypt.as_ref().map_or(Classes::NONE, |encrypt| encrypt.classes)
    }
}

impl Gate {
    /// A path as it may be recorded and logged: without what the policy looks for.
    pub fn shown_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let looked_for = self.guardrails.pii.as_ref().map(PiiControls::looked_for).unwrap_or_default();
        masked(path, looked_for).map_or(Cow::Borrowed(path), Cow::Owned)
    }
}

/// The text with a mask in the place of everything of these classes; `None` when there is nothing.
fn masked(text: &str, classes: Classes) -> Option<String> {
    let found = find_with_context(text, "", classes);
    if found.is_empty() {
        return None;
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for Found { start, end, .. } in found {
        masked.push_str(text.get(at..start).unwrap_or_default());
        masked.push_str(MASK);
        at = end;
    }
    masked.push_str(text.get(at..).unwrap_or_default());
    Some(masked)
}

/// What is found on the way through a request.
struct Scan {
    /// Sets of classes that are treated alike.
    wanted: [Classes; 4],
    found: SortedMap<Class, u64>,
    /// All that was found, and what of it stands where nothing can be taken out.
    classes: Classes,
    fixed_classes: Classes,
    /// Where in the body strings stand of which something is taken out.
    ranges: Vec<Range<usize>>,
}

impl Scan {
    fn new(wanted: [Classes; 4]) -> Self {
        let (classes, fixed_classes) = (Classes::NONE, Classes::NONE);
        Self { wanted, found: SortedMap::new(), classes, fixed_classes, ranges: Vec::new() }
    }

    /// Looks at a text, whose name says what it may be.
    fn look(&mut self, text: &str, name: &str) -> Classes {
        let mut classes = Classes::NONE;
        // What is treated alike is looked for together, lest what is only counted hides what is not let through.
        let wanted = self.wanted.into_iter().filter(|wanted| !wanted.is_empty());
        for found in wanted.flat_map(|wanted| find_with_context(text, name, wanted)) {
            classes = classes.with(found.class);
            self.found.insert(found.class, self.count(found.class) + 1);
        }
        self.classes = self.classes.union(classes);
        classes
    }

    /// Looks at a text of which nothing can be taken out.
    fn fixed(&mut self, text: &str, name: &str) {
        let classes = self.look(text, name);
        self.fixed_classes = self.fixed_classes.union(classes);
    }

    fn count(&self, class: Class) -> u64 {
        self.found.get(&class).copied().unwrap_or_default()
    }

    /// Looks at the parameters, and at the whole as it stands for what is none. What both find counts once.
    fn query(&mut self, query: &str) {
        let before = self.found.clone();
        self.pairs(query.as_bytes());
        let with_pairs = core::mem::replace(&mut self.found, before);
        self.fixed(query, "");
        for (class, count) in with_pairs.iter() {
            self.found.insert(*class, self.count(*class).max(*count));
        }
    }

    /// Whether the body could be looked at. One that is not JSON is looked at as the text that it is: escapes of any
    /// kind are seen through.
    fn body(&mut self, content: &Content<'_>, taken_out: Classes) -> bool {
        let body = content.bytes;
        if body.is_empty() {
            return true;
        }
        if content.is_coded || has_other_charset(content.content_type) {
            return false;
        }
        let Ok(text) = core::str::from_utf8(body) else { return false };
        if self.contents(text, Form::of(content.content_type), taken_out).is_err() {
            self.fixed(text, "");
            // As a form, names stand beside their values.
            self.pairs(body);
        }
        true
    }

    /// What follows from all that was found: `reasons` are those of what cannot be looked at, what is blocked and what
    /// cannot be taken out.
    fn judged(
        self,
        controls: &PiiControls,
        content_type: &str,
        is_unscannable: bool,
        [unscannable, blocked, unredactable]: [Reason; 3],
    ) -> (PiiFindings, ToMask) {
        let finding = if is_unscannable && controls.denies_unscannable {
            Finding::Fail(unscannable)
        } else if controls.block.overlaps(self.classes) {
            Finding::Fail(blocked)
        } else if controls.taken_out().overlaps(self.fixed_classes) {
            Finding::Fail(unredactable)
        } else {
            Finding::Pass
        };
        let found = PiiFindings { finding, found: self.found, is_unscannable, masked: 0, encrypted: 0 };
        let (redact, encrypt) = (controls.redact, controls.encrypt.clone());
        (found, ToMask { redact, encrypt, form: Form::of(content_type), ranges: self.ranges })
    }

    fn contents(&mut self, text: &str, form: Form, taken_out: Classes) -> Result<(), JsonError> {
        let found = match form {
            Form::Json => return self.document(text.as_bytes(), taken_out),
            Form::Pairs => self.pairs_of(text.as_bytes()),
            Form::Text => self.look(text, ""),
        };
        if found.overlaps(taken_out) {
            self.ranges.push(0..text.len());
        }
        Ok(())
    }

    /// Looks at the names and values of a form, of which nothing can be taken out.
    fn pairs(&mut self, form: &[u8]) {
        let classes = self.pairs_of(form);
        self.fixed_classes = self.fixed_classes.union(classes);
    }

    /// Looks at names and values of a form, and gives what was found in values. Nothing can be taken out of its names.
    fn pairs_of(&mut self, form: &[u8]) -> Classes {
        let mut classes = Classes::NONE;
        for (name, value) in form_urlencoded::parse(form) {
            self.fixed(&name, "");
            classes = classes.union(self.look(&value, &name));
        }
        classes
    }

    fn document(&mut self, body: &[u8], taken_out: Classes) -> Result<(), JsonError> {
        json::visit_texts(body, MAX_JSON_BODY_BYTES, &mut |found| match found.kind {
            TextKind::Name => self.fixed(found.text, ""),
            TextKind::Number => {
                self.fixed(found.text, name_of(found));
                if let Some(integer) = integer(found.text) {
                    self.fixed(&integer, name_of(found));
                }
            }
            TextKind::String => {
                if self.look(found.text, name_of(found)).overlaps(taken_out) {
                    self.ranges.push(found.range.clone());
                }
            }
        })
    }
}

/// Whether the body says that its text is written in another way than the one in which it is looked at.
fn has_other_charset(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let charset = content_type.split_once("charset=").map(|(_, charset)| charset.trim_start_matches('"'));
    charset.is_some_and(|charset| !["utf-8", "us-ascii"].iter().any(|known| charset.starts_with(known)))
}

/// What a value is called: by its member, or where that says nothing by the one around it.
fn name_of<'t>(text: &'t Text<'_>) -> &'t str {
    const NOTHING: [&str; 7] = ["value", "number", "no", "text", "content", "data", "raw"];
    let mut names = text.names.iter().rev().map(AsRef::as_ref);
    names.find(|name| !NOTHING.iter().any(|nothing| name.eq_ignore_ascii_case(nothing))).unwrap_or_default()
}

/// The digits of a number that is written with a point or an exponent and is an integer all the same.
fn integer(number: &str) -> Option<String> {
    const MOST_DIGITS: usize = 40;
    if !number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('-');
    let exponent: isize = exponent.trim_start_matches('+').parse().ok()?;
    let length = isize::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let length = usize::try_from(length).ok().filter(|length| (1..=MOST_DIGITS).contains(length))?;
    let mut digits = [whole, fraction].concat();
    if digits.bytes().skip(length).any(|digit| digit != b'0') {
        return None;
    }
    digits.truncate(length);
    digits.extend(core::iter::repeat_n('0', length.saturating_sub(digits.len())));
    Some(digits.trim_start_matches('0').to_string())
}

impl ToMask {
    /// What stands in the place of each of the texts; `None` when they are not where they were.
    pub(super) fn edits(&self, body: &[u8]) -> Option<Vec<Edit>> {
        if self.form != Form::Json {
            return Some(alloc::vec![(0..body.len(), self.whole(core::str::from_utf8(body).ok()?))]);
        }
        let (mut edits, mut wanted) = (Vec::with_capacity(self.ranges.len()), self.ranges.iter().peekable());
        json::visit_texts(body, MAX_JSON_BODY_BYTES, &mut |found| {
            if wanted.peek() == Some(&&found.range) {
                let mut string = Replacement::default();
                string.push(b"\"");
                self.write(found.text, name_of(found), &mut string);
                string.push(b"\"");
                edits.extend(wanted.next().cloned().zip(Some(string)));
            }
        })
        .ok()?;
        (edits.len() == self.ranges.len()).then_some(edits)
    }

    /// The body without what is not let through, and how many of its texts were changed; `None` where it cannot be
    /// taken out, or something is left.
    fn taken_out_of(&self, content: &Content<'_>) -> Option<(Vec<u8>, usize)> {
        if self.needs_json() && !route::is_json(content.content_type) {
            return None;
        }
        let edits = self.edits(content.bytes)?;
        let texts = edits.len();
        let body = edited(content.bytes, edits).without_placeholders()?;
        self.is_clean(&body).then_some((body, texts))
    }

    /// A form or a plain text without what is not let through.
    fn whole(&self, text: &str) -> Replacement {
        let mut whole = Replacement::default();
        if self.form == Form::Text {
            self.write(text, "", &mut whole);
            return whole;
        }
        for (number, (name, value)) in form_urlencoded::parse(text.as_bytes()).enumerate() {
            whole.push(if number == 0 { b"" } else { b"&" });
            whole.text(&name, &[], self.form.escape());
            whole.push(b"=");
            self.write(&value, &name, &mut whole);
        }
        whole
    }

    fn write(&self, text: &str, name: &str, into: &mut Replacement) {
        into.text(text, &self.replaced(text, name), self.form.escape());
    }

    /// What of a text is replaced, in order and without overlaps, and whether it is encrypted. What is to be taken out in
    /// part is taken out whole.
    fn replaced(&self, text: &str, name: &str) -> Vec<(Range<usize>, bool)> {
        let find = |classes, is_encrypted| {
            let found = find_with_context(text, name, classes).into_iter();
            found.map(move |Found { start, end, .. }| (start..end, is_encrypted))
        };
        let mut all: Vec<_> = find(self.redact, false).chain(find(self.encrypted(), true)).collect();
        all.sort_by_key(|(range, _)| range.start);
        let mut apart: Vec<(Range<usize>, bool)> = Vec::with_capacity(all.len());
        for (range, is_encrypted) in all {
            match apart.last_mut().filter(|(last, _)| range.start < last.end) {
                Some((last, all_encrypted)) => {
                    last.end = last.end.max(range.end);
                    *all_encrypted &= is_encrypted;
                }
                None => apart.push((range, is_encrypted)),
            }
        }
        apart
    }

    fn encrypted(&self) -> Classes {
        self.encrypt.as_ref().map_or(Classes::NONE, |encrypt| encrypt.classes)
    }

    /// The body as it is forwarded; `None` when it cannot be encrypted.
    pub(super) fn forwarded(&self, edited: Replacement, seed: &Seed) -> Option<Vec<u8>> {
        edited.encrypted(self.encrypt.as_ref().map(|encrypt| &encrypt.to), seed)
    }

    /// Whether there is nothing to take out.
    pub(super) fn is_nothing(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether one of these texts is among those that are changed.
    pub(super) fn changes<'r>(&self, mut ranges: impl Iterator<Item = &'r Range<usize>>) -> bool {
        ranges.any(|range| self.ranges.binary_search_by_key(&range.start, |own| own.start).is_ok())
    }

    /// Whether parts can only be taken out of a body that was read as JSON.
    pub(super) fn needs_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether a body has nothing more that is not let through. What is encrypted has its placeholder.
    pub(super) fn is_clean(&self, body: &[u8]) -> bool {
        let mut scan = Scan::new([self.redact, self.encrypted(), Classes::NONE, Classes::NONE]);
        let is_read =
            core::str::from_utf8(body).is_ok_and(|text| scan.contents(text, self.form, Classes::NONE).is_ok());
        is_read && scan.classes.is_empty()
    }
}

impl PiiFindings {
    /// Whether the request is refused for what was found.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.finding, Finding::Fail(_))
    }

    /// Something cannot be taken out.
    pub(super) fn refuse(&mut self) {
        self.finding = Finding::Fail(Reason::PiiUnredactable);
    }

    /// Something was taken out of so many texts.
    pub(super) fn note_masked(&mut self, texts: usize) {
        self.masked = u64::try_from(texts).unwrap_or(u64::MAX);
    }

    /// So many values are encrypted.
    pub(super) fn note_encrypted(&mut self, values: usize) {
        self.encrypted = u64::try_from(values).unwrap_or(u64::MAX);
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
        evidence.insert([class.as_str(), "_found"].concat().into(), EvidenceValue::Number(*count));
    }
    if findings.masked > 0 {
        evidence.insert("texts_redacted".into(), EvidenceValue::Number(findings.masked));
    }
    if findings.encrypted > 0 {
        evidence.insert("values_encrypted".into(), EvidenceValue::Number(findings.encrypted));
    }
    if findings.is_unscannable {
        evidence.insert("body".into(), EvidenceValue::Text("unscannable".to_string()));
    }
    match findings.finding {
        Finding::Fail(reason) => record(GUARDRAIL, GuardrailOutcome::Fail, Some(reason), evidence),
        Finding::Pass | Finding::NotApplicable => record(GUARDRAIL, GuardrailOutcome::Pass, None, evidence),
    }
}
