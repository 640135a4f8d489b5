//! The click in the engine's hands: played into the main output and into its own, and shown. Without a rate that a
//! click can be made for there is none. Must not know of stems.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use rehearsekit_audio::{
    SampleRate,
    click::{BeatTransport, ClickMode, ClickValues},
};
use rehearsekit_playout::{ClickTrack, OwnSounds};

/// The audio thread's part.
#[derive(Debug)]
pub(crate) struct Metronome {
    track: Option<ClickTrack>,
    sound: [Vec<f32>; 2],
    peak: [f32; 2],
}

impl Metronome {
    /// For pieces of up to `most_frames`; and the way in for a sound of the player's own.
    pub(crate) fn new(
        rate: Option<SampleRate>,
        latency_frames: u32,
        most_frames: usize,
    ) -> (Self, Option<Mutex<OwnSounds>>) {
        let (track, own) = rate.map(|rate| ClickTrack::new(rate, latency_frames)).unzip();
        let sound = [vec![0.0; most_frames], vec![0.0; most_frames]];
        (Self { track, sound, peak: [0.0; 2] }, own.map(Mutex::new))
    }

    /// The host's playhead for the frame that goes in at `position`; once for each block.
    pub(crate) fn receive(&mut self, position: u64, transport: &BeatTransport) {
        if let Some(track) = &mut self.track {
            track.receive(position, transport);
        }
    }

    /// Plays what is heard while a piece goes in from `position` on: into `own`, and on top of `main` if it is given.
    pub(crate) fn play(
        &mut self,
        position: u64,
        values: &ClickValues,
        main: Option<&mut [&mut [f32]; 2]>,
        own: Option<&mut [&mut [f32]; 2]>,
        frames: usize,
    ) {
        let [left, right] = &mut self.sound;
        let frames = frames.min(left.len());
        let (left, right) = (&mut left[..frames], &mut right[..frames]);
        match &mut self.track {
            Some(track) => track.render(position, values, [&mut *left, &mut *right]),
            None => [&mut *left, &mut *right].into_iter().for_each(|channel| channel.fill(0.0)),
        }
        let sound = [left, right];
        for (peak, channel) in self.peak.iter_mut().zip(&sound) {
            *peak = channel.iter().fold(*peak, |most, sample| most.max(sample.abs()));
        }
        if let Some(main) = main {
            for (to, from) in main.iter_mut().zip(&sound) {
                // What is silent must leave the main output as it is, to the bit.
                to.iter_mut()
                    .zip(from.iter())
                    .filter(|(_, from)| **from != 0.0)
                    .for_each(|(to, from)| *to += from);
            }
        }
        if let Some(own) = own {
            own.iter_mut().zip(&sound).for_each(|(to, from)| to.copy_from_slice(from));
        }
    }

    /// Forgets what was told and is silent. Real-time safe.
    pub(crate) fn reset(&mut self) {
        if let Some(track) = &mut self.track {
            track.reset();
        }
    }

    /// The highest peak since this was last asked.
    pub(crate) fn take_peak(&mut self) -> [f32; 2] {
        std::mem::take(&mut self.peak)
    }

    /// Tells a display how things are.
    pub(crate) fn show(&self, heard: &Heard) {
        let Some(track) = &self.track else { return };
        let beat = track.beat().map_or(0, |beat| beat.beat << 16 | beat.of & 0xffff);
        heard.beat.store(beat, Relaxed);
        heard.tempo_bpm.store(track.tempo_bpm().unwrap_or(0.0).to_bits(), Relaxed);
        heard.own_seconds.store(track.own_seconds().to_bits(), Relaxed);
    }
}

/// What a bypassed click is set to: what rings, rings out.
pub(crate) fn bypassed(values: ClickValues) -> ClickValues {
    ClickValues { mode: ClickMode::Off, ..values }
}

/// What of the click a display may know; each value by itself.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Beat and beats of the bar in the upper and lower half; 0 is none.
    beat: AtomicU32,
    /// As bits; 0 is none.
    tempo_bpm: AtomicU64,
    own_seconds: AtomicU64,
}

/// The click as it is heard at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClickNow {
    /// The beat of the bar that is heard, from 1, and how many there are; `None` while nothing plays, or where the
    /// meter is unknown.
    pub beat: Option<(u32, u32)>,
    /// The tempo in force in quarter notes per minute; `None` is unknown.
    pub tempo_bpm: Option<f64>,
    /// Where a "one" lies that is tapped now, for [`ClickValues::own_one_seconds`].
    pub own_seconds: f64,
}

impl Heard {
    pub(crate) fn now(&self) -> ClickNow {
        let beat = self.beat.load(Relaxed);
        let tempo_bpm = f64::from_bits(self.tempo_bpm.load(Relaxed));
        ClickNow {
            beat: (beat != 0).then_some((beat >> 16, beat & 0xffff)),
            tempo_bpm: (tempo_bpm > 0.0).then_some(tempo_bpm),
            own_seconds: f64::from_bits(self.own_seconds.load(Relaxed)),
        }
    }
}
