//! The words of the player: a song of one's own, where no host plays one.

/// The song, and how it is played.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlayerView {
    /// What is open; `None` while there is no song and the input is heard.
    pub song: Option<SongView>,
    /// What it is doing.
    pub state: PlayState,
    /// The moment of the song that is heard, in seconds; negative while it is counted in before its beginning.
    pub position_seconds: f64,
    /// How much of the song can be played already, in seconds: it is read while it plays.
    pub ready_seconds: f64,
    /// All of it, once that is known.
    pub length_seconds: Option<f64>,
    /// Where the loop begins; `None` is at the song's beginning.
    pub loop_from_seconds: Option<f64>,
    /// Where the loop ends; `None` is at the song's end.
    pub loop_to_seconds: Option<f64>,
    /// Whether it begins again there.
    pub looping: bool,
    /// What is wrong, in a sentence.
    pub trouble: Option<String>,
    /// The songs that were open before, the last one first.
    pub recent: Vec<SongView>,
    /// Whether this system can show a window to choose a file in.
    pub can_choose: bool,
}

/// A song of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SongView {
    /// What it is called: artist and title, or the file's name.
    pub name: String,
    /// Where it is: what [`PlayerAction::Open`] takes.
    pub place: String,
}

/// What the player is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PlayState {
    /// It stands.
    #[default]
    Paused,
    /// Bars are counted; the song comes next.
    CountingIn,
    /// It plays.
    Playing,
    /// It would play, and waits until that much of the song is read.
    Waiting,
}

impl PlayState {
    /// Whether pressing the key pauses.
    pub fn is_under_way(self) -> bool {
        self != Self::Paused
    }
}

/// What the user did with the player. Moments are seconds of the song.
#[derive(Debug, Clone, PartialEq)]
pub enum PlayerAction {
    /// This file is to be opened: a path as typed, dropped or shown in the list, not checked.
    Open(String),
    /// The system's own window to choose a song is wanted.
    Choose,
    /// The same for a file of one's own to click with.
    ChooseClick,
    /// The song is closed: the input is heard again.
    Close,
    /// On, or pause.
    Play(bool),
    /// On from this moment.
    Seek(f64),
    /// On from so much later than what is heard now; negative is earlier.
    Skip(f64),
    /// The loop begins here; `None` at the song's beginning.
    LoopFrom(Option<f64>),
    /// The loop ends here; `None` at the song's end.
    LoopTo(Option<f64>),
    /// The loop begins at the moment that is heard now.
    LoopFromHere,
    /// The loop ends at the moment that is heard now.
    LoopToHere,
    /// The loop on or off.
    Looping(bool),
}
