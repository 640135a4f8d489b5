//! `eval`: how good a model is, offline and live, on songs whose stems are known.
//!
//! The live run is the server's own pipeline in simulated time: the same hops, windows and resampling, the
//! device taken as fast enough, so that only quality is measured. Estimates are aligned by position.

mod score;
pub(crate) mod song;

use std::path::Path;

use rehearsekit_audio::{Audio, Budget, SampleRate, StemSet, gain};
use rehearsekit_models::{DeviceSpeed, Model, ModelError, Plan, PlanRequest, StemBlock, plan::Overrides};
use serde_json::{Value, json};

use crate::{args::EvalArgs, engine, failure::Failure, interrupt, output, progress};
use score::{Score, Scores, means};
use song::{Excerpt, Song, Stereo, frames_of};

/// All scores of one song, and the same of each segment.
struct Judged {
    name: String,
    whole: Part,
    segments: Vec<Part>,
    plan: Option<Plan>,
}

/// Scores over one stretch of a song.
struct Part {
    start_seconds: f64,
    seconds: f64,
    offline: Option<Scores>,
    streamed: Option<Scores>,
    mix: Scores,
}

/// `rehearsekit eval`.
pub(crate) fn run(args: &EvalArgs, data: Option<&Path>) -> Result<(), Failure> {
    let excerpt = Excerpt { from: args.from, seconds: args.seconds, pause: args.insert_pause };
    // All songs are read before the model costs time: a typing error shows at once.
    let songs = args.songs.iter().map(|dir| Song::read(dir, &excerpt)).collect::<Result<Vec<_>, _>>()?;
    let model = engine::load_model(data, &args.model, args.threads)?;
    let mut judged = Vec::new();
    for song in &songs {
        judged.push(judge(args, &model, song)?);
    }
    report(args, &model, &judged)
}

fn judge(args: &EvalArgs, model: &Model, song: &Song) -> Result<Judged, Failure> {
    let gain = gain::db_to_linear(args.gain_db);
    let mix = song.mix(gain);
    let references = song.references(model.stems());
    let offline = if args.no_offline { None } else { Some(separate(model, None, song.rate, &mix, gain)?) };
    let plan = args.budget.map(|budget| plan(args, model, song.rate, budget)).transpose()?;
    let streamed = match &plan {
        Some(plan) => Some(separate(model, Some(plan), song.rate, &mix, gain)?),
        None => None,
    };
    let floor = vec![song.mix(1.0); model.stems().count()];
    let part = |range: std::ops::Range<usize>| Part {
        start_seconds: song.rate.duration(range.start as u64).as_secs_f64(),
        seconds: song.rate.duration(range.len() as u64).as_secs_f64(),
        offline: offline.as_ref().map(|e| Scores::of(&references, e, range.clone())),
        streamed: streamed.as_ref().map(|e| Scores::of(&references, e, range.clone())),
        mix: Scores::of(&references, &floor, range),
    };
    let segments = args.segment.iter().map(|&span| frames_of(span, song.rate));
    let segments = segments.map(|s| part(s.start.min(song.frames())..s.end.min(song.frames()))).collect();
    Ok(Judged { name: song.name.clone(), whole: part(0..song.frames()), segments, plan })
}

/// The whole mix at the model's best, or the live way in simulated time; `[stem]` at the level before `gain`.
fn separate(
    model: &Model,
    plan: Option<&Plan>,
    rate: SampleRate,
    mix: &Stereo,
    gain: f32,
) -> Result<Vec<Stereo>, Failure> {
    let audio = Audio::new(rate, mix.to_vec()).map_err(Failure::input)?;
    let mut estimates: Vec<Stereo> = vec![Default::default(); model.stems().count()];
    let what = if plan.is_some() { "streamed" } else { "offline" };
    let bar = progress::frames_bar(what, mix[0].len() as u64);
    let mut sink = |block: StemBlock| -> Result<(), ModelError> {
        for (estimate, stem) in estimates.iter_mut().zip(&block.stems) {
            for (channel, new) in estimate.iter_mut().zip(stem) {
                channel.extend_from_slice(new);
            }
        }
        if interrupt::requested() { Err(ModelError::Sink("cancelled".to_owned())) } else { Ok(()) }
    };
    let mut tell = |done: u64, _total: u64| bar.set_position(done);
    let result = match plan {
        Some(plan) => model.separate_streamed(&audio, plan, &mut sink, &mut tell),
        None => model.separate(&audio, &mut sink, &mut tell),
    };
    bar.finish_and_clear();
    if interrupt::requested() {
        return Err(Failure::cancelled());
    }
    result.map_err(Failure::run)?;
    undo(&mut estimates, gain);
    Ok(estimates)
}

