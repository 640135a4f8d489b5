//! The way from this computer to a server: whom it is paired with, whether it is let in, whether announcements arrive,
//! and how the link fares while some seconds of noise are played through it as the plugin would. What that means for the
//! latency is the client crate's judgement.

use std::{sync::Arc, time::Duration};

use rehearsekit_audio::{Audio, SampleRate};
use rehearsekit_client::{
    BudgetOffer, Fingerprint, LINK_ALLOWANCE, LinkError, LinkState, LinkStats, Opened, RefusalCode,
    ShadowFigures, Situation, offers::in_millis, recommend,
};
use rehearsekit_playout::PlayoutCounts;
use serde_json::json;

use super::{
    finding::{Finding, Trouble},
    multicast,
};
use crate::{
    args::{DoctorArgs, Pace},
    client::{
        self, Ends, NoSession, Wanted,
        audio_thread::{self, Played, Shared, Sink, Task},
        feed::Feed,
        figures::{Times, tenths},
    },
    failure::Failure,
    whom::Whom,
};

const CHECK: &str = "link";
/// A server that still loads its models takes some seconds.
const PATIENCE: Duration = Duration::from_secs(10);
const RATE: SampleRate = SampleRate::HZ_48000;
const BLOCK_FRAMES: u32 = 512;
/// What is sent of each frame: two channels of four bytes.
const BYTES_PER_FRAME: f64 = 8.0;
/// A link that varies by more is worth a word, even where the budget holds it.
const MUCH_JITTER_MILLIS: f64 = 20.0;
/// As the recommendation has it: what nobody measures.
const AIR_MILLIS: f64 = 5.0;

/// Everything about `server`.
pub(crate) fn examine(server: &str, args: &DoctorArgs) -> Vec<Finding> {
    let whom = match Whom::of(server, None) {
        Ok(whom) => whom,
        Err(error) => return vec![Finding::failed("pairings", Trouble::PairingsUnusable, error.to_string())],
    };
    let mut findings = Vec::new();
    let is_elsewhere = whom.target.fingerprint().is_some() || whom.target.wants_code();
    if is_elsewhere {
        findings.push(multicast::here());
    }
    let title = whom.title().to_owned();
    let heard = whom.browser.clone().zip(whom.target.fingerprint());
    match listen(whom, args) {
        Ok(seen) => {
            let here_well = findings.iter().all(|finding| finding.verdict.trouble().is_none());
            if let Some((browser, Fingerprint(fingerprint))) =
                heard.filter(|_| here_well && !seen.is_loopback)
            {
                // It answers for sure: whoever is not heard now is kept away.
                findings = vec![multicast::judge(browser.trouble_knowing(&[fingerprint]))];
            }
            findings.push(Finding::good(
                "server",
                format!("{title} lets this computer in and plays {}", seen.model),
            ));
            findings.push(judge(&seen));
        }
        Err(finding) => findings.push(finding),
    }
    findings
}

/// What some seconds have shown.
struct Seen {
    is_loopback: bool,
    model: String,
    /// Stems that travel.
    travelling: usize,
    budget_millis: f64,
    seconds: f64,
    offers: Vec<BudgetOffer>,
    link: LinkStats,
    playout: PlayoutCounts,
}

struct Nowhere;

impl Sink for Nowhere {
    fn has_room(&self, _frames: usize) -> bool {
        true
    }

    fn take(&mut self, _played: Played<'_>) -> bool {
        true
    }
}

fn listen(whom: Whom, args: &DoctorArgs) -> Result<Seen, Finding> {
    let own = |error: Failure| Finding::failed(CHECK, Trouble::ServerUnreachable, error.to_string());
    let title = whom.title().to_owned();
    let wanted = Wanted {
        server: whom.target.address().to_owned(),
        trust: whom.target.trust(),
        finder: whom.finder,
        client_name: "rehearsekit doctor".to_owned(),
        model: args.settings.model.first().cloned().unwrap_or_default(),
        rate: RATE,
        budget: args.budget,
        block_frames: BLOCK_FRAMES,
        pace: Pace::Realtime,
    };
    let is_loopback = wanted.server.starts_with("127.") || wanted.server.starts_with("[::1]");
    let feed = Feed::new(noise().map_err(own)?, RATE, Some(args.seconds.as_secs_f64()), true).map_err(own)?;
    let runtime = client::network().map_err(own)?;
    let (link, ends) = client::connect(runtime.handle(), &wanted);
    let seen = client::wait_until_live(&link, PATIENCE, RefusalCode::is_worth_retrying)
        .map_err(|no| refused(no, &title, args))
        .map(|opened| {
            let playout = play(feed, &opened, ends, &wanted);
            let offers = in_millis(&opened.offers, RATE, wanted.latency_frames());
            (opened.model, opened.stems.count() - 1, offers, playout)
        });
    // What broke off meanwhile is told by the link.
    let (link_now, state) = (link.stats(), link.state());
    link.close().wait(Duration::from_secs(1));
    client::end_network(runtime);
    let (model, travelling, offers, playout) = seen?;
    if let LinkState::Refused(refusal) = state {
        return Err(Finding::failed(CHECK, Trouble::ServerRefuses, refusal.message));
    }
    Ok(Seen {
        is_loopback,
        model,
        travelling,
        budget_millis: RATE.duration(wanted.latency_frames().into()).as_secs_f64() * 1e3,
        seconds: args.seconds.as_secs_f64(),
        offers,
        link: link_now,
        playout,
    })
}

