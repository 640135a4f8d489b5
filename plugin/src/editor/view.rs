//! From the engine's view and the parameters to what the panel shows. Decides on words and on nothing else.

use std::path::Path;

use rehearsekit_gui as gui;
use rehearsekit_gui::{BudgetView, LinkState, MasterView, PartView, StripView, View};
use rehearsekit_plugin_engine::click::{BUILT_IN_SOUNDS, ClickMode, ClickSource, Subdivision};
use rehearsekit_plugin_engine::{
    BudgetOffer, DEFAULT_SERVER, Levels, LinkView as Link, Mixer, Pairing, PartMode, STANDARD_BUDGETS_MILLIS,
    STRIPS, ServerSeen, Settings, Standing, Trust, View as Engine,
};

use super::checkup::findings;
use crate::shared::Shared;

/// What the strips are called in the window.
pub(super) const STRIP_TITLES: [&str; STRIPS] = ["Vocals", "Drums", "Bass", "Guitar", "Piano", "Other"];

/// Everything for one picture; takes the levels.
pub(super) fn view(shared: &Shared) -> View {
    let mut view = view_without_levels(shared);
    let Levels { main, strips, click, .. } = shared.instance.meters().take();
    view.master.peak = main;
    view.click.peak = click;
    view.strips.iter_mut().zip(strips).for_each(|(strip, peak)| strip.peak = peak);
    view
}

/// What changes only when something happens.
pub(super) fn view_without_levels(shared: &Shared) -> View {
    let engine = shared.instance.view();
    let heard_seconds = engine.click.own_seconds;
    let settings = shared.instance.settings();
    let mixer = shared.params.mixer();
    let look = shared.params.look.get();
    let budget_millis = settings.budget().duration().as_millis() as u32;
    let model = engine.model.clone().or(settings.model.clone()).unwrap_or_default();
    let millis = engine.latency_frames as f32 / engine.rate_hz.max(1) as f32 * 1e3;
    View {
        budgets: budgets(&engine, budget_millis),
        strips: strips(&engine, &mixer),
        part: part(&engine, &mixer, &model),
        master: MasterView {
            gain_db: shared.params.output.master.value(),
            wet: mixer.wetness,
            peak: [0.0; 2],
            bypass: mixer.bypassed,
        },
        click: click(shared, &engine),
        latency: (engine.rate_hz > 0).then_some((engine.latency_frames, millis)),
        server: typed(&settings),
        servers: shared.instance.servers().into_iter().map(server).collect(),
        discovery: shared.instance.servers_trouble().map(|trouble| sentence(&trouble)),
        pairing: match shared.instance.pairing() {
            Pairing::None => gui::PairingView::None,
            Pairing::Wanted { server, problem } => {
                let problem = problem.map(|problem| sentence(&problem));
                gui::PairingView::AskCode { server, tries_left: None, problem }
            }
            Pairing::Busy { server } => gui::PairingView::Busy { server },
            Pairing::Done { server } => gui::PairingView::Done { server },
        },
        link: link(engine, &model, budget_millis),
        findings: findings(shared),
        player: shared.player().map(|player| player.view(heard_seconds)),
        model,
        budget_millis,
        look: gui::Look { large_type: look.large_type, scale_percent: look.scale_percent },
    }
}

fn link(engine: Engine, model: &str, budget_millis: u32) -> gui::LinkView {
    let state = state(&engine);
    let server_name = host_of(&engine.server).to_owned();
    let latency = format!("{budget_millis} ms");
    let badge = match state {
        LinkState::Idle => vec!["Not connected"],
        LinkState::Looking => vec!["Looking for", &server_name],
        LinkState::Connecting => vec!["Connecting", &server_name],
        LinkState::Live => vec!["Live", model, &latency, &server_name],
        LinkState::Bridging => vec!["Bridging", model, &latency, &server_name],
        LinkState::Refused => vec!["Refused", &server_name],
        LinkState::OfflineRender => vec!["Rendering", model, &server_name],
        LinkState::Failed => vec!["Not connected", &server_name],
        LinkState::HostRendersAhead => vec!["The host renders ahead", &latency],
    };
    let (turnaround, round_trip) = (engine.turnaround_millis, engine.round_trip_millis);
    let told = match state {
        LinkState::HostRendersAhead => {
            "This host renders ahead, so stems cannot be there in time. Switch that off \
            for this track (Reaper: anticipative FX; Cubase: ASIO-Guard)."
                .to_owned()
        }
        LinkState::Bridging => {
            format!("{} Until stems are here you hear the song as it is.", engine.sentence)
        }
        _ => engine.sentence,
    };
    gui::LinkView {
        state,
        badge: badge.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · "),
        sentence: sentence(&told),
        suggestion_millis: engine.smallest_budget_millis.map(|least| least.ceil() as u32),
        // To whole milliseconds: what is shown, and no reason to draw anew for less.
        turnaround_millis: (turnaround.count > 0)
            .then(|| [turnaround.p50, turnaround.p99].map(|millis| millis.round() as f32)),
        // To tenths: what is shown, and no reason to draw anew for less.
        round_trip_millis: (round_trip.count > 0)
            .then(|| [round_trip.p50, round_trip.p99].map(|millis| (millis * 10.0).round() as f32 / 10.0)),
        needs_millis: engine.needs_millis.map(|millis| millis.round() as f32),
        recommended_millis: engine.recommendation.as_ref().and_then(|recommendation| recommendation.millis),
        recommendation: engine.recommendation.map(|recommendation| recommendation.sentence),
        misses: engine.missed,
        warning: engine.error,
        server_name,
    }
}

