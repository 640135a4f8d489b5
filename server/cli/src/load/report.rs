//! What `load` has shown: each client, those that were refused, and all together. Must not decide what is played.

use std::time::Duration;

use rehearsekit_badlink::{Traffic, UdpProxy};
use rehearsekit_client::{
    LinkStats, LinkTimes, Opened, Percentiles, Refusal, RefusalCode, offers::in_millis,
};
use rehearsekit_playout::PlayoutCounts;
use serde::Serialize;

use super::check::Verdict;
use crate::{
    client::{
        NoSession, Wanted,
        audio_thread::Ended,
        budget_millis,
        figures::{Misses, Offer, Times, offers},
    },
    failure::Failure,
    output,
};

/// Everything there is to tell.
#[derive(Serialize)]
pub(super) struct Report {
    total: Total,
    pub(super) clients: Vec<Admitted>,
    pub(super) refused: Vec<Refused>,
    /// What became of the datagrams on bad links.
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Datagrams>,
}

/// All clients that were admitted together.
#[derive(Default, Serialize)]
struct Total {
    offered: usize,
    admitted: usize,
    refused: usize,
    hops: u64,
    #[serde(flatten)]
    misses: Misses,
    underruns: u64,
    late: u64,
    lost: u64,
    reconnects: u64,
    bridged_frames: u64,
    /// Whether every client's stems were what they should be.
    stems_right: bool,
    sum_error: f64,
    turnaround_millis: Times,
    inference_millis: Times,
    server_overhead_millis: Times,
}

/// A client that had a session.
#[derive(Serialize)]
pub(super) struct Admitted {
    client: usize,
    song: String,
    model: String,
    budget_millis: f64,
    rate_hz: u32,
    /// The plan, in the server's words.
    plan: String,
    hop_frames: u64,
    frames: u64,
    elapsed_seconds: f64,
    hops: u64,
    #[serde(flatten)]
    misses: Misses,
    underruns: u64,
    holes: u64,
    late: u64,
    lost: u64,
    bridged_frames: u64,
    #[serde(flatten)]
    verdict: Verdict,
    reconnects: u64,
    unsent_frames: u64,
    dropped_packets: u64,
    dropped_mix_frames: u64,
    malformed: u64,
    turnaround_millis: Times,
    inference_millis: Times,
    /// The server's own time for a hop beside the inference.
    server_overhead_millis: Times,
    round_trip_millis: Times,
    /// The most that a block of this client began after its time: a machine that is short of processors for clients.
    max_slip_millis: f64,
    /// Why there was no session at the end.
    trouble: Option<String>,
    #[serde(skip)]
    times: LinkTimes,
}

/// A client that had none.
#[derive(Serialize)]
pub(super) struct Refused {
    client: usize,
    model: String,
    budget_millis: f64,
    /// As the protocol calls it, or `unreachable` or `failed`.
    code: String,
    sentence: String,
    smallest_budget_millis: Option<u64>,
    offers: Vec<Offer>,
}

#[derive(Default, Serialize)]
struct Datagrams {
    passed: u64,
    lost: u64,
    overflowed: u64,
    rebound: u64,
}

/// What was seen of a client that played.
pub(super) struct Seen<'a> {
    pub(super) number: usize,
    pub(super) song: String,
    pub(super) wanted: &'a Wanted,
    pub(super) opened: Opened,
    /// Of the host.
    pub(super) hop_frames: u64,
    /// Played to the end.
    pub(super) frames: u64,
    pub(super) elapsed: Duration,
    pub(super) stats: LinkStats,
    pub(super) times: LinkTimes,
    pub(super) playout: PlayoutCounts,
    pub(super) verdict: Verdict,
    pub(super) ended: Ended,
    pub(super) trouble: Option<String>,
}

impl Admitted {
    pub(super) fn new(seen: Seen<'_>) -> Self {
        let Seen { wanted, opened, stats, playout, .. } = seen;
        Self {
            client: seen.number,
            song: seen.song,
            model: opened.model,
            budget_millis: millis_of(wanted),
            rate_hz: wanted.rate.hz(),
            plan: opened.description,
            hop_frames: seen.hop_frames,
            frames: seen.frames,
            elapsed_seconds: seen.elapsed.as_secs_f64(),
            hops: stats.hops,
            misses: Misses::of(&stats, seen.frames + u64::from(wanted.latency_frames()), seen.hop_frames),
            underruns: playout.underruns,
            holes: playout.holes,
            late: stats.late,
            lost: stats.lost,
            bridged_frames: playout.bridged_frames,
            verdict: seen.verdict,
            reconnects: stats.reconnects,
            unsent_frames: stats.unsent_frames,
            dropped_packets: stats.dropped_packets,
            dropped_mix_frames: seen.ended.dropped_mix_frames,
            malformed: stats.malformed,
            turnaround_millis: stats.turnaround_millis.into(),
            inference_millis: stats.inference_millis.into(),
            server_overhead_millis: stats.server_overhead_millis.into(),
            round_trip_millis: stats.round_trip_millis.into(),
            max_slip_millis: seen.ended.max_slip.as_secs_f64() * 1e3,
            trouble: seen.trouble,
            times: seen.times,
        }
    }

    /// Whether every hop was there in time, to the end. What was bridged counts whoever is to blame.
    fn missed_nothing(&self) -> bool {
        self.misses.misses + self.underruns == 0 && self.trouble.is_none()
    }
}

