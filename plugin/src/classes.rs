//! The two classes that a host sees, and the one in the standalone, as nice-plug's `Plugin`. They translate between
//! its buffers and the engine's block; what happens to the sound is the engine's business.

use std::marker::PhantomData;
use std::sync::Arc;

use nice_plug::prelude::*;
use rehearsekit_plugin_engine::{AudioEngine, AudioSetup, Block, OUTPUTS, Status, Transport as Playhead};

use crate::editor::Editor;
use crate::handoff::Holder;
use crate::host_compat::denormals::Flushed;
use crate::params::STRIP_COUNT;
use crate::shared::{Mode, News, Shared};

/// Frames of scratch for hosts with one channel; longer blocks are played in parts.
const MONO_SCRATCH_FRAMES: usize = 1024;

/// What distinguishes a class.
pub trait Kind: Send + 'static {
    /// The name in the host's list.
    const NAME: &'static str;
    /// Whether there is an output for each strip and one for the click.
    const STEMS: bool;
    /// VST3's identity, for ever.
    const VST3_ID: [u8; 16];
    /// CLAP's identity, for ever.
    const CLAP_ID: &'static str;
    /// One sentence for hosts that show one.
    const DESCRIPTION: &'static str;

    /// Sets a new instance up (the standalone's command line).
    fn prepare(_shared: &Arc<Shared>) {}

    /// Puts something in place of the input before it is played (the standalone's song). Gives how many frames from
    /// the first one on follow from each other; what is behind a jump is asked for again. On the audio thread.
    fn feed(_shared: &Shared, left: &mut [f32], _right: &mut [f32], _playhead: &mut Playhead) -> usize {
        left.len()
    }

    /// What comes out for these frames, on its way to the ear. On the audio thread.
    fn hear(_left: &mut [f32], _right: &mut [f32]) {}
}

/// Stereo in, stereo out.
pub struct Main;

impl Kind for Main {
    const NAME: &'static str = "RehearseKit";
    const STEMS: bool = false;
    const VST3_ID: [u8; 16] = *b"RehearseKit.Main";
    const CLAP_ID: &'static str = "org.rehearsekit.rehearsekit";
    const DESCRIPTION: &'static str = "Pulls your own instrument out of a song, live";
}

/// The same with an output for each strip and one for the click.
pub struct Stems;

impl Kind for Stems {
    const NAME: &'static str = "RehearseKit Stems";
    const STEMS: bool = true;
    const VST3_ID: [u8; 16] = *b"RehearseKitStems";
    const CLAP_ID: &'static str = "org.rehearsekit.rehearsekit-stems";
    const DESCRIPTION: &'static str = "Takes a song apart into an output per stem, live";
}

/// The plugin inside of nice-plug's wrappers.
pub struct RehearseKit<K> {
    shared: Arc<Shared>,
    engine: Holder<AudioEngine>,
    /// What the engine renders.
    mode: Mode,
    mono_input: bool,
    /// The channel that a mono host lacks.
    right: Vec<f32>,
    kind: PhantomData<K>,
}

impl<K: Kind> Default for RehearseKit<K> {
    fn default() -> Self {
        let (shared, engine) = Shared::announce();
        K::prepare(&shared);
        let mode = shared.mode();
        Self { shared, engine, mode, mono_input: false, right: Vec::new(), kind: PhantomData }
    }
}

/// Two channels, or one.
const TWO: Option<NonZeroU32> = Some(new_nonzero_u32(2));
const ONE: Option<NonZeroU32> = Some(new_nonzero_u32(1));

/// One output per strip, and the click's.
const STEM_PORTS: &[NonZeroU32] = &[new_nonzero_u32(2); STRIP_COUNT + 1];
const STEM_NAMES: &[&str] = &["Vocals", "Drums", "Bass", "Guitar", "Piano", "Other", "Click"];

