//! A congestion controller that stays where it is. Live audio has a known, bounded rate and no use for
//! what comes too late, so halving the window after each loss (as Cubic does, to a crawl at 5 % of loss on
//! Wi-Fi) only adds misses. What keeps the link from being flooded is that chunks come at the pace of the
//! music and that late ones are given up.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory};

/// Bytes that may be under way. Twelve channels at 48 kHz are 2.3 MB/s: this carries them over a round trip
/// of 100 ms, and a hop of half a second in two bursts.
const WINDOW_BYTES: u64 = 256 * 1024;

/// Makes the controllers, which have no state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steady;

impl ControllerFactory for Steady {
    fn build(self: Arc<Self>, _now: Instant, _current_mtu: u16) -> Box<dyn Controller> {
        Box::new(*self)
    }
}

impl Controller for Steady {
    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, _persistent: bool, _lost_bytes: u64) {}

    fn on_mtu_update(&mut self, _new_mtu: u16) {}

    fn window(&self) -> u64 {
        WINDOW_BYTES
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(*self)
    }

    fn initial_window(&self) -> u64 {
        WINDOW_BYTES
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
