//! Every case on every surface, and the case files against the catalogue they are made from.
#![cfg(test)]

use passgate_host::config::EngineKind;
use passgate_tests::case;
use passgate_tests::catalogue;
use passgate_tests::surface::component::Wasmtime;
use passgate_tests::surface::edge::Workerd;
use passgate_tests::surface::gateway::Http;
use passgate_tests::surface::native::{Handoff, Memory, Redb};
use passgate_tests::surface::node::Node;
use passgate_tests::surface::{Implementation, check};

/// Runs every case and reports all failures at once.
async fn run(surface: &mut dyn Implementation) {
    let cases = case::load().unwrap();
    assert!(cases.len() >= 45, "only {} cases in {}", cases.len(), case::folder().display());
    let mut failures = Vec::new();
    for (name, case) in &cases {
        if let Err(error) = check(surface, name, case).await {
            failures.push(format!("{error:#}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[tokio::test]
async fn native_library_in_memory() {
    run(&mut Memory).await;
}

#[tokio::test]
async fn native_library_on_disk() {
    run(&mut Redb).await;
}

#[tokio::test]
async fn native_library_with_the_judgement_handed_over() {
    run(&mut Handoff).await;
}

#[tokio::test]
async fn the_case_files_are_what_the_catalogue_makes() {
    let (made, found) = (catalogue::generate().await.unwrap(), case::texts().unwrap());
    let remedy = "run `cargo run -p passgate-tests --example bless` and read the difference";
    assert_eq!(made.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "other files: {remedy}");
    // In which order documents within a case have their members depends on what else is built.
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let other: Vec<&String> =
        made.iter().filter(|(name, text)| read(&found[*name]) != read(text)).map(|(name, _)| name).collect();
    assert!(other.is_empty(), "{other:?} are not what the catalogue makes: {remedy}");
}

#[tokio::test]
async fn a_wrong_expectation_is_noticed() {
    let cases = case::load().unwrap();
    let good = &cases["plain_request"];
    check(&mut Memory, "good", good).await.unwrap();
    let changes: [fn(&mut case::Expect); 5] = [
        |expect| expect.decision = Some("deny".into()),
        |expect| expect.reason_code = Some("revoked".into()),
        |expect| expect.status = Some(403),
        |expect| _ = expect.attestation.insert("seq".into(), 2.into()),
        |expect| _ = expect.attestation.remove("revocation"),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut wrong = good.clone();
        change(&mut wrong.steps[0].expect);
        assert!(check(&mut Memory, "wrong", &wrong).await.is_err(), "change {number} went unnoticed");
    }
}

#[tokio::test]
async fn component_in_wasmtime() {
    run(&mut Wasmtime).await;
}

#[tokio::test]
async fn component_in_node_under_jco() {
    run(&mut Node::component().unwrap()).await;
}

#[tokio::test]
async fn npm_package_in_node() {
    run(&mut Node::npm_package().unwrap()).await;
}

#[tokio::test]
async fn npm_package_in_chromium() {
    run(&mut Node::npm_package_in_chromium().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_over_http_with_the_component() {
    run(&mut Http { engine: EngineKind::Component }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_over_http_deciding_natively() {
    run(&mut Http { engine: EngineKind::Native }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edge_worker_in_workerd() {
    let mut surface = Workerd::start().await.unwrap();
    run(&mut surface).await;
    let Workerd { over_http, handed_over, .. } = surface;
    assert!(over_http > 300 && handed_over < 10, "{over_http} requests over HTTP, {handed_over} handed over");
}
