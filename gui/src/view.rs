//! The words between the window and its owner. Plain data; nothing here draws, and nothing here knows where the
//! figures come from or what becomes of what the player did.

mod checkup;
mod player;
mod servers;

pub use checkup::{FindingView, Verdict};
pub use player::{PlayState, PlayerAction, PlayerView, SongView};
pub use servers::{PairingView, ServerView, Standing};

/// Everything the panel shows, taken anew for each picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// The connection.
    pub link: LinkView,
    /// The server's address as the player typed it, `host:port`; empty if none was typed.
    pub server: String,
    /// The servers to pick from. Where one comes or goes, the others should keep their order: they are pressed.
    pub servers: Vec<ServerView>,
    /// What keeps servers from being found, in a sentence.
    pub discovery: Option<String>,
    /// Pairing with the server that was picked.
    pub pairing: PairingView,
    /// What was found out about the set-up, the worst first.
    pub findings: Vec<FindingView>,
    /// The model that plays, or that was asked for.
    pub model: String,
    /// The player's budget.
    pub budget_millis: u32,
    /// What the host was told, in frames and milliseconds, once the rate is known.
    pub latency: Option<(u32, f32)>,
    /// What there is to pick from, smallest first.
    pub budgets: Vec<BudgetView>,
    /// The strips from left to right, at most six.
    pub strips: Vec<StripView>,
    /// The sum.
    pub master: MasterView,
    /// Whose part is whose.
    pub part: PartView,
    /// The click.
    pub click: ClickView,
    /// The song of one's own; `None` where a host plays.
    pub player: Option<PlayerView>,
    /// How the window looks; kept by the owner.
    pub look: Look,
}

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LinkState {
    /// No server is asked for.
    #[default]
    Idle,
    /// Looking for a server.
    Looking,
    /// One was found and is being spoken to.
    Connecting,
    /// Stems are coming.
    Live,
    /// Connected, but what is heard now is the song, not stems.
    Bridging,
    /// The server said no.
    Refused,
    /// A bounce is running; it waits for every chunk.
    OfflineRender,
    /// Something is wrong that does not heal by itself.
    Failed,
    /// The host renders ahead in bursts; no live stems are possible.
    HostRendersAhead,
}

/// The connection in words.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LinkView {
    /// What it is doing.
    pub state: LinkState,
    /// What the server calls itself; empty if unknown.
    pub server_name: String,
    /// A few words: "Live · htdemucs · 250 ms · closet".
    pub badge: String,
    /// One sentence: what is, and what to do about it if something is wrong.
    pub sentence: String,
    /// A budget that the server offers instead of the one it refused, in milliseconds.
    pub suggestion_millis: Option<u32>,
    /// From the last frame sent to the chunk received: median and 99th percentile, once measured.
    pub turnaround_millis: Option<[f32; 2]>,
    /// To the server and back, without any work there: median and 99th percentile, once measured.
    pub round_trip_millis: Option<[f32; 2]>,
    /// The budget that this link would have needed in the last minutes, once measured.
    pub needs_millis: Option<f32>,
    /// A budget that would do better; `None` while the present one is right. Nothing moves by itself.
    pub recommended_millis: Option<u32>,
    /// Why, in a sentence: "12 chunks came late in the last 5 min; 350 ms would have caught them all."
    pub recommendation: Option<String>,
    /// Underruns, late and lost chunks since the start.
    pub misses: [u64; 3],
    /// Something that stays until it is dealt with: a failed bounce, a host that renders ahead.
    pub warning: Option<String>,
}

/// One budget of the picker.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BudgetView {
    /// The latency it costs.
    pub millis: u32,
    /// What it buys, in the server's words ("0.3 dB below offline"); `None` if nobody knows.
    pub quality: Option<String>,
    /// Whether it holds on this link; `None` if nobody knows.
    pub holds: Option<bool>,
    /// Anything else worth a few words; may be empty.
    pub note: String,
}

/// One strip of the mixer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StripView {
    /// What it is called.
    pub name: String,
    /// Whether the playing model has this stem.
    pub present: bool,
    /// Fader in dB, up to +12; at or below [`crate::FADER_FOOT_DB`] it is silent.
    pub gain_db: f32,
    /// −1 is left, 1 is right.
    pub pan: f32,
    /// Silenced.
    pub mute: bool,
    /// Only this and other soloed strips are heard.
    pub solo: bool,
    /// Not heard because of somebody else's solo or the part switch.
    pub silenced: bool,
    /// The largest sample since the last picture, left and right, linear.
    pub peak: [f32; 2],
}

/// The sum of all strips.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MasterView {
    /// Fader in dB, as a strip's.
    pub gain_db: f32,
    /// 0 is the song as it came in, 1 is the mixer.
    pub wet: f32,
    /// The largest sample since the last picture, left and right, linear.
    pub peak: [f32; 2],
    /// The aligned song instead of the stems.
    pub bypass: bool,
}

