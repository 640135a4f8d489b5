//! Media keys: the desktop hands them to whoever plays, by MPRIS on Linux, and shows the song's name and position. Only
//! turns their words into the player's; without a desktop's bus there are none, which is no trouble.

use std::sync::Arc;
use std::time::Duration;

use rehearsekit_gui::{PlayState, PlayerAction, PlayerView};
use rehearsekit_plugin::player::Player as _;
use rehearsekit_plugin::shared::Shared;
use souvlaki::{
    MediaControlEvent, MediaControls, MediaMetadata, MediaPlayback, MediaPosition, PlatformConfig,
    SeekDirection,
};

use super::player::Player;

/// How often the desktop is told what plays; it counts the position on by itself.
const TELL_EVERY: Duration = Duration::from_millis(300);
/// Our name among players.
const NAME: &str = "rehearsekit";
/// A file may promise any length; the desktop counts in 64 bits of microseconds.
const MOST_SECONDS: f64 = 360_000.0;
/// Of a key that skips.
const SKIP_SECONDS: f64 = 5.0;
/// A position further off than this is told anew.
const OFF_SECONDS: f64 = 0.5;

/// Listens to them for as long as the program runs.
pub(super) fn listen(player: Arc<Player>, shared: Arc<Shared>) {
    let work = move || {
        let Some(name) = name() else { return tracing::info!("no desktop's bus, so no media keys") };
        let config = PlatformConfig { display_name: "RehearseKit", dbus_name: &name, hwnd: None };
        let mut controls = match MediaControls::new(config) {
            Ok(controls) => controls,
            Err(error) => return tracing::info!("no media keys: {error:?}"),
        };
        let (to_player, of) = (Arc::clone(&player), Arc::clone(&shared));
        let attached = controls.attach(move |event| {
            let heard = heard_seconds(&of);
            let view = to_player.view(heard);
            if let Some(action) = meaning(&event, &view) {
                to_player.act(action, heard);
            }
        });
        if let Err(error) = attached {
            return tracing::info!("no media keys: {error:?}");
        }
        let mut told: Option<(PlayerView, std::time::Instant)> = None;
        loop {
            let view = player.view(heard_seconds(&shared));
            tell(&mut controls, &view, told.as_ref());
            let now = std::time::Instant::now();
            let is_news = told.as_ref().is_none_or(|told| is_news(&told.0, told.1, &view));
            if is_news {
                told = Some((view, now));
            }
            std::thread::sleep(TELL_EVERY);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("rehearsekit-keys".to_owned()).spawn(work) {
        tracing::info!("no media keys: {error}");
    }
}

/// What we are called on the desktop's bus; `None` where there is no bus: souvlaki's thread would panic.
#[cfg(target_os = "linux")]
fn name() -> Option<String> {
    let names = super::chooser::names_on_the_bus("ListNames")?;
    // A second instance has the number of its process behind it, as MPRIS has it.
    let is_taken = names.contains(&format!("org.mpris.MediaPlayer2.{NAME}"));
    Some(if is_taken { format!("{NAME}.instance{}", std::process::id()) } else { NAME.to_owned() })
}

#[cfg(not(target_os = "linux"))]
fn name() -> Option<String> {
    Some(NAME.to_owned())
}

/// The moment of the song that is heard.
fn heard_seconds(shared: &Shared) -> f64 {
    shared.instance.view().click.own_seconds
}

/// What a media key wants, as things are; nothing where it means nothing here.
fn meaning(event: &MediaControlEvent, view: &PlayerView) -> Option<PlayerAction> {
    let way = |direction: &SeekDirection, seconds: f64| match direction {
        SeekDirection::Forward => PlayerAction::Skip(seconds),
        SeekDirection::Backward => PlayerAction::Skip(-seconds),
    };
    Some(match event {
        MediaControlEvent::Play => PlayerAction::Play(true),
        MediaControlEvent::Pause => PlayerAction::Play(false),
        MediaControlEvent::Toggle => PlayerAction::Play(!view.state.is_under_way()),
        MediaControlEvent::Stop => PlayerAction::Play(false),
        // One song is open: the one before is its beginning, or the loop's.
        MediaControlEvent::Previous => {
            PlayerAction::Seek(view.loop_from_seconds.filter(|_| view.looping).unwrap_or(0.0))
        }
        MediaControlEvent::Seek(direction) => way(direction, SKIP_SECONDS),
        MediaControlEvent::SeekBy(direction, by) => way(direction, by.as_secs_f64()),
        MediaControlEvent::SetPosition(MediaPosition(at)) => PlayerAction::Seek(at.as_secs_f64()),
        _ => return None,
    })
}

/// Whether the desktop has to hear of `now`, when it was told of `before` a while ago.
fn is_news(before: &PlayerView, at: std::time::Instant, now: &PlayerView) -> bool {
    let moving = matches!(before.state, PlayState::Playing | PlayState::CountingIn);
    let expected = before.position_seconds + if moving { at.elapsed().as_secs_f64() } else { 0.0 };
    before.song != now.song
        || before.state != now.state
        || before.length_seconds != now.length_seconds
        || (expected - now.position_seconds).abs() > OFF_SECONDS
}

fn tell(controls: &mut MediaControls, view: &PlayerView, told: Option<&(PlayerView, std::time::Instant)>) {
    if told.is_some_and(|(before, at)| !is_news(before, *at, view)) {
        return;
    }
    let seconds = |seconds: f64| {
        let seconds = if seconds.is_finite() { seconds.clamp(0.0, MOST_SECONDS) } else { 0.0 };
        Duration::from_secs_f64(seconds)
    };
    let named = MediaMetadata {
        title: view.song.as_ref().map(|song| song.name.as_str()),
        duration: view.length_seconds.map(seconds),
        ..MediaMetadata::default()
    };
    let progress = Some(MediaPosition(seconds(view.position_seconds)));
    let playback = match (&view.song, view.state.is_under_way()) {
        (None, _) => MediaPlayback::Stopped,
        (Some(_), true) => MediaPlayback::Playing { progress },
        (Some(_), false) => MediaPlayback::Paused { progress },
    };
    // A desktop that does not listen is no trouble of ours.
    let _ = controls.set_metadata(named);
    let _ = controls.set_playback(playback);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_key_does_what_its_picture_says() {
        let paused = PlayerView::default();
        let playing = PlayerView { state: PlayState::Playing, ..PlayerView::default() };
        let looped = PlayerView { looping: true, loop_from_seconds: Some(12.5), ..playing.clone() };
        let five = Duration::from_secs(5);
        for (event, view, action) in [
            (MediaControlEvent::Toggle, &paused, PlayerAction::Play(true)),
            (MediaControlEvent::Toggle, &playing, PlayerAction::Play(false)),
            (MediaControlEvent::Play, &playing, PlayerAction::Play(true)),
            (MediaControlEvent::Stop, &playing, PlayerAction::Play(false)),
            (MediaControlEvent::Previous, &playing, PlayerAction::Seek(0.0)),
            (MediaControlEvent::Previous, &looped, PlayerAction::Seek(12.5)),
            (MediaControlEvent::SeekBy(SeekDirection::Backward, five), &playing, PlayerAction::Skip(-5.0)),
            (MediaControlEvent::SetPosition(MediaPosition(five)), &playing, PlayerAction::Seek(5.0)),
        ] {
            assert_eq!(meaning(&event, view), Some(action), "{event:?}");
        }
        assert_eq!(meaning(&MediaControlEvent::Next, &playing), None);
        assert_eq!(meaning(&MediaControlEvent::Raise, &playing), None);
    }

    #[test]
    fn the_desktop_hears_of_jumps_and_states_and_counts_the_rest_itself() {
        let now = std::time::Instant::now();
        let playing =
            PlayerView { state: PlayState::Playing, position_seconds: 3.0, ..PlayerView::default() };
        assert!(!is_news(&playing, now, &playing));
        let jumped = PlayerView { position_seconds: 60.0, ..playing.clone() };
        assert!(is_news(&playing, now, &jumped));
        let paused = PlayerView { state: PlayState::Paused, ..playing.clone() };
        assert!(is_news(&playing, now, &paused));
    }
}
