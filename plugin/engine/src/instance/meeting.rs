//! The player's hand on servers: who is there, which one is meant, pairing with it. Nothing here waits.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use rehearsekit_client::{
    DEFAULT_SERVER, Fingerprint, LinkError, LinkState, NewPairing, PairRequest, PairingCode, PairingFailure,
    RefusalCode, Target, pair,
};

use rehearsekit_discovery::Trouble;

use super::Instance;
use crate::{
    network,
    servers::{self, Pairing, ServerSeen},
    settings::{Settings, Trust},
    shared::lock,
};

/// That pairing worked is told for this long.
const DONE_FOR: Duration = Duration::from_secs(4);

/// What the player and the network have made of pairing so far.
#[derive(Debug, Default)]
pub(super) enum Attempt {
    #[default]
    None,
    /// Not now.
    Dismissed,
    /// The code is with the server. The number tells one attempt from the next.
    Busy(u64),
    Failed(String),
    Done(Instant),
}

impl Instance {
    /// The servers to pick from, for a picker. Starts the search for them.
    pub fn servers(&self) -> Vec<ServerSeen> {
        if let Some(network) = &*self.network() {
            network.browse();
        }
        let known = self.keyring.list().unwrap_or_default();
        let target = servers::target(&self.settings(), &known).ok();
        let revoked = self.is_revoked();
        servers::list(target.as_ref(), &known, &network::announced(), revoked, &mut lock(&self.shown))
    }

