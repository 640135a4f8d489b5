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
/// Then something is broken for good.
const MOST_BREACHES: usize = 10;
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
        let coming = std::thread::spawn(move || {
            let (began, mut breaches) = (Instant::now(), Vec::new());
            let is_over = || over.load(Ordering::Acquire);
            for server in (0..2).cycle() {
                let served = counted.load(Ordering::Acquire);
                let due = length.mul_f64(0.9 * f64::from(served) / f64::from(wanted));
                while began.elapsed() < due && !is_over() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                if served >= wanted || is_over() || breaches.len() >= MOST_BREACHES {
                    break;
                }
                match wave.play(&addresses[server], AT_ONCE.min(wanted - served)) {
                    Ok(0) => std::thread::sleep(Duration::from_secs(1)),
                    Ok(admitted) => {
                        counted.fetch_add(admitted, Ordering::AcqRel);
                    }
                    // One that was cut off by the end of the soak is none.
                    Err(error) if !is_over() => breaches
                        .push(format!("clients after {:.0} s: {error:#}", began.elapsed().as_secs_f64())),
                    Err(_) => {}
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
    /// How many were admitted, played and left. An error if one was turned away for another reason than that the server
    /// is full, which a busy machine is, or got what are no stems of the song.
    fn play(&self, server: &str, clients: u32) -> Result<u32> {
        let mut command = Command::new(&self.program);
        command.args(["load", "--json", "--server", server, "--clients", &clients.to_string()]);
        command.args(["--seconds", SECONDS, "--budget", BUDGET, "--mix", SPLEETER, "--songs"]);
        // It needs none, and must not find the user's own.
        command.arg(&self.song).env("REHEARSEKIT_DATA", self.folder.join("clients"));
        let output = command.stdin(Stdio::null()).output().context("could not start `rehearsekit load`")?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let result: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
        judge(&result)
    }
}

fn judge(result: &Value) -> Result<u32> {
    let total = &result["total"];
    for refused in result["refused"].as_array().into_iter().flatten() {
        let sentence = refused["sentence"].as_str().unwrap_or("without a word");
        anyhow::ensure!(refused["code"] == json!("full"), "one was turned away: {sentence}");
    }
    anyhow::ensure!(total["stems_right"] == json!(true), "what they got were no stems of the song: {total}");
    let admitted = total["admitted"].as_u64().and_then(|admitted| u32::try_from(admitted).ok());
    admitted.with_context(|| format!("nobody knows how many were admitted: {total}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_or_gets_wrong_stems_is_a_breach_and_a_full_server_or_a_miss_is_not() {
        let of = |right: bool, code: &str| {
            json!({"total": {"admitted": 3, "stems_right": right, "misses": 7},
                "refused": [{"sentence": "no", "code": code}]})
        };
        assert_eq!(judge(&of(true, "full")).unwrap(), 3);
        for wrong in [of(true, "not_ready"), of(false, "full"), json!({})] {
            assert!(judge(&wrong).is_err(), "{wrong}");
        }
    }
}
