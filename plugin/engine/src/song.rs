//! The song under the playhead: tells a jump from going on. Values only; whether a jump means anything to the
//! network is decided elsewhere.

use rehearsekit_audio::click::BeatTransport as Transport;

/// Rounding that is no jump: CLAP gives positions in seconds.
const ROUNDING_FRAMES: u64 = 2;

/// Follows the playhead from block to block.
#[derive(Debug, Default)]
pub(crate) struct Song {
    /// Where the playhead is to be next, if it was moving and the host said where.
    expected: Option<i64>,
}

impl Song {
    /// A block of `frames` frames begins with the playhead here; whether it has jumped to it.
    pub(crate) fn advance(&mut self, transport: Transport, frames: usize) -> bool {
        let position = transport.song_position_frames.filter(|_| transport.playing);
        let jumped = match (self.expected, position) {
            (Some(expected), Some(position)) => expected.abs_diff(position) > ROUNDING_FRAMES,
            _ => false,
        };
        self.expected = position.map(|position| position.saturating_add(frames as i64));
        jumped
    }

    /// The next block follows nothing.
    pub(crate) fn forget(&mut self) {
        self.expected = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(position: i64) -> Transport {
        Transport { playing: true, song_position_frames: Some(position), ..Transport::default() }
    }

    #[test]
    fn jumps_are_told_from_rounding() {
        let mut song = Song::default();
        assert!(!song.advance(at(-300), 100), "the first block follows nothing");
        assert!(!song.advance(at(-198), 100), "two frames of rounding");
        assert!(!song.advance(at(-100), 100));
        assert!(song.advance(at(3), 100), "three are a jump");
        assert!(song.advance(at(0), 100), "a loop");
        assert!(!song.advance(at(99), 0));
        assert!(
            !song.advance(at(i64::MAX), 100) || song.expected == Some(i64::MAX),
            "odd numbers are survived"
        );
        assert!(song.advance(at(i64::MIN), 100));
    }

    #[test]
    fn rounding_does_not_add_up() {
        let mut song = Song::default();
        // 512 frames at 44.1 kHz, in seconds with six decimals.
        for block in 0..100_000_i64 {
            let seconds = ((block * 512) as f64 / 44_100.0 * 1e6).round() / 1e6;
            assert!(!song.advance(at((seconds * 44_100.0).round() as i64), 512), "block {block}");
        }
    }

    #[test]
    fn a_playhead_that_stands_does_not_jump() {
        let mut song = Song::default();
        let stopped = Transport { playing: false, ..at(5) };
        assert!(!song.advance(at(0), 100));
        assert!(!song.advance(stopped, 100));
        assert!(!song.advance(stopped, 100));
        assert!(!song.advance(at(5), 100), "starting is no jump");
        assert!(!song.advance(Transport { song_position_frames: None, ..at(0) }, 100));
        assert!(!song.advance(at(9_000), 100), "where it was before is not known");
        song.forget();
        assert!(!song.advance(at(0), 100));
    }
}
