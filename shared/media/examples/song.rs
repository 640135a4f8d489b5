//! Reads songs and says what came out: `cargo run -p rehearsekit-media --example song -- FILE…`. For comparing with
//! other decoders by hand: `--raw` writes the samples, interleaved 32-bit floats, to the standard output.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use rehearsekit_media::{DecodeError, Song};

fn main() -> ExitCode {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let raw = paths.first().is_some_and(|first| first == Path::new("--raw"));
    paths.drain(..usize::from(raw));
    let mut result = ExitCode::SUCCESS;
    for path in paths {
        match read(&path, raw) {
            Ok(text) if raw => eprintln!("{text}"),
            Ok(text) => println!("{text}"),
            Err(error) => {
                println!("error: {error}");
                result = ExitCode::FAILURE;
            }
        }
    }
    result
}

fn read(path: &Path, raw: bool) -> Result<String, DecodeError> {
    let mut song = Song::open(path)?;
    let mut block = Vec::new();
    let mut peak = 0f32;
    let mut out = std::io::stdout().lock();
    while song.next_block(&mut block)?.is_some() {
        peak = block.iter().flatten().fold(peak, |peak, sample| peak.max(sample.abs()));
        if raw {
            for frame in 0..block[0].len() {
                for channel in &block {
                    if out.write_all(&channel[frame].to_le_bytes()).is_err() {
                        return Ok(String::new());
                    }
                }
            }
        }
    }
    Ok(format!(
        "{}: {} frames, {} Hz, {} channels, peak {peak:.4}, expected {:?}, {:?}{}",
        path.display(),
        song.position(),
        song.rate().hz(),
        song.channels(),
        song.expected_frames(),
        song.tags(),
        song.remark().map_or_else(String::new, |remark| format!(" ({remark})")),
    ))
}
