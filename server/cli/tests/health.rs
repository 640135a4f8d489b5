//! `health` as the real program: yes of a real server, no of one that is gone, silent, slow or something else.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::Write as _,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use common::{Server, assert_refused, json, run};

#[test]
fn a_server_that_is_ready_is_healthy_and_one_that_is_gone_is_not() {
    let mut server = Server::start();
    let http = server.http.clone();
    for more in [&[][..], &["--live"]] {
        let answer = json(&run([&["health", "--http", &http, "--json"], more].concat()));
        assert_eq!((&answer["healthy"], &answer["reason"]), (&true.into(), &serde_json::Value::Null));
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert_refused(&run(["health", "--http", &http]), 4, &["no server answers", &http]);
}

#[test]
fn what_is_silent_endless_or_no_server_of_ours_is_not_healthy() {
    let ask = |listener: &TcpListener| {
        run(["health", "--timeout", "1", "--http", &listener.local_addr().unwrap().to_string()])
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_refused(&ask(&silent), 4, &["nothing whole came in time"]);

    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| stranger.accept().unwrap().0.write_all(b"220 mail\r\n").unwrap());
        // Whoever closes with our words unread may also reset the connection.
        assert_refused(&ask(&stranger), 4, &["no server answers"]);
    });

    // It never comes to an end, and is not waited for.
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = endless.accept().unwrap();
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(60) && stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        assert_refused(&ask(&endless), 4, &["nothing whole came in time"]);
    });
}
