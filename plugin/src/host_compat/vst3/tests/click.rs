//! The click in a VST3 host that tells all that the format can: sevenths with bar positions, a tempo that moves, jumps.
//! (Which of it DawDreamer can do is tested there.) What is true is said by an oracle that knows the song alone.

use std::ffi::c_void;

use nice_plug::prelude::Param;
use vst3::Steinberg::Vst::{
    IAudioProcessorTrait, IHostApplication, IHostApplicationTrait, ProcessContext,
    ProcessContext_::StatesAndFlags_, String128,
};
use vst3::Steinberg::{IPluginBaseTrait, TUID, kNotImplemented, kResultOk, tresult};
use vst3::{Class, ComWrapper};

use self::song::{Part, Song};
use super::host::{Changes, block};
use super::{LATENCY, main_class, start};
use crate::classes::{Main, RehearseKit};
use crate::host_compat::events::set_by_hand;
use crate::host_compat::vst3::class::Object;

/// The true tempo map of a song: the one that judges the click's own tests.
#[path = "../../../../../shared/playout/tests/click/song.rs"]
mod song;

const RATE: u32 = super::RATE_HZ as u32;
const KIND_GAINS: [f32; 3] = [0.35, 0.65, 1.0];

/// What a host does for a while: plays so many frames of the song from a frame on, or stands still.
type Deed = (Option<i64>, u64);

struct Stage {
    song: Song,
    says_bars: bool,
    automates: bool,
    /// What it tells is meant for what comes out meanwhile.
    is_ardour: bool,
}

impl Stage {
    fn context(&self, frame: Option<i64>) -> ProcessContext {
        let at = frame.unwrap_or(777) as f64;
        let beats = self.song.beats_at(at);
        let (bar_start, (numerator, denominator)) = self.song.bar_at(beats);
        // SAFETY: zero is a value of these numbers.
        let mut context: ProcessContext = unsafe { std::mem::zeroed() };
        #[allow(clippy::unnecessary_cast)] // another type on another platform
        {
            use StatesAndFlags_::*;
            context.state = (kTempoValid | kTimeSigValid | kProjectTimeMusicValid) as u32;
            context.state |= if self.says_bars { kBarPositionValid as u32 } else { 0 };
            context.state |= if frame.is_some() { kPlaying as u32 } else { 0 };
        }
        context.sampleRate = super::RATE_HZ;
        context.projectTimeSamples = at as i64;
        context.projectTimeMusic = beats;
        context.barPositionMusic = bar_start;
        context.tempo = self.song.bpm_at(at);
        (context.timeSigNumerator, context.timeSigDenominator) = (numerator as i32, denominator as i32);
        context
    }

    /// The clicks in the heard audio, from which the latency is taken: frames and kinds.
    fn play(&self, object: &Object<RehearseKit<Main>>, deeds: &[Deed], blocks: usize) -> Vec<(u64, usize)> {
        let latency = if self.is_ardour { 0 } else { LATENCY };
        // SAFETY: as a host calls it.
        unsafe { object.setProcessing(1) };
        let fader = object.table.id(1).unwrap();
        let mut out: Vec<f32> = Vec::new();
        for &(from, frames) in deeds.iter().chain([&(None, LATENCY as u64)]) {
            let mut done = 0;
            while done < frames {
                // Of one size, or of many: 0 stands for those.
                let size = if blocks > 0 { blocks } else { 1 + out.len() * 31 % 1_999 };
                let count = (size as u64).min(frames - done);
                let silence = [0, 1].map(|_| vec![0.0; count as usize]);
                let mut context = self.context(from.map(|from| from + done as i64));
                let moved = [(count as i32 / 3, 0.25), (count as i32 / 2, 0.5)];
                let changes = self.automates.then(|| Changes::new(fader, &moved));
                let [left, right] = block(object, &silence, changes.as_ref(), Some(&mut context));
                assert!(left == right);
                out.extend(left);
                done += count;
            }
        }
        assert!(out[..latency].iter().all(|sample| *sample == 0.0), "a click before its time");
        let heard = out[latency..].iter().enumerate().filter(|(_, sample)| **sample != 0.0);
        let kind =
            |sample: f32| KIND_GAINS.iter().position(|gain| *gain == sample).expect("no click, or two");
        heard.map(|(at, &sample)| (at as u64, kind(sample))).collect()
    }

    /// Every click within half a frame of its beat, and `tolerance`, in blocks of any size; none lost, none doubled.
    fn check(&self, deeds: &[Deed], tolerance: f64) {
        let mut truth = Vec::new();
        let mut position = 0.0;
        for &(from, frames) in deeds {
            if let Some(from) = from {
                let (first, end) = (from as f64 - 0.5, from as f64 + frames as f64 - 0.5);
                let ticks = self.song.ticks(first, end, |_| 1).into_iter();
                truth.extend(ticks.map(|(at, kind)| (position + at - from as f64, kind)));
            }
            position += frames as f64;
        }
        let object = clicking(self.is_ardour.then_some("Ardour"));
        for blocks in [64, 512, 2_048, 0] {
            let heard = self.play(&object, deeds, blocks);
            for ((frame, kind), (at, expected)) in heard.iter().zip(&truth) {
                let is_right = (*frame as f64 - at).abs() <= 0.5 + tolerance && kind == expected;
                assert!(is_right, "blocks of {blocks}: {kind} at {frame}, a beat of kind {expected} at {at}");
            }
            assert_eq!(heard.len(), truth.len(), "blocks of {blocks}");
        }
    }
}

