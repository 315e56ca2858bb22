//! The Ed25519 examples in the draft's appendix of test vectors. Their key is that of RFC 9421 appendix B.1.4.

use alloc::string::ToString as _;

use super::directory::{PUBLISHED_KEYS, verify_signatures};
use super::*;
use crate::key::PublicKey;

/// The private key, which everybody knows.
const SEED: &str = "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU";
const KEYID: &str = "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";
const DIRECTORY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs","use":"sig"}]}"#;
const CREATED: i64 = 1_735_689_600;

/// `signature-agent`, `signature-input` from the label on, and the signature, in base64.
struct Example {
    agent: Option<&'static str>,
    covered: &'static str,
    expires: i64,
    nonce: &'static str,
    signature: &'static str,
}

const EXAMPLES: [Example; 3] = [
    Example {
        agent: Some("agent2=\"https://signature-agent.test\""),
        covered: "(\"@authority\" \"signature-agent\";key=\"agent2\")",
        expires: 4_889_289_600,
        nonce: "n9p433xm+NJ3ph3upfBIGmsuwHw387YV7Q/F+6BSpGCVjYCqQw6rznNA8PVVLySrAWsv0hQtFioQb6E1YsauiA==",
        signature: "RdNFx5Bj6au3YgAMQL/RzmUlZE8QZLIaXGRpw985hWnwPfMxT228NMk6ehRS1PSl4e8PhbNZACSanGdhEwYCCg==",
    },
    Example {
        agent: Some("\"https://signature-agent.test\""),
        covered: "(\"@authority\" \"signature-agent\")",
        expires: 1_735_693_200,
        nonce: "e8N7S2MFd/qrd6T2R3tdfAuuANngKI7LFtKYI/vowzk4lAZYadIX6wW25MwG7DCT9RUKAJ0qVkU0mEeLElW1qg==",
        signature: "jdq0SqOwHdyHr9+r5jw3iYZH6aNGKijYp/EstF4RQTQdi5N5YYKrD+mCT1HA1nZDsi6nJKuHxUi/5Syp3rLWBA==",
    },
    // Of earlier drafts, in which the field may be missing.
    Example {
        agent: None,
        covered: "(\"@authority\")",
        expires: 4_889_289_600,
        nonce: "zIW8+cdmA3vdYagbxojpONwa/l0EKJ/O3/wD486VvsQjO/RxPaSt6ZxvQaMcQzNnqKN/mQ6hpGiFro2L2qkz5A==",
        signature: "QKN4fTdIYfh82fvoZCQiQA1weuozfCS/Led2zTMbewMMqH8PI2Wsy/5c4ao6B6D09nraNQdBNOADg8aM1MqfCg==",
    },
];

impl Example {
    fn run<T>(&self, method: &str, run: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        let input = format!(
            "sig2={};created={CREATED};keyid=\"{KEYID}\";alg=\"ed25519\";expires={};nonce=\"{}\";tag=\"web-bot-auth\"",
            self.covered, self.expires, self.nonce
        );
        let signature = format!("sig2=:{}:", self.signature);
        let mut headers = Vec::from([
            Header { name: INPUT_FIELD, value: input.as_bytes() },
            Header { name: SIGNATURE_FIELD, value: signature.as_bytes() },
        ]);
        headers.extend(self.agent.map(|agent| Header { name: SIGNATURE_AGENT_FIELD, value: agent.as_bytes() }));
        let (scheme, authority, path) = ("https", "example.com", "/path/to/resource");
        run(&HttpRequest { method, scheme, authority, path, query: None, headers: &headers, body: b"" })
    }

    fn code(&self, method: &str, coverage: Coverage, now: i64) -> &'static str {
        let agent = example_agent();
        self.run(method, |request| verify(request, &agent, coverage, now).map_or_else(|error| error.code(), |_| "ok"))
    }
}

fn example_agent() -> ForeignAgent {
    let url = AgentUrl::parse("https://signature-agent.test").unwrap();
    ForeignAgent { url, directory: Directory::read_any(DIRECTORY.as_bytes()).unwrap() }
}

