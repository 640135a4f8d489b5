//! A plugin that meets a server on another machine: refused, paired by its code, playing, shut out, forgotten; each
//! with the words that the player reads.

use rehearsekit_client::KnownServers;
use rehearsekit_plugin_engine::{AudioSetup, LinkView, Pairing, Settings, Status, Trust, View};
use rehearsekit_protocol::{PairingCode, RefusalCode};
use rehearsekit_server::{clients::ClientBook, pairing::PairingDesk};
use rehearsekit_tests::{house::House, plugin_host::Host};

const RATE: u32 = 48_000;

fn song(_channel: usize, position: u64) -> f32 {
    0.3 * (position as f64 / f64::from(RATE) * 440.0 * std::f64::consts::TAU).sin() as f32
}

fn other_than(code: &PairingCode) -> String {
    PairingCode::from_number(code.digits().parse::<u64>().unwrap() + 1).to_string()
}

/// Plays on until the player is asked for the code, with these words about what went wrong.
fn until_asked(host: &mut Host, words: &str) {
    host.play_until(words, song, |host, _| match host.instance.pairing() {
        Pairing::Wanted { problem, .. } => problem.unwrap_or_default().contains(words),
        _ => false,
    });
    assert_eq!(host.last, Status::Ok);
}

fn until(host: &mut Host, what: &str, done: impl Fn(&View) -> bool) -> View {
    host.play_until(what, song, |_, view| done(view));
    host.instance.view()
}

#[test]
fn a_stranger_reads_why_is_paired_plays_and_is_shut_out() {
    let house = House::known_from_afar();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("servers.json");
    let settings = Settings {
        server: Some(house.address.to_string()),
        model: Some("two".to_owned()),
        ..Settings::default()
    };
    let mut host = Host::knowing(settings, AudioSetup::new(RATE, 480, false), &list);

    let view = until(&mut host, "refused", |view| view.link == LinkView::Refused(RefusalCode::NotPaired));
    assert!(view.sentence.contains("rehearsekit pair"), "{}", view.sentence);
    until_asked(&mut host, "");
    host.instance.pair("123");
    until_asked(&mut host, "8 digits");
    host.instance.pair("1234-5678");
    // A server that nobody is paired with shows a code from its first start on; this is not it.
    until_asked(&mut host, "the code is wrong");
    // Five tries.
    let desk = PairingDesk::of(house.data());
    let shown = desk.show().unwrap();
    for left in ["4 tries are left", "3 tries are left", "2 tries are left", "one try is left"] {
        host.instance.pair(&other_than(&shown.code));
        until_asked(&mut host, left);
    }
    host.instance.pair(&other_than(&shown.code));
    until_asked(&mut host, "wrong");
    host.instance.pair(&shown.code.to_string());
    until_asked(&mut host, "mistyped");
    assert_eq!(KnownServers::at(&list).list(), Ok(Vec::new()));

    let shown = desk.show().unwrap();
    host.instance.pair(&shown.code.to_string());
    assert!(matches!(host.instance.pairing(), Pairing::Busy { .. }));
    let view = until(&mut host, "live", |view| view.link == LinkView::Live && !view.bridging);
    assert!(matches!(host.instance.pairing(), Pairing::Done { .. } | Pairing::None));
    let known = KnownServers::at(&list).list().unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(host.instance.settings().trust, Trust::Fingerprint(known[0].fingerprint.to_string()));
    assert_eq!(view.server, known[0].name, "called by its name from now on");

    // Another project on this computer, where nothing was said: the usual server.
    let setup = AudioSetup::new(RATE, 480, false);
    let mut other =
        Host::knowing(Settings { model: Some("two".into()), ..Settings::default() }, setup, &list);
    until(&mut other, "live", |view| view.link == LinkView::Live);
    drop(other);

    let clients = ClientBook::of(house.data());
    let client = clients.read().unwrap().remove(0);
    assert_eq!(client.name, known[0].paired_as);
    clients.revoke(&client.id).unwrap();
    let view = until(&mut host, "shut out", |view| view.link == LinkView::Refused(RefusalCode::Revoked));
    assert!(view.sentence.contains("shut"), "{}", view.sentence);
    until_asked(&mut host, "");
    host.instance.cancel_pairing();
    assert_eq!(host.instance.pairing(), Pairing::None, "not now");

    // Picked again, it asks again; and a new code lets it in again.
    host.instance.configure(host.instance.typing(Some(house.address.to_string())));
    until_asked(&mut host, "");
    host.instance.pair(&desk.show().unwrap().code.to_string());
    until(&mut host, "live again", |view| view.link == LinkView::Live);
    host.instance.forget(&known[0].fingerprint.to_string());
    assert_eq!(KnownServers::at(&list).list(), Ok(Vec::new()));
    until_asked(&mut host, "");
}

#[test]
fn a_list_of_servers_that_others_can_read_is_told_and_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("servers.json");
    std::fs::write(&list, r#"{"version": 1, "servers": []}"#).unwrap();
    std::fs::set_permissions(&list, std::fs::Permissions::from_mode(0o640)).unwrap();
    let settings = Settings { trust: Trust::Fingerprint("ab".repeat(32)), ..Settings::default() };
    let mut host = Host::knowing(settings, AudioSetup::new(RATE, 480, false), &list);
    let view = until(&mut host, "failed", |view| view.link == LinkView::Failed);
    assert!(view.sentence.contains("chmod 600"), "{}", view.sentence);
    assert!(host.instance.servers_trouble().is_some_and(|trouble| trouble.contains("chmod 600")));
}