/// Plays it to its end, or until somebody stops the command; what the playout has missed.
fn play(feed: Feed, opened: &Opened, ends: Ends, wanted: &Wanted) -> PlayoutCounts {
    let (player, counters) = ends.player(wanted, opened);
    let task = Task {
        feed,
        player,
        stem_count: opened.stems.count(),
        latency_frames: wanted.latency_frames().into(),
        block_frames: BLOCK_FRAMES as usize,
        pace: Pace::Realtime,
        sink: Nowhere,
        shared: Arc::new(Shared::default()),
    };
    audio_thread::run(task);
    counters.read()
}

/// Quiet noise: it sounds like nothing, and every hop of it has to be computed.
fn noise() -> Result<Audio, Failure> {
    let mut state = 1u32;
    let mut sample = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 16_777_216.0 - 0.5) * 0.1
    };
    let frames = RATE.hz() as usize;
    let channels = vec![(0..frames).map(|_| sample()).collect(), (0..frames).map(|_| sample()).collect()];
    Audio::new(RATE, channels).map_err(Failure::run)
}

/// Why there is no session, and what to do.
fn refused(no: NoSession, title: &str, args: &DoctorArgs) -> Finding {
    let check = "server";
    let trouble = match &no {
        NoSession::Refused(refusal) => match refusal.code {
            RefusalCode::NotPaired | RefusalCode::Revoked => Trouble::TokenRefused,
            _ => Trouble::ServerRefuses,
        },
        NoSession::Failed(error) | NoSession::Silent(Some(error)) => match error {
            LinkError::NotPaired { .. } => Trouble::NotPaired,
            LinkError::Fingerprint { .. } => Trouble::OtherServer,
            _ => Trouble::ServerUnreachable,
        },
        NoSession::Silent(None) | NoSession::Closed | NoSession::Cancelled => Trouble::ServerUnreachable,
    };
    let way = match trouble {
        Trouble::TokenRefused => {
            "; to pair again: `rehearsekit pair` there, and here `rehearsekit pair --with SERVER` with the code it shows"
        }
        _ => "",
    };
    let told = no.failure(title, RATE, PATIENCE.max(args.seconds));
    Finding::failed(check, trouble, format!("{told}{way}"))
}

