//! `separate`: songs into one file per stem. Each is read, separated and written block by block, so that memory does not
//! grow with it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rehearsekit_media::{Inputs, StemFiles, StemWriter, Tags, WrittenStem, place::shown};
use rehearsekit_models::{Model, StemBlock};
use serde_json::{Value, json};

use crate::{
    args::{Folders, SeparateArgs},
    engine,
    failure::Failure,
    interrupt,
    names::{self, Values},
    output, progress,
    song::Song,
};

/// `rehearsekit separate`.
pub(crate) fn run(args: &SeparateArgs, data: Option<&Path>) -> Result<(), Failure> {
    let load = || engine::load_model(data, &args.model, args.threads);
    if let [path] = &args.songs[..] {
        // Both are looked at before either costs time: the song first, it is the cheaper one.
        let song = Song::open(path)?;
        let done = Separator::new(args, load()?).separate(song, path, 1)?;
        return if args.json { output::json(&done.json(args, path)) } else { done.print() };
    }
    if args.folders == Folders::Never && !args.name.tells_songs_apart() {
        return Err(Failure::usage(
            "without folders of their own the songs' files need names that tell them apart: give a --name with {song}, \
             {title} or {index} in it",
        ));
    }
    several(args, &mut Separator::new(args, load()?))
}

/// One song after the other. One that fails does not stop the others.
fn several(args: &SeparateArgs, separator: &mut Separator<'_>) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    let mut told = Vec::new();
    for (index, path) in args.songs.iter().enumerate() {
        let done = Song::open(path).and_then(|song| separator.separate(song, path, index + 1));
        if interrupt::requested() {
            return Err(Failure::run(
                "cancelled; songs that were finished stay, nothing else was left behind",
            ));
        }
        match done {
            Ok(done) if args.json => told.push(done.json(args, path)),
            Ok(done) => {
                output::line(&format!("{}:", shown(path)));
                done.print()?;
            }
            Err(failure) => {
                output::complain(&failure.to_string());
                let mut of_song = json!({ "error": failure.to_string() });
                output::put_path(&mut of_song, "song", path);
                told.push(of_song);
                failures.push(failure);
            }
        }
    }
    if args.json {
        output::json(&json!({ "model": args.model, "failed": failures.len(), "songs": told }))?;
    }
    let count = args.songs.len();
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(first.like(format!("{} of {count} songs could not be separated", failures.len()))),
    }
}

/// What all songs of a call share.
struct Separator<'a> {
    args: &'a SeparateArgs,
    model: Model,
    /// Names of folders or files that earlier songs have got.
    taken: Vec<String>,
    /// All songs, and the stems of those that are done: none of them is replaced.
    inputs: Inputs,
}

impl<'a> Separator<'a> {
    fn new(args: &'a SeparateArgs, model: Model) -> Self {
        Self { args, model, taken: Vec::new(), inputs: Inputs::new(&args.songs) }
    }

    /// Separates the song number `index` of this call, which was opened from `path`.
    fn separate(&mut self, mut song: Song, path: &Path, index: usize) -> Result<Separated, Failure> {
        let began = Instant::now();
        let about = song.about.clone();
        let (folder, names) = self.places(path, &about.tags, index);
        let stems = self.model.stems();
        let files = StemFiles {
            folder: &folder,
            names: &names,
            format: self.args.format,
            inputs: &self.inputs,
            overwrite: self.args.overwrite,
            tags: &Tags { title: Some(title(path, &about.tags)), ..about.tags.clone() },
        };
        let mut writer = StemWriter::create(files, stems, about.rate, about.channels, about.frames)?;
        let mut separation = self.model.separation(about.rate, about.channels).map_err(Failure::run)?;
        let bar = progress::frames_bar("separating", about.frames.unwrap_or_default());
        let mut write = |block: Option<StemBlock>| -> Result<(), Failure> {
            let Some(StemBlock { mix, stems, .. }) = block else { return Ok(()) };
            let mix: Vec<&[f32]> = mix.iter().map(Vec::as_slice).collect();
            writer.write(&mix, &stems)?;
            bar.set_length(about.frames.unwrap_or_default().max(writer.frames()));
            bar.set_position(writer.frames());
            Ok(())
        };
        while let Some(block) = song.next_block()? {
            let block: Vec<&[f32]> = block.iter().map(Vec::as_slice).collect();
            write(separation.push(&block).map_err(Failure::run)?)?;
        }
        write(separation.finish().map_err(Failure::run)?)?;
        bar.finish_and_clear();
        let frames = writer.frames();
        let files = writer.finish()?;
        files.iter().for_each(|file| self.inputs.add(&file.path));
        Ok(Separated {
            files,
            frames,
            channels: about.channels,
            rate_hz: about.rate.hz(),
            seconds: about.rate.duration(frames).as_secs_f64(),
            elapsed: began.elapsed(),
            inference: separation.inference(),
        })
    }

