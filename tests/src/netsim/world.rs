//! Moves the time, a quarter of a millisecond at a step: carries bytes between a [`Player`] and a
//! [`Closet`], calls the audio back each 10 ms, connects again, and writes down what the network lost.

use std::{ops::Range, time::Duration};

use rehearsekit_protocol::{ClientSession, PROTOCOL_VERSIONS, PacketHeader, ServerSession};

use super::{
    Dice, Link, Weather,
    closet::Closet,
    player::{BLOCK_FRAMES, Player, RATE_HZ, Song, request},
};

const STEP: Duration = Duration::from_micros(250);
const BACK_OFF: Duration = Duration::from_millis(50);

/// A player, a server and the network between them.
#[derive(Debug)]
pub struct World {
    /// The time since the beginning.
    pub now: Duration,
    /// The client's side.
    pub player: Player,
    /// The server's side of the connection, while there is one.
    pub closet: Option<Closet>,
    /// Whether a server is there to connect to.
    pub server_is_up: bool,
    /// Whether bytes get through at all; if not, nobody is told.
    pub cable_is_in: bool,
    /// The versions that new connections offer.
    pub client_versions: std::ops::RangeInclusive<u16>,
    /// Positions of the mix packets that the network lost.
    pub lost_up: Vec<Range<u64>>,
    /// As `lost_up`, of stem packets.
    pub lost_down: Vec<Range<u64>>,
    /// Connections made so far.
    pub connections: u32,
    control_up: Link<Vec<u8>>,
    control_down: Link<Vec<u8>>,
    /// Audio to the server.
    pub audio_up: Link<Vec<u8>>,
    /// Audio from the server.
    pub audio_down: Link<Vec<u8>>,
    next_attempt: Duration,
    attempts: u32,
    latency_frames: u32,
    dice: Dice,
}

impl World {
    /// Nobody is connected yet; the server is up.
    pub fn new(seed: u64, song: Song, latency_frames: u32, up: Weather, down: Weather) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            now: Duration::ZERO,
            player: Player::new(song, latency_frames),
            closet: None,
            server_is_up: true,
            cable_is_in: true,
            client_versions: PROTOCOL_VERSIONS,
            lost_up: Vec::new(),
            lost_down: Vec::new(),
            connections: 0,
            control_up: Link::new(up.as_stream(), dice.roll()),
            control_down: Link::new(down.as_stream(), dice.roll()),
            audio_up: Link::new(up, dice.roll()),
            audio_down: Link::new(down, dice.roll()),
            next_attempt: Duration::ZERO,
            attempts: 0,
            latency_frames,
            dice,
        }
    }

    /// Lets `duration` pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now += STEP;
            self.connect();
            self.carry();
            self.serve();
            self.play();
        }
    }

    /// Runs until a session is open (or `limit` is over), so that a stream begins with a server.
    pub fn open(&mut self, limit: Duration) {
        let end = self.now + limit;
        while self.player.opened_at.is_empty() && self.now < end {
            self.now += STEP;
            self.connect();
            self.carry();
            self.serve();
            self.player.tick(self.now);
            self.send_control();
        }
    }

    /// kill −9: the server and all that is under way are gone, nobody says goodbye.
    pub fn kill_server(&mut self) {
        self.server_is_up = false;
        self.closet = None;
        self.audio_up.cut();
        self.audio_down.cut();
        self.control_up.cut();
        self.control_down.cut();
    }

    /// The song jumps.
    pub fn seek(&mut self) {
        if let Some(packet) = self.player.seek() {
            self.send_up(packet);
        }
    }

    fn connect(&mut self) {
        if self.player.session.is_some() || self.player.refused.is_some() || self.now < self.next_attempt {
            return;
        }
        let back_off = BACK_OFF * 2u32.pow(self.attempts.min(4));
        let jitter = Duration::from_micros(self.dice.below(back_off.as_micros() as u64 / 2));
        self.next_attempt = self.now + back_off + jitter;
        self.attempts += 1;
        if !self.server_is_up || !self.cable_is_in {
            return;
        }
        let (versions, request) = (self.client_versions.clone(), request(self.latency_frames));
        let client = ClientSession::speaking(versions, "player", request, self.now);
        let server = ServerSession::new("closet", &["quarter".into()], self.now);
        if let (Ok(client), Ok(server)) = (client, server) {
            // A connection of its own: nothing of the old one reaches it.
            for link in
                [&mut self.control_up, &mut self.control_down, &mut self.audio_up, &mut self.audio_down]
            {
                link.cut();
            }
            self.player.session = Some(client);
            self.closet = Some(Closet::new(server));
            self.connections += 1;
        }
    }

    fn carry(&mut self) {
        if !self.cable_is_in {
            for link in
                [&mut self.control_up, &mut self.control_down, &mut self.audio_up, &mut self.audio_down]
            {
                link.cut();
            }
        }
        let now = self.now;
        if let Some(closet) = &mut self.closet {
            while let Some(bytes) = self.control_up.receive(now) {
                closet.control(&bytes, now);
            }
            while let Some(bytes) = self.audio_up.receive(now) {
                closet.audio(&bytes, now);
            }
        }
        while let Some(bytes) = self.control_down.receive(now) {
            self.player.control(&bytes, now);
        }
        while let Some(bytes) = self.audio_down.receive(now) {
            // Encoded by the closet and carried whole, so it can be read.
            let read = self.player.audio(&bytes);
            debug_assert!(read.is_ok(), "{read:?}");
        }
    }

    fn serve(&mut self) {
        let Some(closet) = &mut self.closet else { return };
        for packet in closet.tick(self.now) {
            if let Some(lost) = lost(&mut self.audio_down, self.now, packet) {
                self.lost_down.push(lost);
            }
        }
        let bytes = closet.session.take_outgoing();
        if !bytes.is_empty() {
            self.control_down.send(self.now, bytes);
        }
    }

    fn play(&mut self) {
        self.player.tick(self.now);
        let block = Duration::from_nanos(BLOCK_FRAMES as u64 * 1_000_000_000 / u64::from(RATE_HZ));
        if self.now.as_nanos().is_multiple_of(block.as_nanos()) {
            for packet in self.player.callback() {
                self.send_up(packet);
            }
        }
        self.send_control();
        if !self.player.opened_at.is_empty() && self.player.session.is_some() {
            self.attempts = 0;
        }
    }

    fn send_control(&mut self) {
        if let Some(session) = &mut self.player.session {
            let bytes = session.take_outgoing();
            if !bytes.is_empty() {
                self.control_up.send(self.now, bytes);
            }
        }
    }

    fn send_up(&mut self, packet: Vec<u8>) {
        if let Some(lost) = lost(&mut self.audio_up, self.now, packet) {
            self.lost_up.push(lost);
        }
    }
}

/// Sends a packet; gives the positions it carried if the network loses it.
fn lost(link: &mut Link<Vec<u8>>, now: Duration, packet: Vec<u8>) -> Option<Range<u64>> {
    let header = PacketHeader::decode(&packet).ok().map(|(header, _)| header)?;
    let arrives = link.send(now, packet);
    (!arrives).then(|| header.first_frame..header.end())
}
