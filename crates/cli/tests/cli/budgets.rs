//! Budgets: whose spending counts, and what becomes of charges that nobody knows to be spent.

use std::fs;
use std::net::TcpListener;

use crate::guardrails::GUIDE;
use crate::readme::shell;
use crate::support::{Served, initialised, run};

/// A gate whose agents pay.
fn paying() -> tempfile::TempDir {
    let folder = initialised();
    run(
        folder.path(),
        &[
            "passport",
            "issue",
            "--issuer",
            "local",
            "--agent-id",
            "travel",
            "--permission",
            "payments:*",
            "--task",
            "trip-7",
            "--spend-total",
            "100",
        ],
    )
    .exits(0);
    folder
}

#[test]
fn what_nobody_knows_to_be_spent_is_listed_and_reconciled() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let command =
        |of: &str| guide.lines().find_map(|line| line.starts_with(of).then(|| line.split("  #").next().unwrap()));
    let (listing, reconciling) =
        (command("passgate budgets held").unwrap(), command("passgate budgets reconcile").unwrap());
    let folder = paying();
    // It takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("passgate.yml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("upstream:\n", "upstream:\n  response_timeout_ms: 200\n")).unwrap();
    let served = Served::start(folder.path(), &format!("http://{}", silent.local_addr().unwrap()));
    let pay = || {
        let body = r#"{"amount_usd": 50}"#;
        run(folder.path(), &["call", &format!("{}/pay", served.url), "-d", body, "--credentials", "agents/travel.json"])
    };
    assert_eq!(shell(folder.path(), listing).exits(0).stderr.trim(), "Nothing is held.");
    pay();
    pay();
    assert!(pay().exits(2).stderr.contains("spend_total_exceeded"));
    let held = || run(folder.path(), &["--format", "json", "budgets", "held"]).exits(0).json()["held"].clone();
    let open = held();
    let rows = open.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{open}");
    for row in rows {
        assert_eq!((&row["agent_id"], &row["amount_micro_usd"]), (&"travel".into(), &50_000_000.into()));
        assert_eq!(row["result"], "timed_out");
    }
    let query = ["--format", "json", "ledger", "query", "--agent", "travel"];
    assert_eq!(run(folder.path(), &query).exits(0).json()["attestations"][0]["agent"]["task"], "trip-7");
    let ids: Vec<&str> = rows.iter().map(|row| row["decision_id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| shell(folder.path(), listing).exits(0).stdout.contains(id)));
    let released = shell(folder.path(), &reconciling.replace("att_…", ids[0])).exits(0);
    assert!(released.stdout.contains("given back"), "{released:?}");
    let again = run(folder.path(), &["--format", "json", "budgets", "reconcile", ids[0], "--released"]).exits(1);
    assert!(again.error()["hint"].as_str().unwrap().contains("budgets held"), "{}", again.stderr);
    run(folder.path(), &["budgets", "reconcile", ids[1], "--committed"]).exits(0);
    assert_eq!(held(), serde_json::json!([]));
    for wrong in [&["budgets", "reconcile", ids[1]][..], &["budgets", "reconcile", "att_1", "--released"]] {
        run(folder.path(), wrong).exits(1);
    }
    pay();
    assert!(pay().exits(2).stderr.contains("spend_total_exceeded"), "what was carried out stays spent");
    run(folder.path(), &["ledger", "verify"]).exits(0);

    // Without a running gate the store is changed itself.
    let last = held()[0]["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(served.stop("-TERM"), 0);
    run(folder.path(), &["budgets", "reconcile", &last, "--released"]).exits(0);
    run(folder.path(), &["ledger", "verify"]).exits(0);
}
