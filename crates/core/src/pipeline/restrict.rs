//! Step 3, continued: what plugins are shown, and what their verdicts do to a judgement.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::action_pass::ACTION_PASS_FIELD;
use passgate_passport::approval::APPROVAL_FIELD;
use passgate_passport::json;
use passgate_passport::jwe::Seed;
use passgate_passport::proof::PASSPORT_FIELD;
use sha2::{Digest as _, Sha256};

use super::approvals::Approving;
use super::authenticate::Authenticated;
use super::judge::Judged;
use super::pii::{PiiFindings, ToMask};
use super::replacement::{Edit, MAX_ENCRYPTED_VALUES, Replacement, edited};
use super::rules;
use crate::attest::sha256_label;
use crate::plugin::{MAX_REDACTED_BYTES, PluginOutcome, PluginRecord, PluginVerdict};
use crate::reason::{Class, Reason};
use crate::route::{self, MAX_JSON_BODY_BYTES, Needs, Route};

/// What stands in the place of a string that a plugin takes out, as JSON.
const REDACTED: &[u8] = b"\"[redacted]\"";

/// What only the place that judged knows of a request. It does not cross over to the place that admits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shown {
    permissions: Vec<String>,
    fields: Vec<(String, String)>,
    has_json_body: bool,
    /// How many records the passport and those above it permit.
    max_records: Option<u64>,
    /// Where in the body the texts stand that the judgement was made of.
    judged_texts: Vec<String>,
    /// Where texts stand that rules take out.
    redact: Vec<String>,
    /// Where texts stand of which parts are taken out.
    to_mask: ToMask,
    /// SHA-256 of the body that goes upstream instead of its own, or that a reviewer is shown before it does.
    forwarded_sha256: Option<String>,
    /// What is known of approvals.
    pub(super) approving: Approving,
}

impl Shown {
    pub(super) fn of(
        authenticated: &Authenticated<'_>,
        route: Option<&Route>,
        needs: &Needs<'_>,
        redact: Vec<String>,
        to_mask: ToMask,
        approving: Approving,
    ) -> Self {
        let covered = authenticated.proof.covered();
        let is_shown = |(name, _): &(&str, &str)| ![PASSPORT_FIELD, ACTION_PASS_FIELD, APPROVAL_FIELD].contains(name);
        let fields = covered.fields().filter(is_shown);
        Self {
            permissions: authenticated.credential.permissions().iter().map(ToString::to_string).collect(),
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            has_json_body: route::has_json_body(covered),
            max_records: needs.limits.max_records,
            judged_texts: route.map(|route| route.judged_texts(needs)).unwrap_or_default(),
            redact,
            to_mask,
            forwarded_sha256: None,
            approving,
        }
    }
}

/// A string that cannot be taken out of this body.
struct NotRedactable;

impl Judged {
    /// The scopes of the agent's passport. Known where the request was judged, and empty where a judgement was handed
    /// to.
    pub fn permissions(&self) -> &[String] {
        &self.shown.permissions
    }

    /// The header fields that the agent's proof covers, but for the passport and a one-action pass, names in lower case
    /// and lines joined. Known where [`Judged::permissions`] are.
    pub fn covered_fields(&self) -> &[(String, String)] {
        &self.shown.fields
    }

    /// How many records the passport and those above it permit, for
    /// [`Gate::response_rules`](crate::gate::Gate::response_rules). Known where [`Judged::permissions`] are.
    pub fn max_records(&self) -> Option<u64> {
        self.shown.max_records
    }

    /// Whether the request is denied already, so that nothing a plugin says can change that.
    pub fn is_denied(&self) -> bool {
        self.findings.is_denied()
    }

    /// What the plugins said, as [`Judged::restrict`] took it in.
    pub fn plugins(&self) -> &[PluginRecord] {
        &self.plugins
    }

