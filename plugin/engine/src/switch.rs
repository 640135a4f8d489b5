//! The network's side of an engine that changes between live and offline: what the audio thread orders is carried out
//! on the link, some milliseconds later, and told back. Must not touch audio.

use rehearsekit_audio::SampleRate;
use rehearsekit_client::{LinkRemote, LinkState};

use crate::{instance::AudioSetup, offline::Order, session, shared::Run};

/// What has to happen before an order is carried out.
#[derive(Debug, Clone, Copy)]
enum Pending {
    Nothing,
    /// The link's change of this number is in force.
    Change(u64),
    /// The link, which had failed, has begun anew.
    News,
}

/// Carries orders out.
#[derive(Debug)]
pub(crate) struct Switch {
    setup: AudioSetup,
    rate: SampleRate,
    latency_frames: u32,
    order: Order,
    pending: Option<Pending>,
}

impl Switch {
    /// For a link that was made with this set-up.
    pub(crate) fn new(setup: AudioSetup, rate: SampleRate, latency_frames: u32, run: &Run) -> Self {
        Self { setup, rate, latency_frames, order: run.desk.wanted(), pending: None }
    }

    /// Whether the link is for an offline render now.
    pub(crate) fn is_offline(&self) -> bool {
        self.setup.offline
    }

    /// Once in a while.
    pub(crate) fn look(&mut self, remote: &mut LinkRemote, run: &Run) {
        let order = run.desk.wanted();
        if order != self.order {
            self.order = order;
            self.pending = Some(self.begin(remote));
        }
        let done = match self.pending {
            None => false,
            Some(Pending::Nothing) => true,
            Some(Pending::Change(number)) => remote.in_force() >= number,
            Some(Pending::News) => remote.has_news(),
        };
        if done {
            self.pending = None;
            run.desk.carry_out(order);
        }
        if !self.is_offline() {
            return;
        }
        if self.pending.is_none() && remote.with_state(is_hopeless) {
            run.desk.give_up(order);
        }
        // As it was when the render failed; later the link may be doing something else.
        remote.with_state(|state| run.error(Some(state), self.setup.offline_patience));
    }

    fn begin(&mut self, remote: &mut LinkRemote) -> Pending {
        let offline = self.order.is_offline();
        if offline != self.setup.offline {
            self.setup.offline = offline;
            let Self { setup, rate, latency_frames, .. } = self;
            let number =
                remote.change(|config| session::set_mode(&mut config.open, setup, *latency_frames, *rate));
            return Pending::Change(number);
        }
        let has_failed = |state: &LinkState| matches!(state, LinkState::Failed(_));
        if offline && remote.with_state(has_failed) {
            remote.ignore_news();
            remote.retry_now();
            return Pending::News;
        }
        Pending::Nothing
    }
}

/// Whether a render would wait for ever.
fn is_hopeless(state: &LinkState) -> bool {
    match state {
        LinkState::Refused(refusal) => !refusal.code.is_worth_retrying(),
        LinkState::Failed(_) | LinkState::Closed => true,
        LinkState::Connecting { .. } | LinkState::Live(_) => false,
    }
}
