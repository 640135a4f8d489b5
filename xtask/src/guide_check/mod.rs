//! `cargo xtask guide-check`: the ten-minute guide, walked with a watch by somebody who does only what it says, outside
//! of the CI. Its commands are read from the guide itself and typed as they stand there; what it says in words about
//! menus and windows is done here, each beside the words. The box is a Docker of its own in a network namespace, the
//! player sits before Ardour in another. Root only. Figures and pictures are kept below `target/guide-check/`.

mod guide;
mod nas;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::daw_check::{Ardour, Editor, Screen, compare, jack, places, song};
use crate::findings::{Finding, report};
use crate::kit::{Kit, SPLEETER, data_dir};
use crate::lan_check::Player;
use crate::lan_check::netns::Lan;
use crate::setup;
use crate::shell::{empty, repository, run_unsaid, target_dir};
use crate::wav::{Sound, stems_in};
use guide::{Chapter, Keyboard, chapter};
use nas::{Nas, code_in};

const GUIDE: &str = "docs/guides/ten-minutes.md";
/// The last chapter of the way to a band that plays begins so.
const LAST: u32 = 6;
/// How fast a guide is read, in words per minute. An assumption, marked so where it is told.
const READING: f64 = 200.0;
/// How much more the stem must agree with what is heard than the song does.
const CLEARLY_DB: f64 = 6.0;

/// Options of `guide-check`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// End behind step 6: without four stems, backups and plain Docker
    #[arg(long)]
    steps_only: bool,
}

/// Walks it.
///
/// # Errors
/// When something it needs cannot be had, a command of the guide fails, or what came of it was wrong.
pub(crate) fn check(args: &Args) -> Result<()> {
    setup::prepare(setup::Purpose::Guide)?;
    let compose = Command::new("docker").args(["compose", "version"]).output();
    ensure!(
        compose.is_ok_and(|output| output.status.success()),
        "`docker compose` is missing: Debian 13's package docker-compose brings it, or Docker's own \
         docker-compose-plugin; the old docker-compose 1 will not do"
    );
    let text = std::fs::read_to_string(repository().join(GUIDE))?;
    let chapters = guide::read(&text);
    let folder = target_dir().join("guide-check");
    empty(&folder)?;
    let lan = Lan::new();
    let nas = Nas::boot(&lan, &folder.join("box"))?;
    let mut walk = Walk { folder, lan, nas, chapters, watch: Vec::new(), seen: Vec::new() };

    walk.image()?;
    walk.dataset()?;
    let app = walk.app()?;
    walk.plugin_code_and_playing()?;
    walk.tell_the_watch();
    if !args.steps_only {
        let app = walk.four_stems(&app)?;
        walk.backup_and_restore(&app)?;
        walk.plain_docker()?;
    }
    let figures: serde_json::Map<String, Value> =
        walk.watch.iter().map(|(step, seconds)| (step.clone(), json!(seconds))).collect();
    walk.seen.push(("the watch, s", Value::Object(figures), true));
    report(&walk.seen, &walk.folder, "guide-check")
}

/// Somebody with the guide in hand.
struct Walk {
    folder: PathBuf,
    /// Goes before the LAN that it is on.
    nas: Nas,
    lan: Lan,
    chapters: Vec<Chapter>,
    /// What was done, and the seconds it took.
    watch: Vec<(String, f64)>,
    seen: Vec<Finding>,
}

impl Walk {
    /// Notes how long this took.
    fn timed<T>(&mut self, what: &str, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        println!("\n{what}");
        let began = Instant::now();
        let done = act(self).with_context(|| format!("while {what}"))?;
        self.watch.push((what.to_owned(), began.elapsed().as_secs_f64()));
        Ok(done)
    }

    /// All that is typed at this keyboard in that chapter.
    fn lines(&self, title: &str, keyboard: Keyboard) -> Result<Vec<String>> {
        let typed = chapter(&self.chapters, title)?.typed.iter();
        let lines: Vec<String> = typed.filter(|one| one.at == keyboard).map(|one| one.line.clone()).collect();
        ensure!(!lines.is_empty(), "nothing is typed at the {keyboard:?} in chapter {title}");
        Ok(lines)
    }

    fn type_at_the_box(&self, title: &str) -> Result<()> {
        self.lines(title, Keyboard::Box)?.iter().try_for_each(|line| self.nas.types(line))
    }

    /// All but what is for a card.
    fn type_at_the_clone(&self, title: &str) -> Result<()> {
        let lines = self.lines(title, Keyboard::Clone)?;
        lines.iter().filter(|line| !line.contains("--cuda")).try_for_each(|line| self.type_here(line))
    }