/// No main port is named: nice-plug gives the main output the main input's name, and two JACK ports collide.
const fn layout(
    input: Option<NonZeroU32>,
    output: Option<NonZeroU32>,
    stems: bool,
    name: &'static str,
) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: input,
        main_output_channels: output,
        aux_input_ports: &[],
        aux_output_ports: if stems { STEM_PORTS } else { &[] },
        names: PortNames {
            layout: Some(name),
            main_input: None,
            main_output: None,
            aux_inputs: &[],
            aux_outputs: if stems { STEM_NAMES } else { &[] },
        },
    }
}

const fn layouts(stems: bool) -> [AudioIOLayout; 3] {
    [
        layout(TWO, TWO, stems, "Stereo"),
        layout(ONE, TWO, stems, "Mono to stereo"),
        layout(ONE, ONE, stems, "Mono"),
    ]
}

impl<K: Kind> Plugin for RehearseKit<K> {
    const NAME: &'static str = K::NAME;
    const VENDOR: &'static str = "RehearseKit";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] =
        if K::STEMS { &const { layouts(true) } } else { &const { layouts(false) } };

    // Blocks are cut at parameter changes by `host_compat::events`.
    const SAMPLE_ACCURATE_AUTOMATION: bool = false;

    type Editor = Editor;
    type SysExMessage = ();
    type BackgroundTask = News;

    fn task_executor(&mut self) -> TaskExecutor<Self> {
        let shared = Arc::downgrade(&self.shared);
        Box::new(move |news| {
            if let Some(shared) = shared.upgrade() {
                shared.tell(news);
            }
        })
    }

    fn params(&self) -> Arc<dyn Params> {
        Arc::clone(&self.shared.params) as Arc<dyn Params>
    }

    fn editor(&mut self, executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        let to_main_thread = Box::new(move |news| executor.execute_gui(news));
        Some(Editor::new(Arc::clone(&self.shared), to_main_thread))
    }

    fn setup_logger() -> Option<bool> {
        // The host's process is not ours to log in.
        Some(false)
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        config: &BufferConfig,
        _context: &mut impl ActivateContext<Self>,
    ) -> bool {
        self.mono_input = layout.main_input_channels == ONE;
        self.right = vec![0.0; MONO_SCRATCH_FRAMES];
        let offline = config.process_mode == ProcessMode::Offline;
        let rate_hz = config.sample_rate.round() as u32;
        self.engine.put(self.shared.activate(AudioSetup::new(rate_hz, config.max_buffer_size, offline)));
        self.mode = self.shared.mode();
        true
    }

    fn reset(&mut self) {
        self.catch_up();
        if let Some(engine) = self.engine.current() {
            engine.reset();
        }
    }

    fn process(
        &mut self,
        buffer: &mut Buffer<'_>,
        aux: &mut AuxiliaryBuffers<'_>,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        let _flushed = Flushed::new();
        self.catch_up();
        let frames = buffer.samples();
        let transport = context.transport();
        let playhead = Playhead { is_carried: self.shared.is_carried(), ..playhead(transport) };
        let mut stems: [[&mut [f32]; 2]; OUTPUTS] = Default::default();
        let mut connected = 0;
        for (stem, port) in stems.iter_mut().zip(aux.outputs.iter_mut()) {
            if let [left, right, ..] = port.as_slice() {
                *stem = [left, right];
                connected += 1;
            }
        }
        let stems = &mut stems[..connected];
        let status = match buffer.as_slice() {
            [left, right, ..] => {
                if self.mono_input {
                    right.copy_from_slice(left);
                }
                self.play([left, right], stems, playhead)
            }
            [mono] => self.play_mono(mono, stems, playhead),
            [] => Status::Ok,
        };
        self.shared.gestures.passed(frames);
        match status {
            // What is under way must still come out: no host may put us to sleep before.
            Status::Ok => ProcessStatus::Tail(self.shared.tail_frames()),
            Status::OfflineFailed => ProcessStatus::Error("the bounce cannot be exact; see the editor"),
        }
    }

    fn deactivate(&mut self) {
        self.engine.clear();
        self.shared.deactivate();
    }
}

impl<K: Kind> RehearseKit<K> {
    /// Takes the engine that was made for another latency, and the mode that the host has said. Audio thread.
    fn catch_up(&mut self) {
        let is_new = self.engine.receive();
        let mode = self.shared.mode();
        if !is_new && mode == self.mode {
            return;
        }
        self.mode = mode;
        if let Some(engine) = self.engine.current() {
            engine.enter(mode.is_offline());
        }
    }

