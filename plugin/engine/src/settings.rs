//! What a project remembers of an instance: plain data, for the host's project file. Values are not trusted, whoever
//! brings them: an instance takes over the nearest that makes sense ([`Settings::sane`]) and nothing else.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    time::Duration,
};

use rehearsekit_audio::{Budget, SampleRate};
use serde::{Deserialize, Serialize};

/// Everything about an instance that lives in the project, apart from the host's parameters.
///
/// Unknown fields are ignored and missing ones have defaults, so projects of other versions open. (The plugin keeps
/// what is ignored and writes it back.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `HOST:PORT`, or the name of a paired server; `None` is the usual paired server, and without one
    /// [`DEFAULT_SERVER`](crate::DEFAULT_SERVER).
    pub server: Option<String>,
    /// The model's name; `None` is the server's default.
    pub model: Option<String>,
    /// The latency the player picked, in milliseconds. See [`Settings::budget`].
    pub budget_millis: f64,
    /// Whose certificate is believed.
    pub trust: Trust,
    /// Who this instance is.
    pub instance: InstanceId,
    /// The stems that the model had when it was last heard of, so that the mixer means the same before the
    /// server answers, or when it does not. Filled in by [`Instance`](crate::Instance).
    pub stems: Vec<String>,
    /// A moment of the song that is a bar's first beat at the player's own tempo, in seconds.
    pub own_one_seconds: f64,
    /// A sound of the player's own for the click: a WAV file.
    #[serde(serialize_with = "lossy")]
    pub click_file: Option<PathBuf>,
    /// Bars that the standalone counts in before its song.
    pub count_in_bars: u32,
}

impl Default for Settings {
    /// The defaults, with a new identity.
    fn default() -> Self {
        Self {
            server: None,
            model: None,
            budget_millis: Budget::DEFAULT.duration().as_secs_f64() * 1e3,
            trust: Trust::Loopback,
            instance: InstanceId::random(),
            stems: Vec::new(),
            own_one_seconds: 0.0,
            click_file: None,
            count_in_bars: 0,
        }
    }
}

impl Settings {
    /// The nearest that makes sense: every number is one, and in its range; no text or list is longer than any that
    /// people need.
    #[must_use]
    pub fn sane(self) -> Self {
        let default_millis = Budget::DEFAULT.duration().as_secs_f64() * 1e3;
        let short = |text: &String| text.len() <= MOST_TEXT_BYTES;
        let trust = match self.trust {
            Trust::Fingerprint(text) if !short(&text) => Trust::Loopback,
            trust => trust,
        };
        let few = self.stems.len() <= MOST_STEMS && self.stems.iter().all(short);
        Self {
            server: self.server.filter(short),
            model: self.model.filter(short),
            budget_millis: within(self.budget_millis, BUDGET_MILLIS).unwrap_or(default_millis),
            trust,
            instance: self.instance,
            stems: if few { self.stems } else { Vec::new() },
            own_one_seconds: within(self.own_one_seconds, [-LONGEST_SECONDS, LONGEST_SECONDS]).unwrap_or(0.0),
            click_file: self.click_file.filter(|path| path.as_os_str().len() <= MOST_TEXT_BYTES),
            count_in_bars: self.count_in_bars.min(MOST_COUNT_IN_BARS),
        }
    }

    /// The budget; outside 1 ms to 20 s the nearest of these, and the default for what is no number.
    pub fn budget(&self) -> Budget {
        let millis = within(self.budget_millis, BUDGET_MILLIS);
        let budget = millis.map(|millis| Budget::new(Duration::from_secs_f64(millis / 1e3)));
        budget.and_then(Result::ok).unwrap_or(Budget::DEFAULT)
    }

    /// The latency at `rate_hz`, in frames. It depends on the budget and on nothing else.
    pub fn latency_frames(&self, rate_hz: u32) -> u32 {
        match SampleRate::new(rate_hz) {
            Ok(rate) => self.budget().frames(rate),
            // Outside of what a server can be asked for, the mix alone still comes out in time.
            Err(_) => (self.budget().duration().as_secs_f64() * f64::from(rate_hz)) as u32,
        }
    }
}

/// Shortest and longest budget.
const BUDGET_MILLIS: [f64; 2] = [1.0, 20_000.0];
/// Most bars that are counted in.
pub const MOST_COUNT_IN_BARS: u32 = 8;
/// No song is longer: a week.
const LONGEST_SECONDS: f64 = 604_800.0;
/// No name of a server, model or stem, and no path, is longer.
const MOST_TEXT_BYTES: usize = 4_096;
/// No model has more.
const MOST_STEMS: usize = 32;

