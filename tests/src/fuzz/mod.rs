//! What is fuzzed: functions that take any bytes and panic if the wire, the sessions, a pairing, what is read of the
//! network's texts, or the playout break a promise. Used by `fuzz_wire` (any toolchain) and by the libFuzzer targets in
//! `tests/fuzz`; so these files must depend on nothing but the crates they test. Of server and client, whose whole
//! crates would be much to build under libFuzzer, the very files that look at a stranger's bytes are taken in.

mod arrival;
mod client;
mod pairing;
mod playout;
mod seeds;
mod server;
mod sessions;
mod texts;
mod wire;

pub use seeds::seeds;

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("messages", wire::messages),
    ("packets", wire::packets),
    ("sessions", sessions::sessions),
    ("pairing", pairing::pairing),
    ("texts", texts::texts),
    ("arrival", arrival::arrival),
    ("chunks", arrival::chunks),
    ("playout", playout::playout),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("the name of a target").1(data);
}

/// Bytes taken one after the other; zeros when they are used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head.to_vec()
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
