//! The object of one root agent, or of the whole gate: admits, decides, signs and appends, in one call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use passgate_api::driver::{Answer, Driver};
use passgate_api::http::documents::Reconciliation;
use passgate_core::pipeline::Judged;
use passgate_core::state::{Subject, restart_fences};
use passgate_passport::sorted::SortedMap;
use passgate_store::StoreError;
use passgate_store::backend::{self, Fault, Tables as _};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::calls::{self, Call, CallError};
use crate::messages::{AT_FIELD, CURRENT_FIELD, DECISION_FIELD, OBJECT_FIELD, Watched, subject_key};
use crate::object::{Chain, Failure, META_ANCHOR, Message, json, reply};
use crate::sql::{SqlTables, integer, second, take};
use crate::{clock, testing};

/// How long an object relies on being told of revocations before it asks again. The gate's object remembers for longer.
pub(crate) const WATCH_SECONDS: i64 = 7 * 86_400;
/// The status of an answer to a judgement under a policy that is no longer in force.
pub(crate) const OUTDATED: u16 = 409;
/// Setting: the newest version of the policy that is known here.
const META_POLICY: &str = "policy_version";
/// How often a request asks when changes overtake the answers. People make these changes, so more in a row are no accident.
const MAX_ASKED: usize = 5;
const MAX_SUBJECTS_IN_MEMORY: usize = 10_000;
/// Subjects that are relied on no more, removed with each watch.
const FORGOTTEN_AT_ONCE: u64 = 20;

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS watched (subject TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID";

/// Admission of one root agent, or of the whole gate.
#[durable_object(alarm)]
pub struct AdmissionObject {
    opened: Result<Admission, StoreError>,
}

struct Admission {
    chain: Chain,
    /// What the `watched` table has of some subjects, so that it need not be asked.
    watched: RefCell<SortedMap<String, i64>>,
    policy_version: RefCell<Option<u64>>,
    /// How often this object was told to ask again.
    changes: Cell<u64>,
}

impl DurableObject for AdmissionObject {
    fn new(state: State, env: Env) -> Self {
        Self { opened: Admission::open(state, env) }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        reply(match &self.opened {
            Ok(admission) => admission.serve(request).await,
            Err(error) => Err(error.clone().into()),
        })
    }

    async fn alarm(&self) -> worker::Result<Response> {
        reply(match &self.opened {
            Ok(admission) => admission.chain.flush().await.map(|()| Vec::new()),
            Err(error) => Err(error.clone().into()),
        })
    }
}

impl Admission {
    fn open(state: State, env: Env) -> Result<Self, StoreError> {
        let chain = Chain::open(state, env)?;
        chain.database.transaction(|tables| tables.execute(SCHEMA, Vec::new()))?;
        Ok(Self { chain, watched: RefCell::default(), policy_version: RefCell::default(), changes: Cell::default() })
    }

    async fn serve(&self, request: Request) -> Result<Vec<u8>, Failure> {
        let message = Message::read(request).await?;
        match message.path.as_str() {
            "/admit" => self.admit(&message).await,
            "/settle" => self.settle(&message).await,
            "/reconcile" => self.reconcile(&message).await,
            "/deny" => self.deny(&message),
            "/ask-again" => self.ask_again(&message),
            "/records" => json(&self.chain.records(&message.parse()?).await?),
            "/record" => json(&self.chain.record(&message.parse::<String>()?).await?),
            path => testing::serve_object(&self.chain, path).await,
        }
    }

    /// Steps 4 to 7. From the look at what is revoked to the record nothing waits, so nothing comes between.
    async fn admit(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let (stamp, current) = (message.stamp()?, message.current()?);
        let judged = Judged::from_bytes(&message.body).map_err(|error| message.unreadable(&error))?;
        testing::wait().await;
        self.watch(message, &judged).await?;
        self.follow_policy(current.version)?;
        testing::panic_at("admit");
        let driver = self.chain.driver(judged.gate()).await?;
        let answer = match driver.admit(Box::new(judged), stamp).await {
            Ok(answer) => answer,
            Err(misjudged) => return Ok(misjudged.to_bytes()),
        };
        testing::panic_at("admitted");
        self.chain.mind_counts(&answer, stamp.now).await?;
        Ok(answer.to_bytes())
    }

    /// Asks the gate's object about subjects that are new here, and is told of changes from then on.
    async fn watch(&self, message: &Message, judged: &Judged) -> Result<(), Failure> {
        // An answer that a change overtook on its way here is not relied on, but for whether the object was known: asking
        // made it known.
        let mut is_known = None;
        for _ in 0..MAX_ASKED {
            if self.ask(message, judged, &mut is_known).await? {
                return Ok(());
            }
        }
        Err(Failure::new(
            503,
            "subjects of the request were suspended or reinstated whenever the gate's object was asked: send it again",
        ))
    }

    /// Whether the answer holds: no subject was suspended or reinstated while it was on its way.
    async fn ask(&self, message: &Message, judged: &Judged, is_known: &mut Option<bool>) -> Result<bool, Failure> {
        let (now, changes) = (clock::now().seconds(), self.changes.get());
        let mut new = Vec::new();
        for subject in &judged.demand().subjects {
            if !self.is_watched(subject, now)? {
                new.push(subject.clone());
            }
        }
        if new.is_empty() {
            return Ok(true);
        }
        let watch = Call::new("/watch")
            .gate(judged.gate())
            .with(OBJECT_FIELD, &message.field(OBJECT_FIELD)?)
            .with(CURRENT_FIELD, &message.field(CURRENT_FIELD)?)
            .json(&new);
        let is_overtaken = testing::is_overtaken();
        let gate = calls::gate(&self.chain.env).map_err(unreachable_gate)?;
        let told: Watched = watch.ask(&gate).await.map_err(unreachable_gate)?;
        let is_known = *is_known.get_or_insert(told.is_known);
        testing::wait_until(|| !is_overtaken || self.changes.get() > 0).await;
        if self.changes.get() != changes {
            return Ok(false);
        }
        if told.standing.len() != new.len() {
            return Err(Failure::new(500, "the gate's object did not say of every subject how it stands"));
        }
        let anchor = serde_json::to_string(&told.anchor).map_err(|error| Failure::new(500, error))?;
        self.chain.database.transaction(|tables| {
            tables.set_meta(META_ANCHOR, &anchor)?;
            for (subject, standing) in new.iter().zip(&told.standing) {
                if let Some(at) = standing.revoked_at {
                    backend::deny(tables, subject, at)?;
                }
                backend::follow(tables, subject, standing.suspended_at)?;
            }
            // It had state once and has none: what was consumed then is not known any more.
            if is_known && tables.last_chain()?.is_none() {
                restart_fences(now).into_iter().try_for_each(|fence| tables.put_row(fence))?;
            }
            tables.execute(
                "DELETE FROM watched WHERE subject IN (SELECT subject FROM watched WHERE until < ? LIMIT ?)",
                vec![second(now), integer(FORGOTTEN_AT_ONCE)],
            )?;
            new.iter().try_for_each(|subject| keep_watched(tables, subject, now))
        })?;
        for subject in &new {
            self.note_watched(subject_key(subject), now.saturating_add(WATCH_SECONDS));
        }
        self.raise_policy(told.policy_version)?;
        Ok(true)
    }

    fn is_watched(&self, subject: &Subject, now: i64) -> Result<bool, Failure> {
        let key = subject_key(subject);
        if let Some(until) = self.watched.borrow().get(&key) {
            return Ok(*until > now);
        }
        let tables = self.chain.database.read();
        let found = tables.execute("SELECT until FROM watched WHERE subject = ?", vec![key.as_str().into()]);
        let Some(row) = found.map_err(StoreError::from)?.into_iter().next() else { return Ok(false) };
        let until = take(row).integer().map_err(StoreError::from)?;
        self.note_watched(key, until);
        Ok(until > now)
    }

    fn note_watched(&self, key: String, until: i64) {
        let mut watched = self.watched.borrow_mut();
        if watched.len() >= MAX_SUBJECTS_IN_MEMORY {
            watched.clear();
        }
        watched.insert(key, until);
    }

    /// Refuses a judgement under an older policy than one that was in force here.
    fn follow_policy(&self, version: u64) -> Result<(), Failure> {
        let known = self.known_policy()?;
        if version < known {
            let why = format!("judged under version {version} of the policy, and version {known} is in force");
            return Err(Failure::new(OUTDATED, why));
        }
        self.raise_policy(version)
    }

    fn known_policy(&self) -> Result<u64, Failure> {
        if let Some(version) = *self.policy_version.borrow() {
            return Ok(version);
        }
        let text = self.chain.database.read().meta(META_POLICY).map_err(StoreError::from)?;
        let version = text.map_or(Ok(0), |text| text.parse()).map_err(|_| {
            Failure::from(StoreError::Corrupt(format!("the setting {META_POLICY} of the object is no number")))
        })?;
        *self.policy_version.borrow_mut() = Some(version);
        Ok(version)
    }

    fn raise_policy(&self, version: u64) -> Result<(), Failure> {
        if version > self.known_policy()? {
            self.chain.database.transaction(|tables| tables.set_meta(META_POLICY, &version.to_string()))?;
            *self.policy_version.borrow_mut() = Some(version);
        }
        Ok(())
    }

    /// What is no decision joins the chain that is open, also when the gate has changed its level since.
    async fn open_driver(&self, message: &Message) -> Result<Rc<Driver>, Failure> {
        match self.chain.open_driver() {
            Some(driver) => Ok(driver),
            None => self.chain.driver(&message.gate()?).await,
        }
    }

    async fn reconcile(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let what: Reconciliation = message.parse()?;
        let driver = self.open_driver(message).await?;
        json(&driver.reconcile(&what.decision_id, what.record(), message.stamp()?).await?.jws)
    }

    async fn settle(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let driver = self.open_driver(message).await?;
        testing::panic_at("settle");
        driver.settle(message.field(DECISION_FIELD)?, message.parse()?, message.stamp()?).await?;
        testing::panic_at("settled");
        Ok(Vec::new())
    }

    fn deny(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let subject: Subject = message.parse()?;
        let at = message.field(AT_FIELD)?.parse().map_err(|error| message.unreadable(&error))?;
        self.chain.database.transaction(|tables| backend::deny(tables, &subject, at))?;
        testing::panic_at("deny");
        Ok(Vec::new())
    }

    /// Relies no more on how a subject stood: it was suspended or reinstated. The next request that depends on it asks. Should
    /// the gate's object not answer then, the request is refused.
    fn ask_again(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let key = subject_key(&message.parse()?);
        testing::panic_at("ask-again");
        self.chain
            .database
            .transaction(|tables| tables.execute("DELETE FROM watched WHERE subject = ?", vec![key.as_str().into()]))?;
        self.watched.borrow_mut().remove(&key);
        self.changes.set(self.changes.get().wrapping_add(1));
        Ok(Vec::new())
    }
}

fn keep_watched(tables: &SqlTables<'_>, subject: &Subject, now: i64) -> Result<(), Fault> {
    let values = vec![subject_key(subject).into(), now.saturating_add(WATCH_SECONDS).into()];
    tables.execute("INSERT OR REPLACE INTO watched (subject, until) VALUES (?, ?)", values)?;
    Ok(())
}

/// Not knowing what is revoked is a reason to refuse.
fn unreachable_gate(error: CallError) -> Failure {
    match error {
        CallError::Refused(status, why) => Failure::new(status, why),
        CallError::Failed(why) => Failure::new(503, why),
    }
}

/// Whether an answer says that the policy is no longer in force.
pub(crate) fn is_outdated(error: &CallError) -> bool {
    matches!(error, CallError::Refused(OUTDATED, _))
}

/// What the answer to an admission says.
pub(crate) fn read_answer(bytes: &[u8]) -> Result<Answer, String> {
    Answer::from_bytes(bytes).map_err(|error| error.to_string())
}
