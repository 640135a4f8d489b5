//! A host for the engine: feeds it a song in blocks of any size and keeps what comes out. There is no server in
//! these tests; where a connection is tried, it is with a socket that never answers.
#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::{net::UdpSocket, sync::Arc};

use rehearsekit_plugin_engine::{
    AudioEngine, AudioSetup, Block, Instance, Mixer, OUTPUTS, Settings, Status, Touched, Transport,
};

/// Full scale noise that depends on nothing but its arguments (splitmix64).
pub(crate) fn noise(seed: u64, position: u64) -> f32 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ position.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// A song of noise, different in the two channels.
pub(crate) fn song(frames: usize) -> [Vec<f32>; 2] {
    [1, 2].map(|seed| (0..frames as u64).map(|p| noise(seed, p)).collect())
}

/// Block sizes without end, from 1 to `most`, small and large ones alike.
pub(crate) fn sizes(seed: u64, most: usize) -> impl FnMut() -> usize {
    let mut n = 0;
    move || {
        n += 1;
        let spread = (noise(seed, n) + 1.0) / 2.0;
        let limit = [8, 130, 1_100, most][n as usize % 4].min(most);
        1 + (spread * (limit - 1) as f32) as usize
    }
}

/// A server that takes everything and never answers.
pub(crate) struct Deaf(UdpSocket);

impl Deaf {
    pub(crate) fn new() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { server: Some(self.0.local_addr().unwrap().to_string()), ..Settings::default() }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) main: [Vec<f32>; 2],
    pub(crate) stems: Vec<[Vec<f32>; 2]>,
}

/// An engine and what a host says to it.
pub(crate) struct Host {
    pub(crate) instance: Arc<Instance>,
    pub(crate) engine: AudioEngine,
    pub(crate) mixer: Mixer,
    pub(crate) touched: Touched,
    pub(crate) transport: Transport,
    pub(crate) with_stems: bool,
    pub(crate) out: Output,
    pub(crate) last: Status,
}

impl Host {
    pub(crate) fn new(settings: Settings, setup: AudioSetup) -> Self {
        let instance = Arc::new(Instance::new(settings));
        let engine = instance.activate(setup);
        Self {
            instance,
            engine,
            mixer: Mixer::default(),
            touched: Touched::NONE,
            transport: Transport::default(),
            with_stems: true,
            out: Output { main: Default::default(), stems: vec![Default::default(); OUTPUTS] },
            last: Status::Ok,
        }
    }

    /// One block; its output is appended, and the playhead moves on.
    pub(crate) fn block(&mut self, mix: [&[f32]; 2]) {
        let frames = mix[0].len();
        let mut main = mix.map(<[f32]>::to_vec);
        let mut stems = vec![[vec![9.0; frames], vec![9.0; frames]]; OUTPUTS];
        {
            let [left, right] = &mut main;
            let mut slices: Vec<[&mut [f32]; 2]> =
                stems.iter_mut().map(|[l, r]| [l.as_mut_slice(), r.as_mut_slice()]).collect();
            let used = if self.with_stems { OUTPUTS } else { 0 };
            self.last = self.engine.process(Block {
                main: [left, right],
                stems: &mut slices[..used],
                transport: self.transport,
                mixer: &self.mixer,
                touched: std::mem::take(&mut self.touched),
            });
        }
        if let Some(position) =
            self.transport.song_position_frames.as_mut().filter(|_| self.transport.playing)
        {
            *position += frames as i64;
        }
        let outs = self.out.main.iter_mut().chain(self.out.stems.iter_mut().flatten());
        outs.zip(main.iter().chain(stems.iter().flatten())).for_each(|(out, new)| out.extend(new));
    }

    /// A song in blocks of these sizes.
    pub(crate) fn play(&mut self, song: &[Vec<f32>; 2], mut size: impl FnMut() -> usize) {
        let mut at = 0;
        while at < song[0].len() {
            let end = (at + size()).min(song[0].len());
            self.block([&song[0][at..end], &song[1][at..end]]);
            at = end;
        }
    }
}
