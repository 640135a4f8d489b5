//! The connection of one activation: what is asked of the server, the rings, and a task that keeps an eye on both
//! sides. Must not touch audio.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_client::{
    BudgetOffer, Decimation, LINK_ALLOWANCE, Link, LinkConfig, LinkRemote, LinkState, OpenRequest,
    Recommendation, Situation, Target, offers, recommend,
};
use rehearsekit_playout::{Layout, MixSlot, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::{MAX_BLOCK_FRAMES, Mode};
use tokio::{
    runtime::Handle,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    instance::AudioSetup,
    lately::Lately,
    pace::Pace,
    servers,
    settings::Settings,
    shared::{Figures, Run, lock},
    switch::Switch,
};

/// The mix ring holds this much, for a network task that stalls.
const MIX_RING_SECONDS: f64 = 2.0;
/// The stem ring holds this much, but a few hundred slots at least; what does not fit waits in front of it.
const STEM_RING_SECONDS: f64 = 0.5;
const FEWEST_STEM_SLOTS: usize = 256;
/// How often the pace of the host is looked at, and every how many looks the statistics are.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
const STATS_EVERY: u32 = 12;

/// The audio thread's ends.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) mix: rtrb::Producer<MixSlot>,
    pub(crate) stems: rtrb::Consumer<StemSlot>,
}

/// What to ask for, and of whom. A sentence in place of a server that makes no sense: then nobody is spoken to, and
/// the sentence is what the player sees.
pub(crate) fn link_config(
    settings: &Settings,
    target: &Result<Target, String>,
    setup: &AudioSetup,
    latency_frames: u32,
    rate: SampleRate,
) -> (LinkConfig, Option<String>) {
    let decimation = Decimation::for_host(rate);
    let nobody = Target::Other { server: String::new(), fingerprint: None };
    let (target, problem) = match target {
        Ok(target) => (target, None),
        Err(problem) => (&nobody, Some(problem.clone())),
    };
    let id = settings.instance.to_string();
    let mut open = OpenRequest {
        model: settings.model.clone().unwrap_or_default(),
        rate_hz: decimation.wire_hz(rate),
        budget_frames: decimation.wire_budget_frames(latency_frames),
        block_frames: 0,
        link_micros: LINK_ALLOWANCE.as_micros() as u32,
        mode: Mode::Live,
        wanted_offers_frames: Vec::new(),
    };
    set_mode(&mut open, setup, latency_frames, rate);
    let config = LinkConfig {
        server: target.address().to_owned(),
        finder: target.fingerprint().map(|_| servers::finder()).unwrap_or_default(),
        trust: target.trust(),
        client_name: format!("RehearseKit plugin {}", &id[..8]),
        open,
        decimation,
    };
    (config, problem)
}

/// Asks for a session of `setup`'s mode: what differs between live playing and an offline render.
pub(crate) fn set_mode(open: &mut OpenRequest, setup: &AudioSetup, latency_frames: u32, rate: SampleRate) {
    open.mode = if setup.offline { Mode::Reliable } else { Mode::Live };
    // A bounce waits within a block until all of it is there, so a large block (pedalboard's 8192 frames) costs no
    // latency; counted, it would make a server refuse a budget that holds live.
    let host_block_frames = if setup.offline { SLOT_FRAMES as u32 } else { setup.max_block_frames };
    let block_frames =
        host_block_frames.max(SLOT_FRAMES as u32).div_ceil(Decimation::for_host(rate).factor());
    open.block_frames = block_frames.clamp(1, MAX_BLOCK_FRAMES);
    // What budgets buy is a question of live playing, and a bounce's small block would give another answer.
    open.wanted_offers_frames =
        if setup.offline { Vec::new() } else { offers::wanted_offers_frames(rate, latency_frames) };
}

/// The lanes to assume before a server says what it has.
pub(crate) fn assumed_layout(settings: &Settings) -> Layout {
    let known = StemSet::new(&settings.stems).ok();
    let usual: &[&str] = match settings.model.as_deref() {
        Some(name) if name.contains("demucs") => &["drums", "bass", "other", "vocals"],
        _ => &["vocals", "accompaniment"],
    };
    let set = known.or_else(|| StemSet::new(usual).ok());
    set.map_or_else(|| Layout::in_order(2, 1), |set| Layout::by_name(&set))
}

