//! The evaluator, with its state and its chain in memory.
//!
//! Every step that leaves a record takes two calls: one that gives what is to be signed, and [`Gate::commit`] with the
//! signature, which alone changes the state. In between nothing else can be asked.

mod shapes;

use std::collections::BTreeMap;

use passgate_api::answer::{self, ToCover};
use passgate_api::bundle::Bundle;
use passgate_api::driver::{Decided, Judge, MAX_JUDGED, Minted, RefusalRecord, Refused, new_request};
use passgate_core::approval::ApprovalRequest;
use passgate_core::attest::{Body, BudgetOutcome, Chain, Draft, Link, Stamp};
use passgate_core::gate::{self, EvaluatorRef};
use passgate_core::ledger::{HeadBuilder, MAX_RECORD_BYTES, head_line, record_line};
use passgate_core::pipeline::{self, Judged, RateView, RawRequest, Refusal, Verdict};
use passgate_core::state::{self, Admitted, Conduct, FENCE_KEY, Lease, LoadedRows, Standing, Subject, Sweep, Write};
use passgate_core::time::UnixMillis;
use passgate_passport::action_pass::{self, ActionPass};
use passgate_passport::challenge::ChallengeKey;
use passgate_passport::json::{self, Node};
use passgate_passport::jwe::Seed;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::PublicKey;
use sha2::{Digest as _, Sha256};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::passport::milliseconds;
use crate::report;
use shapes::{Answer, OutcomeDoc, ReconciliationDoc, RequestDoc, ResponseDoc, SubjectDoc, ToSign};

/// The longest policy, in bytes; that of a bundle.
const MAX_POLICY_BYTES: usize = 1024 * 1024;
/// The longest argument that is no policy and no body, in bytes.
const MAX_ARGUMENT_BYTES: usize = 256 * 1024;

/// A dot and 64 bytes in base64url.
const SIGNATURE_CHARS: usize = 87;
/// How long the outcome of an allowed request may take: a day.
const OUTCOME_SECONDS: i64 = 86_400;

/// A gate in memory. When it is gone, so are its state and its chain; a gate that takes its place refuses proofs of before.
#[wasm_bindgen]
pub struct Gate {
    gate: gate::Gate,
    chain: Chain,
    /// The key that signs.
    key: PublicKey,
    link: Link,
    rows: BTreeMap<String, Row>,
    /// The second (Unix) up to which expired rows are forgotten.
    swept: i64,
    head: HeadBuilder,
    pending: Option<Pending>,
    judge: Judge,
    /// The one-action pass of the decision that was made last, until it is given away or another record is to be.
    minting: Option<Minting>,
}

struct Row {
    value: Vec<u8>,
    expires_at: Option<i64>,
}

/// A one-action pass; its token is empty until it is signed.
struct Minting {
    signing_input: String,
    minted: Minted,
}

/// What waits for its signature.
struct Pending {
    signing_input: String,
    attestation_id: String,
    chain_uid: String,
    writes: Vec<Write>,
    deletes: Vec<String>,
}