    /// The folder for a song's stems, and what they are called there.
    fn places(&mut self, path: &Path, tags: &Tags, index: usize) -> (PathBuf, Vec<String>) {
        let SeparateArgs { out, name, folders, songs, format, .. } = self.args;
        let song = song_name(path);
        let of_stem = |stem: &str| {
            let index = (index, songs.len());
            let values = Values { song: &song, tags, stem, model: self.model.name(), index };
            name.name(&values, 1 + format.extension().len())
        };
        let names = self.model.stems().names().iter().map(|stem| of_stem(stem.as_str())).collect();
        match folders {
            Folders::Auto if songs.len() == 1 => (out.clone(), names),
            Folders::Never => (out.clone(), names::distinct(names, &mut self.taken)),
            Folders::Auto | Folders::Always => {
                let folder = names::distinct(vec![names::folder(&song)], &mut self.taken);
                (folder.iter().fold(out.clone(), |out, folder| out.join(folder)), names)
            }
        }
    }
}

/// What a song's file is called, without its ending.
fn song_name(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What the song is called.
fn title(path: &Path, tags: &Tags) -> String {
    tags.title.clone().unwrap_or_else(|| song_name(path))
}

/// A song that is done.
struct Separated {
    files: Vec<WrittenStem>,
    frames: u64,
    channels: usize,
    rate_hz: u32,
    seconds: f64,
    elapsed: Duration,
    inference: Duration,
}

impl Separated {
    fn realtime_factor(&self) -> f64 {
        self.seconds / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn warn(&self) {
        let clipped: u64 = self.files.iter().map(|f| f.clipped_samples).sum();
        if clipped > 0 {
            tracing::warn!(
                "{clipped} samples exceed full scale and were held there, so that the FLAC stems do not quite sum to the mix; --format wav keeps everything"
            );
        }
    }

    fn json(&self, args: &SeparateArgs, path: &Path) -> Value {
        self.warn();
        let mut all = json!({
            "model": args.model,
            "format": args.format.to_string(),
            "files": file_list(&self.files),
            "frames": self.frames,
            "channels": self.channels,
            "rate_hz": self.rate_hz,
            "seconds": self.seconds,
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "inference_seconds": self.inference.as_secs_f64(),
            "realtime_factor": self.realtime_factor(),
        });
        output::put_path(&mut all, "song", path);
        all
    }

    fn print(&self) -> Result<(), Failure> {
        self.warn();
        table(&self.files);
        output::note(&format!(
            "{:.1} s of music in {:.1} s: {:.1} times as fast as it plays",
            self.seconds,
            self.elapsed.as_secs_f64(),
            self.realtime_factor()
        ));
        Ok(())
    }
}

/// The written files as JSON.
pub(crate) fn file_list(files: &[WrittenStem]) -> Vec<Value> {
    let one = |file: &WrittenStem| {
        let mut one = json!({
            "stem": file.stem.as_str(),
            "peak_dbfs": output::finite(file.peak_dbfs),
            "level_dbfs": output::finite(file.level_dbfs),
            "clipped_samples": file.clipped_samples,
        });
        output::put_path(&mut one, "path", &file.path);
        one
    };
    files.iter().map(one).collect()
}

/// The written files for human readers.
pub(crate) fn table(files: &[WrittenStem]) {
    let paths: Vec<String> = files.iter().map(|file| shown(&file.path).to_string()).collect();
    let width = paths.iter().map(|path| path.chars().count()).max().unwrap_or(0);
    for (file, path) in files.iter().zip(paths) {
        let (peak, level) = (output::decibels(file.peak_dbfs), output::decibels(file.level_dbfs));
        output::line(&format!("{path:width$}  peak {peak:>6} dBFS  level {level:>6} dBFS"));
    }
}
