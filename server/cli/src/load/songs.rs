//! What the clients of `load` play. Reads no more songs than there are clients.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rehearsekit_audio::{Audio, SampleRate};

use crate::{
    args::LoadArgs,
    client::feed::Feed,
    eval::song::{Excerpt, Song},
    failure::Failure,
    song,
};

/// What is read, by the end of its name.
const ENDINGS: &[&str] = &[
    "wav", "w64", "flac", "mp3", "ogg", "oga", "opus", "m4a", "mp4", "aac", "aif", "aiff", "aifc", "au",
    "caf", "mka", "mkv", "webm",
];
/// How far the second client of a song begins behind the first, as a part of the song; all that follow are spread
/// evenly however many they are, since it is the golden ratio.
const STEP: f64 = 0.618_033_988_75;

/// A song, from its beginning, looped for as long as a client plays.
pub(super) struct Tune {
    pub(super) name: String,
    pub(super) feed: Feed,
}

/// The songs, in the order of their names, as many as there are clients at most.
pub(super) fn read(args: &LoadArgs) -> Result<Vec<Tune>, Failure> {
    let rate = args.rate.map(SampleRate::new).transpose().map_err(Failure::usage)?;
    let found = if args.songs.is_dir() { in_folder(&args.songs)? } else { vec![args.songs.clone()] };
    let mut tunes = Vec::new();
    for path in found.iter().take(args.clients.into()) {
        let song = if path.is_dir() { of_stems(path)? } else { song::read_whole(path)? };
        let rate = rate.unwrap_or(song.rate());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        tunes.push(Tune { name, feed: Feed::new(song, rate, Some(args.length().as_secs_f64()), true)? });
    }
    Ok(tunes)
}

/// What client number `client` plays: each another song, and where they are not enough, another place.
pub(super) fn of_client(tunes: &[Tune], client: usize) -> (&str, Feed) {
    let Tune { name, feed } = &tunes[client % tunes.len()];
    (name, feed.clone().begin_at((STEP * client as f64).fract()))
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = rehearsekit_media::place::shown(folder);
    let unreadable = |error| Failure::input(format!("cannot read the folder {shown}: {error}"));
    let listed = |folder: &Path| -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let ends_in = |path: &Path, endings: &[&str]| {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        endings.contains(&ending.as_str())
    };
    let mut found = listed(folder).map_err(unreadable)?;
    found.retain(|path| {
        if path.is_dir() {
            // What cannot be looked into holds no stems for us.
            listed(path).is_ok_and(|inside| inside.iter().any(|stem| ends_in(stem, &["wav", "flac"])))
        } else {
            ends_in(path, ENDINGS)
        }
    });
    found.sort();
    if found.is_empty() {
        return Err(Failure::input(format!(
            "{shown} holds no songs; put songs there (WAV, FLAC, MP3, Ogg, Opus, M4A, AIFF, …), or folders with a song's stems"
        )));
    }
    Ok(found)
}

fn of_stems(folder: &Path) -> Result<Audio, Failure> {
    let whole = Excerpt { from: std::time::Duration::ZERO, seconds: None, pause: None };
    let song = Song::read(folder, &whole)?;
    Audio::new(song.rate, song.mix(1.0).into()).map_err(Failure::input)
}
