//! A CLAP host that plays a [`Song`] which everybody knows to the frame, and the clicks that came out.

use std::ops::Range;

use clack_host::{
    events::{
        EventFlags, EventHeader,
        event_types::{TransportEvent, TransportFlags},
    },
    utils::{BeatTime, SecondsTime},
};
use rehearsekit_host_tests::{
    player::{Player, sizes},
    songs::Stereo,
    track::{STEMS, Track},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::song::Song;

/// Where the click comes out of the class with an output per stem.
const CLICK: usize = 7;
/// How much softer than an accent the other clicks are, the softest first.
const KIND_GAINS: [f32; 3] = [0.35, 0.65, 1.0];

/// How a host tells its map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Telling {
    /// Tempo and position at each block's first frame, and blocks that end where the playhead jumps.
    Blocks,
    /// How the tempo moves too (`tempo_inc`), and an event inside of a block wherever anything changes.
    Events,
    /// No transport at all.
    Nothing,
}

/// What a host does for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// Plays `frames` of the song from this frame on.
    Play { from: i64, frames: u64 },
    /// Stands still.
    Stop { frames: u64 },
}

impl Deed {
    pub(crate) fn frames(self) -> u64 {
        let (Self::Play { frames, .. } | Self::Stop { frames }) = self;
        frames
    }
}

/// A click that came out: its frame, and 2 for a bar's first beat, 1 for a beat, 0 for what is between.
pub(crate) type Click = (u64, usize);

/// What is the same for all that is played.
pub(crate) struct Stage {
    pub(crate) song: Song,
    pub(crate) telling: Telling,
    /// Frames of the song that the host says it counts in.
    pub(crate) pre_roll: Range<i64>,
    /// Parameters by their names, as CLAP values.
    pub(crate) params: Vec<(&'static str, f64)>,
    pub(crate) settings: Vec<(&'static str, Value)>,
    /// Moves another parameter in the middle of things, which cuts blocks.
    pub(crate) moves_a_fader: bool,
}

/// Block sizes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Blocks {
    Of(usize),
    UpTo(usize),
}

impl Blocks {
    pub(crate) fn next(self) -> Box<dyn FnMut() -> usize + Send> {
        match self {
            Self::Of(frames) => Box::new(move || frames),
            Self::UpTo(most) => Box::new(sizes(7, most)),
        }
    }
}

/// The common ones, and some that change.
pub(crate) const BLOCKS: [Blocks; 5] =
    [Blocks::Of(64), Blocks::Of(512), Blocks::Of(2_048), Blocks::UpTo(64), Blocks::UpTo(2_048)];

impl Stage {
    /// A click on every beat of this song.
    pub(crate) fn new(song: Song) -> Self {
        let params = vec![("Click", 2.0), ("Click Sound", 3.0)];
        Self {
            song,
            telling: Telling::Blocks,
            pre_roll: 0..0,
            params,
            settings: vec![],
            moves_a_fader: false,
        }
    }

