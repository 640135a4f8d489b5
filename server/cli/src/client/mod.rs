//! What `stream` and `load` share: a client that behaves as the plugin will, without a DAW.
//!
//! The network tasks of `rehearsekit_client` at one end of two rings, an audio thread (`audio_thread`, which drives a
//! `player`) at the other. What becomes of the audio that was played is its user's business, in a
//! [`Sink`](audio_thread::Sink).

pub(crate) mod audio_thread;
pub(crate) mod feed;
pub(crate) mod figures;
pub(crate) mod player;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rehearsekit_audio::{Budget, SampleRate};
use rehearsekit_client::{
    Decimation, Finder, LINK_ALLOWANCE, Link, LinkConfig, LinkError, LinkState, OpenRequest, Opened, Refusal,
    RefusalCode, ServerTrust, offers::wanted_offers_frames,
};
use rehearsekit_playout::{MixSlot, Playout, PlayoutConfig, PlayoutCounters, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::Mode;
use tokio::runtime::{Handle, Runtime};

use crate::{args::Pace, failure::Failure, interrupt};
use player::Player;

/// Most of the wait for the server is the server's; looking this often costs nothing.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// What the rings hold, in seconds: the mix for a network task that stalls, stems for a whole buffer.
const MIX_RING_SECONDS: f64 = 2.0;
const STEM_RING_SECONDS: f64 = 4.0;
/// How long the goodbyes of all clients may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// The network of a command, however many clients it has.
pub(crate) fn network() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the network: {error}")))
}

/// Whatever a network task still does, it must not hold up the end of the command.
pub(crate) fn end_network(runtime: Runtime) {
    runtime.shutdown_timeout(GOODBYE);
}

/// Whom a client speaks to, and what it asks for.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) server: String,
    pub(crate) trust: ServerTrust,
    pub(crate) finder: Finder,
    pub(crate) client_name: String,
    /// Empty: the server's default.
    pub(crate) model: String,
    /// The host's.
    pub(crate) rate: SampleRate,
    pub(crate) budget: Budget,
    pub(crate) block_frames: u32,
    pub(crate) pace: Pace,
}

impl Wanted {
    /// The latency, in frames of the host.
    pub(crate) fn latency_frames(&self) -> u32 {
        self.budget.frames(self.rate)
    }

    fn link_config(&self) -> LinkConfig {
        let (rate, decimation) = (self.rate, Decimation::for_host(self.rate));
        LinkConfig {
            server: self.server.clone(),
            trust: self.trust.clone(),
            finder: self.finder.clone(),
            client_name: self.client_name.clone(),
            open: OpenRequest {
                model: self.model.clone(),
                rate_hz: decimation.wire_hz(rate),
                budget_frames: decimation.wire_budget_frames(self.latency_frames()),
                block_frames: self.block_frames.div_ceil(decimation.factor()),
                link_micros: LINK_ALLOWANCE.as_micros() as u32,
                mode: if self.pace == Pace::Fast { Mode::Reliable } else { Mode::Live },
                wanted_offers_frames: wanted_offers_frames(rate, self.latency_frames()),
            },
            decimation,
        }
    }
}

/// The audio side's ends of the rings.
pub(crate) struct Ends {
    mix: rtrb::Producer<MixSlot>,
    stems: rtrb::Consumer<StemSlot>,
}

impl Ends {
    /// What plays through a session as it was opened.
    pub(crate) fn player(self, wanted: &Wanted, opened: &Opened) -> (Player, Arc<PlayoutCounters>) {
        let playout = Playout::new(PlayoutConfig {
            latency_frames: wanted.latency_frames(),
            stem_count: opened.stems.count(),
            closing: opened.stems.closing(),
            max_block_frames: wanted.block_frames,
        });
        let counters = playout.counters();
        (Player::new(playout, opened.stems.count(), self.mix, self.stems), counters)
    }
}

/// Begins to look for a session, and returns at once.
pub(crate) fn connect(runtime: &Handle, wanted: &Wanted) -> (Link, Ends) {
    let rate_hz = f64::from(wanted.rate.hz());
    let slots = |seconds: f64| (seconds * rate_hz / SLOT_FRAMES as f64) as usize + 64;
    let (mix, mix_out) = rtrb::RingBuffer::new(slots(MIX_RING_SECONDS));
    let (stems_in, stems) = rtrb::RingBuffer::new(slots(STEM_RING_SECONDS) * 2);
    let link = rehearsekit_client::connect(runtime, wanted.link_config(), mix_out, stems_in);
    (link, Ends { mix, stems })
}

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum NoSession {
    Refused(Refusal),
    Failed(LinkError),
    /// Nobody answered in time, and why, as far as that is known.
    Silent(Option<LinkError>),
    Closed,
    Cancelled,
}

/// Waits for the first session; a server that cannot be reached or says no is the end here. (The plugin plays on
/// instead; a command has nobody to play to.) A no that is `worth_waiting` is asked about again, like silence, until
/// `patience` is over.
pub(crate) fn wait_until_live(
    link: &Link,
    patience: Duration,
    worth_waiting: fn(RefusalCode) -> bool,
) -> Result<Opened, NoSession> {
    let began = Instant::now();
    loop {
        let over = began.elapsed() > patience;
        match link.state() {
            LinkState::Live(opened) => return Ok(opened),
            LinkState::Refused(refusal) if over || !worth_waiting(refusal.code) => {
                return Err(NoSession::Refused(refusal));
            }
            LinkState::Failed(error) => return Err(NoSession::Failed(error)),
            LinkState::Closed => return Err(NoSession::Closed),
            LinkState::Connecting { last_error, .. } if over => return Err(NoSession::Silent(last_error)),
            LinkState::Connecting { .. } | LinkState::Refused(_) => {}
        }
        if interrupt::requested() {
            return Err(NoSession::Cancelled);
        }
        thread::sleep(POLL);
    }
}

impl NoSession {
    /// As the end of a command, for the server called `title`.
    pub(crate) fn failure(self, title: &str, rate: SampleRate, patience: Duration) -> Failure {
        match self {
            Self::Refused(refusal) => {
                let hint = refusal
                    .smallest_budget_frames
                    .map(|frames| format!("; --budget {}ms holds", budget_millis(rate, frames)));
                let hint = hint.unwrap_or_default();
                Failure::server(format!("{title} says no: {}{hint}", refusal.message))
            }
            Self::Failed(error) => Failure::server(error),
            Self::Silent(why) => {
                let why = why.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                let seconds = patience.as_secs_f64();
                Failure::server(format!(
                    "cannot reach the server at {title} within {seconds} s ({why}); is `rehearsekit serve` running there, and is the address right?"
                ))
            }
            Self::Closed => Failure::server(format!("the link to {title} is closed")),
            Self::Cancelled => Failure::cancelled(),
        }
    }
}

/// A budget of `wire_frames` as it is asked for, in whole ms of the host; the server counts in frames of the wire.
pub(crate) fn budget_millis(rate: SampleRate, wire_frames: u32) -> u64 {
    let decimation = Decimation::for_host(rate);
    let frames =
        u64::from(wire_frames) * u64::from(decimation.factor()) + u64::from(decimation.latency_frames());
    (rate.duration(frames).as_secs_f64() * 1e3).ceil() as u64
}

/// `wire_frames` in frames of the host.
pub(crate) fn host_frames(rate: SampleRate, wire_frames: u32) -> u64 {
    u64::from(wire_frames) * u64::from(Decimation::for_host(rate).factor())
}
