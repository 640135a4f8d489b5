//! A network that exists only in a test: seeded delay, jitter, loss and reordering, in virtual time.
//!
//! The same seed gives the same network, to the microsecond. Nothing here reads a clock, opens a socket or
//! spawns a thread; [`world`] moves the time.

pub mod closet;
pub mod player;
pub mod world;

use std::{collections::BTreeMap, time::Duration};

pub use rehearsekit_badlink::Dice;

/// How a direction of the network behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The least time under way.
    pub delay: Duration,
    /// On top of it up to this much, for each item on its own: what is more than the distance between two
    /// items reorders them.
    pub jitter: Duration,
    /// Items of a thousand that never arrive.
    pub lost_per_mille: u64,
    /// Whether the items are one reliable stream: in order, and what is lost comes again later.
    pub ordered: bool,
}

impl Weather {
    /// A good cable.
    pub const CABLE: Self = Self {
        delay: Duration::from_micros(300),
        jitter: Duration::from_micros(100),
        lost_per_mille: 0,
        ordered: false,
    };

    /// The same weather for a reliable stream.
    pub fn as_stream(self) -> Self {
        Self { ordered: true, ..self }
    }
}

/// One direction of the network.
#[derive(Debug)]
pub struct Link<T> {
    weather: Weather,
    dice: Dice,
    flying: BTreeMap<(Duration, u64), T>,
    sent: u64,
    /// The latest arrival so far, for streams.
    last: Duration,
    reordered: u64,
}

impl<T> Link<T> {
    /// An empty link.
    pub fn new(weather: Weather, seed: u64) -> Self {
        let dice = Dice::new(seed);
        Self { weather, dice, flying: BTreeMap::new(), sent: 0, last: Duration::ZERO, reordered: 0 }
    }

    /// Sends an item; says whether it will arrive.
    pub fn send(&mut self, now: Duration, item: T) -> bool {
        let jitter = self.weather.jitter.as_micros() as u64;
        // Both are always thrown, so that losing one item changes nothing about the others.
        let extra = Duration::from_micros(self.dice.below(jitter + 1));
        let lost = self.dice.below(1_000) < self.weather.lost_per_mille;
        let mut at = now + self.weather.delay + extra;
        if self.weather.ordered {
            // Lost and sent again: there and back once more.
            at += if lost { 2 * self.weather.delay } else { Duration::ZERO };
            at = at.max(self.last);
        } else if lost {
            return false;
        }
        self.reordered += u64::from(at < self.last);
        self.last = self.last.max(at);
        self.flying.insert((at, self.sent), item);
        self.sent += 1;
        true
    }

    /// The next item that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<T> {
        let (&(at, _), _) = self.flying.first_key_value()?;
        if at > now { None } else { self.flying.pop_first().map(|(_, item)| item) }
    }

    /// The weather changes for what is sent from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Everything under way is gone.
    pub fn cut(&mut self) {
        self.flying.clear();
    }

    /// Items that arrive before one sent earlier.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }
}
