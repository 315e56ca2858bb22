//! `keys rotate`: the next key that signs attestations.

use passgate_host::attestation_key::KeyFiles;
use passgate_host::control::{Rotated, Rotation};
use passgate_host::files as host_files;
use passgate_passport::key::{PublicKey, SecretKey};
use passgate_passport::key_set::{self, DatedKey};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::{access, files, moment};

/// Makes the next key, has the ledger's writer record that the present one hands over to it, and puts it in the present
/// one's place. Run again after a failure, it goes on where it stopped.
pub(crate) async fn run(context: &Context) -> Outcome {
    let loaded = context.load()?;
    let keys = KeyFiles::of(&loaded.paths.attestation_key);
    let present = files::read_private_key(&keys.present)?;
    let next = match keys.read_next()? {
        Some(next) => next,
        None => begun(&keys)?,
    };
    // A rotation that ended before its last file was gone.
    if next.public() == present.public() {
        remove_next(&keys)?;
        return tell(present.public(), None, None, &keys, context);
    }
    let kid = next.public().thumbprint().to_owned();
    let rotated = match access::open_if_there(&loaded).await? {
        Some(access) => Some(access.rotate_key(&Rotation { kid }).await?),
        None => None,
    };
    put_in_place(&keys, present.public(), &next)?;
    tell(next.public(), Some(present.public()), rotated, &keys, context)
}

fn begun(keys: &KeyFiles) -> Result<SecretKey, Failure> {
    let next = moment::new_key()?;
    host_files::write_key(&keys.next, &next, files::existing(false))?;
    Ok(next)
}

/// The public half of every key first: without the old one, what it signed could not be verified.
fn put_in_place(keys: &KeyFiles, old: &PublicKey, next: &SecretKey) -> Result<(), Failure> {
    let now = moment::now().seconds();
    let mut set = files::read_dated_keys(&keys.set)?;
    set.retain(|entry| entry.key != *next.public());
    if !set.iter().any(|entry| entry.key == *old) {
        set.push(DatedKey::unbounded(old.clone()));
    }
    for entry in set.iter_mut().filter(|entry| entry.key == *old) {
        entry.not_after = entry.not_after.or(Some(now));
    }
    set.push(DatedKey { not_before: Some(now), ..DatedKey::unbounded(next.public().clone()) });
    let text = [key_set::emit(&set).as_bytes(), b"\n"].concat();
    host_files::write_public(&keys.set, &text, files::existing(true))?;
    host_files::write_key(&keys.present, next, files::existing(true))?;
    remove_next(keys)
}

fn remove_next(keys: &KeyFiles) -> Result<(), Failure> {
    std::fs::remove_file(&keys.next).map_err(|error| Failure::io("remove", &keys.next, &error))
}

fn tell(
    signs: &PublicKey,
    before: Option<&PublicKey>,
    rotated: Option<Rotated>,
    keys: &KeyFiles,
    context: &Context,
) -> Outcome {
    let record = rotated.and_then(|rotated| rotated.attestation_id);
    let (file, set) = (keys.present.display().to_string(), keys.set.display().to_string());
    let output = &context.output;
    if output.is_json() {
        output.json(json!({ "thumbprint": signs.thumbprint(), "before": before.map(PublicKey::thumbprint),
            "attestation_id": record, "private_key_file": file, "keys_file": set }))?;
        return Ok(Exit::Ok);
    }
    let mut rows = vec![("signs now", signs.thumbprint().to_owned()), ("private key", file), ("public keys", set)];
    rows.extend(before.map(|key| ("signed before", key.thumbprint().to_owned())));
    rows.extend(record.map(|id| ("record", id)));
    output.members(&rows)?;
    Ok(Exit::Ok)
}
