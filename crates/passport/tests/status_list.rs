//! The test vectors of draft-ietf-oauth-status-list, read from the folder in `PASSGATE_VECTORS`: with the variable set a
//! missing file fails the test, without it the test says that it skipped.
#![cfg(test)]

use std::path::PathBuf;

use passgate_passport::b64;
use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::SecretKey;
use passgate_passport::status::{self, Status, StatusListContext};
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, Tier};
use serde_json::{Value, json};

const URI: &str = "https://example.com/statuslists/1";

fn number(status: Status) -> u64 {
    match status {
        Status::Valid => 0,
        Status::Invalid => 1,
        Status::Suspended => 2,
        Status::Other(value) => value.into(),
        Status::OutOfRange => panic!("an entry of the list"),
    }
}

fn hex(text: &Value) -> Vec<u8> {
    let digits: Vec<u8> =
        text.as_str().unwrap().chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn every_entry_of_the_drafts_lists_has_its_status() {
    let Some(folder) = std::env::var_os("PASSGATE_VECTORS") else {
        println!("skipped: PASSGATE_VECTORS is not set");
        return;
    };
    let path = PathBuf::from(folder).join("status-list/ietf-tsl-vectors.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let key = SecretKey::from_seed([1; 32]);
    let issuer = Issuer {
        id: "https://example.com".to_owned(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey::unbounded(key.public().clone())],
        max_passport_ttl_seconds: 1,
    };
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 6, "the four lists of the appendix and two worked examples");
    for vector in vectors {
        let lst = vector["lst"].as_str().map_or_else(|| b64::encode(&hex(&vector["compressed_hex"])), str::to_owned);
        let claims = json!({"iat": 1, "sub": URI, "status_list": {"bits": vector["bits"], "lst": lst}});
        let token = jws::sign(&key, TokenType::StatusList, claims.to_string().as_bytes());
        let context = StatusListContext { issuer: &issuer, uri: Some(URI), now: 1, leeway_seconds: 0 };
        let list = status::verify(&token, &context).unwrap();
        let listed = vector["status"].as_object().unwrap();
        assert_eq!(list.entries(), vector["size"].as_u64().unwrap_or(listed.len() as u64));
        for idx in 0..list.entries() {
            let expected = listed.get(&idx.to_string()).map_or(0, |value| value.as_u64().unwrap());
            assert_eq!(number(list.status(idx)), expected, "{} bits, entry {idx}", vector["bits"]);
        }
    }
}
