//! A host that plays a song through the plugin's engine, as fast as it goes or at its pace, and keeps what comes
//! out. Panics when the plugin does what it must not.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rehearsekit_plugin_engine::{
    AudioEngine, AudioSetup, Block, Instance, Mixer, STRIPS, Settings, Status, Transport, View,
};

use crate::house::PATIENCE;

/// What came out: the main mix and the six strips.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// `main[channel]`.
    pub main: [Vec<f32>; 2],
    /// `strips[strip][channel]`.
    pub strips: Vec<[Vec<f32>; 2]>,
}

impl Output {
    /// Every sample as its bits, so that "the same" means the same.
    pub fn bits(&self) -> Vec<u32> {
        self.main.iter().chain(self.strips.iter().flatten()).flatten().map(|s| s.to_bits()).collect()
    }
}

/// One track with the plugin on it.
pub struct Host {
    /// The main thread's handle.
    pub instance: Arc<Instance>,
    /// The audio thread's.
    pub engine: AudioEngine,
    /// What the host's parameters say.
    pub mixer: Mixer,
    /// The playhead; moves on with every block.
    pub transport: Transport,
    /// Everything that came out so far.
    pub out: Output,
    /// What became of the last block.
    pub last: Status,
    /// Frames played, and since when: the clock of a paced host.
    played: u64,
    began: Instant,
    rate_hz: u32,
}

impl Host {
    /// A host that has activated the plugin; the playhead is at 0 and moves.
    pub fn new(settings: Settings, setup: AudioSetup) -> Self {
        Self::of(Instance::new(settings), setup)
    }

    /// The same on a computer that is paired with the servers of this list.
    pub fn knowing(settings: Settings, setup: AudioSetup, list: &Path) -> Self {
        Self::of(Instance::with_known_servers(settings, list), setup)
    }

    fn of(instance: Instance, setup: AudioSetup) -> Self {
        let instance = Arc::new(instance);
        let engine = instance.activate(setup);
        Self {
            instance,
            engine,
            mixer: Mixer::default(),
            transport: Transport { playing: true, song_position_frames: Some(0), ..Transport::default() },
            out: Output { main: Default::default(), strips: vec![Default::default(); STRIPS] },
            last: Status::Ok,
            played: 0,
            began: Instant::now(),
            rate_hz: setup.rate_hz,
        }
    }

    /// One block at once.
    pub fn block(&mut self, mix: [&[f32]; 2]) {
        let frames = mix[0].len();
        let mut main = mix.map(<[f32]>::to_vec);
        let mut strips = vec![[vec![9.0; frames], vec![9.0; frames]]; STRIPS];
        {
            let [left, right] = &mut main;
            let mut slices: Vec<[&mut [f32]; 2]> =
                strips.iter_mut().map(|[l, r]| [l.as_mut_slice(), r.as_mut_slice()]).collect();
            self.last = self.engine.process(Block {
                main: [left, right],
                stems: &mut slices,
                transport: self.transport,
                mixer: &self.mixer,
                touched: rehearsekit_plugin_engine::Touched::NONE,
            });
        }
        if let Some(position) = &mut self.transport.song_position_frames {
            *position += frames as i64;
        }
        self.played += frames as u64;
        let outs = self.out.main.iter_mut().chain(self.out.strips.iter_mut().flatten());
        outs.zip(main.iter().chain(strips.iter().flatten())).for_each(|(out, new)| out.extend(new));
    }

    /// A song in blocks of these sizes, as fast as it goes; then silence for as long as the latency, so that all
    /// of it comes out.
    pub fn render(&mut self, song: &[Vec<f32>; 2], mut size: impl FnMut() -> usize) {
        let latency = self.engine.latency_frames() as usize;
        let frames = song[0].len() + latency;
        let padded = song.clone().map(|mut channel| {
            channel.resize(frames, 0.0);
            channel
        });
        let mut at = 0;
        while at < frames {
            let end = (at + size()).min(frames);
            self.block([&padded[0][at..end], &padded[1][at..end]]);
            assert_eq!(self.last, Status::Ok, "{:?}", self.instance.view());
            at = end;
        }
    }

    /// Plays `song(position)` at its own pace, 10 ms at a time, until `done`.
    pub fn play_until(
        &mut self,
        what: &str,
        song: impl Fn(usize, u64) -> f32,
        mut done: impl FnMut(&Self, &View) -> bool,
    ) {
        let frames = u64::from(self.rate_hz) / 100;
        let limit = Instant::now() + PATIENCE;
        loop {
            let view = self.instance.view();
            if done(self, &view) {
                return;
            }
            assert!(Instant::now() < limit, "never {what}: {view:?}");
            let from = self.played;
            let [left, right] =
                [0, 1].map(|channel| (from..from + frames).map(|p| song(channel, p)).collect::<Vec<_>>());
            self.block([&left, &right]);
            let due = self.began + Duration::from_secs_f64(self.played as f64 / f64::from(self.rate_hz));
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Frames played so far.
    pub fn played(&self) -> u64 {
        self.played
    }
}

/// Block sizes without end from 1 to `most`, the same for every run.
pub fn sizes(seed: u64, most: usize) -> impl FnMut() -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let limit = [3, 64, most][(state >> 60) as usize % 3].min(most);
        1 + (state >> 20) as usize % limit
    }
}