fn plan(args: &EvalArgs, model: &Model, rate: SampleRate, budget: Budget) -> Result<Plan, Failure> {
    let request = PlanRequest {
        rate,
        budget_frames: budget.frames(rate),
        // Simulated time: the host's blocks, the link and the inference take none of the budget.
        block_frames: 0,
        link_frames: 0,
        speed: DeviceSpeed::Ideal,
        overrides: Overrides { window: args.window, hop: args.hop, look_ahead: args.look_ahead },
    };
    model.plan(&request).map_err(Failure::usage)
}

fn undo(estimates: &mut [Stereo], gain: f32) {
    estimates.iter_mut().flatten().flatten().for_each(|s| *s /= gain);
}

fn report(args: &EvalArgs, model: &Model, judged: &[Judged]) -> Result<(), Failure> {
    let set = model.stems();
    if args.json {
        let pick = |get: fn(&Part) -> Option<&Scores>| {
            means(set, &judged.iter().filter_map(|j| get(&j.whole)).collect::<Vec<_>>())
        };
        return output::json(&json!({
            "model": model.name(),
            "budget_millis": args.budget.map(|b| b.duration().as_secs_f64() * 1e3),
            "gain_db": args.gain_db,
            "songs": judged.iter().map(|j| song_json(j, set)).collect::<Vec<_>>(),
            "mean": {
                "offline": pick(|p| p.offline.as_ref()),
                "streamed": pick(|p| p.streamed.as_ref()),
                "mix": pick(|p| Some(&p.mix)),
            },
        }));
    }
    if let Some(plan) = judged.iter().find_map(|j| j.plan.as_ref()) {
        output::note(&format!("live: {}", plan_text(plan)));
    }
    for song in judged {
        table(&song.name, &song.whole, set);
        for segment in &song.segments {
            table(&format!("  {:.1} s + {:.1} s", segment.start_seconds, segment.seconds), segment, set);
        }
    }
    Ok(())
}

/// What was planned, for people.
fn plan_text(plan: &Plan) -> String {
    let millis = plan.rate.duration(u64::from(plan.algorithmic_frames)).as_secs_f64() * 1e3;
    format!("{}; {millis:.1} ms algorithmic", plan.geometry)
}

fn song_json(song: &Judged, set: &StemSet) -> Value {
    let mut value = part_json(&song.whole, set);
    value["name"] = json!(song.name);
    if let Some(plan) = &song.plan {
        value["latency_frames"] = json!(plan.latency_frames);
        value["algorithmic_frames"] = json!(plan.algorithmic_frames);
        value["hop_frames"] = json!(plan.hop_frames);
        value["look_ahead_frames"] = json!(plan.look_ahead_frames);
        value["plan"] = json!(plan_text(plan));
    }
    if !song.segments.is_empty() {
        let segments = song.segments.iter().map(|segment| {
            let mut value = part_json(segment, set);
            value["start_seconds"] = json!(segment.start_seconds);
            value["seconds"] = json!(segment.seconds);
            value
        });
        value["segments"] = segments.collect();
    }
    value
}

fn part_json(part: &Part, set: &StemSet) -> Value {
    let mut value = json!({ "mix": part.mix.json(set) });
    for (key, scores) in [("offline", &part.offline), ("streamed", &part.streamed)] {
        if let Some(scores) = scores {
            value[key] = scores.json(set);
        }
    }
    value
}

fn table(name: &str, part: &Part, set: &StemSet) {
    output::line(&format!("{name:24} {:>14} {:>14} {:>14}", "offline", "streamed", "mix"));
    let cell = |scores: Option<&Scores>, stem: usize| match scores.map(|s| s.0[stem]) {
        Some(Score::SdrDb(db)) => format!("{} dB", output::decibels(db)),
        Some(Score::LeakageDbfs(db)) => format!("({} dBFS)", output::decibels(db)),
        None => "–".to_owned(),
    };
    for (stem, stem_name) in set.names().iter().enumerate() {
        let (offline, streamed) = (cell(part.offline.as_ref(), stem), cell(part.streamed.as_ref(), stem));
        let mix = cell(Some(&part.mix), stem);
        output::line(&format!("  {:22} {offline:>14} {streamed:>14} {mix:>14}", stem_name.as_str()));
    }
}
