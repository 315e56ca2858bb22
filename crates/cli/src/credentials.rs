//! An agent's credentials file: its passport, or the chain of passports that ends with its own, and, unless it keeps the
//! key elsewhere, its private key.

use std::path::{Path, PathBuf};

use passgate_passport::key::SecretKey;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::SCHEMA_VERSION;
use crate::span;

/// Names the credentials file when the flag does not.
pub(crate) const CREDENTIALS_VARIABLE: &str = "PASSGATE_CREDENTIALS";
/// The folder in which issued credentials are kept.
pub(crate) const AGENTS_FOLDER: &str = "agents";

/// What signing a request takes.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The passport, a compact JWS, or the chain.
    pub(crate) passport: String,
    /// The key the passport is bound to.
    pub(crate) key: SecretKey,
}

/// What a credentials file holds.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The passport, a compact JWS, or the chain.
    pub(crate) passport: String,
    /// The key the passport is bound to, unless it is kept elsewhere.
    pub(crate) private_key: Option<SecretKey>,
}

/// The members of the file that are read.
#[derive(Deserialize)]
struct Document<'a> {
    schema_version: u64,
    passport: String,
    #[serde(borrow)]
    private_key: Option<&'a RawValue>,
}

/// What a new credentials file says.
#[derive(Debug)]
pub(crate) struct NewCredentials<'a> {
    /// The agent's id.
    pub(crate) agent_id: &'a str,
    /// The passport's id.
    pub(crate) passport_id: &'a str,
    /// The passport or the chain.
    pub(crate) passport: &'a str,
    /// The agent's key, unless the agent has it already.
    pub(crate) private_key: Option<&'a SecretKey>,
    /// The passport's end, Unix seconds.
    pub(crate) expires_at: i64,
}

impl NewCredentials<'_> {
    /// The file's content.
    pub(crate) fn to_json(&self) -> Zeroizing<String> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        // One allocation of the full size: growing would leave copies of the secret behind.
        let mut json = Zeroizing::new(String::with_capacity(1024 + 2 * self.agent_id.len() + self.passport.len()));
        json.push_str(&format!(
            "{{\n  \"schema_version\": {SCHEMA_VERSION},\n  \"agent_id\": {},\n",
            quoted(self.agent_id)
        ));
        json.push_str(&format!("  \"passport_id\": {},\n", quoted(self.passport_id)));
        json.push_str(&format!("  \"expires_at\": {},\n", quoted(&span::date(self.expires_at))));
        if let Some(key) = self.private_key {
            json.push_str("  \"private_key\": ");
            json.push_str(&key.to_private_jwk());
            json.push_str(",\n");
        }
        json.push_str("  \"passport\": ");
        json.push_str(&quoted(self.passport));
        json.push_str("\n}\n");
        json
    }
}

/// Reads the credentials to sign with.
///
/// The file is that of [`locate`]. `key_file` holds the private key of an agent whose credentials have none.
pub(crate) fn load(file: Option<&Path>, key_file: Option<&Path>, base: &Path) -> Result<Credentials, Failure> {
    let path = locate(file, base)?;
    let Stored { passport, private_key } = read(&path)?;
    let key = match key_file {
        Some(file) => files::read_private_key(file)?,
        None => {
            private_key.ok_or_else(|| malformed(&path, &"it holds no private key; name the key's file with `--key`"))?
        }
    };
    Ok(Credentials { passport, key })
}

/// The file given, else that of [`CREDENTIALS_VARIABLE`], else the only one in `agents/`.
pub(crate) fn locate(file: Option<&Path>, base: &Path) -> Result<PathBuf, Failure> {
    match file {
        Some(path) => Ok(path.to_owned()),
        None => discover(base),
    }
}

/// Reads a credentials file.
pub(crate) fn read(path: &Path) -> Result<Stored, Failure> {
    let text = files::read_secret(path)?;
    let document: Document<'_> =
        serde_json::from_slice(&text).map_err(|_| malformed(path, &"it has no `passport` text"))?;
    if document.schema_version != SCHEMA_VERSION {
        return Err(malformed(path, &format_args!("`schema_version` is not {SCHEMA_VERSION}")));
    }
    let key = document.private_key.map(|jwk| SecretKey::from_private_jwk(jwk.get().as_bytes()));
    let private_key = key.transpose().map_err(|error| malformed(path, &error))?;
    Ok(Stored { passport: document.passport, private_key })
}

fn malformed(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    let message = format!("{} is no credentials file: {why}", path.display());
    Failure::new(Exit::Invalid, "credentials_malformed", message).hint("make one with `passgate passport issue`")
}

/// The file named by the environment, or the only one there is.
fn discover(base: &Path) -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os(CREDENTIALS_VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let folder = base.join(AGENTS_FOLDER);
    let mut found = files::list_json(&folder)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Failure::usage(format_args!("no credentials in {}", folder.display()))
            .hint("issue a passport with `passgate passport issue`, or name a file with `--credentials`")),
        (Some(_), false) => Err(Failure::usage(format_args!("several credentials in {}", folder.display()))
            .hint(format_args!("choose one with `--credentials FILE` or {CREDENTIALS_VARIABLE}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_reads_back() {
        let key = SecretKey::from_seed([7; 32]);
        let new = NewCredentials {
            agent_id: "a\"\u{202e}",
            passport_id: "pass_1",
            passport: "a.b.c",
            private_key: Some(&key),
            expires_at: 0,
        };
        let json = new.to_json();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["agent_id"], "a\"\u{202e}");
        assert_eq!(value["expires_at"], "1970-01-01T00:00:00Z");
        let document: Document<'_> = serde_json::from_str(&json).unwrap();
        let read = SecretKey::from_private_jwk(document.private_key.unwrap().get().as_bytes()).unwrap();
        assert_eq!(read.public(), key.public());
        let without = NewCredentials { private_key: None, ..new }.to_json();
        assert!(!without.contains("private_key"));
    }
}