/// A sentence as the window shows it: begun as one, and names of commands as people quote them (a backtick looks like an
/// accent in the window's letters).
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    (first + letters.as_str()).replace('`', "\"")
}

/// The address that the player typed; empty where a server was picked, or none was.
fn typed(settings: &Settings) -> String {
    match settings.trust {
        Trust::Loopback => {
            settings.server.clone().filter(|server| server != DEFAULT_SERVER).unwrap_or_default()
        }
        Trust::Fingerprint(_) => String::new(),
    }
}

fn server(seen: ServerSeen) -> gui::ServerView {
    let id = seen.fingerprint.unwrap_or_default();
    let playing = seen.load.map(|(open, most)| format!("{open} of {most} playing"));
    gui::ServerView {
        short: id.chars().take(8).collect(),
        id,
        name: seen.name,
        address: seen.address,
        note: playing.into_iter().chain(seen.models).collect::<Vec<_>>().join(", "),
        standing: match seen.standing {
            Standing::ThisMachine => gui::Standing::ThisMachine,
            Standing::Known => gui::Standing::Known,
            Standing::New => gui::Standing::New,
            Standing::Revoked => gui::Standing::Revoked,
        },
        there: seen.is_there,
        picked: seen.is_picked,
    }
}

fn state(engine: &Engine) -> LinkState {
    match engine.link {
        Link::Idle => LinkState::Idle,
        Link::Failed => LinkState::Failed,
        Link::Refused(_) => LinkState::Refused,
        _ if engine.error.is_some() => LinkState::Failed,
        _ if engine.offline => LinkState::OfflineRender,
        Link::Looking => LinkState::Looking,
        Link::Connecting => LinkState::Connecting,
        Link::Live if engine.bursting => LinkState::HostRendersAhead,
        Link::Live if engine.bridging => LinkState::Bridging,
        Link::Live => LinkState::Live,
    }
}

/// The machine's name in `host:port`.
fn host_of(server: &str) -> &str {
    server.rsplit_once(':').map_or(server, |(host, _)| host)
}

fn budgets(engine: &Engine, chosen: u32) -> Vec<BudgetView> {
    let mut views: Vec<BudgetView> = if engine.offers.is_empty() {
        let unknown = |millis| BudgetView { millis, ..BudgetView::default() };
        STANDARD_BUDGETS_MILLIS.into_iter().map(unknown).collect()
    } else {
        engine.offers.iter().map(budget).collect()
    };
    if !views.iter().any(|view| view.millis == chosen) {
        views.push(BudgetView { millis: chosen, ..BudgetView::default() });
        views.sort_unstable_by_key(|view| view.millis);
    }
    views
}

fn budget(offer: &BudgetOffer) -> BudgetView {
    let quality = offer.quality_db.map(|db| match (db * 10.0).round() / 10.0 {
        0.0 => "as good as offline".to_owned(),
        worse @ ..0.0 => format!("{:.1} dB below offline", -worse),
        better => format!("{better:.1} dB above offline"),
    });
    BudgetView { millis: offer.millis, quality, holds: Some(offer.holds), note: offer.words.clone() }
}

fn strips(engine: &Engine, mixer: &Mixer) -> Vec<StripView> {
    let heard = mixer.heard(engine.strips);
    let accompaniment = engine.stems.len() == 2;
    let strip = |index: usize| {
        let set = &mixer.strips[index];
        // What closes the sum of two stems is everything but the other.
        let name = if accompaniment && index == STRIPS - 1 { "Band" } else { STRIP_TITLES[index] };
        StripView {
            name: name.to_owned(),
            present: engine.strips[index],
            gain_db: set.gain_db.max(gui::FADER_FOOT_DB),
            pan: set.pan,
            mute: set.muted,
            solo: set.soloed,
            silenced: engine.strips[index] && !heard[index] && !set.muted,
            peak: [0.0; 2],
        }
    };
    (0..STRIPS).map(strip).collect()
}

