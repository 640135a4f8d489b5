//! A host that plays a [`Song`] through a click, and what came out.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use rehearsekit_audio::{
    Audio, SampleRate,
    click::{BeatTransport, ClickMode, ClickSound, ClickValues, Subdivision},
};
use rehearsekit_playout::{ClickTrack, OwnSounds};

use crate::song::Song;

/// How a host rounds what it tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rounding {
    /// Doubles, as VST3.
    None,
    /// Fixed point, as CLAP; the song's position comes by seconds.
    Clap,
    /// 1920ths of a quarter, as Ardour.
    Ticks,
}

/// What a host does for a while. A block never reaches from one into the next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// Plays `frames` of the song from this frame on.
    Play { from: i64, frames: u64 },
    /// Stands still.
    Stop { frames: u64 },
}

/// A click that came out: its frame, and 2 for a bar's first beat, 1 for a beat, 0 for what is between.
pub(crate) type Click = (u64, usize);

pub(crate) struct Host {
    pub(crate) song: Song,
    pub(crate) rounding: Rounding,
    pub(crate) values: ClickValues,
    pub(crate) latency_frames: u32,
    pub(crate) says_bar_starts: bool,
    pub(crate) says_positions: bool,
}

/// Block sizes without end from 1 to `most`, the same for every run: many small ones, some large.
pub(crate) fn sizes(seed: u64, most: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let limit = [8, 700, most, most][(state >> 60) as usize % 4].min(most);
        1 + (state >> 20) % limit
    }
}

/// Makes every click one sample, whose value tells its kind.
pub(crate) fn impulses(rate: SampleRate, own: &mut OwnSounds) {
    let impulse = Audio::new(rate, vec![vec![1.0]]).unwrap();
    assert!(own.set(Some(ClickSound::new(impulse).unwrap())).is_ok());
}

pub(crate) fn on() -> ClickValues {
    ClickValues { mode: ClickMode::On, sound: 3, ..ClickValues::default() }
}

/// Clicks to a beat of 1/`denominator` notes.
pub(crate) fn per_beat(subdivision: Subdivision) -> impl Fn(u32) -> u32 {
    move |denominator| match subdivision {
        Subdivision::Beats => 1,
        Subdivision::Eighths => (8 / denominator).max(1),
        Subdivision::Triplets => 3,
        Subdivision::Sixteenths => (16 / denominator).max(1),
    }
}

/// The clicks in a stretch of audio whose sounds are impulses.
pub(crate) fn clicks(samples: &[f32], first: u64) -> Vec<Click> {
    let kind = |sample: f32| [0.35, 0.65, 1.0].iter().position(|gain| *gain == sample);
    let heard = samples.iter().enumerate().filter(|(_, sample)| **sample != 0.0);
    heard.map(|(n, sample)| (first + n as u64, kind(*sample).expect("two clicks on one frame"))).collect()
}

impl Host {
    pub(crate) fn new(song: Song, latency_frames: u32) -> Self {
        let values = on();
        let rounding = Rounding::None;
        Self { song, rounding, values, latency_frames, says_bar_starts: true, says_positions: true }
    }

    pub(crate) fn rate(&self) -> SampleRate {
        SampleRate::new(self.song.rate_hz).unwrap()
    }

    /// What is told at a frame of the song.
    pub(crate) fn transport(&self, playing: bool, frame: i64) -> BeatTransport {
        let beats = self.song.beats_at(frame as f64);
        let (bar_start, time_signature) = self.song.bar_at(beats);
        let fixed = |value: f64| (value * 2f64.powi(31)).round() / 2f64.powi(31);
        let rate = f64::from(self.song.rate_hz);
        let (beats, bar_start, position) = match self.rounding {
            Rounding::None => (beats, bar_start, frame),
            Rounding::Clap => {
                (fixed(beats), fixed(bar_start), (fixed(frame as f64 / rate) * rate).round() as i64)
            }
            Rounding::Ticks => ((beats * 1_920.0).round() / 1_920.0, bar_start, frame),
        };
        BeatTransport {
            playing,
            song_position_frames: self.says_positions.then_some(position),
            pre_roll: false,
            tempo_bpm: Some(self.song.bpm_at(frame as f64)),
            beats: Some(beats),
            bar_start_beats: self.says_bar_starts.then_some(bar_start),
            time_signature: Some(time_signature),
            is_carried: false,
        }
    }

    /// Does all that in blocks of these sizes, and then stands still for as long as the latency. The click is rendered
    /// in pieces of other sizes.
    pub(crate) fn run(&self, deeds: &[Deed], mut size: impl FnMut() -> u64) -> Vec<Click> {
        let (mut track, mut own) = ClickTrack::new(self.rate(), self.latency_frames);
        impulses(self.rate(), &mut own);
        let mut pieces = sizes(99, 8_192);
        let mut position = 0;
        let mut heard = Vec::new();
        let end = Deed::Stop { frames: u64::from(self.latency_frames) + 1 };
        for deed in deeds.iter().chain([&end]) {
            let (playing, mut frame, frames) = match *deed {
                Deed::Play { from, frames } => (true, from, frames),
                Deed::Stop { frames } => (false, 7, frames),
            };
            let until = position + frames;
            while position < until {
                let block = size().min(until - position);
                track.receive(position, &self.transport(playing, frame));
                let mut done = 0;
                while done < block {
                    let piece = pieces().min(block - done);
                    let [mut left, mut right] = [vec![9.0; piece as usize], vec![9.0; piece as usize]];
                    track.render(position + done, &self.values, [&mut left, &mut right]);
                    assert_eq!(left, right);
                    heard.extend(clicks(&left, position + done));
                    done += piece;
                }
                position += block;
                frame += if playing { block as i64 } else { 0 };
            }
        }
        heard
    }

    /// Where clicks truly are in the output of [`Self::run`]. One right at the end of a deed is not among them.
    pub(crate) fn truth(&self, deeds: &[Deed]) -> Vec<(f64, usize)> {
        let mut position = f64::from(self.latency_frames);
        let mut clicks = Vec::new();
        for deed in deeds {
            match *deed {
                Deed::Play { from, frames } => {
                    let (first, frames) = (from as f64, frames as f64);
                    let ticks =
                        self.song.ticks(first - 0.5, first + frames - 0.5, per_beat(self.values.subdivision));
                    clicks.extend(ticks.into_iter().map(|(at, kind)| (position + at - first, kind)));
                    position += frames;
                }
                Deed::Stop { frames } => position += frames as f64,
            }
        }
        clicks
    }

    /// Every click is within half a frame of its beat (and `tolerance` frames), none is missing, none too many.
    pub(crate) fn check(&self, heard: &[Click], deeds: &[Deed], tolerance: f64) {
        let truth = self.truth(deeds);
        for ((frame, kind), (at, expected)) in heard.iter().zip(&truth) {
            let error = *frame as f64 - at;
            assert!(
                error.abs() <= 0.5 + tolerance && kind == expected,
                "click of kind {kind} at {frame}, beat of kind {expected} at {at}"
            );
        }
        assert_eq!(heard.len(), truth.len(), "clicks, {:?}", &heard[heard.len().saturating_sub(3)..]);
    }
}
