//! How an instance is at one moment, for displays. Takes locks for microseconds, and never waits.

use std::sync::atomic::Ordering::Relaxed;

use rehearsekit_client::{LinkState, Percentiles};
use rehearsekit_playout::Layout;

use super::{Active, Instance};
use crate::{
    metronome::ClickNow,
    mixer::STRIPS,
    servers, session,
    shared::lock,
    view::{self, Counters, LinkView, View},
};

impl Instance {
    /// How things are. Takes a few microseconds: often enough for any display.
    pub fn view(&self) -> View {
        let active = lock(&self.active);
        let settings = self.settings();
        let mut view = View {
            link: LinkView::Idle,
            sentence: "Not connected.".to_owned(),
            server: self.target(&settings).map(|target| servers::title(&target)).unwrap_or_default(),
            model: None,
            plan: None,
            strips: strips(&session::assumed_layout(&settings)),
            stems: settings.stems.clone(),
            rate_hz: 0,
            latency_frames: 0,
            budget_millis: settings.budget().duration().as_secs_f64() * 1e3,
            smallest_budget_millis: None,
            offers: lock(&self.offers).clone(),
            bridging: true,
            offline: false,
            missed: [0; 3],
            counters: Counters::default(),
            turnaround_millis: Percentiles::default(),
            round_trip_millis: Percentiles::default(),
            needs_millis: None,
            recommendation: None,
            bursts: 0,
            bursting: false,
            click: ClickNow::default(),
            click_file_problem: lock(&self.click_file_problem).clone(),
            error: None,
        };
        let Some(Active { setup, latency_frames, run, link, .. }) = &*active else { return view };
        view.rate_hz = setup.rate_hz;
        view.latency_frames = *latency_frames;
        view.offline = run.desk.wanted().is_offline();
        view.click = run.heard.now();
        view.bridging = run.bridging.load(Relaxed);
        view.error = run.error(link.as_ref().map(|(link, _)| link.state()).as_ref(), setup.offline_patience);
        let (figures, playout) = (lock(&run.figures).clone(), run.counters.read());
        view.counters = Counters {
            frames: playout.frames,
            bridged_frames: playout.bridged_frames,
            underruns: playout.underruns,
            late: playout.late,
            lost: figures.link.lost,
            reconnects: figures.link.reconnects,
            dropped_frames: run.dropped_frames.load(Relaxed),
        };
        view.missed = run.missed_since(figures.before, &figures.link);
        view.turnaround_millis = figures.link.turnaround_millis;
        view.round_trip_millis = figures.link.round_trip_millis;
        view.needs_millis = figures.link.shadow.needed;
        view.recommendation = figures.recommendation;
        (view.bursts, view.bursting) = (figures.bursts, figures.bursting);
        if let Some((link, rate)) = link {
            let state = link.state();
            (view.link, view.sentence) = view::words(&state, &view.server, figures.link.paused);
            if let Some(offers) = session::offers_in(&state, *rate, *latency_frames) {
                view.offers = offers;
            }
            match state {
                LinkState::Live(opened) => {
                    view.strips = strips(&Layout::by_name(&opened.stems));
                    view.stems = session::names(&opened.stems);
                    view.model = Some(opened.model);
                    view.plan = Some(opened.description);
                }
                LinkState::Refused(refusal) => {
                    view.smallest_budget_millis =
                        refusal.smallest_budget_frames.map(|frames| session::host_millis(*rate, frames));
                }
                _ => {}
            }
        }
        if let Some(problem) = &*lock(&run.problem) {
            (view.link, view.sentence) = (LinkView::Failed, format!("Not connected: {problem}."));
        }
        view
    }
}

fn strips(layout: &Layout) -> [bool; STRIPS] {
    std::array::from_fn(|strip| layout.has(strip))
}
