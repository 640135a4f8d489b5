//! The offline render without a server: it waits, can be told to stop, gives up, and is never a silent dry bounce.

mod common;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use common::{Deaf, Host, song};
use rehearsekit_plugin_engine::{AudioSetup, LinkView, Settings, Status, Trust};

/// Reached only when something hangs.
const FOR_EVER: Duration = Duration::from_secs(3_600);

fn offline(patience: Duration) -> AudioSetup {
    AudioSetup { offline_patience: patience, ..AudioSetup::new(48_000, 512, true) }
}

/// Plays until the render fails; how many frames were played before.
fn until_failed(host: &mut Host) -> usize {
    let song = song(512);
    for block in 0.. {
        host.block([&song[0], &song[1]]);
        if host.last == Status::OfflineFailed {
            return 512 * block;
        }
        assert!(block < 1_000, "frames after the latency were played without a server");
    }
    unreachable!()
}

#[test]
fn it_gives_up_and_is_silent_until_it_is_reset() {
    let deaf = Deaf::new();
    let mut host = Host::new(deaf.settings(), offline(Duration::from_millis(300)));
    // The first latency is silence anyway.
    assert!(until_failed(&mut host) <= 12_000);
    let error = host.instance.view().error;
    assert!(error.as_deref().is_some_and(|e| e.contains("no stems came within 0.3 s")), "{error:?}");
    let song = song(512);
    for _ in 0..100 {
        host.block([&song[0], &song[1]]);
        assert_eq!(host.last, Status::OfflineFailed);
    }
    assert!(host.out.main.iter().chain(host.out.stems.iter().flatten()).flatten().all(|&s| s == 0.0));
    host.engine.reset();
    assert_eq!(host.instance.view().error, None);
    host.block([&song[0], &song[1]]);
    assert_eq!(host.last, Status::Ok);
    until_failed(&mut host);
}

#[test]
fn a_server_that_cannot_be_trusted_is_not_waited_for() {
    // Not loopback, nothing pinned: nothing is sent there, and nothing will change by itself.
    let settings = Settings { server: Some("192.0.2.1:7433".to_owned()), ..Settings::default() };
    let mut host = Host::new(settings, offline(FOR_EVER));
    until_failed(&mut host);
    let view = host.instance.view();
    assert_eq!(view.link, LinkView::Failed);
    assert!(view.error.is_some_and(|error| error.contains("rehearsekit pair")));
    // The same again after a reset.
    host.engine.reset();
    until_failed(&mut host);
    assert!(host.instance.view().error.is_some());
    assert_eq!(host.instance.settings().trust, Trust::Loopback);
}

#[test]
fn deactivating_ends_the_wait() {
    for cancel_only in [false, true] {
        let deaf = Deaf::new();
        let mut host = Host::new(deaf.settings(), offline(FOR_EVER));
        let instance = Arc::clone(&host.instance);
        let (tell, told) = std::sync::mpsc::channel();
        let audio = thread::spawn(move || {
            let frames = until_failed(&mut host);
            tell.send(()).unwrap();
            (host, frames)
        });
        // It is blocked in there, for all we can see from here.
        assert!(told.recv_timeout(Duration::from_millis(300)).is_err());
        let began = Instant::now();
        if cancel_only {
            instance.cancel_offline()
        } else {
            instance.deactivate()
        }
        assert!(told.recv_timeout(Duration::from_secs(60)).is_ok());
        println!("the wait ended after {:?}", began.elapsed());
        let (host, frames) = audio.join().unwrap();
        assert!(frames > 0 && host.last == Status::OfflineFailed);
        assert_eq!(instance.view().error.is_some(), cancel_only, "leaving is no fault");
        drop(instance);
    }
}

#[test]
fn an_engine_goes_offline_and_back_and_every_render_is_asked_for_anew() {
    // Nothing is sent there, so a render fails as soon as its order has been carried out.
    let settings = Settings { server: Some("192.0.2.1:7433".to_owned()), ..Settings::default() };
    let mut host = Host::new(settings, AudioSetup::new(48_000, 512, false));
    let song = song(512);
    for _ in 0..3 {
        assert!(!host.instance.view().offline);
        host.block([&song[0], &song[1]]);
        assert_eq!((host.last, host.instance.view().error), (Status::Ok, None));
        host.engine.enter(true);
        assert!(host.instance.view().offline);
        until_failed(&mut host);
        assert!(host.instance.view().error.is_some_and(|error| error.contains("rehearsekit pair")));
        host.engine.enter(false);
    }
}

#[test]
fn an_order_to_stop_counts_for_one_render_and_leaving_for_all() {
    let deaf = Deaf::new();
    let mut host = Host::new(deaf.settings(), offline(FOR_EVER));
    let instance = Arc::clone(&host.instance);
    instance.cancel_offline();
    until_failed(&mut host);
    // A reset takes the order back; the end of an activation stays.
    host.engine.reset();
    instance.deactivate();
    host.engine.reset();
    until_failed(&mut host);
}
