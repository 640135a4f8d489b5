//! The tempo that follows from taps. A pure function of the times they came at; whoever calls it has the clock.

/// A silence this long ends a run of taps.
const PAUSE_SECONDS: f64 = 2.0;

/// An interval this far from the median (as a share of it) is another tempo, or a slip.
const OUTLIER: f64 = 0.3;

/// As many taps as are looked back at.
const REMEMBERED: usize = 9;

/// The taps of a run.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    seconds: Vec<f64>,
}

impl Taps {
    /// Another tap at `now` seconds. From the third of a run on there is a tempo in beats per minute.
    ///
    /// The median says which intervals belong together: one far from it starts a new run. The tempo is then the mean
    /// of the run's intervals, because the times of taps are rounded to pictures, and a median keeps that rounding.
    pub(crate) fn tap(&mut self, now: f64) -> Option<f32> {
        let fits = self.seconds.last().is_some_and(|last| {
            let interval = now - last;
            let usual = median(&self.intervals()).unwrap_or(interval);
            interval > 0.0 && interval <= PAUSE_SECONDS && (interval - usual).abs() <= OUTLIER * usual
        });
        if !fits {
            self.seconds.clear();
        }
        self.seconds.push(now);
        if self.seconds.len() > REMEMBERED {
            self.seconds.remove(0);
        }
        let intervals = self.intervals();
        (intervals.len() >= 2).then(|| {
            let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
            (600.0 / mean).round() as f32 / 10.0
        })
    }

    /// How many there are in this run.
    pub(crate) fn count(&self) -> usize {
        self.seconds.len()
    }

    fn intervals(&self) -> Vec<f64> {
        self.seconds.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(seconds: &[f64]) -> Vec<Option<f32>> {
        let mut taps = Taps::default();
        seconds.iter().map(|now| taps.tap(*now)).collect()
    }

    #[test]
    fn three_taps_make_a_tempo_and_two_do_not() {
        assert_eq!(all(&[10.0, 10.5, 11.0, 11.5]), [None, None, Some(120.0), Some(120.0)]);
    }

    #[test]
    fn taps_rounded_to_pictures_still_give_the_tempo() {
        let picture = 1.0 / 60.0;
        let seconds: Vec<f64> =
            (0..9).map(|n| (f64::from(n) * 60.0 / 125.0 / picture).round() * picture).collect();
        let tempo = all(&seconds).last().copied().flatten().unwrap();
        assert!((tempo - 125.0).abs() < 0.7, "{tempo}");
    }

    #[test]
    fn a_pause_starts_anew() {
        let tempi = all(&[0.0, 0.5, 1.0, 4.0, 5.0, 6.0]);
        assert_eq!(tempi, [None, None, Some(120.0), None, None, Some(60.0)]);
    }

    #[test]
    fn another_tempo_starts_anew_instead_of_being_mixed_in() {
        let tempi = all(&[0.0, 0.5, 1.0, 1.3, 1.6, 1.9]);
        assert_eq!(tempi, [None, None, Some(120.0), None, None, Some(200.0)]);
    }

    #[test]
    fn a_hand_that_is_not_a_machine_is_followed() {
        let tempo = all(&[0.0, 0.52, 0.99, 1.51, 2.0]).last().copied().flatten();
        assert_eq!(tempo, Some(120.0));
    }

    #[test]
    fn only_the_last_taps_count_so_that_a_tempo_can_be_pulled() {
        let mut seconds = vec![0.0];
        for n in 0..40 {
            seconds.push(seconds[n] + if n < 20 { 0.5 } else { 0.45 });
        }
        assert_eq!(all(&seconds).last().copied().flatten(), Some(133.3));
    }

    #[test]
    fn a_clock_that_runs_backwards_is_a_new_run() {
        assert_eq!(all(&[5.0, 5.5, 1.0, 1.5, 2.0]), [None, None, None, None, Some(120.0)]);
    }
}
