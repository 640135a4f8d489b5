//! Views of finding a server, pairing with it, and of what the link needs. Shared as `scenes.rs` is.
#![allow(dead_code, missing_docs, unreachable_pub)]

use rehearsekit_gui::view::*;

use super::scenes::{in_state, live};

pub const CLOSET: &str = "3fa1b2c49d0e5f60718293a4b5c6d7e8f9010203040506070809aabbccddeeff";
pub const TWIN: &str = "77ec02d15a6b7c8d9e0f102132435465768798a9bacbdcedfe0f1021324354ff";
pub const ATTIC: &str = "c0ffee11223344556677889900aabbccddeeff00112233445566778899aabbcc";

pub fn server(id: &str, name: &str, standing: Standing, there: bool) -> ServerView {
    ServerView {
        id: id.to_owned(),
        name: name.to_owned(),
        short: id.chars().take(8).collect(),
        address: "192.168.1.20:7433".to_owned(),
        note: "2 of 16 playing, spleeter-2stems, htdemucs".to_owned(),
        standing,
        there,
        picked: false,
    }
}

/// Nobody on the network, nothing to blame.
pub fn nobody() -> View {
    let mut view = in_state(LinkState::Looking);
    view.link.server_name.clear();
    view.server.clear();
    view.model.clear();
    view
}

/// One that knows us, one of the same name that does not, one that is away, and this computer.
pub fn several() -> View {
    let mut view = nobody();
    let mut here = server("", "", Standing::ThisMachine, false);
    (here.address, here.note) = (String::new(), "no server runs on this computer".to_owned());
    let mut twin = server(TWIN, "closet", Standing::New, true);
    (twin.address, twin.note) =
        ("192.168.1.77:7433".to_owned(), "nobody playing, spleeter-2stems".to_owned());
    let mut away = server(ATTIC, "attic", Standing::Known, false);
    (away.address, away.note) = ("attic.lan:7433".to_owned(), "last seen on Tuesday".to_owned());
    view.servers = vec![server(CLOSET, "closet", Standing::Known, true), twin, away, here];
    view
}

/// Stems from the closet, and it is known.
pub fn at_home() -> View {
    let mut view = live();
    view.servers = several().servers;
    view.servers[0].picked = true;
    view
}

/// More than have room; the eighth was picked.
pub fn ten() -> View {
    let mut view = nobody();
    for n in 0..10 {
        let id = format!("{n:064x}");
        let mut server = server(&id, &format!("room {n}"), Standing::Known, n % 3 != 0);
        server.address = format!("[fd00::{n:x}]:7433");
        server.picked = n == 7;
        view.servers.push(server);
    }
    view
}

/// The closet has never been paired with and was picked.
pub fn asked(tries_left: Option<u8>, problem: Option<&str>) -> View {
    let mut view = nobody();
    view.link.state = LinkState::Refused;
    view.link.badge = "Not paired · closet".to_owned();
    view.link.sentence = "closet does not know this computer yet: type its code.".to_owned();
    view.servers = several().servers;
    view.servers[0].standing = Standing::New;
    view.servers[0].picked = true;
    view.pairing =
        PairingView::AskCode { server: "closet".to_owned(), tries_left, problem: problem.map(str::to_owned) };
    view
}

pub fn wrong_code() -> View {
    asked(Some(3), Some("That is not the code that closet shows, or it is no longer valid."))
}

pub fn busy_pairing() -> View {
    let mut view = asked(None, None);
    view.pairing = PairingView::Busy { server: "closet".to_owned() };
    view
}

pub fn paired() -> View {
    let mut view = at_home();
    view.pairing = PairingView::Done { server: "closet".to_owned() };
    view
}

/// As long as a sentence gets.
pub const REVOKED: &str = "closet does not accept this computer any more: it was taken off its list as “drummer's \
    laptop” (rehearsekit clients). Pick closet and type a new code to play again; the song plays on meanwhile.";

