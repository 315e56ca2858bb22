//! Gates that ask for a proof nobody could have made before: it answers a challenge of theirs.

use passgate_passport::challenge::{CHALLENGE_SECONDS, ChallengeKey};

use super::*;

fn key() -> ChallengeKey {
    ChallengeKey::new([4; 32])
}

fn asking() -> Gate {
    let mut gate = Gate { challenge_key: Some(key()), ..gate() };
    gate.profile.challenge = true;
    gate
}

/// What becomes of a request whose proof answers `challenge`, in either form.
fn answering(gate: &Gate, challenge: &str) -> [Option<Reason>; 2] {
    let search = || Call::new("GET", "/search", "");
    let calls =
        [search().signed_with(&format!("{challenge}.nonce-of-my-own")), search().dpop_answering(1, Some(challenge))];
    calls.map(|call| call.judged(gate).err().map(|refusal| refusal.reason))
}

#[test]
fn a_proof_answers_a_challenge_that_was_just_given_out() {
    for age in [0, CHALLENGE_SECONDS] {
        assert_eq!(answering(&asking(), &key().challenge("gate_1", NOW.seconds() - age)), [None; 2]);
    }
}

#[test]
fn an_old_challenge_that_of_another_gate_and_a_made_up_one_are_no_answer() {
    let now = NOW.seconds();
    for challenge in [
        key().challenge("gate_1", now - 2 * CHALLENGE_SECONDS),
        key().challenge("gate_1", now + CHALLENGE_SECONDS),
        key().challenge("gate_2", now),
        ChallengeKey::new([5; 32]).challenge("gate_1", now),
        "x".repeat(22),
    ] {
        assert_eq!(answering(&asking(), &challenge), [Some(Reason::ProofNonceRequired); 2], "{challenge}");
    }
    for call in [Call::new("GET", "/search", "").signed(1), Call::new("GET", "/search", "").dpop_answering(1, None)] {
        assert_eq!(call.judged(&asking()).unwrap_err().reason, Reason::ProofNonceRequired);
    }
}

#[test]
fn a_gate_that_cannot_say_what_it_asks_for_accepts_no_answer() {
    let gate = Gate { challenge_key: None, ..asking() };
    let challenge = key().challenge("gate_1", NOW.seconds());
    assert_eq!(answering(&gate, &challenge), [Some(Reason::ProofNonceRequired); 2]);
    assert_eq!(Call::new("GET", "/search", "").signed(1).judged(&gate).unwrap_err().reason, Reason::ProofNonceRequired);
}
