//! One block of a CLAP host: buses completed, cut at parameter changes and transport events, played part by part
//! through nice-plug. Runs on the audio thread: nothing here allocates, locks, waits, logs or makes a system call.
//! However it ends, every sample of every output was written.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use clap_sys::audio_buffer::clap_audio_buffer;
use clap_sys::events::{
    CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_MOD, CLAP_EVENT_PARAM_VALUE, CLAP_EVENT_TRANSPORT,
    CLAP_TRANSPORT_HAS_BEATS_TIMELINE, CLAP_TRANSPORT_HAS_SECONDS_TIMELINE, CLAP_TRANSPORT_HAS_TEMPO,
    CLAP_TRANSPORT_IS_PLAYING, clap_event_header, clap_event_param_mod, clap_event_param_value,
    clap_event_transport, clap_input_events,
};
use clap_sys::fixedpoint::{CLAP_BEATTIME_FACTOR, CLAP_SECTIME_FACTOR};
use clap_sys::plugin::clap_plugin;
use clap_sys::process::{CLAP_PROCESS_CONTINUE, CLAP_PROCESS_ERROR, clap_process, clap_process_status};

use super::plugin::Object;
use crate::host_compat::buses::{Buses, Channels, HostBus, Layout, MAX_OUTPUTS, silence};
use crate::host_compat::events::{Change, Events, ParamTable, Source};
use crate::shared::Shared;

/// As many transport events of one block are followed; a host has one per tempo change or loop end.
const TRANSPORTS: usize = 16;

/// What the audio thread keeps between blocks.
pub(super) struct AudioSide {
    buses: Buses,
    events: Events,
    transports: Vec<(usize, clap_event_transport)>,
}

impl Default for AudioSide {
    fn default() -> Self {
        Self {
            buses: Buses::default(),
            events: Events::default(),
            transports: Vec::with_capacity(TRANSPORTS),
        }
    }
}

unsafe extern "C" fn no_events(_list: *const clap_input_events) -> u32 {
    0
}

unsafe extern "C" fn no_event(_list: *const clap_input_events, _index: u32) -> *const clap_event_header {
    std::ptr::null()
}

/// A host's list of events for one block.
struct HostEvents<'a> {
    list: *const clap_input_events,
    shared: &'a Shared,
    table: &'a ParamTable,
}

impl<'a> HostEvents<'a> {
    /// # Safety
    /// `list` is null or the host's, valid as long as this is.
    unsafe fn new(list: *const clap_input_events, shared: &'a Shared, table: &'a ParamTable) -> Self {
        Self { list, shared, table }
    }

    /// All that are CLAP's own.
    fn headers(&self, mut take: impl FnMut(&clap_event_header)) {
        // SAFETY: null or the host's list, by the promise of `new`.
        let Some(list) = (unsafe { self.list.as_ref() }) else { return };
        let (Some(size), Some(get)) = (list.size, list.get) else { return };
        // SAFETY: the host's list and its own count.
        unsafe {
            for index in 0..size(list) {
                if let Some(header) = get(list, index).as_ref()
                    && header.space_id == CLAP_CORE_EVENT_SPACE_ID
                {
                    take(header);
                }
            }
        }
    }
}

/// Those for an instrument are nothing to us.
impl Source for HostEvents<'_> {
    fn each(&self, take: &mut dyn FnMut(u32, i64, Change)) {
        self.headers(|header| {
            let frame = i64::from(header.time);
            match header.type_ {
                CLAP_EVENT_PARAM_VALUE => {
                    // SAFETY: an event is as long as its type says.
                    let event = unsafe { &*(&raw const *header).cast::<clap_event_param_value>() };
                    let value = event.value as f32 / self.table.steps(self.shared, event.param_id);
                    take(event.param_id, frame, Change::Set(value.clamp(0.0, 1.0)));
                }
                CLAP_EVENT_PARAM_MOD => {
                    // SAFETY: an event is as long as its type says.
                    let event = unsafe { &*(&raw const *header).cast::<clap_event_param_mod>() };
                    let amount = event.amount as f32 / self.table.steps(self.shared, event.param_id);
                    take(event.param_id, frame, Change::Modulate(amount));
                }
                _ => {}
            }
        });
    }
}

