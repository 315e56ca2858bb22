//! A request that was judged, by whatever evaluates for a gate: this program itself, or a component that it hosts.

use passgate_core::attest::{DecisionRecord, Entry, GateRecord, Link, Stamp, Writer};
use passgate_core::pipeline::{self, Ask, Decision, Judged, RateView, Verdict};
use passgate_core::plugin::PluginRecord;
use passgate_core::reason::Reason;
use passgate_core::state::{Admission, Demand};
use passgate_passport::action_pass::ActionPass;

use super::MintedPass;

/// A judged request, ready to be decided.
pub trait Case: Send + 'static {
    /// The gate it was judged for. Only that gate's writer may record it.
    fn gate(&self) -> &GateRecord;
    /// Step 4: what the decision needs from the state.
    fn demand(&self) -> &Demand;
    /// The agent's id.
    fn agent_id(&self) -> &str;
    /// The action, when the request was mapped.
    fn action(&self) -> Option<&str>;
    /// What the plugins said.
    fn plugins(&self) -> &[PluginRecord];
    /// Steps 6 and 7: the decision, and its record at `link`, signed. Called again with other arguments, it decides again.
    ///
    /// # Errors
    ///
    /// When the evaluator fails. The request is refused.
    fn decide(
        &mut self,
        writer: &Writer,
        admission: &Admission,
        link: &Link,
        stamp: &Stamp,
    ) -> Result<(Decided, Entry), CaseError>;
    /// What to record when [`Case::decide`] fails: a deny because of a fault.
    fn fault(&self, admission: &Admission) -> DecisionRecord;
}

/// The evaluator failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the evaluator failed: {0}")]
pub struct CaseError(pub String);

/// A decision, as far as the host acts on it. The rest of it stands in the record.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    /// Allow, deny or step_up.
    pub verdict: Verdict,
    /// Why not an allow.
    pub reason: Option<Reason>,
    /// The rate counters as the caller may see them.
    pub rates: Vec<RateView>,
    /// The pass, with [`Verdict::Mint`] and with nothing else.
    pub minted: Option<MintedPass>,
    /// What to ask approvers, with [`Verdict::StepUp`] and where somebody can approve.
    pub ask: Option<Ask>,
}

impl Decided {
    /// A decision with the pass that it mints, or with what it asks of approvers, if it does.
    pub fn new(decision: Decision, minted: Option<MintedPass>, ask: Option<Ask>) -> Self {
        Self { verdict: decision.verdict, reason: decision.reason, rates: decision.rates, minted, ask }
    }
}

impl From<&ActionPass> for MintedPass {
    /// The pass without its token, which is made where the key is.
    fn from(pass: &ActionPass) -> Self {
        Self { token: String::new(), action_sha256: pass.action.label(), expires_at: pass.exp }
    }
}

impl Case for Judged {
    fn gate(&self) -> &GateRecord {
        Self::gate(self)
    }

    fn demand(&self) -> &Demand {
        Self::demand(self)
    }

    fn agent_id(&self) -> &str {
        &self.agent().agent_id
    }

    fn action(&self) -> Option<&str> {
        self.request().action.as_deref()
    }

    fn plugins(&self) -> &[PluginRecord] {
        Self::plugins(self)
    }

    fn decide(
        &mut self,
        writer: &Writer,
        admission: &Admission,
        link: &Link,
        stamp: &Stamp,
    ) -> Result<(Decided, Entry), CaseError> {
        let decision = pipeline::decide(self, admission);
        let minted = self.pass_to_mint(&decision, stamp).map(|pass| {
            let token = writer.mint(&pass).map_err(|error| CaseError(error.to_string()))?;
            Ok::<_, CaseError>(MintedPass { token, ..MintedPass::from(&pass) })
        });
        let minted = minted.transpose()?;
        let entry = writer.seal_decision(link, stamp, self.view(&decision));
        let ask = self.approval_to_ask(decision.verdict.kind());
        Ok((Decided::new(decision, minted, ask), entry))
    }

    fn fault(&self, admission: &Admission) -> DecisionRecord {
        self.fault_record(admission)
    }
}
