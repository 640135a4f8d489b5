//! The audio thread allocates nothing, live or in an offline render, nor when it goes from one to the other: an allocator
//! that counts, and one test alone in its process.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use common::{Deaf, noise, sizes};
use rehearsekit_plugin_engine::{
    AudioSetup, Block, Control, Instance, Mixer, PartMode, STRIPS, Status, Touched, Transport,
};

thread_local! {
    /// Of this thread alone: the network allocates as it likes.
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

#[test]
fn process_and_reset_allocate_nothing() {
    let before = CALLS.get();
    assert_eq!(vec![1u8; 100].len(), 100);
    assert_eq!(CALLS.get() - before, 2, "the counter counts");

    let deaf = Deaf::new();
    let instance = Instance::new(deaf.settings());
    let setup = AudioSetup::new(48_000, 1_024, false);
    let mut engine = instance.activate(AudioSetup { offline_patience: Duration::from_millis(1), ..setup });
    let mut size = sizes(7, 5_000);
    let mut buffers = vec![[vec![0.0f32; 5_000], vec![0.0f32; 5_000]]; STRIPS + 1];
    let mut mixer = Mixer::default();
    let (mut position, mut failed) = (0i64, 0);
    for n in 0..3_000u64 {
        let frames = size();
        for (p, sample) in buffers[0].iter_mut().flat_map(|c| &mut c[..frames]).enumerate() {
            *sample = noise(n, p as u64);
        }
        // Automation in every block, gestures in some, jumps, stops, a reset now and then.
        for (strip, values) in mixer.strips.iter_mut().enumerate() {
            values.gain_db = 20.0 * noise(strip as u64, n);
            values.muted = noise(99 + strip as u64, n) > 0.5;
            values.soloed = noise(199 + strip as u64, n) > 0.8;
            values.pan = noise(299 + strip as u64, n);
        }
        mixer.master_db = 10.0 * noise(1, n);
        mixer.wetness = noise(2, n).abs();
        mixer.part = [PartMode::All, PartMode::WithoutMine, PartMode::OnlyMine][n as usize / 5 % 3];
        mixer.bypassed = n % 50 == 0;
        let touched =
            if n % 7 == 0 { Touched::one(Control::gain(n as usize % STRIPS)) } else { Touched::NONE };
        position = if n % 11 == 0 { -5_000 } else { position + frames as i64 };
        let transport = Transport {
            playing: n % 13 != 0,
            song_position_frames: (n % 17 != 0).then_some(position),
            ..Transport::default()
        };
        let [main, stems @ ..] = &mut buffers[..] else { unreachable!() };
        let [left, right] = main;
        let [a, b, c, d, e, f] = stems else { unreachable!() };
        let mut stems = [a, b, c, d, e, f].map(|[l, r]| [&mut l[..frames], &mut r[..frames]]);
        let block = Block {
            main: [&mut left[..frames], &mut right[..frames]],
            stems: if n % 2 == 0 { &mut stems } else { &mut [] },
            transport,
            mixer: &mixer,
            touched,
        };
        let before = CALLS.get();
        let status = engine.process(block);
        if n % 500 == 499 {
            engine.reset();
        }
        if n % 300 == 250 {
            engine.enter(true);
        } else if n % 300 == 299 {
            engine.enter(false);
        }
        assert_eq!(CALLS.get() - before, 0, "in block {n}");
        assert!(status == Status::Ok || n % 300 > 250, "block {n} is live");
        failed += u64::from(status != Status::Ok);
    }
    assert!(failed > 0, "nothing can come of a bounce here");
}
