//! Each finding, from a state that brings it about.

use std::time::Duration;

use rehearsekit_client::{BudgetOffer, Percentiles, RefusalCode};

use super::*;
use crate::lately::HeldUp;

fn offer(millis: u32, holds: bool, need_millis: f64) -> BudgetOffer {
    let need_millis = holds.then_some(need_millis);
    BudgetOffer { millis, holds, quality_db: None, words: String::new(), need_millis }
}

/// A set-up that is as it should be.
fn live() -> State {
    State {
        view: View {
            link: LinkView::Live,
            sentence: "Connected to closet, playing spleeter-2stems.".to_owned(),
            server: "closet".to_owned(),
            model: Some("spleeter-2stems".to_owned()),
            rate_hz: 48_000,
            latency_frames: 12_000,
            budget_millis: 250.0,
            offers: vec![offer(93, false, 0.0), offer(250, true, 212.0), offer(500, true, 230.0)],
            round_trip_millis: Percentiles { count: 90, p50: 1.24, p99: 4.8, max: 30.0 },
            ..View::default()
        },
        server: Some(ServerSeen {
            fingerprint: Some("3f".repeat(32)),
            name: "closet".to_owned(),
            address: "192.168.1.20:7433".to_owned(),
            load: Some((2, 16)),
            models: Vec::new(),
            speaks: Some((1, 4)),
            standing: Standing::Known,
            is_there: true,
            is_picked: true,
        }),
        shadow: ShadowFigures {
            chunks: 900,
            stretches: 30,
            worst: 240.0,
            needed: Some(224.0),
            link: Some(12.0),
            jitter: Some(9.0),
            ..ShadowFigures::default()
        },
        block_frames: 512,
        wanted_frames: 12_000,
        ..State::default()
    }
}

fn changed(change: impl FnOnce(&mut State)) -> State {
    let mut state = live();
    change(&mut state);
    state
}

/// The one finding whose sentence has `part` in it.
fn one(state: &State, part: &str) -> Finding {
    let all = findings(state);
    let mut found = all.iter().filter(|finding| finding.sentence.contains(part));
    let first = found.next().unwrap_or_else(|| panic!("nothing says {part:?}: {all:#?}"));
    assert_eq!(found.next(), None, "said twice");
    first.clone()
}

#[track_caller]
fn says(state: &State, part: &str, check: Check, verdict: Verdict, name: Option<&str>) {
    let finding = one(state, part);
    assert_eq!(
        (finding.check, finding.verdict, finding.name),
        (check, verdict, name),
        "{}",
        finding.sentence
    );
}

fn silent(state: &State, part: &str) {
    assert!(
        findings(state).iter().all(|finding| !finding.sentence.contains(part)),
        "something says {part:?}"
    );
}

use Check::{Budget, Host, Link, Machine, Server};
use Verdict::{Failed, Good, Warning};

#[test]
fn all_is_well_and_each_thing_is_said() {
    let told = findings(&live());
    assert!(told.iter().all(|finding| finding.verdict == Good && finding.name.is_none()), "{told:#?}");
    let sentences: Vec<&str> = told.iter().map(|finding| finding.sentence.as_str()).collect();
    assert_eq!(
        sentences,
        [
            "Connected to closet at 192.168.1.20:7433; this computer is paired with it.",
            "Both this plugin and closet speak version 4 of the protocol.",
            "Of 16 places at closet 2 are taken.",
            "There and back takes 1.2 ms, and 99 times of 100 at most 4.8 ms: whether over a cable or Wi-Fi cannot be seen \
             from here, but on a cable the two are mostly close together, and on Wi-Fi the second is often many times the \
             first.",
            "With the music the link needs 12 ms of the budget, 9 ms of it because it varies; the plan leaves 38 ms for it.",
            "Nothing came late and nothing was lost in the last five minutes.",
            "Of 250 ms the plan for spleeter-2stems needs 212 ms, which leaves 38 ms for the link; with everything, 224 ms \
             were needed in the last five minutes.",
            "The recommended budget is the one you have, 250 ms.",
            "Asked last, closet could hold a budget of 250, 500 ms with spleeter-2stems, but not 93; the page Latency says what each \
             buys.",
            "The host runs at 48000 Hz, and so does the way to the server.",
            "The host was told a latency of 12000 frames (250 ms), which is your budget.",
            "The host plays in blocks of up to 512 frames (11 ms of the budget's 250 ms).",
            "The host calls in real time and renders nothing ahead.",
            "This computer's network thread had its turn in time in the last five minutes.",
            "No audio callback came late in the last five minutes.",
        ]
    );
}

#[test]
fn what_is_not_known_is_not_said() {
    let idle = findings(&State::default());
    assert_eq!(idle.len(), 1, "{idle:#?}");
    assert_eq!((idle[0].check, idle[0].verdict), (Server, Warning));
    let first = changed(|s| {
        (s.view.link, s.view.sentence) =
            (LinkView::Connecting, "Looking for the server at closet.".to_owned());
        (s.view.offers, s.server) = (Vec::new(), None);
    });
    says(&first, "Looking for the server", Server, Warning, None);
    assert!(findings(&first).iter().all(|finding| !matches!(finding.check, Link | Budget)));
    let early = changed(|s| (s.shadow, s.view.round_trip_millis) = Default::default());
    says(&early, "after half a minute", Link, Good, None);
    silent(&early, "recommended");
    silent(&early, "There and back takes");
}

