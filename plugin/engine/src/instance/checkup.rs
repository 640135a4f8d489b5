//! An instance's set-up at one moment, for a page that says how it is. Takes locks for microseconds; asks nobody.

use rehearsekit_client::{LinkError, LinkState, Scrub, Target};

use super::{Instance, meeting::is_here};
use crate::{
    checkup::{self, Finding, State},
    network, servers,
    shared::lock,
};

impl Instance {
    /// What is known of this set-up, the worst first. As cheap as [`Self::view`].
    pub fn checkup(&self) -> Vec<Finding> {
        checkup::findings(&self.state())
    }

    /// The same as text for a bug report, without keys, tokens, and names of this computer's.
    pub fn checkup_report(&self) -> String {
        checkup::report(&self.checkup(), &Scrub::of_this_computer())
    }

    fn state(&self) -> State {
        let view = self.view();
        let settings = self.settings();
        let (known, pairings) = match self.keyring.list() {
            Ok(known) => (known, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let target = self.target(&settings).ok();
        let listed =
            servers::list(target.as_ref(), &known, &network::announced(), self.is_revoked(), &mut Vec::new());
        let mut state = State {
            is_here: target.as_ref().is_some_and(is_on_this_computer),
            server: listed.into_iter().find(|server| server.is_picked),
            link_error: self.link_state().and_then(error_of),
            search: self.search_trouble(),
            pairings,
            wanted_frames: settings.latency_frames(view.rate_hz),
            view,
            ..State::default()
        };
        if let Some(active) = &*lock(&self.active) {
            let figures = lock(&active.run.figures);
            state.paused = figures.link.paused;
            state.shadow = figures.link.shadow;
            state.lately = figures.lately;
            state.block_frames = active.setup.max_block_frames;
        }
        state
    }
}

/// By its address; a name that needs no code is this computer's, too.
fn is_on_this_computer(target: &Target) -> bool {
    is_here(target.address()) || matches!(target, Target::Other { .. }) && !target.wants_code()
}

fn error_of(state: LinkState) -> Option<LinkError> {
    match state {
        LinkState::Connecting { last_error, .. } => last_error,
        LinkState::Failed(error) => Some(error),
        _ => None,
    }
}
