//! The click as values: what a host says about beats, what the player set, where beats lie in bars, how a tempo
//! moves, and the sounds. Must not know when anything is played.
//!
//! *Beats* as a position are quarter notes from the start of the song, as hosts count them. *A beat* that is heard is
//! a note of the meter's denominator: seven eighths in 7/8.

mod bars;
mod curve;
mod sounds;

pub use bars::{Bars, Meter, Tick, TickKind};
pub use curve::{Curve, Ends};
pub use sounds::{BUILT_IN_SOUNDS, ClickSound, ClickSoundError, built_in};

/// The host's playhead at the first frame of a block, as far as beats are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BeatTransport {
    /// Whether it moves.
    pub playing: bool,
    /// Where in the song it is, in frames at the host's rate; negative in a pre-roll, `None` if the host does not say.
    pub song_position_frames: Option<i64>,
    /// Whether the host says that it counts in.
    pub pre_roll: bool,
    /// Quarter notes per minute at this very frame.
    pub tempo_bpm: Option<f64>,
    /// Quarter notes since the start of the song.
    pub beats: Option<f64>,
    /// Where the bar began, in quarter notes. Believed only where a bar can have begun.
    pub bar_start_beats: Option<f64>,
    /// Beats of a bar, and the note that is one: `(7, 8)`.
    pub time_signature: Option<(u32, u32)>,
    /// Whether nobody has said so: carried on from the host's last words, because its block was cut.
    pub is_carried: bool,
}

/// When the click sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClickMode {
    /// Never.
    #[default]
    Off,
    /// Only while the host counts in: in its pre-roll, or before the song's start.
    CountIn,
    /// Always.
    On,
}

/// Where the beats come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClickSource {
    /// The host's tempo map. Without one there is no click.
    #[default]
    Host,
    /// A tempo that was typed or tapped, from a "one" that was tapped.
    Own,
}

/// What sounds between the beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subdivision {
    /// Nothing.
    #[default]
    Beats,
    /// Every eighth note.
    Eighths,
    /// Three to a beat.
    Triplets,
    /// Every sixteenth note.
    Sixteenths,
}

/// What the player set the click to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClickValues {
    /// When it sounds.
    pub mode: ClickMode,
    /// How loud, in dB; at or below [`ClickValues::SILENT_DB`] it is silent.
    pub level_db: f32,
    /// From −1 (left) over 0 to 1 (right): the far side falls, the near one stays.
    pub pan: f32,
    /// Index in [`BUILT_IN_SOUNDS`]; one beyond is the player's own, or the first while there is none.
    pub sound: u8,
    /// What sounds between the beats.
    pub subdivision: Subdivision,
    /// Whether a bar's first beat sounds different.
    pub accent: bool,
    /// Where the beats come from.
    pub source: ClickSource,
    /// Tempo of [`ClickSource::Own`], in beats per minute. Anything that is no tempo gives no click.
    pub own_tempo_bpm: f64,
    /// A moment of the song that is a bar's first beat, in seconds.
    pub own_one_seconds: f64,
    /// Beats of a bar of [`ClickSource::Own`].
    pub own_beats_per_bar: u32,
}

impl ClickValues {
    /// The foot of a fader.
    pub const SILENT_DB: f32 = -90.0;
}

impl Default for ClickValues {
    fn default() -> Self {
        Self {
            mode: ClickMode::Off,
            level_db: 0.0,
            pan: 0.0,
            sound: 0,
            subdivision: Subdivision::Beats,
            accent: true,
            source: ClickSource::Host,
            own_tempo_bpm: 120.0,
            own_one_seconds: 0.0,
            own_beats_per_bar: 4,
        }
    }
}

/// Quarter notes per frame; `None` for what is no tempo: too fast to hear as beats, backwards, standing, NaN.
pub fn tempo_per_frame(bpm: f64, rate_hz: u32) -> Option<f64> {
    let is_tempo = (1.0..=1_000.0).contains(&bpm) && rate_hz > 0;
    is_tempo.then(|| bpm / 60.0 / f64::from(rate_hz))
}