/// A path whose name is no Unicode is written as near as can be: it must not cost the project its settings.
fn lossy<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

/// The nearest to `number` from `least` to `most`; `None` for what is no number. There is no −0.
fn within(number: f64, [least, most]: [f64; 2]) -> Option<f64> {
    (!number.is_nan()).then(|| number.clamp(least, most) + 0.0)
}

/// Whose certificate is believed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Any server on this machine, and elsewhere one that this computer is paired with.
    #[default]
    Loopback,
    /// The one server with this fingerprint: 64 hexadecimal digits. Its token is no part of the project: it is in the
    /// user's list of paired servers.
    Fingerprint(String),
}

/// Who an instance is: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId(pub u128);

impl InstanceId {
    /// A new identity.
    pub fn random() -> Self {
        // The standard library's hashers are seeded by the system; identities need to differ, not to be secret.
        let half = |salt: u8| u128::from(RandomState::new().hash_one((salt, std::process::id())));
        Self(half(0) << 64 | half(1))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceId({self})")
    }
}

impl Serialize for InstanceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceId {
    /// Text that is no identity gives a new one: an odd project must still open.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(u128::from_str_radix(text.trim(), 16).map_or_else(|_| Self::random(), Self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_comes_back_as_it_was_saved() {
        let settings = Settings {
            server: Some("closet:7433".to_owned()),
            budget_millis: 93.4,
            trust: Trust::Fingerprint("ab".repeat(32)),
            stems: vec!["vocals".to_owned(), "accompaniment".to_owned()],
            ..Settings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
    }

    #[test]
    fn no_number_of_a_project_is_beyond_what_makes_sense() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, -1e300] {
            let odd = Settings {
                budget_millis: odd,
                own_one_seconds: odd,
                count_in_bars: u32::MAX,
                server: Some("x".repeat(1 << 20)),
                stems: vec![String::new(); 1 << 20],
                ..Settings::default()
            };
            let sane = odd.clone().sane();
            assert_eq!(sane.budget(), odd.budget(), "the latency is the same");
            assert!((1.0..=20_000.0).contains(&sane.budget_millis) && sane.own_one_seconds.is_finite());
            assert_ne!(sane.own_one_seconds.to_bits(), (-0.0_f64).to_bits());
            assert_eq!((sane.count_in_bars, &sane.server, sane.stems.len()), (8, &None, 0));
            assert_eq!(sane.clone().sane(), sane);
            let text = serde_json::to_string(&sane).unwrap();
            assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), sane);
            // Whatever way they come in by.
            assert_eq!(crate::Instance::new(odd.clone()).settings(), sane);
            let instance = crate::Instance::new(Settings::default());
            instance.configure(odd);
            assert_eq!(instance.settings(), sane);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_unicode_costs_no_settings() {
        use std::os::unix::ffi::OsStringExt as _;
        let path = PathBuf::from(std::ffi::OsString::from_vec(b"Beyonc\xe9.wav".to_vec()));
        let settings = Settings { click_file: Some(path), count_in_bars: 2, ..Settings::default() };
        let text = serde_json::to_string(&settings).unwrap();
        let again: Settings = serde_json::from_str(&text).unwrap();
        assert_eq!((again.count_in_bars, again.click_file), (2, Some("Beyonc\u{fffd}.wav".into())));
    }

    #[test]
    fn projects_of_other_versions_and_odd_ones_open() {
        let old: Settings = serde_json::from_str(r#"{"budget_millis": 100, "later": [1]}"#).unwrap();
        assert_eq!((old.budget_millis, old.server), (100.0, None));
        let odd: Settings = serde_json::from_str(r#"{"instance": "nobody", "server": "  "}"#).unwrap();
        assert_ne!(odd.instance, old.instance);
        for (millis, frames) in [(-3.0, 48), (0.0, 48), (1e9, 960_000), (f64::NAN, 12_000), (250.0, 12_000)] {
            let settings = Settings { budget_millis: millis, ..Settings::default() };
            assert_eq!(settings.latency_frames(48_000), frames, "{millis} ms");
        }
        assert_eq!(Settings::default().latency_frames(384_000), 96_000);
        assert_ne!(InstanceId::random(), InstanceId::random());
    }
}
