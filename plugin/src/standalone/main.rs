//! The standalone: the same plugin and window without a host, over JACK or the system's audio (CPAL). It plays a song
//! through the plugin, or a live input.

mod chooser;
mod deck;
#[cfg(not(windows))]
mod media_keys;
mod memory;
mod options;
mod player;
mod rate;
mod recent;
mod source;
mod tape;
mod transport;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use nice_plug::prelude::{Param, nice_export_standalone_with_args};
use rehearsekit_plugin::classes::{Kind, RehearseKit};
use rehearsekit_plugin::shared::Shared;
use rehearsekit_plugin_engine::click::{ClickMode, ClickSource};
use rehearsekit_plugin_engine::{Control, Transport};
use rehearsekit_process::{
    Outlet,
    log::{self, Style},
};

use self::deck::Deck;
use self::options::{Asked, Options};
use self::player::{Parts, Player};
use self::recent::Recent;
use self::source::Source;

/// What the audio thread plays instead of the input. Only that thread locks it, so it never waits.
static DECK: OnceLock<Mutex<Deck>> = OnceLock::new();
/// The instance, to be remembered.
static PLAYED: OnceLock<(Arc<Shared>, Arc<Player>)> = OnceLock::new();
/// What this version does not understand of what was remembered.
static NOT_UNDERSTOOD: OnceLock<memory::NotUnderstood> = OnceLock::new();
/// What was asked for on the command line.
static ASKED: OnceLock<Asking> = OnceLock::new();

/// A command line, with what followed from it.
struct Asking {
    options: Options,
    /// The rate that the back end is asked for.
    rate_hz: u32,
    /// The song, opened.
    song: Mutex<Option<Source>>,
}

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
        let recalled = memory::path().map(|path| memory::recall(shared, &path)).unwrap_or_default();
        if let Some(problem) = recalled.problem {
            tracing::warn!("{problem}");
        }
        let recent = recalled.recent;
        let _ = NOT_UNDERSTOOD.set(recalled.not_understood);
        let Some(Asking { options, rate_hz, song }) = ASKED.get() else { return };
        let (deck, remote, shown) = Deck::new();
        if DECK.set(Mutex::new(deck)).is_err() {
            return tracing::error!("there are two instances; that is a fault of the program");
        }
        let player = Player::new(Parts {
            shared: Arc::downgrade(shared),
            remote,
            shown,
            recent,
            looping: options.looped,
            rate_hz: *rate_hz,
            keep: Box::new(keep),
        });
        shared.set_player(Arc::clone(&player) as Arc<dyn rehearsekit_plugin::player::Player>);
        look_for_a_chooser(&player);
        #[cfg(not(windows))]
        media_keys::listen(Arc::clone(&player), Arc::clone(shared));
        let song = song.lock().unwrap_or_else(PoisonError::into_inner).take();
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
        if let (Some(song), Some(path)) = (song, &options.file) {
            player.begin(path.clone(), song);
        }
        let _ = PLAYED.set((Arc::clone(shared), player));
    }

    fn feed(shared: &Shared, left: &mut [f32], right: &mut [f32], playhead: &mut Transport) -> usize {
        let latency_frames = shared.running_latency_frames().unwrap_or(0);
        let frames = left.len();
        let main = [left, right];
        with_deck(|deck| deck.play(main, playhead, latency_frames, || count_in_frames(shared)))
            .unwrap_or(frames)
    }

    fn hear(left: &mut [f32], right: &mut [f32]) {
        with_deck(|deck| deck.hear([left, right]));
    }
}

/// Audio thread.
fn with_deck<R>(work: impl FnOnce(&mut Deck) -> R) -> Option<R> {
    match DECK.get()?.try_lock() {
        Ok(mut deck) => Some(work(&mut deck)),
        Err(TryLockError::Poisoned(poisoned)) => Some(work(&mut poisoned.into_inner())),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Keeps everything for the next time.
fn keep(shared: &Shared, recent: &Recent) {
    if let (Some(path), Some(not_understood)) = (memory::path(), NOT_UNDERSTOOD.get()) {
        memory::keep(shared, recent, &path, not_understood)
            .unwrap_or_else(|problem| tracing::warn!("{problem}"));
    }
}

/// Whether there is a window to choose files in is known to the desktop alone, which may be slow to answer.
fn look_for_a_chooser(player: &Arc<Player>) {
    let player = Arc::clone(player);
    let look = move || player.set_can_choose(chooser::is_there());
    if let Err(error) = std::thread::Builder::new().name("rehearsekit-chooser".to_owned()).spawn(look) {
        tracing::info!("files cannot be chosen: {error}");
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
    let options = match options::read(words) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => {
            // Who does not read it does not want it.
            let _ = writeln!(io::stdout(), "{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => return fail(&problem),
    };
    // Before anything starts a thread: the framework listens for them all.
    #[cfg(unix)]
    if !rehearsekit_process::inherited::ignored().block() {
        return fail("cannot leave ignored signals ignored");
    }
    log_to_terminal();
    let asking = match prepare(options) {
        Ok(asking) => asking,
        Err(problem) => return fail(&problem),
    };
    let backend = std::iter::once(program).chain(asking.options.backend.clone());
    let backend: Vec<String> = backend.collect();
    let _ = ASKED.set(asking);
    let played = nice_export_standalone_with_args::<RehearseKit<Standalone>, _>(backend);
    if let Some((shared, player)) = PLAYED.get() {
        keep(shared, &player.recent());
    }
    if played { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Opens the song and settles the rate.
fn prepare(mut options: Options) -> Result<Asking, String> {
    let song = options.file.as_deref().map(Source::open).transpose()?;
    // JACK has a rate of its own and nice-plug does not ask for it.
    let of_jack = if options.wants_jack() { jack_rate_hz() } else { None };
    let rate_hz = of_jack.or(options.rate_hz).or(song.as_ref().map(Source::rate_hz)).unwrap_or(48_000);
    options.backend.extend(["--sample-rate".to_owned(), rate_hz.to_string()]);
    Ok(Asking { options, rate_hz, song: Mutex::new(song) })
}

/// The rate of the JACK server, if one runs.
fn jack_rate_hz() -> Option<u32> {
    let (client, _) = jack::Client::new("RehearseKit asks", jack::ClientOptions::NO_START_SERVER).ok()?;
    Some(client.sample_rate())
}

/// Where nobody reads it the music plays on.
fn log_to_terminal() {
    let Ok(outlet) = Outlet::stderr(|_| ()) else { return };
    log::start("info", Style::Short, &outlet);
    log::take_panics(&outlet);
}

fn fail(problem: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "rehearsekit-standalone: {problem}");
    ExitCode::FAILURE
}
