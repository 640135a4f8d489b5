//! The audio thread's side of one plugin instance in the CLAP host: blocks, events, transport, pace. Every live block is
//! watched by the guard, and its CPU time is measured.
#![allow(clippy::unwrap_used, reason = "what stands in for a host may fall down")]
#![allow(unsafe_code)] // clock_gettime

use std::time::{Duration, Instant};

use clack_host::{
    events::{
        EventFlags, EventHeader,
        event_types::{ParamValueEvent, TransportEvent, TransportFlags},
    },
    prelude::*,
    utils::{BeatTime, SecondsTime},
};

use crate::{PATIENCE, clap_host::Host, guard, songs::Stereo};

/// A host's parameter change.
pub fn param_event(frame: u32, id: ClapId, value: f64) -> ParamValueEvent {
    ParamValueEvent::new(frame, id, Pckn::match_all(), value)
}

/// Where a host's playhead is.
#[derive(Debug, Clone, Copy)]
pub struct Playhead {
    /// Whether it moves.
    pub playing: bool,
    /// In frames.
    pub position: i64,
    /// In beats per minute.
    pub tempo: f64,
    /// In beats, which follow the tempo map and not only the tempo.
    pub beats: f64,
}

impl Playhead {
    /// For CLAP, which knows seconds and beats only.
    pub fn event(&self, rate_hz: u32) -> TransportEvent {
        let mut flags = TransportFlags::HAS_TEMPO
            | TransportFlags::HAS_SECONDS_TIMELINE
            | TransportFlags::HAS_BEATS_TIMELINE
            | TransportFlags::HAS_TIME_SIGNATURE;
        flags.set(TransportFlags::IS_PLAYING, self.playing);
        let bar = (self.beats / 4.0).floor();
        TransportEvent {
            header: EventHeader::new_core(0, EventFlags::empty()),
            flags,
            song_pos_beats: BeatTime::from_float(self.beats),
            song_pos_seconds: SecondsTime::from_float(self.position as f64 / f64::from(rate_hz)),
            tempo: self.tempo,
            tempo_inc: 0.0,
            loop_start_beats: BeatTime::from_bits(0),
            loop_end_beats: BeatTime::from_bits(0),
            loop_start_seconds: SecondsTime::from_bits(0),
            loop_end_seconds: SecondsTime::from_bits(0),
            bar_start: BeatTime::from_float(4.0 * bar),
            bar_number: bar as i32,
            time_signature_numerator: 4,
            time_signature_denominator: 4,
        }
    }
}

/// A plugin that is being processed.
pub struct Player {
    processor: StartedPluginAudioProcessor<Host>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    buffers: Vec<[Vec<f32>; 2]>,
    mix: [Vec<f32>; 2],
    /// What came out so far, by port: the main output first.
    pub out: Vec<Stereo>,
    /// What `process()` took of this thread's time, block by block.
    pub cpu_nanos: Vec<u64>,
    /// Parameter changes of the next blocks, with the position of the frame they are for.
    pub automation: Vec<(u64, ClapId, f64)>,
    /// The playhead, for hosts that have one; moves on with every block if it plays.
    pub playhead: Option<Playhead>,
    /// What is told of the next block in the playhead's place: the first with the block, the others as events in it.
    pub transports: Vec<TransportEvent>,
    /// Whether blocks may wait, as only an offline render may; they allocate nothing all the same.
    pub offline: bool,
    /// The announced maximum.
    pub max_block_frames: u32,
    /// The latency when it was activated.
    pub latency: usize,
    rate_hz: u32,
    is_watched: bool,
    played: u64,
    began: Instant,
    events: EventBuffer,
}

/// What an instance was activated with.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub(crate) outputs: usize,
    pub(crate) rate_hz: u32,
    pub(crate) max_block_frames: u32,
    pub(crate) latency: usize,
}

impl Player {
    pub(crate) fn new(processor: StartedPluginAudioProcessor<Host>, setup: Setup, is_watched: bool) -> Self {
        let Setup { outputs: ports, rate_hz, max_block_frames, latency } = setup;
        Self {
            processor,
            inputs: AudioPorts::with_capacity(2, 1),
            outputs: AudioPorts::with_capacity(2 * ports, ports),
            buffers: vec![Default::default(); ports],
            mix: Default::default(),
            out: vec![Default::default(); ports],
            cpu_nanos: Vec::new(),
            automation: Vec::new(),
            playhead: None,
            transports: Vec::new(),
            offline: false,
            max_block_frames,
            latency,
            rate_hz,
            is_watched,
            played: 0,
            began: Instant::now(),
            events: EventBuffer::with_capacity(64),
        }
    }

    pub(crate) fn stop(self) -> StoppedPluginAudioProcessor<Host> {
        self.processor.stop_processing()
    }

    /// Frames played so far.
    pub fn played(&self) -> u64 {
        self.played
    }

