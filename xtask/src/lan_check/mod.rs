//! `cargo xtask lan-check`: two machines made of network namespaces, servers on one, the standalone with its window on
//! the other, and then the plugin in Ardour; outside of the CI: it takes a desktop's worth of packages. The windows are
//! worked with mouse and keys: a server is found, its code typed, played with, lost and found again at another address,
//! shut out, lost for good, and looked for where multicast is blocked. Figures and pictures are kept below
//! `target/lan-check/`.

mod player;

#[path = "../../../tests/src/netns.rs"]
#[allow(unreachable_pub, reason = "it is public where it is at home")]
pub(crate) mod netns;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use netns::{Lan, Running, Side};
use serde_json::{Value, json};

use crate::bundle;
use crate::daw_check::{Ardour, Editor, Screen, jack, song};
use crate::findings::{Finding, report};
use crate::kit::{Kit, SPLEETER};
use crate::setup;
use crate::shell::{Background, empty, target_dir};
use crate::wav::Sound;
pub(crate) use player::Player;

/// Where the server that is paired with listens, and another of the same name.
const PORTS: [u16; 2] = [7433, 7434];
/// Generous; only a hang lasts this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A picture is drawn and a server seen within this.
const MOMENT: Duration = Duration::from_secs(3);

/// Runs the check.
///
/// # Errors
/// When something it needs cannot be had, or what happened was wrong.
pub(crate) fn check() -> Result<()> {
    setup::prepare(setup::Purpose::Lan)?;
    let bundles = bundle::bundle(&bundle::Args::release())?;
    let kit = Kit::release()?;
    kit.pull(SPLEETER, false)?;
    let folder = target_dir().join("lan-check");
    empty(&folder)?;
    let (song, music) = song(&kit, &folder)?;
    let lan = Lan::new();
    let closet = Closet::start(&kit, &lan, &folder, PORTS[0])?;

    let screen = Screen::start(79)?;
    let _jack = jack(&folder)?;
    let player = Player::standalone(&lan, &screen, &song, &folder, 2)?;
    // The picker keeps them in the order in which they came.
    let other = Closet::start(&kit, &lan, &folder, PORTS[1])?;
    let mut seen: Vec<Finding> = Vec::new();

    player.press("Connection. ")?;
    player.photograph("found")?;
    player.press("1, new, wants a code")?;
    player.photograph("asked")?;
    player.type_code("0000-0000")?;
    player.photograph("no-code")?;
    let (code, _showing) = closet.show_code()?;
    let wrong = if code.starts_with('0') { "1111-1111" } else { "0000-0000" };
    player.type_code(wrong)?;
    player.photograph("wrong-code")?;
    player.type_code(&code)?;
    closet.wait_for_sessions(1)?;
    player.photograph("paired")?;
    let clients = closet.json(&["clients", "list", "--json"])?;
    let names = clients["clients"].as_array().map(Vec::len);
    seen.push(("paired by typing the code: clients that the server lists", json!(names), names == Some(1)));

    player.press("Back to the mixer")?;
    let all = player.level()?;
    player.press("Band mute")?;
    let vocals = player.level()?;
    player.photograph("playing")?;
    seen.push(("everything up, dB", json!(all), all > -30.0));
    seen.push(("the band muted, dB", json!(vocals), vocals > -60.0 && vocals < all - 0.3));

    // Another address on the first cable, and none on the second.
    for gone in ["10.77.0.1/24", "fd77:0::1/64"] {
        lan.ip(Side::Closet, &["addr", "del", gone, "dev", "lan0"]);
    }
    lan.ip(Side::Closet, &["link", "set", "lan1", "down"]);
    lan.ip(Side::Closet, &["addr", "add", "10.77.0.9/24", "dev", "lan0"]);
    let took = closet.wait_for_sessions(2)?;
    seen.push(("moved to another address, found again after s", json!(took), true));
    let moved = player.level()?;
    seen.push(("the band muted, at the new address, dB", json!(moved), (moved - vocals).abs() < 6.0));
    player.photograph("moved")?;

    closet.json(&["clients", "revoke", "--json", &player.name])?;
    std::thread::sleep(MOMENT);
    player.press("Connection. ")?;
    player.photograph("revoked")?;
    let others = other.sessions()?;
    seen.push(("sessions on the server of the same name", json!(others), others == 0));

    drop(closet);
    std::thread::sleep(Duration::from_secs(6));
    player.photograph("vanished")?;
    seen.extend(in_ardour(&lan, &other, &bundles, &music, &folder)?);
    drop(other);
    lan.block(Side::Stage, "input", "udp dport 5353");
    std::thread::sleep(Duration::from_secs(25));
    player.photograph("blocked")?;
    let bridged = player.level()?;
    seen.push(("no server any more: the song, dB", json!(bridged), bridged > -60.0));
    report(&seen, &folder, "lan-check")
}

