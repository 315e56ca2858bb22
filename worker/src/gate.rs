//! The object of the whole gate: the bundle in force, how subjects stand and who has to be told of it, refusals before
//! authentication.
//!
//! | table | columns |
//! | --- | --- |
//! | `objects` | `number` (order of first contact), `name` of an admission object |
//! | `watches` | `subject`, `object` (name), `until` (Unix seconds) |
//! | `to_tell` | `subject` of which not every watcher may have been told yet, `record` of the newest change |
//! | `lists` | `uri` of a status list, `issued_at`, `sha256` of the newest token |

use passgate_api::driver::RefusalRecord;
use passgate_api::edge::{Current, ReplaceError};
use passgate_core::approval::{ApprovalRequest, Asked};
use passgate_core::attest::{GateRecord, PreviousChain, sha256_label};
use passgate_core::state::Subject;
use passgate_passport::json as strict;
use passgate_store::backend::{Fault, Tables as _};
use passgate_store::{State as _, StoreError};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::admission::WATCH_SECONDS;
use crate::messages::{
    AFTER_FIELD, InForce, NoteList, OBJECT_FIELD, ObjectNames, RECORD_FIELD, Replace, Requests, Watched, subject_key,
};
use crate::object::{Chain, Failure, Message, json, reply};
use crate::sql::{SqlTables, integer, take};
use crate::standing::{self, Change};
use crate::{clock, testing};

/// Watches outlast what their objects rely on, so that clocks may differ by a week.
const KEEP_WATCH_SECONDS: i64 = 2 * WATCH_SECONDS;
/// Names in one answer.
const OBJECTS_AT_ONCE: u64 = 1_000;
/// When unfinished telling is taken up again.
pub(crate) const RETRY_AFTER_MS: i64 = 20_000;
/// Expired watches removed at once.
const SWEPT_WATCHES: u64 = 1_000;

/// The most status lists that are published; an isolate reads them all.
const MAX_LISTS: usize = 64;

