//! What an approval lets through beyond the request that was shown.

use passgate_core::approval::{Need, ShownView};
use passgate_core::attest::AgentRecord;
use passgate_passport::action::Agent;
use passgate_passport::approval::{Grant, MAX_GRANT_USES};
use passgate_passport::scope::Scope;

use crate::exit::Failure;
use crate::limits::{self, GRANT_HEADING, GrantLimitArgs, listed};

/// A grant as flags.
#[derive(Debug, clap::Args)]
pub(super) struct GrantArgs {
    /// Approve more actions like this one too, within the bounds below
    #[arg(long, requires = "uses", help_heading = GRANT_HEADING)]
    grant: bool,
    /// How many requests it lets through in all
    #[arg(long, value_name = "N", requires = "grant", value_parser = clap::value_parser!(u64).range(1..=MAX_GRANT_USES), help_heading = GRANT_HEADING)]
    uses: Option<u64>,
    /// Which actions; may be given several times [default: the action of the request]
    #[arg(long = "permission", value_name = "SCOPE", requires = "grant", value_parser = Scope::parse, help_heading = GRANT_HEADING)]
    permissions: Vec<Scope>,
    /// Whose requests: the agent's or of one above it, which is then for all it hands on to [default: the agent]
    #[arg(long, value_name = "ID", requires = "grant", help_heading = GRANT_HEADING)]
    agent: Option<String>,
    #[command(flatten)]
    limits: GrantLimitArgs,
}

impl GrantArgs {
    /// The grant that the flags describe, for whoever asks for what `view` shows.
    pub(super) fn grant(&self, view: &ShownView) -> Result<Option<Grant>, Failure> {
        let Some(uses) = self.uses.filter(|_| self.grant) else { return Ok(None) };
        let AgentRecord { agent_id, delegated_by, issuer, key_thumbprint, .. } = &view.agent;
        let above = delegated_by.iter().map(|above| (above.agent_id.as_str(), above.key_thumbprint.as_str()));
        let chain: Vec<(&str, &str)> = above.chain([(agent_id.as_str(), key_thumbprint.as_str())]).collect();
        let place = match &self.agent {
            // Ids below the root may be anybody's: the one that asks is the last.
            None => Some(delegated_by.len()),
            Some(id) => chain.iter().position(|(known, _)| known == id),
        };
        let place = place.ok_or_else(|| {
            let (id, known) = (self.agent.as_deref().unwrap_or_default(), chain.iter().map(|(known, _)| *known));
            Failure::usage(format_args!("the agent {id} does not ask here"))
                .hint(format_args!("choose --agent among {}", listed(&known.collect::<Vec<_>>())))
        })?;
        // The issuer names the first. Those below are told by their keys, since whoever hands on chooses their ids. A session
        // is elevated for one key.
        let holder = chain.get(place).filter(|_| place > 0 || elevates(view));
        Ok(Some(Grant {
            agent: Agent { id: view.agent.root_agent_id().to_owned(), issuer: issuer.clone() },
            holder_jkt: holder.map(|(_, key)| (*key).to_owned()),
            constraints: self.limits.constraints()?,
            needs: view.needs.iter().map(Need::label).collect(),
            permissions: self.permissions(view)?,
            uses,
        }))
    }

    fn permissions(&self, view: &ShownView) -> Result<Vec<Scope>, Failure> {
        if !self.permissions.is_empty() {
            return Ok(self.permissions.clone());
        }
        let name = view.action.name.as_deref().and_then(|name| Scope::parse(name).ok());
        let name = name.ok_or_else(|| {
            Failure::usage("the action of the request has no name").hint("say which actions with --permission SCOPE")
        })?;
        Ok(vec![name])
    }
}

/// Whether a session wants to be elevated.
pub(super) fn elevates(view: &ShownView) -> bool {
    view.needs.iter().any(Need::is_elevation)
}

/// A grant in words.
pub(super) fn words(grant: &Grant) -> String {
    let scopes: Vec<&str> = grant.permissions.iter().map(Scope::as_str).collect();
    let of = |limit: limits::Limit| format!("{}: {}", limit.title, limit.words);
    let bounds: Vec<String> = limits::all(&grant.constraints).into_iter().map(of).collect();
    let bounds = if bounds.is_empty() { "no further bounds".to_owned() } else { bounds.join("; ") };
    let (scopes, times) = (listed(&scopes), super::times(grant.uses));
    let Agent { id, issuer } = &grant.agent;
    let whose = match &grant.holder_jkt {
        None => format!("{id} of {issuer}"),
        Some(key) => format!("the holder of the key {key}, below {id} of {issuer},"),
    };
    let needs = grant.needs.join(", ");
    format!("{scopes}, {times}, by {whose} and those it hands on to, where {needs} asks ({bounds})")
}
