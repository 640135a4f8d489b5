//! `separate`: a song file into one file per stem.

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use rehearsekit_audio::Audio;
use rehearsekit_media::{self as media, StemWriter, WrittenStem};
use rehearsekit_models::{ModelError, StemBlock};
use serde_json::json;

use crate::{args::SeparateArgs, engine, failure::Failure, interrupt, output, progress};

/// `rehearsekit separate`.
pub(crate) fn run(args: &SeparateArgs, data: Option<&Path>) -> Result<(), Failure> {
    // Both are looked at before either costs time: the song first, it is the cheaper one.
    let song = read_song(&args.song)?;
    let model = engine::load_model(data, &args.model, args.threads)?;
    let began = Instant::now();
    let channels = song.channels().len();
    let frames = song.frames() as u64;
    let mut writer =
        StemWriter::create(&args.out, model.stems(), args.format, song.rate(), channels, Some(frames))?;
    let bar = progress::frames_bar("separating", frames);
    let mut write_error = None;
    let mut sink = |block: StemBlock| -> Result<(), ModelError> {
        if interrupt::requested() {
            return Err(ModelError::Sink("cancelled".to_owned()));
        }
        let at = block.first_frame as usize;
        let length = block.stems.first().and_then(|s| s.first()).map_or(0, Vec::len);
        let mix: Vec<&[f32]> = song.channels().iter().map(|c| &c[at..at + length]).collect();
        writer.write(&mix, &block.stems).map_err(|error| {
            let told = ModelError::Sink(error.to_string());
            write_error = Some(error);
            told
        })
    };
    let mut tell = |done: u64, _total: u64| bar.set_position(done);
    let result = model.separate(&song, &mut sink, &mut tell);
    bar.finish_and_clear();
    if let Some(error) = write_error {
        return Err(error.into());
    }
    if interrupt::requested() {
        return Err(Failure::cancelled());
    }
    let inference = result.map_err(Failure::run)?;
    let files = writer.finish()?;
    report(args, &song, model.name(), &files, [began.elapsed(), inference])
}

/// Decodes a song with a progress bar; Ctrl-C ends it.
pub(crate) fn read_song(path: &Path) -> Result<Audio, Failure> {
    let bar = progress::frames_bar("reading", 0);
    let song = media::decode(path, &mut |done, total| {
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    Ok(song?)
}

fn report(
    args: &SeparateArgs,
    song: &Audio,
    model: &str,
    files: &[WrittenStem],
    [elapsed, inference]: [Duration; 2],
) -> Result<(), Failure> {
    let clipped: u64 = files.iter().map(|f| f.clipped_samples).sum();
    if clipped > 0 {
        tracing::warn!(
            "{clipped} samples exceed full scale and were held there, so that the FLAC stems do not quite sum to the mix; --format wav keeps everything"
        );
    }
    let seconds = song.rate().duration(song.frames() as u64).as_secs_f64();
    let realtime_factor = seconds / elapsed.as_secs_f64().max(1e-9);
    if args.json {
        return output::json(&json!({
            "model": model,
            "song": args.song,
            "format": args.format.to_string(),
            "files": file_list(files),
            "frames": song.frames(),
            "channels": song.channels().len(),
            "rate_hz": song.rate().hz(),
            "seconds": seconds,
            "elapsed_seconds": elapsed.as_secs_f64(),
            "inference_seconds": inference.as_secs_f64(),
            "realtime_factor": realtime_factor,
        }));
    }
    table(files);
    output::note(&format!(
        "{seconds:.1} s of music in {:.1} s: {realtime_factor:.1} times as fast as it plays",
        elapsed.as_secs_f64()
    ));
    Ok(())
}

/// The written files as JSON.
pub(crate) fn file_list(files: &[WrittenStem]) -> Vec<serde_json::Value> {
    let one = |file: &WrittenStem| {
        json!({
            "stem": file.stem.as_str(),
            "path": file.path,
            "peak_dbfs": output::finite(file.peak_dbfs),
            "level_dbfs": output::finite(file.level_dbfs),
            "clipped_samples": file.clipped_samples,
        })
    };
    files.iter().map(one).collect()
}

/// The written files for human readers.
pub(crate) fn table(files: &[WrittenStem]) {
    let width = files.iter().map(|f| f.path.display().to_string().len()).max().unwrap_or(0);
    for file in files {
        let (peak, level) = (output::decibels(file.peak_dbfs), output::decibels(file.level_dbfs));
        let path = file.path.display().to_string();
        output::line(&format!("{path:width$}  peak {peak:>6} dBFS  level {level:>6} dBFS"));
    }
}
