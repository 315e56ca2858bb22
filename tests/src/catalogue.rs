//! The cases, as recipes: who asks for what under which policy, and what has to be decided. The expected records are
//! made by running a recipe, after its decisions and reasons have been found to be those written here.

mod approvals;
mod credentials;
mod delegation;
mod dpop;
mod foreign;
mod guardian;
mod money;
mod operator_rules;
mod passes;
mod pii;
mod policy;
mod proofs;
mod requests;
mod rules;
mod sessions;
mod state;
mod status;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use passgate_api::answer::MINTED_STATUS;
use passgate_api::bundle::Bundle;
use passgate_core::reason::{Class, Reason};
use passgate_core::state::Subject;
use passgate_passport::action_pass::ACTION_PASS_FIELD;

use crate::agent::{NOW, RequestDraft};
use crate::case::{Case, Expect, Request, Step};
use crate::surface::native::Memory;
use crate::surface::{Implementation as _, StepResult};

/// A case without its records, by name.
type Recipe = (&'static str, Draft);

/// Why a step is not allowed; `None` when it is.
type Because = Option<&'static str>;

/// Every case file's text by name of the case.
///
/// # Errors
/// Every recipe that does not decide what it says.
pub async fn generate() -> Result<BTreeMap<String, String>> {
    let (mut texts, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, draft) in recipes()? {
        match fill(name, draft).await {
            Ok(case) if texts.contains_key(name) => problems.push(format!("{name}: twice ({})", case.description)),
            Ok(case) => _ = texts.insert(name.to_owned(), case.to_text()?),
            Err(error) => problems.push(format!("{name}: {error:#}")),
        }
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(texts)
}

fn recipes() -> Result<Vec<Recipe>> {
    let groups = [
        rules::recipes()?,
        approvals::recipes()?,
        pii::recipes()?,
        money::recipes()?,
        operator_rules::recipes()?,
        credentials::recipes()?,
        credentials::tiers()?,
        delegation::recipes()?,
        dpop::recipes()?,
        foreign::recipes()?,
        passes::recipes()?,
        proofs::recipes()?,
        state::recipes()?,
        requests::recipes()?,
        sessions::recipes()?,
        guardian::recipes()?,
        status::recipes()?,
    ];
    Ok(groups.into_iter().flatten().collect())
}

async fn fill(name: &str, draft: Draft) -> Result<Case> {
    let Draft { description, policy, status_lists, steps, .. } = draft;
    let now_ms = millis(NOW) - 60_000;
    let mut case = Case { description: description.to_owned(), policy, status_lists, now_ms, steps };
    let results = Memory.run(&case).await?;
    let mut last = None;
    for (number, (step, result)) in case.steps.iter_mut().zip(results).enumerate() {
        fill_step(step, result).with_context(|| format!("step {number}"))?;
        last = step.expect.decision.clone().or(last);
    }
    let ending = match last.as_deref() {
        Some("deny") => name.ends_with("_deny"),
        Some("step_up") => name.ends_with("_stepup"),
        _ => !name.ends_with("_deny") && !name.ends_with("_stepup"),
    };
    ensure!(ending, "the name does not say that the last decision is {last:?}");
    Ok(case)
}

fn fill_step(step: &mut Step, result: StepResult) -> Result<()> {
    let wanted = (&step.expect.decision, &step.expect.reason_code, step.expect.status);
    let got = (&result.decision, &result.reason_code, result.status);
    ensure!(wanted == got, "the recipe says {wanted:?}, the gate {got:?}");
    step.expect.public_code = result.public_code;
    step.expect.action_pass = result.action_pass;
    step.expect.attestation = serde_json::from_slice(&result.attestation)?;
    Ok(())
}

fn millis(seconds: i64) -> u64 {
    seconds.unsigned_abs() * 1000
}

/// A case being written: a clock, and steps at its time.
struct Draft {
    description: &'static str,
    policy: Bundle,
    status_lists: BTreeMap<String, String>,
    now: i64,
    steps: Vec<Step>,
}

impl Draft {
    fn new(description: &'static str, policy: Bundle) -> Self {
        Self { description, policy, status_lists: BTreeMap::new(), now: NOW, steps: Vec::new() }
    }

    /// Publishes a status list at this URI before the gate starts.
    fn list(mut self, uri: &str, token: String) -> Self {
        self.status_lists.insert(uri.to_owned(), token);
        self
    }

    /// Sets the clock to [`NOW`] and `seconds`.
    fn at(mut self, seconds: i64) -> Self {
        self.now = NOW + seconds;
        self
    }

    /// Signs a request now, with a nonce of its own, and sends it.
    fn send(self, request: RequestDraft, because: Because) -> Result<Self> {
        let nonce = format!("nonce-{:016}", self.steps.len());
        let created = self.now;
        self.wire(request.nonce(&nonce).created(created).sign()?, because)
    }

    /// Asks for a one-action pass for a request, and gets one.
    fn mint(self, request: RequestDraft, wish: &str) -> Result<Self> {
        let mut draft = self.send(request.header(ACTION_PASS_FIELD, wish), None)?;
        if let Some(step) = draft.steps.last_mut() {
            step.expect.status = Some(MINTED_STATUS);
        }
        Ok(draft)
    }

    /// Sends a request as it is.
    fn wire(mut self, request: Request, because: Because) -> Result<Self> {
        let reason = because.map(|code| Reason::from_code(code).with_context(|| format!("no reason {code}")));
        let reason = reason.transpose()?;
        let (decision, status) = match reason.map(Reason::class) {
            None => ("allow", 200),
            Some(Class::StepUp) => ("step_up", Class::StepUp.status()),
            Some(class) => ("deny", class.status()),
        };
        let expect = Expect {
            decision: Some(decision.to_owned()),
            reason_code: because.map(str::to_owned),
            status: Some(status),
            ..Expect::default()
        };
        self.steps.push(Step { request: Some(request), ..self.step(expect) });
        Ok(self)
    }

    /// Revokes.
    fn revoke(mut self, revoke: Subject) -> Self {
        self.steps.push(Step { revoke: Some(revoke), ..self.step(Expect::default()) });
        self
    }

    fn suspend(mut self, suspend: Subject) -> Self {
        self.steps.push(Step { suspend: Some(suspend), ..self.step(Expect::default()) });
        self
    }

    fn reinstate(mut self, reinstate: Subject) -> Self {
        self.steps.push(Step { reinstate: Some(reinstate), ..self.step(Expect::default()) });
        self
    }

    /// A step in which nothing happens yet.
    fn step(&self, expect: Expect) -> Step {
        Step { at_ms: millis(self.now), revoke: None, suspend: None, reinstate: None, request: None, expect }
    }
}
