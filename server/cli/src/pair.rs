//! `pair`, on the server's machine: shows a code and waits until somebody has typed it. It speaks to the server
//! through its data folder alone, and must not open a socket.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rehearsekit_server::{
    pairing::{CODE_LIVES, Ending, NotedBy, PairingDesk, Progress, Shown, TRIES},
    private::PrivateError,
};
use serde_json::{Value, json};

use crate::{args::PairArgs, config, failure::Failure, interrupt, output};

/// How often the command looks.
const LOOK: Duration = Duration::from_millis(200);
/// A server looks twice a second; after this long there probably is none.
const NOTED_WITHIN: Duration = Duration::from_secs(3);
/// The server ends the code by itself; this command only if it has not.
const GRACE: Duration = Duration::from_secs(2);

/// `rehearsekit pair`.
pub(crate) fn run(args: &PairArgs, data: Option<&Path>) -> Result<(), Failure> {
    let data = config::server_data(data)?;
    let desk = PairingDesk::of(&data);
    let shown = desk.show().map_err(failure)?;
    let voice = Voice { json: args.json };
    voice.code(&shown);
    let ending = wait(&desk, &shown, &voice, &data).map_err(failure)?;
    voice.ending(&ending);
    match ending {
        Ending::Paired { .. } => Ok(()),
        Ending::Withdrawn => Err(Failure::run("the code was taken back; nobody was paired with it")),
        Ending::Expired => {
            Err(Failure::run("the code has expired; run `rehearsekit pair` again for another"))
        }
        Ending::Replaced => Err(Failure::run("another code is shown in its place")),
        Ending::TriesOver => Err(Failure::run(format!(
            "the code was mistyped {TRIES} times; run `rehearsekit pair` again for another"
        ))),
        Ending::Intercepted => Err(Failure::run(
            "somebody sits between that client and this server; nothing was paired: look who else is in this network \
             before you try again",
        )),
    }
}

/// Looks at the code until it has ended.
fn wait(desk: &PairingDesk, shown: &Shown, voice: &Voice, data: &Path) -> Result<Ending, PrivateError> {
    let began = Instant::now();
    let mut before = Progress { tries_left: TRIES, noted_by: None, ending: None };
    let mut complained = false;
    loop {
        let now = desk.progress(&shown.id)?;
        if let Some(server) = now.noted_by.as_ref().filter(|_| before.noted_by.is_none()) {
            voice.noted(server);
        }
        if let Some(ending) = now.ending {
            return Ok(ending);
        }
        if now.tries_left < before.tries_left {
            voice.tried(now.tries_left);
        }
        if now.noted_by.is_none() && began.elapsed() > NOTED_WITHIN && !complained {
            complained = true;
            output::note(&format!(
                "no server has taken note of the code: is one running with the data folder {}?",
                data.display()
            ));
        }
        if interrupt::requested() {
            return desk.end(&shown.id, Ending::Withdrawn);
        }
        if began.elapsed() > CODE_LIVES + GRACE {
            return desk.end(&shown.id, Ending::Expired);
        }
        before = now;
        thread::sleep(LOOK);
    }
}

fn failure(error: PrivateError) -> Failure {
    Failure::run(error)
}

/// What is said on the way, to people or to scripts.
struct Voice {
    json: bool,
}

impl Voice {
    fn event(&self, value: &Value) {
        // Whoever reads it may be gone; the code lives on without.
        let _ = output::json_line(value);
    }

    fn code(&self, shown: &Shown) {
        let (code, seconds) = (shown.code.to_string(), CODE_LIVES.as_secs());
        if self.json {
            return self.event(&json!({ "event": "code", "code": code, "seconds": seconds, "tries": TRIES }));
        }
        output::line(&format!("\n    {code}\n"));
        let minutes = seconds / 60;
        output::line(&format!(
            "Type this where RehearseKit asks for it. It works once, for {minutes} minutes and {TRIES} tries."
        ));
    }

    fn noted(&self, by: &NotedBy) {
        let NotedBy { server, address } = by;
        if self.json {
            return self
                .event(&json!({ "event": "noted", "server": server, "address": address.to_string() }));
        }
        output::note(&format!("{server} at {address} waits for it"));
        if address.ip().is_loopback() {
            output::note(
                "it can be reached from this machine only, where nobody needs to pair; for others set `listen`, such as to \
                 0.0.0.0:7433",
            );
        }
    }

    fn tried(&self, left: u32) {
        match self.json {
            true => self.event(&json!({ "event": "try", "tries_left": left })),
            false => output::note(&format!("somebody tries a code; tries left: {left}")),
        }
    }

    fn ending(&self, ending: &Ending) {
        match (ending, self.json) {
            (Ending::Paired { name, id }, true) => {
                self.event(&json!({ "event": "paired", "name": name, "id": id }));
            }
            (Ending::Paired { name, .. }, false) => output::line(&format!("{name} is paired")),
            (why, true) => self.event(&json!({ "event": "ended", "why": why })),
            (_, false) => {}
        }
    }
}
