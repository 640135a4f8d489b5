//! JACK with its dummy driver, and an ear at its ports. It ends with its value.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::shell::{Background, capture, run};
use crate::wav::Sound;

/// JACK without a sound card; its log is `jackd.log` in `folder`.
pub(crate) fn jack(folder: &Path) -> Result<Background> {
    start(folder, &[])
}

/// The same, waiting in each cycle until all programs are done with it: on a busy machine it becomes slow and skips
/// nothing, so that what is recorded can be held against a song frame by frame.
pub(super) fn jack_in_step(folder: &Path) -> Result<Background> {
    start(folder, &["-S"])
}

fn start(folder: &Path, more: &[&str]) -> Result<Background> {
    let log = std::fs::File::create(folder.join("jackd.log"))?;
    let mut command = Command::new("jackd");
    command.args(["-r", "-t", "10000"]).args(more).args(["-d", "dummy", "-r", "44100", "-p", "512"]);
    let jack = Background::start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    run(Command::new("jack_wait").args(["-w", "-t", "20"]))?;
    Ok(jack)
}

/// How loud it is at these JACK ports, as RMS in dB below full scale, over two seconds from when a gesture made now
/// must be heard.
pub(crate) fn level(ports: &[String], folder: &Path) -> Result<f64> {
    let heard = record(ports, 2, &folder.join("level.wav"))?;
    let samples: Vec<f64> = heard.channels.iter().flatten().map(|sample| f64::from(*sample)).collect();
    let power = samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64;
    Ok(10.0 * (power + 1e-20).log10())
}

/// What comes out of these JACK ports for some seconds from when a gesture made now must be heard, kept as `out`.
pub(crate) fn record(ports: &[String], seconds: u32, out: &Path) -> Result<Sound> {
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let mut recorder = Command::new("jack_rec");
    recorder.arg("-f").arg(out).args(["-d", &seconds.to_string(), "-b", "32"]).args(ports);
    capture(&mut recorder)?;
    let heard = Sound::read(out)?;
    anyhow::ensure!(heard.frames() > 0, "nothing was recorded");
    Ok(heard)
}
