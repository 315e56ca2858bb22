//! How responses are looked at.

use passgate_core::gate::{MAX_SCANNED_RESPONSE_BYTES, PiiControls, ResponseControls};
use passgate_core::route::ResponseRecords;

use super::pii::controls;
use super::{BundleError, checked_pointer, error};
use crate::bundle::{GuardrailsDoc, PiiModeDoc, RecordsDoc, ResponsePiiDoc, RouteDoc};

impl RouteDoc {
    /// Where records stand in the response, if that bounds anything.
    pub(super) fn response_records(&self) -> Result<Option<ResponseRecords>, BundleError> {
        const AT: &str = "response_records";
        let Some(doc) = &self.response_records else { return Ok(None) };
        let why = match (&self.records, doc.max_records) {
            (Some(RecordsDoc::None), _) => Some("`records` says that the action returns none: remove one of the two"),
            (_, Some(0)) => Some("`max_records` is at least 1; to return none, map no route to the action"),
            (None, None) => Some(
                "nothing bounds them: give `max_records`, or say in `records` where a request says how many it wants, so that \
                 agents whose passports limit records may ask",
            ),
            _ if self.method.as_deref() == Some("HEAD") => Some("the response to a `HEAD` has no records: remove it"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(error(AT, why));
        }
        let pointer = match doc.pointer.as_str() {
            "" => String::new(),
            pointer => checked_pointer("response_records.pointer", pointer)?,
        };
        Ok(Some(ResponseRecords { pointer, max_records: doc.max_records }))
    }
}

impl GuardrailsDoc {
    /// How responses are looked at. `counts_records` says that routes have their records counted.
    pub(super) fn responses(&self, counts_records: bool) -> Result<ResponseControls, BundleError> {
        const AT: &str = "guardrails.max_scanned_response_bytes";
        let pii = self.pii_controls.as_ref().and_then(|doc| doc.responses.as_ref()).map(ResponsePiiDoc::compile);
        let pii = pii.transpose()?;
        let default = ResponseControls::default().max_bytes;
        let max_bytes = self.max_scanned_response_bytes.unwrap_or(default);
        if !(1..=MAX_SCANNED_RESPONSE_BYTES).contains(&max_bytes) {
            return Err(error(AT, format_args!("from 1 to {MAX_SCANNED_RESPONSE_BYTES}")));
        }
        if self.max_scanned_response_bytes.is_some() && pii.is_none() && !counts_records {
            let why =
                "no response is looked at: give `pii_controls.responses` or a route's `response_records`, or remove it";
            return Err(error(AT, why));
        }
        Ok(ResponseControls { pii, max_bytes })
    }
}

impl ResponsePiiDoc {
    fn compile(&self) -> Result<PiiControls, BundleError> {
        const AT: &str = "guardrails.pii_controls.responses";
        if self.classes.values().chain([&self.mode]).any(|mode| *mode == PiiModeDoc::Encrypt) {
            let why = "`encrypt` is for requests alone, agents get nothing that is encrypted to others: give `redact`, which \
                takes it out, or `block`";
            return Err(error(AT, why));
        }
        let controls = controls(|class| self.mode_of(class), self.denies_unscannable());
        if controls.block.union(controls.redact).union(controls.log).is_empty() {
            let why = "every class is ignored, so responses are read for nothing: remove it, or give another mode";
            return Err(error(AT, why));
        }
        Ok(controls)
    }
}
