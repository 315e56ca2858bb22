//! Whose spending counts for whom.

use super::chains::{chain, chain_of, open_gate, pay, reason};
use super::*;
use crate::attest::EvidenceValue;
use crate::gate::SpendCaps;

const PAYMENTS: &[&str] = &["payments:*"];
const TASK: &str = r#"{"task":"T-1"}"#;

fn usd(dollars: u64) -> Option<MicroUsd> {
    Some(MicroUsd(dollars * 1_000_000))
}

fn daily(dollars: u64) -> SpendCaps {
    SpendCaps { daily: usd(dollars), ..SpendCaps::default() }
}

#[test]
fn an_actor_spends_for_itself_and_for_the_agent_that_the_issuer_knows() {
    let mut gate = open_gate();
    gate.guardrails.spend.agent = daily(15);
    gate.guardrails.spend.actor = daily(10);
    let (root, helper) = (chain(PAYMENTS, &[""]), chain(PAYMENTS, &["", ""]));
    let mut rows = LoadedRows::new();
    assert_eq!(reason(&mut rows, &gate, &pay("10", &root, 1)), None);
    assert_eq!(
        reason(&mut rows, &gate, &pay("1", &root, 2)),
        Some(Reason::SpendDailyExceeded),
        "the actor's are spent"
    );
    assert_eq!(reason(&mut rows, &gate, &pay("5", &helper, 3)), None, "its helper has its own");
    assert_eq!(
        reason(&mut rows, &gate, &pay("1", &helper, 4)),
        Some(Reason::SpendDailyExceeded),
        "all are the agent's"
    );
}

#[test]
fn gates_tenants_and_actions_have_budgets() {
    let root = chain(PAYMENTS, &[""]);
    for account in ["gate", "tenant", "action"] {
        let mut gate = open_gate();
        let spend = &mut gate.guardrails.spend;
        *match account {
            "gate" => &mut spend.gate,
            "tenant" => &mut spend.tenant,
            _ => &mut spend.action,
        } = daily(10);
        let mut rows = LoadedRows::new();
        assert_eq!(reason(&mut rows, &gate, &pay("6", &root, 1)), None, "{account}");
        let judged = pay("5", &root, 2).judged(&gate).unwrap();
        let refused = decide(&judged, &admit(&mut rows, &judged));
        assert_eq!(refused.reason, Some(Reason::SpendDailyExceeded), "{account}");
        let spend = refused.guardrails.iter().find(|guardrail| guardrail.guardrail == "spend").unwrap();
        let evidence =
            |figure: &str| spend.evidence.get(format!("{account}_daily_{figure}_micro_usd").as_str()).cloned();
        assert_eq!(evidence("cap"), Some(EvidenceValue::Number(10_000_000)), "{account}");
        assert_eq!(evidence("spent_before"), Some(EvidenceValue::Number(6_000_000)), "{account}");
    }
}

#[test]
fn agents_of_two_issuers_share_no_account_but_the_gate_s() {
    const OTHER: &str = "https://other.example";
    let own = r#"{"task":"T-1","spend":{"daily_micro_usd":10000000}}"#;
    for account in ["agent", "actor", "tenant", "action", "task", "passport", "gate"] {
        let limits = [if account == "passport" { own } else { TASK }, ""];
        let [ours, theirs] = [(ISSUER, 1), (OTHER, 8)].map(|(id, seed)| chain_of(id, seed, PAYMENTS, &limits));
        let mut gate = open_gate();
        gate.trust = TrustStore::new([issuer(ISSUER, 1), issuer(OTHER, 8)], SelfIssued::Refused).unwrap();
        let spend = &mut gate.guardrails.spend;
        match account {
            "agent" => spend.agent = daily(10),
            "actor" => spend.actor = daily(10),
            "tenant" => spend.tenant = daily(10),
            "action" => spend.action = daily(10),
            "task" => spend.task = daily(10),
            "gate" => spend.gate = daily(10),
            _ => {}
        }
        let (mut rows, exceeded) = (LoadedRows::new(), Some(Reason::SpendDailyExceeded));
        assert_eq!(reason(&mut rows, &gate, &pay("10", &ours, 1)), None, "{account}");
        assert_eq!(reason(&mut rows, &gate, &pay("1", &ours, 2)), exceeded, "{account}");
        let shared = exceeded.filter(|_| account == "gate");
        assert_eq!(reason(&mut rows, &gate, &pay("10", &theirs, 3)), shared, "{account}");
    }
}