    /// Takes in what the plugins said of the request, whose `body` is the one that was judged. Gives the body to
    /// forward instead if they or rules take strings out of it, or personal data and secrets are taken out of it or
    /// encrypted, with keys that are made from `seed`: random bytes that no other request has. A reviewer is shown that
    /// body too, so it is given where [`Judged::wants_review`] holds afterwards, as it goes upstream if the reviewer
    /// lets it.
    ///
    /// This can only restrict: a verdict adds a reason to refuse or takes something away, and a plugin that names what
    /// cannot be taken out has given no answer. Where rules or the search for personal data want something taken out
    /// that cannot be, the request is refused. What refuses now charges no budget and spends no pass. What was taken in
    /// before stays: the body is that of all of them.
    #[must_use]
    pub fn restrict(mut self, plugins: Vec<PluginRecord>, body: &[u8], seed: &Seed) -> (Self, Option<Vec<u8>>) {
        self.plugins.extend(plugins);
        let redacted = self.redact(body);
        let is_redacted = redacted.is_some();
        if let Some(body) = &redacted {
            self.shown.approving.forwards(body.shown());
        }
        self.settle_demand();
        // A review that is due is one of the request as it would go upstream.
        let redacted = redacted.filter(|_| self.goes_upstream() || self.wants_review());
        let forwarded = redacted.and_then(|redacted| self.encrypted(redacted, seed));
        if is_redacted {
            // Without a body to forward instead, its own is all there is: whatever turns the judgement to an allow later
            // must not send that one.
            self.findings.redacts = forwarded.is_none() && !self.asks_for_pass();
        }
        self.shown.forwarded_sha256 = forwarded.as_ref().map(|body| sha256_label(&Sha256::digest(body).into()));
        self.note_forwarded();
        (self, forwarded)
    }

    /// Whether nothing found so far keeps the request itself from going upstream.
    fn goes_upstream(&self) -> bool {
        self.forwardable() && !self.asks_for_pass()
    }

    /// Records the body that goes upstream instead of its own, if the request does.
    pub(super) fn note_forwarded(&mut self) {
        self.request.forwarded_payload_sha256 = self.shown.forwarded_sha256.clone().filter(|_| self.goes_upstream());
    }

    /// The body with what is encrypted in the place of its placeholders. Only of a request that is to be forwarded: it
    /// costs more than all the rest of the judgement.
    fn encrypted(&mut self, redacted: Replacement, seed: &Seed) -> Option<Vec<u8>> {
        let forwarded = self.shown.to_mask.forwarded(redacted, seed);
        if forwarded.is_none() {
            self.refuse_pii();
            self.settle_demand();
        }
        forwarded
    }