/// What the link's figures mean for the budget.
fn judge(seen: &Seen) -> Finding {
    let Seen { budget_millis, seconds, offers, link, playout, travelling, .. } = seen;
    let shadow = &link.shadow;
    let jitter = (shadow.worst_link - shadow.least_link).max(0.0);
    let missed = playout.underruns + link.late + link.lost;
    // In so short a time every hiccup counts.
    let all = ShadowFigures { needed: Some(shadow.worst), link: Some(shadow.worst_link), ..*shadow };
    let situation = Situation { budget_millis: *budget_millis, offers, shadow: &all, missed };
    let recommended = recommend(situation, None);
    // No more is ever sent: what the link could carry beyond the music is nobody's concern.
    let up = 8e-6 * BYTES_PER_FRAME * f64::from(RATE.hz());
    let down = up * *travelling as f64;
    let facts = json!({
        "seconds": seconds,
        "budget_millis": budget_millis,
        "missed": missed,
        "reconnects": link.reconnects,
        "round_trip_millis": Times::from(link.round_trip_millis),
        "link_millis": { "least": tenths(Some(shadow.least_link)), "most": tenths(Some(shadow.worst_link)) },
        "jitter_millis": tenths(Some(jitter)),
        "needed_millis": tenths(Some(shadow.worst)),
        "recommended_millis": recommended.as_ref().and_then(|r| r.millis),
        "megabits_per_second": { "up": tenths(Some(up)), "down": tenths(Some(down)) },
        "offers": client::figures::offers(offers),
    });
    let figures = format!(
        "round trip {:.1} ms (at most {:.1}), there and back with the music {:.0} to {:.0} ms, {up:.1} Mbit/s up and {down:.1} down",
        link.round_trip_millis.p50, link.round_trip_millis.max, shadow.least_link, shadow.worst_link
    );
    let slow = slow(seen, &all);
    let finding = if link.reconnects > 0 {
        let told = format!(
            "the connection broke {} times in {seconds:.0} s, and no latency helps against that: take a cable, or look what \
             stands between ({figures})",
            link.reconnects
        );
        Finding::failed(CHECK, Trouble::LinkBreaks, told)
    } else if link.hops == 0 {
        let told =
            format!("the server lets this computer in, but sends no stems: look at its log ({figures})");
        Finding::failed(CHECK, Trouble::ServerSlow, told)
    } else if let Some(recommendation) = recommended {
        let trouble = if slow { Trouble::ServerSlow } else { Trouble::LinkJitter };
        let way = if slow { "" } else { " The best remedy is a cable instead of Wi-Fi." };
        Finding::failed(CHECK, trouble, format!("{}{way} ({figures})", recommendation.sentence))
    } else if jitter > MUCH_JITTER_MILLIS && shadow.worst_link > LINK_ALLOWANCE.as_secs_f64() * 1e3 {
        let told = format!(
            "{budget_millis:.0} ms holds, but the link varies by {jitter:.0} ms, more than plans reckon with ({:.0} ms): take a \
             cable instead of Wi-Fi, or stay at this budget ({figures})",
            LINK_ALLOWANCE.as_secs_f64() * 1e3
        );
        Finding::warning(CHECK, Trouble::LinkJitter, told)
    } else if missed > 0 {
        let told = format!(
            "{missed} parts of the music did not come in time in {seconds:.0} s, though {budget_millis:.0} ms should do: try \
             once more, and look what else keeps the machines busy ({figures})"
        );
        Finding::warning(CHECK, Trouble::ServerSlow, told)
    } else {
        let told = format!("{budget_millis:.0} ms holds, {:.0} ms were needed ({figures})", shadow.worst);
        Finding::good(CHECK, told)
    };
    finding.with(facts)
}

/// Whether what is missing is not explained by the link: with it alone the plan of this budget would have held.
fn slow(seen: &Seen, shadow: &ShadowFigures) -> bool {
    let present = seen.offers.iter().find(|offer| (f64::from(offer.millis) - seen.budget_millis).abs() < 1.0);
    let plan = present.and_then(|offer| offer.need_millis);
    plan.is_some_and(|plan| plan + shadow.link.unwrap_or_default() + AIR_MILLIS < seen.budget_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(needed: f64, least: f64, most: f64, missed: u64) -> Seen {
        let offer = |millis: u32, need: f64| BudgetOffer {
            millis,
            holds: true,
            quality_db: None,
            words: String::new(),
            need_millis: Some(need),
        };
        let shadow =
            ShadowFigures { worst: needed, worst_link: most, least_link: least, ..ShadowFigures::default() };
        Seen {
            is_loopback: true,
            model: "m".to_owned(),
            travelling: 1,
            budget_millis: 250.0,
            seconds: 10.0,
            offers: vec![offer(250, 200.0), offer(500, 300.0)],
            link: LinkStats { hops: 100, late: missed, shadow, ..LinkStats::default() },
            playout: PlayoutCounts::default(),
        }
    }

    fn name(seen: &Seen) -> (&'static str, Option<&'static str>) {
        let finding = judge(seen);
        (finding.verdict.word(), finding.verdict.trouble().map(Trouble::name))
    }

    #[test]
    fn who_is_to_blame_is_told() {
        assert_eq!(name(&seen(210.0, 1.0, 4.0, 0)), ("ok", None));
        assert_eq!(name(&seen(240.0, 1.0, 40.0, 0)), ("warning", Some("link-jitter")));
        assert_eq!(name(&seen(300.0, 1.0, 90.0, 5)), ("failed", Some("link-jitter")));
        assert!(judge(&seen(300.0, 1.0, 90.0, 5)).detail.contains("500 ms would hold"));
        assert_eq!(name(&seen(300.0, 1.0, 4.0, 5)), ("failed", Some("server-slow")));
        assert_eq!(name(&seen(210.0, 1.0, 4.0, 1)), ("warning", Some("server-slow")));
        let mut broken = seen(210.0, 1.0, 4.0, 9);
        broken.link.reconnects = 2;
        assert_eq!(name(&broken), ("failed", Some("link-breaks")));
    }
}
