//! What the engine makes of bad links: that it survives what can be survived, and what it tells the player.

use rehearsekit_badlink::{Impairments, UdpProxy};
use rehearsekit_plugin_engine::{LinkView, Verdict, View};
use rehearsekit_tests::house::{House, Wire, any_port};

use crate::trouble::{RATE, check, host, song, until_bridged, until_live};

#[test]
fn another_address_is_the_same_session() {
    let house = House::known(any_port());
    let proxy = UdpProxy::start(house.address, Impairments::default()).unwrap();
    let mut host = host(proxy.address);
    until_live(&mut host);
    for _ in 0..3 {
        proxy.rebind();
        let then = host.played() + u64::from(RATE) / 2;
        host.play_until("half a second later", song, |host, _| host.played() > then);
    }
    until_live(&mut host);
    check(&host);
    let view = host.instance.view();
    assert_eq!((proxy.traffic().rebound, view.counters.reconnects), (3, 0));
    assert!(view.round_trip_millis.count > 0 && view.round_trip_millis.p50 > 0.0);
    // Three stretches of ten seconds are not over yet.
    assert_eq!((view.needs_millis, view.recommendation), (None, None));
    let checkup = host.instance.checkup();
    let says = |part: &str| checkup.iter().any(|f| f.verdict == Verdict::Good && f.sentence.contains(part));
    assert!(says("Connected to the server on this computer; no pairing is needed there."), "{checkup:#?}");
    assert!(says("There and back takes") && says("which is your budget"), "{checkup:#?}");
    assert!(checkup.iter().all(|finding| finding.verdict != Verdict::Failed), "{checkup:#?}");
}

#[test]
fn a_link_that_loses_and_reorders_only_costs_time() {
    let house = House::known(any_port());
    let bad = Impairments {
        seed: 5,
        loss: 0.05,
        delay: std::time::Duration::from_millis(3),
        jitter: std::time::Duration::from_millis(2),
        ..Impairments::default()
    };
    let proxy = UdpProxy::start(house.address, bad).unwrap();
    let mut host = host(proxy.address);
    until_live(&mut host);
    let then = host.played() + u64::from(RATE);
    host.play_until("a second later", song, |host, _| host.played() > then);
    until_live(&mut host);
    check(&host);
    assert!(proxy.traffic().lost > 0);
}

#[test]
fn breaks_are_told_and_no_latency_is_sold_against_them() {
    let house = House::known(any_port());
    let wire = Wire::to(house.address);
    let mut host = host(wire.address);
    for _ in 0..2 {
        until_live(&mut host);
        wire.cut(true);
        until_bridged(&mut host);
        host.play_until("given up", song, |_, view| view.link != LinkView::Live);
        wire.cut(false);
    }
    until_live(&mut host);
    let told =
        |view: &View| view.recommendation.as_ref().is_some_and(|r| r.sentence.contains("broke 2 times"));
    host.play_until("told", song, |_, view| told(view));
    assert_eq!(host.instance.view().recommendation.unwrap().millis, None);
    let checkup = host.instance.checkup();
    let breaks: Vec<_> = checkup.iter().filter(|finding| finding.name == Some("link-breaks")).collect();
    assert_eq!((breaks.len(), breaks[0].verdict), (1, Verdict::Failed), "{checkup:#?}");
    check(&host);
}
