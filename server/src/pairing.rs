//! The pairing code: `DATA/identity/pairing.json`, through which `rehearsekit pair` and the server tell each other how
//! it goes. Whoever can write in the data folder may show a code, so there is no other door for commands.
//!
//! A code dies of success, of five tries, of two minutes, or because it is withdrawn; then it is gone from the file,
//! and what is left says how it ended. This module must not know the network: `reception` answers it.

mod reception;
mod words;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rehearsekit_protocol::PairingCode;
use serde::{Deserialize, Serialize};

use crate::{
    hex,
    private::{self, Lock, PrivateError, Stamp},
};
pub(crate) use reception::{Attempt, Reception};

/// How long a code lives.
pub const CODE_LIVES: Duration = Duration::from_secs(120);
/// How often it may be tried.
pub const TRIES: u32 = 5;
/// How a code has ended is told for so long.
const ENDINGS_TOLD_SECONDS: u64 = 600;
/// The format of the file.
const VERSION: u64 = 1;

/// How a code ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A client is paired.
    Paired {
        /// What it is called.
        name: String,
        /// Its id.
        id: String,
    },
    /// It was tried too often.
    TriesOver,
    /// It was shown too long.
    Expired,
    /// Whoever showed it does so no longer.
    Withdrawn,
    /// Somebody sat between client and server.
    Intercepted,
    /// Another code is shown in its place.
    Replaced,
}

/// Which server has taken note of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotedBy {
    /// The server's name.
    pub server: String,
    /// The address of its link.
    pub address: std::net::SocketAddr,
}

/// What the file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u64,
    /// Which code this is, without telling it.
    id: String,
    /// In seconds since 1970, as is `expires`.
    made: u64,
    expires: u64,
    tries_left: u32,
    /// Eight digits, as long as the code lives.
    code: Option<String>,
    noted_by: Option<NotedBy>,
    /// How it ended, and when.
    ended: Option<(Ending, u64)>,
}

impl Written {
    /// Whether the code's time is over: by this clock, which may have been set, or because a server has known it for
    /// `known_for`. Of a clock that stands before the code was made nothing can be said, so that is over too.
    fn is_over(&self, unix_now: u64, known_for: Duration) -> bool {
        let longest = self.made.saturating_add(CODE_LIVES.as_secs());
        known_for >= CODE_LIVES || unix_now < self.made || unix_now >= self.expires.min(longest)
    }

    fn end(&mut self, ending: Ending) {
        self.code = None;
        self.ended = Some((ending, private::unix_now()));
    }
}

/// How it goes with a code that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Tries that are left.
    pub tries_left: u32,
    /// The server that knows it; `None` if none has looked yet.
    pub noted_by: Option<NotedBy>,
    /// How it ended; `None` while it lives.
    pub ending: Option<Ending>,
}

/// A code that was just made.
#[derive(Debug)]
pub struct Shown {
    /// Which code it is, for [`PairingDesk::progress`].
    pub id: String,
    /// The code.
    pub code: PairingCode,
}

/// The file, wherever it stands.
#[derive(Debug, Clone)]
pub struct PairingDesk {
    folder: PathBuf,
}

impl PairingDesk {
    /// The desk of the server whose data folder this is.
    pub fn of(data: &Path) -> Self {
        Self { folder: private::folder(data) }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("pairing.json")
    }

    fn stamp(&self) -> Stamp {
        Stamp::of(&self.path())
    }

    fn read(&self) -> Result<Option<Written>, PrivateError> {
        private::read_json(&self.path(), VERSION)
    }

    /// Whether the file can be used, if it is there.
    pub(crate) fn check(&self) -> Result<(), PrivateError> {
        self.read().map(drop)
    }

    /// Makes a new code, which takes the place of any other.
    pub fn show(&self) -> Result<Shown, PrivateError> {
        let _lock = Lock::take(&self.folder)?;
        let id = hex::hex(&private::random::<8>()?);
        let code = PairingCode::from_number(u64::from_le_bytes(private::random()?));
        let made = private::unix_now();
        let written = Written {
            version: VERSION,
            id: id.clone(),
            made,
            expires: made + CODE_LIVES.as_secs(),
            tries_left: TRIES,
            code: Some(code.digits()),
            noted_by: None,
            ended: None,
        };
        private::write_json(&self.path(), &written)?;
        Ok(Shown { id, code })
    }

    /// How it goes with the code `id`.
    pub fn progress(&self, id: &str) -> Result<Progress, PrivateError> {
        let gone = |ending| Progress { tries_left: 0, noted_by: None, ending: Some(ending) };
        Ok(match self.read()? {
            Some(written) if written.id == id => Progress {
                tries_left: written.tries_left,
                noted_by: written.noted_by,
                ending: written.ended.map(|(ending, _)| ending),
            },
            Some(_) => gone(Ending::Replaced),
            None => gone(Ending::Withdrawn),
        })
    }

    /// Ends the code `id` in this way, if it lives; gives how it has ended.
    pub fn end(&self, id: &str, ending: Ending) -> Result<Ending, PrivateError> {
        let _lock = Lock::take(&self.folder)?;
        let ended = self.change(id, |written| written.end(ending.clone()))?;
        Ok(if ended { ending } else { self.progress(id)?.ending.unwrap_or(Ending::Withdrawn) })
    }

    /// Changes the file if it holds the code `id` and that lives; whether it did. For who has the lock.
    fn change(&self, id: &str, change: impl FnOnce(&mut Written)) -> Result<bool, PrivateError> {
        match self.read()? {
            Some(mut written) if written.id == id && written.code.is_some() => {
                change(&mut written);
                private::write_json(&self.path(), &written)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_shown_replaced_and_withdrawn_and_then_gone_from_the_file() {
        let data = tempfile::tempdir().unwrap();
        let desk = PairingDesk::of(data.path());
        let first = desk.show().unwrap();
        let living = Progress { tries_left: TRIES, noted_by: None, ending: None };
        assert_eq!(desk.progress(&first.id).unwrap(), living);
        let text = || std::fs::read_to_string(desk.path()).unwrap();
        assert!(text().contains(&first.code.digits()));
        let second = desk.show().unwrap();
        assert_eq!(desk.progress(&first.id).unwrap().ending, Some(Ending::Replaced));
        assert_eq!(desk.end(&first.id, Ending::Expired).unwrap(), Ending::Replaced);
        assert_eq!(desk.progress(&second.id).unwrap(), living, "only its own code is withdrawn");
        assert_eq!(desk.end(&second.id, Ending::Withdrawn).unwrap(), Ending::Withdrawn);
        assert_eq!(desk.end(&second.id, Ending::Expired).unwrap(), Ending::Withdrawn, "it ends once");
        assert!(!text().contains(&second.code.digits()));
    }

    #[test]
    fn a_clock_that_is_set_gives_no_code_more_time() {
        let mut code = Written {
            version: VERSION,
            id: String::new(),
            made: 1_000,
            expires: 1_120,
            tries_left: TRIES,
            code: None,
            noted_by: None,
            ended: None,
        };
        let short = Duration::from_secs(1);
        assert!(!code.is_over(1_000, short) && !code.is_over(1_119, short));
        assert!(code.is_over(1_120, short), "two minutes by the clock");
        assert!(code.is_over(1_001, CODE_LIVES), "the clock was set back, the server was not");
        assert!(code.is_over(999, short), "the clock was set back before the code was made");
        code.expires = 9_999_999;
        assert!(code.is_over(1_120, short), "somebody wrote a longer life into the file");
    }
}
