//! Reloads: what changes, what does not, and what is said of it.

use std::fs;

use super::settings::{PluginConfig, Trust};
use super::*;

#[expect(dead_code, reason = "the other tests that share these guests use all of them")]
#[path = "../../tests/plugins/guest.rs"]
mod guest;

use guest::Guest;

struct NoKeys;

#[async_trait]
impl PluginKeys for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

struct Folder {
    folder: tempfile::TempDir,
    host: PluginHost,
    metrics: Metrics,
}

impl Folder {
    /// A host of one plugin, which may be replaced by any other.
    async fn with(guest: &Guest) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin.wasm");
        fs::write(&file, guest.component()).unwrap();
        let settings = Settings {
            name: "plugin".to_owned(),
            file,
            trust: Trust::Trial,
            actions: None,
            config: PluginConfig::new(&serde_json::Value::Null).unwrap(),
            grants: Vec::new(),
            limits: PluginLimitsDoc { deadline_ms: 10_000, ..PluginLimitsDoc::default() },
        };
        let metrics = Metrics::default();
        let host = PluginHost::start(vec![settings], Arc::new(NoKeys), metrics.clone()).await.unwrap();
        Self { folder, host, metrics }
    }

    /// Puts another file in the place of the plugin's, as installers do.
    fn replace(&self, bytes: &[u8]) {
        let new = self.folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, self.folder.path().join("plugin.wasm")).unwrap();
    }

    async fn answer(&self) -> (Option<String>, String) {
        let [record] = self.host.evaluate(question(), false).await.try_into().unwrap();
        assert_eq!(record.outcome, PluginOutcome::Answered);
        (record.reason, record.digest)
    }

    fn refused(&self) -> Option<String> {
        self.host.status()[0].refused_reload.clone()
    }

    fn failures(&self) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(FAILURES)).unwrap_or(" 0");
        line.trim().parse().unwrap()
    }
}

const FAILURES: &str = "passgate_plugin_reload_failures_total{plugin=\"plugin\"}";

fn question() -> Question {
    let empty = String::new;
    let request = Request {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        authority: "gate.example".to_owned(),
        path: "/".to_owned(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
    };
    let agent = Agent {
        id: empty(),
        issuer: empty(),
        tier: empty(),
        passport_id: empty(),
        key_thumbprint: empty(),
        permissions: Vec::new(),
        delegated_by: Vec::new(),
        labels: Vec::new(),
        purpose: None,
    };
    let (gate_id, action) = ("gate_1".to_owned(), "a:b".to_owned());
    Question {
        request,
        facts: Facts { now_ms: 0, gate_id, action, amount_micro_usd: None, target_domain: None, agent },
    }
}

#[tokio::test]
async fn a_good_reload_swaps_the_plugin() {
    let folder = Folder::with(&Guest::deny("first")).await;
    let (reason, first) = folder.answer().await;
    assert_eq!(reason.as_deref(), Some("first"));
    folder.host.reload().await;
    assert_eq!(folder.answer().await.1, first, "nothing changed");

    folder.replace(&Guest::deny("second").component());
    folder.host.reload().await;
    let (reason, second) = folder.answer().await;
    assert_eq!(reason.as_deref(), Some("second"));
    assert_ne!(first, second);
    assert_eq!((folder.host.status()[0].digest.clone(), folder.refused()), (second, None));
}

#[tokio::test]
async fn a_bad_reload_keeps_the_last_good_one_and_is_told() {
    let folder = Folder::with(&Guest::deny("first")).await;
    let before = folder.answer().await;
    let newer = Guest { world: "0.2.0", ..Guest::good() };
    let silent = Guest { describe: "(unreachable)".to_owned(), ..Guest::good() };
    let imports = Guest::good().with_imports(&["keys"]);
    let bad: [(Vec<u8>, &str); 5] = [
        (b"half a file".to_vec(), "no WebAssembly component"),
        (Guest::good().module(), "core module"),
        (newer.component(), "0.2.0"),
        (silent.component(), "who it is"),
        (imports.component(), "not granted"),
    ];
    for (failures, (bytes, problem)) in (1..).zip(bad) {
        folder.replace(&bytes);
        folder.host.reload().await;
        folder.host.reload().await;
        assert_eq!(folder.answer().await, before);
        assert!(folder.refused().unwrap().contains(problem), "{:?}", folder.refused());
        assert_eq!(folder.failures(), failures, "tried once, and counted once");
    }
    fs::remove_file(folder.folder.path().join("plugin.wasm")).unwrap();
    folder.host.reload().await;
    assert_eq!(folder.answer().await, before);
    assert!(folder.refused().unwrap().contains("cannot be read"));

    folder.replace(&Guest::deny("first").component());
    folder.host.reload().await;
    assert_eq!((folder.answer().await, folder.refused()), (before, None), "the same as before is no reload");
    folder.replace(&Guest::deny("second").component());
    folder.host.reload().await;
    assert_eq!(folder.answer().await.0.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_snapshot_outlives_a_reload() {
    let folder = Folder::with(&Guest::deny("first")).await;
    let taken = folder.host.in_use();
    folder.replace(&Guest::deny("second").component());
    folder.host.reload().await;
    assert_eq!(taken[0].evaluate(&question()).await.reason.as_deref(), Some("first"));
    assert_eq!(folder.answer().await.0.as_deref(), Some("second"));
}

#[tokio::test]
async fn files_are_watched_until_the_gate_stops() {
    let folder = Folder::with(&Guest::deny("first")).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = tokio::spawn(folder.host.clone().keep_loaded(async {
        let _ = stopped.await;
    }));
    folder.replace(&Guest::deny("second").component());
    let swapped = async {
        while folder.answer().await.0.as_deref() != Some("second") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), swapped).await.expect("nothing happened");
    stop.send(()).unwrap();
    watching.await.unwrap();
}
