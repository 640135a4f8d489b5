//! The standalone's own words on the command line; all others are the audio back end's.

use std::path::PathBuf;

use rehearsekit_audio::{Budget, typed};
use rehearsekit_plugin::click_params::{MOST_COUNTED, TEMPO_BPM};

/// What `--help` says.
pub(crate) const HELP: &str = "\
The RehearseKit plugin without a host: a player for songs, or for a live input, through a server.

Usage: rehearsekit-standalone [OPTIONS] [SONG]

  --file SONG          play this song at once; the window opens others. Any format that `rehearsekit separate` reads.
                       Without a song the live input is heard
  --loop               play it again and again
  --server HOST:PORT   the server; default 127.0.0.1:7433
  --model NAME         the model; default the server's
  --budget TIME        the latency, 1ms to 20s; default 250ms
  --tempo BPM          click at this tempo, with the song's beginning as the one
  --count-in BARS      click so many bars of four before the song

  --backend NAME       auto, jack, dummy, or the system's: alsa, core-audio, wasapi; default auto
  --sample-rate HZ     default the file's, else 48000; JACK's own rate always wins
  --period-size N      frames per block; default 512, not for JACK
  --input-device NAME, --output-device NAME
                       an unknown name lists the known ones; without an input device nothing is recorded
  --connect-jack-inputs PORT[,PORT]
                       connect the inputs under JACK

In the window: Space plays and pauses, arrows skip 5 s (with Shift 1 s), Home is the beginning, A and B set the loop's
ends to what is heard, L loops. The desktop's media keys work too. What is set is remembered for the next time.

Example: rehearsekit-standalone --file song.flac --tempo 92 --count-in 2";

/// A command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    /// The song.
    pub(crate) file: Option<PathBuf>,
    /// Whether it begins again at its end.
    pub(crate) looped: bool,
    /// See the engine's settings.
    pub(crate) server: Option<String>,
    /// See the engine's settings.
    pub(crate) model: Option<String>,
    /// See the engine's settings.
    pub(crate) budget_millis: Option<f64>,
    /// A tempo to click at.
    pub(crate) tempo_bpm: Option<f32>,
    /// Bars before the song.
    pub(crate) count_in_bars: Option<u32>,
    /// The rate that was asked for.
    pub(crate) rate_hz: Option<u32>,
    /// Words for the back end.
    pub(crate) backend: Vec<String>,
}

/// What a command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    /// To be explained.
    Help,
    /// To play.
    Run(Options),
}

impl Options {
    /// Whether JACK may be used, if it is there.
    pub(crate) fn wants_jack(&self) -> bool {
        let mut words = self.backend.iter().skip_while(|word| !["-b", "--backend"].contains(&word.as_str()));
        words.nth(1).is_none_or(|name| name == "auto" || name == "jack")
    }
}

