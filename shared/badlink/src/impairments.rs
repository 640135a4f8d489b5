//! What is wrong with a link, as values and as people write it: `loss=1%,delay=3ms,jitter=2ms`. Must not do any of it.

use std::{str::FromStr, time::Duration};

/// What goes wrong. The default is a clean link. Times count from the first datagram; each direction has its own luck.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairments {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// This part of all datagrams is lost, 0 to 1.
    pub loss: f64,
    /// Each takes this long one way, ...
    pub delay: Duration,
    /// ... and up to so much more or less, evenly; later ones may overtake.
    pub jitter: Duration,
    /// So often ...
    pub stall_every: Option<Duration>,
    /// ... nothing moves for so long; what waits comes at the end of it.
    pub stall: Duration,
    /// From this moment on ...
    pub outage_at: Option<Duration>,
    /// ... everything is swallowed for so long.
    pub outage: Duration,
    /// So often every client gets another address.
    pub rebind_every: Option<Duration>,
}

/// Why a text describes no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpairmentError {
    /// Nothing of that name can go wrong, or there is no value.
    #[error(
        "'{0}' is nothing that can be wrong with a link; write NAME=VALUE, separated by commas, with names out of loss, delay, jitter, stall-every, stall, outage-at, outage, rebind-every and seed, like loss=1%,delay=3ms,jitter=2ms"
    )]
    Name(String),
    /// A part that is none.
    #[error("loss={0} is no part of all datagrams; write 0% to 100%, like loss=1%")]
    Loss(String),
    /// A time without a unit, or none.
    #[error("{name}={value} is no time of at most an hour; write a number of ms or s, like {name}=3ms")]
    Time {
        /// What it was for.
        name: String,
        /// What was written.
        value: String,
    },
    /// A seed that is no number.
    #[error("seed={0} is no whole number; write one, like seed=1")]
    Seed(String),
}

impl FromStr for Impairments {
    type Err = ImpairmentError;

    /// Of a name that comes twice the last counts; an empty text is a clean link.
    fn from_str(text: &str) -> Result<Self, ImpairmentError> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || ImpairmentError::Name(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim());
            let time = || time(value).ok_or(ImpairmentError::Time { name: name.into(), value: value.into() });
            match name {
                "seed" => all.seed = value.parse().map_err(|_| ImpairmentError::Seed(value.into()))?,
                "loss" => all.loss = percent(value).ok_or(ImpairmentError::Loss(value.into()))?,
                "delay" => all.delay = time()?,
                "jitter" => all.jitter = time()?,
                "stall-every" => all.stall_every = Some(time()?),
                "stall" => all.stall = time()?,
                "outage-at" => all.outage_at = Some(time()?),
                "outage" => all.outage = time()?,
                "rebind-every" => all.rebind_every = Some(time()?),
                _ => return Err(wrong()),
            }
        }
        Ok(all)
    }
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number / 100.0)
}

fn time(text: &str) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(3_600);
    let (number, seconds) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let time = Duration::try_from_secs_f64(number.trim().parse::<f64>().ok()? * seconds).ok()?;
    (time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_written_as_people_would() {
        let told = "loss=1.5%, delay=3ms,jitter=2ms,stall-every=20s,stall=200ms,seed=7".parse();
        let meant = Impairments {
            seed: 7,
            loss: 0.015,
            delay: Duration::from_millis(3),
            jitter: Duration::from_millis(2),
            stall_every: Some(Duration::from_secs(20)),
            stall: Duration::from_millis(200),
            ..Impairments::default()
        };
        assert_eq!(told, Ok(meant));
        assert_eq!("outage-at=1s,outage=3s,rebind-every=10s".parse::<Impairments>().unwrap().loss, 0.0);
        assert_eq!("".parse(), Ok(Impairments::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (text, word) in [
            ("loss", "NAME=VALUE"),
            ("rain=1%", "loss, delay"),
            ("loss=1", "loss=1%"),
            ("loss=101%", "100%"),
            ("loss=nan%", "100%"),
            ("delay=3", "delay=3ms"),
            ("jitter=-2ms", "jitter=3ms"),
            ("stall=NaNs", "stall=3ms"),
            ("outage=2h", "ms or s"),
            ("delay=1e300s", "an hour"),
            ("seed=x", "seed=1"),
        ] {
            let said = text.parse::<Impairments>().unwrap_err().to_string();
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}
