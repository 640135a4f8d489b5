//! However `process()` ends, no output keeps what lay in it before: neither where it plays nor where it refuses, nor in
//! channels and buses that nobody agreed on.

use clap_sys::audio_buffer::clap_audio_buffer;
use clap_sys::ext::render::{CLAP_EXT_RENDER, CLAP_RENDER_OFFLINE, CLAP_RENDER_REALTIME, clap_plugin_render};
use clap_sys::process::{CLAP_PROCESS_CONTINUE, CLAP_PROCESS_ERROR, clap_process};

use super::{Desk, LATENCY};
use crate::host_compat::buses::MAX_OUTPUTS;

const FRAMES: usize = 96;
/// What lies in every output before.
const LEFT_OVER: f64 = 0.5;

/// One block into outputs of these numbers of channels; what is in them afterwards, as 64 bits.
fn play(desk: &Desk, outputs: &[usize], bits: usize) -> (i32, Vec<f64>) {
    let mut input = vec![0.25_f32; FRAMES];
    let mut inputs = [input.as_mut_ptr(); 2];
    let count: usize = outputs.iter().sum();
    let mut narrow = vec![[LEFT_OVER as f32; FRAMES]; count];
    let mut wide = vec![[LEFT_OVER; FRAMES]; count];
    let mut narrow_pointers: Vec<*mut f32> = narrow.iter_mut().map(|channel| channel.as_mut_ptr()).collect();
    let mut wide_pointers: Vec<*mut f64> = wide.iter_mut().map(|channel| channel.as_mut_ptr()).collect();
    let bus = |data32, data64, channels| clap_audio_buffer {
        data32,
        data64,
        channel_count: channels as u32,
        latency: 0,
        constant_mask: 3,
    };
    let nowhere = std::ptr::null_mut::<*mut f32>();
    let input_bus = bus(inputs.as_mut_ptr(), std::ptr::null_mut(), 2);
    let mut at = 0;
    let mut buses: Vec<clap_audio_buffer> = outputs
        .iter()
        .map(|&channels| {
            let (narrow, wide) = (narrow_pointers[at..].as_mut_ptr(), wide_pointers[at..].as_mut_ptr());
            at += channels;
            if bits == 64 {
                bus(nowhere, wide, channels)
            } else {
                bus(narrow, std::ptr::null_mut(), channels)
            }
        })
        .collect();
    let block = clap_process {
        steady_time: -1,
        frames_count: FRAMES as u32,
        transport: std::ptr::null(),
        audio_inputs: &input_bus,
        audio_outputs: buses.as_mut_ptr(),
        audio_inputs_count: 1,
        audio_outputs_count: buses.len() as u32,
        in_events: std::ptr::null(),
        out_events: std::ptr::null(),
    };
    // SAFETY: everything in it lives until the call is over.
    let status = unsafe { (*desk.plugin).process.unwrap()(desk.plugin, &block) };
    assert!(buses.iter().all(|bus| bus.constant_mask == 0), "declared constant");
    let narrow = narrow.iter().flatten().map(|sample| f64::from(*sample));
    (status, if bits == 64 { wide.concat() } else { narrow.collect() })
}

fn assert_silent((status, samples): (i32, Vec<f64>), expected: i32) {
    assert_eq!(status, expected);
    assert!(samples.iter().all(|sample| *sample == 0.0), "an output was not written");
}

fn set_mode(desk: &Desk, mode: i32) -> bool {
    // SAFETY: as a host calls it.
    unsafe { desk.extension::<clap_plugin_render>(CLAP_EXT_RENDER).set.unwrap()(desk.plugin, mode) }
}

#[test]
fn a_refused_block_is_silent() {
    let desk = Desk::new();
    let all = [2; MAX_OUTPUTS];
    assert_silent(play(&desk, &all, 32), CLAP_PROCESS_ERROR);
    desk.activate();
    {
        // Another thread of the host is in there.
        let _busy = desk.object().audio.lock().unwrap();
        assert_silent(play(&desk, &all, 32), CLAP_PROCESS_ERROR);
    }
    // Nobody agreed on 64 bits.
    assert_silent(play(&desk, &all, 64), CLAP_PROCESS_CONTINUE);
    // More channels than stereo, and more buses than there are.
    assert_silent(play(&desk, &[4, 2, 3, 2, 2, 2, 2, 2, 2, 6], 32), CLAP_PROCESS_CONTINUE);
    desk.deactivate();
    assert_silent(play(&desk, &all, 32), CLAP_PROCESS_ERROR);
}

/// A bounce without a server cannot be exact, says so, and is silent; when it is over, there is music again.
#[test]
fn the_mode_is_followed_while_active_and_a_failed_bounce_is_silent() {
    let desk = Desk::new();
    // Nobody is asked there: it is not trusted.
    desk.object().shared.change_settings(|settings| settings.server = Some("192.0.2.1:7433".to_owned()));
    desk.activate();
    assert!(!set_mode(&desk, 7), "there is no such mode");
    for _ in 0..2 {
        assert!(set_mode(&desk, CLAP_RENDER_OFFLINE));
        let failed = (0..1_000).position(|_| {
            let (status, samples) = play(&desk, &[2; MAX_OUTPUTS], 32);
            // The first latency of a bounce is silence as well.
            assert!(samples.iter().all(|sample| *sample == 0.0));
            status == CLAP_PROCESS_ERROR
        });
        assert!(failed.is_some(), "it went on without a server");
        assert_silent(play(&desk, &[2; MAX_OUTPUTS], 32), CLAP_PROCESS_ERROR);
        assert!(set_mode(&desk, CLAP_RENDER_REALTIME));
        let heard = (0..LATENCY / FRAMES + 2).any(|_| {
            let (status, samples) = play(&desk, &[2; MAX_OUTPUTS], 32);
            assert_eq!(status, CLAP_PROCESS_CONTINUE);
            samples.contains(&0.25)
        });
        assert!(heard, "it is live again");
    }
    assert_eq!(desk.noticed.restarts.load(std::sync::atomic::Ordering::Relaxed), 0);
    // Set while it is not active, it counts for the next activation, and the other way round.
    assert!(set_mode(&desk, CLAP_RENDER_OFFLINE));
    desk.deactivate();
    desk.activate();
    assert!(desk.object().shared.setup().unwrap().offline);
    desk.deactivate();
    assert!(set_mode(&desk, CLAP_RENDER_REALTIME));
    desk.activate();
    assert!(!desk.object().shared.setup().unwrap().offline);
    desk.deactivate();
}
