//! Offline renders with real Spleeter weights, to the bit: against the same pipeline without any plugin or
//! network, against themselves, and across loops.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use rehearsekit_audio::{SampleRate, measure::energy};
use rehearsekit_plugin_engine::{AudioSetup, LinkView, STANDARD_BUDGETS_MILLIS, Settings, StripValues};
use rehearsekit_server::engine::{Engine, ModelEngine, OpenSpec};

use rehearsekit_tests::{
    house::{House, Wire, any_port, installed_models},
    plugin_host::{Host, Output, sizes},
};

const MODEL: &str = "spleeter-2stems";
const BLOCK: u32 = 512;

/// A server with Spleeter, and its engine for comparison.
struct Closet {
    house: House,
    engine: Arc<ModelEngine>,
}

impl Closet {
    /// The one of this process.
    fn open() -> &'static Self {
        static CLOSET: OnceLock<Closet> = OnceLock::new();
        CLOSET.get_or_init(|| {
            let mut kept = None;
            let data = installed_models(Path::new(env!("CARGO_TARGET_TMPDIR")));
            let house = House::open(data, any_port(), &[MODEL], |config| {
                let engine = Arc::new(ModelEngine::new(config).unwrap());
                kept = Some(Arc::clone(&engine));
                engine
            });
            Self { house, engine: kept.unwrap() }
        })
    }

    fn settings(&self, budget_millis: f64) -> Settings {
        Settings { server: Some(self.house.address.to_string()), budget_millis, ..Settings::default() }
    }

    /// The travelling stem as the server's pipeline gives it without any network, in epochs of these lengths.
    fn direct(
        &self,
        rate_hz: u32,
        latency_frames: u32,
        song: &[Vec<f32>; 2],
        epochs: &[usize],
    ) -> [Vec<f32>; 2] {
        let spec = OpenSpec {
            model: MODEL.to_owned(),
            rate: SampleRate::new(rate_hz).unwrap(),
            budget_frames: latency_frames,
            // What a bounce asks for, whatever the host's blocks are: it waits within them.
            block_frames: 64,
            link_frames: rate_hz / 100,
        };
        let (mut pipeline, _) = self.engine.open(&spec).unwrap();
        let mut stems: [Vec<f32>; 2] = Default::default();
        let mut at = 0;
        for &frames in epochs {
            pipeline.start_epoch(at as u64);
            let mut chunks = pipeline.push([&song[0][at..at + frames], &song[1][at..at + frames]]).unwrap();
            chunks.extend(pipeline.finish_epoch().unwrap());
            for (c, stem) in stems.iter_mut().enumerate() {
                chunks.iter().for_each(|chunk| stem.extend(&chunk.channels[c]));
            }
            at += frames;
        }
        stems
    }
}

/// Something like music: a voice with vibrato that sings "ah" (harmonics under two formants), a bass, a snare of
/// noise; different in the two channels.
fn song(rate_hz: u32, frames: usize) -> [Vec<f32>; 2] {
    let mut state = 1u32;
    [0.9f32, 1.1].map(|balance| {
        (0..frames)
            .map(|n| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 8) as f32 / 16_777_216.0 - 0.5;
                let time = n as f32 / rate_hz as f32;
                let phase = std::f32::consts::TAU * 196.0 * time + 1.1 * (time * 35.0).sin();
                let voice: f32 = (1..=18)
                    .map(|k| {
                        let hz = 196.0 * k as f32;
                        let formant = |at: f32| 1.0 / (1.0 + ((hz - at) / 160.0).powi(2));
                        (formant(750.0) + 0.6 * formant(1_150.0) + 0.02) * (phase * k as f32).sin()
                    })
                    .sum();
                let snare = noise * (-20.0 * (time * 2.0).fract()).exp();
                0.25 * voice * balance + 0.2 * (time * 345.0).sin() + 0.4 * snare
            })
            .collect()
    })
}

fn render(settings: Settings, rate_hz: u32, song: &[Vec<f32>; 2], seed: u64, most: usize) -> (Host, Output) {
    let mut host = Host::new(settings, AudioSetup::new(rate_hz, BLOCK, true));
    // As both formats do before the first block.
    host.engine.reset();
    host.render(song, sizes(seed, most));
    let view = host.instance.view();
    assert_eq!((view.counters.underruns, view.counters.bridged_frames), (0, 0), "{view:?}");
    let latency = host.engine.latency_frames() as usize;
    let mut out = host.out.clone();
    for channel in out.main.iter_mut().chain(out.strips.iter_mut().flatten()) {
        assert!(channel[..latency].iter().all(|&s| s == 0.0));
        channel.drain(..latency);
    }
    (host, out)
}

