//! `cargo xtask demo`: from a fresh clone to a page with a song's stems, live and in studio quality.
//! It only drives the `rehearsekit` program; whatever it starts is ended, however it ends.

mod report;
mod spectrogram;
mod verdict;

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use self::verdict::{Load, Verdict, judge};
use crate::kit::{HTDEMUCS, Kit, SPLEETER, shared_dir};
use crate::setup::{self, Purpose};
use crate::shell::target_dir;
use crate::wav::{Sound, agreement_db, stems_in};

/// Options of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Agree to a model's licence without being asked (`htdemucs`: Meta's, personal and research use)
    #[arg(long, value_name = "NAME", value_parser = [HTDEMUCS])]
    accept_licence: Vec<String>,
    /// Another song than the one that comes with Spleeter
    #[arg(long, value_name = "FILE")]
    song: Option<PathBuf>,
}

/// One way the song was separated, with everything the page shows of it.
pub(crate) struct Take {
    /// Short and file-safe, like `live-spleeter`.
    pub(crate) name: String,
    /// What a musician reads above it.
    pub(crate) title: String,
    /// One sentence below the title.
    pub(crate) about: String,
    /// `(stem, sound)`, as in the folder of the same name.
    pub(crate) stems: Vec<(String, Sound)>,
    /// What the program reported.
    pub(crate) figures: Value,
    /// Seconds it took.
    pub(crate) took: f64,
    /// Whether it came through the server in time.
    pub(crate) live: bool,
    /// How closely each stem follows the studio take of the same model, in dB.
    pub(crate) agreement: Vec<(String, f64)>,
    /// Whether it came out whole.
    pub(crate) verdict: Verdict,
}

/// What the page is made of.
pub(crate) struct Demo {
    /// The song's file name beside the page.
    pub(crate) song: String,
    pub(crate) takes: Vec<Take>,
    /// `rehearsekit eval` on songs whose stems are known: `(song, model, budget, its JSON)`, where there are any.
    pub(crate) scores: Vec<(String, String, Value)>,
    /// Remarks on what was left out, and why.
    pub(crate) notes: Vec<String>,
    /// The command that makes it all again.
    pub(crate) again: String,
}

/// The page is written, but a live take on it is not what the model can do.
#[derive(Debug)]
pub(crate) struct BrokenTakes(String);

impl std::fmt::Display for BrokenTakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BrokenTakes {}

/// What is said before anything is done: a fresh machine compiles for minutes.
const PLAN: &str = "\
A song goes through a separation server, live and in studio quality, and a page to listen to comes out.
  1  what the machine lacks (packages, ONNX Runtime)
  2  the program, compiled                             first time 5 to 15 minutes, later seconds
  3  Spleeter and its example song (100 MB)            first time a minute or two
  4  the takes, the scores, the page                   two minutes; with HTDemucs some more
Ctrl-C ends it at any time; what was built and fetched is kept.";

