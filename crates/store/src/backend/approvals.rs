//! Requests for approval as rows.

use passgate_core::approval::{ApprovalRequest, Asked, MAX_WAITING_PER_AGENT, RefusedAnswer, waiting_prefix};
use passgate_core::attest::Entry;
use passgate_core::state::RowCorrupt;

use super::{Fault, Tables, end_after, next_link, sealed_if, sweep_along};
use crate::ChangeRequest;

/// Rows of one agent's requests that are looked at: those that stand, and expired ones that are not swept yet. Sweeping goes
/// with asking, so there are few of the latter.
const MAX_SCANNED: usize = 4 * MAX_WAITING_PER_AGENT;

/// [`State::ask`](crate::State::ask)
///
/// # Errors
///
/// `Corrupt` when a request of the agent cannot be read, and the faults of `tables`.
pub fn ask(tables: &mut impl Tables, request: &ApprovalRequest) -> Result<Asked, Fault> {
    let now = request.asked_at;
    let same_key = request.same_key();
    let same = match tables.row(&same_key)? {
        Some(row) => approval_request(tables, placed(&same_key, &row, now)?.0)?,
        None => None,
    };
    if let Some(same) = same.filter(|same| same.stands(now)) {
        let same = same.asked_again();
        put(tables, &same)?;
        return Ok(Asked::Waiting(same));
    }
    let others = tables.rows_from(&waiting_prefix(&request.agent), "", MAX_SCANNED)?;
    let mut standing = 0;
    for (key, row) in &others {
        standing += usize::from(placed(key, row, now)?.1);
    }
    if standing >= MAX_WAITING_PER_AGENT || others.len() >= MAX_SCANNED {
        return Ok(Asked::TooMany);
    }
    put(tables, request)?;
    // A store may keep requests and admit nothing.
    sweep_along(tables, now, 1)?;
    Ok(Asked::Waiting(request.clone()))
}

/// What the row `key` says of a request: its id, and whether it may stand.
fn placed<'r>(key: &str, row: &'r [u8], now: i64) -> Result<(&'r str, bool), Fault> {
    Ok(ApprovalRequest::placed(row, now).ok_or_else(|| RowCorrupt { key: key.to_owned() })?)
}

/// [`State::approval_request`](crate::State::approval_request)
///
/// # Errors
///
/// `Corrupt` when it cannot be read, and the faults of `tables`.
pub fn approval_request(tables: &impl Tables, id: &str) -> Result<Option<ApprovalRequest>, Fault> {
    let key = ApprovalRequest::row_key(id);
    let row = tables.row(&key)?;
    Ok(row.map(|row| ApprovalRequest::read(&key, &row)).transpose()?)
}

/// [`State::approval_requests`](crate::State::approval_requests)
///
/// # Errors
///
/// `Corrupt` when one of them cannot be read, and the faults of `tables`.
pub fn approval_requests(tables: &impl Tables, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, Fault> {
    let after = ApprovalRequest::row_key(after);
    Ok(requests_from(tables.rows_from(ApprovalRequest::ROW_PREFIX, &after, limit)?)?)
}

/// The requests in these rows.
///
/// # Errors
///
/// [`RowCorrupt`] when one of them cannot be read.
pub fn requests_from(rows: Vec<(String, Vec<u8>)>) -> Result<Vec<ApprovalRequest>, RowCorrupt> {
    rows.into_iter().map(|(key, row)| ApprovalRequest::read(&key, &row)).collect()
}

/// [`State::change_request`](crate::State::change_request)
///
/// # Errors
///
/// `Answer` when there is no such request or the change is not to be made, `ChainState` when the chain is not started or the
/// record is not its next one, `SealFailed` when the change panics, and the faults of `tables`.
pub fn change_request(
    tables: &mut impl Tables,
    uid: &str,
    id: &str,
    change: &mut ChangeRequest,
) -> Result<(ApprovalRequest, Option<Entry>), Fault> {
    let request = approval_request(tables, id)?.ok_or(RefusedAnswer::NotFound)?;
    let before = (request.same_key(), request.expires_at);
    let (number, link) = next_link(tables, uid)?;
    let mut changed = Err(RefusedAnswer::NotFound);
    let entry = sealed_if(tables, uid, &link, || {
        let (answered, entry) = match change(request.clone(), &link) {
            Ok(done) => done,
            Err(refused) => {
                changed = Err(refused);
                return None;
            }
        };
        changed = Ok(answered.request);
        entry
    })?;
    let changed = changed?;
    let [row, same] = changed.writes();
    tables.put_row(row)?;
    if changed.is_open() {
        tables.put_row(same)?;
    } else if tables.row(&before.0)?.is_some_and(|row| ApprovalRequest::placed(&row, 0).is_some_and(|(of, _)| of == id))
    {
        // Whoever asks for the same from now on asks anew.
        tables.delete_row(&before.0, Some(before.1))?;
    }
    if let Some(entry) = &entry {
        tables.put_record(entry, end_after(number, entry))?;
    }
    Ok((changed, entry))
}

fn put(tables: &mut impl Tables, request: &ApprovalRequest) -> Result<(), Fault> {
    request.writes().into_iter().try_for_each(|write| tables.put_row(write))
}
