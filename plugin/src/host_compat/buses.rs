//! A host's buses, completed. nice-plug plays only when every bus it declared is connected, and reads past the end
//! of the host's list when there are fewer. pedalboard leaves the stem outputs out, DawDreamer takes them away
//! at run time, and hosts on mono tracks bring one channel where two were agreed: all get a full set of pointers,
//! with scratch memory wherever they brought none; and what a host brought beyond that, or in vain, is silenced.
//!
//! Nothing here allocates after `new`. It must not know which plugin format the pointers came from.

use std::sync::atomic::{AtomicU32, Ordering};

/// Outputs of the larger class: main, six stems, click.
pub(crate) const MAX_OUTPUTS: usize = 8;

/// Channels of a bus, at most.
pub(crate) const MAX_CHANNELS: usize = 2;

/// Frames of scratch memory per channel; longer blocks are cut where some of it is needed.
const SCRATCH_FRAMES: usize = 1024;

/// Two channel pointers.
pub(crate) type Channels = [*mut f32; MAX_CHANNELS];

/// What was agreed with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Channels of the one input: 1 or 2.
    pub(crate) input_channels: usize,
    /// Channels of the main output: 1 or 2. All others have 2.
    pub(crate) main_channels: usize,
    /// Output buses: 1 or [`MAX_OUTPUTS`].
    pub(crate) outputs: usize,
}

impl Layout {
    /// Channels of output bus `bus`.
    pub(crate) fn output_channels(&self, bus: usize) -> usize {
        if bus == 0 { self.main_channels } else { MAX_CHANNELS }
    }
}

/// A layout that one thread changes while another reads it without waiting.
#[derive(Debug)]
pub(crate) struct LayoutCell(AtomicU32);

impl LayoutCell {
    pub(crate) fn new(layout: Layout) -> Self {
        let cell = Self(AtomicU32::new(0));
        cell.set(layout);
        cell
    }

    pub(crate) fn set(&self, layout: Layout) {
        // A byte each: none can be more than MAX_OUTPUTS.
        let byte = |number: usize| number.min(usize::from(u8::MAX)) as u8;
        let Layout { input_channels, main_channels, outputs } = layout;
        let packed = u32::from_le_bytes([byte(input_channels), byte(main_channels), byte(outputs), 0]);
        self.0.store(packed, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Layout {
        let [input_channels, main_channels, outputs, _] =
            self.0.load(Ordering::Acquire).to_le_bytes().map(usize::from);
        Layout { input_channels, main_channels, outputs }
    }
}

/// Writes silence for `frames` frames into each of `count` channels, but those that are in `kept`.
///
/// # Safety
/// `channels` is null or has `count` readable pointers behind it, each null or valid for that many samples.
pub(crate) unsafe fn silence<T: Copy + Default>(
    channels: *const *mut T,
    count: i64,
    frames: usize,
    kept: impl Fn(*mut T) -> bool,
) {
    if channels.is_null() {
        return;
    }
    for channel in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: below the host's own count.
        let pointer = unsafe { *channels.add(channel) };
        if !pointer.is_null() && !kept(pointer) {
            // SAFETY: promised by the caller.
            unsafe { std::slice::from_raw_parts_mut(pointer, frames) }.fill(T::default());
        }
    }
}

/// One bus as the host handed it over: `count` channel pointers behind `channels`, or nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HostBus {
    /// May be null.
    pub(crate) channels: *mut *mut f32,
    /// As the host says; may be anything.
    pub(crate) count: i64,
}

impl HostBus {
    /// A bus that is not there.
    pub(crate) const ABSENT: Self = Self { channels: std::ptr::null_mut(), count: 0 };

    /// Channel `channel`, null if there is none.
    ///
    /// # Safety
    /// `channels` is null or has `count` readable pointers behind it.
    unsafe fn channel(&self, channel: usize) -> *mut f32 {
        if self.channels.is_null() || self.count <= channel as i64 {
            return std::ptr::null_mut();
        }
        // SAFETY: `channel` is below the host's own count.
        unsafe { *self.channels.add(channel) }
    }
}

/// The completed buses of one block and the scratch memory behind them.
pub(crate) struct Buses {
    input: Channels,
    outputs: [Channels; MAX_OUTPUTS],
    /// Null where scratch stands in.
    host_input: Channels,
    host_outputs: [Channels; MAX_OUTPUTS],
    silence: Vec<f32>,
    sinks: Vec<[Vec<f32>; MAX_CHANNELS]>,
    complete: bool,
}

