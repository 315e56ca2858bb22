//! What verifying a chain of passports costs against verifying its signatures bare, in turn in one run.
//!
//! `cargo bench --package passgate-passport --bench chains` looks at chains of 1, 2, 4 and 6 passports, which is the longest
//! that is accepted. `RUSTFLAGS="--cfg passgate_deep_chains"` raises the limit, for this measurement alone, and adds 8.
//!
//! A bare verification is `verify_strict` of ed25519-dalek over the same bytes, SHA-512 of the message included, with
//! the signature decoded before. Keys come in two ways, and both ratios are printed:
//!
//! - *read*: from their 32 bytes, as they stand in a token. A chain of `n` passports brings `n` keys (of the last one the
//!   request's proof is verified), and no verifier gets around decompressing them. The targets are for this one.
//! - *at hand*: decompressed before, which only a verifier that knows all agents can have.
//!
//! Every round takes another of many chains. How long a verification takes depends on the branches that its numbers
//! lead to, and with the same few signatures again and again the processor would learn them all.
//!
//! It also depends by a fifth on where the stack begins, because the tables of a verification lie there; so rounds go
//! through all offsets within a page, and the figures are means of the middle half.
//!
//! *Cold* is a chain never seen, *parent seen* one of which all but the last passport were verified before, *all seen*
//! one that was verified before whole. Every other check is carried out each time.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
#![expect(
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    reason = "figures for people, of samples that are not empty"
)]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signature, VerifyingKey};
use passgate_passport::b64;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{
    MAX_LINKS, NewDelegation, RootGrant, delegate, issue_root, verify_chain, verify_chain_with,
};
use passgate_passport::id::{PASSPORT_PREFIX, new_id};
use passgate_passport::issue::NewPassport;
use passgate_passport::key::SecretKey;
use passgate_passport::memory::PassportMemory;
use passgate_passport::passport::VerifyContext;
use passgate_passport::scope::Scope;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 2_000;
const WARM_UP: usize = 300;
/// A page is 4096 bytes; a step takes a little more than its array.
const STACK_STEPS: usize = 32;
const STACK_STEP: usize = 96;
/// Different chains of each length.
const CHAINS: usize = 250;
const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://issuer.example";
const CONTEXT: VerifyContext<'_> = VerifyContext { now: NOW + 60, leeway_seconds: 30, audience: None };

fn main() -> Result<()> {
    let trust = trust()?;
    println!("chains of passports, native ({ROUNDS} rounds, means of the middle half)");
    for passports in [1, 2, 4, 6, 8].into_iter().filter(|passports| *passports <= MAX_LINKS) {
        measure(&trust, passports)?;
    }
    Ok(())
}

fn measure(trust: &TrustStore, passports: usize) -> Result<()> {
    let cases: Vec<Case> = (0..CHAINS).map(|number| Case::new(number, passports, trust)).collect::<Result<_>>()?;
    let mut samples: [Sample; 5] = Default::default();
    for (round, case) in cases.iter().cycle().take(ROUNDS + WARM_UP).enumerate() {
        if round == WARM_UP {
            samples = Default::default();
        }
        let [read, at_hand, cold, after_parent, again] = &mut samples;
        deeper(round % STACK_STEPS, &mut || {
            let with = |memory| verify_chain_with(&case.text, trust, &CONTEXT, memory);
            let held = [
                time(read, || case.bare.iter().all(Bare::holds_with_key_read)),
                time(cold, || verify_chain(&case.text, trust, &CONTEXT)).is_ok(),
                time(at_hand, || case.bare.iter().all(Bare::holds)),
                time(after_parent, || with(&case.parent_seen)).is_ok(),
                time(again, || with(&case.all_seen)).is_ok(),
            ];
            assert_eq!(held, [true; 5], "a chain was refused");
        });
    }
    let bytes = cases.first().map_or(0, |case| case.text.len());
    report(passports, bytes, samples.map(middle));
    Ok(())
}

/// Carries out `work` further down the stack.
fn deeper(steps: usize, work: &mut dyn FnMut()) {
    let step = black_box([0_u8; STACK_STEP]);
    if steps == 0 {
        work()
    } else {
        deeper(steps - 1, work)
    }
    black_box(&step);
}

type Sample = Vec<Duration>;

/// Runs `work` and notes how long it took.
fn time<T>(sample: &mut Sample, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let made = black_box(work());
    sample.push(started.elapsed());
    made
}

/// The mean of the middle half: blind to what disturbed a sample.
fn middle(mut sample: Sample) -> Duration {
    sample.sort_unstable();
    let half = &sample[sample.len() / 4..sample.len() * 3 / 4];
    half.iter().sum::<Duration>() / half.len() as u32
}

fn report(passports: usize, bytes: usize, [read, at_hand, cold, after_parent, again]: [Duration; 5]) {
    let one = read / passports as u32;
    let line = |what: &str, duration: Duration, whole: Duration, of: &str| {
        let micros = |duration: Duration| duration.as_nanos() as f64 / 1_000.0;
        println!("    {what:<28} {:>6.1} us  {:.2} x {of}", micros(duration), micros(duration) / micros(whole));
    };
    println!("  {passports} passports, {bytes} bytes");
    line("bare, keys read", read, one, "one verification");
    line("bare, keys at hand", at_hand, one, "one verification");
    line("cold", cold, read, "bare, keys read (target 1.05)");
    line("cold", cold, at_hand, "bare, keys at hand");
    line("parent seen", after_parent, one, "one verification");
    line("all seen", again, one, "one verification");
}

