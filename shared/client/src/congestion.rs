//! How many bytes may be under way: a fixed window taken from the known audio rate.
//!
//! Audio has a constant rate, so there is nothing to probe for and nothing to gain by going faster. Cubic
//! takes every lost packet for congestion and, at 5 % loss on Wi-Fi, shrinks below what the music needs; here
//! only *persistent* congestion (everything lost for several round trips) makes the window small, and the
//! first acknowledgement afterwards opens it again. The window is never larger than the configured bound, so
//! this cannot flood a network either.
//!
//! This module must not know about streams, packets of audio or deadlines.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory};

/// Smallest window in bytes: a few datagrams, enough to probe a network that swallows everything.
const FLOOR_BYTES: u64 = 8 * 1_200;
/// A window smaller than this would make a single chunk of a long hop wait for many round trips.
const SMALLEST_WINDOW_BYTES: u64 = 64 * 1_024;
/// A window larger than this only fills queues in the access point.
const LARGEST_WINDOW_BYTES: u64 = 4 * 1_024 * 1_024;
/// How much audio may be under way, in milliseconds: many LAN round trips, and less than a usual budget.
const WINDOW_MILLIS: u64 = 200;

/// Makes one [`AudioWindow`] per connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioWindowConfig {
    window_bytes: u64,
}

impl AudioWindowConfig {
    /// A window for a steady flow of `bytes_per_second` (all channels together).
    pub fn for_rate(bytes_per_second: u64) -> Self {
        let window = bytes_per_second.saturating_mul(WINDOW_MILLIS) / 1_000;
        Self { window_bytes: window.clamp(SMALLEST_WINDOW_BYTES, LARGEST_WINDOW_BYTES) }
    }

    /// The widest window: for an offline render, where the receiver's back-pressure sets the pace.
    pub fn widest() -> Self {
        Self { window_bytes: LARGEST_WINDOW_BYTES }
    }

    /// The bound in bytes.
    pub fn window_bytes(self) -> u64 {
        self.window_bytes
    }
}

impl ControllerFactory for AudioWindowConfig {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(AudioWindow { config: *self, stalled: false })
    }
}

/// The controller: the bound, or the floor while everything is being lost.
#[derive(Debug, Clone)]
pub struct AudioWindow {
    config: AudioWindowConfig,
    stalled: bool,
}

impl Controller for AudioWindow {
    fn on_end_acks(
        &mut self,
        _now: Instant,
        _in_flight: u64,
        _app_limited: bool,
        largest_acked: Option<u64>,
    ) {
        if largest_acked.is_some() {
            self.stalled = false;
        }
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, is_persistent: bool, _lost_bytes: u64) {
        // A single loss is weather; losing everything for several round trips is a wall.
        self.stalled |= is_persistent;
    }

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        if self.stalled { FLOOR_BYTES } else { self.config.window_bytes }
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.config.window_bytes
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(bytes_per_second: u64) -> Box<dyn Controller> {
        Arc::new(AudioWindowConfig::for_rate(bytes_per_second)).build(Instant::now(), 1_200)
    }

    #[test]
    fn the_window_follows_the_rate_inside_its_bounds() {
        assert_eq!(build(1_920_000).window(), 384_000);
        assert_eq!(build(1).window(), SMALLEST_WINDOW_BYTES);
        assert_eq!(build(u64::MAX).window(), LARGEST_WINDOW_BYTES);
    }

    #[test]
    fn losses_do_not_narrow_it_but_a_wall_does_until_the_first_acknowledgement() {
        let mut controller = build(1_920_000);
        let now = Instant::now();
        for _ in 0..10_000 {
            controller.on_congestion_event(now, now, false, 1_200);
        }
        assert_eq!(controller.window(), 384_000);
        controller.on_congestion_event(now, now, true, 1_200);
        assert_eq!(controller.window(), FLOOR_BYTES);
        controller.on_end_acks(now, 0, false, None);
        assert_eq!(controller.window(), FLOOR_BYTES);
        controller.on_end_acks(now, 0, false, Some(7));
        assert_eq!(controller.window(), 384_000);
    }
}