#[wasm_bindgen]
impl Gate {
    /// The gate of a policy, the JSON that bundles carry, whose records are signed with the key of `jwk`; `evaluator` is the name that
    /// records give to this code, in JSON. Proofs that a gate before it may have accepted, up to `since` (Unix milliseconds), are
    /// refused. Its first record is to be signed then.
    ///
    /// # Errors
    ///
    /// A text that names the member of the policy and says what is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(policy: &str, evaluator: &str, jwk: &str, since: f64, now: f64, random: &[u8]) -> Result<Self, String> {
        let document = json::read(policy.as_bytes(), MAX_POLICY_BYTES).map_err(|error| format!("policy: {error}"))?;
        if let Some(at) = without_value(&document) {
            return Err(format!("policy: `{at}` has no value; remove the member or give it one"));
        }
        let bundle: Bundle = json::typed(&document).map_err(|error| format!("policy: {error}"))?;
        let evaluator: EvaluatorRef = json::parse_into(evaluator.as_bytes(), MAX_ARGUMENT_BYTES)
            .map_err(|error| format!("evaluator: {error}"))?;
        let gate = bundle.compile(evaluator).map_err(|error| format!("policy: {error}"))?;
        let stamp = shapes::stamp(now, random)?;
        let chain = Chain::new(stamp.chain_uid(), gate.record());
        let mut this = Self {
            gate,
            chain,
            key: PublicKey::from_jwk(jwk.as_bytes()).map_err(|error| format!("key: {error}"))?,
            link: Link { seq: 0, prev: None },
            rows: BTreeMap::new(),
            swept: i64::MIN,
            head: HeadBuilder::default(),
            pending: None,
            judge: Judge::new(),
            minting: None,
        };
        this.gate.mint_with(vec![this.key.clone()]);
        let draft = this.chain.draft(&this.link, &stamp, &Body::Start(None));
        let fences = state::restart_fences(UnixMillis(milliseconds(since)?).seconds());
        this.wait(draft, fences.into(), Vec::new())?;
        Ok(this)
    }

    /// What is to be signed: `ToSign` in JSON; `null` when nothing is.
    ///
    /// # Errors
    ///
    /// None.
    pub fn pending(&self) -> Result<String, String> {
        let pass = self.minting.as_ref().map(|minting| minting.signing_input.as_str());
        report::to_json(&self.pending.as_ref().map(|pending| ToSign::of(pending, pass)))
    }

    /// Has proofs answer challenges that are made with this key (32 random bytes), where the policy asks for them.
    ///
    /// # Errors
    ///
    /// When the key has another length.
    #[wasm_bindgen(js_name = setChallengeKey)]
    pub fn set_challenge_key(&mut self, key: &[u8]) -> Result<(), String> {
        let bytes = key.try_into().map_err(|_| format!("{} bytes; give 32", key.len()))?;
        self.gate.challenge_key = Some(ChallengeKey::new(bytes));
        Ok(())
    }

    /// Takes in a status list token. Says whether it is used: a list older than the one at hand is not.
    ///
    /// # Errors
    ///
    /// When it is no status list of an issuer whose lists this gate checks.
    #[wasm_bindgen(js_name = addStatusList)]
    pub fn add_status_list(&mut self, uri: Option<String>, token: &str, now: f64) -> Result<bool, String> {
        let now = UnixMillis(milliseconds(now)?);
        self.gate.add_status_list(uri.as_deref(), token, now).map_err(|error| error.to_string())
    }

    /// Steps 1 to 7 of a request's life, but for the signature; `seed` is 32 random bytes that keys are made from where the
    /// policy encrypts something. Gives an `Answer` in JSON.
    ///
    /// # Errors
    ///
    /// When a record waits for its signature, or an argument has not the shape it should have.
    pub fn decide(
        &mut self,
        request: &str,
        body: &[u8],
        now: f64,
        random: &[u8],
        seed: &[u8],
    ) -> Result<String, String> {
        self.is_free()?;
        let request: RequestDoc =
            json::parse_into(request.as_bytes(), MAX_ARGUMENT_BYTES).map_err(|error| format!("request: {error}"))?;
        let (stamp, seed) = (shapes::stamp(now, random)?, shapes::seed(seed)?);
        let headers = request.headers();
        let raw = request.raw(&headers, body);
        let to_cover = ToCover::of(&raw).answering(self.gate.challenge(stamp.now));
        let mut redacted = None;
        let Step { refused, request, minting, draft, writes, fields } = match self.judged(&raw, stamp.now, &seed)? {
            Ok((judged, admitted, body)) => {
                redacted = body;
                self.decided(&judged, admitted, &stamp)?
            }
            Err(refusal) => self.refuse(&refusal, &stamp),
        };
        let attestation_id = draft.index().attestation_id.clone();
        let swept = self.sweep(stamp.now.seconds())?;
        let answer = match refused {
            None if minting.is_some() => Answer::minting(&attestation_id),
            None => Answer::allowed(&attestation_id, fields).with_body(redacted),
            Some(refused) => {
                let refused = Refused { attestation_id: Some(attestation_id), ..refused };
                Answer::refused(&refused, request, answer::refusal(&refused, &self.gate.id, to_cover))
            }
        };
        self.wait(draft, writes.into_iter().chain(swept.write).collect(), swept.delete)?;
        self.minting = minting;
        report::to_json(&answer)
    }

    /// Takes in the signature of the one-action pass that the decision at hand mints. It comes before [`Gate::commit`], so
    /// that a decision is not recorded whose pass cannot be made.
    ///
    /// # Errors
    ///
    /// When no pass waits, or the signature is not that of the key.
    #[wasm_bindgen(js_name = signPass)]
    pub fn sign_pass(&mut self, signature: &[u8]) -> Result<(), String> {
        let waiting = self.minting.as_ref().ok_or("no one-action pass waits for a signature")?;
        let signature = self.verified(&waiting.signing_input, signature)?;
        if let Some(Minting { signing_input, minted }) = &mut self.minting {
            minted.pass.token = jws::with_signature(signing_input.clone(), &signature);
        }
        Ok(())
    }

    /// The answer with the one-action pass of the decision that was committed last.
    ///
    /// # Errors
    ///
    /// When that decision minted none, its record is not committed yet, or the pass is not signed.
    pub fn minted(&mut self) -> Result<String, String> {
        self.is_free()?;
        let signed = self.minting.take().filter(|minting| !minting.minted.pass.token.is_empty());
        let Minting { minted, .. } = signed.ok_or("no one-action pass was signed")?;
        report::to_json(&ResponseDoc::from(answer::minted(&minted)))
    }

    /// Revokes a subject, from `now` on.
    ///
    /// # Errors
    ///
    /// As [`Gate::decide`].
    pub fn revoke(&mut self, subject: &str, now: f64, random: &[u8]) -> Result<(), String> {
        let (subject, stamp) = self.named(subject, now, random)?;
        let write = state::revocation_write(&subject, stamp.now.seconds());
        let draft = self.chain.draft(&self.link, &stamp, &Body::Revocation(subject));
        self.wait(draft, vec![write], Vec::new())
    }

    /// Suspends a subject from `now` on, until it is reinstated. Says whether that changes something.
    ///
    /// # Errors
    ///
    /// As [`Gate::decide`].
    pub fn suspend(&mut self, subject: &str, now: f64, random: &[u8]) -> Result<bool, String> {
        let (subject, stamp) = self.named(subject, now, random)?;
        let changes = !self.standing(&subject)?.is_denied();
        let write = changes.then(|| state::suspension_write(&subject, stamp.now.seconds()));
        let draft = self.chain.draft(&self.link, &stamp, &Body::Suspension(subject));
        self.wait(draft, write.into_iter().collect(), Vec::new())?;
        Ok(changes)
    }

    /// Ends the suspension of a subject. Says whether that changes something.
    ///
    /// # Errors
    ///
    /// As [`Gate::decide`], and when the subject is revoked.
    pub fn reinstate(&mut self, subject: &str, now: f64, random: &[u8]) -> Result<bool, String> {
        let (subject, stamp) = self.named(subject, now, random)?;
        let standing = self.standing(&subject)?;
        if standing.revoked_at.is_some() {
            return Err(format!("the {subject} is revoked, and a revocation cannot be lifted"));
        }
        let draft = self.chain.draft(&self.link, &stamp, &Body::Reinstatement(subject.clone()));
        self.wait(draft, Vec::new(), vec![state::suspension_key(&subject)])?;
        Ok(standing.suspended_at.is_some())
    }

    /// Step 9: what became of an allowed request, once. What was charged is given back when the upstream certainly saw nothing,
    /// and stays charged where it may have acted.
    ///
    /// # Errors
    ///
    /// As [`Gate::decide`], and when nothing was allowed under this id in the last day, or its outcome is recorded already.
    pub fn settle(&mut self, decision: &str, outcome: &str, now: f64, random: &[u8]) -> Result<(), String> {
        self.is_free()?;
        let outcome: OutcomeDoc =
            json::parse_into(outcome.as_bytes(), MAX_ARGUMENT_BYTES).map_err(|error| format!("outcome: {error}"))?;
        let stamp = shapes::stamp(now, random)?;
        let allowed = allowed_key(decision);
        if !self.rows.contains_key(&allowed) {
            return Err("no allowed request with this id waits for its outcome".to_owned());
        }
        let (lease, budget) = (self.lease(decision)?, outcome.budget());
        let (budget, writes) = match (&lease, budget) {
            (Some(lease), BudgetOutcome::Released) => {
                self.release(lease)?.map_or((BudgetOutcome::Committed, Vec::new()), |writes| (budget, writes))
            }
            (Some(lease), BudgetOutcome::Held) => (budget, vec![lease.clone().held().write(decision)]),
            _ => (budget, Vec::new()),
        };
        let deletes =
            if budget == BudgetOutcome::Held { vec![allowed] } else { vec![Lease::row_key(decision), allowed] };
        let outcome = outcome.into_record(lease.as_ref().map(|_| budget));
        let body = Body::Outcome { decision_id: decision.to_owned(), outcome };
        let draft = self.chain.draft(&self.link, &stamp, &body);
        self.wait(draft, writes, deletes)
    }

    /// What became of an allowed request whose outcome was not known: what it charged is given back, or stays charged for good.
    ///
    /// # Errors
    ///
    /// As [`Gate::decide`], and when nothing that the decision charged is held.
    pub fn reconcile(&mut self, reconciliation: &str, now: f64, random: &[u8]) -> Result<(), String> {
        self.is_free()?;
        let what: ReconciliationDoc = json::parse_into(reconciliation.as_bytes(), MAX_ARGUMENT_BYTES)
            .map_err(|error| format!("reconciliation: {error}"))?;
        let stamp = shapes::stamp(now, random)?;
        let lease = self.lease(&what.decision_id)?.filter(|lease| !lease.is_under_way(stamp.now.seconds()));
        let lease = lease.ok_or("nothing that this decision charged is held")?;
        let (decision_id, reconciliation) = what.into_record()?;
        let writes = match reconciliation.budget {
            BudgetOutcome::Released => {
                self.release(&lease)?.ok_or("its idempotency key was used again, so that it can only be committed")?
            }
            _ => Vec::new(),
        };
        let key = Lease::row_key(&decision_id);
        let draft = self.chain.draft(&self.link, &stamp, &Body::Reconciliation { decision_id, reconciliation });
        self.wait(draft, writes, vec![key])
    }

    /// Takes in the signature of what waits for it. Gives the record, and makes the change that it records.
    ///
    /// # Errors
    ///
    /// When nothing waits, or the signature is not that of the key; then the record goes on waiting.
    pub fn commit(&mut self, signature: &[u8]) -> Result<String, String> {
        let waiting = self.pending.as_ref().ok_or("no record waits for a signature")?;
        let signature = self.verified(&waiting.signing_input, signature)?;
        let pending = self.pending.take().ok_or("no record waits for a signature")?;
        let jws = jws::with_signature(pending.signing_input, &signature);
        let sha256: [u8; 32] = Sha256::digest(jws.as_bytes()).into();
        for key in pending.deletes {
            self.rows.remove(&key);
        }
        for Write { key, value, expires_at } in pending.writes {
            self.rows.insert(key, Row { value, expires_at });
        }
        self.head.push(&pending.chain_uid, &jws, &sha256);
        self.link = Link { seq: self.link.seq + 1, prev: Some(sha256) };
        Ok(record_line(&jws))
    }

    /// Gives up what waits for its signature: nothing is changed, and nothing was decided.
    pub fn cancel(&mut self) {
        self.minting = None;
        self.pending = None;
    }

    /// What is to be signed for the head of an export of all records so far.
    ///
    /// # Errors
    ///
    /// When a record waits for its signature.
    pub fn head(&self, now: f64) -> Result<String, String> {
        self.is_free()?;
        let timestamp = UnixMillis(milliseconds(now)?).rfc3339();
        let head = self.head.clone().finish(self.gate.id.clone(), false, timestamp);
        Ok(jws::signing_input(self.key.thumbprint(), TokenType::LedgerHead, &head.to_payload()))
    }

    /// The line of an export's head.
    ///
    /// # Errors
    ///
    /// When the signature is not that of the key.
    #[wasm_bindgen(js_name = headLine)]
    pub fn head_line(&self, signing_input: String, signature: &[u8]) -> Result<String, String> {
        let signature = self.verified(&signing_input, signature)?;
        Ok(head_line(&jws::with_signature(signing_input, &signature)))
    }
}