#[test]
fn the_drafts_requests_are_recognised() {
    let agent = example_agent();
    for example in &EXAMPLES {
        example.run("GET", |request| {
            assert!(is_presented(request));
            let presented = Presented::read(request).unwrap();
            assert_eq!(presented.agent(), example.agent.map(|_| &agent.url));
            assert_eq!(presented.keyid(), KEYID);
            let proof = presented.verify(&agent, Coverage::UnlessSafe, CREATED + 60).unwrap();
            assert_eq!(proof.form(), ProofForm::WebBotAuth);
            assert_eq!(proof.proven(), Proven { method: false, path: false, query: false });
            assert_eq!((proof.created(), proof.expires_at()), (CREATED, CREATED + 300));
            assert_eq!(proof.key_thumbprint(), KEYID);
            assert_eq!(proof.nonce(), replay_key(Some(example.nonce), &[]));
        });
        assert_eq!(example.code("HEAD", Coverage::UnlessSafe, CREATED), "ok");
    }
}

#[test]
fn the_drafts_requests_prove_nothing_but_the_authority() {
    for example in &EXAMPLES {
        assert_eq!(example.code("GET", Coverage::EveryRequest, CREATED), "proof_coverage");
        assert_eq!(example.code("DELETE", Coverage::UnlessSafe, CREATED), "proof_coverage");
        assert_eq!(example.code("GET", Coverage::UnlessSafe, CREATED + 301), "proof_expired");
    }
}

/// `signature-input` and `signature` of the directory: of the draft, and of the library that comes with it.
const DIRECTORY_PROOFS: [(&str, &str); 2] = [
    (
        r#"binding=("@authority";req "content-digest");created=1735689600;expires=4889289600;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";tag="http-message-signatures-directory""#,
        "binding=:l6P8R67tm3kujAxbHWio7ll01qrEZ0dKD/WWlGhNYEmTnFZM8Wt0VQ9zqGfvo7T/UMkBxsigzChM1Gpz7gOVBg==:",
    ),
    (
        r#"binding0=("@authority";req "content-digest");created=1735689600;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519";expires=4889289600;tag="http-message-signatures-directory""#,
        "binding0=:yiHq0TXrbpzbmlttAQMpYoAufitFJUWuNsakB7QQMoN0EHbo5o51bZRVR8az/ptTWCwllix9clrKXfGKwdPzBg==:",
    ),
];

#[test]
fn the_drafts_directory_vouches_for_itself() {
    let url = example_agent().url;
    for (input, signature) in DIRECTORY_PROOFS {
        let headers = [
            Header { name: "content-type", value: DIRECTORY_MEDIA_TYPE.as_bytes() },
            Header { name: DIGEST_FIELD, value: b"sha-256=:CADMT2aBdV/rqQr/NIru64ERQkCobVvllA4V0fLFDu0=:" },
            Header { name: INPUT_FIELD, value: input.as_bytes() },
            Header { name: SIGNATURE_FIELD, value: signature.as_bytes() },
        ];
        let response = DirectoryResponse { url: &url, headers: &headers, body: DIRECTORY.as_bytes() };
        let proven = verify_signatures(&response, Directory::read_any, CREATED).unwrap();
        assert_eq!(proven, example_agent().directory);
        let refused = verify_response(&response, CREATED).unwrap_err();
        assert_eq!(refused, DirectoryError::PublishedKey { keyid: KEYID.to_string() });
    }
}

#[test]
fn a_directory_is_signed_as_in_the_draft() {
    let seed: [u8; 32] = b64::decode(SEED).unwrap().try_into().unwrap();
    let key = SecretKey::from_seed(seed);
    let signed = sign_response(&example_agent().url, DIRECTORY.as_bytes(), &[&key], CREATED, 4_889_289_600).unwrap();
    let (input, signature) = DIRECTORY_PROOFS[0];
    assert_eq!(signed.signature_input, input.replace("binding=", "binding0="));
    assert_eq!(signed.signature, signature.replace("binding=", "binding0="));
    assert_eq!(signed.content_digest.as_deref(), Some("sha-256=:CADMT2aBdV/rqQr/NIru64ERQkCobVvllA4V0fLFDu0=:"));
}

