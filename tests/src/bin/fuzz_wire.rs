//! Fuzzes the wire with nothing but this toolchain: mutates known inputs at random for a while, the same way
//! for the same seed, and keeps what made a target panic. It sees no coverage; `tests/fuzz` does.
//!
//! `fuzz_wire [--seconds N] [--seed N] [--target NAME] [--replay FILE]`; exit code 1 if something was found,
//! 2 if it was not understood.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use rehearsekit_tests::{
    fuzz::{TARGETS, Target, seeds},
    netsim::Dice,
};

struct Options {
    seconds: u64,
    seed: u64,
    target: Option<String>,
    replay: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let chosen: Vec<Target> =
        TARGETS.into_iter().filter(|(name, _)| options.target.as_ref().is_none_or(|t| t == name)).collect();
    if let Some(path) = &options.replay {
        return match std::fs::read(path) {
            Ok(input) => {
                // No catching: the panic and its backtrace are what is wanted.
                chosen.iter().for_each(|(_, target)| target(&input));
                println!("{} runs through", path.display());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                ExitCode::from(2)
            }
        };
    }
    let each = Duration::from_secs(options.seconds) / chosen.len().max(1) as u32;
    let mut found = false;
    for target in chosen {
        found |= fuzz(target, each, options.seed);
    }
    if found { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 10, seed: 1, target: None, replay: None };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("{name} wants a whole number, not '{value}'"));
        match name.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--target" if TARGETS.iter().any(|(target, _)| *target == value) => options.target = Some(value),
            "--target" => {
                let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
                return Err(format!("no target '{value}'; there are {}", names.join(", ")));
            }
            "--replay" => options.replay = Some(value.into()),
            _ => return Err(format!("{name} is not known; --seconds, --seed, --target, --replay are")),
        }
    }
    Ok(options)
}

/// Runs one target for a while; says whether it panicked.
fn fuzz((name, target): Target, time: Duration, seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let corpus = seeds();
    let started = Instant::now();
    let mut runs = 0u64;
    while started.elapsed() < time {
        // The clock is looked at now and then only, so that it costs nothing.
        for _ in 0..256 {
            let input = mutated(&corpus, &mut dice);
            runs += 1;
            if std::panic::catch_unwind(|| target(&input)).is_err() {
                let path = std::env::temp_dir().join(format!("fuzz-{name}-{seed}-{runs}"));
                let kept = std::fs::write(&path, &input);
                eprintln!("{name}: FOUND with seed {seed} at run {runs}: {}", hex(&input));
                eprintln!("{name}: kept as {} ({kept:?}); try --target {name} --replay", path.display());
                return true;
            }
        }
    }
    println!("{name}: {runs} runs in {:.1} s, nothing found", started.elapsed().as_secs_f64());
    false
}

/// One of the corpus after one to eight accidents; now and then nothing but noise.
fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    const ODD: [u64; 10] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, u64::MAX];
    let pick = |dice: &mut Dice| &corpus[dice.below(corpus.len() as u64) as usize];
    if dice.below(16) == 0 {
        return (0..dice.below(400)).map(|_| dice.roll() as u8).collect();
    }
    let mut bytes = pick(dice).clone();
    for _ in 0..1 + dice.below(8) {
        let at = dice.below(bytes.len() as u64 + 1) as usize;
        let length = dice.below(9).min((bytes.len() - at) as u64) as usize;
        match dice.below(9) {
            0 => bytes.insert(at, dice.roll() as u8),
            1 => drop(bytes.drain(at..at + length)),
            2 => bytes.truncate(at),
            3 => bytes.extend_from_within(at..),
            4 => {
                let other = pick(dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                bytes.splice(at..at + length, other[from..].iter().copied());
            }
            5 => {
                let odd = ODD[dice.below(ODD.len() as u64) as usize].to_le_bytes();
                bytes[at..at + length.min(8)].copy_from_slice(&odd[..length.min(8)]);
            }
            6 => bytes[at..at + length].iter_mut().for_each(|b| *b = dice.roll() as u8),
            // A length or a count off by one, and the room for it.
            7 if at < bytes.len() => {
                bytes[at] = bytes[at].wrapping_add(if dice.below(2) == 0 { 1 } else { 0xff });
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            _ => {}
        }
    }
    // Doubling upon doubling helps nobody.
    bytes.truncate(4_096);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
