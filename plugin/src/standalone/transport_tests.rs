//! The transport over frames: every command in every state, and what a player hears of it.

use super::*;

const ALL: Extent = Extent { ready: 1_000, length: Some(1_000) };

fn none() -> i64 {
    0
}

fn standing() -> Transport {
    Transport::new(Loop::default(), 10)
}

fn playing(looped: Loop) -> Transport {
    let mut transport = Transport::new(looped, 10);
    transport.act(Command::Play, ALL);
    transport
}

fn looped(from: i64, to: i64) -> Loop {
    Loop::default().switched(true).from(Some(from)).to(Some(to))
}

/// All positions of `frames` frames, in blocks of `block`; −1 where nothing of the song is played.
fn positions(transport: &mut Transport, frames: usize, block: usize, extent: Extent) -> Vec<i64> {
    let mut all = Vec::new();
    while all.len() < frames {
        let mut left = block.min(frames - all.len());
        while left > 0 {
            let run = transport.advance(left, extent, none);
            assert!((1..=left).contains(&run.frames), "{run:?} of {left}");
            all.extend((0..run.frames as i64).map(|n| if run.what == What::Song { run.at + n } else { -1 }));
            left -= run.frames;
        }
    }
    all
}

#[test]
fn it_stands_until_play_and_stops_at_the_end() {
    let mut transport = standing();
    assert_eq!(transport.advance(64, ALL, none), Run { frames: 64, at: 0, what: What::Still });
    transport.act(Command::Play, ALL);
    let heard = positions(&mut transport, 1_100, 64, ALL);
    let expected: Vec<i64> = (0..1_000).chain(std::iter::repeat_n(-1, 100)).collect();
    assert_eq!(heard, expected);
    assert_eq!(transport.advance(5, ALL, none), Run { frames: 5, at: 1_000, what: What::Still });
    transport.act(Command::Play, ALL);
    assert_eq!(transport.advance(5, ALL, none).at, 0, "from its end it begins again");
}

#[test]
fn a_loop_is_exact_to_the_frame_however_it_is_cut() {
    let expected: Vec<i64> = (0..377).chain((0..).flat_map(|_| 101..377).take(1_000)).collect();
    for block in [1, 7, 64, 512, 4_096] {
        let mut transport = playing(looped(101, 377));
        assert_eq!(positions(&mut transport, expected.len(), block, ALL), expected, "block {block}");
    }
}

#[test]
fn a_run_ends_where_a_jump_is() {
    let mut transport = playing(looped(100, 300));
    transport.act(Command::Seek(290), ALL);
    assert_eq!(transport.advance(64, ALL, none), Run { frames: 10, at: 290, what: What::Song });
    assert_eq!(transport.advance(54, ALL, none), Run { frames: 54, at: 100, what: What::Song });
}

#[test]
fn sought_behind_the_loop_it_plays_on_and_comes_back_from_the_end() {
    let mut transport = playing(looped(100, 300));
    transport.act(Command::Seek(300), ALL);
    let expected: Vec<i64> = (300..1_000).chain(100..150).collect();
    assert_eq!(positions(&mut transport, expected.len(), 64, ALL), expected);
}

#[test]
fn a_loop_without_ends_is_the_song() {
    let mut transport = playing(Loop::default().switched(true));
    let expected: Vec<i64> = (0..1_000).chain(0..100).collect();
    assert_eq!(positions(&mut transport, expected.len(), 512, ALL), expected);
}

#[test]
fn a_loop_that_is_too_short_or_behind_the_song_is_none() {
    for looped in [looped(500, 505), looped(2_000, 3_000)] {
        let mut transport = playing(looped);
        let expected: Vec<i64> = (0..1_000).chain([-1; 10]).collect();
        assert_eq!(positions(&mut transport, 1_010, 64, ALL), expected);
    }
}

#[test]
fn a_loop_switched_on_while_it_plays_counts_from_its_next_end() {
    let mut transport = playing(Loop::default());
    positions(&mut transport, 350, 50, ALL);
    transport.act(Command::Loop(looped(100, 300)), ALL);
    assert_eq!(positions(&mut transport, 10, 10, ALL)[0], 350, "it is not torn away");
    transport.act(Command::Seek(250), ALL);
    let expected: Vec<i64> = (250..300).chain(100..120).collect();
    assert_eq!(positions(&mut transport, 70, 64, ALL), expected);
    transport.act(Command::Loop(looped(100, 300).switched(false)), ALL);
    let expected: Vec<i64> = (120..320).collect();
    assert_eq!(positions(&mut transport, 200, 64, ALL), expected);
}

#[test]
fn the_ends_of_a_loop_never_cross() {
    let both = looped(100, 300);
    assert_eq!(both.ends(), [Some(100), Some(300)]);
    assert_eq!(both.from(Some(300)).ends(), [Some(300), None]);
    assert_eq!(both.from(Some(299)).ends(), [Some(299), Some(300)]);
    assert_eq!(both.to(Some(100)).ends(), [None, Some(100)]);
    assert_eq!(both.from(None).to(None).ends(), [None, None]);
    assert_eq!(both.from(Some(-5)).to(Some(0)).ends(), [Some(0), None], "nothing before the song");
}

