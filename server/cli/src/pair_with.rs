//! The client's half of `pair`: this computer is paired with a server, by the code that the server shows.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::{Duration, Instant},
};

use rehearsekit_client::{Finder, Fingerprint, KnownServers, PairRequest, PairingCode, pair};
use rehearsekit_discovery::{Browser, SeenServer};
use serde_json::json;

use crate::{args::PairArgs, failure::Failure, interrupt, output, whom::finder};

/// How long a server of that name is looked for.
const SEARCH: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

/// Pairs with `server` (HOST:PORT, or the name of one that announces itself) by the code, which is asked for if it is
/// not given.
pub(crate) fn run(server: &str, args: &PairArgs) -> Result<(), Failure> {
    let known = KnownServers::of_user().map_err(Failure::usage)?;
    // Now, and not when the code is used up.
    known.prepare().map_err(Failure::usage)?;
    let (server, expected, finder) = find(server)?;
    let code = match &args.code {
        Some(code) => code.clone(),
        None => ask()?,
    };
    let code: PairingCode = code.parse().map_err(Failure::usage)?;
    let name = args.name.clone().unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the network: {error}")))?;
    let request = PairRequest { server, finder, expected, code, name: name.clone() };
    let new = runtime.block_on(pair(request)).map_err(Failure::server)?;
    let (server, fingerprint, address) =
        (new.server_name.clone(), new.fingerprint.to_string(), new.address.clone());
    known.remember(new, &name).map_err(Failure::run)?;
    if args.json {
        return output::json(
            &json!({ "server": server, "fingerprint": fingerprint, "address": address, "paired_as": name }),
        );
    }
    output::line(&format!("paired with {server} at {address}, as {name:?}"));
    Ok(())
}

/// An address is taken as it is; a name is looked for among the servers that announce themselves.
fn find(server: &str) -> Result<(String, Option<Fingerprint>, Finder), Failure> {
    if server.contains(':') {
        return Ok((server.to_owned(), None, Finder::default()));
    }
    let browser = Arc::new(Browser::start());
    let until = Instant::now() + SEARCH;
    let mut found: Vec<SeenServer> = Vec::new();
    while found.is_empty() && Instant::now() < until && !interrupt::requested() {
        std::thread::sleep(LOOK);
        found = browser.servers();
        found.retain(|seen| {
            let said = &seen.announcement;
            said.name == server || Fingerprint(said.fingerprint).to_string().starts_with(server)
        });
    }
    match &found[..] {
        [one] => Ok((String::new(), Some(Fingerprint(one.announcement.fingerprint)), finder(browser))),
        [] => {
            let why = browser.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
            Err(Failure::server(format!(
                "no server called {server:?} announces itself here{why}; give its address as HOST:PORT"
            )))
        }
        several => {
            let which: Vec<String> = several
                .iter()
                .map(|seen| Fingerprint(seen.announcement.fingerprint).to_string()[..8].to_owned())
                .collect();
            Err(Failure::usage(format!(
                "there are several servers called {server:?}: give the beginning of one's fingerprint instead ({})",
                which.join(", ")
            )))
        }
    }
}

fn ask() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("give the code that the server shows with --code"));
    }
    output::note("the code that `rehearsekit pair` shows on the server:");
    let line = interrupt::line_from_stdin()?.map_err(|error| Failure::usage(format!("no code: {error}")))?;
    Ok(line.trim().to_owned())
}