/// Which stems are heard with respect to the player's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PartMode {
    /// As the strips say.
    #[default]
    All,
    /// Everybody but the player's own: they play it themselves.
    WithoutMine,
    /// The player's own alone: to learn it.
    OnlyMine,
}

/// "Without my part" and "only my part".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartView {
    /// The number of the player's own strip.
    pub mine: usize,
    /// What is heard.
    pub mode: PartMode,
    /// Whether the playing model has that stem.
    pub possible: bool,
    /// If not: the reason, in a few words.
    pub why_not: Option<String>,
}

/// When it clicks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClickMode {
    /// Never.
    #[default]
    Off,
    /// Before the song only.
    CountIn,
    /// Always.
    On,
}

/// How beats are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Subdivision {
    /// Not at all.
    #[default]
    Beats,
    /// By two.
    Eighths,
    /// By three.
    Triplets,
    /// By four.
    Sixteenths,
}

/// Whose tempo it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TempoSource {
    /// The host's tempo map.
    #[default]
    Host,
    /// Typed or tapped.
    Own,
}

/// The click.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClickView {
    /// When it clicks.
    pub mode: ClickMode,
    /// Its level in dB, as a strip's.
    pub level_db: f32,
    /// −1 is left, 1 is right.
    pub pan: f32,
    /// Which of `sounds`.
    pub sound: usize,
    /// The built-in ones, then the player's own file, if any, by name.
    pub sounds: Vec<String>,
    /// What is wrong with the player's own file.
    pub own_wav: Option<String>,
    /// How beats are divided.
    pub subdivision: Subdivision,
    /// Whether the one is louder.
    pub accent: bool,
    /// Whether it is heard in the main output.
    pub in_main: bool,
    /// Whose tempo is asked for.
    pub source: TempoSource,
    /// The tempo in force; `None` is unknown.
    pub tempo_bpm: Option<f32>,
    /// What was typed or tapped last.
    pub own_tempo_bpm: f32,
    /// For the player's own tempo.
    pub beats_per_bar: u32,
    /// How many bars are counted before the song; `None` where the host does that.
    pub count_in_bars: Option<u32>,
    /// The beat being heard, from 0, and how many there are to the bar.
    pub beat: Option<(u32, u32)>,
    /// The largest sample since the last picture, left and right, linear.
    pub peak: [f32; 2],
}

/// How the window looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// For a music stand two metres away.
    pub large_type: bool,
    /// Size of everything, 100 is as designed.
    pub scale_percent: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self { large_type: false, scale_percent: 100 }
    }
}

/// Everything that moves continuously. Its value is in the unit the view shows it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Control {
    /// A strip's fader, dB.
    Gain(usize),
    /// A strip's pan, −1 to 1.
    Pan(usize),
    /// The master fader, dB.
    MasterGain,
    /// Dry to wet, 0 to 1.
    Wet,
    /// The click's level, dB.
    ClickLevel,
    /// The click's pan, −1 to 1.
    ClickPan,
}

/// What the player did.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A control is being taken hold of.
    Begin(Control),
    /// A control is moved; always between its `Begin` and its `End`.
    Set(Control, f32),
    /// A control is let go.
    End(Control),
    /// Mute of strip number … pressed.
    Mute(usize, bool),
    /// Solo of strip number … pressed.
    Solo(usize, bool),
    /// This strip's solo on, everybody else's off.
    SoloOnly(usize),
    /// The player's own strip was said.
    Mine(usize),
    /// What is heard of it was picked.
    Part(PartMode),
    /// Bypass pressed.
    Bypass(bool),
    /// When it clicks was picked.
    ClickMode(ClickMode),
    /// A sound of the list was picked.
    ClickSound(usize),
    /// A file of the player's own: a path as typed or dropped, not checked.
    OwnWav(String),
    /// How beats are divided was picked.
    ClickSubdivision(Subdivision),
    /// The accent pressed.
    ClickAccent(bool),
    /// The click in the main output pressed.
    ClickInMain(bool),
    /// Whose tempo was picked.
    TempoSource(TempoSource),
    /// A tempo was typed or follows from taps.
    OwnTempo(f32),
    /// The one is now.
    One,
    /// Beats to the bar for the player's own tempo.
    BeatsPerBar(u32),
    /// How many bars to count in.
    CountInBars(u32),
    /// Another budget was picked, in milliseconds.
    Budget(u32),
    /// Another server's address was typed; as typed, not checked. Empty is "found by itself".
    Server(String),
    /// A server of the list was picked, by its `id`. One that is not paired with wants to be asked for its code next.
    PickServer(String),
    /// The server's code was typed.
    Pair {
        /// Eight digits, without separators.
        code: String,
    },
    /// Not now; also while the code is with the server.
    CancelPairing,
    /// Not paired with the server of this `id` any more.
    Forget(String),
    /// All findings are wanted as text, for the clipboard.
    CopyFindings,
    /// Another model was typed; as typed, not checked. Empty is "the server's choice".
    Model(String),
    /// Something about the song of one's own.
    Player(PlayerAction),
    /// Large type pressed.
    LargeType(bool),
    /// Another size of everything.
    Scale(u32),
}
