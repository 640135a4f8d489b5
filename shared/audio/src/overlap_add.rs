//! Overlap-add: the sum of overlapping windows, given out as soon as nothing more can be added to it.

/// Accumulates overlapping pieces of one or more channels and hands out the finished front.
///
/// The first frame held is always `start()`; pieces are added at absolute frame positions.
#[derive(Debug, Clone)]
pub struct OverlapAdd {
    start: u64,
    channels: Vec<Vec<f32>>,
}

impl OverlapAdd {
    /// An empty accumulator for `channels` channels whose first frame is `start`.
    pub fn new(channels: usize, start: u64) -> Self {
        Self { start, channels: vec![Vec::new(); channels] }
    }

    /// Position of the first frame not yet taken.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Adds `piece` to `channel`, its first frame at `position`. What lies before [`Self::start`] has been
    /// handed out already and is dropped.
    pub fn add(&mut self, channel: usize, position: i64, piece: &[f32]) {
        let offset = position - self.start as i64;
        let skip = (-offset).clamp(0, piece.len() as i64) as usize;
        let piece = &piece[skip..];
        let at = offset.max(0) as usize;
        let sum = &mut self.channels[channel];
        if sum.len() < at + piece.len() {
            sum.resize(at + piece.len(), 0.0);
        }
        for (s, p) in sum[at..].iter_mut().zip(piece) {
            *s += p;
        }
    }

    /// Takes everything before `end`, one `Vec` per channel (zeros where nothing was added).
    pub fn take_until(&mut self, end: u64) -> Vec<Vec<f32>> {
        let frames = end.saturating_sub(self.start) as usize;
        self.start += frames as u64;
        self.channels
            .iter_mut()
            .map(|c| {
                if c.len() < frames {
                    c.resize(frames, 0.0);
                }
                let rest = c.split_off(frames);
                std::mem::replace(c, rest)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_and_leave_once() {
        let mut ola = OverlapAdd::new(1, 10);
        ola.add(0, 8, &[9.0, 9.0, 1.0, 1.0]);
        ola.add(0, 11, &[2.0, 2.0]);
        assert_eq!(ola.take_until(12), vec![vec![1.0, 3.0]]);
        assert_eq!(ola.take_until(14), vec![vec![2.0, 0.0]]);
        assert_eq!(ola.start(), 14);
    }
}
