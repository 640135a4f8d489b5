//! The main thread's side of one plugin instance in the CLAP host: making, configuring, activating, saving, and
//! lending it to an audio thread. See `player` for that thread's side.
#![allow(clippy::unwrap_used, reason = "what stands in for a host may fall down")]
#![allow(unsafe_code)] // Loading a library runs its code.

use std::{
    ffi::CString,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use clack_extensions::{
    audio_ports::PluginAudioPorts,
    latency::PluginLatency,
    params::{ParamInfoBuffer, PluginParams},
    remote_controls::{PluginRemoteControls, RemoteControlsPageBuffer},
    render::{PluginRender, RenderMode},
    state::PluginState,
};
use clack_host::prelude::*;
use serde_json::Value;

use crate::{
    clap_host::{Host, Log, Main, Shared, become_audio_thread},
    guard,
    player::{Player, Setup},
};

/// The class with one output.
pub const MAIN: &str = "org.rehearsekit.rehearsekit";
/// The class with an output per stem.
pub const STEMS: &str = "org.rehearsekit.rehearsekit-stems";

/// Loads the library and looks through its list, as a scan does.
pub fn scan(library: &Path) -> (PluginEntry, Vec<String>) {
    // SAFETY: it is our own library.
    let entry = unsafe { PluginEntry::load(library) }.unwrap();
    let factory = entry.get_plugin_factory().unwrap();
    let ids = factory.plugin_descriptors().map(|d| d.id().unwrap().to_str().unwrap().to_owned()).collect();
    (entry, ids)
}

/// One track with the plugin on it. The thread that makes it is its main thread.
pub struct Track {
    instance: PluginInstance<Host>,
    /// What the plugin asked for.
    pub log: Arc<Log>,
    processor: Option<StoppedPluginAudioProcessor<Host>>,
    rate_hz: u32,
    max_block_frames: u32,
    outputs: usize,
}

impl Track {
    /// An instance of this class of the bundle.
    pub fn new(class: &str) -> Self {
        let (entry, ids) = scan(&crate::bundle::clap());
        assert!(ids.iter().any(|id| id == class), "{ids:?}");
        Self::of(&entry, class)
    }

    /// An instance of this class.
    pub fn of(entry: &PluginEntry, class: &str) -> Self {
        let log = Arc::new(Log::default());
        let shared = Shared { log: Arc::clone(&log), main: std::thread::current().id() };
        let info = HostInfo::new("RehearseKit's tests", "RehearseKit", "", "1").unwrap();
        let class = CString::new(class).unwrap();
        let mut instance =
            PluginInstance::new(|()| shared, |shared| Main { shared }, entry, &class, &info).unwrap();
        let plugin = instance.plugin_handle();
        let ports: PluginAudioPorts = plugin.get_extension().unwrap();
        let outputs = ports.count(&plugin, false) as usize;
        assert_eq!(ports.count(&plugin, true), 1);
        Self { instance, log, processor: None, rate_hz: 0, max_block_frames: 0, outputs }
    }

    /// The plugin's latency at this moment.
    pub fn latency(&mut self) -> u32 {
        let plugin = self.instance.plugin_handle();
        plugin.get_extension::<PluginLatency>().unwrap().get(&plugin)
    }

    /// The project state.
    pub fn save(&mut self) -> Vec<u8> {
        let plugin = self.instance.plugin_handle();
        let mut bytes = Vec::new();
        plugin.get_extension::<PluginState>().unwrap().save(&plugin, &mut bytes).unwrap();
        bytes
    }

    /// Opens a project.
    pub fn load(&mut self, state: &[u8]) {
        assert!(self.try_load(state), "the project was refused");
    }

    /// Opens what may be no project; whether it was one.
    pub fn try_load(&mut self, state: &[u8]) -> bool {
        let plugin = self.instance.plugin_handle();
        plugin.get_extension::<PluginState>().unwrap().load(&plugin, &mut &*state).is_ok()
    }

    /// The settings in the project state.
    pub fn settings(&mut self) -> Value {
        let state = self.state_document();
        serde_json::from_str(state["fields"]["settings"].as_str().unwrap()).unwrap()
    }

    fn state_document(&mut self) -> Value {
        // nice-plug's CLAP states: the length, then JSON.
        serde_json::from_slice(&self.save()[8..]).unwrap()
    }

    /// Opens the project that it has with other settings, as if they had been made in the editor.
    pub fn configure(&mut self, settings: &[(&str, Value)]) {
        let mut state = self.state_document();
        let mut all: Value = serde_json::from_str(state["fields"]["settings"].as_str().unwrap()).unwrap();
        settings.iter().for_each(|(key, value)| all[*key] = value.clone());
        state["fields"]["settings"] = Value::String(all.to_string());
        let json = state.to_string().into_bytes();
        let bytes = [&(json.len() as u64).to_le_bytes(), json.as_slice()].concat();
        self.load(&bytes);
    }

    /// The same, for what tests change most.
    pub fn point_at(&mut self, server: &str, budget_millis: f64) {
        self.configure(&[("server", server.into()), ("budget_millis", budget_millis.into())]);
    }

    /// A parameter by its name: its identifier and its value.
    pub fn param(&mut self, name: &str) -> (ClapId, f64) {
        let plugin = self.instance.plugin_handle();
        let params: PluginParams = plugin.get_extension().unwrap();
        let mut buffer = ParamInfoBuffer::new();
        for index in 0..params.count(&plugin) {
            let info = params.get_info(&plugin, index, &mut buffer).unwrap();
            if info.name == name.as_bytes() {
                return (info.id, params.get_value(&plugin, info.id).unwrap());
            }
        }
        panic!("there is no parameter {name}");
    }

    /// The pages for a controller's knobs: their names, and the parameters on them.
    pub fn remote_pages(&mut self) -> Vec<(String, Vec<ClapId>)> {
        let plugin = self.instance.plugin_handle();
        let controls: PluginRemoteControls = plugin.get_extension().unwrap();
        let mut buffer = RemoteControlsPageBuffer::new();
        let pages = 0..controls.count(&plugin);
        pages
            .map(|index| {
                let page = controls.get(&plugin, index, &mut buffer).unwrap();
                let name = String::from_utf8(page.page_name.to_vec()).unwrap();
                (name, page.param_ids.into_iter().flatten().collect())
            })
            .collect()
    }

    /// All parameters' identifiers.
    pub fn param_ids(&mut self) -> Vec<ClapId> {
        let plugin = self.instance.plugin_handle();
        let params: PluginParams = plugin.get_extension().unwrap();
        let mut buffer = ParamInfoBuffer::new();
        let all = 0..params.count(&plugin);
        all.map(|index| params.get_info(&plugin, index, &mut buffer).unwrap().id).collect()
    }

    /// Changes parameters without audio; only while not active.
    pub fn set(&mut self, values: &[(&str, f64)]) {
        assert!(self.processor.is_none());
        let mut events = EventBuffer::new();
        for (name, value) in values {
            events.push(&crate::player::param_event(0, self.param(name).0, *value));
        }
        let mut plugin = self.instance.inactive_plugin_handle().unwrap();
        let params: PluginParams = plugin.get_extension().unwrap();
        params.flush(&mut plugin, &events.as_input(), &mut OutputEvents::void());
    }

    /// Live, or a bounce; only while not active.
    pub fn set_offline(&mut self, offline: bool) {
        let plugin = self.instance.plugin_handle();
        let mode = if offline { RenderMode::Offline } else { RenderMode::Realtime };
        plugin.get_extension::<PluginRender>().unwrap().set(&plugin, mode).unwrap();
    }

    /// Activates; the latency must be the one that was told before.
    pub fn activate(&mut self, rate_hz: u32, max_block_frames: u32) {
        let setup = PluginAudioConfiguration {
            sample_rate: f64::from(rate_hz),
            min_frames_count: 1,
            max_frames_count: max_block_frames,
        };
        self.log.activating.store(true, SeqCst);
        self.processor = Some(self.instance.activate(|_, _| (), setup).unwrap());
        self.log.activating.store(false, SeqCst);
        (self.rate_hz, self.max_block_frames) = (rate_hz, max_block_frames);
    }

    /// Deactivates.
    pub fn deactivate(&mut self) {
        let processor = self.processor.take().expect("not active");
        self.instance.deactivate(processor);
    }

    /// What a host does when it was asked for a restart.
    pub fn restart(&mut self) {
        self.deactivate();
        self.activate(self.rate_hz, self.max_block_frames);
    }

    /// Lends the plugin to an audio thread and does a main thread's work meanwhile.
    pub fn play<R: Send>(&mut self, audio: impl FnOnce(&mut Player) -> R + Send) -> R {
        self.play_beside(audio, |_| {})
    }

    /// The same, with something that the main thread does every few milliseconds.
    pub fn play_beside<R: Send>(
        &mut self,
        audio: impl FnOnce(&mut Player) -> R + Send,
        mut main: impl FnMut(&mut PluginInstance<Host>),
    ) -> R {
        let first = |players: &mut [Player]| audio(&mut players[0]);
        play_together(&mut [self], first, |tracks| main(&mut tracks[0].instance))
    }

    /// What the audio thread gets.
    fn lend(&mut self) -> (StoppedPluginAudioProcessor<Host>, Setup) {
        let setup = Setup {
            outputs: self.outputs,
            rate_hz: self.rate_hz,
            max_block_frames: self.max_block_frames,
            latency: self.latency() as usize,
        };
        (self.processor.take().expect("not active"), setup)
    }
}

/// Lends several plugins to one audio thread and does the main thread's work meanwhile; `main` is part of that.
/// Starting and stopping an audio thread is a reset for the plugins.
pub fn play_together<R: Send>(
    tracks: &mut [&mut Track],
    audio: impl FnOnce(&mut [Player]) -> R + Send,
    mut main: impl FnMut(&mut [&mut Track]),
) -> R {
    let lent: Vec<_> = tracks.iter_mut().map(|track| track.lend()).collect();
    let over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let over = &over;
        let thread = scope.spawn(move || {
            // Also when the test fails, or the main thread would wait for ever.
            let _told = SetWhenDropped(over);
            become_audio_thread();
            let is_watched = guard::enrol();
            let start = |(processor, setup): (StoppedPluginAudioProcessor<Host>, Setup)| {
                Player::new(processor.start_processing().unwrap(), setup, is_watched)
            };
            let mut players: Vec<Player> = lent.into_iter().map(start).collect();
            let result = audio(&mut players);
            (result, players.into_iter().map(Player::stop).collect::<Vec<_>>())
        });
        while !over.load(SeqCst) {
            for track in tracks.iter_mut() {
                if track.log.callback.swap(false, SeqCst) {
                    track.instance.call_on_main_thread_callback();
                }
            }
            main(tracks);
            std::thread::sleep(Duration::from_millis(2));
        }
        match thread.join() {
            Ok((result, processors)) => {
                tracks.iter_mut().zip(processors).for_each(|(track, back)| track.processor = Some(back));
                result
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    for track in tracks {
        assert_eq!(track.log.wrong(), Vec::<String>::new());
    }
    result
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

impl Drop for Track {
    fn drop(&mut self) {
        if let Some(processor) = self.processor.take() {
            self.instance.deactivate(processor);
        }
    }
}
