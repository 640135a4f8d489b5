//! The audio thread allocates nothing: an allocator that counts, and one test alone in its process.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use rehearsekit_playout::{MixSlot, Playout, StemGains, StemSlot};

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