/// Reads where the transport moves within the block. Of more than there is room for, the last one counts.
fn collect_transports(
    transports: &mut Vec<(usize, clap_event_transport)>,
    events: &HostEvents<'_>,
    frames: usize,
) {
    transports.clear();
    events.headers(|header| {
        if header.type_ != CLAP_EVENT_TRANSPORT {
            return;
        }
        let at = (header.time as usize).min(frames.saturating_sub(1));
        // SAFETY: an event is as long as its type says.
        let transport = unsafe { *(&raw const *header).cast::<clap_event_transport>() };
        // Sorted by the specification; where a host sorts otherwise, its newest word must still count.
        let place = transports.partition_point(|(known, _)| *known <= at);
        if transports.len() == TRANSPORTS {
            if place < TRANSPORTS {
                return;
            }
            transports.pop();
        }
        transports.insert(place.min(transports.len()), (at, transport));
    });
}

impl Object {
    /// # Safety
    /// As the host calls `process`.
    pub(super) unsafe fn process_block(
        &self,
        plugin: *const clap_plugin,
        block: &clap_process,
    ) -> clap_process_status {
        // SAFETY: as the host called us.
        unsafe {
            self.play_block(plugin, block).unwrap_or_else(|| {
                finish(block, |_| false);
                CLAP_PROCESS_ERROR
            })
        }
    }

    /// Plays the block; `None` where nothing was written.
    ///
    /// # Safety
    /// As [`Self::process_block`].
    unsafe fn play_block(
        &self,
        plugin: *const clap_plugin,
        block: &clap_process,
    ) -> Option<clap_process_status> {
        let after_init = self.after_init.get()?;
        if !after_init.host.active.load(Ordering::Acquire) {
            return None;
        }
        let mut audio = match self.audio.try_lock() {
            Ok(audio) => audio,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Two threads in one plugin at once: a host's mistake that must not become ours.
            Err(TryLockError::WouldBlock) => return None,
        };
        let layout = self.layout.get();
        let frames = block.frames_count as usize;
        let AudioSide { buses, events, transports } = &mut *audio;
        // SAFETY: the host's events, valid for this call.
        let changes = unsafe { HostEvents::new(block.in_events, &self.shared, &after_init.table) };
        events.begin(&self.shared, &after_init.table, &changes, frames);
        collect_transports(transports, &changes, frames);
        // SAFETY: the host's buffers, valid for this call.
        unsafe {
            let input = bus(block.audio_inputs, block.audio_inputs_count, 0);
            let outputs = |index| bus(block.audio_outputs, block.audio_outputs_count, index);
            buses.take(&layout, input, outputs);
        }
        let (mut at, mut status) = (0, CLAP_PROCESS_CONTINUE);
        // SAFETY: null or the host's, valid for this call.
        let mut transport = unsafe { block.transport.as_ref() }.copied();
        let mut transport_at = 0;
        let mut upcoming = transports.iter().peekable();
        let rate_hz = self.shared.rate_hz();
        while at < frames {
            let next = events.apply_until(&self.shared, &after_init.table, &changes, at).unwrap_or(frames);
            while let Some((when, newer)) = upcoming.next_if(|(when, _)| *when <= at) {
                (transport, transport_at) = (Some(*newer), *when);
            }
            let next = upcoming.peek().map_or(next, |(when, _)| next.min(*when));
            let end = next.min(frames).min(at.saturating_add(buses.longest()));
            let here = transport.map(|transport| moved(&transport, at - transport_at, rate_hz));
            self.shared.set_carried(at > transport_at);
            // SAFETY: the pointers are complete and valid for `end - at` frames from `at` on.
            let part = unsafe { self.part(plugin, block, buses, &layout, at, end - at, here.as_ref()) };
            if part == CLAP_PROCESS_ERROR || status != CLAP_PROCESS_ERROR {
                status = part;
            }
            if part == CLAP_PROCESS_ERROR {
                // SAFETY: as above.
                unsafe { buses.silence_part(&layout, end - at) };
            }
            at = end;
        }
        events.apply_until(&self.shared, &after_init.table, &changes, usize::MAX);
        // SAFETY: the host's lists, valid for this call.
        unsafe {
            finish(block, |channel| buses.is_played(&layout, channel));
            after_init.host.write_gestures(block.out_events, &self.shared, &after_init.table);
        }
        Some(status)
    }

