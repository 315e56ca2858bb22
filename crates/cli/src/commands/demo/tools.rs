//! The sample tool API behind the demonstration's gate. It trusts whoever reaches it and remembers what it did.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// What the API did, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deeds(Arc<Mutex<Vec<&'static str>>>);

/// The running API.
#[derive(Debug)]
pub(crate) struct Tools {
    /// Its URL.
    pub(crate) url: String,
    /// What it did.
    pub(crate) deeds: Deeds,
    server: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

impl Deeds {
    fn add(&self, deed: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deed);
    }

    /// How often it did something.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Tools {
    /// Starts the API on a free port of this machine.
    pub(crate) async fn start() -> Result<Self, Failure> {
        let taken = |error| Failure::unreachable(format_args!("no port for the sample API: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(taken)?;
        let url = format!("http://{}", listener.local_addr().map_err(taken)?);
        let deeds = Deeds::default();
        let api = router(deeds.clone());
        // It ends with the program; an error in between shows as an unreachable upstream.
        let server = tokio::spawn(async move { drop(axum::serve(listener, api).await) });
        Ok(Self { url, deeds, server })
    }
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(deeds: Deeds) -> Router {
    Router::new()
        .route("/search", get(search))
        .route("/pay", post(pay))
        .route("/email", post(email))
        .route("/records/{id}", delete(remove))
        .with_state(deeds)
}

async fn search(State(deeds): State<Deeds>, Query(search): Query<Search>) -> Json<Value> {
    deeds.add("search");
    Json(json!({ "query": search.q, "results": ["first result", "second result"] }))
}

async fn pay(State(deeds): State<Deeds>, Json(order): Json<Value>) -> Json<Value> {
    deeds.add("pay");
    Json(json!({ "paid": order.get("amount_usd"), "to": order.get("to") }))
}

async fn email(State(deeds): State<Deeds>, Json(mail): Json<Value>) -> Json<Value> {
    deeds.add("email");
    Json(json!({ "sent_to": mail.get("to"), "by": mail.get("domain") }))
}

async fn remove(State(deeds): State<Deeds>, Path(id): Path<String>) -> Json<Value> {
    deeds.add("delete");
    Json(json!({ "deleted": id }))
}
