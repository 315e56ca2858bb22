//! What rules cost as they become more, beside the same rules in Cedar and in Rego, in the same run on the same requests.
//!
//! Agents have rules of their own for some of fifty services; a request concerns the rules of its agent and service, and
//! those of others should cost it nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use passgate_tests::measure::Ratio;
use passgate_tests::program::root;
use serde_json::Value;

const SIZES: [u64; 4] = [10, 100, 1_000, 10_000];
const REQUESTS: &str = "200";
const SERVICES: u64 = 50;
/// A policy file holds no more.
const RULES_OF_A_FILE: u64 = 2_000;
/// At most so much dearer with the most rules than with the fewest.
const FLAT: &str = "1.50";
/// So many times dearer are the others at least, of as many rules each.
const CEDAR: &str = "10";
const REGO: &str = "50";

fn main() -> Result<()> {
    let program = program()?;
    let mut first = None;
    println!(
        "rules (medians of {REQUESTS} requests; targets: {FLAT} with all rules, Cedar {CEDAR}, Rego {REGO} times)"
    );
    for rules in SIZES {
        let folder = tempfile::tempdir()?;
        let gate = folder.path().join("gate");
        run(&program, folder.path(), &["init", "gate"])?;
        write(&gate, rules)?;
        let started = Instant::now();
        run(&program, &gate, &["policy", "check"])?;
        let checked = started.elapsed();
        let arguments =
            ["--format", "json", "policy", "bench", "--requests", REQUESTS, "--beside", "cedar", "--beside", "rego"];
        let measured: Value = serde_json::from_str(&run(&program, &gate, &arguments)?)?;
        let number = |pointer: &str| -> Result<u128> {
            let found = measured.pointer(pointer).and_then(Value::as_u64).map(u128::from);
            found.with_context(|| format!("no {pointer} in {measured}"))
        };
        ensure!(number("/rules")? == u128::from(rules), "{measured}");
        let median = |engine: u8| number(&format!("/engines/{engine}/median_ns"));
        let (own, cedar, rego) = (median(0)?, median(1)?, median(2)?);
        let least = *first.get_or_insert(own);
        println!("  {rules} rules: {own} ns ({} times those of {})", Ratio::of(own, least), SIZES[0]);
        println!("    Cedar {cedar} ns ({}), Rego {rego} ns ({})", Ratio::of(cedar, own), Ratio::of(rego, own));
        let (bytes, read) = (number("/compiled_bytes")?, number("/read_ns")? / 1_000);
        println!("    checked in {} ms; compiled {bytes} bytes, read in {read} us", checked.as_millis());
    }
    Ok(())
}

/// The program with the engines of the other languages.
fn program() -> Result<std::path::PathBuf> {
    if let Some(named) = std::env::var_os("PASSGATE_PROGRAM") {
        return Ok(named.into());
    }
    let cargo = ["build", "--quiet", "--release", "--package", "passgate-cli", "--features", "prove"];
    let built = Command::new("cargo").args(cargo).current_dir(root()).status()?;
    ensure!(built.success(), "passgate-cli does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    Ok(target.join("release/passgate"))
}

fn run(program: &Path, folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(folder).output()?;
    if !output.status.success() {
        bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// So many rules, and a route for each service.
fn write(gate: &Path, rules: u64) -> Result<()> {
    let path = gate.join("passgate.yml");
    let config = fs::read_to_string(&path)?;
    let (before, after) = config.split_once("routes:\n").context("no routes")?;
    let mut text = format!("{before}routes:\n");
    for service in 0..SERVICES {
        writeln!(
            text,
            "  - {{method: POST, path: /s{service}, action: \"service-{service}:call\", amount: {{pointer: /usd, unit: usd}}}}"
        )?;
    }
    let rest = after.split_once("\nguardrails:").context("no guardrails")?.1;
    write!(text, "\nguardrails:{rest}\npolicy_files:\n")?;
    for (file, from) in (0..rules).step_by(usize::try_from(RULES_OF_A_FILE)?).enumerate() {
        writeln!(text, "  - rules-{file}.yml")?;
        let lines: Vec<String> = (from..rules.min(from + RULES_OF_A_FILE)).map(rule).collect();
        fs::write(gate.join(format!("rules-{file}.yml")), format!("rules:\n{}", lines.concat()))?;
    }
    fs::write(&path, text)?;
    Ok(())
}

/// Each agent has ten rules: for five services of its own one that allows and one that asks for approval.
fn rule(number: u64) -> String {
    let (agent, pair) = (number / 10, number % 10 / 2);
    let service = (agent * 7 + pair * 11) % SERVICES;
    let (effect, amount) = if number.is_multiple_of(2) { ("allow", "at_most: 100") } else { ("step_up", "above: 50") };
    format!(
        "  - {{name: rule-{number}, effect: {effect}, when: {{actions: [\"service-{service}:*\"], agents: [agent-{agent}], \
         amount_usd: {{{amount}}}}}}}\n"
    )
}