/// Setting: the bundle in force, as [`Current`].
const META_CURRENT: &str = "current";
/// Setting: the token of the bundle in force, when it was put here: Workers KV may show it later.
const META_BUNDLE: &str = "bundle";

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS objects (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS watches \
     (subject TEXT NOT NULL, object TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (subject, object)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS watches_by_time ON watches (until)",
    "CREATE TABLE IF NOT EXISTS to_tell (subject TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS lists \
     (uri TEXT PRIMARY KEY, issued_at INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID",
];

/// What concerns the whole gate.
#[durable_object(alarm)]
pub struct GateObject {
    opened: Result<Chain, StoreError>,
}

impl DurableObject for GateObject {
    fn new(state: State, env: Env) -> Self {
        let open = || {
            let chain = Chain::open(state, env)?;
            chain.database.transaction(|tables| {
                SCHEMA.iter().try_for_each(|statement| tables.execute(statement, Vec::new()).map(|_| ()))
            })?;
            Ok(chain)
        };
        Self { opened: open() }
    }

    async fn fetch(&self, request: Request) -> worker::Result<Response> {
        reply(match &self.opened {
            Ok(chain) => serve(chain, request).await,
            Err(error) => Err(error.clone().into()),
        })
    }

    async fn alarm(&self) -> worker::Result<Response> {
        reply(match &self.opened {
            Ok(chain) => catch_up(chain).await.map(|()| Vec::new()),
            Err(error) => Err(error.clone().into()),
        })
    }
}

async fn serve(chain: &Chain, request: Request) -> Result<Vec<u8>, Failure> {
    let message = Message::read(request).await?;
    match message.path.as_str() {
        "/watch" => json(&watch(chain, &message).await?),
        "/refuse" => refuse(chain, &message).await,
        "/fold" => fold(chain, &message).await,
        "/revoke" => json(&standing::change(chain, &message, Change::Revoke).await?),
        "/suspend" => json(&standing::change(chain, &message, Change::Suspend).await?),
        "/reinstate" => json(&standing::change(chain, &message, Change::Reinstate).await?),
        "/tell" => json(&standing::tell(chain, &message.parse()?, &message.field(AFTER_FIELD)?).await?),
        "/told" => standing::told(chain, &message.parse()?, &message.field(RECORD_FIELD)?),
        "/standing" => json(&standing::of(chain, &message.parse::<Vec<Subject>>()?).await?),
        "/ask" => json(&ask(chain, &message).await?),
        "/request" => json(&chain.store.approval_request(&message.parse::<String>()?).await?),
        "/requests" => {
            let Requests { after, limit } = message.parse()?;
            json(&chain.store.approval_requests(&after, limit).await?)
        }
        "/replace" => json(&replace(chain, &message).await?),
        "/in-force" => json(&in_force(chain, &message)?),
        "/bundle" => json(&chain.database.read().meta(META_BUNDLE).map_err(StoreError::from)?),
        "/put-bundle" => put_bundle(chain, &message),
        "/list" => note_list(chain, &message.parse()?),
        "/objects" => json(&objects(&chain.database.read(), &message)?),
        "/records" => json(&chain.records(&message.parse()?).await?),
        "/record" => json(&chain.record(&message.parse::<String>()?).await?),
        path => testing::serve_object(chain, path).await,
    }
}

/// Notes who wants to know what, and says what is revoked by now.
async fn watch(chain: &Chain, message: &Message) -> Result<Watched, Failure> {
    let now = clock::now().seconds();
    let (object, seen) = (message.field(OBJECT_FIELD)?, message.current()?);
    let subjects: Vec<Subject> = message.parse()?;
    let (current, is_known) = chain.database.transaction(|tables| {
        let current = follow(tables, &seen)?;
        let name = || vec![object.as_str().into()];
        let is_known = !tables.execute("SELECT 1 FROM objects WHERE name = ?", name())?.is_empty();
        tables.execute("INSERT OR IGNORE INTO objects (name) VALUES (?)", name())?;
        for subject in &subjects {
            let until = now.saturating_add(KEEP_WATCH_SECONDS);
            tables.execute(
                "INSERT OR REPLACE INTO watches (subject, object, until) VALUES (?, ?, ?)",
                vec![subject_key(subject).into(), object.as_str().into(), until.into()],
            )?;
        }
        tables.execute(
            "DELETE FROM watches WHERE (subject, object) IN (SELECT subject, object FROM watches WHERE until < ? LIMIT ?)",
            vec![now.into(), integer(SWEPT_WATCHES)],
        )?;
        Ok((current, is_known))
    })?;
    testing::panic_at("watch");
    let standing = standing::of(chain, &subjects).await?;
    let anchor = anchor(chain, &message.gate()?).await?;
    Ok(Watched { standing, policy_version: current.version, anchor, is_known })
}

/// The end of the gate's own chain. An object's first chain names it, so that all chains of a gate hang together.
async fn anchor(chain: &Chain, gate: &GateRecord) -> Result<PreviousChain, Failure> {
    let chain_uid = chain.driver(gate).await?.chain_uid().to_owned();
    let end = chain.database.read().chain(&chain_uid).map_err(StoreError::from)?;
    let end = end.ok_or_else(|| Failure::new(500, "the gate's own chain is gone"))?;
    Ok(PreviousChain { chain_uid, head_sha256: sha256_label(&end.head), size: end.next_seq })
}

/// Notes a bundle that is in use somewhere, and says which one is in force. Its gate and where it admits never change; one
/// that may not take the place of the one in force is no news.
fn follow(tables: &SqlTables<'_>, seen: &Current) -> Result<Current, Fault> {
    let Some(known) = current(tables)? else {
        return set_current(tables, seen);
    };
    if known == *seen {
        return Ok(known);
    }
    match seen.replaces(&known) {
        Ok(()) => {
            // What was put here is no longer what is in force.
            tables.clear_meta(META_BUNDLE)?;
            set_current(tables, seen)
        }
        Err(error @ (ReplaceError::OtherGate { .. } | ReplaceError::OtherAdmission { .. })) => {
            Err(Fault::Request(StoreError::Unavailable(error.to_string())))
        }
        Err(_) => Ok(known),
    }
}

/// The bundle in force, now that one is seen in Workers KV.
fn in_force(chain: &Chain, message: &Message) -> Result<InForce, Failure> {
    let seen = message.current()?;
    Ok(chain
        .database
        .transaction(|tables| Ok(InForce { current: follow(tables, &seen)?, jws: tables.meta(META_BUNDLE)? }))?)
}

fn current(tables: &SqlTables<'_>) -> Result<Option<Current>, Fault> {
    let Some(text) = tables.meta(META_CURRENT)? else { return Ok(None) };
    strict::read_back(text.as_bytes()).map(Some).map_err(|error| {
        Fault::Storage(StoreError::Corrupt(format!("the setting {META_CURRENT} of the object: {error}")))
    })
}

fn set_current(tables: &SqlTables<'_>, current: &Current) -> Result<Current, Fault> {
    let text =
        serde_json::to_string(current).map_err(|error| Fault::Request(StoreError::Unavailable(error.to_string())))?;
    tables.set_meta(META_CURRENT, &text)?;
    Ok(current.clone())
}

async fn refuse(chain: &Chain, message: &Message) -> Result<Vec<u8>, Failure> {
    let refusal = RefusalRecord::from_bytes(&message.body).map_err(|error| message.unreadable(&error))?;
    let stamp = message.stamp()?;
    let answer = chain.driver(&message.gate()?).await?.record_refusal(&refusal, stamp).await;
    chain.mind_counts(&answer, stamp.now).await?;
    Ok(answer.to_bytes())
}

async fn ask(chain: &Chain, message: &Message) -> Result<Asked, Failure> {
    let request: ApprovalRequest = message.parse()?;
    testing::panic_at("ask");
    Ok(chain.store.ask(request).await?)
}

async fn replace(chain: &Chain, message: &Message) -> Result<Option<String>, Failure> {
    let Replace { before, after, record } = message.parse()?;
    let driver = chain.driver(&message.gate()?).await?;
    testing::panic_at("replace");
    Ok(driver.replace_request(before, after, record, message.stamp()?).await?)
}

async fn fold(chain: &Chain, message: &Message) -> Result<Vec<u8>, Failure> {
    let folded = message.parse()?;
    chain.driver(&message.gate()?).await?.fold(folded, message.stamp()?).await?;
    Ok(Vec::new())
}

/// Records counts, and tells watchers of what whoever changed it did not. What fails is taken up again by the next alarm, and
/// keeps nothing else from being done.
async fn catch_up(chain: &Chain) -> Result<(), Failure> {
    let rows = standing::to_tell(&chain.database.read()).map_err(StoreError::from)?;
    if !rows.is_empty() {
        chain.wake_in(RETRY_AFTER_MS).await?;
    }
    if let Err(Failure { why, .. }) = chain.flush().await {
        worker::console_error!("counted refusals could not be recorded: {why}");
        chain.wake_in(RETRY_AFTER_MS).await?;
    }
    for (subject, record) in rows {
        if let Err(Failure { why, .. }) = standing::tell_all(chain, &subject, &record).await {
            worker::console_error!("not everyone could be told of the change of {subject}: {why}");
        }
    }
    Ok(())
}

/// Keeps a bundle that was verified, unless it may not take the place of the one in force.
fn put_bundle(chain: &Chain, message: &Message) -> Result<Vec<u8>, Failure> {
    let new = message.current()?;
    let jws = std::str::from_utf8(&message.body).map_err(|error| message.unreadable(&error))?;
    let known = current(&chain.database.read()).map_err(StoreError::from)?;
    if let Some(known) = known {
        new.replaces(&known).map_err(|error| Failure::new(409, error))?;
    }
    chain.database.transaction(|tables| {
        tables.set_meta(META_BUNDLE, jws)?;
        set_current(tables, &new).map(|_| ())
    })?;
    Ok(Vec::new())
}

/// Notes that a status list is published, unless a newer one of the same URI was.
fn note_list(chain: &Chain, list: &NoteList) -> Result<Vec<u8>, Failure> {
    let tables = chain.database.read();
    let rows = tables.execute("SELECT issued_at, sha256 FROM lists WHERE uri = ?", vec![list.uri.as_str().into()]);
    let known = rows.map_err(StoreError::from)?.into_iter().next();
    if known.is_none() && list_uris(&tables).map_err(StoreError::from)?.len() >= MAX_LISTS {
        return Err(Failure::new(409, format_args!("{MAX_LISTS} status lists are published; join some of them")));
    }
    if let Some(row) = known {
        let mut columns = take(row);
        let issued_at = columns.integer().map_err(StoreError::from)?;
        let sha256 = columns.text().map_err(StoreError::from)?;
        if list.issued_at < issued_at || (list.issued_at == issued_at && list.sha256 != sha256) {
            let why = format!("the list published for {} was issued at {issued_at}; give a newer one", list.uri);
            return Err(Failure::new(409, why));
        }
    }
    chain.database.transaction(|tables| {
        tables.execute(
            "INSERT OR REPLACE INTO lists (uri, issued_at, sha256) VALUES (?, ?, ?)",
            vec![list.uri.as_str().into(), list.issued_at.into(), list.sha256.as_str().into()],
        )?;
        Ok(())
    })?;
    json(&list_uris(&chain.database.read()).map_err(StoreError::from)?)
}

fn list_uris(tables: &SqlTables<'_>) -> Result<Vec<String>, Fault> {
    tables.execute("SELECT uri FROM lists ORDER BY uri", Vec::new())?.into_iter().map(|row| take(row).text()).collect()
}

fn objects(tables: &SqlTables<'_>, message: &Message) -> Result<ObjectNames, Failure> {
    let after = message.field(AFTER_FIELD)?.parse().map_err(|error| message.unreadable(&error))?;
    let rows = tables.execute(
        "SELECT number, name FROM objects WHERE number > ? ORDER BY number LIMIT ?",
        vec![integer(after), integer(OBJECTS_AT_ONCE)],
    );
    let pair = |row| {
        let mut columns = take(row);
        Ok((columns.number()?, columns.text()?))
    };
    let names: Result<Vec<_>, Fault> = rows.and_then(|rows| rows.into_iter().map(pair).collect());
    let last = tables.execute("SELECT coalesce(max(number), 0) FROM objects", Vec::new()).map_err(StoreError::from)?;
    let last = last.into_iter().next().map(|row| take(row).number()).transpose().map_err(StoreError::from)?;
    Ok(ObjectNames { names: names.map_err(StoreError::from)?, last: last.unwrap_or_default() })
}
