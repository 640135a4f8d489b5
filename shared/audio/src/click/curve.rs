//! How a tempo moves between two moments at which it is known: beats over frames and back. Must not know of bars,
//! hosts or rates.

/// Frames by which a change of tempo may seem to lie outside of its stretch, by rounding alone.
const ROUNDING_FRAMES: f64 = 0.1;

/// Both ends of a stretch over which the tempo was not told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ends {
    /// Length in frames, above 0.
    pub frames: f64,
    /// Quarter notes at the beginning and at the end.
    pub beats: [f64; 2],
    /// Quarter notes per frame at the beginning and at the end, above 0.
    pub tempo: [f64; 2],
    /// Whether the tempo stood still right before, and does right behind.
    pub steady: [bool; 2],
}

impl Ends {
    /// Where the tempo would have changed if it had changed at once, in frames from the beginning. `None` if it did
    /// not change, or if no change between the two ends gives these beats.
    pub fn middle(&self) -> Option<f64> {
        let step = self.tempo[1] - self.tempo[0];
        if step.abs() <= 1e-12 * self.tempo[0] {
            return None;
        }
        let middle = (self.tempo[1] * self.frames - (self.beats[1] - self.beats[0])) / step;
        let range = -ROUNDING_FRAMES..=self.frames + ROUNDING_FRAMES;
        range.contains(&middle).then(|| middle.clamp(0.0, self.frames))
    }
}

/// Beats as a function of frames, rising everywhere.
///
/// The tempo is constant, then moves evenly (or at once) to another, then is constant again. Given the beats and the
/// tempo at both ends that is one curve, and it is the true one for a constant tempo, for a step, for an even ramp
/// and for either end of one, wherever between the two ends they lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Curve {
    beats: f64,
    tempo: f64,
    turn: Option<Turn>,
}

/// The tempo moves from one to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    /// First and last frame of it.
    from: f64,
    to: f64,
    tempo: f64,
}

impl Curve {
    /// `tempo` quarter notes per frame, above 0, from `beats` on.
    pub fn constant(beats: f64, tempo: f64) -> Self {
        Self { beats, tempo, turn: None }
    }

    /// From one known moment to the next.
    pub fn between(ends: &Ends) -> Self {
        let Ends { frames, beats, tempo, steady } = *ends;
        let Some(middle) = ends.middle() else {
            // A host that contradicts itself: what is certain are the beats.
            let mean = (beats[1] - beats[0]) / frames;
            return Self::constant(beats[0], if mean > 0.0 { mean } else { tempo[0] });
        };
        let half = match steady {
            [true, true] => 0.0,
            [true, false] => frames - middle,
            [false, true] => middle,
            [false, false] => middle.min(frames - middle),
        };
        // A ramp that stood still at neither end fills the stretch, however it is rounded.
        let half = half.min(frames);
        let turn = Turn { from: middle - half, to: middle + half, tempo: tempo[1] };
        Self { beats: beats[0], tempo: tempo[0], turn: Some(turn) }
    }

    /// Quarter notes at `frames` from the beginning; may be negative and beyond the end.
    pub fn beats_at(&self, frames: f64) -> f64 {
        let straight = self.beats + self.tempo * frames;
        let Some(turn) = self.turn else { return straight };
        let step = turn.tempo - self.tempo;
        if frames <= turn.from {
            straight
        } else if frames < turn.to {
            let into = frames - turn.from;
            straight + 0.5 * step / (turn.to - turn.from) * into * into
        } else {
            straight + step * (frames - 0.5 * (turn.from + turn.to))
        }
    }

    /// Quarter notes per frame at `frames` from the beginning.
    pub fn tempo_at(&self, frames: f64) -> f64 {
        match self.turn {
            Some(turn) if frames >= turn.to => turn.tempo,
            Some(turn) if frames > turn.from => {
                self.tempo + (turn.tempo - self.tempo) * (frames - turn.from) / (turn.to - turn.from)
            }
            _ => self.tempo,
        }
    }

    /// The inverse of [`Self::beats_at`].
    pub fn frames_at(&self, beats: f64) -> f64 {
        let straight = (beats - self.beats) / self.tempo;
        let Some(turn) = self.turn.filter(|turn| straight > turn.from) else { return straight };
        let beyond = beats - self.beats_at(turn.to);
        if beyond >= 0.0 {
            return turn.to + beyond / turn.tempo;
        }
        let into = beats - self.beats_at(turn.from);
        let slope = (turn.tempo - self.tempo) / (turn.to - turn.from);
        // In this form nothing is lost where the slope is next to nothing.
        turn.from + 2.0 * into / (self.tempo + (self.tempo * self.tempo + 2.0 * slope * into).max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The true beats at `x` of a tempo that moves from `a` to `b` between `from` and `to`.
    fn truth(a: f64, b: f64, [from, to]: [f64; 2], x: f64) -> f64 {
        let ramp = (x.clamp(from, to) - from).max(0.0);
        let slope = if to > from { (b - a) / (to - from) } else { 0.0 };
        a * x + 0.5 * slope * ramp * ramp + (b - a) * (x - to).max(0.0)
    }

    #[test]
    fn steps_ramps_and_their_ends_are_exact_wherever_they_lie() {
        let frames = 480.0;
        for (a, b) in [(4e-5, 6e-5), (6e-5, 1e-5), (4e-5, 4.000_1e-5)] {
            for (span, steady) in [
                ([0.0, 480.0], [false, false]),
                ([240.0, 240.0], [true, true]),
                ([7.5, 7.5], [true, true]),
                ([0.0, 0.0], [true, true]),
                ([480.0, 480.0], [true, true]),
                ([100.0, 480.0], [true, false]),
                ([0.0, 33.0], [false, true]),
            ] {
                let beats = [10.0, 10.0 + truth(a, b, span, frames)];
                let curve = Curve::between(&Ends { frames, beats, tempo: [a, b], steady });
                for step in 0..=96 {
                    let x = f64::from(step) * 5.0;
                    let error = curve.beats_at(x) - 10.0 - truth(a, b, span, x);
                    assert!((error / a).abs() < 1e-3, "{span:?} {a} {b} at {x}: {} frames", error / a);
                    assert!((curve.frames_at(curve.beats_at(x)) - x).abs() < 1e-6, "{span:?} at {x}");
                }
                assert!((curve.tempo_at(frames + 1.0) - b).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn a_host_that_contradicts_itself_is_believed_in_its_beats() {
        let ends = Ends { frames: 100.0, beats: [1.0, 1.02], tempo: [1e-4, 1.1e-4], steady: [true, true] };
        assert_eq!(ends.middle(), None);
        let curve = Curve::between(&ends);
        assert!((curve.beats_at(100.0) - 1.02).abs() < 1e-12);
        assert!((curve.frames_at(1.01) - 50.0).abs() < 1e-9);
        let backwards = Ends { beats: [1.0, 0.5], ..ends };
        assert!(Curve::between(&backwards).tempo_at(0.0) > 0.0);
    }
}