/// The first member that is `null`. A limit that came to nothing must not be a missing limit.
fn without_value<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match node {
        Node::Object(members) => members.iter().find_map(|(name, value)| match value {
            Node::Null => Some(name.as_ref()),
            other => without_value(other),
        }),
        Node::Array(items) => items.iter().find_map(without_value),
        _ => None,
    }
}

/// The row that says that a request was allowed whose outcome is not known yet. No rule has rows of this name.
fn allowed_key(attestation_id: &str) -> String {
    format!("allowed/{attestation_id}")
}

/// A judgement, what the state says to it, and the body to forward in place of the request's.
type Admissible = (Judged, Admitted, Option<Vec<u8>>);

/// What became of a request, and what is to be signed and written for it.
struct Step {
    refused: Option<Refused>,
    /// What to ask people, where they can approve.
    request: Option<ApprovalRequest>,
    minting: Option<Minting>,
    draft: Draft,
    writes: Vec<Write>,
    /// The fields that an allowed request's answer gets.
    fields: Vec<(&'static str, String)>,
}

impl Gate {
    /// An allow without evidence must not be: who holds another key than the gate's finds out here.
    fn verified(&self, signing_input: &str, signature: &[u8]) -> Result<[u8; 64], String> {
        let bytes = signature.try_into().map_err(|_| format!("a signature of {} bytes; it has 64", signature.len()))?;
        let verified = self.key.verify(signing_input.as_bytes(), signature);
        verified.map_err(|_| "the signature is not that of the gate's key".to_owned())?;
        Ok(bytes)
    }