/// Starts a link in the background and returns at once.
pub(crate) fn open(runtime: &Handle, config: LinkConfig, rate: SampleRate) -> (Link, Ends) {
    let slots = |seconds: f64| (seconds * f64::from(rate.hz()) / SLOT_FRAMES as f64) as usize;
    let (mix, mix_out) =
        rtrb::RingBuffer::new(slots(MIX_RING_SECONDS).max(2 * MAX_BLOCK_FRAMES as usize / SLOT_FRAMES));
    let (stems_in, stems) = rtrb::RingBuffer::new(slots(STEM_RING_SECONDS).max(FEWEST_STEM_SLOTS));
    (rehearsekit_client::connect(runtime, config, mix_out, stems_in), Ends { mix, stems })
}

/// What an instance keeps of what its sessions have told, and what it takes to understand that.
pub(crate) struct Lessons {
    pub(crate) settings: Arc<Mutex<Settings>>,
    pub(crate) offers: Arc<Mutex<Vec<BudgetOffer>>>,
    pub(crate) rate: SampleRate,
    pub(crate) latency_frames: u32,
}

/// What the budgets buy, as the server says now; `None` while it says nothing about it.
pub(crate) fn offers_in(
    state: &LinkState,
    rate: SampleRate,
    latency_frames: u32,
) -> Option<Vec<BudgetOffer>> {
    let told = match state {
        LinkState::Live(opened) => &opened.offers,
        LinkState::Refused(refusal) => &refusal.offers,
        _ => return None,
    };
    (!told.is_empty()).then(|| offers::in_millis(told, rate, latency_frames))
}

/// Keeps an eye on both sides until the link is closed: carries out what the audio thread orders, writes down the
/// figures, learns the model's stems and what budgets buy, judges how fast the host calls.
pub(crate) async fn watch(
    mut remote: LinkRemote,
    run: Arc<Run>,
    lessons: Lessons,
    mut switch: Switch,
    mut pace: Pace,
    mut lately: Lately,
) {
    let start = Instant::now();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u32;
    let mut learned = None;
    let mut before = None;
    let mut recommendation: Option<Recommendation> = None;
    let mut link = remote.stats();
    loop {
        look.tick().await;
        let now = start.elapsed();
        switch.look(&mut remote, &run);
        let frames = run.frames.load(Relaxed);
        if switch.is_offline() {
            // A bounce has no pace.
            pace.pause();
            lately.pause();
        } else {
            pace.look(frames, now);
            lately.look(frames, now);
        }
        if looks.is_multiple_of(STATS_EVERY) {
            remote.tell_underruns(run.counters.read().underruns);
            link = remote.stats();
            let state = remote.state();
            match &state {
                LinkState::Closed => return,
                // Only once: whatever is learned may be another model's as soon as another is asked for.
                LinkState::Live(opened) if learned == Some(opened.session) => {}
                _ => {
                    if let Some(told) = offers_in(&state, lessons.rate, lessons.latency_frames) {
                        *lock(&lessons.offers) = told;
                    }
                    if let LinkState::Live(opened) = &state {
                        learned = Some(opened.session);
                        before = None;
                        lock(&lessons.settings).stems = names(&opened.stems);
                    }
                }
            }
        }
        if learned.is_some() && before.is_none() && !run.bridging.load(Relaxed) {
            before = Some(run.missed(&link));
        }
        if looks.is_multiple_of(STATS_EVERY) {
            let missed = run.missed_since(before, &link);
            lately.missed(missed, now);
            let missed = missed.iter().sum();
            let budget_millis = lessons.rate.duration(lessons.latency_frames.into()).as_secs_f64() * 1e3;
            let offers = &lock(&lessons.offers);
            let situation = Situation { budget_millis, offers, shadow: &link.shadow, missed };
            let present = recommendation.take().filter(|_| !switch.is_offline());
            recommendation = recommend(situation, present.as_ref()).filter(|_| !switch.is_offline());
        }
        looks = looks.wrapping_add(1);
        *lock(&run.figures) = Figures {
            link,
            bursts: pace.bursts(),
            bursting: pace.is_bursting(now),
            before,
            recommendation: recommendation.clone(),
            lately: lately.happened(now),
        };
    }
}

/// A set's names as text.
pub(crate) fn names(set: &StemSet) -> Vec<String> {
    set.names().iter().map(|name| name.as_str().to_owned()).collect()
}

/// A budget of `wire_frames` in the milliseconds of a host at `rate`, rounded up to whole ones.
pub(crate) fn host_millis(rate: SampleRate, wire_frames: u32) -> f64 {
    let decimation = Decimation::for_host(rate);
    let frames =
        u64::from(wire_frames) * u64::from(decimation.factor()) + u64::from(decimation.latency_frames());
    (rate.duration(frames).as_secs_f64() * 1e3).ceil()
}
