//! How subjects stand, in the gate's object: it records every change, and tells the objects that watch the subject.
//!
//! A revocation is told as that: it never ends, so it does not matter what else is told before or after it. Of a suspension
//! or its end watchers are told that they have to ask again, whatever the change was: messages that overtake each other then
//! leave nobody with the older one.

use passgate_core::state::{Standing, Subject};
use passgate_passport::json as strict;
use passgate_store::backend::Fault;
use passgate_store::{State as _, StoreError};

use crate::calls::{self, Boxed, Call, try_join_all};
use crate::gate::RETRY_AFTER_MS;
use crate::messages::{AT_FIELD, Recorded, Told, subject_key};
use crate::object::{Chain, Failure, Message};
use crate::sql::{SqlTables, integer, take};
use crate::testing;

/// Watchers told with one call.
const TOLD_AT_ONCE: usize = 200;
/// Watchers told at the same time.
const TOLD_IN_PARALLEL: usize = 20;

/// What becomes of a subject.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Revoke,
    Suspend,
    Reinstate,
}

/// How each of `subjects` stands.
pub(crate) async fn of(chain: &Chain, subjects: &[Subject]) -> Result<Vec<Standing>, Failure> {
    let mut standing = Vec::with_capacity(subjects.len());
    for subject in subjects {
        standing.push(chain.store.standing(subject).await?);
    }
    Ok(standing)
}

/// Records a change. Watchers are told with [`tell`]; should that not happen, the alarm does it. What changes nothing is told
/// too: it may be the repetition of something that failed half-way.
pub(crate) async fn change(chain: &Chain, message: &Message, change: Change) -> Result<Recorded, Failure> {
    let (subject, stamp): (Subject, _) = (message.parse()?, message.stamp()?);
    let driver = chain.driver(&message.gate()?).await?;
    testing::panic_at("revoke");
    let (entry, changed) = match change {
        Change::Revoke => (driver.revoke(subject.clone(), stamp).await?, true),
        Change::Suspend => driver.suspend(subject.clone(), stamp).await.map(|done| (done.entry, done.changed))?,
        Change::Reinstate => driver.reinstate(subject.clone(), stamp).await.map(|done| (done.entry, done.changed))?,
    };
    testing::panic_at("revoked");
    let id = entry.index.attestation_id;
    chain.database.transaction(|tables| {
        let values = vec![subject_key(&subject).into(), id.as_str().into()];
        tables.execute("INSERT OR REPLACE INTO to_tell (subject, record) VALUES (?, ?)", values)?;
        Ok(())
    })?;
    chain.wake_in(RETRY_AFTER_MS).await?;
    Ok(Recorded { id, record: entry.jws, changed })
}

/// Tells the next watchers of a subject. One that cannot be told keeps nobody else from being told.
pub(crate) async fn tell(chain: &Chain, subject: &Subject, after: &str) -> Result<Told, Failure> {
    let revoked_at = chain.store.standing(subject).await?.revoked_at;
    testing::panic_at("tell");
    let watchers = watchers(&chain.database.read(), subject, after).map_err(StoreError::from)?;
    let mut failed = None;
    for some in watchers.chunks(TOLD_IN_PARALLEL) {
        let tell = |name: &String| -> Boxed<'_, Result<Result<(), Failure>, Failure>> {
            let name = name.clone();
            Box::pin(async move { Ok(tell_one(chain, &name, subject, revoked_at).await) })
        };
        let told = try_join_all(some.iter().map(tell).collect()).await?;
        failed = failed.or(told.into_iter().find_map(Result::err));
    }
    let last = watchers.last().filter(|_| watchers.len() == TOLD_AT_ONCE);
    Ok(Told { after: last.cloned().unwrap_or_default(), failed: failed.map(|failure| failure.why) })
}

async fn tell_one(chain: &Chain, name: &str, subject: &Subject, revoked_at: Option<i64>) -> Result<(), Failure> {
    let call = match revoked_at {
        Some(at) => Call::new("/deny").with(AT_FIELD, &at.to_string()),
        None => Call::new("/ask-again"),
    };
    let told = async { call.json(subject).to(&calls::admission(&chain.env, name)?).await };
    told.await.map(|_| ()).map_err(|error| Failure::new(503, error))
}

fn watchers(tables: &SqlTables<'_>, subject: &Subject, after: &str) -> Result<Vec<String>, Fault> {
    let rows = tables.execute(
        "SELECT object FROM watches WHERE subject = ? AND object > ? ORDER BY object LIMIT ?",
        vec![subject_key(subject).into(), after.into(), integer(TOLD_AT_ONCE as u64)],
    )?;
    rows.into_iter().map(|row| take(row).text()).collect()
}

/// Notes that every watcher of a subject is told of the change that `record` is about. A newer one is still to be told.
pub(crate) fn told(chain: &Chain, subject: &Subject, record: &str) -> Result<Vec<u8>, Failure> {
    chain.database.transaction(|tables| {
        let values = vec![subject_key(subject).into(), record.into()];
        tables.execute("DELETE FROM to_tell WHERE subject = ? AND record = ?", values)?;
        Ok(())
    })?;
    Ok(Vec::new())
}

/// The subjects of which not every watcher may have been told, as JSON, with the record of the change.
pub(crate) fn to_tell(tables: &SqlTables<'_>) -> Result<Vec<(String, String)>, Fault> {
    let rows = tables.execute("SELECT subject, record FROM to_tell", Vec::new())?;
    let pair = |row| {
        let mut columns = take(row);
        Ok((columns.text()?, columns.text()?))
    };
    rows.into_iter().map(pair).collect()
}

/// Tells every watcher of a subject that [`to_tell`] gave, page by page, also when one of them cannot be told.
pub(crate) async fn tell_all(chain: &Chain, subject: &str, record: &str) -> Result<(), Failure> {
    let subject: Subject = strict::read_back(subject.as_bytes()).map_err(|error| Failure::new(500, error))?;
    let (mut after, mut failure) = (String::new(), None);
    loop {
        let page = tell(chain, &subject, &after).await?;
        failure = failure.or(page.failed);
        after = page.after;
        if after.is_empty() {
            return failure
                .map_or_else(|| told(chain, &subject, record).map(|_| ()), |why| Err(Failure::new(503, why)));
        }
    }
}