/// The plugin in a DAW on the stage: paired with the server that is left by typing its code in the editor, and played.
fn in_ardour(
    lan: &Lan,
    closet: &Closet<'_>,
    bundles: &Path,
    music: &Sound,
    folder: &Path,
) -> Result<Vec<Finding>> {
    // Long enough for all that is done while it plays.
    let channels = music.channels.iter().map(|one| one.repeat(4)).collect();
    let music = Sound { rate_hz: music.rate_hz, channels };
    let ardour = Ardour::new(&folder.join("ardour"), Some(bundles), music.seconds() + 1.0)?;
    ardour.make_session(&music)?;
    let screen = Screen::start(77)?;
    let player = Player::in_ardour(lan, &screen, &ardour, folder, 2)?;
    player.press("Connection. ")?;
    player.photograph("ardour-found")?;
    player.press("1, new, wants a code")?;
    let (code, _showing) = closet.show_code()?;
    player.type_code(&code)?;
    closet.wait_for_sessions(1)?;
    player.photograph("ardour-paired")?;
    player.press("Back to the mixer")?;
    Editor::play(&screen)?;
    let all = player.level()?;
    player.press("Band mute")?;
    let vocals = player.level()?;
    player.photograph("ardour-playing")?;
    Ok(vec![
        ("in Ardour, paired by typing the code, dB", json!(all), all > -30.0),
        ("in Ardour, the band muted, dB", json!(vocals), vocals > -60.0 && vocals < all - 0.3),
    ])
}

/// A server in the closet, with an identity of its own and everybody's models.
struct Closet<'a> {
    lan: &'a Lan,
    data: PathBuf,
    program: PathBuf,
    log: PathBuf,
    running: Background,
}

impl<'a> Closet<'a> {
    fn start(kit: &Kit, lan: &'a Lan, folder: &Path, port: u16) -> Result<Self> {
        let data = folder.join(format!("data-{port}"));
        std::fs::create_dir_all(&data)?;
        for part in std::fs::read_dir(kit.data())? {
            let part = part?;
            #[cfg(unix)]
            if part.file_name() != "identity" {
                std::os::unix::fs::symlink(part.path(), data.join(part.file_name()))?;
            }
        }
        let (log, out) =
            (folder.join(format!("server-{port}.log")), folder.join(format!("server-{port}.out")));
        let program = kit.program().to_path_buf();
        let mut command = lan.command(Side::Closet, &program, &[("REHEARSEKIT_DATA", data.as_os_str())]);
        let (listen, http) = (format!("[::]:{port}"), format!("127.0.0.1:{}", port + 100));
        command.args(["serve", "--json", "--model", SPLEETER, "--set", "server_name=closet"]);
        command.args(["--listen", &listen, "--http", &http]).stdin(Stdio::null());
        command.stdout(std::fs::File::create(&out)?).stderr(std::fs::File::create(&log)?);
        let running = Background::start(&mut command)?;
        let began = Instant::now();
        while !std::fs::read_to_string(&out).unwrap_or_default().contains("\"ready\"") {
            if running.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("the server does not start; see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { lan, data, program, log, running })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command =
            self.lan.command(Side::Closet, &self.program, &[("REHEARSEKIT_DATA", self.data.as_os_str())]);
        command.args(words);
        command
    }

    fn json(&self, words: &[&str]) -> Result<Value> {
        crate::shell::capture_json(&mut self.command(words))
    }

    /// What `rehearsekit pair` shows, and the command, which would take the code back at its end.
    fn show_code(&self) -> Result<(String, Running)> {
        let mut showing: Running = self.lan.start(&self.command(&["pair", "--json"]));
        let line: Value = serde_json::from_str(&showing.line()).context("pair showed no code")?;
        Ok((line["code"].as_str().context("pair showed no code")?.to_owned(), showing))
    }

    /// Sessions opened so far, by the log.
    fn sessions(&self) -> Result<usize> {
        let said = std::fs::read_to_string(&self.log)?;
        Ok(said.lines().filter(|line| line.contains(" opened: ")).count())
    }

    /// Waits until that many have been opened; for how long, in seconds.
    fn wait_for_sessions(&self, count: usize) -> Result<f64> {
        let began = Instant::now();
        while self.sessions()? < count {
            if self.running.ended()?.is_some() || began.elapsed() > PATIENCE {
                bail!("nobody opened session {count}; see {}", self.log.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(began.elapsed().as_secs_f64())
    }
}