    /// One block in place, cut where the song jumps: a jump is told with the first frame behind it. Silence where there
    /// is no engine.
    fn play(
        &mut self,
        [left, right]: [&mut [f32]; 2],
        stems: &mut [[&mut [f32]; 2]],
        playhead: Playhead,
    ) -> Status {
        let mut status = Status::Ok;
        let mut start = 0;
        loop {
            let mut here = playhead;
            let run = K::feed(&self.shared, &mut left[start..], &mut right[start..], &mut here);
            // Whatever it says, there is an end to it, and nothing is left unwritten.
            let end = if run == 0 { left.len() } else { left.len().min(start + run) };
            let connected = stems.len().min(OUTPUTS);
            let mut part = lend(stems, start..end);
            let main = [&mut left[start..end], &mut right[start..end]];
            if self.play_run(main, &mut part[..connected], here) == Status::OfflineFailed {
                status = Status::OfflineFailed;
            }
            K::hear(&mut left[start..end], &mut right[start..end]);
            if end == left.len() {
                return status;
            }
            start = end;
        }
    }

    /// One run in place. Silence where the engine is not there, because it is being replaced.
    fn play_run(
        &mut self,
        [left, right]: [&mut [f32]; 2],
        stems: &mut [[&mut [f32]; 2]],
        playhead: Playhead,
    ) -> Status {
        // In this order: what is touched must be read after it was set.
        let touched = self.shared.gestures.take();
        let mut mixer = self.shared.params.mixer();
        mixer.click.own_one_seconds = self.shared.instance.own_one_seconds();
        if let Some(engine) = self.engine.current() {
            let connected = stems.len().min(OUTPUTS);
            let mut lent = lend(stems, 0..left.len());
            let lent = &mut lent[..connected];
            return engine.process(Block {
                main: [left, right],
                stems: lent,
                transport: playhead,
                mixer: &mixer,
                touched,
            });
        }
        left.fill(0.0);
        right.fill(0.0);
        stems.iter_mut().flatten().for_each(|channel| channel.fill(0.0));
        Status::Ok
    }

    /// One channel in and out: the other is as loud, and what comes back is their mean.
    fn play_mono(&mut self, mono: &mut [f32], stems: &mut [[&mut [f32]; 2]], playhead: Playhead) -> Status {
        let mut right = std::mem::take(&mut self.right);
        let mut status = Status::Ok;
        let mut start = 0;
        while start < mono.len() && !right.is_empty() {
            let end = mono.len().min(start + right.len());
            let (left, right) = (&mut mono[start..end], &mut right[..end - start]);
            right.copy_from_slice(left);
            let connected = stems.len().min(OUTPUTS);
            let mut part = lend(stems, start..end);
            let here = later(playhead, start, self.shared.rate_hz());
            if self.play([&mut *left, &mut *right], &mut part[..connected], here) == Status::OfflineFailed {
                status = Status::OfflineFailed;
            }
            left.iter_mut().zip(right).for_each(|(left, right)| *left = 0.5 * (*left + *right));
            start = end;
        }
        mono[start..].fill(0.0);
        self.right = right;
        status
    }
}

/// What the host says of its playhead.
fn playhead(transport: &Transport) -> Playhead {
    let meter = transport.time_sig_numerator.zip(transport.time_sig_denominator);
    let part = |part: i32| u32::try_from(part).ok();
    Playhead {
        playing: transport.playing,
        song_position_frames: transport.pos_samples(),
        pre_roll: transport.preroll_active == Some(true),
        tempo_bpm: transport.tempo,
        // What the host said, not what nice-plug makes of the tempo where it said nothing.
        beats: transport.pos_beats,
        bar_start_beats: transport.bar_start_pos_beats,
        time_signature: meter.and_then(|(beats, note)| part(beats).zip(part(note))),
        is_carried: false,
    }
}