/// Runs the demo.
///
/// # Errors
/// At the first step that fails; what was started has then ended. [`BrokenTakes`] where the page was written, but a
/// live take is not whole.
pub(crate) fn run(args: &Args) -> Result<()> {
    let began = Instant::now();
    println!("{PLAN}");
    let folder = target_dir().join("demo");
    let mut notes = Vec::new();

    step("Preparing the machine");
    setup::prepare(Purpose::Spleeter)?;

    step("Building rehearsekit (some minutes the first time)");
    let kit = Kit::release()?;

    step("Fetching Spleeter, its example song and ONNX Runtime");
    kit.pull(SPLEETER, false)?;
    let with_htdemucs = fetch_htdemucs(&kit, args, &mut notes)?;

    // Only the folders made here, and only when there is something to put in their place.
    let takes_folder = folder.join("takes");
    if takes_folder.exists() {
        std::fs::remove_dir_all(&takes_folder)
            .with_context(|| format!("could not empty {}", takes_folder.display()))?;
    }
    std::fs::create_dir_all(&takes_folder)
        .with_context(|| format!("could not make {}", takes_folder.display()))?;
    let song = match &args.song {
        Some(song) => song.clone(),
        None => kit.example_song()?,
    };
    let ending = song.extension().map_or_else(String::new, |e| e.to_string_lossy().into_owned());
    let copy = format!("song.{ending}");
    std::fs::copy(&song, folder.join(&copy)).with_context(|| format!("could not copy {}", song.display()))?;

    let room = Room { kit: &kit, folder: &takes_folder, log: folder.join("server.log"), song: &song };
    let mut takes = Vec::new();
    step("Spleeter, live: through a server, in real time, 250 ms");
    takes.push(room.live(SPLEETER, &["250ms", "500ms", "1s"], "Two stems, live")?);
    step("Spleeter, studio: the whole song at once");
    takes.push(room.studio(SPLEETER, "Two stems with the whole song in view")?);
    if with_htdemucs {
        step("HTDemucs, live: four stems, in real time, 1.5 s");
        let budgets = ["1500ms", "2500ms", "4s", "8s", "12s"];
        match room.live(HTDEMUCS, &budgets, "Four stems, live on this machine's processor") {
            Ok(take) => takes.push(take),
            Err(error) => {
                notes.push(format!("HTDemucs could not be played live on this machine: {error:#}"));
                println!("  {}", notes.last().map_or("", String::as_str));
            }
        }
        step("HTDemucs, studio: the whole song at once (slow and good)");
        takes.push(room.studio(HTDEMUCS, "Four stems with the whole song in view")?);
    }
    compare(&mut takes);

    step("Scoring against true stems");
    let scores = score(&kit, &mut notes)?;

    step("Drawing the page");
    let demo = Demo { song: copy, takes, scores, notes, again: again(args) };
    let page = report::write(&demo, &folder)?;
    summary(&demo);
    println!(
        "\n{} after {:.0} s. Open it in a browser:\n  {}",
        if broken(&demo.takes).is_empty() { "Done" } else { "The page is written" },
        began.elapsed().as_secs_f64(),
        page.display()
    );
    match last_words(&demo) {
        None => Ok(()),
        Some(words) => Err(BrokenTakes(words).into()),
    }
}

/// The command that makes the same again.
fn again(args: &Args) -> String {
    let mut words = vec!["cargo xtask demo".to_owned()];
    words.extend(args.accept_licence.iter().map(|name| format!("--accept-licence {name}")));
    words.extend(args.song.iter().map(|song| format!("--song '{}'", song.display())));
    words.join(" ")
}

/// The takes that are not what their model can do.
fn broken(takes: &[Take]) -> Vec<&Take> {
    takes.iter().filter(|take| take.verdict.is_broken()).collect()
}

/// What the demo ends with where a take is broken: which, why, and what makes it again.
fn last_words(demo: &Demo) -> Option<String> {
    let broken = broken(&demo.takes);
    let told =
        |take: &&Take| format!("{} is broken. {}", take.title, take.verdict.sentences().unwrap_or_default());
    let told: Vec<String> = broken.iter().map(told).collect();
    (!told.is_empty())
        .then(|| format!("{}\nMake it again on a quieter machine:\n  {}", told.join("\n"), demo.again))
}

fn step(text: &str) {
    println!("\n▸ {text}");
}

/// Where takes are made.
struct Room<'a> {
    kit: &'a Kit,
    folder: &'a Path,
    log: PathBuf,
    song: &'a Path,
}

