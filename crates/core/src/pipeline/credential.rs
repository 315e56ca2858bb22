//! What the authority of a request rests on: passports, or a foreign agent that the gate's policy lists.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use passgate_passport::claims::Claims;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{Link, VerifiedChain};
use passgate_passport::did_key;
use passgate_passport::scope::{ActionName, Scope};
use passgate_passport::trust::Tier;

use crate::attest::{AgentRecord, DelegatorRecord, sha256_label};
use crate::gate::ListedAgent;
use crate::state::Subject;

/// An agent that proved who it is, and what it may do.
#[derive(Debug)]
pub(super) enum Credential {
    /// By a passport, or a chain of them.
    Passports(Box<VerifiedChain>),
    /// By a signature of its own: the policy says what it may do.
    Listed(Arc<ListedAgent>),
}

impl Credential {
    pub(super) fn tier(&self) -> Tier {
        match self {
            Self::Passports(chain) => chain.tier(),
            Self::Listed(agent) => agent.tier,
        }
    }

    pub(super) fn permissions(&self) -> &[Scope] {
        match self {
            Self::Passports(chain) => chain.permissions(),
            Self::Listed(agent) => &agent.permissions,
        }
    }

    pub(super) fn permits(&self, action: &ActionName) -> bool {
        self.permissions().iter().any(|scope| scope.covers(action))
    }

    /// What the passports limit in all; nothing for an agent without any.
    pub(super) fn constraints(&self) -> Cow<'_, Constraints> {
        self.passports().map_or_else(Cow::default, |chain| Cow::Borrowed(chain.constraints()))
    }

    /// Who vouches for it: the issuer of the passport that all rests on, or the agent's own URL.
    pub(super) fn issuer(&self) -> &str {
        match self {
            Self::Passports(chain) => chain.root_issuer(),
            Self::Listed(agent) => agent.signer.url.as_str(),
        }
    }

    /// The agent whose limits count.
    pub(super) fn root_agent_id(&self) -> &str {
        match self {
            Self::Passports(chain) => &chain.root().claims.sub,
            Self::Listed(agent) => &agent.id,
        }
    }

    /// Whether nobody but the agent itself vouches for it.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer().starts_with(did_key::SCHEME)
    }

    /// As [`Credential::root_agent_id`], of an agent whose issuer gives it the name. Who issues for itself has as many
    /// names as it likes, so none counts.
    pub(super) fn vouched_agent_id(&self) -> &str {
        if self.is_self_issued() { "" } else { self.root_agent_id() }
    }

    /// What the agent whose limits count may ask for, as its issuer says.
    pub(super) fn root_permissions(&self) -> &[Scope] {
        match self {
            Self::Passports(chain) => &chain.root().claims.permissions,
            Self::Listed(agent) => &agent.permissions,
        }
    }

    /// The agent that acts.
    pub(super) fn agent_id(&self) -> &str {
        match self {
            Self::Passports(chain) => &chain.leaf().claims.sub,
            Self::Listed(agent) => &agent.id,
        }
    }

    /// The task that the issuer names. What an agent that hands on calls a task is its own word, of which it has many.
    pub(super) fn issued_task(&self) -> Option<&str> {
        self.passports()?.root().constraints.task.as_deref()
    }

    /// The claims of the passport that its issuer signed, which name its status list.
    pub(super) fn issued_claims(&self) -> Option<&Claims> {
        self.passports().map(|chain| &chain.root().claims)
    }

    pub(super) fn passports(&self) -> Option<&VerifiedChain> {
        match self {
            Self::Passports(chain) => Some(chain),
            Self::Listed(_) => None,
        }
    }

    /// The passports, from the root on.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.passports().into_iter().flat_map(VerifiedChain::links)
    }

    /// Everything whose revocation refuses the request; `key` is the one that signed it.
    pub(super) fn subjects(&self, key: &str) -> Vec<Subject> {
        match self {
            Self::Passports(chain) => subjects(chain.links()),
            Self::Listed(agent) => {
                let issuer = self.issuer().to_string();
                let agent_id = agent.id.clone();
                let of_agent = Subject::Agent { issuer: issuer.clone(), agent_id };
                alloc::vec![of_agent, Subject::Key(key.to_string()), Subject::Issuer(issuer)]
            }
        }
    }

    /// The agent in records; `key` is the one that signed the request.
    pub(super) fn record(&self, key: &str) -> AgentRecord {
        match self {
            Self::Passports(chain) => of_chain(chain),
            Self::Listed(agent) => AgentRecord {
                agent_id: agent.id.clone(),
                delegated_by: Vec::new(),
                issuer: self.issuer().to_string(),
                key_thumbprint: key.to_string(),
                labels: Vec::new(),
                passport_id: String::new(),
                passport_sha256: String::new(),
                purpose: None,
                task: None,
                trust_tier: agent.tier.as_str().to_string(),
            },
        }
    }
}

/// Everything whose revocation ends the chain of these passports, the root's first. An agent below the root stands under
/// the root's issuer, as in records.
pub fn subjects<'a>(links: impl IntoIterator<Item = &'a Link>) -> Vec<Subject> {
    let links: Vec<&Link> = links.into_iter().collect();
    let Some(root) = links.first() else { return Vec::new() };
    let issuer = &root.claims.iss;
    let of_link = |link: &Link| {
        let claims = &link.claims;
        [
            Subject::Passport(claims.jti.clone()),
            Subject::Agent { issuer: issuer.clone(), agent_id: claims.sub.clone() },
            Subject::Key(claims.cnf_key.thumbprint().to_string()),
        ]
    };
    let subjects = links.iter().rev().copied().flat_map(of_link);
    subjects.chain([Subject::Issuer(issuer.clone())]).collect()
}

fn of_chain(chain: &VerifiedChain) -> AgentRecord {
    let claims = &chain.leaf().claims;
    let delegator = |link: &Link| DelegatorRecord {
        agent_id: link.claims.sub.clone(),
        key_thumbprint: link.claims.cnf_key.thumbprint().to_string(),
        passport_id: link.claims.jti.clone(),
    };
    let constraints = chain.constraints();
    AgentRecord {
        agent_id: claims.sub.clone(),
        delegated_by: chain.links().take(chain.delegations()).map(delegator).collect(),
        issuer: chain.root_issuer().to_string(),
        key_thumbprint: claims.cnf_key.thumbprint().to_string(),
        labels: constraints.labels.iter().flatten().cloned().collect(),
        passport_id: claims.jti.clone(),
        passport_sha256: sha256_label(&chain.token_sha256()),
        purpose: constraints.purpose.clone(),
        task: constraints.task.clone(),
        trust_tier: chain.tier().as_str().to_string(),
    }
}
