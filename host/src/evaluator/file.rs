//! An evaluator from a file: checked before it runs, and replaced while the gate serves when the file changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use passgate_core::gate::EvaluatorRef;
use passgate_passport::plugin_signature::GATE_WORLD;

use super::component::{Evaluator, MAX_COMPONENT_BYTES};
use super::{ComponentError, Engine};
use crate::config::EvaluatorDoc;
use crate::look_again::look_again;
use crate::metrics::Metrics;
use crate::signed_file::{Refused, SignedFile, Stamp, Trust};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The file that a configuration names.
pub(crate) struct EvaluatorFile {
    file: SignedFile,
    /// How it looked when it was read last.
    seen: Option<Stamp>,
    /// When what is in force was signed.
    signed_at: Option<i64>,
    /// When what was loaded last was signed.
    loaded_at: Option<i64>,
}

impl EvaluatorFile {
    /// The file of `doc`, if it names one; paths start at `base`.
    ///
    /// # Errors
    ///
    /// When nothing says which component may run.
    pub(crate) fn of(doc: &EvaluatorDoc, base: &Path) -> Result<Option<Self>, Refused> {
        let Some(name) = &doc.file else { return Ok(None) };
        let path = base.join(name);
        let keys = doc.trusted_keys_file.as_ref().map(|name| base.join(name));
        let trust = Trust::of(doc.sha256.as_deref(), &path, keys.as_deref())?;
        let file = SignedFile { path, trust, world: GATE_WORLD, limit_bytes: MAX_COMPONENT_BYTES as u64 };
        Ok(Some(Self { file, seen: None, signed_at: None, loaded_at: None }))
    }

    /// Reads, checks and compiles the file. Takes a second of all cores.
    ///
    /// # Errors
    ///
    /// When it may not run, or cannot.
    pub(crate) fn load(&mut self) -> Result<Evaluator, ComponentError> {
        // Looked at first: what changes while it is read is read again.
        self.seen = Some(self.file.stamp());
        let refused = |(problem, remedy): Refused| {
            ComponentError::File(format!("{}: {problem}; {remedy}", self.file.path.display()))
        };
        let code = self.file.read().map_err(refused)?;
        code.not_before(self.signed_at).map_err(refused)?;
        let version = code.signed.as_ref().map_or("unknown", |claims| claims.version.as_str());
        let evaluator = Evaluator::compile(&code.bytes)?;
        let reference = EvaluatorRef { version: version.to_owned(), ..evaluator.reference().clone() };
        self.loaded_at = code.signed_at();
        Ok(evaluator.named(reference))
    }

    /// What was loaded last is in force now.
    pub(crate) fn is_in_force(&mut self) {
        self.signed_at = self.loaded_at;
    }

    fn has_changed(&self) -> bool {
        self.seen.as_ref() != Some(&self.file.stamp())
    }
}

/// Looks at the file again and again until `stop` completes, and puts what it holds in force. What cannot be used leaves
/// the evaluator as it is; it is logged and counted.
pub(crate) async fn keep_loaded(
    file: EvaluatorFile,
    engine: Arc<Engine>,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let look = move |file: &mut EvaluatorFile| {
        if file.has_changed() {
            reload(file, &engine, &metrics);
        }
    };
    look_again("the evaluator's file is", LOOK_EVERY, file, look, stop).await;
}

fn reload(file: &mut EvaluatorFile, engine: &Engine, metrics: &Metrics) {
    let loaded = file.load().and_then(|evaluator| {
        let digest = evaluator.reference().digest.clone();
        engine.replace(evaluator).map(|()| digest)
    });
    match loaded {
        Ok(digest) => {
            file.is_in_force();
            tracing::info!(digest, "another evaluator is in force");
        }
        Err(error) => {
            metrics.evaluator_reload_failed();
            tracing::error!(%error, "the evaluator's file changed and cannot be used; the one before stays in force");
        }
    }
}
