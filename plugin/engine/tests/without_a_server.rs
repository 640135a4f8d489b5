//! No server, or none that answers: the song comes out as it went in, to the bit, exactly the latency later, in
//! whatever blocks it is played.

mod common;

use common::{Deaf, Host, noise, sizes, song};
use rehearsekit_plugin_engine::{
    AudioSetup, Control, Instance, LinkView, STRIPS, Settings, Status, StripValues, Touched, Transport, Trust,
};

/// The whole range of budgets and rates, odd ones too.
const BUDGETS_MILLIS: [f64; 7] = [1.0, 35.3, 46.4, 93.0, 250.0, 1_000.0, 1_500.0];
const RATES_HZ: [u32; 7] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 11_025];

fn bits(samples: &[f32]) -> Vec<u32> {
    samples.iter().map(|s| s.to_bits()).collect()
}

#[test]
fn the_dry_null_is_exact_at_every_budget_rate_and_block_size() {
    let deaf = Deaf::new();
    for (n, budget_millis) in BUDGETS_MILLIS.into_iter().enumerate() {
        for (m, rate_hz) in RATES_HZ.into_iter().enumerate() {
            let settings = Settings { budget_millis, ..deaf.settings() };
            let latency = settings.latency_frames(rate_hz) as usize;
            assert_eq!(latency, (budget_millis * f64::from(rate_hz) / 1e3 + 1e-6) as usize);
            let mut host = Host::new(settings, AudioSetup::new(rate_hz, 8_192, false));
            host.with_stems = m % 2 == 0;
            let song = song(latency + 20_000);
            host.play(&song, sizes((n * 10 + m) as u64, 8_192));
            assert_eq!(host.engine.latency_frames() as usize, latency);
            assert_eq!(host.instance.latency_frames(rate_hz) as usize, latency);
            for (out, song) in host.out.main.iter().zip(&song) {
                assert!(out[..latency].iter().all(|&s| s == 0.0));
                assert!(
                    bits(&out[latency..]) == bits(&song[..song.len() - latency]),
                    "{budget_millis} ms, {rate_hz} Hz"
                );
            }
        }
    }
}

#[test]
fn every_block_size_from_1_to_8192_plays_the_same() {
    let latency = 480;
    let deaf = Deaf::new();
    let settings = Settings { budget_millis: 10.0, ..deaf.settings() };
    let mut host = Host::new(settings, AudioSetup::new(48_000, 512, false));
    host.with_stems = false;
    // One engine, every size once: 33 million frames would be too long a song, so small sizes are all there and
    // large ones in steps.
    let sizes: Vec<usize> = (1..=600).chain((601..=8_192).step_by(131)).chain([8_191, 8_192]).collect();
    let mut position = 0u64;
    for size in sizes {
        let block: [Vec<f32>; 2] =
            [1, 2].map(|seed| (position..position + size as u64).map(|p| noise(seed, p)).collect());
        host.block([&block[0], &block[1]]);
        for (channel, out) in host.out.main.iter_mut().enumerate() {
            assert_eq!(out.len(), size);
            for (i, sample) in out.drain(..).enumerate() {
                let expected = match (position + i as u64).checked_sub(latency) {
                    Some(before) => noise(1 + channel as u64, before),
                    None => 0.0,
                };
                assert_eq!(sample.to_bits(), expected.to_bits(), "blocks of {size}");
            }
        }
        host.out.stems.iter_mut().flatten().for_each(Vec::clear);
        position += size as u64;
    }
}

#[test]
fn blocks_beyond_what_was_announced_and_empty_ones_are_survived() {
    let deaf = Deaf::new();
    let song = song(60_000);
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 64, false));
    let mut blocks = [0, 1, 50_000, 0, 9_999].into_iter().cycle();
    host.play(&song, || blocks.next().unwrap_or(1));
    assert_eq!(bits(&host.out.main[0][12_000..]), bits(&song[0][..48_000]));
    assert_eq!(host.out.stems[5][1][12_000..], song[1][..48_000]);
}

