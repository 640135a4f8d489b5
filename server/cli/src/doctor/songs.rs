//! Which songs the offline commands can read on this machine. It runs nothing and never fails: a machine without
//! ffmpeg serves as well.

use rehearsekit_media::ffmpeg;

use super::finding::Finding;

const OWN: &str =
    "WAV, AIFF, CAF, FLAC, ALAC, MP3, AAC, Vorbis and Opus are read, also from MP4, MOV, MKV and WebM";

/// Whether an `ffmpeg` helps with the rarer formats.
pub(crate) fn examine() -> Finding {
    let rest = match ffmpeg::find() {
        Some(program) => format!("WMA, APE, WavPack, Musepack, DSD, AC-3 and others through {}", program.display()),
        None => {
            "WMA, APE, WavPack, Musepack, DSD, AC-3 and others are refused by name, since there is no ffmpeg in PATH".to_owned()
        }
    };
    Finding::good("songs", format!("{OWN}; {rest}"))
}
