//! The player's hand: opens songs and reads them on a thread of their own, turns what the window and the media keys want
//! into orders for the deck, and says what there is to see. Waits for nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rehearsekit_gui::{PlayState, PlayerAction, PlayerView, SongView};
use rehearsekit_plugin::shared::Shared;

use super::chooser;
use super::deck::{Order, Remote, Shown};
use super::rate::Rate;
use super::recent::Recent;
use super::source::Source;
use super::tape::{Recorder, Tape};
use super::transport::{Command, Loop, What};

/// Why nothing happens.
const NO_SOUND: &str = "The sound card does not ask for sound; see the messages in the terminal.";

/// Keeps what is remembered.
pub(super) type Keep = Box<dyn Fn(&Shared, &Recent) + Send + Sync>;

/// See the module's words.
pub(super) struct Player {
    /// Itself, for the threads that read.
    me: Weak<Self>,
    shared: Weak<Shared>,
    remote: Mutex<Remote>,
    shown: Arc<Shown>,
    open: Mutex<Open>,
    /// Counts what was opened: whoever reads an older one has nothing to say any more.
    opened: AtomicU64,
    can_choose: AtomicBool,
    /// The rate that the back end was asked for, until it says its own.
    rate_hz: u32,
    keep: Keep,
}

#[derive(Default)]
struct Open {
    song: Option<Song>,
    looped: Loop,
    trouble: Option<String>,
    recent: Recent,
}

struct Song {
    tape: Arc<Tape>,
    shown: SongView,
    /// What its file promises, at the tape's rate.
    expected: Option<i64>,
}

/// What a player is made of.
pub(super) struct Parts {
    pub(super) shared: Weak<Shared>,
    pub(super) remote: Remote,
    pub(super) shown: Arc<Shown>,
    pub(super) recent: Recent,
    pub(super) looping: bool,
    pub(super) rate_hz: u32,
    pub(super) keep: Keep,
}

