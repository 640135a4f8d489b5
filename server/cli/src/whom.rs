//! Which server a command means: an address, the name or identity of one this computer is paired with, or the usual
//! one. Must not connect.

use std::sync::Arc;

use rehearsekit_client::{Finder, Fingerprint, KnownServers, Target};
use rehearsekit_discovery::Browser;

use crate::failure::Failure;

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
        let known = KnownServers::of_user().and_then(|file| file.list()).map_err(Failure::usage)?;
        let target = Target::of(Some(server), fingerprint, &known);
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

/// Finds servers among those that `browser` sees.
pub(crate) fn finder(browser: Arc<Browser>) -> Finder {
    Finder::new(move |fingerprint| browser.addresses_of(&fingerprint.0))
}
