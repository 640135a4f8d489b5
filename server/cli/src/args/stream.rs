//! The arguments of `stream`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use rehearsekit_audio::Budget;

use super::{ReachArgs, seconds};
use crate::failure::EXIT_CODES;

/// How `stream` keeps time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pace {
    /// By the clock, as a DAW plays
    Realtime,
    /// As fast as the server answers, nothing dropped, as a DAW bounces
    Fast,
}

#[derive(Args)]
#[command(after_help = format!(
    "Example:\n  rehearsekit stream song.flac --server 127.0.0.1:7433 --budget 250ms --out stems --json\n\n\
     Behaves as the plugin will: pushes blocks through the link, plays stems out at the reported latency,\n\
     bridges what is missing, and writes the stems aligned with the song. Files that are there stay, unless\n\
     --overwrite is given.\n\n{EXIT_CODES}"
))]
pub(crate) struct StreamArgs {
    /// The song: WAV, FLAC, MP3, Ogg, Opus, M4A, AIFF, CAF, WebM or another, mono or stereo, 8 to 192 kHz
    pub(crate) song: PathBuf,
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// Which model [default: the server's]
    #[arg(long, default_value = "")]
    pub(crate) model: String,
    /// Latency to ask for, like 250ms or 1.5s
    #[arg(long, default_value_t = Budget::DEFAULT)]
    pub(crate) budget: Budget,
    /// By the clock, or as fast as the server answers
    #[arg(long, value_enum, default_value_t = Pace::Realtime)]
    pub(crate) pace: Pace,
    /// Folder for the stems, made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Frames per block, as a host would hand to the plugin
    #[arg(long, value_name = "FRAMES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=8_192))]
    pub(crate) block: u32,
    /// Convert the song to this rate first, as if the DAW ran at it [default: the song's own]
    #[arg(long, value_name = "HZ")]
    pub(crate) rate: Option<u32>,
    /// Stop after this many seconds of music
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// Begin the song again at its end (needs --seconds)
    #[arg(long = "loop", requires = "seconds")]
    pub(crate) looped: bool,
    /// Replace stems that are there already; the song itself never is
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
