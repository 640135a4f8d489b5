//! Scores: SDR where there is a reference, leakage where it is silent.

use std::ops::Range;

use rehearsekit_audio::{StemSet, measure};
use serde_json::{Map, Value, json};

use super::song::Stereo;
use crate::output::finite;

/// One stem's score. Infinite values (a perfect or a silent estimate) are `null` in JSON.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Score {
    /// 10·log10(Σ ref² / Σ (ref − est)²).
    SdrDb(f64),
    /// The estimate's level, where nothing should be.
    LeakageDbfs(f64),
}

impl Score {
    fn json(self) -> Value {
        match self {
            Self::SdrDb(db) => json!({ "sdr_db": finite(db) }),
            Self::LeakageDbfs(db) => json!({ "leakage_dbfs": finite(db) }),
        }
    }
}

/// The scores of all stems, in the model's order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores(pub(crate) Vec<Score>);

impl Scores {
    /// Scores `estimates` (in the model's order) against `references` over `range`; the shapes are equal.
    pub(crate) fn of(references: &[Stereo], estimates: &[Stereo], range: Range<usize>) -> Self {
        let part = |stem: &Stereo| stem.iter().map(|c| clip(c, &range).to_vec()).collect::<Vec<_>>();
        Self(
            references
                .iter()
                .zip(estimates)
                .map(|(reference, estimate)| {
                    let (reference, estimate) = (part(reference), part(estimate));
                    match measure::sdr_db(&reference, &estimate) {
                        Some(db) => Score::SdrDb(db),
                        None => Score::LeakageDbfs(measure::level_dbfs(&estimate)),
                    }
                })
                .collect(),
        )
    }

    pub(crate) fn json(&self, set: &StemSet) -> Value {
        let scores = set.names().iter().zip(&self.0).map(|(name, score)| (name.to_string(), score.json()));
        Value::Object(scores.collect::<Map<_, _>>())
    }
}

/// The mean SDR of each stem over songs (those that have it) and over all of them, for the summary.
pub(crate) fn means(set: &StemSet, songs: &[&Scores]) -> Value {
    let sdr = |scores: &Scores, stem: usize| match scores.0[stem] {
        Score::SdrDb(db) if db.is_finite() => Some(db),
        _ => None,
    };
    let mut all = Map::new();
    for (stem, name) in set.names().iter().enumerate() {
        let values: Vec<f64> = songs.iter().filter_map(|s| sdr(s, stem)).collect();
        if !values.is_empty() {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            all.insert(name.to_string(), json!({ "sdr_db": mean, "songs": values.len() }));
        }
    }
    Value::Object(all)
}

fn clip<'c>(channel: &'c [f32], range: &Range<usize>) -> &'c [f32] {
    &channel[range.start.min(channel.len())..range.end.min(channel.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_scored_by_what_leaks_into_it() {
        let silent = [vec![0.0f32; 100], vec![0.0; 100]];
        let loud = [vec![0.1f32; 100], vec![0.1; 100]];
        let half = [vec![0.05f32; 100], vec![0.05; 100]];
        let scores = Scores::of(&[silent, loud.clone()], &[loud, half], 10..50);
        let [Score::LeakageDbfs(leak), Score::SdrDb(sdr)] = scores.0[..] else { panic!("{scores:?}") };
        assert!((leak + 20.0).abs() < 1e-3 && (sdr - 6.02).abs() < 0.01);
        let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
        assert!(scores.json(&set)["vocals"]["leakage_dbfs"].is_number());
        assert!(scores.json(&set)["accompaniment"]["sdr_db"].is_number());
    }
}