fn click(shared: &Shared, engine: &Engine) -> gui::ClickView {
    let params = &shared.params.click;
    let values = params.values();
    let settings = shared.instance.settings();
    let own_name =
        settings.click_file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let built_in = BUILT_IN_SOUNDS.iter().map(|name| (*name).to_owned());
    gui::ClickView {
        mode: match values.mode {
            ClickMode::Off => gui::ClickMode::Off,
            ClickMode::CountIn => gui::ClickMode::CountIn,
            ClickMode::On => gui::ClickMode::On,
        },
        level_db: params.level.value(),
        pan: values.pan,
        sound: values.sound.into(),
        sounds: built_in.chain(own_name.map(String::from)).collect(),
        own_wav: engine.click_file_problem.clone(),
        subdivision: match values.subdivision {
            Subdivision::Beats => gui::Subdivision::Beats,
            Subdivision::Eighths => gui::Subdivision::Eighths,
            Subdivision::Triplets => gui::Subdivision::Triplets,
            Subdivision::Sixteenths => gui::Subdivision::Sixteenths,
        },
        accent: values.accent,
        in_main: params.in_main.value(),
        source: match values.source {
            ClickSource::Host => gui::TempoSource::Host,
            ClickSource::Own => gui::TempoSource::Own,
        },
        tempo_bpm: engine.click.tempo_bpm.map(|tempo| (tempo * 100.0).round() as f32 / 100.0),
        own_tempo_bpm: params.tempo.value(),
        beats_per_bar: values.own_beats_per_bar,
        count_in_bars: shared.counts_in().then_some(settings.count_in_bars),
        beat: engine.click.beat.map(|(beat, of)| (beat.saturating_sub(1), of)),
        peak: [0.0; 2],
    }
}

fn part(engine: &Engine, mixer: &Mixer, model: &str) -> PartView {
    let possible = engine.strips.get(mixer.mine) == Some(&true);
    let title = STRIP_TITLES.get(mixer.mine).copied().unwrap_or_default().to_lowercase();
    PartView {
        mine: mixer.mine,
        mode: match mixer.part {
            PartMode::All => gui::PartMode::All,
            PartMode::WithoutMine => gui::PartMode::WithoutMine,
            PartMode::OnlyMine => gui::PartMode::OnlyMine,
        },
        possible,
        why_not: (!possible).then(|| {
            let model = if model.is_empty() { "This model" } else { model };
            format!("{model} does not separate {title}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_called_by_its_host() {
        for (server, host) in
            [("closet:7433", "closet"), ("[::1]:7433", "[::1]"), ("closet", "closet"), ("", "")]
        {
            assert_eq!(host_of(server), host);
        }
    }

    #[test]
    fn before_anything_runs_the_window_says_so_and_offers_the_usual_budgets() {
        let shared = Shared::default();
        let view = view(&shared);
        assert_eq!((view.link.state, view.link.badge.as_str()), (LinkState::Idle, "Not connected"));
        assert_eq!(view.latency, None);
        assert!(view.budgets.iter().any(|budget| budget.millis == view.budget_millis));
        assert!(view.budgets.iter().all(|budget| budget.holds.is_none()), "nobody knows yet");
        shared.change_settings(|settings| settings.budget_millis = 123.0);
        let millis: Vec<u32> = super::view(&shared).budgets.iter().map(|budget| budget.millis).collect();
        assert!(millis.contains(&123) && millis.is_sorted());
    }

    #[test]
    fn a_budget_is_told_as_the_server_measured_it_and_nothing_is_made_up() {
        let quality = |quality_db| {
            let offer = BudgetOffer {
                millis: 93,
                holds: true,
                quality_db,
                words: "hop 23 ms".to_owned(),
                need_millis: None,
            };
            budget(&offer).quality
        };
        assert_eq!(quality(None), None);
        assert_eq!(quality(Some(-0.31)).as_deref(), Some("0.3 dB below offline"));
        assert_eq!(quality(Some(0.04)).as_deref(), Some("as good as offline"));
        assert_eq!(quality(Some(0.2)).as_deref(), Some("0.2 dB above offline"));
    }

    #[test]
    fn what_others_silence_is_shown_as_silenced_and_a_mute_is_not() {
        let mut mixer = Mixer::default();
        let mut engine = Shared::default().instance.view();
        engine.strips = [true, true, true, false, false, true];
        mixer.strips[0].soloed = true;
        mixer.strips[1].muted = true;
        let silenced = |mixer: &Mixer| -> Vec<bool> {
            strips(&engine, mixer).iter().map(|strip| strip.silenced).collect()
        };
        assert_eq!(silenced(&mixer), [false, false, true, false, false, true]);
        mixer = Mixer { part: PartMode::OnlyMine, mine: 1, ..mixer };
        assert_eq!(silenced(&mixer), [true, false, true, false, false, true]);
        mixer.mine = 3;
        assert_eq!(silenced(&mixer), [false, false, true, false, false, true], "nobody has a guitar");
        assert!(
            part(&engine, &mixer, "htdemucs").why_not.unwrap().contains("htdemucs does not separate guitar")
        );
    }
}
