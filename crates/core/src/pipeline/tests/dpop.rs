//! Requests that prove possession with DPoP.

use passgate_passport::proof::dpop::{self, DpopParams};

use super::*;

impl Call {
    fn dpop(self, jti: u32) -> Self {
        self.dpop_answering(jti, None)
    }

    pub(super) fn dpop_answering(mut self, jti: u32, nonce: Option<&str>) -> Self {
        let jti = format!("jti-{jti:016}");
        let params = DpopParams { created: NOW.seconds(), jti: &jti, expires: None, nonce };
        let proof = dpop::sign(&self.http(&self.lines()), &self.key, &params, &[]).unwrap();
        self.headers.push(("dpop".to_owned(), proof.into_bytes()));
        self
    }
}

const ORDER: &str = r#"{"usd":20,"to":"shop.example"}"#;

#[test]
fn either_form_of_proof_is_allowed_once() {
    let mut rows = LoadedRows::new();
    let call = Call::new("POST", "/pay", ORDER).dpop(1);
    let judged = call.judged(&gate()).unwrap();
    assert_eq!(judged.request().proof.as_deref(), Some("dpop"));
    assert_eq!(run(&mut rows, &call).reason, None);
    assert_eq!(run(&mut rows, &call).reason, Some(Reason::NonceReplayed));
    let signed = Call::new("POST", "/pay", ORDER).signed(1);
    assert_eq!(signed.judged(&gate()).unwrap().request().proof, None);
    assert_eq!(run(&mut rows, &signed).reason, None);
}

#[test]
fn two_forms_at_once_are_refused() {
    let refusal = Call::new("GET", "/search", "").dpop(1).signed(1).judged(&gate()).unwrap_err();
    assert_eq!(refusal.reason, Reason::ProofAmbiguous);
    assert_eq!(refusal.agent().unwrap().agent_id, "bot-1");
}

#[test]
fn a_changed_request_is_refused_with_its_reason() {
    let signed = || Call::new("POST", "/pay", ORDER).dpop(1);
    let mut path = signed();
    path.path = "/paid".to_owned();
    let mut method = signed();
    method.method = "PUT";
    let mut body = signed();
    body.body[8] = b'9';
    let mut kind = signed();
    kind.headers.iter_mut().find(|(name, _)| name == "content-type").unwrap().1 = b"application/x-json".to_vec();
    let mut other = signed();
    other.headers[0].1 = passport(&["web:*"]).into_bytes();
    for (call, reason) in [
        (path, Reason::ProofTargetMismatch),
        (method, Reason::ProofMethodMismatch),
        (body, Reason::ContentDigestMismatch),
        (kind, Reason::ProofFieldMismatch),
        (other, Reason::ProofPassportMismatch),
    ] {
        assert_eq!(call.judged(&gate()).unwrap_err().reason, reason);
    }
}