#[test]
fn a_task_is_the_issuers_word() {
    let mut gate = open_gate();
    gate.guardrails.spend.task = SpendCaps { total: usd(10), ..SpendCaps::default() };
    let mut rows = LoadedRows::new();
    let (of_task, handed_on) = (chain(PAYMENTS, &[TASK]), chain(PAYMENTS, &[TASK, ""]));
    assert_eq!(reason(&mut rows, &gate, &pay("6", &of_task, 1)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("4", &handed_on, 2)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("0.01", &handed_on, 3)), Some(Reason::SpendTotalExceeded));
    let another = chain(PAYMENTS, &[r#"{"task":"T-2"}"#]);
    assert_eq!(reason(&mut rows, &gate, &pay("6", &another, 4)), None, "each task has its own");
    let invented = chain(PAYMENTS, &["", r#"{"task":"T-3"}"#]);
    for nobodys in [&chain(PAYMENTS, &[""]), &invented] {
        assert_eq!(reason(&mut rows, &gate, &pay("1", nobodys, 5)), Some(Reason::SpendTaskMissing));
        rows.retain(|key, _| !key.starts_with("n:"));
    }
    let judged = pay("1", &handed_on, 6).judged(&gate).unwrap();
    assert_eq!(judged.agent().task.as_deref(), Some("T-1"));
}

#[test]
fn a_passport_spends_its_total_once() {
    let (gate, mut rows) = (open_gate(), LoadedRows::new());
    let total = |dollars: u64| format!(r#"{{"spend":{{"total_micro_usd":{}}}}}"#, dollars * 1_000_000);
    let (ten, four) = (total(10), total(4));
    let (root, helper) = (chain(PAYMENTS, &[&ten]), chain(PAYMENTS, &[&ten, &four]));
    assert_eq!(reason(&mut rows, &gate, &pay("4", &helper, 1)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("1", &helper, 2)), Some(Reason::SpendTotalExceeded));
    assert_eq!(reason(&mut rows, &gate, &pay("6", &root, 3)), None);
    assert_eq!(reason(&mut rows, &gate, &pay("0.01", &root, 4)), Some(Reason::SpendTotalExceeded), "with all below it");
    let claim = pay("1", &root, 5).judged(&gate).unwrap().demand().spends[0].clone();
    assert_eq!(claim.until, Some(NOW.seconds() + 3600), "remembered as long as the passport lives");
}

#[test]
fn no_two_accounts_share_a_row() {
    let mut gate = open_gate();
    let all = SpendCaps { daily: usd(9), monthly: usd(9), total: usd(9) };
    let spend = &mut gate.guardrails.spend;
    for caps in [&mut spend.agent, &mut spend.actor, &mut spend.gate, &mut spend.tenant, &mut spend.action] {
        *caps = SpendCaps { total: None, ..all };
    }
    spend.task = all;
    let caps = r#""spend":{"daily_micro_usd":9,"monthly_micro_usd":9,"total_micro_usd":9}"#;
    let limits = [format!(r#"{{"task":"T-1",{caps}}}"#), format!("{{{caps}}}")];
    let judged = pay("1", &chain(PAYMENTS, &[&limits[0], &limits[1]]), 1).judged(&gate).unwrap();
    let keys: SortedSet<String> = judged.demand().row_keys().into_iter().collect();
    assert_eq!(judged.demand().spends.len(), 5 * 2 + 3 + 2 * 3);
    assert_eq!(keys.len(), judged.demand().row_keys().len());
}