impl Player {
    /// Without a song.
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts { shared, remote, shown, recent, looping, rate_hz, keep } = parts;
        let looped = Loop::default().switched(looping);
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            shared,
            remote: Mutex::new(remote),
            shown,
            open: Mutex::new(Open { looped, recent, ..Open::default() }),
            opened: AtomicU64::new(0),
            can_choose: AtomicBool::new(false),
            rate_hz,
            keep,
        })
    }

    /// Whether this system has a window to choose files in was found out.
    pub(super) fn set_can_choose(&self, can_choose: bool) {
        self.can_choose.store(can_choose, Ordering::Relaxed);
    }

    /// The songs that were open.
    pub(super) fn recent(&self) -> Recent {
        lock(&self.open).recent.clone()
    }

    /// Opens a song on a thread of its own.
    pub(super) fn open(&self, path: PathBuf) {
        let number = self.opened.fetch_add(1, Ordering::AcqRel) + 1;
        lock(&self.open).trouble = Some(format!("Reading {} …", file_name(&path)));
        self.on_a_thread("rehearsekit-song", move |me| match Source::open(&path) {
            Ok(source) => me.read(number, &path, source, false),
            Err(problem) => me.failed(number, problem),
        });
    }

    /// Plays a song that was opened already.
    pub(super) fn begin(&self, path: PathBuf, source: Source) {
        let number = self.opened.fetch_add(1, Ordering::AcqRel) + 1;
        self.on_a_thread("rehearsekit-song", move |me| me.read(number, &path, source, true));
    }

    fn on_a_thread(&self, name: &str, work: impl FnOnce(Arc<Self>) + Send + 'static) {
        let Some(me) = self.me.upgrade() else { return };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(me)) {
            lock(&self.open).trouble = Some(format!("This computer has no room for another thread: {error}"));
        }
    }

    fn is_latest(&self, number: u64) -> bool {
        self.opened.load(Ordering::Acquire) == number
    }

    fn failed(&self, number: u64, problem: String) {
        if self.is_latest(number) {
            lock(&self.open).trouble = Some(problem);
        }
    }

    /// Puts the song on a tape, which can be played while it is read.
    fn read(&self, number: u64, path: &Path, mut source: Source, plays: bool) {
        let told = self.shared.upgrade().map_or(0, |shared| shared.rate_hz());
        let rate_hz = if told == 0 { self.rate_hz } else { told };
        let tape = Arc::new(Tape::new(rate_hz));
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        {
            // What was opened later counts.
            let mut open = lock(&self.open);
            if !self.is_latest(number) {
                return;
            }
            let expected = source.expected_frames().map(|frames| {
                let scaled = u128::from(frames) * u128::from(rate_hz) / u128::from(source.rate_hz().max(1));
                i64::try_from(scaled).unwrap_or(i64::MAX)
            });
            let name = source.name().unwrap_or_else(|| file_name(&path));
            let shown = SongView { name, place: path.display().to_string() };
            self.abandon(open.song.replace(Song { tape: Arc::clone(&tape), shown, expected }));
            // The loop was the other song's; that it is to be repeated is the player's.
            open.looped = Loop::default().switched(open.looped.is_on());
            open.trouble = None;
            open.recent.opened(&path);
            // Under this lock, so that songs come to the deck in the order in which they are shown.
            if !self.push(Order::Load(Some(Arc::clone(&tape)), open.looped)) {
                open.trouble = Some(NO_SOUND.to_owned());
            }
        }
        if plays {
            self.send(Order::Do(Command::Play));
        }
        if let Some(shared) = self.shared.upgrade() {
            (self.keep)(&shared, &self.recent());
        }
        if let Err(problem) = record(&mut source, &tape) {
            self.failed(number, problem);
        }
    }

    fn abandon(&self, song: Option<Song>) {
        if let Some(song) = song {
            song.tape.abandon();
        }
    }

    fn push(&self, order: Order) -> bool {
        lock(&self.remote).send(order)
    }

    fn send(&self, order: Order) {
        if !self.push(order) {
            lock(&self.open).trouble = Some(NO_SOUND.to_owned());
        }
    }

    /// Where the hand takes it to be: what is heard, or where it stands.
    fn here(&self, heard_seconds: f64, rate_hz: u32) -> i64 {
        match self.shown.now() {
            (at, What::Still) => at,
            _ => frames(heard_seconds, rate_hz),
        }
    }

    fn change_loop(&self, change: impl FnOnce(Loop) -> Loop) {
        let looped = {
            let mut open = lock(&self.open);
            open.looped = change(open.looped);
            open.looped
        };
        self.send(Order::Do(Command::Loop(looped)));
    }

    fn choose(&self, act: impl FnOnce(&Self, PathBuf) + Send + 'static, what: chooser::What) {
        let folder = self.recent().paths().first().and_then(|path| path.parent()).map(Path::to_owned);
        self.on_a_thread("rehearsekit-chooser", move |me| {
            if let Some(path) = chooser::choose(what, folder.as_deref()) {
                act(&me, path);
            }
        });
    }
}

impl rehearsekit_plugin::player::Player for Player {
    fn view(&self, heard_seconds: f64) -> PlayerView {
        lock(&self.remote).free();
        let open = lock(&self.open);
        let mut view = PlayerView {
            looping: open.looped.is_on(),
            trouble: open.trouble.clone(),
            recent: open.recent.paths().iter().map(|path| of_path(path)).collect(),
            can_choose: self.can_choose.load(Ordering::Relaxed),
            ..PlayerView::default()
        };
        let Some(song) = &open.song else { return view };
        let (at, what) = self.shown.now();
        let [from, to] = open.looped.ends().map(|end| end.map(|end| song.seconds(end)));
        // What it is called by itself is known of the open one.
        if let Some(same) = view.recent.iter_mut().find(|recent| recent.place == song.shown.place) {
            same.name.clone_from(&song.shown.name);
        }
        view.song = Some(song.shown.clone());
        view.state = match what {
            What::Still => PlayState::Paused,
            What::Waiting => PlayState::Waiting,
            What::CountIn => PlayState::CountingIn,
            What::Song => PlayState::Playing,
        };
        let length = song.length().map(|length| song.seconds(length));
        let now = if what == What::Still { song.seconds(at) } else { heard_seconds };
        view.position_seconds = now.min(length.unwrap_or(f64::INFINITY));
        view.ready_seconds = song.seconds(song.tape.ready());
        view.length_seconds = length;
        (view.loop_from_seconds, view.loop_to_seconds) = (from, to);
        view
    }

