//! The standalone: the same plugin and window without a host, over JACK or the system's audio (CPAL). It plays a
//! WAV or FLAC file through the plugin, or a live input.

mod memory;
mod options;
mod song;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use nice_plug::prelude::{Param, nice_export_standalone_with_args};
use rehearsekit_plugin::classes::{Kind, RehearseKit};
use rehearsekit_plugin::shared::Shared;
use rehearsekit_plugin_engine::click::{ClickMode, ClickSource};
use rehearsekit_plugin_engine::{Control, Transport};

use self::options::{Asked, Options};
use self::song::Song;

/// What the audio thread plays instead of the input.
static SONG: OnceLock<Song> = OnceLock::new();
/// The instance, to be remembered.
static PLAYED: OnceLock<Arc<Shared>> = OnceLock::new();
/// What this version does not understand of what was remembered.
static NOT_UNDERSTOOD: OnceLock<memory::NotUnderstood> = OnceLock::new();
/// What was asked for on the command line.
static OPTIONS: OnceLock<Options> = OnceLock::new();

/// The class without a host.
struct Standalone;

impl Kind for Standalone {
    const NAME: &'static str = "RehearseKit";
    const STEMS: bool = false;
    const VST3_ID: [u8; 16] = *b"RehearseKitAlone";
    const CLAP_ID: &'static str = "org.rehearsekit.standalone";
    const DESCRIPTION: &'static str = "Plays a song without your own instrument";

    fn prepare(shared: &Arc<Shared>) {
        shared.set_counts_in();
        // Nobody else knows a tempo here.
        set(shared, Control::CLICK_SOURCE, 1.0);
        if let Some(path) = memory::path() {
            let recalled = memory::recall(shared, &path);
            if let Some(problem) = &recalled.foreign {
                tracing::warn!("{problem}");
            }
            let _ = NOT_UNDERSTOOD.set(recalled);
        }
        let _ = PLAYED.set(Arc::clone(shared));
        let Some(options) = OPTIONS.get() else { return };
        // What is asked for now counts more than what was left.
        shared.change_settings(|settings| {
            if options.server.is_some() {
                settings.server.clone_from(&options.server);
            }
            if options.model.is_some() {
                settings.model.clone_from(&options.model);
            }
            if let Some(bars) = options.count_in_bars {
                settings.count_in_bars = bars;
            }
            if let Some(millis) = options.budget_millis {
                settings.budget_millis = millis;
            }
        });
        if let Some(bpm) = options.tempo_bpm {
            set(shared, Control::OWN_TEMPO, shared.params.click.tempo.preview_normalized(bpm));
            set(shared, Control::CLICK_MODE, 1.0);
        }
    }

    fn feed(shared: &Shared, left: &mut [f32], right: &mut [f32], playhead: &mut Transport) {
        match SONG.get() {
            Some(song) => *playhead = song.play(left, right, || count_in_frames(shared)),
            // What the back end gives as a tempo is nobody's.
            None => (playhead.tempo_bpm, playhead.beats) = (None, None),
        }
    }
}

fn set(shared: &Shared, control: Control, normalized: f32) {
    rehearsekit_plugin::host_compat::set_by_hand(shared, control.index(), normalized);
}

/// How long the bars are that the player wants to hear before the song. Audio thread.
fn count_in_frames(shared: &Shared) -> i64 {
    let click = shared.params.click.values();
    if click.mode == ClickMode::Off || click.source != ClickSource::Own {
        return 0;
    }
    let beats = f64::from(shared.instance.count_in_bars() * click.own_beats_per_bar);
    (beats * 60.0 / click.own_tempo_bpm * f64::from(shared.rate_hz())).round() as i64
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    let program = if words.is_empty() { "rehearsekit-standalone".to_owned() } else { words.remove(0) };
    let mut options = match options::read(words) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => return fail(&problem),
    };
    log_to_terminal();
    if let Err(problem) = prepare(&mut options) {
        return fail(&problem);
    }
    let backend = std::iter::once(program).chain(options.backend.clone());
    let backend: Vec<String> = backend.collect();
    let _ = OPTIONS.set(options);
    let played = nice_export_standalone_with_args::<RehearseKit<Standalone>, _>(backend);
    if let (Some(shared), Some(path), Some(not_understood)) =
        (PLAYED.get(), memory::path(), NOT_UNDERSTOOD.get())
    {
        memory::keep(shared, &path, not_understood).unwrap_or_else(|problem| tracing::warn!("{problem}"));
    }
    if played { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Settles the rate and reads the file at it.
fn prepare(options: &mut Options) -> Result<(), String> {
    let file = options.file.as_deref().map(Song::read).transpose()?;
    // JACK has a rate of its own and nice-plug does not ask for it.
    let of_jack = if options.wants_jack() { jack_rate_hz() } else { None };
    let rate_hz = of_jack.or(options.rate_hz).or(file.as_ref().map(|song| song.rate_hz)).unwrap_or(48_000);
    options.backend.extend(["--sample-rate".to_owned(), rate_hz.to_string()]);
    if let Some(song) = file {
        let _ = SONG.set(song.at_rate(rate_hz)?.looped(options.looped));
    }
    Ok(())
}

/// The rate of the JACK server, if one runs.
fn jack_rate_hz() -> Option<u32> {
    let (client, _) = jack::Client::new("RehearseKit asks", jack::ClientOptions::NO_START_SERVER).ok()?;
    Some(client.sample_rate())
}

fn log_to_terminal() {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).without_time();
    // Somebody else's logger is as good.
    let _ = log.try_init();
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("rehearsekit-standalone: {problem}");
    ExitCode::FAILURE
}
