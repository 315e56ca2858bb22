//! What `revoke`, `suspend` and `reinstate` are about.

use passgate_core::state::Subject;
use passgate_host::control::Revocation;
use passgate_passport::id::{self, PASSPORT_PREFIX};

use super::unchecked;
use crate::access::GateArgs;
use crate::exit::Failure;
use crate::input;

/// Arguments of `revoke`, `suspend` and `reinstate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) what: SubjectArgs,
    #[command(flatten)]
    pub(crate) gate: GateArgs,
}

/// The arguments that name it: exactly one of them.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// A passport's id, a passport or a chain (its last passport), a file with one or with credentials, or - for stdin
    passport: Option<String>,
    /// Every passport of an agent: its issuer's id and its own
    #[arg(long, num_args = 2, value_names = ["ISSUER", "AGENT"])]
    agent: Option<Vec<String>>,
    /// Every passport bound to the key with this RFC 7638 thumbprint
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    key: Option<String>,
    /// Every passport of an issuer
    #[arg(long, value_name = "ISSUER")]
    issuer_id: Option<String>,
}

impl SubjectArgs {
    /// What is named.
    pub(crate) fn named(&self) -> Result<Revocation, Failure> {
        Revocation::try_from(self.subject()?).map_err(Failure::usage)
    }

    fn subject(&self) -> Result<Subject, Failure> {
        if let Some([issuer, agent_id]) = self.agent.as_deref() {
            return Ok(Subject::Agent { issuer: issuer.clone(), agent_id: agent_id.clone() });
        }
        if let Some(thumbprint) = &self.key {
            return Ok(Subject::Key(thumbprint.clone()));
        }
        if let Some(issuer) = &self.issuer_id {
            return Ok(Subject::Issuer(issuer.clone()));
        }
        let named = self.passport.as_deref().ok_or_else(|| Failure::usage("name a passport, agent, key or issuer"))?;
        if id::is_id(named, PASSPORT_PREFIX) {
            return Ok(Subject::Passport(named.to_owned()));
        }
        // What stands below the last passport of a chain is denied with it. It need not be valid: nothing is granted by it.
        Ok(Subject::Passport(unchecked(&input::passport(named)?)?.leaf.claims.jti))
    }
}