impl Room<'_> {
    /// Plays at the first of `budgets` that the server takes.
    fn live(&self, model: &str, budgets: &[&str], about: &str) -> Result<Take> {
        let load = Load::measure();
        let server = self.kit.serve(&[model], &self.log)?;
        let name = format!("live-{model}");
        let (song, out) = (self.song.to_string_lossy(), self.folder.join(&name));
        let play = |budget: &str| {
            let began = Instant::now();
            let words = ["stream", &song, "--server", &server.listen, "--model", model, "--budget", budget];
            let pace = ["--pace", "realtime", "--out", &out.to_string_lossy(), "--overwrite", "--json"];
            let figures = self.kit.json(&[&words[..], &pace].concat())?;
            Ok((figures, began.elapsed().as_secs_f64()))
        };
        let (budget, (figures, took)) = first_that_holds(budgets, play)?;
        let about = format!("{about}, {budget} behind");
        let take = self.take(name, format!("Live · {model}"), &about, figures, took, true)?;
        let verdict = judge(&take.figures, load);
        if let Some(said) = verdict.sentences() {
            println!("  {said}");
        }
        Ok(Take { verdict, ..take })
    }

    fn studio(&self, model: &str, about: &str) -> Result<Take> {
        let name = format!("studio-{model}");
        let (song, out) = (self.song.to_string_lossy(), self.folder.join(&name));
        let began = Instant::now();
        let figures = self.kit.json(&[
            "separate",
            &song,
            "--model",
            model,
            "--out",
            &out.to_string_lossy(),
            "--overwrite",
            "--json",
        ])?;
        let took = began.elapsed().as_secs_f64();
        self.take(name, format!("Studio · {model}"), about, figures, took, false)
    }

    fn take(
        &self,
        name: String,
        title: String,
        about: &str,
        figures: Value,
        took: f64,
        live: bool,
    ) -> Result<Take> {
        let files = stems_in(&self.folder.join(&name))?;
        let stems: Vec<(String, Sound)> =
            files.into_iter().map(|(stem, path)| Ok((stem, Sound::read(&path)?))).collect::<Result<_>>()?;
        println!("  {} stems of {:.1} s in {took:.1} s", stems.len(), stems[0].1.seconds());
        Ok(Take {
            name,
            title,
            about: about.to_owned(),
            stems,
            figures,
            took,
            live,
            agreement: Vec::new(),
            verdict: Verdict::Whole,
        })
    }
}

/// The first of `budgets` with which `play` succeeds, and what it gave.
fn first_that_holds<'b, T>(budgets: &[&'b str], play: impl Fn(&str) -> Result<T>) -> Result<(&'b str, T)> {
    let mut refused = anyhow!("there is no budget to try");
    for budget in budgets {
        match play(budget) {
            Ok(played) => return Ok((budget, played)),
            Err(error) => refused = error,
        }
        println!("  {budget} is not to be had here");
    }
    Err(refused)
}

/// HTDemucs's weights may not be given away, so its licence is asked for: by flag, or once on a terminal.
fn fetch_htdemucs(kit: &Kit, args: &Args, notes: &mut Vec<String>) -> Result<bool> {
    let declined = kit.data().join("htdemucs-licence-declined");
    let accepted = args.accept_licence.iter().any(|name| name == HTDEMUCS);
    let how = "`cargo xtask demo --accept-licence htdemucs` adds it";
    if !kit.has(HTDEMUCS) && !accepted {
        if declined.exists() {
            notes.push(format!(
                "HTDemucs (four stems) was left out: its licence was declined earlier; {how}."
            ));
        } else if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            notes
                .push(format!("HTDemucs (four stems) was left out: nobody to ask about its licence; {how}."));
        } else if ask_licence()? {
            return pull_htdemucs(kit);
        } else {
            std::fs::write(&declined, "")
                .with_context(|| format!("could not write {}", declined.display()))?;
            notes.push(format!("HTDemucs (four stems) was left out: its licence was declined; {how}."));
        }
        println!("  {}", notes.last().map_or("", String::as_str));
        return Ok(false);
    }
    pull_htdemucs(kit)
}

fn pull_htdemucs(kit: &Kit) -> Result<bool> {
    step("Fetching HTDemucs (98 MB)");
    if !kit.has(HTDEMUCS) {
        setup::prepare(Purpose::Htdemucs)?;
    }
    kit.pull(HTDEMUCS, true)?;
    Ok(true)
}

