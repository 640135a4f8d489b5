//! A live session at its own pace while its server is killed, stalled, restarted, changed: the song goes on, no
//! sample steps further than a cross-fade explains, and the stems come back by themselves.

use rehearsekit_plugin_engine::{AudioSetup, Change, LinkView, STRIPS, Settings, Status, StripValues};

use rehearsekit_tests::{
    house::{House, SHARE, Wire, any_port},
    plugin_host::Host,
};

pub(crate) const RATE: u32 = 48_000;

/// Two notes: smooth, so that a step shows.
pub(crate) fn song(channel: usize, position: u64) -> f32 {
    let t = position as f64 / f64::from(RATE) * std::f64::consts::TAU;
    let low = 110.0 * (channel + 1) as f64;
    (0.4 * (t * low).sin() + 0.2 * (t * 291.0).sin()) as f32
}

/// More than a frame of [`song`] ever changes by itself.
const STEEPEST: f32 = 0.4 * 0.0289 + 0.2 * 0.0382;
/// What a fade over a slot adds when all of the song comes or goes.
const FADE: f32 = 0.6 / 64.0;

pub(crate) fn host(server: impl ToString) -> Host {
    let settings =
        Settings { server: Some(server.to_string()), model: Some("two".to_owned()), ..Settings::default() };
    let mut host = Host::new(settings, AudioSetup::new(RATE, 480, false));
    host.mixer.strips[0] = StripValues { muted: true, ..StripValues::default() };
    host
}

pub(crate) fn until_live(host: &mut Host) {
    let from = host.played() + u64::from(RATE) / 4;
    host.play_until("live", song, |host, view| {
        view.link == LinkView::Live && !view.bridging && host.played() > from
    });
}

pub(crate) fn until_bridged(host: &mut Host) {
    host.play_until("bridged", song, |_, view| view.bridging);
}

/// Every sample lies between the song without the vocals and the song, and none steps further than a fade does.
pub(crate) fn check(host: &Host) {
    let latency = u64::from(host.engine.latency_frames());
    for (channel, main) in host.out.main.iter().enumerate() {
        let mut before = 0.0;
        for (i, &sample) in (0..).zip(main) {
            let dry = if i < latency { 0.0 } else { song(channel, i - latency) };
            let (low, high) = ((1.0 - SHARE) * dry.abs() - 1e-6, dry.abs() + 1e-6);
            assert!(
                (low..=high).contains(&sample.abs()) && sample * dry >= 0.0,
                "frame {i}: {sample} for {dry}"
            );
            let step = (sample - before).abs();
            assert!(i == latency || step <= STEEPEST + FADE, "a step of {step} at frame {i}");
            before = sample;
        }
    }
    assert_eq!(host.last, Status::Ok);
}

#[test]
fn killed_and_restarted_it_comes_back_by_itself() {
    let house = House::known(any_port());
    let address = house.address;
    let mut host = host(address);
    until_live(&mut host);
    house.kill();
    until_bridged(&mut host);
    let silent_until = host.played() + u64::from(RATE);
    host.play_until("a second without a server", song, |host, _| host.played() > silent_until);
    assert_ne!(host.instance.view().link, LinkView::Live);
    let house = House::known(address);
    until_live(&mut host);
    check(&host);
    let counters = host.instance.view().counters;
    assert!(counters.reconnects >= 1 && counters.bridged_frames > u64::from(RATE) / 2, "{counters:?}");
    house.kill();
}

#[test]
fn stalled_it_is_given_up_and_taken_back() {
    let house = House::known(any_port());
    let wire = Wire::to(house.address);
    let mut host = host(wire.address);
    until_live(&mut host);
    wire.cut(true);
    until_bridged(&mut host);
    host.play_until("given up", song, |_, view| view.link != LinkView::Live);
    let view = host.instance.view();
    assert!(view.sentence.contains("nothing was heard from the other end"), "{}", view.sentence);
    wire.cut(false);
    until_live(&mut host);
    check(&host);
    // Another server behind the same address, as after a move or a new lease.
    let other = House::known(any_port());
    wire.lead_to(other.address);
    house.kill();
    host.play_until("gone", song, |_, view| view.link != LinkView::Live);
    until_live(&mut host);
    check(&host);
}

