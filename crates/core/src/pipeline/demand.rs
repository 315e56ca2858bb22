//! Step 4: the state a decision consumes.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::delegation::Link;
use passgate_passport::proof::PROOF_WINDOW_SECONDS;
use passgate_passport::scope::ActionName;

use super::authenticate::Authenticated;
use super::credential::Credential;
use super::passes::JudgedValues;
use crate::gate::{Gate, RateLimits, SpendCaps};
use crate::money::MicroUsd;
use crate::state::{
    Conduct, Demand, NonceClaim, PER_AGENT, PER_PASSPORT, RateClaim, RateWindow, SpendClaim, SpendMode, agent_key,
    digest_key,
};
use crate::time::UnixMillis;

/// What a task spent is remembered for so long after the last time: 400 days.
const TASK_SECONDS: i64 = 400 * 86_400;

/// What the decision about an authenticated request asks of the state, as if it were refused: [`settle_demand`] says whether
/// it is.
///
/// [`settle_demand`]: super::judge::Judged::settle_demand
///
/// The gate's limits of an agent are those of the agent that the issuer vouches for, together with all it hands on to:
/// else it could make itself a new budget with every sub-agent. The limits in a passport count what its holder and all
/// below it do, so each passport of a chain has counters of its own.
pub(super) fn demand(
    gate: &Gate,
    authenticated: &Authenticated<'_>,
    judged: &JudgedValues<'_>,
    of_rules: &[(&str, RateLimits)],
) -> Demand {
    let action = judged.action.map(ActionName::as_str);
    let (credential, proof) = (&authenticated.credential, &authenticated.proof);
    let agent = agent_key(credential.issuer(), credential.root_agent_id());
    let counted = Counted { gate, credential, agent, now: authenticated.now };
    Demand {
        now: authenticated.now,
        nonce: NonceClaim {
            key: proof.key_thumbprint().to_string(),
            nonce: proof.nonce().to_string(),
            // The whole window, not the proof's own earlier expiry: the replay fence reasons about creation times.
            remember_until: proof.created().saturating_add(PROOF_WINDOW_SECONDS),
        },
        subjects: credential.subjects(proof.key_thumbprint()),
        conduct: Conduct::default(),
        is_excused: false,
        session: None,
        risk: None,
        pass: None,
        approvals: Vec::new(),
        rates: counted.rates(action, of_rules),
        idempotency: None,
        spends: judged.amount.map(|amount| counted.spends(action, amount)).unwrap_or_default(),
    }
}

/// Whose counters and budgets a request concerns.
struct Counted<'a> {
    gate: &'a Gate,
    credential: &'a Credential,
    /// The agent that the issuer vouches for.
    agent: String,
    now: UnixMillis,
}

impl Counted<'_> {
    fn rates(&self, action: Option<&str>, of_rules: &[(&str, RateLimits)]) -> Vec<RateClaim> {
        let rates = &self.gate.guardrails.rates;
        let mut claims = Vec::new();
        let mut claim = |per: &str, limits: &RateLimits, counter: &dyn Fn() -> String| {
            claims.extend(limits.windows().map(|(window, limit)| self.rate(per, &counter(), limit, window)));
        };
        claim(PER_AGENT, &rates.agent, &|| self.agent.clone());
        claim("gate", &rates.gate, &String::new);
        claim("tenant", &rates.tenant, &|| agent_key(self.credential.issuer(), ""));
        claim("action", &rates.action, &|| [&self.agent, ":", action.unwrap_or_default()].concat());
        for (name, limits) in of_rules {
            claim("rule", limits, &|| [&self.agent, ":rule:", name].concat());
        }
        for (link, account) in self.accounts() {
            let caps = link.constraints.rate;
            let caps = [
                (RateWindow::Minute, caps.requests_per_minute),
                (RateWindow::Hour, caps.requests_per_hour),
                (RateWindow::Day, caps.requests_per_day),
            ];
            // No counter has a limit of none: the judgement refuses there. More than it can count is no limit.
            let limits = caps
                .into_iter()
                .filter_map(|(window, cap)| Some((window, u32::try_from(cap?).ok().filter(|limit| *limit > 0)?)));
            claims.extend(limits.map(|(window, limit)| self.rate(PER_PASSPORT, &account, limit, window)));
        }
        claims
    }

    fn rate(&self, per: &str, counter: &str, limit: u32, window: RateWindow) -> RateClaim {
        RateClaim { per: per.to_string(), counter: [&self.gate.id, ":", counter].concat(), limit, window }
    }

    fn spends(&self, action: Option<&str>, amount: MicroUsd) -> Vec<SpendClaim> {
        let mode = SpendMode::Probe;
        let of = &self.gate.guardrails.spend;
        let mut claims = Vec::new();
        let mut claim = |per: &str, account: &str, caps: &SpendCaps, until: Option<i64>| {
            claims.extend(caps.periods().map(|(period, cap)| {
                let account = [&self.gate.id, ":", account].concat();
                SpendClaim { per: per.to_string(), account, period, cap, amount, mode, until }
            }));
        };
        claim(PER_AGENT, &self.agent, &of.agent, None);
        claim("actor", &[&self.agent, ":actor:", &agent_key(self.credential.agent_id(), "")].concat(), &of.actor, None);
        claim("gate", "gate", &of.gate, None);
        claim("tenant", &agent_key(self.credential.issuer(), ""), &of.tenant, None);
        claim("action", &[&self.agent, ":action:", action.unwrap_or_default()].concat(), &of.action, None);
        if let Some(task) = self.credential.issued_task() {
            let account = ["task:", &agent_key(self.credential.issuer(), task)].concat();
            claim("task", &account, &of.task, Some(self.now.seconds().saturating_add(TASK_SECONDS)));
        }
        for (link, account) in self.accounts() {
            let own = link.constraints.spend;
            let [daily, monthly, total] = [own.daily_micro_usd, own.monthly_micro_usd, own.total_micro_usd];
            let [daily, monthly, total] = [daily, monthly, total].map(|cap| cap.map(MicroUsd));
            claim(PER_PASSPORT, &account, &SpendCaps { daily, monthly, total: None }, None);
            // That of a root begins anew with a new passport, unlike its days and months.
            let whole = [&account, ":", &link.claims.jti].concat();
            let total = SpendCaps { total, ..SpendCaps::default() };
            claim(PER_PASSPORT, &whole, &total, Some(link.claims.exp));
        }
        claims
    }

    /// Each passport of the chain with the name that its limits are counted under. The root's is its agent's, so that a
    /// renewed passport goes on where the one before was. A delegated passport's is its own hash, which covers all above
    /// it: an id is chosen by who delegates, who could choose that of another's.
    fn accounts(&self) -> impl Iterator<Item = (&Link, String)> {
        let below = |link: &Link| match link.parent() {
            None => [&self.agent, ":passport"].concat(),
            Some(_) => [&self.agent, ":", &digest_key(&link.token_sha256)].concat(),
        };
        self.credential.links().map(move |link| (link, below(link)))
    }
}