impl Default for Buses {
    fn default() -> Self {
        let scratch = || vec![0.0; SCRATCH_FRAMES];
        let nowhere = [std::ptr::null_mut(); MAX_CHANNELS];
        Self {
            input: nowhere,
            outputs: [nowhere; MAX_OUTPUTS],
            host_input: nowhere,
            host_outputs: [nowhere; MAX_OUTPUTS],
            silence: scratch(),
            sinks: (0..MAX_OUTPUTS).map(|_| [scratch(), scratch()]).collect(),
            complete: true,
        }
    }
}

impl Buses {
    /// Takes the pointers of a block. `outputs(bus)` is asked for every bus of `layout`.
    ///
    /// # Safety
    /// Every [`HostBus`] is true: where `channels` is not null, `count` pointers lie behind it, each null or
    /// valid for the block's frames until the block is over.
    pub(crate) unsafe fn take(
        &mut self,
        layout: &Layout,
        input: HostBus,
        outputs: impl Fn(usize) -> HostBus,
    ) {
        self.complete = true;
        // SAFETY: promised by the caller.
        let left = unsafe { input.channel(0) };
        // SAFETY: promised by the caller.
        let right = unsafe { input.channel(1) };
        // One channel where two were agreed is mono, not half of stereo.
        self.host_input = [left, if right.is_null() { left } else { right }];
        self.complete &= !left.is_null();
        for bus in 0..MAX_OUTPUTS {
            let host = if bus < layout.outputs { outputs(bus) } else { HostBus::ABSENT };
            for channel in 0..MAX_CHANNELS {
                // SAFETY: promised by the caller.
                let pointer = unsafe { host.channel(channel) };
                self.host_outputs[bus][channel] = pointer;
                let needed = bus < layout.outputs && channel < layout.output_channels(bus);
                self.complete &= !(needed && pointer.is_null());
            }
        }
    }

    /// Whether this is one of the host's channels that are played into.
    pub(crate) fn is_played(&self, layout: &Layout, pointer: *mut f32) -> bool {
        let buses = self.host_outputs.iter().enumerate().take(layout.outputs);
        buses.flat_map(|(bus, channels)| &channels[..layout.output_channels(bus)]).any(|&one| one == pointer)
    }

    /// Silences the outputs of [`Self::at`] for `frames` frames, be they the host's or scratch.
    ///
    /// # Safety
    /// They are valid for that many.
    pub(crate) unsafe fn silence_part(&mut self, layout: &Layout, frames: usize) {
        for (bus, channels) in self.outputs.iter().enumerate().take(layout.outputs) {
            // SAFETY: as many pointers, valid as promised by the caller.
            unsafe { silence(channels.as_ptr(), layout.output_channels(bus) as i64, frames, |_| false) };
        }
    }

    /// How many frames can be played at once.
    pub(crate) fn longest(&self) -> usize {
        if self.complete { usize::MAX } else { SCRATCH_FRAMES }
    }

    /// The pointers from frame `frame` of the block on: input, and output buses.
    pub(crate) fn at(&mut self, frame: usize) -> (&mut Channels, &mut [Channels; MAX_OUTPUTS]) {
        for channel in 0..MAX_CHANNELS {
            let host = self.host_input[channel];
            self.input[channel] = if host.is_null() {
                // Nobody writes through it: inputs are only read.
                self.silence.as_mut_ptr()
            } else {
                host.wrapping_add(frame)
            };
        }
        for (bus, sinks) in self.sinks.iter_mut().enumerate() {
            for (channel, sink) in sinks.iter_mut().enumerate() {
                let host = self.host_outputs[bus][channel];
                self.outputs[bus][channel] =
                    if host.is_null() { sink.as_mut_ptr() } else { host.wrapping_add(frame) };
            }
        }
        (&mut self.input, &mut self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEMS: Layout = Layout { input_channels: 2, main_channels: 2, outputs: MAX_OUTPUTS };

    fn bus(channels: &mut [*mut f32]) -> HostBus {
        HostBus { channels: channels.as_mut_ptr(), count: channels.len() as i64 }
    }

    #[test]
    fn missing_buses_get_memory_of_their_own() {
        let (mut left, mut right) = ([1.0_f32; 8], [2.0_f32; 8]);
        let mut main = [left.as_mut_ptr(), right.as_mut_ptr()];
        let main = bus(&mut main);
        let mut buses = Buses::default();
        // SAFETY: `main` has two channels of 8 frames, everything else is absent.
        unsafe { buses.take(&STEMS, main, |bus| if bus == 0 { main } else { HostBus::ABSENT }) };
        assert_eq!(buses.longest(), SCRATCH_FRAMES);
        let (input, outputs) = buses.at(3);
        assert_eq!(input[0], left.as_mut_ptr().wrapping_add(3));
        assert_eq!(outputs[0][1], right.as_mut_ptr().wrapping_add(3));
        let mut all: Vec<*mut f32> = outputs.iter().flatten().copied().collect();
        assert!(all.iter().all(|pointer| !pointer.is_null()));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), MAX_OUTPUTS * MAX_CHANNELS, "two buses share memory");
    }

