//! "Check my set-up": what is known of server, link, budget, host and machine as a list of findings, each a sentence that
//! says what to do. Pure: it judges a [`State`] and looks at nothing, so that it costs the network nothing. What is not
//! known is left out.

mod budget;
mod host;
mod link;
mod report;
mod server;
#[cfg(test)]
mod tests;

use rehearsekit_client::{LinkError, Recommendation, ShadowFigures, Situation};
use rehearsekit_discovery::Trouble;

use crate::{
    lately::Happened,
    servers::{ServerSeen, Standing},
    view::{LinkView, View},
};

pub use report::report;

/// What the network and the playout take beside everything that is measured, in ms.
const AIR_MILLIS: f64 = 5.0;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// Whether there is a server, which one, and how we stand with it.
    Server,
    /// The way there.
    Link,
    /// The latency that was picked.
    Budget,
    /// The program that calls us.
    Host,
    /// This computer.
    Machine,
}

impl Check {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Link => "link",
            Self::Budget => "budget",
            Self::Host => "host",
            Self::Machine => "machine",
        }
    }
}

/// How it is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Something has to be done.
    Failed,
    /// It works, but somebody should know.
    Warning,
    /// As it should be.
    Good,
}

/// One thing that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub verdict: Verdict,
    /// What is, and what to do about it if it is not well.
    pub sentence: String,
    /// The trouble's name, which never changes and is the same as `rehearsekit doctor`'s; `None` where all is well, and
    /// where the sentence is all there is to say.
    pub name: Option<&'static str>,
}

impl Finding {
    fn new(check: Check, verdict: Verdict, name: Option<&'static str>, sentence: impl Into<String>) -> Self {
        Self { check, verdict, sentence: sentence.into(), name }
    }

    fn good(check: Check, sentence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, None, sentence)
    }

    fn warning(check: Check, name: impl Into<Option<&'static str>>, sentence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, name.into(), sentence)
    }

    fn failed(check: Check, name: impl Into<Option<&'static str>>, sentence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed, name.into(), sentence)
    }
}

/// All that is judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) view: View,
    /// Why there is no session, if the link says so.
    pub(crate) link_error: Option<LinkError>,
    /// The server that is meant, as far as it is known.
    pub(crate) server: Option<ServerSeen>,
    /// It is on this computer.
    pub(crate) is_here: bool,
    /// What keeps servers from being found.
    pub(crate) search: Option<Trouble>,
    /// Why the list of paired servers is of no use.
    pub(crate) pairings: Option<String>,
    /// The server is too slow for all of its sessions, and this one waits.
    pub(crate) paused: bool,
    /// What the link needs, in ms.
    pub(crate) shadow: ShadowFigures,
    pub(crate) lately: Happened,
    /// The largest block that the host announced.
    pub(crate) block_frames: u32,
    /// The latency by the settings, in frames at the host's rate.
    pub(crate) wanted_frames: u32,
}

impl State {
    fn is_live(&self) -> bool {
        self.view.link == LinkView::Live
    }

    /// Whether what is measured over a link means anything: not in a bounce, which waits.
    fn plays_live(&self) -> bool {
        self.is_live() && !self.view.offline
    }

    /// What people call the server.
    fn whom(&self) -> &str {
        match &self.server {
            _ if self.is_here => "the server on this computer",
            Some(server) if !server.name.is_empty() => &server.name,
            _ if self.view.server.is_empty() => "the server",
            _ => &self.view.server,
        }
    }

    fn is_paired(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.standing == Standing::Known)
    }

    /// What the plan of the present budget needs, if the server says, in ms.
    fn plan_millis(&self) -> Option<f64> {
        let budget = self.view.budget_millis;
        self.view.offers.iter().find(|offer| (f64::from(offer.millis) - budget).abs() < 1.0)?.need_millis
    }

    fn situation(&self) -> Situation<'_> {
        let View { budget_millis, ref offers, missed, .. } = self.view;
        Situation { budget_millis, offers, shadow: &self.shadow, missed: missed.iter().sum() }
    }

    /// A recommendation that is not about connections that break.
    fn recommendation(&self) -> Option<&Recommendation> {
        self.view.recommendation.as_ref().filter(|told| told.millis.is_some() || self.shadow.breaks < 2)
    }

    /// Who is to blame for stems that come too late: with what the link takes, the plan would have held.
    fn late_name(&self) -> &'static str {
        let link = self.shadow.link.unwrap_or_default();
        let slow = self.plan_millis().is_some_and(|plan| plan + link + AIR_MILLIS < self.view.budget_millis);
        if slow { "server-slow" } else { "link-jitter" }
    }
}

/// What there is to say, the worst first.
pub(crate) fn findings(state: &State) -> Vec<Finding> {
    let mut all = Vec::new();
    for look in [server::look, link::look, budget::look, host::look, host::look_at_machine] {
        look(state, &mut all);
    }
    all.sort_by_key(|finding| finding.verdict);
    all
}

/// Milliseconds; tenths only where they say something.
fn ms(millis: f64) -> String {
    let digits = usize::from(millis < 9.95 && (millis * 10.0).round() % 10.0 != 0.0);
    format!("{millis:.digits$} ms")
}

/// "once", "3 times".
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
