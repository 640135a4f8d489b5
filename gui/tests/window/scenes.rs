//! Views to photograph and to act in: a band's evening in still pictures. Shared by the tests and by the
//! photographer (`examples/photograph.rs`).
#![allow(dead_code, missing_docs, unreachable_pub)]

use egui_kittest::Harness;
use rehearsekit_gui::view::*;
use rehearsekit_gui::{Action, Panel, panel_ui};

/// Smallest sensible, as the editor opens, and large.
pub const SMALL: [f32; 2] = [560.0, 380.0];
pub const USUAL: [f32; 2] = [920.0, 580.0];
pub const WIDE: [f32; 2] = [1200.0, 800.0];

pub struct Stage {
    pub view: View,
    pub panel: Panel,
    pub actions: Vec<Action>,
}

pub fn stage(size: [f32; 2], view: View) -> Harness<'static, Stage> {
    at_density(size, 1.0, view)
}

pub fn at_density(size: [f32; 2], pixels_per_point: f32, view: View) -> Harness<'static, Stage> {
    Harness::builder().with_size(size).with_pixels_per_point(pixels_per_point).build_ui_state(
        |ui, stage: &mut Stage| {
            // The window's whole content, without the margin that the harness has around it.
            let all = ui.ctx().content_rect();
            let mut ui = ui.new_child(egui::UiBuilder::new().max_rect(all));
            ui.set_clip_rect(all);
            let actions = panel_ui(&mut ui, &mut stage.panel, &stage.view);
            stage.actions.extend(actions);
        },
        Stage { view, panel: Panel::default(), actions: Vec::new() },
    )
}