#[test]
fn an_offline_render_is_the_servers_pipeline_bit_by_bit_and_sums_to_the_mix() {
    let closet = Closet::open();
    for (rate_hz, budget_millis) in [(44_100, 250.0), (48_000, 500.0)] {
        let song = song(rate_hz, 3 * rate_hz as usize);
        let (host, out) = render(closet.settings(budget_millis), rate_hz, &song, 1, BLOCK as usize);
        // What comes behind the song is the silence that pushes it out.
        let latency = host.engine.latency_frames();
        let padded = song.clone().map(|mut channel| {
            channel.resize(channel.len() + latency as usize, 0.0);
            channel
        });
        let direct = closet.direct(rate_hz, latency, &padded, &[padded[0].len()]);
        println!("vocals {:.1} dB", rehearsekit_audio::measure::level_dbfs(&direct));
        assert!(energy(&direct) > 1.0, "the stem is silent");
        for channel in 0..2 {
            let vocals = &out.strips[0][channel];
            assert!(vocals[..] == direct[channel][..vocals.len()], "{rate_hz} Hz");
            assert!(out.main[channel] == song[channel], "0 dB on all faders is the mix, bit by bit");
            for (i, dry) in song[channel].iter().enumerate() {
                let sum: f64 = out.strips.iter().map(|strip| f64::from(strip[channel][i])).sum();
                let largest = out.strips.iter().map(|strip| strip[channel][i].abs()).fold(0.0, f32::max);
                assert!((sum - f64::from(*dry)).abs() <= f64::from(largest) * 2f64.powi(-24), "frame {i}");
            }
        }
        let view = host.instance.view();
        assert_eq!((view.link, view.model.as_deref()), (LinkView::Live, Some(MODEL)));
        assert_eq!(view.stems, ["vocals", "accompaniment"]);
        assert_eq!(view.strips, [true, false, false, false, false, true]);
        assert_eq!(host.instance.settings().stems, view.stems, "the project remembers them");
    }
}

#[test]
fn the_view_says_what_each_budget_buys_and_remembers_it_without_a_server() {
    let closet = Closet::open();
    const RATE: u32 = 96_000;
    let silence = |_, _| 0.0;
    let wire = Wire::to(closet.house.address);
    let settings = Settings { server: Some(wire.address.to_string()), ..closet.settings(300.0) };
    let mut host = Host::new(settings.clone(), AudioSetup::new(RATE, BLOCK, false));
    assert!(host.instance.view().offers.is_empty(), "nobody has said anything");
    host.play_until("live", silence, |_, view| view.link == LinkView::Live);
    let offers = host.instance.view().offers;
    let mut budgets = STANDARD_BUDGETS_MILLIS.to_vec();
    budgets.insert(5, 300);
    assert_eq!(offers.iter().map(|offer| offer.millis).collect::<Vec<_>>(), budgets, "with its own");
    assert!(offers[5].holds && offers.iter().skip(5).all(|offer| offer.holds && offer.words.contains("hop")));
    assert!(offers.iter().any(|offer| offer.quality_db.is_some()), "{offers:#?}");

    // A bounce asks nothing, and forgets nothing. What is kept is kept at once with the stems.
    host.play_until("learned", silence, |host, _| !host.instance.settings().stems.is_empty());
    host.engine = host.instance.activate(AudioSetup::new(RATE, BLOCK, true));
    host.render(&song(RATE, 4_800), sizes(6, BLOCK as usize));
    assert_eq!(host.instance.view().offers, offers);
    host.engine = host.instance.activate(AudioSetup::new(RATE, BLOCK, false));
    host.play_until("live again", silence, |_, view| view.link == LinkView::Live);

    // The server is gone, and what it said is still there.
    wire.cut(true);
    host.play_until("without a server", silence, |_, view| view.link == LinkView::Looking);
    assert_eq!(host.instance.view().offers, offers);
    host.instance.configure(Settings { model: Some("another".to_owned()), ..settings });
    host.play_until("forgotten", silence, |_, view| view.offers.is_empty());
    drop(host);

    // What the view says of a budget is what happens with it, also behind a decimator, and a refusal says it too.
    for offer in offers {
        let setup = AudioSetup::new(RATE, BLOCK, false);
        let mut host = Host::new(closet.settings(f64::from(offer.millis)), setup);
        let settled = |link| matches!(link, LinkView::Live | LinkView::Refused(_));
        host.play_until("settled", silence, |_, view| settled(view.link));
        let view = host.instance.view();
        assert_eq!(view.link == LinkView::Live, offer.holds, "{offer:?}: {}", view.sentence);
        assert!(view.offers.contains(&offer), "{offer:?} is not in {:#?}", view.offers);
    }
}