#[test]
fn the_worst_comes_first() {
    let state = changed(|s| {
        s.view.bursting = true;
        s.lately.audio = HeldUp { times: 1, worst: Duration::from_millis(140) };
    });
    let verdicts: Vec<Verdict> = findings(&state).iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts[..3], [Failed, Warning, Good]);
    assert!(verdicts.is_sorted());
}

#[test]
fn a_server_on_this_computer_needs_neither_pairing_nor_a_search() {
    let here = changed(|s| {
        (s.is_here, s.search) = (true, Some(Trouble::Silence));
        s.server.iter_mut().for_each(|server| {
            (server.load, server.speaks, server.standing) = (None, None, Standing::ThisMachine);
        });
    });
    says(&here, "Connected to the server on this computer; no pairing is needed there.", Server, Good, None);
    says(&here, "at most 4.8 ms: the server is on this computer.", Link, Good, None);
    silent(&here, "multicast");
    silent(&here, "protocol");
}

#[test]
fn why_there_is_no_server() {
    let address = "192.168.1.20:7433".parse().unwrap();
    let why = |error: LinkError, part: &str, name: &str| {
        let state = changed(|s| {
            (s.view.link, s.view.sentence) =
                (LinkView::Looking, format!("Not connected, trying again: {error}"));
            s.link_error = Some(error);
        });
        says(&state, part, Server, Failed, Some(name));
    };
    why(LinkError::NotPaired { address }, "`rehearsekit pair` there", "not-paired");
    let [expected, got] = [1, 2].map(|n| rehearsekit_client::Fingerprint([n; 32]));
    why(
        LinkError::Fingerprint { expected, got },
        "find out first. This computer is paired with closet.",
        "other-server",
    );
    why(LinkError::NotFound, "does not announce itself", "server-unreachable");
    let unreachable = LinkError::Unreachable { address, why: "timed out".to_owned() };
    why(unreachable, "is it running there? A firewall", "server-unreachable");
    why(
        LinkError::Lost("timed out".to_owned()),
        "broke: timed out. If it happens again: a cable",
        "link-breaks",
    );
    why(
        LinkError::ServerClosed(rehearsekit_protocol::CloseReason::Revoked),
        "type the code",
        "token-refused",
    );
    let odd = changed(|s| {
        (s.view.link, s.view.sentence) = (LinkView::Failed, "Not connected: no address.".to_owned())
    });
    says(&odd, "no address", Server, Failed, None);
}

#[test]
fn why_the_server_says_no() {
    let no = |code, least, part: &str, name: &str| {
        let state = changed(|s| {
            (s.view.link, s.view.sentence) = (LinkView::Refused(code), "The server says no: so.".to_owned());
            s.view.smallest_budget_millis = least;
        });
        says(&state, part, Server, Failed, Some(name));
    };
    no(RefusalCode::Revoked, None, "The server says no: so. Run `rehearsekit pair`", "token-refused");
    no(RefusalCode::NotPaired, None, "type the code", "token-refused");
    no(RefusalCode::BudgetTooSmall, Some(310.0), "Pick 310 ms or more", "server-refuses");
    no(RefusalCode::Full, None, "when somebody stops", "server-refuses");
    no(RefusalCode::UnknownModel, None, "then the server chooses", "server-refuses");
    no(RefusalCode::Version, None, "Update the older one", "server-refuses");
    no(RefusalCode::NotReady, None, "asked again by itself", "server-refuses");
    no(RefusalCode::BadRequest, None, "The server says no: so.", "server-refuses");
    let paused = changed(|s| s.paused = true);
    says(&paused, "You are back by yourself", Server, Warning, Some("server-slow"));
}

#[test]
fn versions_load_search_and_pairings() {
    let speaks =
        |low, high| changed(|s| s.server.iter_mut().for_each(|server| server.speaks = Some((low, high))));
    says(&speaks(1, 3), "only 3", Server, Warning, None);
    says(&speaks(7, 9), "update the older one", Server, Failed, Some("server-refuses"));
    says(&speaks(2, 9), "speak version 4", Server, Good, None);
    let mut full = changed(|s| s.server.iter_mut().for_each(|server| server.load = Some((16, 16))));
    says(&full, "one of them by you", Server, Good, None);
    full.view.link = LinkView::Refused(RefusalCode::Full);
    says(&full, "somebody has to stop, or", Server, Warning, Some("server-refuses"));
    let found = |trouble, name| {
        says(&changed(|s| s.search = Some(trouble)), "Servers may not be found", Server, Warning, Some(name));
    };
    found(Trouble::NoNetwork, "no-network");
    found(Trouble::NoServer, "server-unreachable");
    found(Trouble::HearingBlocked, "multicast-blocked");
    let pairings = changed(|s| s.pairings = Some("the list is damaged".to_owned()));
    says(&pairings, "The list is damaged.", Server, Failed, Some("pairings-unusable"));
}

