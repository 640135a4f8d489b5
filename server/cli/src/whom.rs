//! Which server a command means: an address, the name or identity of one this computer is paired with, or the usual
//! one. Must not connect.

use std::sync::Arc;

use rehearsekit_client::{Finder, Fingerprint, KnownError, KnownServers, Target};
use rehearsekit_discovery::Browser;

use crate::{failure::Failure, output};

/// The server, and how to find it should it have moved.
pub(crate) struct Whom {
    pub(crate) target: Target,
    pub(crate) finder: Finder,
    /// Who looks for it, where it is somebody who announces itself.
    pub(crate) browser: Option<Arc<Browser>>,
}

impl Whom {
    /// Whom `server` (empty: the usual one) and `fingerprint` mean.
    pub(crate) fn of(server: &str, fingerprint: Option<&str>) -> Result<Self, Failure> {
        let fingerprint = fingerprint.map(str::parse::<Fingerprint>).transpose().map_err(Failure::usage)?;
        let target = match KnownServers::of_user().and_then(|file| file.list()) {
            Ok(known) => Target::of(Some(server), fingerprint, &known),
            Err(error) => of_nobody(server, fingerprint, &error)?,
        };
        // A server with an identity may have moved since it was met.
        let browser = target.fingerprint().map(|_| Arc::new(Browser::start()));
        let finder = browser.clone().map_or_else(Finder::default, finder);
        Ok(Self { target, finder, browser })
    }

    /// What to call it.
    pub(crate) fn title(&self) -> &str {
        match &self.target {
            Target::Known { server, .. } if !server.name.is_empty() => &server.name,
            target => target.address(),
        }
    }
}

/// Whom is meant where the list of paired servers is of no use: a server on this computer can be met without it.
fn of_nobody(server: &str, fingerprint: Option<Fingerprint>, error: &KnownError) -> Result<Target, Failure> {
    let target = Target::of(Some(server), fingerprint, &[]);
    // Without a place there is no list; one that cannot be read may have the usual server in it.
    let is_said = *error == KnownError::NoPlace || !server.trim().is_empty();
    if target.wants_code() || !is_said {
        return Err(Failure::usage(error));
    }
    output::note(&format!(
        "{error}; until then this computer is paired with no server, and only one on this computer itself can be used"
    ));
    Ok(target)
}

/// Finds servers among those that `browser` sees.
pub(crate) fn finder(browser: Arc<Browser>) -> Finder {
    Finder::new(move |fingerprint| browser.addresses_of(&fingerprint.0))
}
