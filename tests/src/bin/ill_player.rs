//! A player in a process of its own, so that it can be stopped and killed as laptops are. `ill_player ADDRESS [SEEKS]`
//! plays by the clock, writes `live` whenever it has become live, and jumps in the song 50 times a second if told to.
//! Ends with its standard output.
#![allow(clippy::unwrap_used, reason = "its end is what the test sees")]

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use rehearsekit_plugin_engine::{AudioSetup, LinkView, Settings};
use rehearsekit_tests::plugin_host::Host;

const RATE_HZ: u32 = 48_000;
/// Ten milliseconds.
const BLOCK: usize = 480;
const BLOCKS_PER_SEEK: u64 = 2;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let settings = Settings { server: arguments.next(), budget_millis: 1_000.0, ..Settings::default() };
    let seeks = arguments.next().is_some();
    let mut host = Host::new(settings, AudioSetup::new(RATE_HZ, BLOCK as u32, false));
    let block: Vec<f32> = (0..BLOCK).map(|n| (n as f32 * 0.05).sin() * 0.5).collect();
    let (began, mut was_live) = (Instant::now(), false);
    for n in 1u64.. {
        if seeks && n % BLOCKS_PER_SEEK == 0 {
            // Everywhere in an hour, and never where it is.
            host.transport.song_position_frames = Some((n * 7_919_777 % (3_600 * u64::from(RATE_HZ))) as i64);
        }
        host.block([&block, &block]);
        host.out.main.iter_mut().chain(host.out.strips.iter_mut().flatten()).for_each(Vec::clear);
        let live = host.instance.view().link == LinkView::Live;
        if live && !was_live {
            let mut out = std::io::stdout();
            writeln!(out, "live").and_then(|()| out.flush()).unwrap();
        }
        was_live = live;
        let due = began + Duration::from_secs_f64(host.played() as f64 / f64::from(RATE_HZ));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}