    /// At the computer with the clone, which is the player's too; with a home of its own, but the toolchain and the
    /// models of who runs this.
    fn type_here(&self, line: &str) -> Result<()> {
        println!("  $ {line}");
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(repository());
        let home = PathBuf::from(std::env::var_os("HOME").context("$HOME is not set")?);
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none() {
                shell.env(name, home.join(folder));
            }
        }
        run_unsaid(shell.env("HOME", self.home()).env("REHEARSEKIT_DATA", data_dir()))
    }

    fn home(&self) -> PathBuf {
        self.folder.join("ardour/home")
    }

    fn image(&mut self) -> Result<()> {
        self.timed("1. the image is built", |walk| walk.type_at_the_clone("1. "))?;
        let report = std::fs::read_to_string(target_dir().join("image/report-cpu.json"))?;
        let report: Value = serde_json::from_str(&report).context("the image's report is no JSON")?;
        self.timed("1. carried to the box and loaded", |walk| {
            // "Copy that onto the box": the file that the guide names, to where its command looks.
            let name = "rehearsekit-0.1.0-cpu.tar";
            let share = walk.nas.tank().join("share").join(name);
            std::fs::copy(target_dir().join("image").join(name), share)?;
            walk.type_at_the_box("1. ")
        })?;
        // "The last line must show the id that the build printed."
        let lines = self.lines("1. ", Keyboard::Box)?;
        let shown = self.nas.asks(lines.last().context("nothing is typed")?)?;
        let same = report["image"]["id"] == shown.trim();
        self.seen.push(("the image that was loaded has the id that was built", json!(shown.trim()), same));
        Ok(())
    }

    fn dataset(&mut self) -> Result<()> {
        self.timed("2. a place for its files", |walk| {
            // "Add Dataset": a folder of root's.
            std::fs::create_dir_all(walk.nas.tank().join("rehearsekit"))?;
            walk.type_at_the_box("2. ")
        })
    }

    /// The app's YAML as it was saved.
    fn app(&mut self) -> Result<String> {
        let yaml = std::fs::read_to_string(repository().join("deploy/truenas/custom-app.yaml"))?;
        self.timed("3. the app, from Save to Running", |walk| walk.save(&yaml))?;
        // "The first start shows one in the app's log."
        let log = self.nas.asks("docker logs rehearsekit 2>&1")?;
        let shown = log.lines().any(|line| code_in(line).is_some());
        self.seen.push(("the app's log has a code at the first start", json!(shown), shown));
        Ok(yaml)
    }

    /// "Save": what TrueNAS does with a custom app's YAML, as far as it tells.
    fn save(&self, yaml: &str) -> Result<()> {
        std::fs::write(self.nas.tank().join("home/app.yaml"), yaml)?;
        self.nas.types("docker compose --project-name ix-rehearsekit --file app.yaml up --detach")?;
        self.nas.wait_until_healthy()
    }

    fn plugin_code_and_playing(&mut self) -> Result<()> {
        self.timed("4. the plugin is built and installed", |walk| walk.type_at_the_clone("4. "))?;
        // "Put the song on a track and RehearseKit on that track", by Ardour's own scripts: beside the watch.
        let kit = Kit::release()?;
        kit.pull(SPLEETER, false)?;
        let (_, music) = song(&kit, &self.folder)?;
        let music = long(&music);
        let ardour = Ardour::new(&self.folder.join("ardour"), None, music.seconds() + 1.0)?;
        ensure!(ardour.home() == self.home(), "the plugin was installed for somebody else");
        ardour.make_session(&music)?;
        // Where things are in the window; built here, so that the watch does not count it.
        places(&[])?;
        let _jack = jack(&self.folder)?;
        let screen = Screen::start(77)?;
        let folder = self.folder.clone();
        let player = self.timed("4. Ardour and the plugin's window are opened", |walk| {
            Player::in_ardour(&walk.lan, &screen, &ardour, &folder, 1)
        })?;
        self.timed("4. Set up, the box in the list, pressed", |_| {
            player.press("Connection. ")?;
            player.photograph("found")?;
            player.press("1, new, wants a code")
        })?;
        self.timed("5. the code is shown, typed and taken", |walk| {
            let lines = walk.lines("5. ", Keyboard::Box)?;
            let [line] = lines.as_slice() else { anyhow::bail!("more than the code is asked for") };
            let terminal = walk.nas.starts(line)?;
            player.photograph("asked")?;
            player.type_code(&terminal.code()?)?;
            terminal.ends()
        })?;
        player.photograph("paired")?;
        let heard = self.timed("6. Mixer, play, Without my vocals, heard", |_| {
            player.press("Back to the mixer")?;
            Editor::play(&screen)?;
            player.press("Without my vocals")?;
            player.listen(6)
        })?;
        player.photograph("playing")?;
        let song_db = compare(&heard, &music)?.agreement_db;
        self.seen.push(("what is heard agrees with the song, dB", json!(song_db), true));
        for (name, path) in stems_in(&self.folder.join("parts"))? {
            let db = compare(&heard, &long(&Sound::read(&path)?))?.agreement_db;
            self.seen.push(if name == "vocals" {
                ("with the vocals, dB", json!(db), db < song_db)
            } else {
                ("with the band, which is all that should be heard, dB", json!(db), db > song_db + CLEARLY_DB)
            });
        }
        Ok(())
    }

    /// The watch, and what a person adds to it at least.
    fn tell_the_watch(&self) {
        println!();
        for (step, seconds) in &self.watch {
            println!("  {seconds:7.1} s  {step}");
        }
        let built = |step: &str| step.contains("built");
        let (once, rest): (Vec<_>, Vec<_>) = self.watch.iter().partition(|(step, _)| built(step));
        let sum = |steps: &[&(String, f64)]| steps.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let steps = self.chapters.iter().filter(|one| one.title.split('.').next().is_some_and(is_step));
        let words: usize = steps.map(|one| one.words).sum();
        println!("  {:7.1} s  to build, once (less where it was built before)", sum(&once));
        println!("  {:7.1} s  everything else", sum(&rest));
        println!(
            "  {:7.1} s  to read {words} words, at {READING} a minute: computed",
            words as f64 / READING * 60.0
        );
    }

    /// The app's YAML as it is then.
    fn four_stems(&mut self, app: &str) -> Result<String> {
        self.timed("four stems: fetched and exported", |walk| walk.type_at_the_clone("Four stems"))?;
        self.timed("four stems: carried into the app", |walk| {
            let file = repository().join("htdemucs.tar");
            std::fs::copy(&file, walk.nas.tank().join("share/htdemucs.tar"))?;
            std::fs::remove_file(file)?;
            walk.type_at_the_box("Four stems")
        })?;
        // "Edit the app, and save it".
        let key = "    environment:\n";
        let models = format!("{key}      REHEARSEKIT_MODELS: spleeter-2stems,htdemucs\n");
        let yaml = app.replacen(key, &models, 1);
        ensure!(yaml != app && yaml.contains("memory: 4096M"), "the app has no environment, or no limit");
        let yaml = yaml.replace("memory: 4096M", "memory: 6144M");
        self.timed("four stems: the app saved with both models", |walk| walk.save(&yaml))?;
        let log = self.nas.asks("docker logs rehearsekit 2>&1")?;
        let served = log.contains("warm model=\"htdemucs\"");
        self.seen.push(("the app has four stems", json!(served), served));
        Ok(yaml)
    }

    fn backup_and_restore(&mut self, app: &str) -> Result<()> {
        let title = "Updates, backups";
        let lines = self.lines(title, Keyboard::Box)?;
        let [folder, backup, restore] = lines.as_slice() else {
            anyhow::bail!("{title}: three lines expected")
        };
        let clients = "docker exec rehearsekit rehearsekit clients list --json";
        let before = self.nas.asks(clients)?;
        self.timed("a backup while it runs", |walk| {
            walk.nas.types(folder)?;
            walk.nas.types(backup)
        })?;
        self.nas.types("docker compose --project-name ix-rehearsekit --file app.yaml down")?;
        // "Into a new data set, made as in step 2".
        let (data, old) = (self.nas.tank().join("rehearsekit"), self.nas.tank().join("old"));
        std::fs::rename(&data, &old)?;
        std::fs::create_dir(&data)?;
        self.type_at_the_box("2. ")?;
        self.timed("restored", |walk| walk.nas.types(restore))?;
        self.timed("and started again", |walk| walk.save(app))?;
        let same = self.nas.asks(clients)? == before;
        self.seen.push(("who is paired is the same behind a backup", json!(same), same));
        self.nas.types("docker compose --project-name ix-rehearsekit --file app.yaml down")
    }

    /// The same box as the Linux computer with Docker; the clone is what this chapter touches of one.
    fn plain_docker(&mut self) -> Result<()> {
        let clone = self.nas.tank().join("home");
        for part in ["target/image/rehearsekit-0.1.0-cpu.tar", "deploy/compose.yaml"] {
            let from = if let Some(built) = part.strip_prefix("target/") {
                target_dir().join(built)
            } else {
                repository().join(part)
            };
            let to = clone.join(part);
            std::fs::create_dir_all(to.parent().context("it is in a folder")?)?;
            std::fs::copy(from, to)?;
        }
        let lines = self.lines("Without TrueNAS", Keyboard::Clone)?;
        let (pair, before) = lines.split_last().context("nothing is typed")?;
        self.timed("plain Docker: up and healthy", |walk| {
            before.iter().try_for_each(|line| walk.nas.types(line))?;
            walk.nas.wait_until_healthy()
        })?;
        self.nas.starts(pair)?.code().map(drop)
    }
}

fn is_step(number: &str) -> bool {
    number.parse().is_ok_and(|number: u32| number <= LAST)
}

/// Long enough for all that is done while it plays.
fn long(music: &Sound) -> Sound {
    Sound { rate_hz: music.rate_hz, channels: music.channels.iter().map(|one| one.repeat(4)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_what_is_walked() {
        let text = std::fs::read_to_string(repository().join(GUIDE)).unwrap();
        let chapters = guide::read(&text);
        for title in ["1. ", "2. ", "4. ", "5. ", "Four stems", "Updates, backups", "Without TrueNAS"] {
            chapter(&chapters, title).unwrap();
        }
        assert!(text.contains("target/image/rehearsekit-0.1.0-cpu.tar"));
    }
}
