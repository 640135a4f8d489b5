//! The audio thread allocates nothing: an allocator that counts, and tests alone in their process.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use rehearsekit_audio::{
    Audio, SampleRate,
    click::{BeatTransport, ClickMode, ClickSound, ClickSource, ClickValues, Subdivision},
};
use rehearsekit_playout::{ClickTrack, MixSlot, Playout, StemGains, StemSlot};

thread_local! {
    /// Of this thread alone: what the test harness does meanwhile is none of our business.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and passes on")]
// SAFETY: every call goes unchanged to the system's allocator, which keeps the trait's contract; counting
// touches nothing but a thread-local number that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: `pointer` came from `System` with this `layout`, through `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and deallocations while `f` runs.
fn calls_in<T>(f: impl FnOnce() -> T) -> (u64, T) {
    let before = CALLS.get();
    let result = f();
    (CALLS.get() - before, result)
}

#[test]
fn nothing_on_the_audio_thread_allocates() {
    let (calls, kept) = calls_in(|| vec![1u8; 100]);
    assert_eq!((calls, kept.len()), (1, 100), "the counter counts");

    let mix = common::noise_mix(40_000);
    let slots = common::slots(40_000);
    let (mut producer, mut consumer) = rtrb::RingBuffer::<StemSlot>::new(64);
    let (mut mix_ring, _mix_consumer) = rtrb::RingBuffer::<MixSlot>::new(1_024);
    let mut playout = Playout::new(common::config(4_800, 6, 2));
    let mut gains = [StemGains::default(); 6];
    let mut stems = vec![[vec![0.0f32; 1_024], vec![0.0; 1_024]]; 6];
    let [mut left, mut right] = [vec![0.0f32; 1_024], vec![0.0; 1_024]];

    let mut played = 0;
    while played + 1_024 <= 40_000 {
        let block = 1 + (played * 31) % 1_024;
        let [a, b, c, d, e, f] = &mut stems[..] else { unreachable!() };
        let mut out = [a, b, c, d, e, f].map(|[l, r]| [&mut l[..block], &mut r[..block]]);
        gains[1].muted = played % 3 == 0;
        gains[2].soloed = played % 5 == 0;
        let (calls, ()) = calls_in(|| {
            // Every seventh is lost, every third comes far too late, one is nonsense, one waits in the ring.
            for (i, slot) in slots.iter().enumerate().filter(|(i, _)| i % 7 != 0) {
                let due = slot.position as usize + if i % 3 == 0 { 6_000 } else { 1_000 };
                if (played..played + block).contains(&due) && (i % 2 == 0 || producer.push(*slot).is_err()) {
                    playout.push_slot(slot);
                }
            }
            playout.push_slot(&StemSlot { position: u64::MAX, ..slots[0] });
            playout.take_from(&mut consumer);
            let input = common::part(&mix, played, played + block);
            for slot in MixSlot::cut(playout.position(), 0, -5, input) {
                let _ = mix_ring.push(slot);
            }
            playout.process(input, &gains, &mut out, [&mut left[..block], &mut right[..block]]);
            playout.is_ready(block);
            if played > 30_000 {
                playout.reset();
            }
        });
        assert_eq!(calls, 0, "in the block at {played}");
        played += block;
    }
    let counts = playout.counters().read();
    assert!(counts.underruns > 50 && counts.late > 20 && counts.refused > 30, "{counts:?}");
}

#[test]
fn nothing_in_the_click_allocates() {
    let (mut track, mut sounds) = ClickTrack::new(SampleRate::HZ_48000, 24_000);
    let [mut left, mut right] = [vec![0.0f32; 1_024], vec![0.0; 1_024]];
    let mut struck = 0;
    let mut position = 0;
    for n in 0..8_000u64 {
        // A tempo that moves, jumps, stops, meters and sounds that change, more anchors than there is room for.
        let frames = if n > 4_000 { 1 + n % 4 } else { 1 + (n * 31) % 1_024 };
        let bpm = 240.0 + 120.0 * f64::from(common::noise(3, n / 40));
        let song = if n % 97 == 0 { 7 } else { position as i64 - 50_000 };
        let transport = BeatTransport {
            playing: n % 211 > 5,
            song_position_frames: (n % 13 != 0 || n < 4_000).then_some(song),
            pre_roll: n % 300 < 50,
            tempo_bpm: (n % 501 != 0).then_some(bpm),
            beats: Some(song as f64 * bpm / 2_880_000.0),
            bar_start_beats: None,
            time_signature: Some([(4, 4), (7, 8), (0, 9)][n as usize / 700 % 3]),
            is_carried: n % 5 == 0,
        };
        let values = ClickValues {
            mode: [ClickMode::On, ClickMode::CountIn, ClickMode::On][n as usize / 100 % 3],
            level_db: -6.0,
            sound: (n / 64 % 4) as u8,
            subdivision: [Subdivision::Sixteenths, Subdivision::Triplets][n as usize / 50 % 2],
            source: if n % 900 < 700 { ClickSource::Host } else { ClickSource::Own },
            ..ClickValues::default()
        };
        if n % 50 == 0 {
            let sound = Audio::new(SampleRate::HZ_48000, vec![vec![0.5; 90_000]]).unwrap();
            // Where there is no room yet it comes next time.
            let _ = sounds.set((n % 100 == 0).then(|| ClickSound::new(sound).unwrap()));
        }
        let [left, right] = [&mut left[..frames as usize], &mut right[..frames as usize]];
        let (calls, ()) = calls_in(|| {
            track.receive(position, &transport);
            let (first, second) = left.split_at_mut(frames as usize / 2);
            let (other, another) = right.split_at_mut(frames as usize / 2);
            track.render(position, &values, [&mut *first, &mut *other]);
            track.render(position + frames / 2, &values, [&mut *second, &mut *another]);
            if n % 3_000 == 2_999 {
                track.reset();
            }
        });
        assert_eq!(calls, 0, "in block {n}");
        struck += usize::from(left.iter().any(|sample| *sample != 0.0));
        position += frames;
    }
    assert!(struck > 1_000, "{struck} blocks with a sound");
}