    /// An instance of the class with an output per stem, with nobody to connect to.
    pub(crate) fn track(&self) -> (Track, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let impulse = folder.path().join("impulse.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: self.song.rate_hz,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut file = hound::WavWriter::create(&impulse, spec).unwrap();
        file.write_sample(1.0f32).unwrap();
        file.finalize().unwrap();
        let mut track = Track::new(STEMS);
        // The discard port: nobody answers.
        track.point_at("127.0.0.1:9", 250.0);
        track.configure(&[("click_file", json!(impulse))]);
        track.configure(&self.settings);
        track.set(&self.params);
        (track, folder)
    }

    /// Does all that to a new instance, and then stands still for as long as the latency: the clicks in the heard audio,
    /// from which the latency is taken.
    pub(crate) fn play(&self, deeds: &[Deed], blocks: Blocks) -> Vec<Click> {
        let (mut track, _folder) = self.track();
        let (out, latency) = self.play_on(&mut track, deeds, blocks);
        assert!(out[0] == out[CLICK], "what is on the main output is not what is on the click's own");
        assert!(out[1..CLICK].iter().flatten().flatten().all(|sample| *sample == 0.0));
        let [left, right] = &out[CLICK];
        assert!(left == right);
        assert!(left[..latency].iter().all(|sample| *sample == 0.0), "a click before its time");
        clicks(&left[latency..])
    }

    /// The same with an instance of one's own: all outputs and the latency, which is in them.
    pub(crate) fn play_on(&self, track: &mut Track, deeds: &[Deed], blocks: Blocks) -> (Vec<Stereo>, usize) {
        track.activate(self.song.rate_hz, 2_048);
        let latency = track.latency() as usize;
        let mut timeline: Vec<(u64, Deed)> = Vec::new();
        let mut end = 0;
        for deed in deeds.iter().chain([&Deed::Stop { frames: latency as u64 }]) {
            timeline.push((end, *deed));
            end += deed.frames();
        }
        let fader = track.param("Vocals Gain").0;
        let mut size = blocks.next();
        let out = track.play(|player| {
            while player.played() < end {
                let at = player.played();
                let next = timeline.iter().map(|(from, _)| *from).find(|from| *from > at).unwrap_or(end);
                // Where nothing can be told inside of a block, a block ends.
                let limit = if self.telling == Telling::Events { end } else { next };
                let block = (size() as u64).min(limit - at);
                if self.moves_a_fader {
                    player.automation.push((at + block / 3, fader, (at % 7) as f64 / 7.0));
                }
                self.tell(player, &timeline, at, block);
                let silence = vec![0.0; block as usize];
                player.block([&silence, &silence]).unwrap();
            }
            std::mem::take(&mut player.out)
        });
        (out, latency)
    }

    /// What is told of a block.
    fn tell(&self, player: &mut Player, timeline: &[(u64, Deed)], at: u64, block: u64) {
        let mut told = vec![at];
        if self.telling == Telling::Events {
            told.extend(self.changes(timeline));
            told.retain(|position| (at..at + block).contains(position));
            told.sort_unstable();
            told.dedup();
        }
        for position in told.into_iter().filter(|_| self.telling != Telling::Nothing) {
            let &(from, deed) = timeline.iter().rev().find(|(from, _)| *from <= position).unwrap();
            let (playing, frame) = match deed {
                Deed::Play { from: frame, .. } => (true, frame + (position - from) as i64),
                Deed::Stop { .. } => (false, 777),
            };
            player.transports.push(self.transport((position - at) as u32, playing, frame));
        }
    }

    /// Positions at which what was told before does not hold on.
    fn changes(&self, timeline: &[(u64, Deed)]) -> Vec<u64> {
        let mut frames: Vec<f64> = Vec::new();
        let mut corner = 0.0;
        for part in &self.song.parts {
            corner += part.frames;
            frames.push(corner);
        }
        frames.extend(self.song.meters.iter().map(|(beats, _)| self.song.frame_of(*beats) - 1e-3));
        frames.extend([self.pre_roll.start as f64, self.pre_roll.end as f64]);
        let mut positions: Vec<u64> = timeline.iter().map(|(from, _)| *from).collect();
        for &(position, deed) in timeline {
            let Deed::Play { from, frames: length } = deed else { continue };
            let within = frames.iter().map(|frame| frame.ceil() as i64 - from);
            let within = within.filter(|frame| (0..length as i64).contains(frame));
            positions.extend(within.map(|frame| position + frame as u64));
        }
        positions
    }

    fn transport(&self, time: u32, playing: bool, frame: i64) -> TransportEvent {
        let at = frame as f64;
        let beats = self.song.beats_at(at);
        let (bar_start, (numerator, denominator)) = self.song.bar_at(beats);
        let mut flags = TransportFlags::HAS_TEMPO
            | TransportFlags::HAS_SECONDS_TIMELINE
            | TransportFlags::HAS_BEATS_TIMELINE
            | TransportFlags::HAS_TIME_SIGNATURE;
        flags.set(TransportFlags::IS_PLAYING, playing);
        flags.set(TransportFlags::IS_WITHIN_PRE_ROLL, playing && self.pre_roll.contains(&frame));
        let tempo = self.song.bpm_at(at);
        let moves = self.telling == Telling::Events && playing;
        TransportEvent {
            header: EventHeader::new_core(time, EventFlags::empty()),
            flags,
            song_pos_beats: BeatTime::from_float(beats),
            song_pos_seconds: SecondsTime::from_float(at / f64::from(self.song.rate_hz)),
            tempo,
            tempo_inc: if moves { 2.0 * (self.song.bpm_at(at + 0.5) - tempo) } else { 0.0 },
            loop_start_beats: BeatTime::from_bits(0),
            loop_end_beats: BeatTime::from_bits(0),
            loop_start_seconds: SecondsTime::from_bits(0),
            loop_end_seconds: SecondsTime::from_bits(0),
            bar_start: BeatTime::from_float(bar_start),
            bar_number: (bar_start / 4.0) as i32,
            time_signature_numerator: numerator as u16,
            time_signature_denominator: denominator as u16,
        }
    }
}

/// Where clicks truly are in what is heard, with the frame of the song.
pub(crate) fn truth(
    song: &Song,
    deeds: &[Deed],
    per_beat: impl Fn(u32) -> u32 + Copy,
) -> Vec<(f64, i64, usize)> {
    let mut position = 0.0;
    let mut clicks = Vec::new();
    for deed in deeds {
        if let Deed::Play { from, frames } = *deed {
            // A beat right at the end is not heard: there the playhead is somewhere else already.
            let (first, end) = (from as f64 - 0.5, (from + frames as i64) as f64 - 0.5);
            let ticks = song.ticks(first, end, per_beat).into_iter();
            clicks.extend(ticks.map(|(at, kind)| (position + at - from as f64, at.round() as i64, kind)));
        }
        position += deed.frames() as f64;
    }
    clicks
}

/// Every click is where it is true to half a frame, which is rounding to a frame, and `tolerance`; none is lost, none
/// doubled. The largest error, in frames.
pub(crate) fn check(what: &str, heard: &[Click], truth: &[(f64, i64, usize)], tolerance: f64) -> f64 {
    let mut worst = 0.0f64;
    for ((frame, kind), (at, _, expected)) in heard.iter().zip(truth) {
        let error = (*frame as f64 - at).abs();
        assert!(
            error <= 0.5 + tolerance && kind == expected,
            "{what}: a click of kind {kind} at {frame} for a beat of kind {expected} at {at}"
        );
        worst = worst.max(error);
    }
    assert_eq!(
        heard.len(),
        truth.len(),
        "{what}: clicks, the last {:?}",
        &heard[heard.len().saturating_sub(3)..]
    );
    worst
}

/// The clicks in audio in which each is one sample, which tells its kind.
fn clicks(samples: &[f32]) -> Vec<Click> {
    let heard = samples.iter().enumerate().filter(|(_, sample)| **sample != 0.0);
    let click = |(at, &sample): (usize, &f32)| {
        let kind = KIND_GAINS.iter().position(|gain| *gain == sample);
        (at as u64, kind.unwrap_or_else(|| panic!("at {at}, {sample} is no click, or two")))
    };
    heard.map(click).collect()
}
