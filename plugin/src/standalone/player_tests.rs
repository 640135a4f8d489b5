//! The player with real files and its real deck, whose audio callback is played by hand.

use rehearsekit_plugin::player::Player as _;
use rehearsekit_plugin_engine::Transport as Playhead;

use super::super::deck::Deck;
use super::*;

const RATE_HZ: u32 = 8_000;

struct House {
    folder: PathBuf,
    shared: Arc<Shared>,
    deck: Deck,
    player: Arc<Player>,
}

impl House {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rehearsekit-player-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let shared = Arc::new(Shared::default());
        shared.set_rate(RATE_HZ);
        let (deck, remote, shown) = Deck::new();
        let parts = Parts {
            shared: Arc::downgrade(&shared),
            remote,
            shown,
            recent: Recent::default(),
            looping: false,
            rate_hz: RATE_HZ,
            keep: Box::new(|_, _| {}),
        };
        Self { folder, shared, deck, player: Player::new(parts) }
    }

    /// A song of one second, whose sample number `n` is `n / 16384`.
    fn song(&self, name: &str) -> String {
        let path = self.folder.join(name);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..RATE_HZ).for_each(|n| writer.write_sample((n * 2) as i16).unwrap());
        writer.finalize().unwrap();
        path.display().to_string()
    }

    fn act(&self, action: PlayerAction) {
        self.player.act(action, 0.0);
    }

    /// Waits until the window shows what `is` asks for; only a hang lasts.
    fn until(&self, is: impl Fn(&PlayerView) -> bool) -> PlayerView {
        for _ in 0..6_000 {
            let view = self.player.view(0.0);
            if is(&view) {
                return view;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{:?}", self.player.view(0.0));
    }

    /// The number of each sample that is played.
    fn play(&mut self, frames: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        while numbers.len() < frames {
            let (mut left, mut right) =
                (vec![0.0; frames - numbers.len()], vec![0.0; frames - numbers.len()]);
            let mut playhead = Playhead::default();
            let run = self.deck.play([&mut left, &mut right], &mut playhead, 0, || 0);
            numbers.extend(left[..run].iter().map(|sample| (sample * 16_384.0).round() as i64));
        }
        numbers
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_song_is_opened_played_sought_and_looped_by_what_the_window_does() {
    let mut house = House::new("opened");
    let song = house.song("a b.wav");
    house.act(PlayerAction::Open(format!(" \"{song}\" ")));
    let view = house.until(|view| view.song.is_some() && view.ready_seconds == 1.0);
    assert_eq!(view.song, Some(SongView { name: "a b.wav".to_owned(), place: song }));
    assert_eq!((view.length_seconds, view.trouble), (Some(1.0), None));
    assert_eq!(house.play(10), [0; 10], "it stands until it is told to play");
    house.act(PlayerAction::Play(true));
    assert_eq!(house.play(4), [0, 1, 2, 3]);
    assert_eq!(house.player.view(0.0).state, PlayState::Playing);
    house.act(PlayerAction::Seek(0.5));
    assert_eq!(house.play(2), [4_000, 4_001]);
    // 1001 and 1777 are no whole blocks of anything.
    house.act(PlayerAction::LoopFrom(Some(0.125_125)));
    house.act(PlayerAction::LoopTo(Some(0.222_125)));
    house.act(PlayerAction::Seek(0.222));
    assert_eq!(house.play(3), [1_776, 1_001, 1_002]);
    let view = house.player.view(0.0);
    assert_eq!(
        (view.looping, view.loop_from_seconds, view.loop_to_seconds),
        (true, Some(0.125_125), Some(0.222_125))
    );
    house.act(PlayerAction::Looping(false));
    house.act(PlayerAction::Seek(0.222));
    assert_eq!(house.play(2), [1_776, 1_777]);
    house.player.act(PlayerAction::Play(false), 0.2);
    assert_eq!(house.play(2), [0, 0]);
    assert_eq!(house.player.view(9.0).position_seconds, 0.2, "it stands where it was heard");
    house.act(PlayerAction::Close);
    assert_eq!(house.player.view(0.0).song, None);
}

#[test]
fn the_loop_is_set_by_ear() {
    let mut house = House::new("ear");
    house.act(PlayerAction::Open(house.song("a.wav")));
    house.until(|view| view.ready_seconds == 1.0);
    house.act(PlayerAction::Play(true));
    house.play(4_000);
    // What is heard is 500 frames behind what goes in.
    house.player.act(PlayerAction::LoopFromHere, 0.1);
    house.player.act(PlayerAction::LoopToHere, 0.4375);
    assert_eq!(
        house.play(3),
        [800, 801, 802],
        "it has passed the loop's end already, so it begins it at once"
    );
    let view = house.player.view(0.0);
    assert_eq!((view.loop_from_seconds, view.loop_to_seconds, view.looping), (Some(0.1), Some(0.4375), true));
    house.player.act(PlayerAction::Skip(0.25), 0.15);
    assert_eq!(house.play(1), [3_200], "from what is heard");
}

#[test]
fn what_is_no_song_is_said_and_the_song_before_stays() {
    let house = House::new("broken");
    let song = house.song("a.wav");
    house.act(PlayerAction::Open(song.clone()));
    house.until(|view| view.song.is_some());
    let noise = house.folder.join("noise.mp3");
    std::fs::write(&noise, b"not music at all").unwrap();
    for place in [noise.display().to_string(), house.folder.join("gone.flac").display().to_string()] {
        house.act(PlayerAction::Open(place.clone()));
        let name = file_name(Path::new(&place));
        let view =
            house.until(|view| view.trouble.as_ref().is_some_and(|trouble| !trouble.starts_with("Reading")));
        assert!(view.trouble.is_some_and(|trouble| trouble.contains(&name)), "{name}");
        assert_eq!(view.song.map(|open| open.place), Some(song.clone()));
        assert_eq!(view.recent.len(), 1, "only songs are remembered");
    }
}

#[test]
fn songs_that_were_open_come_back_first() {
    let house = House::new("recent");
    let (a, b) = (house.song("a.wav"), house.song("b.wav"));
    for place in [&a, &b, &a] {
        house.act(PlayerAction::Open(place.clone()));
        house.until(|view| view.song.as_ref().is_some_and(|song| song.place == *place));
    }
    let recent: Vec<String> = house.player.view(0.0).recent.into_iter().map(|song| song.place).collect();
    assert_eq!(recent, [a, b]);
}

#[test]
fn without_a_song_and_without_a_window_nothing_falls_over() {
    let house = House::new("nothing");
    for action in [
        PlayerAction::Play(true),
        PlayerAction::Play(false),
        PlayerAction::Seek(f64::NAN),
        PlayerAction::Skip(f64::INFINITY),
        PlayerAction::LoopToHere,
        PlayerAction::Close,
    ] {
        house.act(action);
    }
    assert_eq!(house.player.view(f64::NAN).song, None);
    assert_eq!(house.shared.rate_hz(), RATE_HZ);
}

#[test]
fn paths_are_taken_as_people_type_them() {
    assert_eq!(typed_path("  /a b.mp3 "), PathBuf::from("/a b.mp3"));
    assert_eq!(typed_path("'/a b.mp3'"), PathBuf::from("/a b.mp3"));
    assert_eq!(typed_path("\"/a's.mp3\""), PathBuf::from("/a's.mp3"));
    assert!(typed_path("~/x.mp3").is_absolute());
    assert_eq!(typed_path("~x.mp3"), PathBuf::from("~x.mp3"));
}
