//! Status lists: taken in when they are signed and newer, kept in Workers KV, published from there.
//!
//! `status-lists` holds the URIs as a JSON array, and `status-list/{key}` each token, the key being the base64url SHA-256
//! of its URI. Workers KV shows a new list everywhere within 60 seconds or more. How old a list may be stands in the
//! policy; whoever needs a revocation to bite at once revokes at the gate.

use std::cell::RefCell;
use std::sync::Arc;

use passgate_api::http::reply::{Body, Reply};
use passgate_core::attest::sha256_label;
use passgate_core::gate::Gate;
use passgate_passport::status::StatusList;
use passgate_passport::{b64, json};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use worker::Env;

use crate::calls::{self, Call, CallError};
use crate::control::{failed, not_done};
use crate::kv::Kv;
use crate::messages::NoteList;
use crate::policy::Policy;
use crate::{clock, settings};

const INDEX_KEY: &str = "status-lists";
const MEDIA_TYPE: &str = "application/statuslist+jwt";

thread_local! {
    /// The newest list of each URI, by which policy it was verified. A policy that names other keys verifies it again.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone)]
struct Known {
    policy_sha256: String,
    token: String,
    list: Arc<StatusList>,
}

fn list_key(uri: &str) -> String {
    b64::encode(&Sha256::digest(uri.as_bytes()))
}

fn value_key(key: &str) -> String {
    format!("status-list/{key}")
}

/// Takes the lists that this isolate has and those in Workers KV into `gate`, the newest of each URI. One that cannot be
/// read or does not verify is left out, and logged; the one before stays until it is too old.
pub(crate) async fn read_into(env: &Env, gate: &mut Gate) {
    if !gate.trust.issuers().any(|issuer| gate.status_lists.max_age_seconds(&issuer.id).is_some()) {
        return;
    }
    for known in KNOWN.take() {
        let verified = if known.policy_sha256 == gate.policy.sha256 {
            Ok(vec![known.list])
        } else {
            verified(gate, &known.token, Some(known.list.uri()))
        };
        match verified {
            Ok(lists) => take_in(gate, &known.token, &lists),
            Err(error) => worker::console_error!("a status list does not hold under the new policy: {error}"),
        }
    }
    let uris = match uris(env).await {
        Ok(uris) => uris,
        Err(error) => return worker::console_error!("the status lists in use are kept: {error}"),
    };
    for uri in &uris {
        if let Err(error) = read(env, gate, uri).await {
            worker::console_error!("the status list {uri} in use is kept: {error}");
        }
    }
}

/// Adds verified lists, unless newer ones of their URI are there.
fn take_in(gate: &mut Gate, token: &str, lists: &[Arc<StatusList>]) {
    for list in lists.iter().filter(|list| gate.status_lists.insert(Arc::clone(list))) {
        let (policy_sha256, token, list) = (gate.policy.sha256.clone(), token.to_owned(), Arc::clone(list));
        KNOWN.with_borrow_mut(|known| {
            known.retain(|other| (other.list.issuer(), other.list.uri()) != (list.issuer(), list.uri()));
            known.push(Known { policy_sha256, token, list });
        });
    }
}

async fn uris(env: &Env) -> Result<Vec<String>, String> {
    let text = text(&settings::kv(env).map_err(|error| error.to_string())?, INDEX_KEY).await?;
    text.map_or(Ok(Vec::new()), |text| json::read_back(text.as_bytes()).map_err(|error| error.to_string()))
}

async fn read(env: &Env, gate: &mut Gate, uri: &str) -> Result<(), String> {
    let kv = settings::kv(env).map_err(|error| error.to_string())?;
    let token = text(&kv, &value_key(&list_key(uri))).await?.ok_or("it is not in Workers KV")?;
    let policy = gate.policy.sha256.clone();
    let is_known = |known: &&Known| known.token == token && known.policy_sha256 == policy;
    let known = KNOWN.with_borrow(|lists| lists.iter().find(is_known).map(|known| Arc::clone(&known.list)));
    let lists = known.map_or_else(|| verified(gate, &token, Some(uri)), |list| Ok(vec![list]))?;
    take_in(gate, &token, &lists);
    Ok(())
}

async fn text(kv: &Kv, key: &str) -> Result<Option<String>, String> {
    kv.get(key).await.map_err(|error| format!("Workers KV cannot be read: {error}"))
}

/// The lists of a token: one for each issuer that signed it.
fn verified(gate: &Gate, token: &str, uri: Option<&str>) -> Result<Vec<Arc<StatusList>>, String> {
    gate.verify_status_list(uri, token, clock::now()).map_err(|error| error.to_string())
}

/// What is said of a list that was put.
#[derive(Serialize)]
struct Put {
    entries: u64,
    issued_at: i64,
    key: String,
    uri: String,
}

/// Takes in a newer list.
pub(crate) async fn put(env: &Env, policy: &Policy, body: &[u8]) -> Reply {
    let Ok(token) = std::str::from_utf8(body).map(str::trim) else { return Reply::bad_request("the list is no text") };
    let lists = match verified(&policy.gate, token, None) {
        Ok(lists) => lists,
        Err(error) => return Reply::bad_request(error),
    };
    let Some(list) = lists.first() else { return Reply::bad_request("no issuer signed it") };
    let note = NoteList {
        uri: list.uri().to_owned(),
        issued_at: list.issued_at(),
        sha256: sha256_label(&Sha256::digest(token.as_bytes()).into()),
    };
    let noted: Result<Vec<String>, CallError> =
        async { Call::new("/list").json(&note).ask(&calls::gate(env)?).await }.await;
    let uris = match noted {
        Ok(uris) => uris,
        Err(error) => return not_done(error),
    };
    let key = list_key(list.uri());
    match publish_token(env, &key, token, &uris).await {
        Ok(()) => Reply::json(
            200,
            &Put { entries: list.entries(), issued_at: list.issued_at(), uri: list.uri().to_owned(), key },
        ),
        Err(error) => failed(format_args!("the list is not in Workers KV yet, put it again: {error}")),
    }
}

async fn publish_token(env: &Env, key: &str, token: &str, uris: &[String]) -> Result<(), String> {
    let kv = settings::kv(env).map_err(|error| error.to_string())?;
    let index = serde_json::to_string(uris).map_err(|error| error.to_string())?;
    for (key, value) in [(value_key(key), token), (INDEX_KEY.to_owned(), index.as_str())] {
        kv.put(&key, value).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The list of this key, as it was signed.
pub(crate) async fn publish(env: &Env, key: &str) -> Reply {
    let kv = match settings::kv(env) {
        Ok(kv) => kv,
        Err(error) => return failed(error),
    };
    match text(&kv, &value_key(key)).await {
        Ok(Some(token)) => {
            let fields = vec![("content-type", MEDIA_TYPE.to_owned()), ("cache-control", "max-age=60".to_owned())];
            Reply { status: 200, fields, body: Body::Whole(token.into_bytes()) }
        }
        Ok(None) => Reply::not_found("no status list has this key"),
        Err(error) => failed(error),
    }
}