    fn redact(&mut self, body: &[u8]) -> Option<Replacement> {
        let mut plugins = core::mem::take(&mut self.plugins);
        let (mut ranges, mut recorded) = (Vec::new(), 0);
        let redacting = |plugin: &&mut PluginRecord| {
            plugin.outcome == PluginOutcome::Answered && plugin.verdict == Some(PluginVerdict::Redact)
        };
        for plugin in plugins.iter_mut().filter(redacting) {
            recorded += plugin.redacted.iter().map(String::len).sum::<usize>();
            let located =
                if recorded > MAX_REDACTED_BYTES { Err(NotRedactable) } else { self.locate(&plugin.redacted, body) };
            match located {
                Ok(located) => ranges.extend(located),
                Err(NotRedactable) => {
                    plugin.outcome = PluginOutcome::AnswerInvalid;
                    plugin.verdict = None;
                    plugin.redacted.clear();
                }
            }
        }
        self.plugins = plugins;
        // Each time anew: what is taken in later must not bring back what is taken out here. A judgement that was handed
        // over does not know what that is, and stays one that is not to be forwarded.
        if !self.shown.redact.is_empty() {
            self.findings.redacts = false;
            match self.locate_for_rules(body) {
                Ok(located) => ranges.extend(located),
                Err(NotRedactable) => self.findings.rules = Some(rules::unredactable()),
            }
        }
        let mut edits: Vec<Edit> = ranges.into_iter().map(|range| (range, Replacement::masked(REDACTED))).collect();
        if !self.shown.to_mask.is_nothing() {
            self.findings.redacts = false;
            let is_refused = self.findings.pii.as_ref().is_none_or(PiiFindings::is_refused);
            match if is_refused { Ok(Vec::new()) } else { self.mask(body) } {
                // What is taken out whole comes first, and stays.
                Ok(masked) => edits.extend(masked),
                Err(NotRedactable) => self.refuse_pii(),
            }
        }
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|(range, _)| range.start);
        edits.dedup_by(|(later, _), (range, _)| later == range);
        let redacted = edited(body, edits);
        self.check_redacted(&redacted);
        Some(redacted)
    }

    /// Refuses what still has something that is not let through, and more than is encrypted for one request.
    fn check_redacted(&mut self, redacted: &Replacement) {
        let Shown { to_mask, .. } = &self.shown;
        let Some(pii) = self.findings.pii.as_mut().filter(|pii| !pii.is_refused()) else { return };
        if redacted.values() > MAX_ENCRYPTED_VALUES || !(to_mask.is_nothing() || to_mask.is_clean(redacted.shown())) {
            pii.refuse();
        } else {
            pii.note_encrypted(redacted.values());
        }
    }

    fn refuse_pii(&mut self) {
        self.findings.pii.iter_mut().for_each(PiiFindings::refuse);
    }

    /// The strings of which parts are taken out, without them. Never one that the judgement was made of.
    fn mask(&mut self, body: &[u8]) -> Result<Vec<Edit>, NotRedactable> {
        let Shown { to_mask, judged_texts, .. } = &self.shown;
        if !self.is_judged(body) || (to_mask.needs_json() && !self.shown.has_json_body) {
            return Err(NotRedactable);
        }
        if to_mask.needs_json() {
            let judged = json::locate_strings(body, MAX_JSON_BODY_BYTES, judged_texts).map_err(|_| NotRedactable)?;
            if to_mask.changes(judged.iter().flatten()) {
                return Err(NotRedactable);
            }
        }
        let edits = to_mask.edits(body).ok_or(NotRedactable)?;
        let masked = edits.iter().filter(|(_, edit)| edit.is_masked()).count();
        self.findings.pii.iter_mut().for_each(|pii| pii.note_masked(masked));
        Ok(edits)
    }

    fn is_judged(&self, body: &[u8]) -> bool {
        self.request.payload_sha256 == Some(sha256_label(&Sha256::digest(body).into()))
    }

    /// Where the texts stand that rules take out. What is not there needs no taking out; what is there and no text
    /// cannot be.
    fn locate_for_rules(&self, body: &[u8]) -> Result<Vec<core::ops::Range<usize>>, NotRedactable> {
        let document = json::read(body, MAX_JSON_BODY_BYTES).map_err(|_| NotRedactable)?;
        let is_there = |pointer: &&String| document.pointer(pointer).is_ok_and(|node| node.is_some());
        let there: Vec<String> = self.shown.redact.iter().filter(is_there).cloned().collect();
        if there.is_empty() { Ok(Vec::new()) } else { self.locate(&there, body) }
    }

    /// Where the strings at `pointers` stand. Only strings of a JSON body that was read as such, and never one that the
    /// judgement was made of.
    fn locate(&self, pointers: &[String], body: &[u8]) -> Result<Vec<core::ops::Range<usize>>, NotRedactable> {
        if !self.shown.has_json_body || !self.is_judged(body) || pointers.is_empty() {
            return Err(NotRedactable);
        }
        let mut wanted: Vec<&str> = pointers.iter().map(String::as_str).collect();
        wanted.extend(self.shown.judged_texts.iter().map(String::as_str));
        let located = json::locate_strings(body, MAX_JSON_BODY_BYTES, &wanted).map_err(|_| NotRedactable)?;
        let (named, judged) = located.split_at_checked(pointers.len()).ok_or(NotRedactable)?;
        let named: Vec<_> = named.iter().cloned().collect::<Option<_>>().ok_or(NotRedactable)?;
        if judged.iter().flatten().any(|range| named.contains(range)) { Err(NotRedactable) } else { Ok(named) }
    }
}

/// The reason of the first that denies, else of the first that asks for approval: nobody is asked to approve what is
/// denied anyway.
pub(super) fn first_reason(mut reasons: impl Iterator<Item = Reason> + Clone) -> Option<Reason> {
    reasons.clone().find(|reason| reason.class() != Class::StepUp).or_else(|| reasons.next())
}