/// The playhead `frames` later at the same tempo.
fn later(playhead: Playhead, frames: usize, rate_hz: u32) -> Playhead {
    let playhead = Playhead { is_carried: playhead.is_carried || frames > 0, ..playhead };
    if !playhead.playing {
        return playhead;
    }
    let minutes = frames as f64 / f64::from(rate_hz.max(1)) / 60.0;
    Playhead {
        song_position_frames: playhead.song_position_frames.map(|at| at.saturating_add(frames as i64)),
        beats: playhead.beats.zip(playhead.tempo_bpm).map(|(beats, tempo)| beats + minutes * tempo),
        ..playhead
    }
}

/// A part of each stem's buffer, for a while.
fn lend<'a>(stems: &'a mut [[&mut [f32]; 2]], part: std::ops::Range<usize>) -> [[&'a mut [f32]; 2]; OUTPUTS] {
    let mut lent: [[&mut [f32]; 2]; OUTPUTS] = Default::default();
    for (lent, whole) in lent.iter_mut().zip(stems) {
        *lent = whole.each_mut().map(|channel| &mut channel[part.clone()]);
    }
    lent
}

impl<K> Drop for RehearseKit<K> {
    fn drop(&mut self) {
        // A host may forget to deactivate.
        self.shared.deactivate();
    }
}

impl<K: Kind> ClapPlugin for RehearseKit<K> {
    const CLAP_ID: &'static str = K::CLAP_ID;
    const CLAP_DESCRIPTION: Option<&'static str> = Some(K::DESCRIPTION);
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] =
        &[ClapFeature::AudioEffect, ClapFeature::Utility, ClapFeature::Mixing, ClapFeature::Stereo];

    fn remote_controls(&self, context: &mut impl RemoteControlsContext) {
        let params = &self.shared.params;
        let (strips, output) = (params.strips(), &params.output);
        context.add_section("RehearseKit", |section| {
            section.add_page("Play along", |page| {
                page.add_param(&output.part);
                page.add_param(&output.mine);
                strips.iter().for_each(|strip| page.add_param(&strip.gain));
            });
            section.add_page("Mutes", |page| {
                strips.iter().for_each(|strip| page.add_param(&strip.mute));
                page.add_param(&output.master);
                page.add_param(&output.wetness);
            });
            section.add_page("Solos", |page| strips.iter().for_each(|strip| page.add_param(&strip.solo)));
            section.add_page("Pans", |page| strips.iter().for_each(|strip| page.add_param(&strip.pan)));
            section.add_page("Click", |page| {
                let click = &params.click;
                page.add_param(&click.mode);
                page.add_param(&click.level);
                page.add_param(&click.pan);
                page.add_param(&click.sound);
                page.add_param(&click.subdivision);
                page.add_param(&click.accent);
                page.add_param(&click.source);
                page.add_param(&click.tempo);
            });
        });
    }
}

impl<K: Kind> Vst3Plugin for RehearseKit<K> {
    const VST3_CLASS_ID: [u8; 16] = K::VST3_ID;
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] = &[Vst3SubCategory::Fx, Vst3SubCategory::Tools];
}

#[cfg(test)]
#[path = "classes_cut_tests.rs"]
mod cut_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_main_port_is_named_because_the_standalone_would_give_both_ports_one_name() {
        for layout in
            RehearseKit::<Stems>::AUDIO_IO_LAYOUTS.iter().chain(RehearseKit::<Main>::AUDIO_IO_LAYOUTS)
        {
            assert_ne!(layout.main_input_name(), layout.main_output_name());
        }
    }

    #[test]
    fn every_strip_has_an_output_and_so_has_the_click() {
        for layout in RehearseKit::<Stems>::AUDIO_IO_LAYOUTS {
            assert_eq!(layout.aux_output_ports.len(), STRIP_COUNT + 1);
            assert_eq!(layout.aux_output_name(STRIP_COUNT).as_deref(), Some("Click"));
            assert_eq!(layout.aux_output_name(0).as_deref(), Some("Vocals"));
        }
        assert!(RehearseKit::<Main>::AUDIO_IO_LAYOUTS.iter().all(|l| l.aux_output_ports.is_empty()));
    }
}
