//! The store a gateway runs on.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use passgate_store::{Ledger, MemoryStore, RedbStore, State, StoreError};

use crate::config::Paths;
use crate::env::Environment;
use crate::plugins::PluginKeys;

/// State and ledger in one.
pub trait Store: State + Ledger + 'static {}

impl<S: State + Ledger + 'static> Store for S {}

/// The keys that operators wrote for plugins.
pub(crate) struct StoredKeys(pub(crate) Arc<dyn Store>);

#[async_trait]
impl PluginKeys for StoredKeys {
    async fn get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.0.plugin_key(plugin, key).await.map_err(|error| error.to_string())
    }
}

/// What to do about an error of the store, to stand behind it; empty when there is nothing to say.
pub(crate) fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::InUse(_) => {
            "; if a gateway runs on it, stop it, or use its own configuration: commands then work through its control socket"
        }
        _ => "",
    }
}

/// Opens the configured store, creating its folder (mode 0700) and its file (mode 0600) when they are not there.
///
/// # Errors
///
/// As [`RedbStore::open`].
pub async fn open(paths: &Paths, env: &dyn Environment) -> Result<Arc<dyn Store>, StoreError> {
    let Some(path) = paths.store.clone() else {
        return Ok(Arc::new(MemoryStore::new(env.now().seconds())));
    };
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    // After a crash the whole file is read once.
    let opened = tokio::task::spawn_blocking(move || {
        crate::files::create_private_dir(&folder).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        RedbStore::open(path)
    });
    let store = opened.await.map_err(|error| StoreError::Unavailable(error.to_string()))??;
    Ok(Arc::new(store))
}