#[test]
fn the_mix_stands_in_on_the_other_strip_and_at_the_largest_gain() {
    let deaf = Deaf::new();
    let song = song(30_000);
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    host.mixer.strips[0].muted = true;
    host.mixer.strips[5].gain_db = -6.0;
    // A two-stem model is assumed, so the drums are no reason for the mix to be louder.
    host.mixer.strips[1].gain_db = 12.0;
    host.play(&song, sizes(3, 2_000));
    let gain = 10f32.powf(-6.0 / 20.0);
    for i in 12_000..30_000 {
        let dry = song[0][i - 12_000];
        assert!((host.out.main[0][i] - gain * dry).abs() <= 1e-7);
        assert_eq!(host.out.stems[5][0][i], host.out.main[0][i]);
    }
    assert!(host.out.stems[..5].iter().flatten().flatten().all(|&s| s == 0.0));

    for strip in &mut host.mixer.strips {
        *strip = StripValues { muted: true, ..*strip };
        host.touched = host.touched.and(Touched::one(Control::mute(0))).and(Touched::one(Control::mute(5)));
    }
    host.play(&song, || 512);
    assert!(host.out.main[0][31_000..].iter().all(|&s| s == 0.0), "all muted is silence");
}

#[test]
fn automation_is_heard_at_its_sample_and_a_gesture_at_once() {
    let deaf = Deaf::new();
    let ones = [vec![1.0; 512], vec![1.0; 512]];
    let latency = 12_000;
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    let mut position = 0;
    let mut play = |host: &mut Host, frames: usize| {
        host.block([&ones[0][..frames], &ones[1][..frames]]);
        position += frames;
        position
    };
    while play(&mut host, 512) < 30_000 {}
    // The host splits its block where the automation changes.
    let at = play(&mut host, 77);
    host.mixer.strips.iter_mut().for_each(|strip| strip.gain_db = -6.0);
    while play(&mut host, 512) < at + latency + 2_000 {}
    let out = &host.out.main[0];
    assert!(out[latency..at + latency].iter().all(|&s| s == 1.0), "nothing moves before its audio");
    assert!(out[at + latency] < 1.0, "it moves with it");
    let gain = 10f32.powf(-6.0 / 20.0);
    assert!((out[at + latency + 300] - gain).abs() < 1e-6);

    let at = play(&mut host, 33);
    host.mixer.strips.iter_mut().for_each(|strip| strip.gain_db = 0.0);
    host.touched = (0..STRIPS).fold(Touched::NONE, |all, strip| all.and(Touched::one(Control::gain(strip))));
    play(&mut host, 512);
    let out = &host.out.main[0];
    assert_eq!(out[at - 1], gain);
    assert!(out[at] > gain, "a gesture acts at once");
    assert_eq!(out[at + 300], 1.0);
}

#[test]
fn output_does_not_depend_on_how_the_host_cuts_its_blocks() {
    let deaf = Deaf::new();
    let song = song(60_000);
    let play = |size: &mut dyn FnMut() -> usize| {
        let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 8_192, false));
        let mut at = 0;
        while at < 60_000 {
            // Automation at fixed frames, where every host splits.
            let next = (at / 7_001 + 1) * 7_001;
            let end = (at + size()).min(next).min(60_000);
            let step = at / 7_001;
            host.mixer.strips[5].gain_db = -(step as f32);
            host.mixer.strips[0].muted = step % 2 == 1;
            host.mixer.bypassed = step == 3 || step == 4;
            host.block([&song[0][at..end], &song[1][at..end]]);
            at = end;
        }
        host.out
    };
    let whole = play(&mut || 8_192);
    assert!(whole.main[0].iter().any(|&s| s != 0.0));
    for seed in 0..4 {
        assert!(play(&mut sizes(seed, 8_192)) == whole, "seed {seed}");
    }
    assert!(play(&mut || 1) == whole);
}

#[test]
fn bypass_is_the_aligned_mix_cross_faded() {
    let deaf = Deaf::new();
    let wave = |p: usize| (p as f32 * 0.01).sin() * 0.5;
    let song = [0, 1].map(|_| (0..40_000).map(wave).collect::<Vec<f32>>());
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    host.mixer.strips[5].gain_db = -20.0;
    host.mixer.strips[0].gain_db = -20.0;
    let mut at = 0;
    while at < 40_000 {
        if (at == 20_000) != host.mixer.bypassed && (at == 20_000 || at == 30_000) {
            host.mixer.bypassed = at == 20_000;
            host.touched = Touched::one(Control::BYPASS);
        }
        host.block([&song[0][at..at + 100], &song[1][at..at + 100]]);
        at += 100;
    }
    let out = &host.out.main[0];
    let steepest = |range: std::ops::Range<usize>| {
        out[range].windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    };
    assert_eq!(out[20_300..30_000], song[0][8_300..18_000], "bypassed it is the mix, bit by bit");
    assert!(
        (out[19_000] - 0.1 * song[0][7_000]).abs() < 1e-6
            && (out[31_000] - 0.1 * song[0][19_000]).abs() < 1e-6
    );
    assert!(steepest(12_001..40_000) < 0.5 * 0.01 + 0.5 / 256.0 + 1e-4, "no step");
}

