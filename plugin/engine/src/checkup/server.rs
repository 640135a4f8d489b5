//! Whether there is a server, how we stand with it, what it speaks and how full it is.

use rehearsekit_client::{LinkError, RefusalCode};
use rehearsekit_discovery::Trouble;
use rehearsekit_protocol::{CloseReason, PROTOCOL_VERSIONS};

use super::{Check::Server, Finding, State};
use crate::view::LinkView;

pub(super) fn look(state: &State, all: &mut Vec<Finding>) {
    all.push(reach(state));
    all.extend(versions(state));
    all.extend(load(state));
    all.extend(search(state));
    all.extend(
        state.pairings.as_ref().map(|why| Finding::failed(Server, "pairings-unusable", begun(why) + ".")),
    );
}

fn reach(state: &State) -> Finding {
    let sentence = &state.view.sentence;
    match state.view.link {
        LinkView::Idle => Finding::warning(
            Server,
            None,
            "Nobody is asked for stems yet: the host has not switched this plugin on. Switch on its track and the host's audio.",
        ),
        LinkView::Live if state.paused => Finding::warning(
            Server,
            "server-slow",
            format!(
                "{sentence} You are back by yourself as soon as there is time; a player less, or a faster server, makes some."
            ),
        ),
        LinkView::Live => Finding::good(Server, connected(state)),
        LinkView::Refused(code) => {
            let name = match code {
                RefusalCode::NotPaired | RefusalCode::Revoked => "token-refused",
                _ => "server-refuses",
            };
            Finding::failed(Server, name, with(sentence, &after_refusal(state, code)))
        }
        LinkView::Connecting | LinkView::Looking | LinkView::Failed => unreachable(state),
    }
}

fn connected(state: &State) -> String {
    let address = state.server.as_ref().map(|server| server.address.as_str()).unwrap_or_default();
    let at = if address.is_empty() || state.is_here { String::new() } else { format!(" at {address}") };
    let paired = match () {
        () if state.is_here => "no pairing is needed there",
        () if state.is_paired() => "this computer is paired with it",
        () => "it lets this computer in",
    };
    format!("Connected to {}{at}; {paired}.", state.whom())
}

fn after_refusal(state: &State, code: RefusalCode) -> String {
    let told = match (code, state.view.smallest_budget_millis) {
        (RefusalCode::NotPaired | RefusalCode::Revoked, _) => PAIR,
        (RefusalCode::BudgetTooSmall | RefusalCode::Busy, Some(least)) => {
            return format!("Pick {least:.0} ms or more on the page Latency.");
        }
        (RefusalCode::UnknownModel, _) => {
            "Name another on the page Server, or none: then the server chooses."
        }
        (RefusalCode::Version, _) => "Update the older one.",
        (RefusalCode::Full | RefusalCode::Busy, _) => {
            "It is asked again by itself, and lets you in when somebody stops."
        }
        (RefusalCode::NotReady | RefusalCode::ShuttingDown, _) => "It is asked again by itself.",
        _ => "",
    };
    told.to_owned()
}

const PAIR: &str = "Run `rehearsekit pair` on its machine, press it on the page Server and type the code.";

fn unreachable(state: &State) -> Finding {
    let Some(error) = &state.link_error else {
        let sentence = &state.view.sentence;
        // Settings that make no sense; else it is the first attempt.
        return match state.view.link {
            LinkView::Failed => Finding::failed(Server, None, sentence.clone()),
            _ => Finding::warning(
                Server,
                None,
                with(sentence, "If it takes longer than a moment, look whether it is on."),
            ),
        };
    };
    let (name, todo) = match error {
        LinkError::NotPaired { .. } => ("not-paired", ""),
        LinkError::Fingerprint { .. } => {
            ("other-server", "If you do not know why it changed, find out first.")
        }
        LinkError::ServerClosed(CloseReason::Revoked) => ("token-refused", PAIR),
        LinkError::Lost(_) | LinkError::Session(_) => {
            ("link-breaks", "If it happens again: a cable, or another access point.")
        }
        LinkError::Unreachable { .. } => {
            ("server-unreachable", "A firewall on the way that stops UDP (port 7433) does this too.")
        }
        _ => ("server-unreachable", ""),
    };
    let paired = if state.is_paired() {
        format!("This computer is paired with {}.", state.whom())
    } else {
        String::new()
    };
    Finding::failed(Server, name, with(&with(&state.view.sentence, todo), &paired))
}

/// Which version of the protocol both speak; a server that does not announce itself does not say.
fn versions(state: &State) -> Option<Finding> {
    let (low, high) = state.server.as_ref()?.speaks?;
    let (own_low, own_high) = (*PROTOCOL_VERSIONS.start(), *PROTOCOL_VERSIONS.end());
    let common = high.min(own_high);
    let whom = state.whom();
    Some(if common < low.max(own_low) {
        let told = format!(
            "Of the protocol this plugin speaks the versions {own_low} to {own_high}, {whom} {low} to {high}: update the older one."
        );
        Finding::failed(Server, "server-refuses", told)
    } else if common < own_high {
        let told = format!(
            "Of the protocol this plugin speaks version {own_high}, {whom} only {high}: it works without what is newer; update the server."
        );
        Finding::warning(Server, None, told)
    } else {
        Finding::good(Server, format!("Both this plugin and {whom} speak version {common} of the protocol."))
    })
}

fn load(state: &State) -> Option<Finding> {
    let (open, most) = state.server.as_ref()?.load?;
    let whom = state.whom();
    let told = format!("Of {most} places at {whom} {open} are taken");
    Some(if open < most {
        Finding::good(Server, told + ".")
    } else if state.is_live() {
        Finding::good(Server, told + ", one of them by you: for another player one has to go.")
    } else {
        Finding::warning(
            Server,
            "server-refuses",
            told + ": somebody has to stop, or its `max_sessions` to be more.",
        )
    })
}

fn search(state: &State) -> Option<Finding> {
    let trouble = state.search.as_ref().filter(|_| !state.is_here)?;
    let name = match trouble {
        Trouble::NoNetwork => "no-network",
        Trouble::NoServer => "server-unreachable",
        _ => "multicast-blocked",
    };
    Some(Finding::warning(Server, name, format!("Servers may not be found: {trouble}.")))
}

/// Both, if there are two.
fn with(sentence: &str, more: &str) -> String {
    if more.is_empty() { sentence.to_owned() } else { format!("{} {more}", ended(sentence)) }
}

/// Begun as a sentence.
fn begun(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// With a stop at its end.
fn ended(sentence: &str) -> String {
    let ends = sentence.ends_with(['.', '!', '?']);
    if ends { sentence.to_owned() } else { format!("{sentence}.") }
}