    /// # Safety
    /// `buses` are complete for `frames` frames from `at` on.
    #[allow(clippy::too_many_arguments)] // the parts of one call
    unsafe fn part(
        &self,
        plugin: *const clap_plugin,
        block: &clap_process,
        buses: &mut Buses,
        layout: &Layout,
        at: usize,
        frames: usize,
        transport: Option<&clap_event_transport>,
    ) -> clap_process_status {
        let (input, outputs) = buses.at(at);
        let input = connected(input, layout.input_channels);
        let mut outputs: [clap_audio_buffer; MAX_OUTPUTS] = std::array::from_fn(|index| {
            let count = layout.output_channels(index);
            connected(&mut outputs[index], count)
        });
        let nothing =
            clap_input_events { ctx: std::ptr::null_mut(), size: Some(no_events), get: Some(no_event) };
        let part = clap_process {
            steady_time: if block.steady_time < 0 { -1 } else { block.steady_time + at as i64 },
            frames_count: frames as u32,
            transport: transport.map_or(std::ptr::null(), |transport| transport),
            audio_inputs: &input,
            audio_outputs: outputs.as_mut_ptr(),
            audio_inputs_count: 1,
            audio_outputs_count: layout.outputs as u32,
            // Applied already; nice-plug must not see them.
            in_events: &nothing,
            out_events: std::ptr::null(),
        };
        // SAFETY: everything in it is valid for this call.
        self.inner.process.map_or(CLAP_PROCESS_ERROR, |process| unsafe { process(plugin, &part) })
    }

    /// Parameter changes without a block.
    ///
    /// # Safety
    /// `list` is null or the host's; on the audio thread while active, else on the main thread.
    pub(super) unsafe fn flush(&self, list: *const clap_input_events) {
        let (Some(after_init), Ok(mut audio)) = (self.after_init.get(), self.audio.try_lock()) else {
            return;
        };
        // SAFETY: promised by the caller.
        let changes = unsafe { HostEvents::new(list, &self.shared, &after_init.table) };
        audio.events.begin(&self.shared, &after_init.table, &changes, 0);
        audio.events.apply_until(&self.shared, &after_init.table, &changes, usize::MAX);
    }
}

/// Silences the host's outputs but those that were played, and declares none of them constant. We announce no 64 bits; a
/// host that brings them all the same gets silence there.
///
/// # Safety
/// As the host calls `process`.
unsafe fn finish(block: &clap_process, is_played: impl Fn(*mut f32) -> bool) {
    if block.audio_outputs.is_null() {
        return;
    }
    let frames = block.frames_count as usize;
    for index in 0..block.audio_outputs_count as usize {
        // SAFETY: below the host's own count; each pointer is null or has as many channels behind it as it says.
        unsafe {
            let output = &mut *block.audio_outputs.add(index);
            output.constant_mask = 0;
            silence(output.data32, output.channel_count.into(), frames, &is_played);
            silence(output.data64, output.channel_count.into(), frames, |_| false);
        }
    }
}

/// Bus `index` of a host's list.
///
/// # Safety
/// `buses` is null or has `count` buses behind it.
unsafe fn bus(buses: *const clap_audio_buffer, count: u32, index: usize) -> HostBus {
    if buses.is_null() || count as usize <= index {
        return HostBus::ABSENT;
    }
    // SAFETY: below the host's own count.
    let bus = unsafe { &*buses.add(index) };
    HostBus { channels: bus.data32, count: i64::from(bus.channel_count) }
}

fn connected(channels: &mut Channels, count: usize) -> clap_audio_buffer {
    clap_audio_buffer {
        data32: channels.as_mut_ptr(),
        data64: std::ptr::null_mut(),
        channel_count: count as u32,
        latency: 0,
        constant_mask: 0,
    }
}

/// The host's transport, `frames` later.
fn moved(transport: &clap_event_transport, frames: usize, rate_hz: u32) -> clap_event_transport {
    let mut moved = *transport;
    if frames == 0 || moved.flags & CLAP_TRANSPORT_IS_PLAYING == 0 {
        return moved;
    }
    let seconds = frames as f64 / f64::from(rate_hz.max(1));
    if moved.flags & CLAP_TRANSPORT_HAS_SECONDS_TIMELINE != 0 {
        let passed = (seconds * CLAP_SECTIME_FACTOR as f64).round() as i64;
        moved.song_pos_seconds = moved.song_pos_seconds.saturating_add(passed);
    }
    if moved.flags & CLAP_TRANSPORT_HAS_TEMPO != 0 {
        let change = moved.tempo_inc * frames as f64;
        if moved.flags & CLAP_TRANSPORT_HAS_BEATS_TIMELINE != 0 {
            let mean = moved.tempo + 0.5 * change;
            let passed = (seconds / 60.0 * mean * CLAP_BEATTIME_FACTOR as f64).round() as i64;
            moved.song_pos_beats = moved.song_pos_beats.saturating_add(passed);
        }
        moved.tempo += change;
    }
    moved
}