#[test]
fn another_model_changes_the_strips_and_not_the_song() {
    let house = House::known(any_port());
    let mut host = host(house.address);
    until_live(&mut host);
    assert_eq!(host.instance.view().strips, [true, false, false, false, false, true]);
    let four = Settings { model: Some("four".to_owned()), ..host.instance.settings() };
    assert_eq!(host.instance.configure(four), Change::Link);
    host.play_until("four stems", song, |_, view| view.stems.len() == 4);
    until_live(&mut host);
    let view = host.instance.view();
    assert_eq!(view.strips, [true, true, true, false, false, true]);
    let from = host.played();
    let latency = u64::from(host.engine.latency_frames());
    host.play_until("a while", song, |host, _| host.played() > from + latency);
    check(&host);
    // A quarter of the song lies on each of the strips that have a stem, and comes out behind its fader.
    if !host.instance.view().bridging {
        let last = host.played() - 1;
        let dry = song(0, last - latency);
        for strip in 0..STRIPS {
            let heard = view.strips[strip] && !host.mixer.strips[strip].muted;
            let expected = if heard { SHARE * dry } else { 0.0 };
            let got = host.out.strips[strip][0][last as usize];
            assert!((got - expected).abs() < 1e-6, "strip {strip}: {got} instead of {expected}");
        }
    }
    let back = Settings { model: Some("two".to_owned()), ..host.instance.settings() };
    assert!(back.stems.len() == 4);
    host.instance.configure(back);
    assert_eq!(host.instance.settings().stems, Vec::<String>::new(), "those were the other model's");
    host.play_until("two stems", song, |_, view| view.stems.len() == 2 && view.link == LinkView::Live);
    until_live(&mut host);
    check(&host);
}

#[test]
fn seeks_and_loops_in_a_live_session_make_no_step() {
    let house = House::known(any_port());
    let mut host = host(house.address);
    until_live(&mut host);
    // The playhead jumps every 130 ms; the audio of this song does not, so that a step would be ours.
    let from = host.played();
    let mut jumps = 0;
    host.play_until("enough jumps", song, |_, _| {
        jumps += 1;
        jumps > 13
    });
    for n in 0..12 {
        host.transport.song_position_frames = Some(n * 7_919 - 4_800);
        let until = host.played() + 6_240;
        host.play_until("the next jump", song, |host, _| host.played() >= until);
    }
    assert!(host.played() > from);
    check(&host);
}

#[test]
fn an_offline_render_whose_server_dies_fails_and_can_be_started_again() {
    let house = House::known(any_port());
    let address = house.address;
    let settings = Settings { server: Some(address.to_string()), ..Settings::default() };
    let mut host = Host::new(settings, AudioSetup::new(RATE, 512, true));
    let block = |host: &mut Host| {
        let from = host.played();
        let [left, right] = [0, 1].map(|c| (from..from + 512).map(|p| song(c, p)).collect::<Vec<_>>());
        host.block([&left, &right]);
        host.last
    };
    while host.played() < 48_000 {
        assert_eq!(block(&mut host), Status::Ok);
    }
    house.kill();
    while block(&mut host) == Status::Ok {
        assert!(host.played() < 100_000, "the render goes on without a server");
    }
    let error = host.instance.view().error.unwrap();
    assert!(error.contains("lost its server"), "{error}");
    // Nothing of the song is heard any more, least of all dry.
    let heard = host.out.main[0].len();
    assert_eq!(block(&mut host), Status::OfflineFailed);
    assert!(host.out.main[0][heard..].iter().all(|&s| s == 0.0));

    let _house = House::known(address);
    host.engine.reset();
    let from = host.played();
    while host.played() < from + 48_000 {
        assert_eq!(block(&mut host), Status::Ok, "{:?}", host.instance.view());
    }
    let (at, latency) = (from as usize + 24_000, host.engine.latency_frames() as usize);
    for i in at..at + 1_000 {
        let dry = song(0, (i - latency) as u64);
        assert!((host.out.strips[0][0][i] - SHARE * dry).abs() < 1e-6);
        assert!((host.out.main[0][i] - dry).abs() < 1e-6);
    }
}

#[test]
fn a_host_that_calls_in_bursts_is_told_of() {
    let house = House::known(any_port());
    let mut host = host(house.address);
    until_live(&mut host);
    assert!(!host.instance.view().bursting);
    let second = [vec![0.1; 480], vec![0.1; 480]];
    (0..100).for_each(|_| host.block([&second[0], &second[1]]));
    // The next looks see it; the host catches up with its own clock meanwhile.
    host.play_until("told of", |_, _| 0.1, |_, view| view.bursting);
    assert!(host.instance.view().bursts >= 1);
}