    fn is_free(&self) -> Result<(), String> {
        match &self.pending {
            Some(pending) => Err(format!("the record {} waits for its signature", pending.attestation_id)),
            None => Ok(()),
        }
    }

    /// What a change is about, and when it is made.
    fn named(&self, subject: &str, now: f64, random: &[u8]) -> Result<(Subject, Stamp), String> {
        self.is_free()?;
        let subject: SubjectDoc =
            json::parse_into(subject.as_bytes(), MAX_ARGUMENT_BYTES).map_err(|error| format!("subject: {error}"))?;
        Ok((subject.into(), shapes::stamp(now, random)?))
    }

    fn standing(&self, subject: &Subject) -> Result<Standing, String> {
        let rows = self.load(Standing::row_keys(subject));
        Standing::read(subject, &rows).map_err(|error| error.to_string())
    }

    fn wait(&mut self, draft: Draft, writes: Vec<Write>, deletes: Vec<String>) -> Result<(), String> {
        self.is_free()?;
        let index = draft.index();
        let signing_input = draft.signing_input(self.key.thumbprint());
        if signing_input.len() + SIGNATURE_CHARS > MAX_RECORD_BYTES {
            return Err(format!("the record would be longer than {MAX_RECORD_BYTES} bytes, and no verifier reads it"));
        }
        self.minting = None;
        self.pending = Some(Pending {
            signing_input,
            attestation_id: index.attestation_id.clone(),
            chain_uid: index.chain_uid.clone(),
            writes,
            deletes,
        });
        Ok(())
    }

