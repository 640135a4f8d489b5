//! The arguments of `separate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rehearsekit_media::StemFormat;

use crate::{failure::EXIT_CODES, names::Pattern};

/// When the stems of a song get a folder of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Folders {
    /// When there are several songs
    Auto,
    /// Also when there is one
    Always,
    /// Never: all files go straight into the folder, so their names must tell the songs apart
    Never,
}

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit separate song.mp3 --model spleeter-2stems --out stems --format flac\n  \
     rehearsekit separate *.flac --model htdemucs --out stems\n  \
     rehearsekit separate *.mp3 --model htdemucs --out stems --folders never --name \"{{artist}} - {{title}} - {{stem}}\"\n\n\
     One song's files go into the folder itself, those of several each into a folder of its own there, called like the\n\
     song (--folders says otherwise). A song that fails does not stop the others; the exit code is that of the first\n\
     that did, and --json lists all of them under \"songs\". Files that are there stay, unless --overwrite is given; the\n\
     songs themselves are never replaced, whatever path leads to them.\n\n\
     Fields of --name: {{song}} (the file's name), {{title}}, {{artist}}, {{album}}, {{track}}, {{date}}, {{genre}} (as the\n\
     song says), {{stem}}, {{model}}, {{index}} (which song of this call). Names are made so that Windows and shares take\n\
     them too.\n\n\
     Mono stays mono, the rate stays the rate, the length stays the length. WAV is 32-bit float; FLAC is 24 bit, its\n\
     stems add up to the 24-bit mix exactly, and it carries the song's tags and cover.\n\n{EXIT_CODES}"
))]
pub(crate) struct SeparateArgs {
    /// The songs: WAV, FLAC, MP3, Ogg, Opus, M4A, AIFF, CAF, WebM and others, mono or stereo, 8 to 192 kHz
    #[arg(required = true, value_name = "SONG")]
    pub(crate) songs: Vec<PathBuf>,
    /// Which model (`rehearsekit models list` shows them)
    #[arg(long)]
    pub(crate) model: String,
    /// Folder for the stems, made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// wav (32-bit float) or flac (24 bit)
    #[arg(long, default_value_t = StemFormat::Wav)]
    pub(crate) format: StemFormat,
    /// What the files are called, without their ending, like "{title} - {stem}"
    #[arg(long, value_name = "PATTERN", default_value = "{stem}")]
    pub(crate) name: Pattern,
    /// When each song gets a folder of its own
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Folders::Auto)]
    pub(crate) folders: Folders,
    /// Replace stems that are there already; the songs themselves never are
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Threads per inference [default: all cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