#[test]
fn it_counts_in_wherever_it_starts_and_not_after_a_jump() {
    for start in [0, 400] {
        let mut transport = standing();
        transport.act(Command::Seek(start), ALL);
        transport.act(Command::Play, ALL);
        let run = transport.advance(512, ALL, || 96);
        assert_eq!(run, Run { frames: 96, at: start - 96, what: What::CountIn });
        let run = transport.advance(64, ALL, || panic!("once"));
        assert_eq!(run, Run { frames: 64, at: start, what: What::Song });
        transport.act(Command::Seek(600), ALL);
        assert_eq!(transport.advance(64, ALL, || panic!("once")).at, 600);
    }
    let mut transport = playing(looped(100, 300));
    transport.advance(100, ALL, none);
    for _ in 0..10 {
        assert_eq!(transport.advance(100, ALL, || panic!("a loop does not count")).what, What::Song);
    }
}

#[test]
fn a_seek_while_it_counts_counts_anew() {
    let mut transport = playing(Loop::default());
    transport.advance(50, ALL, || 96);
    transport.act(Command::Seek(700), ALL);
    assert_eq!(transport.advance(64, ALL, || 96), Run { frames: 64, at: 604, what: What::CountIn });
}

#[test]
fn it_pauses_where_it_was_heard_and_goes_on_there() {
    let mut transport = playing(Loop::default());
    positions(&mut transport, 500, 50, ALL);
    transport.act(Command::Pause { heard: 380 }, ALL);
    assert_eq!(transport.advance(64, ALL, none), Run { frames: 64, at: 380, what: What::Still });
    transport.act(Command::Pause { heard: 77 }, ALL);
    assert_eq!(transport.at(), 380, "it stands already");
    transport.act(Command::Play, ALL);
    assert_eq!(transport.advance(64, ALL, none).at, 380);
}

#[test]
fn paused_in_the_count_in_it_stands_where_the_song_goes_on() {
    // While it counts, and while the count-in is under way to the ear.
    for played in [50, 150] {
        let mut transport = standing();
        transport.act(Command::Seek(400), ALL);
        transport.act(Command::Play, ALL);
        transport.advance(50, ALL, || 96);
        while transport.at() < 304 + played {
            transport.advance(1, ALL, || 0);
        }
        transport.act(Command::Pause { heard: 350 }, ALL);
        assert_eq!(transport.at(), 400, "played {played}");
    }
    // Behind a loop's end, what is heard is the song again.
    let mut transport = playing(looped(100, 300));
    transport.act(Command::Seek(290), ALL);
    positions(&mut transport, 30, 10, ALL);
    transport.act(Command::Pause { heard: 105 }, ALL);
    assert_eq!(transport.at(), 105);
}

#[test]
fn it_waits_for_what_is_not_read_and_skips_nothing() {
    let mut transport = playing(Loop::default());
    let part = |ready| Extent { ready, length: None };
    assert_eq!(positions(&mut transport, 200, 64, part(150))[149..151], [149, -1]);
    assert_eq!(transport.advance(64, part(150), none), Run { frames: 64, at: 150, what: What::Waiting });
    assert_eq!(transport.advance(64, part(300), none), Run { frames: 64, at: 150, what: What::Song });
    transport.act(Command::Seek(900), part(300));
    assert_eq!(transport.advance(64, part(300), none).what, What::Waiting);
    assert_eq!(transport.advance(64, ALL, none).at, 900);
    transport.act(Command::Seek(5_000), part(300));
    let short = Extent { ready: 400, length: Some(400) };
    assert_eq!(transport.advance(64, short, none).what, What::Still, "there is no such moment");
}

#[test]
fn a_length_known_before_the_end_is_read_is_no_reason_to_play_what_is_not_there() {
    let mut transport = playing(Loop::default());
    let promised = Extent { ready: 100, length: Some(1_000) };
    assert_eq!(positions(&mut transport, 200, 64, promised)[99..101], [99, -1]);
}

#[test]
fn odd_numbers_are_survived() {
    for to in [i64::MIN, -1, i64::MAX] {
        let mut transport = playing(looped(100, 300));
        transport.act(Command::Seek(to), ALL);
        transport.advance(64, ALL, none);
        transport.act(Command::Pause { heard: to }, ALL);
        assert!((0..=1_000).contains(&transport.at()));
    }
    let mut transport = playing(Loop::default().from(Some(i64::MIN)).to(Some(i64::MIN)));
    assert_eq!(transport.advance(0, ALL, none).frames, 0);
    let empty = Extent { ready: 0, length: Some(0) };
    assert_eq!(transport.advance(64, empty, none).what, What::Still);
}
