//! The CLAP object driven as hosts drive it, through its functions. Each test fails without the work-around it
//! names. The engine plays the mix at its latency, since there is no server here.

mod state;
mod unwritten;

use std::ffi::{CStr, c_char, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use clap_sys::audio_buffer::clap_audio_buffer;
use clap_sys::events::{
    CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_GESTURE_BEGIN, CLAP_EVENT_PARAM_GESTURE_END,
    CLAP_EVENT_PARAM_VALUE, clap_event_header, clap_event_param_value, clap_input_events, clap_output_events,
};
use clap_sys::ext::latency::{CLAP_EXT_LATENCY, clap_host_latency, clap_plugin_latency};
use clap_sys::ext::params::{CLAP_EXT_PARAMS, clap_host_params, clap_plugin_params};
use clap_sys::ext::tail::{CLAP_EXT_TAIL, clap_plugin_tail};
use clap_sys::host::clap_host;
use clap_sys::plugin::clap_plugin;
use clap_sys::process::{CLAP_PROCESS_CONTINUE, CLAP_PROCESS_ERROR, clap_process};
use clap_sys::version::CLAP_VERSION;

use nice_plug::prelude::ClapPlugin;

use super::plugin::{Object, create};
use crate::classes::{RehearseKit, Stems};
use crate::host_compat::denormals::are_flushed;
use crate::host_compat::denormals::probe::{Probe, SEEN};
use crate::host_compat::events::set_by_hand;
use crate::shared::News;

/// 250 ms at 44.1 kHz.
const LATENCY: usize = 11_025;

/// What a host notices.
#[derive(Default)]
struct Noticed {
    activating: AtomicBool,
    changed_inside: AtomicU32,
    changed_outside: AtomicU32,
    restarts: AtomicU32,
    flushes: AtomicU32,
}

/// A host and one plugin in it.
struct Desk {
    plugin: *const clap_plugin,
    noticed: Box<Noticed>,
    /// As many events are taken from it in one block.
    room: std::cell::Cell<usize>,
    _host: Box<clap_host>,
}

unsafe fn noticed<'a>(host: *const clap_host) -> &'a Noticed {
    // SAFETY: `Desk::new` put it there.
    unsafe { &*(*host).host_data.cast() }
}

unsafe extern "C" fn latency_changed(host: *const clap_host) {
    // SAFETY: our own host.
    let noticed = unsafe { noticed(host) };
    let inside = noticed.activating.load(Ordering::Relaxed);
    let counter = if inside { &noticed.changed_inside } else { &noticed.changed_outside };
    counter.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn request_restart(host: *const clap_host) {
    // SAFETY: our own host.
    unsafe { noticed(host) }.restarts.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn request_flush(host: *const clap_host) {
    // SAFETY: our own host.
    unsafe { noticed(host) }.flushes.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn nothing(_host: *const clap_host) {}
unsafe extern "C" fn rescan(_host: *const clap_host, _flags: u32) {}
unsafe extern "C" fn clear(_host: *const clap_host, _id: u32, _flags: u32) {}

static HOST_LATENCY: clap_host_latency = clap_host_latency { changed: Some(latency_changed) };
static HOST_PARAMS: clap_host_params =
    clap_host_params { rescan: Some(rescan), clear: Some(clear), request_flush: Some(request_flush) };

unsafe extern "C" fn host_extension(_host: *const clap_host, id: *const c_char) -> *const c_void {
    // SAFETY: the plugin passes a string.
    match unsafe { CStr::from_ptr(id) } {
        id if id == CLAP_EXT_LATENCY => (&raw const HOST_LATENCY).cast(),
        id if id == CLAP_EXT_PARAMS => (&raw const HOST_PARAMS).cast(),
        _ => std::ptr::null(),
    }
}

impl Desk {
    fn new() -> Self {
        Self::of::<RehearseKit<Stems>>()
    }

    fn of<P: ClapPlugin>() -> Self {
        let noticed = Box::<Noticed>::default();
        let host = Box::new(clap_host {
            clap_version: CLAP_VERSION,
            host_data: (&raw const *noticed).cast_mut().cast(),
            name: c"test".as_ptr(),
            vendor: c"".as_ptr(),
            url: c"".as_ptr(),
            version: c"".as_ptr(),
            get_extension: Some(host_extension),
            request_restart: Some(request_restart),
            request_process: Some(nothing),
            request_callback: Some(nothing),
        });
        // SAFETY: the host lives as long as the desk; a new plugin is initialised first.
        let plugin = unsafe {
            let plugin = create::<P>(&*host);
            assert!((*plugin).init.unwrap()(plugin));
            plugin
        };
        Self { plugin, noticed, room: std::cell::Cell::new(usize::MAX), _host: host }
    }

    fn object(&self) -> &Object {
        // SAFETY: the plugin lives as long as the desk.
        unsafe { Object::of(self.plugin) }.unwrap()
    }

    fn extension<T>(&self, id: &CStr) -> &T {
        // SAFETY: the plugin lives as long as the desk, and callers name the right type.
        unsafe { &*(*self.plugin).get_extension.unwrap()(self.plugin, id.as_ptr()).cast::<T>() }
    }

    fn activate(&self) {
        self.noticed.activating.store(true, Ordering::Relaxed);
        // SAFETY: as a host calls it.
        unsafe { assert!((*self.plugin).activate.unwrap()(self.plugin, 44_100.0, 1, 512)) };
        self.noticed.activating.store(false, Ordering::Relaxed);
        // SAFETY: as a host calls it.
        unsafe { assert!((*self.plugin).start_processing.unwrap()(self.plugin)) };
    }

    fn deactivate(&self) {
        // SAFETY: as a host calls it.
        unsafe {
            (*self.plugin).stop_processing.unwrap()(self.plugin);
            (*self.plugin).deactivate.unwrap()(self.plugin);
        }
    }

    fn latency(&self) -> u32 {
        // SAFETY: as a host calls it.
        unsafe { self.extension::<clap_plugin_latency>(CLAP_EXT_LATENCY).get.unwrap()(self.plugin) }
    }

    /// Plays both channels of `input` into as many output buses as asked for, the main one first.
    fn play(&self, input: &mut [Vec<f32>; 2], buses: usize, events: &[clap_event_param_value]) -> Played {
        let frames = input[0].len();
        let mut memory = vec![[vec![0.5_f32; frames], vec![0.5_f32; frames]]; buses];
        let mut inputs = input.each_mut().map(Vec::as_mut_ptr);
        let mut pointers: Vec<_> = memory.iter_mut().map(|bus| bus.each_mut().map(Vec::as_mut_ptr)).collect();
        let input_bus = bus(&mut inputs);
        let mut outputs: Vec<clap_audio_buffer> = pointers.iter_mut().map(bus).collect();
        let given = clap_input_events {
            ctx: (&raw const events).cast_mut().cast::<c_void>(),
            size: Some(count),
            get: Some(event),
        };
        let told = Told { events: Mutex::new(Vec::new()), room: self.room.get() };
        let out = clap_output_events { ctx: (&raw const told).cast_mut().cast(), try_push: Some(push) };
        let block = clap_process {
            steady_time: -1,
            frames_count: frames as u32,
            transport: std::ptr::null(),
            audio_inputs: &input_bus,
            audio_outputs: outputs.as_mut_ptr(),
            audio_inputs_count: 1,
            audio_outputs_count: buses as u32,
            in_events: &given,
            out_events: &out,
        };
        // SAFETY: everything in it lives until the call is over.
        let status = unsafe { (*self.plugin).process.unwrap()(self.plugin, &block) };
        Played { status, main: memory.swap_remove(0), told: told.events.into_inner().unwrap() }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // SAFETY: as a host calls it, once.
        unsafe { (*self.plugin).destroy.unwrap()(self.plugin) };
    }
}

struct Played {
    status: i32,
    main: [Vec<f32>; 2],
    told: Vec<u16>,
}

fn bus(channels: &mut [*mut f32; 2]) -> clap_audio_buffer {
    clap_audio_buffer {
        data32: channels.as_mut_ptr(),
        data64: std::ptr::null_mut(),
        channel_count: 2,
        latency: 0,
        constant_mask: 3,
    }
}

/// What `play` was given.
unsafe fn given<'a>(list: *const clap_input_events) -> &'a [clap_event_param_value] {
    // SAFETY: `play` put the events there.
    unsafe { *(*list).ctx.cast::<&[clap_event_param_value]>() }
}

unsafe extern "C" fn count(list: *const clap_input_events) -> u32 {
    // SAFETY: a list of `play`.
    unsafe { given(list) }.len() as u32
}

unsafe extern "C" fn event(list: *const clap_input_events, index: u32) -> *const clap_event_header {
    // SAFETY: a list of `play`.
    (&raw const unsafe { given(list) }[index as usize]).cast()
}

/// What the plugin tells, in a list with so much room.
struct Told {
    events: Mutex<Vec<u16>>,
    room: usize,
}

unsafe extern "C" fn push(list: *const clap_output_events, event: *const clap_event_header) -> bool {
    // SAFETY: `play` put the list there.
    let told = unsafe { &*(*list).ctx.cast::<Told>() };
    let mut events = told.events.lock().unwrap();
    let fits = events.len() < told.room;
    if fits {
        // SAFETY: the plugin's event.
        events.push(unsafe { (*event).type_ });
    }
    fits
}

fn value(id: u32, time: u32, value: f64) -> clap_event_param_value {
    clap_event_param_value {
        header: clap_event_header {
            size: size_of::<clap_event_param_value>() as u32,
            time,
            space_id: CLAP_CORE_EVENT_SPACE_ID,
            type_: CLAP_EVENT_PARAM_VALUE,
            flags: 0,
        },
        param_id: id,
        cookie: std::ptr::null_mut(),
        note_id: -1,
        port_index: -1,
        channel: -1,
        key: -1,
        value,
    }
}

fn ramp(frames: usize) -> [Vec<f32>; 2] {
    let channel = |sign: f32| (1..=frames).map(|frame| sign * frame as f32 / 65_536.0).collect();
    [channel(1.0), channel(-1.0)]
}

#[test]
fn fewer_buses_than_declared_are_completed() {
    let desk = Desk::new();
    desk.activate();
    for buses in [1, 3, 8] {
        // SAFETY: as a host calls it.
        unsafe { (*desk.plugin).reset.unwrap()(desk.plugin) };
        let mut input = ramp(2 * LATENCY);
        let played = desk.play(&mut input, buses, &[]);
        assert_eq!(played.status, CLAP_PROCESS_CONTINUE);
        for (input, output) in input.iter().zip(&played.main) {
            assert!(output[..LATENCY].iter().all(|x| *x == 0.0));
            assert_eq!(output[LATENCY..], input[..LATENCY]);
        }
    }
    desk.deactivate();
    assert_eq!(desk.play(&mut ramp(64), 8, &[]).status, CLAP_PROCESS_ERROR, "not active any more");
}

#[test]
fn the_latency_changes_inside_of_activate_and_nowhere_else() {
    let desk = Desk::new();
    desk.activate();
    let noticed = &desk.noticed;
    assert_eq!(desk.latency(), LATENCY as u32);
    let tail = desk.extension::<clap_plugin_tail>(CLAP_EXT_TAIL);
    // SAFETY: as a host calls it.
    assert_eq!(unsafe { tail.get.unwrap()(desk.plugin) }, LATENCY as u32, "what is under way comes out");
    desk.object().shared.change_settings(|settings| settings.budget_millis = 100.0);
    desk.object().shared.tell(News::Settings);
    assert_eq!(noticed.restarts.load(Ordering::Relaxed), 1);
    assert_eq!(desk.latency(), LATENCY as u32, "an active plugin keeps its latency");
    desk.deactivate();
    desk.activate();
    assert_eq!(desk.latency(), 4_410);
    assert_eq!(noticed.changed_inside.load(Ordering::Relaxed), 1);
    desk.deactivate();
    desk.activate();
    assert_eq!(noticed.changed_inside.load(Ordering::Relaxed), 1, "nothing new");
    assert_eq!(noticed.changed_outside.load(Ordering::Relaxed), 0);
    assert_eq!(noticed.restarts.load(Ordering::Relaxed), 1);
    desk.deactivate();
}

#[test]
fn a_parameter_beyond_the_last_is_refused() {
    let desk = Desk::new();
    let params = desk.extension::<clap_plugin_params>(CLAP_EXT_PARAMS);
    // SAFETY: as a host that counts too far calls it.
    unsafe {
        let mut info = std::mem::zeroed();
        let count = params.count.unwrap()(desk.plugin);
        assert!(params.get_info.unwrap()(desk.plugin, count - 1, &mut info));
        assert!(!params.get_info.unwrap()(desk.plugin, count, &mut info));
    }
}

#[test]
fn an_event_behind_the_end_of_the_block_is_taken_for_its_last_frame() {
    let desk = Desk::new();
    desk.activate();
    let id = desk.object().after_init.get().unwrap().table.id(1).unwrap();
    let events = [value(id, 3, 0.0), value(id, 900, 0.875)];
    let mut input = ramp(64);
    assert_eq!(desk.play(&mut input, 8, &events).status, CLAP_PROCESS_CONTINUE);
    assert_eq!(desk.object().shared.params.vocals.gain.value(), 0.0);
    desk.deactivate();
}

#[test]
fn more_changes_than_any_list_holds_are_all_applied_and_a_gesture_is_not_mistaken_for_one() {
    let desk = Desk::new();
    desk.activate();
    let object = desk.object();
    let table = &object.after_init.get().unwrap().table;
    let (gain, mute) = (table.id(1).unwrap(), table.id(2).unwrap());
    let mut events: Vec<_> = (0..3_000).map(|n| value(gain, n % 512, f64::from(n % 8) / 8.0)).collect();
    events.push(value(gain, 511, 0.5));
    events.push(value(mute, 511, 1.0));
    assert_eq!(desk.play(&mut ramp(512), 8, &events).status, CLAP_PROCESS_CONTINUE);
    assert_eq!(object.shared.params.vocals.gain.value(), -36.0);
    assert!(object.shared.params.vocals.mute.value());
    // This host sends nothing back: what it says is its own.
    for moved in [0.25, 0.75] {
        set_by_hand(&object.shared, 1, moved);
    }
    desk.play(&mut ramp(64), 8, &[value(gain, 0, 0.25)]);
    assert_eq!(object.shared.params.vocals.gain.value(), -60.0);
    desk.deactivate();
}

#[test]
fn denormals_are_zero_while_a_block_is_played_and_the_host_has_its_own_again() {
    let desk = Desk::of::<RehearseKit<Probe>>();
    desk.activate();
    assert!(!are_flushed());
    desk.play(&mut ramp(512), 1, &[]);
    assert_eq!(SEEN.take(), Some(true));
    assert!(!are_flushed());
    desk.deactivate();
}

#[test]
fn gestures_reach_the_host_in_order_and_pairs() {
    let desk = Desk::new();
    desk.activate();
    let shared = &desk.object().shared;
    shared.tell(News::Begin(1));
    set_by_hand(shared, 1, 0.5);
    shared.tell(News::Value(1, 0.5));
    shared.tell(News::End(1));
    assert_eq!(desk.noticed.flushes.load(Ordering::Relaxed), 3);
    let pair = [CLAP_EVENT_PARAM_GESTURE_BEGIN, CLAP_EVENT_PARAM_VALUE, CLAP_EVENT_PARAM_GESTURE_END];
    assert_eq!(desk.play(&mut ramp(64), 8, &[]).told, pair);
    shared.tell(News::End(1));
    assert_eq!(desk.play(&mut ramp(64), 8, &[]).told, [0_u16; 0], "an end without a beginning");
    // A list without room loses nothing.
    for room in [0, 1, 2] {
        desk.room.set(room);
        [News::Begin(1), News::Value(1, 0.5), News::End(1)].into_iter().for_each(|news| shared.tell(news));
        assert_eq!(desk.play(&mut ramp(64), 8, &[]).told, pair[..room]);
        desk.room.set(usize::MAX);
        assert_eq!(desk.play(&mut ramp(64), 8, &[]).told, pair[room..]);
    }
    desk.deactivate();
}
