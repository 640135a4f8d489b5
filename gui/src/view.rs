//! The words between the window and its owner. Plain data; nothing here draws.

/// Everything the panel shows, taken anew for each picture.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The connection.
    pub link: LinkView,
    /// The server's address as the project keeps it.
    pub server: String,
    /// The model that plays, or that was asked for.
    pub model: String,
    /// The player's budget.
    pub budget_millis: u32,
    /// What the host was told, in frames and milliseconds, once the rate is known.
    pub latency: Option<(u32, f32)>,
    /// The aligned mix instead of the stems.
    pub bypass: bool,
    /// The strips from left to right.
    pub strips: Vec<StripView>,
}

/// The connection in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkView {
    /// Whether stems are coming.
    pub live: bool,
    /// One sentence: what is, and what to do about it if something is wrong.
    pub sentence: String,
    /// Underruns, late and lost chunks since the start.
    pub misses: [u64; 3],
    /// Something that stays until it is dealt with: a failed bounce, a host that renders ahead.
    pub warning: Option<String>,
}

/// One strip of the mixer.
#[derive(Debug, Clone, PartialEq)]
pub struct StripView {
    /// What it is called.
    pub name: &'static str,
    /// Whether the playing model has this stem.
    pub present: bool,
    /// Fader in dB; its foot is silence.
    pub gain_db: f32,
    /// Silenced.
    pub mute: bool,
    /// Only this and other soloed strips are heard.
    pub solo: bool,
}

/// What the player did.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A fader of strip number … is being taken hold of.
    GainBegin(usize),
    /// A fader is moved, in dB.
    Gain(usize, f32),
    /// A fader is let go.
    GainEnd(usize),
    /// Mute pressed.
    Mute(usize, bool),
    /// Solo pressed.
    Solo(usize, bool),
    /// Bypass pressed.
    Bypass(bool),
    /// Another budget was picked.
    Budget(u32),
    /// Another server was typed; as typed, not checked.
    Server(String),
}