#[test]
fn odd_samples_do_not_come_out() {
    let deaf = Deaf::new();
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 4.0, 1e-45, 0.25];
    let song = [0, 1].map(|_| odd.iter().copied().cycle().take(30_000).collect::<Vec<f32>>());
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    host.mixer.strips[0].gain_db = f32::NAN;
    host.mixer.strips[1].gain_db = f32::INFINITY;
    host.mixer.strips[5].gain_db = -30.0;
    host.play(&song, sizes(1, 512));
    let outs = host.out.main.iter().chain(host.out.stems.iter().flatten());
    assert!(outs.flatten().all(|s| *s == 0.0 || s.is_normal()));
    assert!(host.out.main[0][12_000..].iter().any(|&s| s != 0.0));
}

#[test]
fn after_a_reset_nothing_old_is_heard_and_the_mixer_is_where_it_is() {
    let deaf = Deaf::new();
    let song = song(30_000);
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    host.transport = Transport { playing: true, song_position_frames: Some(-4_800), ..Transport::default() };
    host.play(&song, sizes(1, 512));
    host.mixer.strips[5].gain_db = -120.0;
    host.mixer.strips[0].gain_db = -120.0;
    host.engine.reset();
    host.play(&song, sizes(2, 512));
    assert!(host.out.main[0][30_000..].iter().all(|&s| s == 0.0));
    host.mixer = rehearsekit_plugin_engine::Mixer::default();
    host.engine.reset();
    host.play(&song, sizes(3, 512));
    assert!(host.out.main[0][60_000..72_000].iter().all(|&s| s == 0.0));
    assert_eq!(host.out.main[0][72_000..], song[0][..18_000]);
}

#[test]
fn levels_are_what_is_heard() {
    let deaf = Deaf::new();
    let song = [vec![0.5; 30_000], vec![-0.25; 30_000]];
    let mut host = Host::new(deaf.settings(), AudioSetup::new(48_000, 512, false));
    host.mixer.strips.iter_mut().for_each(|strip| strip.gain_db = -6.0206);
    host.play(&song, || 512);
    let levels = host.instance.meters().take();
    let near = |a: [f32; 2], b: [f32; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(near(levels.input, [0.5, 0.25]) && near(levels.main, [0.25, 0.125]), "{levels:?}");
    assert!(near(levels.strips[5], [0.25, 0.125]) && levels.strips[0] == [0.0; 2], "{levels:?}");
    assert_eq!(host.instance.meters().take().main, [0.0; 2], "taken once");
}

#[test]
fn a_rate_that_no_server_takes_plays_the_mix_and_says_so() {
    let song = song(100_000);
    let mut host = Host::new(Settings::default(), AudioSetup::new(384_000, 512, false));
    host.play(&song, sizes(1, 512));
    assert_eq!(host.engine.latency_frames(), 96_000);
    assert_eq!(host.out.main[0][96_000..], song[0][..4_000]);
    let view = host.instance.view();
    assert_eq!(view.link, LinkView::Failed);
    assert!(view.sentence.contains("384000 Hz"), "{}", view.sentence);
}

#[test]
fn a_fingerprint_that_is_none_is_told() {
    let settings = Settings {
        trust: Trust::Fingerprint("what the server printed".to_owned()),
        ..Deaf::new().settings()
    };
    let mut host = Host::new(settings, AudioSetup::new(48_000, 512, false));
    host.block([&[0.5; 64], &[0.5; 64]]);
    assert_eq!(host.last, Status::Ok);
    let view = host.instance.view();
    assert_eq!(view.link, LinkView::Failed);
    assert!(view.sentence.contains("64 hexadecimal digits"), "{}", view.sentence);
    host.instance.configure(Settings { trust: Trust::Loopback, ..host.instance.settings() });
    // It is tried at once, whatever was said a moment ago.
    let link = host.instance.view().link;
    assert!(matches!(link, LinkView::Connecting | LinkView::Looking), "{link:?}");
}

#[test]
fn before_activation_there_is_nothing_but_the_latency() {
    let instance = Instance::new(Settings { budget_millis: 93.0, ..Settings::default() });
    let view = instance.view();
    assert_eq!((view.link, view.rate_hz, view.latency_frames), (LinkView::Idle, 0, 0));
    assert_eq!(instance.latency_frames(44_100), 4_101);
    instance.retry();
    instance.deactivate();
    instance.cancel_offline();
}
