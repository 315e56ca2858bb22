//! Writes `tests/vectors/cases/*.json` anew from the catalogue, and removes files of cases that are no longer in it.
//!
//! Run it after changing the catalogue or, knowingly, what is decided or recorded; then read the difference.

use passgate_tests::{case, catalogue};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let texts = catalogue::generate().await?;
    let folder = case::folder();
    std::fs::create_dir_all(&folder)?;
    for name in case::texts()?.keys().filter(|name| !texts.contains_key(*name)) {
        std::fs::remove_file(folder.join(format!("{name}.json")))?;
        eprintln!("removed {name}");
    }
    for (name, text) in &texts {
        std::fs::write(folder.join(format!("{name}.json")), text)?;
    }
    eprintln!("wrote {} cases to {}", texts.len(), folder.display());
    Ok(())
}
