//! The client's side of the simulation, with the real parts: a [`ClientSession`], the packets, a
//! [`Playout`]. What a DAW and a network task would do around them is done here in plain steps.

use std::{ops::Range, time::Duration};

use rehearsekit_playout::{Playout, PlayoutConfig, StemGains, StemSlot};
use rehearsekit_protocol::{
    ClientEvent, ClientSession, Mode, OpenRequest, Opened, Packet, PacketHeader, Refusal, SessionError,
};

/// Frames of a host block: 10 ms at 48 kHz.
pub const BLOCK_FRAMES: usize = 480;
/// The rate of the simulation.
pub const RATE_HZ: u32 = 48_000;

/// The song: one sample of a channel at a position.
pub type Song = fn(channel: usize, position: u64) -> f32;

/// What a new connection asks for.
pub fn request(latency_frames: u32) -> OpenRequest {
    OpenRequest {
        model: String::new(),
        rate_hz: RATE_HZ,
        budget_frames: latency_frames,
        block_frames: BLOCK_FRAMES as u32,
        link_micros: 60_000,
        mode: Mode::Live,
        wanted_offers_frames: Vec::new(),
    }
}

/// One plugin instance with all it heard and played.
#[derive(Debug)]
pub struct Player {
    song: Song,
    /// The real playout.
    pub playout: Playout,
    /// The real session, while there is a connection.
    pub session: Option<ClientSession>,
    opened: Option<Opened>,
    epoch: u32,
    sequence: u32,
    /// Positions that wait to become a packet.
    waiting: Range<u64>,
    arrived: Vec<Packet>,
    /// What the stem that travels sounded like, and the main output: `[channel][frame]`.
    pub stem_out: [Vec<f32>; 2],
    /// The main output.
    pub main_out: [Vec<f32>; 2],
    /// When a session was opened, and from which position on it got audio.
    pub opened_at: Vec<(Duration, u64)>,
    /// When a session ended for what reason.
    pub died_at: Vec<(Duration, SessionError)>,
    /// The last no.
    pub refused: Option<Refusal>,
    /// When the last echo came.
    pub last_echo: Duration,
}

impl Player {
    /// A player at position 0 without a connection.
    pub fn new(song: Song, latency_frames: u32) -> Self {
        let max_block_frames = BLOCK_FRAMES as u32;
        let config = PlayoutConfig { latency_frames, stem_count: 2, closing: 1, max_block_frames };
        Self {
            song,
            playout: Playout::new(config),
            session: None,
            opened: None,
            epoch: 0,
            sequence: 0,
            waiting: 0..0,
            arrived: Vec::new(),
            stem_out: Default::default(),
            main_out: Default::default(),
            opened_at: Vec::new(),
            died_at: Vec::new(),
            refused: None,
            last_echo: Duration::ZERO,
        }
    }

    /// The song at a position.
    pub fn song_at(&self, channel: usize, position: u64) -> f32 {
        (self.song)(channel, position)
    }

    /// Bytes from the server's control stream.
    pub fn control(&mut self, bytes: &[u8], now: Duration) {
        let Some(session) = &mut self.session else { return };
        match session.receive(bytes, now) {
            Ok(events) => events.into_iter().for_each(|event| self.heard(event, now)),
            Err(error) => self.lost(error, now),
        }
    }

    fn heard(&mut self, event: ClientEvent, now: Duration) {
        match event {
            ClientEvent::Opened(opened) => {
                self.opened = Some(opened);
                let position = self.playout.position();
                self.opened_at.push((now, position));
                self.start_epoch();
                self.sequence = 0;
            }
            ClientEvent::Refused(refusal) => {
                self.refused = Some(refusal);
                self.disconnect();
            }
            ClientEvent::Echo { .. } => self.last_echo = now,
            ClientEvent::Closing(_) => self.disconnect(),
            ClientEvent::Welcomed { .. } | ClientEvent::Paused(_) => {}
        }
    }

    /// Time passes for the session.
    pub fn tick(&mut self, now: Duration) {
        let result = self.session.as_mut().map_or(Ok(()), |session| session.tick(now));
        if let Err(error) = result {
            self.lost(error, now);
        }
    }

    fn lost(&mut self, error: SessionError, now: Duration) {
        self.died_at.push((now, error));
        self.disconnect();
    }

    fn disconnect(&mut self) {
        self.session = None;
        self.opened = None;
    }

    /// A jump of the song: what follows is a new epoch at the next position. Gives the last packet of the
    /// old one.
    pub fn seek(&mut self) -> Option<Vec<u8>> {
        let last = self.packet(self.waiting.end, true);
        self.start_epoch();
        last
    }

    fn start_epoch(&mut self) {
        self.epoch += 1;
        let position = self.playout.position();
        self.waiting = position..position;
    }

    /// A stem packet has come.
    pub fn audio(&mut self, bytes: &[u8]) -> Result<(), rehearsekit_protocol::PacketError> {
        self.arrived.push(Packet::decode(bytes)?);
        Ok(())
    }

    /// One audio callback; gives the packets that are full now.
    pub fn callback(&mut self) -> Vec<Vec<u8>> {
        for packet in self.arrived.drain(..) {
            for slot in StemSlot::cut(packet.header.first_frame, &packet.channels) {
                self.playout.push_slot(&slot);
            }
        }
        let start = self.playout.position();
        let end = start + BLOCK_FRAMES as u64;
        let mix = [0, 1].map(|channel| (start..end).map(|p| (self.song)(channel, p)).collect::<Vec<f32>>());
        let mut out = [[0.0f32; BLOCK_FRAMES]; 6];
        let [stem_l, stem_r, rest_l, rest_r, main_l, main_r] = &mut out;
        self.playout.process(
            [&mix[0], &mix[1]],
            &[StemGains::default(); 2],
            &mut [[stem_l, stem_r], [rest_l, rest_r]],
            [main_l, main_r],
        );
        for channel in 0..2 {
            self.stem_out[channel].extend_from_slice(&out[channel]);
            self.main_out[channel].extend_from_slice(&out[4 + channel]);
        }
        let Some(packet_frames) = self.opened.as_ref().map(|o| u64::from(o.packet_frames)) else {
            return Vec::new();
        };
        self.waiting.end = end;
        let mut packets = Vec::new();
        while self.waiting.end - self.waiting.start >= packet_frames {
            packets.extend(self.packet(self.waiting.start + packet_frames, false));
        }
        packets
    }

    fn packet(&mut self, end: u64, end_of_epoch: bool) -> Option<Vec<u8>> {
        self.opened.as_ref()?;
        let range = self.waiting.start..end;
        self.waiting.start = end;
        let frames = (range.end - range.start) as u32;
        let header = PacketHeader {
            end_of_epoch,
            ..PacketHeader::mix(self.epoch, self.sequence, range.start, frames)
        };
        self.sequence += 1;
        let channels =
            [0, 1].map(|channel| range.clone().map(|p| (self.song)(channel, p)).collect()).to_vec();
        Packet { header, channels }.encode().ok()
    }
}