    /// Starts over; on the audio thread, so this is watched, too.
    pub fn reset(&mut self) {
        let ((), offences) = guard::watch(|| self.processor.reset());
        assert!(!self.is_watched || offences.is_empty(), "in a reset at {}: {offences:?}", self.played);
    }

    /// One block.
    ///
    /// # Errors
    /// When the plugin says that it failed.
    pub fn block(&mut self, mix: [&[f32]; 2]) -> Result<ProcessStatus, PluginInstanceError> {
        let frames = mix[0].len();
        for (buffer, mix) in self.mix.iter_mut().zip(mix) {
            buffer.clear();
            buffer.extend_from_slice(mix);
        }
        // What is not written shows.
        self.buffers.iter_mut().flatten().for_each(|buffer| {
            buffer.clear();
            buffer.resize(frames, 9.0);
        });
        self.events.clear();
        let end = self.played + frames as u64;
        for &(at, id, value) in self.automation.iter().filter(|(at, ..)| (self.played..end).contains(at)) {
            self.events.push(&param_event((at - self.played) as u32, id, value));
        }
        self.automation.retain(|(at, ..)| *at >= end);
        let mut transports = self.transports.drain(..);
        let playhead = || self.playhead.map(|playhead| playhead.event(self.rate_hz));
        let transport = transports.next().or_else(playhead);
        transports.for_each(|transport| self.events.push(&transport));
        self.events.sort();
        let inputs = self.inputs.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(
                self.mix.iter_mut().map(|channel| InputChannel::variable(channel.as_mut_slice())),
            ),
        }]);
        let mut outputs =
            self.outputs.with_output_buffers(self.buffers.iter_mut().map(|port| AudioPortBuffer {
                latency: 0,
                channels: AudioPortBufferType::f32_output_only(port.iter_mut().map(Vec::as_mut_slice)),
            }));
        let events = self.events.as_input();
        let mut told = EventBuffer::with_capacity(64);
        let mut told = told.as_output();
        let before = thread_cpu_nanos();
        let (status, offences) = guard::watch(|| {
            self.processor.process(
                &inputs,
                &mut outputs,
                &events,
                &mut told,
                Some(self.played),
                transport.as_ref(),
            )
        });
        self.cpu_nanos.push(thread_cpu_nanos() - before);
        let is_quiet = if self.offline { offences.allocations == 0 } else { offences.is_empty() };
        assert!(!self.is_watched || is_quiet, "in a block of {frames} at {}: {offences:?}", self.played);
        for (out, buffer) in self.out.iter_mut().flatten().zip(self.buffers.iter().flatten()) {
            assert!(
                buffer.iter().all(|sample| sample.is_finite() && *sample != 9.0),
                "a block of {frames} at {} was not written, or badly",
                self.played
            );
            out.extend_from_slice(buffer);
        }
        if let Some(playhead) = self.playhead.as_mut().filter(|playhead| playhead.playing) {
            playhead.position += frames as i64;
            playhead.beats += frames as f64 / f64::from(self.rate_hz) * playhead.tempo / 60.0;
        }
        self.played = end;
        status
    }

    /// A song in blocks of these sizes, as fast as it goes, and then silence for as long as the latency, so that
    /// all of it comes out.
    pub fn render(&mut self, song: &Stereo, mut size: impl FnMut() -> usize) {
        let frames = song[0].len() + self.latency;
        let padded = song.clone().map(|mut channel| {
            channel.resize(frames, 0.0);
            channel
        });
        let mut at = 0;
        while at < frames {
            let end = (at + size()).min(frames);
            self.block([&padded[0][at..end], &padded[1][at..end]]).unwrap();
            at = end;
        }
    }

    /// Plays `song(position, channel)` at its own pace in blocks of `frames` until `done`; `what` is said if that
    /// never happens.
    pub fn play_until(
        &mut self,
        what: &str,
        frames: usize,
        song: impl Fn(u64, usize) -> f32,
        mut done: impl FnMut(&Self) -> bool,
    ) {
        let limit = Instant::now() + PATIENCE;
        // A pause since the last call is no reason to hurry.
        self.began = Instant::now() - self.time_of(self.played);
        while !done(self) {
            assert!(Instant::now() < limit, "never {what}");
            let positions = self.played..self.played + frames as u64;
            let [left, right] =
                [0, 1].map(|channel| positions.clone().map(|p| song(p, channel)).collect::<Vec<_>>());
            self.block([&left, &right]).unwrap();
            let due = self.began + self.time_of(self.played);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn time_of(&self, frames: u64) -> Duration {
        Duration::from_secs_f64(frames as f64 / f64::from(self.rate_hz))
    }
}

/// CPU time of this thread.
pub fn thread_cpu_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Block sizes without end from 1 to `most`, the same for every run: many small ones, some large.
pub fn sizes(seed: u64, most: usize) -> impl FnMut() -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let limit = [3, 64, most, most][(state >> 60) as usize % 4].min(most);
        1 + (state >> 20) as usize % limit
    }
}
