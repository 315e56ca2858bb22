//! Signatures of foreign agents: what is accepted, and what an accepted one says.

#![expect(clippy::panic, reason = "a failing helper fails its test")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use passgate_passport::jwk;
use passgate_passport::key::SecretKey;
use passgate_passport::proof::web_bot_auth::{
    self, AgentUrl, Coverage, Directory, ForeignAgent, ForeignParams, Presented, replay_key,
};
use passgate_passport::proof::{self, ProofForm, Proven, VerifiedProof};

use crate::message::{Message, NONCE, NOW, agent, other_agent};

/// What the good agent says of itself.
pub(crate) const NAMED: &str = r#"a="https://signer.example""#;
pub(crate) const MEMBER: &str = r#""signature-agent";key="a""#;
/// What a gate can ask for.
pub(crate) const WHOLE: &str = r#""@method" "@target-uri" "content-digest" "content-type" "signature-agent";key="a""#;
/// What many agents cover.
pub(crate) const LITTLE: &str = r#""@authority" "signature-agent";key="a""#;

pub(crate) fn signer() -> ForeignAgent {
    listed("https://signer.example", &[&agent()])
}

pub(crate) fn listed(url: &str, keys: &[&SecretKey]) -> ForeignAgent {
    let set = jwk::emit_set(keys.iter().map(|key| key.public()));
    let directory = Directory::read(set.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    ForeignAgent { url: AgentUrl::parse(url).unwrap_or_else(|error| panic!("{error}")), directory }
}

/// A request without a passport, from an agent that names itself.
pub(crate) fn without_passport(mut message: Message) -> Message {
    message.remove("agent-passport");
    message.add("signature-agent", NAMED);
    message
}

pub(crate) fn get() -> Message {
    without_passport(Message::get())
}

pub(crate) fn post() -> Message {
    without_passport(Message::post())
}

/// The parameters of a good signature, without a nonce.
pub(crate) fn bare_params() -> String {
    let keyid = agent().public().thumbprint().to_owned();
    format!(r#"created={NOW};expires={};keyid="{keyid}";alg="ed25519";tag="web-bot-auth""#, NOW + 60)
}

pub(crate) fn params() -> String {
    format!(r#"{};nonce="{NONCE}""#, bare_params())
}

/// Signs with a component list and parameters given as text, whatever they say.
pub(crate) fn signed(message: Message, components: &str, params: &str) -> Message {
    signed_by(message, &agent(), components, params)
}

pub(crate) fn signed_by(mut message: Message, key: &SecretKey, components: &str, params: &str) -> Message {
    let mut base = Vec::new();
    for identifier in components.split_terminator(' ') {
        let mut quoted = identifier.split('"').skip(1).step_by(2);
        let (name, member) = (quoted.next().unwrap_or_default(), quoted.next());
        base.extend_from_slice(format!("{identifier}: ").as_bytes());
        match member {
            Some(member) => base.extend(agent_member(&message, member)),
            None => base.extend(message.component(name)),
        }
        base.push(b'\n');
    }
    let params_text = format!("({components});{params}");
    base.extend_from_slice(format!("\"@signature-params\": {params_text}").as_bytes());
    message.add("signature-input", format!("s={params_text}"));
    message.add("signature", format!("s=:{}:", STANDARD.encode(key.sign(&base))));
    message
}

/// The string of one member, with its quotes.
fn agent_member(message: &Message, key: &str) -> Vec<u8> {
    let field = String::from_utf8(message.component("signature-agent")).unwrap_or_default();
    let member = field.split(", ").find_map(|member| member.strip_prefix(key)?.strip_prefix('='));
    member.unwrap_or_default().into()
}

pub(crate) fn good() -> Message {
    signed(post(), WHOLE, &params())
}

pub(crate) fn code_of(message: &Message, agent: &ForeignAgent, coverage: Coverage, now: i64) -> &'static str {
    message.view(|request| match web_bot_auth::verify(request, agent, coverage, now) {
        Ok(_) => "ok",
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.code()
        }
    })
}

/// The refusal's code, or `ok`, for a gate that takes little from safe requests.
pub(crate) fn code(message: &Message) -> &'static str {
    code_of(message, &signer(), Coverage::UnlessSafe, NOW)
}

