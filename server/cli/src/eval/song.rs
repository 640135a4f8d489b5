//! A song with known stems: one file per stem in a folder, the mix is their sum.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_media::place;

use crate::{args::Span, failure::Failure, song};

/// Left and right, equally long.
pub(crate) type Stereo = [Vec<f32>; 2];

/// What of a song is scored, and how it is changed first.
pub(crate) struct Excerpt {
    pub(crate) from: std::time::Duration,
    pub(crate) seconds: Option<std::time::Duration>,
    pub(crate) pause: Option<Span>,
}

/// The stems of one song, equally long, at one rate.
pub(crate) struct Song {
    pub(crate) name: String,
    pub(crate) rate: SampleRate,
    stems: BTreeMap<String, Stereo>,
}

impl Song {
    /// Reads every WAV and FLAC file of `folder` as a stem called by the file's name.
    pub(crate) fn read(folder: &Path, excerpt: &Excerpt) -> Result<Self, Failure> {
        let shown = place::shown(folder);
        let entries = fs::read_dir(folder)
            .map_err(|error| Failure::input(format!("cannot read the folder {shown}: {error}")))?;
        let mut rate = None;
        let mut stems = BTreeMap::new();
        for entry in entries {
            let path =
                entry.map_err(|e| Failure::input(format!("cannot read the folder {shown}: {e}")))?.path();
            let extension =
                path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            if !["wav", "flac"].contains(&extension.as_str()) {
                continue;
            }
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
            let audio = song::read_whole(&path)?;
            if *rate.get_or_insert(audio.rate()) != audio.rate() {
                let message = format!(
                    "{} is at {}, another stem of that song is not; make them one rate",
                    place::shown(&path),
                    audio.rate()
                );
                return Err(Failure::input(message));
            }
            let stereo = audio.stereo().map(<[f32]>::to_vec);
            if stems.insert(stem.clone(), stereo).is_some() {
                return Err(Failure::input(format!(
                    "{shown} holds the stem '{stem}' twice (as .wav and .flac); remove one"
                )));
            }
        }
        let Some(rate) = rate else {
            let message = format!(
                "{shown} holds no stems; put one WAV or FLAC file per stem there (vocals.flac, drums.flac, …)"
            );
            return Err(Failure::input(message));
        };
        let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name =
            absolute.file_name().map_or_else(|| shown.to_string(), |n| n.to_string_lossy().into_owned());
        let mut song = Self { name, rate, stems };
        song.cut(excerpt)?;
        Ok(song)
    }

    /// Length in frames.
    pub(crate) fn frames(&self) -> usize {
        self.stems.values().next().map_or(0, |s| s[0].len())
    }

    /// The sum of all stems, made louder by `gain`.
    pub(crate) fn mix(&self, gain: f32) -> Stereo {
        let mut mix = self.sum(|_| true);
        mix.iter_mut().flatten().for_each(|s| *s *= gain);
        mix
    }

    /// What each stem of a model should be, in the model's order. The closing stem (other, accompaniment) is
    /// everything that the model has no stem of its own for; a stem without a file is silent.
    pub(crate) fn references(&self, set: &StemSet) -> Vec<Stereo> {
        let own = |name: &str| set.index_of(name).is_some_and(|i| i != set.closing());
        (0..set.count())
            .map(|index| match set.names()[index].as_str() {
                _ if index == set.closing() => self.sum(|stem| !own(stem)),
                name => self.sum(|stem| stem == name),
            })
            .collect()
    }

    fn sum(&self, wanted: impl Fn(&str) -> bool) -> Stereo {
        let mut sum = [vec![0.0f64; self.frames()], vec![0.0f64; self.frames()]];
        for (_, stem) in self.stems.iter().filter(|(name, _)| wanted(name)) {
            for (sum, channel) in sum.iter_mut().zip(stem) {
                sum.iter_mut().zip(channel).for_each(|(s, &x)| *s += f64::from(x));
            }
        }
        sum.map(|c| c.into_iter().map(|s| s as f32).collect())
    }

    /// Makes all stems equally long, cuts the excerpt out and inserts the pause.
    fn cut(&mut self, excerpt: &Excerpt) -> Result<(), Failure> {
        let longest = self.stems.values().map(|s| s[0].len()).max().unwrap_or(0);
        let start = self.rate.frames_in(excerpt.from) as usize;
        let length = excerpt.seconds.map_or(usize::MAX, |s| self.rate.frames_in(s) as usize);
        let end = start.saturating_add(length).min(longest);
        if start >= end {
            let seconds = self.rate.duration(longest as u64).as_secs_f64();
            return Err(Failure::usage(format!(
                "{} lasts {seconds:.1} s; nothing is left of it with this --from and --seconds",
                self.name
            )));
        }
        let pause = match excerpt.pause {
            Some(span) => frames_of(span, self.rate),
            None => 0..0,
        };
        for channel in self.stems.values_mut().flatten() {
            channel.resize(longest, 0.0);
            channel.truncate(end);
            channel.drain(..start);
            let at = pause.start.min(channel.len());
            channel.splice(at..at, std::iter::repeat_n(0.0, pause.len()));
        }
        Ok(())
    }
}

/// A span in frames.
pub(crate) fn frames_of(span: Span, rate: SampleRate) -> Range<usize> {
    let start = rate.frames_in(span.start) as usize;
    start..start + rate.frames_in(span.length) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn song() -> Song {
        let stem = |x: f32| [vec![x; 4], vec![-x; 4]];
        let stems = [("vocals", 1.0), ("drums", 0.5), ("piano", 0.25)];
        let stems = stems.map(|(name, x)| (name.to_owned(), stem(x))).into();
        Song { name: "song".to_owned(), rate: SampleRate::HZ_44100, stems }
    }

    #[test]
    fn the_closing_stem_takes_what_the_model_does_not_name() {
        let two = StemSet::new(&["vocals", "accompaniment"]).unwrap();
        let four = StemSet::new(&["drums", "bass", "other", "vocals"]).unwrap();
        let firsts = |set| song().references(set).iter().map(|s| s[0][0]).collect::<Vec<_>>();
        assert_eq!(firsts(&two), [1.0, 0.75]);
        assert_eq!(firsts(&four), [0.5, 0.0, 0.25, 1.0]);
        assert_eq!(song().mix(2.0)[1], [-3.5; 4]);
    }
}
