//! The words of `load`.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use rehearsekit_audio::{Budget, typed};
use rehearsekit_badlink::Impairments;

use super::{ReachArgs, seconds};

#[derive(Args)]
#[command(after_help = format!(
    "Examples:\n  rehearsekit load --server 127.0.0.1:7433 --clients 3 --songs songs --budget 500ms --minutes 1\n  \
     rehearsekit load --clients 5 --songs songs --mix spleeter-2stems:4,htdemucs:1 --budget 1500ms --json\n  \
     rehearsekit load --clients 2 --songs songs --impair loss=1%,delay=3ms,jitter=2ms --seconds 30\n\n\
     Each client is a whole one: a link and an audio thread of its own, paced by the clock, each with another song\n\
     or another place in it. Everything that is played is checked: the stems sum to the song, and what travels are\n\
     stems of it. A client that the server refuses does not stop the others; it is told with the reason.\n\n\
     Exit codes:\n  \
     0  every client that was admitted missed nothing, and all sums are right\n  \
     1  something was missed or wrong (the result is printed all the same), or it failed while running\n  \
     2  wrong usage\n  \
     3  bad input: no songs, or one that cannot be used\n  \
     4  no client was admitted: the server cannot be reached, or refuses (what was refused is printed)"
))]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// How many clients ask for a session
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) clients: u16,
    /// What they play: a folder of songs (WAV, FLAC, MP3, Ogg Vorbis or M4A; a folder in it with WAV or FLAC files is
    /// one song in stems), or one song
    #[arg(long, value_name = "DIR")]
    pub(crate) songs: PathBuf,
    /// Latency to ask for, like 250ms or 1.5s
    #[arg(long, default_value_t = Budget::DEFAULT)]
    pub(crate) budget: Budget,
    /// Which models, and for how many clients of each round, like spleeter-2stems:4,htdemucs:1 [default: the server's]
    #[arg(long, value_name = "MODEL[:N],...", default_value = "", hide_default_value = true)]
    pub(crate) mix: Mix,
    /// How long each client plays
    #[arg(long, value_name = "N", value_parser = minutes, default_value = "1", conflicts_with = "seconds")]
    pub(crate) minutes: Duration,
    /// The same in seconds
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub(crate) seconds: Option<Duration>,
    /// A bad link for each client, with names out of loss, delay, jitter, stall-every, stall, outage-at, outage,
    /// rebind-every and seed, like loss=1%,delay=3ms,jitter=2ms
    #[arg(long, value_name = "NAME=VALUE,...")]
    pub(crate) impair: Option<Impairments>,
    /// A client begins so much later than the one before
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0.25")]
    pub(crate) stagger: Duration,
    /// Frames per block, as a host would hand to the plugin
    #[arg(long, value_name = "FRAMES", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=8_192))]
    pub(crate) block: u32,
    /// Convert the songs to this rate first, as if the DAW ran at it [default: each song's own]
    #[arg(long, value_name = "HZ")]
    pub(crate) rate: Option<u32>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl LoadArgs {
    /// How long each client plays.
    pub(crate) fn length(&self) -> Duration {
        self.seconds.unwrap_or(self.minutes)
    }
}

/// Whose turn it is: a round of models, repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mix(Vec<String>);

impl Mix {
    /// The most clients of one round.
    const MOST: usize = 1_000;

    /// The model of a client; empty for the server's default.
    pub(crate) fn model(&self, client: usize) -> &str {
        self.0.get(client % self.0.len().max(1)).map_or("", String::as_str)
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut round = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.trim().is_empty()) {
            let (model, weight) = part.split_once(':').unwrap_or((part, "1"));
            let weight = weight.parse::<usize>().ok().filter(|weight| (1..=Self::MOST).contains(weight));
            match weight {
                Some(weight) if !model.is_empty() => {
                    round.extend(std::iter::repeat_n(model.to_owned(), weight))
                }
                _ => {
                    return Err(format!(
                        "'{part}' is no model with a number of clients; write MODEL:N with a whole number from 1 on, separated by commas, like spleeter-2stems:4,htdemucs:1"
                    ));
                }
            }
        }
        if round.len() > Self::MOST {
            return Err(format!(
                "a round of {} clients is too long; {} are allowed",
                round.len(),
                Self::MOST
            ));
        }
        Ok(Self(round))
    }
}

fn minutes(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not a number of minutes between 0 and a day");
    // A number without a unit is one of minutes.
    let value = typed::number(text)
        .or_else(|| Some(typed::with_unit(text, typed::MILLIS)? / 60e3))
        .ok_or_else(bad)?;
    if (0.0..=1_440.0).contains(&value) { Ok(Duration::from_secs_f64(value * 60.0)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_a_round_that_is_repeated() {
        let mix: Mix = "a:2, b".parse().unwrap();
        assert_eq!((0..7).map(|client| mix.model(client)).collect::<String>(), "aabaaba");
        let none: Mix = "".parse().unwrap();
        assert_eq!(none.model(3), "");
        for bad in ["a:0", "a:", ":1", "a:-1", "a:1.5", "a,,b", "a:1001", ",", "a:1000,b:1000"] {
            let said = bad.parse::<Mix>().unwrap_err();
            assert!(said.contains("spleeter-2stems:4") || said.contains("1000 are allowed"), "{bad}: {said}");
        }
    }

    #[test]
    fn minutes_are_minutes() {
        assert_eq!(minutes("0.5"), Ok(Duration::from_secs(30)));
        for bad in ["", "-1", "nan", "1441", "1m"] {
            assert!(minutes(bad).is_err(), "{bad}");
        }
    }
}