#[test]
fn two_renders_are_the_same_bits_whatever_the_blocks_and_the_rate() {
    let closet = Closet::open();
    for rate_hz in [44_100, 96_000, 192_000] {
        let song = song(rate_hz, rate_hz as usize);
        let (_, once) = render(closet.settings(300.0), rate_hz, &song, 2, 512);
        let (_, again) = render(closet.settings(300.0), rate_hz, &song, 3, 512);
        let (_, large) = render(closet.settings(300.0), rate_hz, &song, 4, 8_192);
        assert!(energy(&once.strips[0]) > 1.0);
        assert!(once.bits() == again.bits() && once.bits() == large.bits(), "{rate_hz} Hz");
    }
}

#[test]
fn a_loop_over_the_muted_vocal_never_lets_it_through() {
    let closet = Closet::open();
    const RATE: u32 = 44_100;
    let song = song(RATE, 2 * RATE as usize);
    // Half a second to three quarters, over and over; the host cuts its blocks at the loop's end.
    let region = [&song[0][22_050..33_075], &song[1][22_050..33_075]];
    let mut host = Host::new(closet.settings(250.0), AudioSetup::new(RATE, BLOCK, true));
    host.mixer.strips[0] = StripValues { muted: true, ..StripValues::default() };
    let mut played: [Vec<f32>; 2] = Default::default();
    let mut size = sizes(5, 512);
    for _ in 0..8 {
        host.transport.song_position_frames = Some(22_050);
        let mut at = 0;
        while at < region[0].len() {
            let end = (at + size()).min(region[0].len());
            host.block([&region[0][at..end], &region[1][at..end]]);
            at = end;
        }
        played.iter_mut().zip(region).for_each(|(played, region)| played.extend(region));
    }
    let counters = host.instance.view().counters;
    assert_eq!((counters.underruns, counters.bridged_frames), (0, 0), "nothing was bridged");
    let latency = host.engine.latency_frames() as usize;
    // Each turn of the loop is an epoch of its own to the server.
    let direct = closet.direct(RATE, latency as u32, &played, &[region[0].len(); 8]);
    let mut removed = 0.0;
    for channel in 0..2 {
        for (p, (&main, &vocals)) in
            host.out.main[channel][latency..].iter().zip(&direct[channel]).enumerate()
        {
            let without = f64::from(played[channel][p]) - f64::from(vocals);
            assert!((f64::from(main) - without).abs() < 1e-6, "the vocal is heard at frame {p}");
            removed += f64::from(vocals).powi(2);
        }
    }
    assert!(removed > 1.0, "there was a vocal to mute");
}

#[test]
fn eight_renders_at_once_are_what_one_is_alone() {
    let closet = Closet::open();
    let song = song(48_000, 48_000);
    let alone = render(closet.settings(250.0), 48_000, &song, 6, 512).1.bits();
    let together: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let song = &song;
        let renders: Vec<_> = (0..8)
            .map(|n| scope.spawn(move || render(closet.settings(250.0), 48_000, song, n, 512).1))
            .collect();
        renders.into_iter().map(|render| render.join().unwrap().bits()).collect()
    });
    assert!(together.iter().all(|bits| *bits == alone));
}

#[test]
fn a_budget_that_cannot_be_held_fails_the_render_at_once_with_what_would() {
    let closet = Closet::open();
    let mut host = Host::new(closet.settings(20.0), AudioSetup::new(48_000, BLOCK, true));
    let silence = [vec![0.5; 512], vec![0.5; 512]];
    while host.last == rehearsekit_plugin_engine::Status::Ok {
        assert!(host.played() < 48_000);
        host.block([&silence[0], &silence[1]]);
    }
    let view = host.instance.view();
    assert!(matches!(view.link, LinkView::Refused(_)), "{view:?}");
    assert!(view.smallest_budget_millis.is_some_and(|millis| millis > 20.0 && millis < 1_000.0), "{view:?}");
    assert!(view.error.is_some_and(|error| error.contains("says no")));
    // With that budget it works.
    let enough = view.smallest_budget_millis.unwrap();
    render(closet.settings(enough), 48_000, &song(48_000, 20_000), 7, 512);
}
