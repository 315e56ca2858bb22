//! Which code decides here: the running program itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;

use passgate_core::attest::sha256_label;
use passgate_core::gate::EvaluatorRef;
use sha2::{Digest as _, Sha256};

/// The running program cannot be read, so its decisions could not say which code made them.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the running program cannot be read to name itself in attestations: {0}")]
pub struct EvaluatorError(String);

/// The native evaluator: this release, with the SHA-256 of the running program, read once.
///
/// # Errors
///
/// When the program's file cannot be read.
pub fn native() -> Result<EvaluatorRef, EvaluatorError> {
    static DIGEST: OnceLock<Result<String, EvaluatorError>> = OnceLock::new();
    let digest = DIGEST.get_or_init(|| digest().map_err(|error| EvaluatorError(error.to_string()))).clone()?;
    Ok(EvaluatorRef { digest, engine: "native".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() })
}

fn digest() -> io::Result<String> {
    let mut file = open()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
    }
    Ok(sha256_label(&hash.finalize().into()))
}

/// On Linux the program that runs, also when its file was replaced since.
fn open() -> io::Result<File> {
    if cfg!(target_os = "linux") {
        return File::open("/proc/self/exe");
    }
    File::open(std::env::current_exe()?)
}
