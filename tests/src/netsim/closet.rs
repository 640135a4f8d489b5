//! The server's side of the simulation: a real [`ServerSession`] and [`Arranger`], and the plainest
//! separator there can be: the vocals are a quarter of the mix, hop by hop, each after a set time.

use std::{collections::VecDeque, time::Duration};

use rehearsekit_audio::StemSet;
use rehearsekit_protocol::{
    Arranger, Opened, Packet, PacketHeader, PacketKind, Run, ServerEvent, ServerSession, SessionError,
};

/// Frames of an upstream packet: 5 ms.
pub const PACKET_FRAMES: u32 = 240;
/// Frames of a hop: not a multiple of a packet nor of a slot.
pub const HOP_FRAMES: usize = 1_000;
/// How long an inference takes.
pub const INFERENCE: Duration = Duration::from_millis(8);
/// How long a missing packet is waited for.
pub const GAP_AFTER: Duration = Duration::from_millis(40);
/// What the vocals are of the mix: a power of two, so that nothing is rounded.
pub const VOCALS: f32 = 0.25;

/// One session in the closet.
#[derive(Debug)]
pub struct Closet {
    /// The real session.
    pub session: ServerSession,
    /// The real order of packets.
    pub arranger: Arranger,
    /// Frames of the epoch that have not been separated yet, and the position of the first.
    held: [Vec<f32>; 2],
    held_from: u64,
    epoch: u32,
    sequence: u32,
    /// What is being separated: when it will be done, and the packet.
    working: VecDeque<(Duration, Vec<u8>)>,
    /// Why the session ended, if the client was at fault.
    pub error: Option<SessionError>,
}

impl Closet {
    /// A session that waits for its client.
    pub fn new(session: ServerSession) -> Self {
        Self {
            session,
            arranger: Arranger::new(GAP_AFTER, 64),
            held: Default::default(),
            held_from: 0,
            epoch: 0,
            sequence: 0,
            working: VecDeque::new(),
            error: None,
        }
    }

    /// Bytes from the client's control stream.
    pub fn control(&mut self, bytes: &[u8], now: Duration) {
        match self.session.receive(bytes, now) {
            Ok(events) => {
                for event in events {
                    if let ServerEvent::Open(request) = event {
                        self.open(request.budget_frames);
                    }
                }
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn open(&mut self, latency_frames: u32) {
        let Ok(stems) = StemSet::new(&["vocals", "accompaniment"]) else { return };
        let opened = Opened {
            session: 1,
            model: "quarter".into(),
            stems,
            packet_frames: PACKET_FRAMES,
            latency_frames,
            algorithmic_frames: HOP_FRAMES as u32 + PACKET_FRAMES,
            hop_frames: HOP_FRAMES as u32,
            look_ahead_frames: 0,
            description: "a quarter of the mix".into(),
            offers: Vec::new(),
        };
        if let Err(error) = self.session.open(opened) {
            self.error = Some(error.into());
        }
    }

    /// A packet of the mix has come, by `now`.
    pub fn audio(&mut self, bytes: &[u8], now: Duration) {
        let Ok(packet) = Packet::decode(bytes) else { return };
        if self.arranger.push(packet, now).is_ok() {
            self.arrange(now);
        }
    }

    /// Time passes; gives the stem packets that are done.
    pub fn tick(&mut self, now: Duration) -> Vec<Vec<u8>> {
        if let Err(error) = self.session.tick(now) {
            self.error = Some(error);
        }
        self.arrange(now);
        let mut done = Vec::new();
        while self.working.front().is_some_and(|(at, _)| *at <= now) {
            done.extend(self.working.pop_front().map(|(_, packet)| packet));
        }
        done
    }

    fn arrange(&mut self, now: Duration) {
        while let Ok(Some(run)) = self.arranger.next_run(now) {
            match run {
                Run::Start { epoch, position } => {
                    self.epoch = epoch;
                    self.held_from = position;
                }
                Run::Frames { channels, .. } => {
                    for (held, new) in self.held.iter_mut().zip(&channels) {
                        held.extend_from_slice(new);
                    }
                    while self.held[0].len() >= HOP_FRAMES {
                        self.separate(HOP_FRAMES, now, false);
                    }
                }
                Run::End { .. } => self.separate(self.held[0].len(), now, true),
            }
        }
    }

    /// Separates the next `frames`; one inference after the other.
    fn separate(&mut self, frames: usize, now: Duration, end_of_epoch: bool) {
        let channels: Vec<Vec<f32>> =
            self.held.iter_mut().map(|held| held.drain(..frames).map(|s| VOCALS * s).collect()).collect();
        let header = PacketHeader {
            kind: PacketKind::Stems,
            end_of_epoch,
            ..PacketHeader::mix(self.epoch, self.sequence, self.held_from, frames as u32)
        };
        self.held_from += frames as u64;
        self.sequence += 1;
        let free = self.working.back().map_or(now, |(at, _)| (*at).max(now));
        if let Ok(bytes) = (Packet { header, channels }).encode() {
            self.working.push_back((free + INFERENCE, bytes));
        }
    }
}
