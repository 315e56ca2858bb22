use passgate_passport::jwk::emit_set;
use passgate_passport::key::SecretKey;
use passgate_passport::status::{NewStatusList, Status, issue};

use super::*;
use crate::config::Config;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ISSUER: &str = "https://issuer.example";
const URI: &str = "https://issuer.example/status/1";

struct Folder {
    folder: tempfile::TempDir,
    loaded: Loaded,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed([1; 32]);
        fs::write(folder.path().join("keys.json"), emit_set([key.public()])).unwrap();
        let text = format!(
            r#"version: 1
gate: {{id: gate_1, level: L2, public_url: "http://127.0.0.1:1"}}
issuers:
  - {{id: "{ISSUER}", tier: L2, keys_file: keys.json, status_list: {{max_age_seconds: 60, file: lists.txt}}}}
routes: []
upstream: {{url: "http://127.0.0.1:2"}}
attestation: {{key_file: attestation.jwk}}
"#
        );
        let path = folder.path().join("passgate.yml");
        fs::write(&path, text).unwrap();
        let loaded = Config::load(&path).unwrap();
        Self { folder, loaded }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::from(self.loaded.gate.clone())
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("lists.txt"), text).unwrap();
    }
}

fn list(seconds_ago: i64, revoked: &[u64]) -> String {
    let new = NewStatusList {
        iss: ISSUER.to_owned(),
        uri: URI.to_owned(),
        iat: NOW.seconds() - seconds_ago,
        exp: None,
        ttl_seconds: None,
        entries: 8,
        revoked: revoked.iter().copied().collect(),
    };
    issue(&SecretKey::from_seed([1; 32]), &new).unwrap()
}

fn entry(gate: &Gate, idx: u64) -> Option<Status> {
    gate.status_lists.get(ISSUER, URI).map(|list| list.status(idx))
}

#[test]
fn what_changed_in_a_file_is_in_the_next_gate() {
    let folder = Folder::new();
    let mut files = StatusListFiles::of(&folder.loaded);
    folder.write(&format!("\n{}\n", list(5, &[])));
    let first = files.read(&folder.snapshot(), NOW).unwrap();
    assert_eq!(entry(&first, 3), Some(Status::Valid));
    assert!(files.read(&first, NOW).is_none(), "nothing new");
    folder.write(&list(4, &[3]));
    let second = files.read(&first, NOW).unwrap();
    assert_eq!((entry(&second, 3), entry(&first, 3)), (Some(Status::Invalid), Some(Status::Valid)));
    assert!(files.problems().is_empty());
}

#[test]
fn a_file_that_became_bad_keeps_the_last_good_list() {
    let folder = Folder::new();
    let mut files = StatusListFiles::of(&folder.loaded);
    assert!(files.read(&folder.snapshot(), NOW).is_none());
    assert_eq!(files.problems().len(), 1, "it is not there yet");
    folder.write(&list(5, &[3]));
    let gate = files.read(&folder.snapshot(), NOW).unwrap();
    assert!(files.problems().is_empty());
    let (signed, _) = list(1, &[]).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let stranger = NewStatusList {
        iss: ISSUER.to_owned(),
        uri: URI.to_owned(),
        iat: NOW.seconds(),
        exp: None,
        ttl_seconds: None,
        entries: 8,
        revoked: [].into(),
    };
    let stranger = issue(&SecretKey::from_seed([9; 32]), &stranger).unwrap();
    for bad in ["garbage", &format!("{signed}.{}", "A".repeat(86)), &stranger, &list(6, &[]), &list(-31, &[])] {
        folder.write(bad);
        let read = files.read(&gate, NOW);
        assert_eq!(entry(read.as_ref().unwrap_or(&gate), 3), Some(Status::Invalid), "{bad}");
        let problems = files.problems();
        assert_eq!((problems.len(), problems[0].issuer.as_str()), (1, ISSUER), "{bad}");
    }
    assert!(files.read(&gate, UnixMillis(NOW.0 + 31_000)).is_some(), "a list from the future is good in time");
    fs::remove_file(folder.folder.path().join("lists.txt")).unwrap();
    assert!(files.read(&gate, NOW).is_none());
    assert_eq!(files.problems().len(), 1);
    fs::create_dir(folder.folder.path().join("lists.txt")).unwrap();
    assert!(files.read(&gate, NOW).is_none());
}

#[test]
fn the_good_lists_of_a_file_are_used_beside_a_bad_one() {
    let folder = Folder::new();
    let mut files = StatusListFiles::of(&folder.loaded);
    folder.write(&format!("garbage\n{}\n", list(5, &[3])));
    let gate = files.read(&folder.snapshot(), NOW).unwrap();
    assert_eq!(entry(&gate, 3), Some(Status::Invalid));
    assert!(files.problems()[0].why.starts_with("line 1: "), "{:?}", files.problems());
    let many = (0..=MAX_LISTS).map(|_| list(5, &[3])).collect::<Vec<_>>().join("\n");
    folder.write(&many);
    files.read(&gate, NOW);
    assert!(files.problems()[0].why.contains("at most 64 lists"), "{:?}", files.problems());
    folder.write(&"\n".repeat(MAX_FILE_BYTES + 1));
    files.read(&gate, NOW);
    assert!(files.problems()[0].why.contains("longer than"), "{:?}", files.problems());
}

#[test]
fn a_request_keeps_the_gate_it_began_with() {
    let folder = Folder::new();
    let in_force = InForce::new(folder.loaded.gate.clone());
    let before = in_force.get();
    let mut files = StatusListFiles::of(&folder.loaded);
    folder.write(&list(5, &[3]));
    in_force.change(|gate| files.read(gate, NOW));
    assert_eq!((entry(&before, 3), entry(&in_force.get(), 3)), (None, Some(Status::Invalid)));
}
