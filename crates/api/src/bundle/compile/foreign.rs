//! Foreign agents of a policy.

use std::sync::Arc;

use passgate_core::gate::ListedAgent;
use passgate_passport::claims::is_identifier;
use passgate_passport::proof::web_bot_auth::{AgentUrl, Coverage, Directory, ForeignAgent};
use passgate_passport::scope::Scope;
use passgate_passport::sorted::SortedSet;
use passgate_passport::trust::Tier;
use serde::Serialize;

use super::{BundleError, error};
use crate::bundle::{CoverageDoc, ForeignAgentDoc, ForeignKeyDoc, ForeignTierDoc};

/// Most foreign agents of one policy.
const MAX_AGENTS: usize = 64;
/// Longest URL of a foreign agent: it stands where records and revocations name an issuer.
const MAX_URL_BYTES: usize = 256;

/// The agents, each with an id and a URL of its own.
pub(super) fn compile(docs: &[ForeignAgentDoc]) -> Result<Vec<Arc<ListedAgent>>, BundleError> {
    if docs.len() > MAX_AGENTS {
        return Err(error("foreign_agents", format_args!("at most {MAX_AGENTS}")));
    }
    let (mut ids, mut urls, mut agents) = (SortedSet::new(), SortedSet::new(), Vec::new());
    for (i, doc) in docs.iter().enumerate() {
        let at = |member: &str| format!("foreign_agents[{i}].{member}");
        let agent = doc.compile().map_err(|e| error(at(&e.at), e.why))?;
        if !ids.insert(agent.id.clone()) {
            return Err(error(at("id"), "another foreign agent has this id"));
        }
        if !urls.insert(agent.signer.url.clone()) {
            return Err(error(at("signature_agent"), "another foreign agent has this URL: list its keys together"));
        }
        agents.push(Arc::new(agent));
    }
    Ok(agents)
}

/// A JWK Set, as a directory has it.
#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [ForeignKeyDoc],
}

impl ForeignAgentDoc {
    fn compile(&self) -> Result<ListedAgent, BundleError> {
        if !is_identifier(&self.id) {
            return Err(error("id", "use 1 to 256 visible ASCII characters"));
        }
        let url = AgentUrl::parse(&self.signature_agent).map_err(|e| error("signature_agent", e))?;
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(error("signature_agent", format_args!("at most {MAX_URL_BYTES} bytes")));
        }
        let keys = serde_json::to_vec(&Keys { keys: &self.keys }).map_err(|e| error("keys", e))?;
        let directory = Directory::read(&keys).map_err(|e| error("keys", e))?;
        let scope = |(i, text): (usize, &String)| Scope::parse(text).map_err(|e| error(format!("permissions[{i}]"), e));
        Ok(ListedAgent {
            id: self.id.clone(),
            signer: ForeignAgent { url, directory },
            tier: if self.tier == ForeignTierDoc::L1 { Tier::L1 } else { Tier::L2 },
            permissions: self.permissions.iter().enumerate().map(scope).collect::<Result<_, _>>()?,
            coverage: match self.coverage {
                CoverageDoc::EveryRequest => Coverage::EveryRequest,
                CoverageDoc::UnlessSafe => Coverage::UnlessSafe,
            },
        })
    }
}