/// A plugin whose click is one sample, which tells its kind.
fn clicking(host: Option<&str>) -> ComWrapper<Object<RehearseKit<Main>>> {
    let object = main_class();
    if let Some(name) = host {
        let application =
            ComWrapper::new(Application(name.to_owned())).to_com_ptr::<IHostApplication>().unwrap();
        // SAFETY: as a host calls it.
        assert_eq!(unsafe { object.initialize(application.as_ptr().cast()) }, kResultOk);
    }
    let file =
        std::env::temp_dir().join(format!("rehearsekit-click-{}-{:p}.wav", std::process::id(), &*object));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&file, spec).unwrap();
    writer.write_sample(1.0f32).unwrap();
    writer.finalize().unwrap();
    object.shared.change_settings(|settings| settings.click_file = Some(file.clone()));
    let click = &object.shared.params.click;
    for pointer in [click.mode.as_ptr(), click.sound.as_ptr()] {
        let index = object.shared.pointers().iter().position(|known| *known == pointer).unwrap();
        set_by_hand(&object.shared, index, 1.0);
    }
    start(&*object);
    std::fs::remove_file(file).unwrap();
    object
}

/// A host that has a name.
struct Application(String);

impl Class for Application {
    type Interfaces = (IHostApplication,);
}

impl IHostApplicationTrait for Application {
    unsafe fn getName(&self, name: *mut String128) -> tresult {
        // SAFETY: the plugin gives a place to write to.
        let name = unsafe { &mut *name };
        name.iter_mut().zip(self.0.encode_utf16()).for_each(|(to, unit)| *to = unit);
        kResultOk
    }

    unsafe fn createInstance(&self, _: *mut TUID, _: *mut TUID, _: *mut *mut c_void) -> tresult {
        kNotImplemented
    }
}

fn part(frames: f64, bpm: [f64; 2]) -> Part {
    Part { frames, bpm }
}

#[test]
fn in_sevens_and_where_the_meter_changes() {
    let meters = vec![(0.0, (4, 4)), (8.0, (7, 8)), (15.0, (3, 4)), (18.0, (7, 8)), (21.5, (4, 4))];
    for says_bars in [true, false] {
        let song = Song::steady(RATE, 150.0, (7, 8));
        Stage { song, says_bars, automates: false, is_ardour: false }.check(&[(Some(0), 300_000)], 2e-3);
        let song = Song { meters: meters.clone(), ..Song::steady(RATE, 133.0, (4, 4)) };
        Stage { song, says_bars, automates: true, is_ardour: false }.check(&[(Some(0), 600_000)], 2e-3);
    }
    // A playhead within a bar that does not begin where sevens from the start would: only its bar position tells.
    let song = Song { meters: vec![(0.0, (3, 4)), (9.0, (7, 8))], ..Song::steady(RATE, 133.0, (3, 4)) };
    let from = song.frame_of(13.0) as i64;
    Stage { song, says_bars: true, automates: false, is_ardour: false }.check(&[(Some(from), 300_000)], 2e-3);
}

#[test]
fn where_the_tempo_moves_and_a_fader_does_too() {
    let parts = vec![
        part(70_001.0, [100.0, 100.0]),
        part(100_003.0, [100.0, 180.0]),
        part(50_021.0, [180.0, 180.0]),
        part(90_005.0, [75.0, 75.0]),
        part(60_007.0, [75.0, 140.0]),
        part(80_000.0, [140.0, 140.0]),
    ];
    for automates in [false, true] {
        let song = Song { rate_hz: RATE, parts: parts.clone(), meters: vec![(0.0, (4, 4))] };
        Stage { song, says_bars: true, automates, is_ardour: false }.check(&[(Some(0), 440_000)], 0.01);
    }
}

#[test]
fn where_the_playhead_jumps() {
    let parts =
        vec![part(88_200.0, [120.0, 120.0]), part(88_200.0, [120.0, 150.0]), part(9e9, [150.0, 150.0])];
    let song = Song { rate_hz: RATE, parts, meters: vec![(0.0, (4, 4))] };
    let deeds = [
        (Some(0), 100_000),
        (Some(0), 88_200),
        (Some(0), 88_200),
        (Some(140_001), 77_777),
        (None, 33_333),
        (Some(22_050), 30_000),
        (Some(44_099), 30_000),
        (Some(-30_000), 60_000),
    ];
    Stage { song, says_bars: true, automates: false, is_ardour: false }.check(&deeds, 0.01);
}

/// Ardour plays a track's audio a latency early, and tells the time of what comes out: seen in its export, where the
/// click was late by the latency.
#[test]
fn in_ardour_which_tells_the_time_of_what_comes_out() {
    for meter in [(4, 4), (7, 8)] {
        let song = Song::steady(RATE, 133.0, meter);
        let stage = Stage { song, says_bars: false, automates: true, is_ardour: true };
        stage.check(&[(None, 5_000), (Some(-5_000), 300_000), (Some(90_000), 100_000)], 2e-3);
    }
}