pub(crate) fn verified<T>(message: &Message, run: impl FnOnce(&VerifiedProof<'_>) -> T) -> T {
    message.view(|request| match web_bot_auth::verify(request, &signer(), Coverage::UnlessSafe, NOW) {
        Ok(proof) => run(&proof),
        Err(error) => panic!("{error}"),
    })
}

#[test]
fn a_whole_request_is_proven() {
    let message = good();
    assert_eq!(code_of(&message, &signer(), Coverage::EveryRequest, NOW), "ok");
    verified(&message, |proof| {
        assert_eq!(proof.form(), ProofForm::WebBotAuth);
        assert_eq!(proof.proven(), Proven::ALL);
        assert_eq!((proof.created(), proof.expires_at()), (NOW, NOW + 60));
        assert_eq!(proof.key_thumbprint(), agent().public().thumbprint());
        assert_eq!(proof.nonce(), replay_key(Some(NONCE), b"whatever the signature is"));
        assert_eq!(proof.covered().body(), message.body);
        assert_eq!(proof.covered().header("content-type"), Some("application/json"));
        assert_eq!(proof.covered().header("x-intent"), None, "not covered");
        assert_eq!(proof.covered().header("signature-agent"), None, "a member is not the field");
    });
}

#[test]
fn a_safe_request_says_what_it_proves() {
    let proven = |covered: &str| verified(&signed(get(), covered, &bare_params()), |proof| proof.proven());
    let nothing = Proven { method: false, path: false, query: false };
    assert_eq!(proven(LITTLE), nothing);
    assert_eq!(proven(&format!(r#""@method" {LITTLE}"#)), Proven { method: true, ..nothing });
    assert_eq!(proven(&format!(r#""@path" {LITTLE}"#)), Proven { path: true, ..nothing });
    assert_eq!(proven(&format!(r#""@query" {LITTLE}"#)), Proven { query: true, ..nothing });
    assert_eq!(proven(&format!(r#""@request-target" {LITTLE}"#)), Proven { method: false, ..Proven::ALL });
    assert_eq!(proven(&format!(r#""@target-uri" {MEMBER}"#)), Proven { method: false, ..Proven::ALL });
    assert_eq!(proven(&format!(r#""@method" "@path" "@query" {LITTLE}"#)), Proven::ALL);
}

#[test]
fn the_forms_of_signature_agent() {
    let named = |field: &str, covered: &str| {
        let mut message = get();
        message.set("signature-agent", field);
        code(&signed(message, covered, &bare_params()))
    };
    let whole = r#""@authority" "signature-agent""#;
    assert_eq!(named(NAMED, whole), "ok", "a dictionary of one, covered as a field");
    assert_eq!(named(r#""https://signer.example""#, whole), "ok", "the string of earlier drafts");
    assert_eq!(named(r#"b="https://proxy.example", a="https://signer.example""#, LITTLE), "ok");
    let file = r#"a="https://signer.example/.well-known/http-message-signatures-directory?v=2""#;
    assert_eq!(named(file, LITTLE), "ok", "the same agent by its directory");
    let mut silent = get();
    silent.remove("signature-agent");
    let silent = signed(silent, r#""@authority""#, &bare_params());
    assert_eq!(code(&silent), "ok");
    silent.view(|request| assert_eq!(Presented::read(request).map(|it| it.agent().cloned()), Ok(None)));
}

#[test]
fn a_foreign_request_is_told_from_others() {
    let presented = |message: &Message| message.view(web_bot_auth::is_presented);
    assert!(presented(&good()));
    assert!(!presented(&get()));
    assert!(!presented(&crate::message::good()));
    let mut with_passport = good();
    with_passport.add("agent-passport", "aaa.bbb.ccc");
    assert!(!presented(&with_passport), "the passport decides");
    // What is not recognised has no other way in: neither reader takes the other's signatures.
    assert_eq!(with_passport.code(), "proof_coverage");
    let mut own = crate::message::good();
    own.remove("agent-passport");
    assert_eq!(code(&own), "proof_malformed");
}

#[test]
fn the_library_signs_what_it_verifies() {
    let params = ForeignParams { agent: "https://signer.example", created: NOW, expires: NOW + 60, nonce: NONCE };
    for base in [Message::get(), Message::post()] {
        let mut message = base;
        message.remove("agent-passport");
        let carried = message.headers.iter().position(|(name, _)| name == "content-digest");
        carried.map(|index| message.headers.remove(index));
        let headers = message.view(|request| web_bot_auth::sign(request, &agent(), &params)).unwrap();
        assert_eq!(headers.content_digest.is_some(), !message.body.is_empty());
        message.add("signature-agent", headers.signature_agent);
        message.add("signature-input", headers.signature_input);
        message.add("signature", headers.signature);
        headers.content_digest.into_iter().for_each(|digest| message.add("content-digest", digest));
        assert_eq!(code_of(&message, &signer(), Coverage::EveryRequest, NOW), "ok");
        let again = message.view(|request| web_bot_auth::sign(request, &agent(), &params).map_err(|it| it.code()));
        assert_eq!(again, Err("proof_malformed"), "it names an agent already");
    }
    let refused = |params: &ForeignParams<'_>| {
        let mut message = Message::get();
        message.remove("agent-passport");
        message.view(|request| web_bot_auth::sign(request, &agent(), params).map_err(|error| error.code()).err())
    };
    assert_eq!(refused(&ForeignParams { agent: "http://signer.example", ..params }), Some("proof_malformed"));
    assert_eq!(refused(&ForeignParams { nonce: "short", ..params }), Some("proof_malformed"));
    assert_eq!(refused(&ForeignParams { expires: NOW - 1, ..params }), Some("proof_malformed"));
}

#[test]
fn a_signature_of_another_key_or_form_of_proof_has_its_own_replay_key() {
    let with_nonce = replay_key(Some(NONCE), &[1; 64]);
    assert_eq!(with_nonce, replay_key(Some(NONCE), &[2; 64]));
    assert_ne!(replay_key(None, &[1; 64]), replay_key(None, &[2; 64]));
    assert_ne!(replay_key(None, NONCE.as_bytes()), with_nonce);
    assert_eq!((with_nonce.len(), with_nonce.starts_with("wba:")), (47, true));
    // A gate that holds the key of a second agent does not mix the two up.
    let other = listed("https://signer.example", &[&other_agent()]);
    assert_eq!(code_of(&good(), &other, Coverage::UnlessSafe, NOW), "proof_key_unknown");
    let either = good().view(|request| {
        proof::verify_either(request, agent().public(), NOW, &proof::dpop::DpopRules::default())
            .map_err(|it| it.code())
            .err()
    });
    assert_eq!(either, Some("proof_missing"), "there is no passport");
}

/// What the npm packages `web-bot-auth` 0.1.3 (the first) and `http-message-sig` 0.3.0 signed with the key of seed 42.
const BY_OTHERS: [(&str, &str, &str, &str); 3] = [
    (
        "GET",
        r#""https://signer.example""#,
        r#"sig1=("@authority" "signature-agent");created=1800000000;keyid="RdsIdO3CsMDzCjNZvzh9oqMmTgMASg3jgoAi8dXZLIQ";alg="ed25519";expires=1800000060;nonce="b/jydkGhhwC9aHwqpgkdWSQs+JDNAHm8v0VBigBQ455AGbt1DSEXA74zem1FMj6ELMiJnUsW8TK1tN1CdeOcmg==";tag="web-bot-auth""#,
        "sig1=:8C8CFAiOjwvkY0dKAuN0Wt18pDmqLFG61AlgmlSKtBTxnZ/UUt6dZdeYwPI4upLbfUXPim6sVLH28zmQee9SCA==:",
    ),
    (
        "POST",
        r#"sig1="https://signer.example""#,
        r#"sig1=("@authority" "@method" "@target-uri" "content-digest" "content-type" "signature-agent";key="sig1");created=1800000000;expires=1800000060;keyid="RdsIdO3CsMDzCjNZvzh9oqMmTgMASg3jgoAi8dXZLIQ";nonce="n9p433xm+NJ3ph3upfBIGmsuwHw387YV";tag="web-bot-auth""#,
        "sig1=:/zGH4Xph4wHr9dVVtP6wvrIV0DKmGRHbHzBdLAGz9cQPHi3xFBfcnEaiRjtse3jVcosZwMjbNyK6qXX0yXlmBw==:",
    ),
    (
        "POST",
        r#"p="https://proxy.example", x="https://signer.example""#,
        r#"x=("@authority" "@method" "@path" "@query" "content-digest" "content-type" "signature-agent";key="x");created=1800000000;expires=1800000060;keyid="RdsIdO3CsMDzCjNZvzh9oqMmTgMASg3jgoAi8dXZLIQ";nonce="n9p433xm+NJ3ph3upfBIGmsuwHw387YV";tag="web-bot-auth""#,
        "x=:LqMHIgAUioLudEKWywYP3Yt+h7PcFKLWps0vKkU3pAhHzoaCTLsS/y5gIV63G9upLkP5WBGh0XAACyBiQ5oHDw==:",
    ),
];

#[test]
fn signatures_of_other_implementations() {
    let agent = listed("https://signer.example", &[&SecretKey::from_seed([42; 32])]);
    for (method, named, input, signature) in BY_OTHERS {
        let mut message = Message { method: method.into(), path: "/pay".into(), ..Message::get() };
        message.remove("agent-passport");
        (message.authority, message.query) = ("gate.example".into(), Some("a=1".into()));
        if method == "POST" {
            message.body = b"{}".into();
            message.add("content-type", "application/json");
            message.add("content-digest", passgate_passport::digest::content_digest(b"{}"));
        }
        message.add("signature-agent", named);
        message.add("signature-input", input);
        message.add("signature", signature);
        assert_eq!(code_of(&message, &agent, Coverage::UnlessSafe, NOW), "ok", "{named}");
        message.authority = "tools.example".into();
        assert_eq!(code_of(&message, &agent, Coverage::UnlessSafe, NOW), "proof_signature_invalid", "{named}");
    }
}