fn ask_licence() -> Result<bool> {
    println!(
        "\n  HTDemucs separates four stems. Meta allows its weights for personal and research use only, and"
    );
    print!("  nobody may pass them on. Fetch them (98 MB) under these terms? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Says of every live take how closely it follows the studio take of the same model.
fn compare(takes: &mut [Take]) {
    for at in 0..takes.len() {
        let Some(model) = takes[at].name.strip_prefix("live-") else { continue };
        let wanted = format!("studio-{model}");
        let Some(studio) = takes.iter().find(|take| take.name == wanted) else { continue };
        let pairs = studio.stems.iter().zip(&takes[at].stems);
        let agreement = pairs.map(|((stem, a), (_, b))| (stem.clone(), agreement_db(a, b, 0))).collect();
        takes[at].agreement = agreement;
    }
}

/// Real scores need songs whose stems are known; those are not part of the repository.
fn score(kit: &Kit, notes: &mut Vec<String>) -> Result<Vec<(String, String, Value)>> {
    let song = shared_dir().map(|shared| shared.join("songs").join("francium")).filter(|song| song.is_dir());
    let Some(song) = song else {
        let note = "No scores against true stems: there are no songs with known stems beside the repository \
                    (`rehearsekit eval DIR` scores your own).";
        println!("  {note}");
        notes.push(note.to_owned());
        return Ok(Vec::new());
    };
    let scores =
        kit.json(&["eval", &song.to_string_lossy(), "--model", SPLEETER, "--budget", "250ms", "--json"])?;
    Ok(vec![(SPLEETER.to_owned(), "250 ms".to_owned(), scores)])
}

/// The figures in the terminal.
fn summary(demo: &Demo) {
    println!(
        "\n{:<28} {:>9} {:>10} {:>22} {:>20}",
        "", "latency", "underruns", "turnaround p50/p99", "server overhead p50"
    );
    for take in &demo.takes {
        let row = report::Figures::of(take);
        if take.live {
            println!(
                "{:<28} {:>9} {:>10} {:>22} {:>20}",
                take.title, row.latency, row.misses, row.turnaround, row.overhead
            );
        } else {
            println!(
                "{:<28} {:>9}  {:.1} s for {:.1} s of music",
                take.title,
                "–",
                take.took,
                take.stems[0].1.seconds()
            );
        }
    }
    for take in &demo.takes {
        for (stem, db) in &take.agreement {
            println!("{} follows its studio take at {db:.1} dB in {stem}", take.title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::repository;

    #[test]
    fn a_fresh_machine_sees_cargo_at_work_from_the_first_second_on() {
        let config = std::fs::read_to_string(repository().join(".cargo/config.toml")).unwrap();
        let alias = config.lines().find(|line| line.starts_with("xtask = ")).unwrap();
        assert!(!alias.contains("-q") && !alias.contains("quiet"), "{alias}");
    }

    #[test]
    fn a_broken_take_is_the_last_word_and_comes_with_the_command_that_repeats_it() {
        let take = |title: &str, verdict| Take {
            name: String::new(),
            title: title.to_owned(),
            about: String::new(),
            stems: Vec::new(),
            figures: Value::Null,
            took: 0.0,
            live: true,
            agreement: Vec::new(),
            verdict,
        };
        let args = Args { accept_licence: vec![HTDEMUCS.to_owned()], song: Some("my song.mp3".into()) };
        let mut demo = Demo {
            song: String::new(),
            takes: vec![take("Live · spleeter-2stems", Verdict::Whole)],
            scores: Vec::new(),
            notes: Vec::new(),
            again: again(&args),
        };
        assert_eq!(last_words(&demo), None);
        demo.takes.push(take("Live · a", Verdict::Hiccups("One slot.".to_owned())));
        assert_eq!(last_words(&demo), None, "a hiccup is told beside its take");
        let broken = Verdict::Broken { what: "2437 slots.".to_owned(), why: "Cores were busy.".to_owned() };
        demo.takes.push(take("Live · htdemucs", broken));
        let words = last_words(&demo).unwrap();
        assert!(words.starts_with("Live · htdemucs is broken. 2437 slots. Cores were busy."), "{words}");
        assert!(
            words.ends_with("cargo xtask demo --accept-licence htdemucs --song 'my song.mp3'"),
            "{words}"
        );
        assert!(!words.contains("spleeter"), "{words}");
    }
}