    fn act(&self, action: PlayerAction, heard_seconds: f64) {
        match action {
            PlayerAction::Open(typed) => return self.open(typed_path(&typed)),
            PlayerAction::Choose => return self.choose(Self::open, chooser::What::Song),
            PlayerAction::ChooseClick => return self.choose(Self::click_with, chooser::What::Click),
            _ => {}
        }
        let rate_hz = lock(&self.open).song.as_ref().map(|song| song.tape.rate_hz());
        let Some(rate_hz) = rate_hz else { return };
        let here = self.here(heard_seconds, rate_hz);
        let under_way = self.shown.now().1 != What::Still;
        let of = |seconds: f64| frames(seconds, rate_hz);
        match action {
            PlayerAction::Play(true) => self.send(Order::Do(Command::Play)),
            PlayerAction::Play(false) => self.send(Order::Do(Command::Pause { heard: of(heard_seconds) })),
            PlayerAction::Seek(seconds) => self.send(Order::Do(Command::Seek(of(seconds)))),
            PlayerAction::Skip(seconds) => {
                self.send(Order::Do(Command::Seek(here.saturating_add(of(seconds)))))
            }
            PlayerAction::LoopFrom(seconds) => self.change_loop(|looped| looped.from(seconds.map(of))),
            PlayerAction::LoopTo(seconds) => self.change_loop(|looped| {
                let to = looped.to(seconds.map(of));
                to.switched(to.is_on() || seconds.is_some())
            }),
            PlayerAction::LoopFromHere => self.change_loop(|looped| looped.from(Some(here))),
            PlayerAction::LoopToHere => {
                self.change_loop(|looped| looped.to(Some(here)).switched(true));
                // What goes in is a latency ahead of what is heard, so it has passed the loop's end already.
                if under_way {
                    let from = lock(&self.open).looped.ends()[0].unwrap_or(0);
                    self.send(Order::Do(Command::Seek(from)));
                }
            }
            PlayerAction::Looping(on) => self.change_loop(|looped| looped.switched(on)),
            PlayerAction::Close => {
                self.opened.fetch_add(1, Ordering::AcqRel);
                let song = {
                    let mut open = lock(&self.open);
                    open.trouble = None;
                    open.song.take()
                };
                self.abandon(song);
                self.send(Order::Load(None, Loop::default()));
            }
            PlayerAction::Open(_) | PlayerAction::Choose | PlayerAction::ChooseClick => {}
        }
    }
}

impl Player {
    fn click_with(&self, path: PathBuf) {
        if let Some(shared) = self.shared.upgrade() {
            shared.change_settings(|settings| settings.click_file = Some(path));
            super::set(&shared, rehearsekit_plugin_engine::Control::CLICK_SOUND, 1.0);
        }
    }
}

impl Song {
    fn seconds(&self, frames: i64) -> f64 {
        frames as f64 / f64::from(self.tape.rate_hz().max(1))
    }

    fn length(&self) -> Option<i64> {
        self.tape.length().or(self.expected)
    }
}

/// Reads all of a song onto a tape, at the tape's rate. Whatever happens, the tape has an end.
fn record(source: &mut Source, tape: &Tape) -> Result<(), String> {
    let mut recorder = Recorder::new(tape);
    let mut rate = match Rate::new(source.rate_hz(), tape.rate_hz()) {
        Ok(rate) => rate,
        Err(problem) => return recorder.finish().and(Err(problem)),
    };
    let copied = loop {
        if tape.is_abandoned() {
            break Ok(());
        }
        let written = match source.next() {
            Ok(Some(piece)) => match &mut rate {
                Some(rate) => rate.push(piece, &mut |made| recorder.write(made)),
                None => recorder.write(piece),
            },
            Ok(None) => break Ok(()),
            Err(problem) => Err(problem),
        };
        if written.is_err() {
            break written;
        }
    };
    let rest = rate.map_or(Ok(()), |rate| rate.finish(&mut |made| recorder.write(made)));
    copied.and(rest).and(recorder.finish())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each holds values that are replaced as a whole: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn frames(seconds: f64, rate_hz: u32) -> i64 {
    (seconds * f64::from(rate_hz)).round() as i64
}

/// A path as people type or paste it: quoted, or from their home.
fn typed_path(typed: &str) -> PathBuf {
    let typed = typed.trim();
    let quoted = |quote| typed.strip_prefix(quote).and_then(|typed| typed.strip_suffix(quote));
    let typed = quoted('"').or(quoted('\'')).unwrap_or(typed);
    match typed.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => PathBuf::from(typed),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn of_path(path: &Path) -> SongView {
    SongView { name: file_name(path), place: path.display().to_string() }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