pub fn revoked() -> View {
    let mut view = at_home();
    view.servers[0].standing = Standing::Revoked;
    view.link = LinkView {
        state: LinkState::Refused,
        server_name: "closet".to_owned(),
        badge: "Refused · closet".to_owned(),
        sentence: REVOKED.to_owned(),
        ..LinkView::default()
    };
    view
}

pub const BLOCKED: &str = "Multicast is blocked: closet answers at its address, but its announcements do not arrive. \
    Open UDP port 5353 in this computer's firewall, or type the server's address.";

pub fn in_trouble() -> View {
    let mut view = several();
    view.servers.truncate(1);
    view.servers[0].there = false;
    view.discovery = Some(BLOCKED.to_owned());
    view
}

pub fn nobody_in_trouble() -> View {
    let mut view = nobody();
    view.discovery = Some(BLOCKED.to_owned());
    view
}

/// The link needs more than it has.
pub fn recommended() -> View {
    let mut view = at_home();
    view.link.round_trip_millis = Some([1.2, 4.8]);
    view.link.needs_millis = Some(310.0);
    view.link.misses = [2, 12, 0];
    view.link.recommended_millis = Some(350);
    view.link.recommendation =
        Some("12 chunks came late in the last 5 min; 350 ms would have caught them all.".to_owned());
    view
}

/// Most is well, and the link is not.
pub fn checked() -> View {
    let found = |check: &str, verdict, name: &str, sentence: &str| FindingView {
        check: check.to_owned(),
        verdict,
        sentence: sentence.to_owned(),
        name: name.to_owned(),
    };
    let good = |check, sentence| found(check, Verdict::Good, "", sentence);
    let mut view = at_home();
    view.findings = vec![
        found(
            "Budget",
            Verdict::Failed,
            "link-jitter",
            "Stems come too late for 250 ms over this link: it needs 284 ms. 350 ms would hold. Pick it on the page Latency.",
        ),
        found(
            "Link",
            Verdict::Warning,
            "link-jitter",
            "With the music the link needs 72 ms of the budget, 69 ms of it because it varies; the plan leaves 38 ms for it, which is too little: take a cable instead of Wi-Fi, or a larger budget on the page Latency.",
        ),
        found(
            "Link",
            Verdict::Warning,
            "link-jitter",
            "In the last five minutes stems for 560 ms were not there in time and you heard the song itself (430 ms came late, 3 hops never came). Take a cable instead of Wi-Fi, or a larger budget.",
        ),
        good("Server", "Connected to closet at 192.168.1.20:7433; this computer is paired with it."),
        good("Server", "Both this plugin and closet speak version 4 of the protocol."),
        good("Server", "Of 16 places at closet 2 are taken."),
        good(
            "Link",
            "There and back takes 4.1 ms, and 99 times of 100 at most 61 ms: whether over a cable or Wi-Fi cannot be seen from here, but on a cable the two are mostly close together, and on Wi-Fi the second is often many times the first.",
        ),
        good(
            "Budget",
            "Of 250 ms the plan for htdemucs needs 212 ms, which leaves 38 ms for the link; with everything, 284 ms were needed in the last five minutes.",
        ),
        good(
            "Budget",
            "Asked last, closet could hold a budget of 250, 350, 500 ms with htdemucs, but not 93, 132, 180; the page Latency says what each buys.",
        ),
        good("Host", "The host runs at 48000 Hz, and so does the way to the server."),
        good("Host", "The host was told a latency of 12000 frames (250 ms), which is your budget."),
        good("Host", "The host plays in blocks of up to 512 frames (11 ms of the budget's 250 ms)."),
        good("Host", "The host calls in real time and renders nothing ahead."),
        good("Machine", "This computer's network thread had its turn in time in the last five minutes."),
        good("Machine", "No audio callback came late in the last five minutes."),
    ];
    view
}