impl Refused {
    pub(super) fn new(client: usize, wanted: &Wanted, no: &NoSession) -> Self {
        let told = |code: &str, sentence: String| Self {
            client,
            model: wanted.model.clone(),
            budget_millis: millis_of(wanted),
            code: code.to_owned(),
            sentence,
            smallest_budget_millis: None,
            offers: Vec::new(),
        };
        match no {
            NoSession::Refused(Refusal { code, message, smallest_budget_frames, offers: words }) => Self {
                smallest_budget_millis: smallest_budget_frames
                    .map(|frames| budget_millis(wanted.rate, frames)),
                offers: offers(&in_millis(words, wanted.rate, wanted.latency_frames())),
                ..told(&label(*code), message.clone())
            },
            NoSession::Silent(why) => {
                let why = why.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string);
                told("unreachable", why)
            }
            NoSession::Failed(error) => told("failed", error.to_string()),
            NoSession::Closed => told("failed", "the link is closed".to_owned()),
            NoSession::Cancelled => told("failed", "cancelled".to_owned()),
        }
    }
}

fn millis_of(wanted: &Wanted) -> f64 {
    wanted.budget.duration().as_secs_f64() * 1e3
}

/// `BudgetTooSmall` as `budget_too_small`.
fn label(code: RefusalCode) -> String {
    let mut label = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(letter.to_ascii_lowercase());
    }
    label
}

impl Report {
    /// Nothing seen yet but what happened on bad links.
    pub(super) fn new<'a>(proxies: impl Iterator<Item = &'a UdpProxy>) -> Self {
        let mut traffic = None;
        for Traffic { passed, lost, overflowed, rebound } in proxies.map(UdpProxy::traffic) {
            let all: &mut Datagrams = traffic.get_or_insert_default();
            all.passed += passed;
            all.lost += lost;
            all.overflowed += overflowed;
            all.rebound += rebound;
        }
        Self { total: Total::default(), clients: Vec::new(), refused: Vec::new(), traffic }
    }

    /// Makes the total of what has come in.
    pub(super) fn sum_up(&mut self) {
        let clients = &self.clients;
        let sum = |of: fn(&Admitted) -> u64| clients.iter().map(of).sum();
        let times = |of: fn(&LinkTimes) -> &Vec<u32>| {
            let all = clients.iter().flat_map(|client| of(&client.times)).copied().collect();
            Percentiles::of_micros(all).into()
        };
        self.total = Total {
            offered: clients.len() + self.refused.len(),
            admitted: clients.len(),
            refused: self.refused.len(),
            hops: sum(|client| client.hops),
            misses: Misses::sum(clients.iter().map(|client| client.misses)),
            underruns: sum(|client| client.underruns),
            late: sum(|client| client.late),
            lost: sum(|client| client.lost),
            reconnects: sum(|client| client.reconnects),
            bridged_frames: sum(|client| client.bridged_frames),
            stems_right: clients.iter().all(|client| client.verdict.is_right()),
            sum_error: clients.iter().map(|client| client.verdict.sum_error).fold(0.0, f64::max),
            turnaround_millis: times(|times| &times.turnaround_micros),
            inference_millis: times(|times| &times.inference_micros),
            server_overhead_millis: times(|times| &times.server_overhead_micros),
        };
    }

    pub(super) fn print(&self, as_json: bool) -> Result<(), Failure> {
        if as_json {
            return output::json(self);
        }
        let times = |of: &Times| format!("{:.1} / {:.1} / {:.1}", of.p50, of.p99, of.max);
        for client in &self.clients {
            output::line(&format!(
                "client {:<3} {}, {}: {} hops, {} underruns, {} late, {} lost; turnaround {} ms; {}",
                client.client,
                client.model,
                client.song,
                client.hops,
                client.underruns,
                client.late,
                client.lost,
                times(&client.turnaround_millis),
                if client.verdict.is_right() { "stems right" } else { "STEMS WRONG (see --json)" },
            ));
            if let Some(trouble) = &client.trouble {
                output::line(&format!("           {trouble}"));
            }
        }
        for Refused { client, code, sentence, smallest_budget_millis, .. } in &self.refused {
            let hint = smallest_budget_millis.map(|millis| format!("; {millis} ms would hold"));
            output::line(&format!(
                "client {client:<3} refused ({code}): {sentence}{}",
                hint.unwrap_or_default()
            ));
        }
        let total = &self.total;
        output::line(&format!(
            "{} of {} admitted: {:.1} misses per 10,000 hops; turnaround {} ms, inference {} ms, server's own {} ms (p50 / p99 / max)",
            total.admitted,
            total.offered,
            total.misses.misses_per_10000_hops,
            times(&total.turnaround_millis),
            times(&total.inference_millis),
            times(&total.server_overhead_millis),
        ));
        Ok(())
    }

    /// Whether those that were admitted got all they should have.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        let wrong = self.clients.iter().filter(|client| !client.verdict.is_right()).count();
        if wrong > 0 {
            return Err(Failure::run(format!("the stems of {wrong} clients were not what they should be")));
        }
        let missed = self.clients.iter().filter(|client| !client.missed_nothing()).count();
        if missed > 0 {
            let all = self.clients.len();
            return Err(Failure::run(format!("{missed} of {all} clients missed something")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words() {
        assert_eq!(label(RefusalCode::BudgetTooSmall), "budget_too_small");
        assert_eq!(label(RefusalCode::Full), "full");
        assert_eq!(label(RefusalCode::Other(7)), "other(7)");
    }
}