/// One chain.
struct Case {
    text: String,
    bare: Vec<Bare>,
    parent_seen: PassportMemory,
    all_seen: PassportMemory,
}

impl Case {
    fn new(number: usize, passports: usize, trust: &TrustStore) -> Result<Self> {
        let text = chain(number, passports)?;
        let signers = core::iter::once(issuer()).chain((0..passports).map(|link| agent(number, link)));
        let bare = text.split('~').zip(signers).map(|(token, signer)| Bare::new(token, &signer));
        let (bare, parent_seen) = (bare.collect::<Result<_>>()?, seen(&text, trust, passports - 1)?);
        let all_seen = seen(&text, trust, passports)?;
        Ok(Self { text, bare, parent_seen, all_seen })
    }
}

/// A memory that has seen the first `passports` of the chain.
fn seen(text: &str, trust: &TrustStore, passports: usize) -> Result<PassportMemory> {
    let mut memory = PassportMemory::new(100_000, 0);
    if passports > 0 {
        let beginning: Vec<&str> = text.split('~').take(passports).collect();
        let (_, seen) = verify_chain_with(&beginning.join("~"), trust, &CONTEXT, &memory)?;
        memory.remember(&seen.ok_or("the chain is not new")?);
    }
    Ok(memory)
}

/// One signature to verify, and its key.
struct Bare {
    key: VerifyingKey,
    key_bytes: [u8; 32],
    message: String,
    signature: Signature,
}

impl Bare {
    fn new(token: &str, signer: &SecretKey) -> Result<Self> {
        let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
        let key_bytes = *signer.public().as_bytes();
        let key = VerifyingKey::from_bytes(&key_bytes)?;
        let signature = Signature::from_bytes(&b64::decode_array(signature)?);
        Ok(Self { key, key_bytes, message: message.to_owned(), signature })
    }

    fn holds(&self) -> bool {
        self.key.verify_strict(self.message.as_bytes(), &self.signature).is_ok()
    }

    fn holds_with_key_read(&self) -> bool {
        let key = VerifyingKey::from_bytes(&self.key_bytes);
        key.is_ok_and(|key| key.verify_strict(self.message.as_bytes(), &self.signature).is_ok())
    }
}

fn issuer() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

/// The agent at `link` of the chain of that number.
fn agent(chain: usize, link: usize) -> SecretKey {
    let mut seed = [2; 32];
    for (to, from) in seed.iter_mut().zip(chain.to_le_bytes().into_iter().chain(link.to_le_bytes())) {
        *to = from;
    }
    SecretKey::from_seed(seed)
}

fn trust() -> Result<TrustStore> {
    let key = issuer().public().clone();
    let issuer = Issuer {
        id: ISSUER.to_owned(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey::unbounded(key)],
        max_passport_ttl_seconds: 100_000,
    };
    Ok(TrustStore::new([issuer], SelfIssued::Refused)?)
}

/// A chain as agents make them: a few permissions, caps in the root, and one limit more in every other link.
fn chain(number: usize, passports: usize) -> Result<String> {
    let depth_left = |link: usize| u8::try_from(MAX_LINKS - 1 - link);
    let mut text = root(number, depth_left(0)?)?;
    for link in 1..passports {
        let permissions = vec![Scope::parse("payments:refund")?, Scope::parse("customers:read")?];
        let (iat, exp) = (NOW + i64::try_from(link)?, NOW + 3_600 - i64::try_from(link)?);
        let sub = format!("https://agents.example/worker-{link}");
        let key = agent(number, link).public().clone();
        let mut next = NewDelegation::new(id(number, link)?, sub, key, permissions, iat, exp);
        next.depth_left = depth_left(link)?;
        next.constraints = constraints(&format!(r#"{{"max_records":{}}}"#, 100 - link))?;
        text = delegate(&text, &agent(number, link - 1), &next)?;
    }
    Ok(text)
}

fn root(number: usize, depth_left: u8) -> Result<String> {
    let permissions = vec![Scope::parse("payments:*")?, Scope::parse("customers:read")?];
    let sub = "https://agents.example/planner".to_owned();
    let key = agent(number, 0).public().clone();
    let mut passport = NewPassport::new(id(number, 0)?, sub, key, permissions, NOW, NOW + 7_200);
    passport.iss = Some(ISSUER.to_owned());
    let limits = r#"{"spend":{"daily_micro_usd":50000000},"domains":["*.example.com"],"max_records":100}"#;
    let grant = RootGrant { depth_left: Some(depth_left), constraints: constraints(limits)? };
    Ok(issue_root(&issuer(), &passport, &grant)?)
}

fn constraints(json: &str) -> Result<Constraints> {
    Ok(Constraints::from_json(json.as_bytes(), json.len())?)
}

fn id(chain: usize, link: usize) -> Result<String> {
    Ok(new_id(PASSPORT_PREFIX, 1000 * NOW.unsigned_abs() + u64::try_from(chain)?, [u8::try_from(link)?; 10]))
}