    /// Steps 1 to 5; once more where the state knows the agent better than it was judged.
    fn judged(
        &self,
        raw: &RawRequest<'_>,
        now: UnixMillis,
        seed: &Seed,
    ) -> Result<Result<Admissible, Refusal>, String> {
        let mut conduct = Conduct::default();
        for _ in 0..MAX_JUDGED {
            let judged = match self.judge.judge_as(&self.gate, raw, now, conduct) {
                Ok(judged) => judged,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let (judged, redacted) = judged.restrict(Vec::new(), raw.body, seed);
            let rows = self.load(judged.demand().row_keys());
            let admitted = state::admit(judged.demand(), &rows).map_err(|error| error.to_string())?;
            match admitted.admission.conduct {
                None => return Ok(Ok((judged, admitted, redacted))),
                Some(as_it_is) => conduct = as_it_is,
            }
        }
        Err("the agent behaves otherwise each time the request is judged".to_owned())
    }

    /// Steps 6 and 7.
    fn decided(&self, judged: &Judged, admitted: Admitted, stamp: &Stamp) -> Result<Step, String> {
        let decision = pipeline::decide(judged, &admitted.admission);
        let draft = self.chain.draft_decision(&self.link, stamp, judged.view(&decision));
        let mut writes = admitted.writes;
        writes.extend(admitted.counted.after(decision.verdict.kind()));
        let id = draft.index().attestation_id.clone();
        if let Some(pass) = judged.pass_to_mint(&decision, stamp) {
            let minting = Some(self.minting(judged, &pass, id, decision.rates)?);
            return Ok(Step { refused: None, request: None, minting, draft, writes, fields: Vec::new() });
        }
        if let Verdict::Allow(_) = decision.verdict {
            let until = stamp.now.seconds().saturating_add(OUTCOME_SECONDS);
            writes.push(Write { key: allowed_key(&id), value: Vec::new(), expires_at: Some(until) });
            writes.extend(Lease::of(admitted.charged, stamp.now).map(|lease| lease.write(&id)));
            let fields = answer::allow_fields(&id, &decision.rates);
            return Ok(Step { refused: None, request: None, minting: None, draft, writes, fields });
        }
        let request = judged.approval_to_ask(decision.verdict.kind()).map(|ask| new_request(ask, stamp));
        let mut refused = Refused::of(judged, Decided::new(decision, None, None), None);
        if let Some(request) = &request {
            refused.await_approval(request);
        }
        Ok(Step { refused: Some(refused), request, minting: None, draft, writes, fields: Vec::new() })
    }

    fn minting(
        &self,
        judged: &Judged,
        pass: &ActionPass,
        attestation_id: String,
        rates: Vec<RateView>,
    ) -> Result<Minting, String> {
        let signing_input = action_pass::signing_input(self.key.thumbprint(), pass);
        let minted = Minted {
            pass: pass.into(),
            attestation_id,
            rates,
            agent_id: judged.agent().agent_id.clone(),
            action: judged.request().action.clone().unwrap_or_default(),
        };
        Ok(Minting { signing_input: signing_input.map_err(|error| error.to_string())?, minted })
    }

    /// Step 7 of a request that could not be judged.
    fn refuse(&self, refusal: &Refusal, stamp: &Stamp) -> Step {
        let record = RefusalRecord::new(&self.gate, refusal, stamp.now);
        let draft = self.chain.draft(&self.link, stamp, &record.body());
        let refused = Some(record.refused(None));
        Step { refused, request: None, minting: None, draft, writes: Vec::new(), fields: Vec::new() }
    }

    /// What a decision charged, until it is known what became of it.
    fn lease(&self, decision: &str) -> Result<Option<Lease>, String> {
        let key = Lease::row_key(decision);
        let lease = self.rows.get(&key).map(|row| Lease::read(&key, &row.value));
        lease.transpose().map_err(|error| error.to_string())
    }

    /// The rows that give back what was charged; nothing where it stays charged.
    fn release(&self, lease: &Lease) -> Result<Option<Vec<Write>>, String> {
        lease.release(&self.load(lease.charged_rows())).map_err(|error| error.to_string())
    }

    fn load<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> LoadedRows {
        let row = |key: K| Some((key.as_ref().to_owned(), self.rows.get(key.as_ref())?.value.clone()));
        keys.into_iter().filter_map(row).collect()
    }

    /// Forgets rows that nothing needs any more at `now` (Unix seconds), once a second: what to delete, and the fence, when it
    /// rises.
    fn sweep(&mut self, now: i64) -> Result<Sweep, String> {
        if now <= self.swept {
            return Ok(Sweep { delete: Vec::new(), write: None });
        }
        self.swept = now;
        let expired = self.rows.iter().filter_map(|(key, row)| Some((key.as_str(), row.expires_at?)));
        let expired = expired.filter(|(_, end)| *end < now);
        state::sweep(expired, &self.load([FENCE_KEY])).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