/// Reads the words behind the program's name.
///
/// # Errors
/// A sentence about the word that does not fit.
pub(crate) fn read(words: Vec<String>) -> Result<Asked, String> {
    let mut options = Options::default();
    // `--name=value` and `--name value` are the same.
    let words = words.into_iter().flat_map(|word| match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
        _ => vec![word],
    });
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; see --help"));
        match word.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "--file" => options.file = Some(value()?.into()),
            "--loop" => options.looped = true,
            "--server" => options.server = Some(value()?),
            "--model" => options.model = Some(value()?),
            "--budget" => {
                let text = value()?;
                let budget = text.parse::<Budget>().map_err(|error| format!("--budget: {error}"))?;
                let millis = budget.duration().as_secs_f64() * 1e3;
                options.budget_millis = Some(millis);
            }
            "--tempo" => {
                let text = value()?;
                let [slowest, fastest] = TEMPO_BPM;
                let bpm = typed::with_unit(&text, typed::BPM).map(|bpm| bpm as f32);
                let bpm = bpm.filter(|bpm| (slowest..=fastest).contains(bpm));
                let bpm = bpm.ok_or_else(|| format!("--tempo takes {slowest} to {fastest}, not '{text}'"))?;
                options.tempo_bpm = Some(bpm);
            }
            "--count-in" => {
                let text = value()?;
                let bars = typed::whole_with_unit(&text, &[("bars", 1.0), ("bar", 1.0)]);
                let bars =
                    bars.and_then(|bars| u32::try_from(bars).ok()).filter(|bars| *bars <= MOST_COUNTED);
                let bars =
                    bars.ok_or_else(|| format!("--count-in takes 0 to {MOST_COUNTED} bars, not '{text}'"))?;
                options.count_in_bars = Some(bars);
            }
            "-r" | "--sample-rate" => {
                let text = value()?;
                let hz = typed::whole_with_unit(&text, typed::HERTZ).and_then(|hz| u32::try_from(hz).ok());
                let hz = hz.filter(|hz| (8_000..=192_000).contains(hz));
                let hz = hz.ok_or_else(|| format!("--sample-rate takes 8000 to 192000, not '{text}'"))?;
                options.rate_hz = Some(hz);
            }
            // Words of the back end come as pairs of a name and a value, which are kept together.
            name if name.starts_with('-') => {
                options.backend.push(name.to_owned());
                if !words.peek().is_none_or(|next| next.starts_with('-')) {
                    options.backend.extend(words.next());
                }
            }
            _ if options.file.is_none() => options.file = Some(word.into()),
            _ => return Err(format!("one song is played at a time; '{word}' is another")),
        }
    }
    Ok(Asked::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        match read(words.iter().map(|word| (*word).to_owned()).collect()) {
            Ok(Asked::Run(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn own_words_are_read_and_others_passed_on() {
        let read = options(&["--file=a b.wav", "--loop", "-p", "256", "--budget", "93ms", "-r", "44100"]);
        assert_eq!(read.file, Some(PathBuf::from("a b.wav")));
        assert_eq!((read.looped, read.budget_millis, read.rate_hz), (true, Some(93.0), Some(44_100)));
        assert_eq!(read.backend, ["-p", "256"]);
        let read = options(&["--tempo", "92.5", "--count-in=2"]);
        assert_eq!((read.tempo_bpm, read.count_in_bars), (Some(92.5), Some(2)));
        let read =
            options(&["--tempo=92,5 BPM", "--count-in", "2 bars", "--budget", "1,5 S", "-r", "44,1 khz"]);
        assert_eq!((read.tempo_bpm, read.count_in_bars), (Some(92.5), Some(2)));
        assert_eq!((read.budget_millis, read.rate_hz), (Some(1_500.0), Some(44_100)));
        // As a file manager's “open with” says it.
        let read = options(&["-p", "256", "my song.opus", "--backend", "jack"]);
        assert_eq!(read.file, Some(PathBuf::from("my song.opus")));
        assert_eq!(read.backend, ["-p", "256", "--backend", "jack"]);
    }

    #[test]
    fn jack_is_asked_unless_another_back_end_was_named() {
        assert!(options(&[]).wants_jack());
        assert!(options(&["--backend", "jack"]).wants_jack());
        assert!(!options(&["-b", "alsa"]).wants_jack());
        assert!(!options(&["--backend=dummy"]).wants_jack());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let refused = |words: &[&str]| read(words.iter().map(|w| (*w).to_owned()).collect()).unwrap_err();
        for budget in ["soon", "0", "nan", "inf", "1e39"] {
            assert!(refused(&["--budget", budget]).contains("like 250ms or 1.5s"), "{budget}");
        }
        assert!(refused(&["--tempo", "1000"]).contains("20 to 400"));
        assert!(refused(&["--count-in", "-1"]).contains("bars"));
        assert!(refused(&["--file"]).contains("--file"));
        assert!(refused(&["a.mp3", "b.mp3"]).contains("b.mp3"));
        assert!(refused(&["--sample-rate", "12"]).contains("8000"));
        assert_eq!(read(vec!["--help".to_owned()]), Ok(Asked::Help));
    }
}