    /// What keeps servers from being found, or the list of paired servers from being of use, in a sentence.
    pub fn servers_trouble(&self) -> Option<String> {
        match self.keyring.list() {
            Ok(_) => self.search_trouble().map(|trouble| trouble.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// What keeps servers from being found.
    pub(super) fn search_trouble(&self) -> Option<Trouble> {
        let target = servers::target(&self.settings(), &self.keyring.list().ok()?).ok()?;
        // Whoever is being played with over the network is there, whatever the search says.
        let answering = match (target.fingerprint(), &target) {
            (Some(fingerprint), Target::Known { address, .. }) if self.is_live() && !is_here(address) => {
                vec![fingerprint.0]
            }
            _ => Vec::new(),
        };
        network::trouble(&answering)
    }

    /// The settings with another server: `fingerprint` of one of [`Self::servers`], empty for one on this computer.
    /// For [`Self::configure`].
    pub fn picking(&self, fingerprint: &str) -> Settings {
        *lock(&self.attempt) = Attempt::None;
        let seen = self.servers().into_iter().find(|seen| seen.fingerprint.as_deref() == Some(fingerprint));
        let address = seen.map(|seen| seen.address).filter(|address| !address.is_empty());
        if let (Some(address), Ok(identity)) = (&address, fingerprint.parse()) {
            // From now on it is the usual one. A list that cannot be written is told by `servers_trouble`.
            let _ = self.keyring.used(identity, address);
        }
        let (server, trust) = match fingerprint {
            "" => (Some(DEFAULT_SERVER.to_owned()), Trust::Loopback),
            _ => (address, Trust::Fingerprint(fingerprint.to_owned())),
        };
        Settings { server, trust, ..self.settings() }
    }

    /// The settings with a server at this address (`HOST:PORT`, or the name of a paired one; none is the usual one).
    /// For [`Self::configure`].
    pub fn typing(&self, address: Option<String>) -> Settings {
        *lock(&self.attempt) = Attempt::None;
        Settings { server: address, trust: Trust::Loopback, ..self.settings() }
    }

    /// Where pairing with the picked server has got to.
    pub fn pairing(&self) -> Pairing {
        let known = self.keyring.list().unwrap_or_default();
        let Ok(target) = servers::target(&self.settings(), &known) else { return Pairing::None };
        let server = servers::title(&target);
        let mut attempt = lock(&self.attempt);
        match &*attempt {
            Attempt::Busy(_) => return Pairing::Busy { server },
            Attempt::Done(at) if at.elapsed() < DONE_FOR => return Pairing::Done { server },
            Attempt::Done(_) => *attempt = Attempt::None,
            Attempt::Dismissed => return Pairing::None,
            Attempt::None | Attempt::Failed(_) => {}
        }
        let refused = matches!(self.refusal(), Some(RefusalCode::NotPaired | RefusalCode::Revoked));
        let problem = match &*attempt {
            Attempt::Failed(problem) => Some(problem.clone()),
            _ => None,
        };
        if target.wants_code() || refused || problem.is_some() || self.is_not_paired() {
            Pairing::Wanted { server, problem }
        } else {
            Pairing::None
        }
    }

    /// Tries the code that the player typed on the picked server, in the background; [`Self::pairing`] tells how it
    /// goes. When it works, the server is remembered and looked for at once.
    pub fn pair(self: &Arc<Self>, code: &str) {
        let mut attempt = lock(&self.attempt);
        if matches!(*attempt, Attempt::Busy(_)) {
            return;
        }
        let known = self.keyring.list().unwrap_or_default();
        let request = match (code.parse::<PairingCode>(), servers::target(&self.settings(), &known)) {
            (Err(error), _) => Err(error.to_string()),
            (_, Err(problem)) => Err(problem),
            (Ok(code), Ok(target)) => {
                let server = target.address().to_owned();
                let (finder, expected) = (servers::finder(), target.fingerprint());
                Ok(PairRequest { server, finder, expected, code, name: computer() })
            }
        };
        let network = self.network();
        match (request, &*network) {
            (Err(problem), _) => *attempt = Attempt::Failed(problem),
            (_, None) => *attempt = Attempt::Failed("the network cannot be started".to_owned()),
            (Ok(request), Some(network)) => {
                if is_looked_for(request.expected, &request.server) {
                    network.browse();
                }
                let number = self.next_attempt();
                *attempt = Attempt::Busy(number);
                network.handle().spawn(attempt_to_pair(Arc::downgrade(self), request, number));
            }
        }
    }

    /// Not now: no code is asked for until another server is picked. What is under way comes to nothing.
    pub fn cancel_pairing(&self) {
        *lock(&self.attempt) = Attempt::Dismissed;
    }

    /// This computer is not paired with the server of this fingerprint any more.
    pub fn forget(&self, fingerprint: &str) {
        if let Ok(fingerprint) = fingerprint.parse() {
            // A list that cannot be written is told by `servers_trouble`.
            let _ = self.keyring.forget(fingerprint);
            self.look_again();
        }
    }

    fn paired(&self, number: u64, result: Result<NewPairing, PairingFailure>) {
        let is_this = |attempt: &Attempt| matches!(attempt, Attempt::Busy(busy) if *busy == number);
        let mut attempt = lock(&self.attempt);
        // A token that was given although the player has changed their mind is kept all the same: the server lists it.
        let wanted = is_this(&attempt);
        let kept = result.map_err(|failure| failure.to_string()).and_then(|new| {
            let fingerprint = new.fingerprint.to_string();
            self.keyring.remember(new, &computer()).map_err(|error| error.to_string())?;
            Ok(fingerprint)
        });
        if !wanted {
            return;
        }
        match kept {
            Err(problem) => *attempt = Attempt::Failed(problem),
            Ok(fingerprint) => {
                *attempt = Attempt::Done(Instant::now());
                drop(attempt);
                self.configure(Settings { trust: Trust::Fingerprint(fingerprint), ..self.settings() });
                self.look_again();
            }
        }
    }

    fn is_live(&self) -> bool {
        matches!(self.link_state(), Some(LinkState::Live(_)))
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.refusal() == Some(RefusalCode::Revoked)
    }

    fn refusal(&self) -> Option<RefusalCode> {
        match self.link_state()? {
            LinkState::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// The address turned out to be another machine's.
    fn is_not_paired(&self) -> bool {
        matches!(self.link_state(), Some(LinkState::Failed(LinkError::NotPaired { .. })))
    }
}

async fn attempt_to_pair(instance: Weak<Instance>, request: PairRequest, number: u64) {
    let result = pair(request).await;
    if let Some(instance) = instance.upgrade() {
        instance.paired(number, result);
    }
}

/// What this computer is called in a server's list.
fn computer() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    let end = (0..=name.len().min(64)).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    name[..end].to_owned()
}

/// Whether a server is looked for among those that announce themselves: one on this computer stays where it is.
pub(super) fn is_looked_for(identity: Option<Fingerprint>, address: &str) -> bool {
    identity.is_some() && !is_here(address)
}

pub(super) fn is_here(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}
