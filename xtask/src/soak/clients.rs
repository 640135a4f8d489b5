//! Clients that come, play and leave while the servers suffer: `rehearsekit load`, a few at a time, which checks every
//! stem. How much comes in time is not looked at: the machine may be busy.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::server::Server;
use crate::kit::{Kit, SPLEETER};

/// How many come at once.
const AT_ONCE: u32 = 4;
/// How long each plays, in seconds.
const SECONDS: &str = "3";
/// A budget that any machine holds.
const BUDGET: &str = "3s";

/// Clients under way.
pub(super) struct Clients {
    coming: JoinHandle<Vec<String>>,
    served: Arc<AtomicU32>,
    wanted: u32,
}

/// What became of them.
pub(super) struct Came {
    pub(super) breaches: Vec<String>,
    pub(super) json: Value,
}

impl Clients {
    /// Begins to send `wanted` clients to both servers in turn, spread over `length`, until it is `over`.
    ///
    /// # Errors
    /// When there is nothing to play.
    pub(super) fn begin(
        kit: &Kit,
        servers: [&Server; 2],
        wanted: u32,
        length: Duration,
        folder: &Path,
        over: Arc<AtomicBool>,
    ) -> Result<Self> {
        let wave =
            Wave { program: kit.program().to_owned(), song: kit.example_song()?, folder: folder.to_owned() };
        let addresses = servers.map(|server| server.listen.clone());
        let served = Arc::new(AtomicU32::new(0));
        let counted = served.clone();
        let waves = wanted.div_ceil(AT_ONCE);
        let coming = std::thread::spawn(move || {
            let (began, mut breaches) = (Instant::now(), Vec::new());
            for number in 0..waves {
                let due = length.mul_f64(0.92 * f64::from(number) / f64::from(waves));
                while began.elapsed() < due && !over.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(100));
                }
                if over.load(Ordering::Acquire) {
                    break;
                }
                let clients = AT_ONCE.min(wanted - number * AT_ONCE);
                match wave.play(&addresses[number as usize % 2], clients) {
                    Ok(()) => drop(counted.fetch_add(clients, Ordering::AcqRel)),
                    Err(error) => breaches
                        .push(format!("clients after {:.0} s: {error:#}", began.elapsed().as_secs_f64())),
                }
            }
            breaches
        });
        Ok(Self { coming, served, wanted })
    }

    /// How many have come, played and left so far.
    pub(super) fn served(&self) -> u32 {
        self.served.load(Ordering::Acquire)
    }

    /// Waits for those who are there.
    pub(super) fn end(self) -> Came {
        let mut breaches = self.coming.join().unwrap_or_else(|_| vec!["the clients ended early".to_owned()]);
        let (served, wanted) = (self.served.load(Ordering::Acquire), self.wanted);
        if served < wanted {
            breaches.push(format!("{served} of {wanted} clients came, played and left"));
        }
        Came { breaches, json: json!({"wanted": wanted, "served": served}) }
    }
}

struct Wave {
    program: PathBuf,
    song: PathBuf,
    folder: PathBuf,
}

impl Wave {
    /// An error if one did not get in, or got something that were no stems of the song.
    fn play(&self, server: &str, clients: u32) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["load", "--json", "--server", server, "--clients", &clients.to_string()]);
        command.args(["--seconds", SECONDS, "--budget", BUDGET, "--mix", SPLEETER, "--songs"]);
        // It needs none, and must not find the user's own.
        command.arg(&self.song).env("REHEARSEKIT_DATA", self.folder.join("clients"));
        let output = command.stdin(Stdio::null()).output().context("could not start `rehearsekit load`")?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let result: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
        judge(&result, clients)
    }
}

fn judge(result: &Value, clients: u32) -> Result<()> {
    let total = &result["total"];
    let refused = result["refused"].as_array().and_then(|refused| refused.first());
    if let Some(refused) = refused {
        anyhow::bail!("one was refused: {}", refused["sentence"].as_str().unwrap_or("without a word"));
    }
    anyhow::ensure!(total["admitted"].as_u64() == Some(clients.into()), "not all were admitted: {total}");
    anyhow::ensure!(total["stems_right"] == json!(true), "what they got were no stems of the song: {total}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_refused_or_got_wrong_stems_is_a_breach_and_who_missed_something_is_not() {
        let of = |admitted: u32, right: bool, refused: Value| json!({"total": {"admitted": admitted, "stems_right": right, "misses": 7}, "refused": refused});
        judge(&of(4, true, json!([])), 4).unwrap();
        for wrong in
            [of(3, true, json!([])), of(4, false, json!([])), of(3, true, json!([{"sentence": "full"}]))]
        {
            assert!(judge(&wrong, 4).is_err(), "{wrong}");
        }
    }
}