pub fn linear(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// Six strips, of which `present` are in the model.
fn strips(present: [bool; 6]) -> Vec<StripView> {
    let names = ["Vocals", "Drums", "Bass", "Guitar", "Piano", "Other"];
    let gains = [-3.2, 0.0, -6.5, -12.0, -1.5, 2.0];
    let pans = [0.0, 0.0, -0.12, 0.4, -0.5, 0.0];
    let peaks = [-14.0, -9.0, -17.0, -22.0, -26.0, -19.0];
    (0..6)
        .map(|n| StripView {
            name: names[n].to_owned(),
            present: present[n],
            gain_db: gains[n],
            pan: pans[n],
            peak: if present[n] { [linear(peaks[n]), linear(peaks[n] - 2.5)] } else { [0.0; 2] },
            ..StripView::default()
        })
        .collect()
}

fn budgets() -> Vec<BudgetView> {
    let budget = |millis, quality: Option<&str>, holds, note: &str| BudgetView {
        millis,
        quality: quality.map(str::to_owned),
        holds,
        note: note.to_owned(),
    };
    vec![
        budget(93, None, Some(false), ""),
        budget(132, Some("2.1 dB below offline"), Some(false), "the link alone takes 40 ms"),
        budget(180, Some("1.4 dB below offline"), Some(true), "little margin"),
        budget(250, Some("0.9 dB below offline"), Some(true), "the default"),
        budget(350, Some("0.6 dB below offline"), Some(true), ""),
        budget(500, Some("0.4 dB below offline"), None, ""),
        budget(1000, Some("0.2 dB below offline"), None, "for a fixed set"),
        budget(1500, None, None, ""),
    ]
}

fn click() -> ClickView {
    ClickView {
        mode: ClickMode::On,
        level_db: -8.0,
        sounds: ["Wood", "Beep", "Cowbell"].map(str::to_owned).into(),
        accent: true,
        in_main: true,
        tempo_bpm: Some(118.0),
        own_tempo_bpm: 120.0,
        beats_per_bar: 4,
        beat: Some((2, 4)),
        peak: [linear(-12.0); 2],
        ..ClickView::default()
    }
}

/// Four stems, everything well.
pub fn live() -> View {
    View {
        link: LinkView {
            state: LinkState::Live,
            server_name: "closet".to_owned(),
            badge: "Live · htdemucs · 250 ms · closet".to_owned(),
            sentence: "Stems come from closet in time.".to_owned(),
            turnaround_millis: Some([141.0, 188.0]),
            ..LinkView::default()
        },
        server: "closet.lan:4810".to_owned(),
        model: "htdemucs".to_owned(),
        budget_millis: 250,
        latency: Some((12_000, 250.0)),
        budgets: budgets(),
        strips: strips([true, true, true, false, false, true]),
        master: MasterView { gain_db: 0.0, wet: 1.0, peak: [linear(-5.0), linear(-6.0)], bypass: false },
        part: PartView { mine: 2, mode: PartMode::All, possible: true, why_not: None },
        click: click(),
        look: Look::default(),
        ..View::default()
    }
}

/// A state in which no stems come.
pub fn in_state(state: LinkState) -> View {
    let mut view = live();
    let (badge, sentence) = match state {
        LinkState::Live => return view,
        LinkState::Idle => (
            "No server",
            "No server is set. Type its address under Set up; until then the song plays as it is.",
        ),
        LinkState::Looking => (
            "Looking for a server",
            "Nobody has answered on this network yet. The song plays as it is meanwhile.",
        ),
        LinkState::Connecting => ("Connecting · closet", "Found closet; asking for a place."),
        LinkState::Bridging => (
            "Bridging · htdemucs · 250 ms · closet",
            "The stems are late: you hear the song itself, in time. Faders work again as soon as they arrive.",
        ),
        LinkState::Refused => (
            "Refused · 132 ms · closet",
            "closet cannot hold 132 ms: htdemucs needs 310 ms for one hop here.",
        ),
        LinkState::OfflineRender => (
            "Rendering offline · htdemucs · closet",
            "The bounce waits for every chunk, so that nothing is missing.",
        ),
        LinkState::Failed => (
            "Connection failed",
            "closet showed another key than the one you paired with. Pair again if the server was set up anew.",
        ),
        LinkState::HostRendersAhead => ("Host renders ahead", "No stems in time while the host works ahead."),
    };
    view.link.state = state;
    view.link.badge = badge.to_owned();
    view.link.sentence = sentence.to_owned();
    if state == LinkState::Refused {
        view.link.suggestion_millis = Some(350);
        view.budget_millis = 132;
    }
    if state == LinkState::Bridging {
        view.link.misses = [12, 3, 1];
        view.link.turnaround_millis = Some([212.0, 291.0]);
    } else if state != LinkState::OfflineRender {
        view.link.turnaround_millis = None;
    }
    if state == LinkState::HostRendersAhead {
        view.link.warning = Some("This host renders ahead: switch that off for this track (Reaper: anticipative FX; Cubase: ASIO-Guard).".to_owned());
    }
    view
}

/// Without the bass, which is mine; the drums are soloed, the vocals muted, too loud in places.
pub fn busy() -> View {
    let mut view = live();
    view.part.mode = PartMode::WithoutMine;
    view.strips[2].silenced = true;
    view.strips[2].peak = [0.0; 2];
    view.strips[0].mute = true;
    view.strips[0].peak = [0.0; 2];
    view.strips[1].solo = true;
    view.strips[1].gain_db = 8.0;
    view.strips[1].peak = [linear(2.0), linear(-1.0)];
    view.strips[5].silenced = true;
    view.strips[5].gain_db = -84.0;
    view.strips[5].peak = [0.0; 2];
    view
}

/// Vocals and accompaniment.
pub fn two_stems() -> View {
    let mut view = live();
    view.link.badge = "Live · spleeter-2stems · 250 ms · closet".to_owned();
    view.model = "spleeter-2stems".to_owned();
    view.strips = strips([true, false, false, false, false, true]);
    view.strips[5].name = "Accompaniment".to_owned();
    view.part.possible = false;
    view.part.why_not = Some("spleeter-2stems has no bass".to_owned());
    view
}

pub fn six_stems() -> View {
    let mut view = live();
    view.link.badge = "Live · htdemucs_6s · 350 ms · closet".to_owned();
    view.budget_millis = 350;
    view.strips = strips([true; 6]);
    view
}

/// The standalone without a tempo, with a file that cannot be read.
pub fn unknown_tempo() -> View {
    let mut view = live();
    view.click.tempo_bpm = None;
    view.click.beat = None;
    view.click.count_in_bars = Some(2);
    view.click.mode = ClickMode::CountIn;
    view.click.sounds.push("rim.wav".to_owned());
    view.click.sound = 3;
    view.click.own_wav = Some("rim.wav could not be read: it is not a WAV file.".to_owned());
    view
}

/// The standalone with a song that is looped.
pub fn playing() -> View {
    let song = |name: &str, place: &str| SongView { name: name.to_owned(), place: place.to_owned() };
    let open = song("The Franciums – Lead me home", "/home/mia/music/The Franciums/02 Lead me home.flac");
    let mut view = live();
    view.click.count_in_bars = Some(1);
    view.player = Some(PlayerView {
        recent: vec![
            open.clone(),
            song("Old one", "/songs/old/one.mp3"),
            song(
                "voice-message-0412.opus",
                "/home/mia/downloads/from the rehearsal on Tuesday/voice-message-0412.opus",
            ),
        ],
        song: Some(open),
        state: PlayState::Playing,
        position_seconds: 42.5,
        ready_seconds: 200.0,
        length_seconds: Some(200.0),
        loop_from_seconds: Some(30.25),
        loop_to_seconds: Some(61.007),
        looping: true,
        trouble: None,
        can_choose: true,
    });
    view
}

/// The standalone as it starts for the first time.
pub fn no_song() -> View {
    let mut view = live();
    view.player = Some(PlayerView { can_choose: true, ..PlayerView::default() });
    view
}

/// A song that could not be read, with one before it.
pub fn broken_song() -> View {
    let mut view = playing();
    let player = view.player.as_mut().expect("it has one");
    player.trouble = Some("half.flac is cut off: its header promises 4410000 frames, 2205000 are there; copy or download it again".to_owned());
    (player.state, player.looping) = (PlayState::Paused, false);
    (player.loop_from_seconds, player.loop_to_seconds) = (None, None);
    view
}

pub fn large(mut view: View) -> View {
    view.look.large_type = true;
    view
}

/// The key that opens the page behind the badge.
pub const SET_UP: &str = "Server, latency, model, looks";
/// The keys of its pages.
pub const SERVER_PAGE: &str = "Page: the server";
pub const LATENCY_PAGE: &str = "Page: latency and what it buys";
pub const CHECKUP_PAGE: &str = "Page: check my set-up";
/// The key that opens the click's page.
pub const ALL_OF_THE_CLICK: &str = "All of the click";
