//! Which server a project means, which ones there are to pick from, and where pairing has got to. Reads the user's list
//! of paired servers now and then, on the main thread; must not wait for the network.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use rehearsekit_client::{
    DEFAULT_SERVER, Finder, Fingerprint, KnownError, KnownServer, KnownServers, NewPairing, Target,
};
use rehearsekit_discovery::SeenServer;

use crate::{
    network,
    settings::{Settings, Trust},
    shared::lock,
};

/// The list of paired servers is read again after this: other hosts and the command write it too.
const READ_EVERY: Duration = Duration::from_secs(1);

/// A server as a picker shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSeen {
    /// Its identity, 64 hexadecimal digits; `None` is a server on this computer.
    pub fingerprint: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// Where it is or was, `HOST:PORT`.
    pub address: String,
    /// Sessions that are open, and how many it takes; `None` while it is not there.
    pub load: Option<(u32, u32)>,
    /// The models it serves.
    pub models: Vec<String>,
    /// Lowest and highest version of the protocol that it speaks; `None` while it does not say.
    pub speaks: Option<(u16, u16)>,
    /// How we stand with it.
    pub standing: Standing,
    /// Whether it announces itself now.
    pub is_there: bool,
    /// Whether it is the one this instance means.
    pub is_picked: bool,
}

/// How we stand with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// On this computer: no pairing is needed.
    ThisMachine,
    /// Paired with.
    Known,
    /// It wants a code first.
    New,
    /// It knew this computer once and does not accept it any more.
    Revoked,
}

/// Where pairing has got to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pairing {
    /// Nothing to pair with.
    #[default]
    None,
    /// The server's code is wanted.
    Wanted {
        /// What the server is called.
        server: String,
        /// What went wrong last, in a sentence.
        problem: Option<String>,
    },
    /// The code is with the server.
    Busy {
        /// What the server is called.
        server: String,
    },
    /// It worked.
    Done {
        /// What the server is called.
        server: String,
    },
}

/// Whom `settings` mean to a computer that is paired with `known`. An error, as a sentence, if they name no identity
/// where they should.
pub(crate) fn target(settings: &Settings, known: &[KnownServer]) -> Result<Target, String> {
    let fingerprint = match &settings.trust {
        Trust::Loopback => None,
        Trust::Fingerprint(text) => {
            Some(text.parse().map_err(|error: rehearsekit_client::FingerprintError| error.to_string())?)
        }
    };
    Ok(Target::of(settings.server.as_deref(), fingerprint, known))
}

/// Finds servers among those that announce themselves.
pub(crate) fn finder() -> Finder {
    Finder::new(|fingerprint| network::addresses_of(&fingerprint.0))
}

/// What people call the server.
pub(crate) fn title(target: &Target) -> String {
    match target {
        Target::Known { server, .. } if !server.name.is_empty() => server.name.clone(),
        Target::Known { address, .. } => address.clone(),
        Target::Other { server, fingerprint } => {
            let announced = fingerprint.and_then(|wanted| {
                network::announced().into_iter().find(|seen| seen.announcement.fingerprint == wanted.0)
            });
            announced.map_or_else(|| server.clone(), |seen| printable(&seen.announcement.name))
        }
    }
}

/// The list for a picker: everybody who announces themselves and everybody paired with, by name, and this computer.
/// `revoked`: the picked one does not accept us any more. `order`: who was shown before, and where; whoever is new comes
/// behind them.
pub(crate) fn list(
    target: Option<&Target>,
    known: &[KnownServer],
    announced: &[SeenServer],
    revoked: bool,
    order: &mut Vec<String>,
) -> Vec<ServerSeen> {
    let picked = target.and_then(Target::fingerprint);
    let stand = |fingerprint: Fingerprint| match known.iter().any(|server| server.fingerprint == fingerprint)
    {
        _ if revoked && picked == Some(fingerprint) => Standing::Revoked,
        true => Standing::Known,
        false => Standing::New,
    };
    let here = announced.iter().map(|seen| {
        let said = &seen.announcement;
        let fingerprint = Fingerprint(said.fingerprint);
        ServerSeen {
            fingerprint: Some(fingerprint.to_string()),
            name: printable(&said.name),
            address: seen.addresses.first().map(ToString::to_string).unwrap_or_default(),
            load: Some((said.load.open, said.load.most)),
            models: said.models.iter().map(|model| printable(model)).collect(),
            speaks: Some(said.protocol),
            standing: stand(fingerprint),
            is_there: true,
            is_picked: picked == Some(fingerprint),
        }
    });
    let is_announced = |known: &KnownServer| {
        announced.iter().any(|seen| seen.announcement.fingerprint == known.fingerprint.0)
    };
    let away = known.iter().filter(|server| !is_announced(server)).map(|server| ServerSeen {
        fingerprint: Some(server.fingerprint.to_string()),
        name: server.name.clone(),
        address: server.address.clone(),
        load: None,
        models: Vec::new(),
        speaks: None,
        standing: stand(server.fingerprint),
        is_there: false,
        is_picked: picked == Some(server.fingerprint),
    });
    let mut servers: Vec<ServerSeen> = here.chain(away).collect();
    servers.sort_by(|a, b| (&a.name, &a.fingerprint).cmp(&(&b.name, &b.fingerprint)));
    // Whoever is on the screen already stays where the player's hand goes.
    for fingerprint in servers.iter().flat_map(|server| &server.fingerprint) {
        if !order.contains(fingerprint) {
            order.push(fingerprint.clone());
        }
    }
    servers.sort_by_key(|server| order.iter().position(|shown| Some(shown) == server.fingerprint.as_ref()));
    servers.push(ServerSeen {
        fingerprint: None,
        name: String::new(),
        address: DEFAULT_SERVER.to_owned(),
        load: None,
        models: Vec::new(),
        speaks: None,
        standing: Standing::ThisMachine,
        is_there: true,
        is_picked: picked.is_none() && target.is_some_and(|target| !target.wants_code()),
    });
    servers
}

