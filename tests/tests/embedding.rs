//! The gate component as others embed it: what it says of itself, and a host in Python.
#![cfg(test)]

use passgate_passport::jws::{self, TokenType};
use passgate_tests::case::{self, Case};
use passgate_tests::program::{client, gate_component, python_client, root};
use passgate_tests::surface::{attestation_key, evaluator, payload, text_member};
use serde_json::{Map, Value, json};
use wit_component::WitPrinter;
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{InterfaceId, Resolve, WorldItem};

const INTERFACE: &str = "passgate:gate/evaluator@0.1.0";

/// The text of an interface without its docs.
fn printed(resolve: &Resolve, interface: InterfaceId) -> String {
    let mut printer = WitPrinter::default();
    printer.emit_docs(false).print_interface(resolve, interface).unwrap();
    printer.output.to_string()
}

#[test]
fn both_components_export_the_interface_of_the_contract_and_import_nothing() {
    let mut contract = Resolve::default();
    let package = contract.push_file(root().join("wit/gate.wit")).unwrap();
    let wanted = printed(&contract, contract.packages[package].interfaces["evaluator"]);
    let judge = "judge: func(request: request, now: unix-millis, conduct: conduct) -> result<judgement, refusal>;";
    assert!(wanted.contains(judge), "{wanted}");
    for name in ["passgate-gate.wasm", "passgate-gate-wide.wasm"] {
        let bytes = std::fs::read(gate_component(name).unwrap()).unwrap();
        let DecodedWasm::Component(resolve, world) = decode(&bytes).unwrap() else { panic!("{name} is no component") };
        let world = &resolve.worlds[world];
        assert!(world.imports.is_empty(), "{name} imports {:?}", world.imports.keys());
        let exports: Vec<String> = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
        assert_eq!(exports, [INTERFACE], "{name}");
        let Some(WorldItem::Interface { id, .. }) = world.exports.values().next() else {
            panic!("{name}: no interface")
        };
        assert_eq!(printed(&resolve, *id), wanted, "{name} and wit/gate.wit: run `cargo xtask component`");
    }
}

/// What the Python host makes of a case of one request, when it started that many seconds before.
fn in_python(case: &Case, started_before: u64) -> Value {
    let key = attestation_key();
    let private: Value = serde_json::from_str(&key.to_private_jwk()).unwrap();
    let started = case.steps[0].at_ms / 1000 - started_before;
    let job = json!({
        "case": case, "evaluator": evaluator(), "key": private, "kid": key.public().thumbprint(), "started": started,
    });
    let component = gate_component("passgate-gate.wasm").unwrap();
    let said = python_client("component_host.py", &[&component.to_string_lossy()], &job).unwrap();
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_host_in_python_makes_the_records_of_the_gateway() {
    let cases = case::load().unwrap();
    for (name, decision, status) in [
        ("guardrails_all_pass", "allow", 200),
        ("order_domain_fourth_deny", "deny", 403),
        ("proof_key_mismatch_deny", "deny", 401),
        ("order_approval_last_stepup", "step_up", 403),
    ] {
        let case = &cases[name];
        let got = in_python(case, 100_000);
        assert_eq!((&got["decision"], &got["status"]), (&json!(decision), &json!(status)), "{name}");
        assert_eq!(got["agent_id"], "agent_scout", "{name}");
        let wanted: &Map<String, Value> = &case.steps[0].expect.attestation;
        let wanted = serde_json_canonicalizer::to_vec(wanted).unwrap();
        assert_eq!(got["record"], jws::sign(&attestation_key(), TokenType::Attestation, &wanted), "{name}");
    }
}

#[test]
fn a_host_in_python_refuses_what_may_have_been_accepted_before_it_started() {
    let case = &case::load().unwrap()["plain_request"];
    assert_eq!(in_python(case, 31)["decision"], "allow");
    let got = in_python(case, 30);
    assert_eq!(got["decision"], "deny");
    let record = payload(got["record"].as_str().unwrap()).unwrap();
    assert_eq!(text_member(&record, "reason_code").unwrap().as_deref(), Some("replay_fence"));
}

#[test]
fn the_code_in_the_documentation_is_the_host_that_runs() {
    let page = std::fs::read_to_string(root().join("docs/embedding.md")).unwrap();
    let host = std::fs::read_to_string(client("component_host.py")).unwrap();
    let blocks: Vec<&str> =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("python\n")).collect();
    assert!(blocks.len() >= 2, "only {} blocks of Python", blocks.len());
    for block in blocks {
        assert!(host.contains(block), "docs/embedding.md shows what component_host.py does not hold:\n{block}");
    }
}