    #[test]
    fn a_missing_input_is_silence_and_a_single_channel_is_mono() {
        let mut buses = Buses::default();
        // SAFETY: nothing is there.
        unsafe { buses.take(&STEMS, HostBus::ABSENT, |_| HostBus::ABSENT) };
        let input = buses.at(5).0[1];
        // SAFETY: scratch memory has 1024 frames.
        assert!(unsafe { std::slice::from_raw_parts(input, SCRATCH_FRAMES) }.iter().all(|x| *x == 0.0));
        let mut left = [1.0_f32; 8];
        let mut mono = [left.as_mut_ptr()];
        let mono = bus(&mut mono);
        // SAFETY: `mono` has one channel.
        unsafe { buses.take(&STEMS, mono, |_| HostBus::ABSENT) };
        assert_eq!(*buses.at(0).0, [left.as_mut_ptr(); 2]);
    }

    #[test]
    fn null_channels_in_a_bus_are_completed_and_lies_about_counts_are_not_followed() {
        let mut left = [1.0_f32; 8];
        let mut half = [left.as_mut_ptr(), std::ptr::null_mut()];
        let half = bus(&mut half);
        let absurd = HostBus { channels: std::ptr::null_mut(), count: i64::from(i32::MAX) };
        let mut buses = Buses::default();
        // SAFETY: one bus has two pointers, one of them null; the others are null.
        unsafe { buses.take(&STEMS, absurd, |bus| if bus == 0 { half } else { absurd }) };
        let outputs = buses.at(0).1;
        assert_eq!(outputs[0][0], left.as_mut_ptr());
        assert!(!outputs[0][1].is_null() && !outputs[7][1].is_null());
    }

    #[test]
    fn a_layout_comes_out_of_its_cell_as_it_went_in() {
        for layout in [STEMS, Layout { input_channels: 1, main_channels: 1, outputs: 1 }] {
            assert_eq!(LayoutCell::new(layout).get(), layout);
        }
    }

    #[test]
    fn only_what_is_not_played_is_silenced() {
        let mut memory = [[1.0_f32; 4]; 4];
        let mut channels = memory.each_mut().map(|channel| channel.as_mut_ptr());
        channels[1] = std::ptr::null_mut();
        let main = bus(&mut channels);
        let mono = Layout { input_channels: 1, main_channels: 1, outputs: 1 };
        let mut buses = Buses::default();
        // SAFETY: four channels of four frames, one of them null.
        unsafe {
            buses.take(&mono, main, |_| main);
            silence(main.channels, main.count, 3, |channel| buses.is_played(&mono, channel));
        }
        assert_eq!(memory, [[1.0; 4], [1.0; 4], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]]);
        // SAFETY: nothing is there.
        unsafe { silence::<f64>(std::ptr::null(), 7, 64, |_| false) };
    }

    #[test]
    fn a_full_set_is_passed_on_as_it_is() {
        let mut memory = [0.0_f32; 8];
        let mut channels = [memory.as_mut_ptr(); 2];
        let full = bus(&mut channels);
        let mut buses = Buses::default();
        // SAFETY: all buses have two channels.
        unsafe { buses.take(&STEMS, full, |_| full) };
        assert_eq!(buses.longest(), usize::MAX);
        let mono = Layout { main_channels: 1, outputs: 1, input_channels: 1 };
        let mut one = [memory.as_mut_ptr()];
        let one = bus(&mut one);
        // SAFETY: one channel.
        unsafe { buses.take(&mono, one, |_| one) };
        assert_eq!(buses.longest(), usize::MAX, "one channel is all that was agreed");
    }
}
