//! The CLAP's render mode, set while the plugin is active: it is followed from the next block on. A bounce is the same
//! as one that was announced before, or an error; never the song itself.
#![allow(clippy::unwrap_used)]

use clack_extensions::render::{PluginRender, RenderMode};
use clack_host::prelude::PluginInstance;
use rehearsekit_host_tests::{
    clap_host::Host,
    player::{Player, Playhead, sizes},
    server::Server,
    songs::{Stereo, bits, music, peak},
    track::{MAIN, STEMS, Track},
};

const RATE: u32 = 44_100;
const VOCALS: usize = 1;

fn set_mode(instance: &mut PluginInstance<Host>, offline: bool) {
    let plugin = instance.plugin_handle();
    let mode = if offline { RenderMode::Offline } else { RenderMode::Realtime };
    plugin.get_extension::<PluginRender>().unwrap().set(&plugin, mode).unwrap();
}

fn bounce(player: &mut Player, song: &Stereo) -> Vec<Stereo> {
    player.offline = true;
    player.out.iter_mut().flatten().for_each(Vec::clear);
    player.render(song, || 512);
    std::mem::take(&mut player.out)
}

#[test]
fn a_bounce_that_begins_while_it_is_active_is_a_bounce() {
    let server = Server::start();
    let song = music(2 * RATE as usize, RATE);
    let ready = |offline| {
        let mut track = Track::new(STEMS);
        track.point_at(&server.address, 250.0);
        track.set_offline(offline);
        track.activate(RATE, 512);
        track
    };
    let announced = ready(true).play(|player| bounce(player, &song));
    assert!(peak(&announced[VOCALS][0]) > 0.01, "there are no vocals in it");
    let mut track = ready(false);
    for run in 0..2 {
        track.play(|player| player.render(&music(4_096, RATE), || 512));
        track.set_offline(true);
        let bounced = track.play(|player| bounce(player, &song));
        for (port, (one, other)) in bounced.iter().zip(&announced).enumerate() {
            assert!(bits(one) == bits(other), "bounce {run}: output {port} is not what was announced");
        }
        track.set_offline(false);
    }
    assert_eq!(
        track.log.restarts.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "nothing has to be restarted"
    );
}

/// The audio thread asks nobody for anything while the main thread changes its mind, and every output is written
/// (the player looks at both). Without a server each bounce is an error.
#[test]
fn the_mode_may_change_while_audio_runs() {
    for class in [MAIN, STEMS] {
        let mut track = Track::new(class);
        // Nothing would be sent there: a bounce fails within milliseconds.
        track.point_at("192.0.2.1:7433", 100.0);
        let ids = ["Bypass", "Vocals Gain", "Drums Mute"].map(|name| track.param(name).0);
        track.activate(RATE, 512);
        let (mut size, song) = (sizes(9, 2_048), music(2_048, RATE));
        let mut looks = 0;
        let (fine, failed) = track.play_beside(
            |player| {
                // When the mode changes is the main thread's business, so every block may be one of a bounce.
                player.offline = true;
                let (mut fine, mut failed) = (0, 0);
                while fine < 500 || failed < 500 {
                    let frames = size();
                    let next = player.played();
                    player.automation.push((next, ids[fine % ids.len()], (fine % 2) as f64));
                    let position = if fine % 23 == 0 { -5_000 } else { next as i64 };
                    player.playhead = Some(Playhead {
                        playing: fine % 7 != 0,
                        position,
                        tempo: 120.0,
                        beats: position as f64,
                    });
                    if (fine + failed) % 101 == 100 {
                        player.reset();
                    }
                    match player.block([&song[0][..frames], &song[1][..frames]]) {
                        Ok(_) => fine += 1,
                        Err(_) => failed += 1,
                    }
                }
                (fine, failed)
            },
            |instance| {
                looks += 1;
                if looks % 50 == 0 {
                    set_mode(instance, looks % 100 == 0);
                }
            },
        );
        println!("{class}: {fine} live blocks, {failed} that were errors");
    }
}

/// Who ends a bounce that waits gets the audio thread back at once, and the next bounce is one.
#[test]
fn going_live_ends_the_wait_of_a_bounce() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut track = Track::new(MAIN);
    track.point_at(&silent.local_addr().unwrap().to_string(), 100.0);
    track.set_offline(true);
    track.activate(RATE, 512);
    let song = music(512, RATE);
    let (began, mut told) = (std::time::Instant::now(), false);
    track.play_beside(
        |player| {
            player.offline = true;
            let mut block = || player.block([&song[0], &song[1]]);
            // It waits as soon as a stem is due.
            while block().is_ok() {}
            (0..20).for_each(|_| assert!(block().is_ok(), "it is live again"));
        },
        |instance| {
            if !told && began.elapsed().as_millis() > 300 {
                told = true;
                set_mode(instance, false);
            }
        },
    );
    assert!(told, "the bounce gave up by itself");
    assert!(began.elapsed().as_secs() < 45, "it waited out its patience");
}