#[test]
fn a_link_that_varies_breaks_or_loses() {
    // The plan leaves 38 ms.
    let needs = |link, jitter| changed(|s| (s.shadow.link, s.shadow.jitter) = (Some(link), Some(jitter)));
    says(&needs(32.0, 15.0), "the plan leaves 38 ms", Link, Good, None);
    says(&needs(32.0, 21.0), "more than plans reckon with (10 ms)", Link, Warning, Some("link-jitter"));
    says(&needs(34.0, 10.0), "which is too little", Link, Warning, Some("link-jitter"));
    let breaks = |breaks| changed(|s| s.shadow.breaks = breaks);
    says(&breaks(1), "broke once", Link, Warning, Some("link-breaks"));
    says(&breaks(3), "broke 3 times", Link, Failed, Some("link-breaks"));
    let missed = |link| {
        changed(|s| {
            s.lately.missed = [30, 3, 1];
            s.shadow.link = Some(link);
        })
    };
    let part = "stems for 40 ms were not there in time and you heard the song itself (4 ms came late, 1 hop never came)";
    says(&missed(12.0), part, Link, Warning, Some("server-slow"));
    says(&missed(60.0), part, Link, Warning, Some("link-jitter"));
    let bounce = changed(|s| s.view.offline = true);
    assert!(findings(&bounce).iter().all(|finding| finding.check != Link), "a bounce waits");
}

#[test]
fn another_budget() {
    let better = |millis, breaks| {
        changed(|s| {
            s.view.recommendation = Some(Recommendation { millis, sentence: "So it is.".to_owned() });
            (s.shadow.link, s.shadow.breaks) = (Some(90.0), breaks);
        })
    };
    says(
        &better(Some(500), 0),
        "So it is. Pick it on the page Latency.",
        Budget,
        Failed,
        Some("link-jitter"),
    );
    says(&better(None, 0), "So it is.", Budget, Failed, Some("link-jitter"));
    silent(&better(None, 2), "So it is.");
    // 180 ms would do: little of the plan's 150, and of the link.
    let smaller = changed(|s| s.view.offers.insert(1, offer(180, true, 150.0)));
    says(&smaller, "180 ms would hold as well", Budget, Good, None);
    let refused = changed(|s| {
        (s.view.link, s.view.budget_millis) = (LinkView::Refused(RefusalCode::BudgetTooSmall), 93.0);
    });
    says(&refused, "but not 93, which is yours: pick", Budget, Failed, Some("server-refuses"));
    let none = changed(|s| s.view.offers.iter_mut().for_each(|offer| offer.holds = false));
    says(&none, "none of the budgets", Budget, Failed, Some("server-refuses"));
}

#[test]
fn the_host() {
    let rate = |hz: u32, frames| {
        changed(|s| (s.view.rate_hz, s.view.latency_frames, s.wanted_frames) = (hz, frames, frames))
    };
    says(&rate(96_000, 24_000), "travel at 1/2 of it, which takes 1.1 ms", Host, Good, None);
    says(&rate(1_000, 250), "which no server takes", Host, Failed, None);
    let changed_budget = changed(|s| s.wanted_frames = 24_000);
    says(&changed_budget, "(250 ms), but your budget is 500 ms now", Host, Warning, None);
    let block = |frames| changed(|s| s.block_frames = frames);
    says(&block(2_048), "43 ms of the budget's 250 ms).", Host, Good, None);
    says(&block(4_096), "a smaller buffer", Host, Warning, None);
    let bursts = |bursting| changed(|s| (s.view.bursts, s.view.bursting) = (3, bursting));
    says(&bursts(true), "Cubase: ASIO-Guard", Host, Failed, None);
    says(&bursts(false), "ahead of real time 3 times", Host, Warning, None);
    let bounce =
        |error: Option<&str>| changed(|s| (s.view.offline, s.view.error) = (true, error.map(str::to_owned)));
    says(&bounce(None), "each stem is waited for", Host, Good, None);
    says(&bounce(Some("no stems came")), "is silent: no stems came.", Host, Failed, None);
    silent(&bounce(None), "in real time");
}

#[test]
fn the_machine() {
    let held = HeldUp { times: 2, worst: Duration::from_millis(180) };
    let network = changed(|s| s.lately.network = held);
    says(&network, "waiting 2 times in the last five minutes, 180 ms at worst", Machine, Warning, None);
    let audio = changed(|s| s.lately.audio = held);
    says(&audio, "came late 2 times in the last five minutes, 180 ms at worst", Machine, Warning, None);
    let dropped = changed(|s| s.view.counters.dropped_frames = 4_800);
    says(&dropped, "100 ms of the song could not be handed", Machine, Warning, None);
    let bounce = changed(|s| (s.view.offline, s.lately.audio) = (true, held));
    silent(&bounce, "callback");
}