/// What strangers call themselves, without what could make other words on the screen look like something else: control
/// characters and marks of direction.
fn printable(text: &str) -> String {
    let is_direction = |c: char| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|&c| !c.is_control() && !is_direction(c)).collect()
}

/// The user's list of paired servers, read again now and then.
#[derive(Debug)]
pub(crate) struct Keyring {
    file: Result<KnownServers, KnownError>,
    read: Mutex<Option<(Instant, Listed)>>,
}

type Listed = Result<Vec<KnownServer>, KnownError>;

impl Keyring {
    pub(crate) fn new(file: Result<KnownServers, KnownError>) -> Self {
        Self { file, read: Mutex::default() }
    }

    /// All of them, the usual one first; an error if the file is of no use.
    pub(crate) fn list(&self) -> Listed {
        let mut read = lock(&self.read);
        match &*read {
            Some((at, list)) if at.elapsed() < READ_EVERY => list.clone(),
            _ => {
                let list = self.file.clone().and_then(|file| file.list());
                *read = Some((Instant::now(), list.clone()));
                list
            }
        }
    }

    pub(crate) fn remember(&self, new: NewPairing, paired_as: &str) -> Result<(), KnownError> {
        self.change(|file| file.remember(new, paired_as))
    }

    pub(crate) fn used(&self, fingerprint: Fingerprint, address: &str) -> Result<(), KnownError> {
        self.change(|file| file.used(fingerprint, address))
    }

    pub(crate) fn forget(&self, fingerprint: Fingerprint) -> Result<(), KnownError> {
        self.change(|file| file.forget(fingerprint).map(drop))
    }

    fn change(&self, change: impl FnOnce(&KnownServers) -> Result<(), KnownError>) -> Result<(), KnownError> {
        let done = self.file.as_ref().map_err(Clone::clone).and_then(change);
        *lock(&self.read) = None;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsekit_client::Token;

    fn known(number: u8, name: &str) -> KnownServer {
        KnownServer {
            fingerprint: Fingerprint([number; 32]),
            name: name.to_owned(),
            token: Token([number; 32]),
            address: format!("10.0.0.{number}:7433"),
            paired_as: "laptop".to_owned(),
            used_at: 0,
        }
    }

    fn seen(number: u8, name: &str) -> SeenServer {
        SeenServer {
            announcement: rehearsekit_discovery::Announcement {
                name: name.to_owned(),
                fingerprint: [number; 32],
                version: "0.1.0".to_owned(),
                protocol: (1, 3),
                models: vec!["m".to_owned()],
                load: rehearsekit_discovery::Load { open: 1, most: 16 },
                quic_port: 7433,
                http_port: None,
            },
            addresses: vec![format!("10.1.0.{number}:7433").parse().unwrap()],
            last_seen: Instant::now(),
        }
    }

    #[test]
    fn an_identity_that_is_none_is_told() {
        let odd = Settings { trust: Trust::Fingerprint("x".to_owned()), ..Settings::default() };
        assert!(target(&odd, &[]).unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn everybody_is_listed_once_with_how_we_stand() {
        let both = [known(1, "closet"), known(2, "attic")];
        let target = Target::of(None, Some(Fingerprint([2; 32])), &both);
        let there = [seen(3, "closet"), seen(1, "closet")];
        let mut order = Vec::new();
        let told: Vec<_> = list(Some(&target), &both, &there, true, &mut order)
            .into_iter()
            .map(|s| (s.name, s.address, s.standing, s.is_there, s.is_picked))
            .collect();
        let row = |name: &str, address: &str, standing, there, picked| {
            (name.to_owned(), address.to_owned(), standing, there, picked)
        };
        assert_eq!(
            told,
            [
                row("attic", "10.0.0.2:7433", Standing::Revoked, false, true),
                row("closet", "10.1.0.1:7433", Standing::Known, true, false),
                row("closet", "10.1.0.3:7433", Standing::New, true, false),
                row("", DEFAULT_SERVER, Standing::ThisMachine, true, false),
            ]
        );
        let there = [seen(4, "aaa \u{202e}tesolc\n"), seen(3, "closet")];
        let names: Vec<_> =
            list(None, &both[1..], &there, true, &mut order).into_iter().map(|server| server.name).collect();
        assert_eq!(names, ["attic", "closet", "aaa tesolc", ""], "nobody moves under the player's hand");
    }
}