#[test]
fn the_published_keys_are_those_of_the_rfcs() {
    let rfc9421: [u8; 32] = b64::decode(SEED).unwrap().try_into().unwrap();
    let rfc8032 = [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    ];
    let rfc8032 = rfc8032.map(|hex| crate::digest::read_sha256_label(&format!("sha256:{hex}")).unwrap());
    let keys: Vec<PublicKey> =
        [rfc9421].into_iter().chain(rfc8032).map(|seed| SecretKey::from_seed(seed).public().clone()).collect();
    assert_eq!(keys.iter().map(PublicKey::thumbprint).collect::<Vec<_>>(), PUBLISHED_KEYS);
    for key in &keys {
        let set = crate::jwk::emit_set([key]);
        assert_eq!(Directory::read(set.as_bytes()).map_err(|error| error.code()), Err("directory_key_published"));
    }
}

/// The value of a field in the example of the page.
fn page_field(page: &'static str, name: &str) -> &'static str {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("the page has no {name}"))
}

#[test]
fn the_pages_example() {
    let page = include_str!("../../../../../docs/spec/web-bot-auth.md");
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let key = SecretKey::from_seed(crate::digest::read_sha256_label(&format!("sha256:{seed}")).unwrap());
    let headers = [Header { name: "content-type", value: page_field(page, "Content-Type").as_bytes() }];
    let request = HttpRequest {
        method: "POST",
        scheme: "https",
        authority: page_field(page, "Host"),
        path: "/pay",
        query: Some("draft=1"),
        headers: &headers,
        body: br#"{"hello": "world"}"#,
    };
    let (agent, created, nonce) = ("https://signer.example", 1_800_000_000, "b64Zk1uq0y7cT5mC");
    let signed = sign(&request, &key, &ForeignParams { agent, created, expires: created + 60, nonce }).unwrap();
    let fields = [
        ("Signature-Agent", SIGNATURE_AGENT_FIELD, signed.signature_agent),
        ("Signature-Input", INPUT_FIELD, signed.signature_input),
        ("Signature", SIGNATURE_FIELD, signed.signature),
        ("Content-Digest", DIGEST_FIELD, signed.content_digest.unwrap()),
    ];
    let mut all = headers.to_vec();
    for (shown, name, value) in &fields {
        assert_eq!(page_field(page, shown), value);
        all.push(Header { name, value: value.as_bytes() });
    }
    let complete = HttpRequest { headers: &all, ..request };
    let directory = Directory::read_any(crate::jwk::emit_set([key.public()]).as_bytes()).unwrap();
    let agent = ForeignAgent { url: AgentUrl::parse(agent).unwrap(), directory };
    assert_eq!(verify(&complete, &agent, Coverage::EveryRequest, created).unwrap().proven(), Proven::ALL);
    let components = Presented::read(&complete).unwrap().components;
    let params_text = page_field(page, "\"@signature-params\"");
    let (text, _) = base::build(&complete, &components, params_text).unwrap();
    assert!(page.contains(&format!("```\n{text}\n```")));
}

#[test]
fn the_page_names_every_refusal() {
    let page = include_str!("../../../../../docs/spec/web-bot-auth.md");
    let codes = [
        ProofError::Ambiguous.code(),
        ProofError::Missing { field: INPUT_FIELD }.code(),
        ProofError::malformed(INPUT_FIELD, "").code(),
        ProofError::coverage("", "").code(),
        ProofError::AgentMismatch.code(),
        ProofError::KeyUnknown.code(),
        ProofError::InFuture { created: 0, now: 0 }.code(),
        ProofError::Expired { expires_at: 0, now: 0 }.code(),
        ProofError::ContentDigestMissing.code(),
        ProofError::NonceMissing.code(),
        ProofError::SignatureInvalid.code(),
        ProofError::from(crate::digest::DigestError::Malformed).code(),
        DirectoryError::Keys(crate::jwk::JwkError::Private).code(),
        DirectoryError::Empty.code(),
        DirectoryError::PublishedKey { keyid: String::new() }.code(),
        DirectoryError::MediaType.code(),
    ];
    for code in codes {
        assert!(page.contains(&format!("`{code}`")), "{code}");
    }
}
