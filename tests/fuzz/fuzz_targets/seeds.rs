//! Writes the known inputs into a folder, for libFuzzer to start from: `seeds FOLDER`. Not a target.

#[path = "../../src/fuzz/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the seeds are wanted here")]
mod fuzz;

fn main() -> std::io::Result<()> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "corpus".into()));
    std::fs::create_dir_all(&folder)?;
    for (i, seed) in fuzz::seeds().into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i:02}")), seed)?;
    }
    Ok(())
}
