//! Both ends of a control stream, in a time that only the test moves.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::time::Duration;

use common::*;
use rehearsekit_protocol::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client() -> ClientSession {
    ClientSession::new("laptop", request(), Duration::ZERO).unwrap()
}

fn server() -> ServerSession {
    ServerSession::new("closet", &["m".into()], Duration::ZERO).unwrap()
}

/// Both ends of an open session at `now`.
fn open_at(now: Duration) -> (ClientSession, ServerSession) {
    open_with(request(), now)
}

fn open_with(request: OpenRequest, now: Duration) -> (ClientSession, ServerSession) {
    let mut client = ClientSession::new("laptop", request, now).unwrap();
    let mut server = ServerSession::new("closet", &["m".into()], now).unwrap();
    server.receive(&client.take_outgoing(), now).unwrap();
    client.receive(&server.take_outgoing(), now).unwrap();
    server.receive(&client.take_outgoing(), now).unwrap();
    server.open(opened()).unwrap();
    client.receive(&server.take_outgoing(), now).unwrap();
    assert!(server.is_open() && client.opened().is_some());
    (client, server)
}

#[test]
fn a_session_from_hello_to_goodbye() {
    let (mut client, mut server) = (client(), server());
    let welcomed = server.receive(&client.take_outgoing(), ms(1)).unwrap();
    assert_eq!(welcomed, [ServerEvent::Hello { client_name: "laptop".into(), version: 4 }]);
    let events = client.receive(&server.take_outgoing(), ms(2)).unwrap();
    let models = vec!["m".to_owned()];
    assert_eq!(events, [ClientEvent::Welcomed { version: 4, server_name: "closet".into(), models }]);
    assert_eq!(server.receive(&client.take_outgoing(), ms(3)).unwrap(), [ServerEvent::Open(request())]);
    assert!(client.opened().is_none() && !server.is_open());
    server.open(opened()).unwrap();
    let events = client.receive(&server.take_outgoing(), ms(4)).unwrap();
    assert_eq!(events, [ClientEvent::Opened(opened())]);
    assert_eq!(client.opened().unwrap().travelling_channels(), 2);

    client.tick(ms(4)).unwrap();
    assert!(server.receive(&client.take_outgoing(), ms(5)).unwrap().is_empty());
    let echo = client.receive(&server.take_outgoing(), ms(6)).unwrap();
    assert_eq!(echo, [ClientEvent::Echo { sequence: 0, round_trip: ms(2) }]);

    client.close(CloseReason::ClientDone);
    assert!(client.is_over() && client.next_tick().is_none());
    let events = server.receive(&client.take_outgoing(), ms(7)).unwrap();
    assert_eq!(events, [ServerEvent::Closed(CloseReason::ClientDone)]);
    assert!(server.is_over() && server.take_outgoing().is_empty());
}

#[test]
fn bytes_one_by_one_make_the_same_session() {
    let (mut client, mut server) = (client(), server());
    let mut events = (Vec::new(), Vec::new());
    for round in 0..4 {
        for byte in client.take_outgoing() {
            events.0.extend(server.receive(&[byte], ms(round)).unwrap());
        }
        if events.0.len() == 2 {
            server.open(opened()).unwrap();
        }
        for byte in server.take_outgoing() {
            events.1.extend(client.receive(&[byte], ms(round)).unwrap());
        }
    }
    assert!(matches!(events.0[..], [ServerEvent::Hello { .. }, ServerEvent::Open(_)]));
    assert!(matches!(events.1[..], [ClientEvent::Welcomed { .. }, ClientEvent::Opened(_)]));
}

#[test]
fn another_version_is_refused_with_a_sentence_on_both_sides() {
    let mut client = ClientSession::speaking(5..=6, "new", request(), Duration::ZERO).unwrap();
    let mut server = server();
    let events = server.receive(&client.take_outgoing(), ms(1)).unwrap();
    let [ServerEvent::Refused(refusal)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(refusal.code, RefusalCode::Version);
    assert!(!refusal.code.is_worth_retrying());
    assert!(refusal.message.contains("1 to 4") && refusal.message.contains("5 to 6"), "{refusal}");
    assert!(server.is_over());
    let events = client.receive(&server.take_outgoing(), ms(2)).unwrap();
    assert_eq!(events, [ClientEvent::Refused(refusal.clone())]);
    assert!(client.is_over());
}

#[test]
fn overlapping_versions_meet_at_the_newest() {
    let mut client = ClientSession::speaking(1..=4, "new", request(), Duration::ZERO).unwrap();
    let mut server = ServerSession::speaking(2..=3, "s", &[], Duration::ZERO).unwrap();
    let events = server.receive(&client.take_outgoing(), ms(1)).unwrap();
    assert!(matches!(events[..], [ServerEvent::Hello { version: 3, .. }]));
    client.receive(&server.take_outgoing(), ms(1)).unwrap();
    // A server that picks what it was not offered.
    let mut client = ClientSession::speaking(1..=2, "old", request(), Duration::ZERO).unwrap();
    let welcome = ServerMessage::Welcome { version: 3, server_name: String::new(), models: vec![] };
    assert_eq!(client.receive(&server_bytes_of(&welcome), ms(1)), Err(SessionError::Version(3)));
}

/// A client that wants offers and a server that has some, each of its own versions; what the server was asked and
/// what the client was told.
fn with_offers(
    ours: std::ops::RangeInclusive<u16>,
    theirs: std::ops::RangeInclusive<u16>,
) -> (OpenRequest, Opened) {
    let wanting = OpenRequest { wanted_offers_frames: vec![4_464, 12_000], ..request() };
    let mut client = ClientSession::speaking(ours, "c", wanting, Duration::ZERO).unwrap();
    let mut server = ServerSession::speaking(theirs, "s", &[], Duration::ZERO).unwrap();
    server.receive(&client.take_outgoing(), ms(1)).unwrap();
    client.receive(&server.take_outgoing(), ms(1)).unwrap();
    let events = server.receive(&client.take_outgoing(), ms(1)).unwrap();
    let [ServerEvent::Open(asked)] = &events[..] else { panic!("{events:?}") };
    let offers = if asked.wanted_offers_frames.is_empty() { Vec::new() } else { offers() };
    server.open(Opened { offers, ..opened() }).unwrap();
    client.receive(&server.take_outgoing(), ms(1)).unwrap();
    (asked.clone(), client.opened().unwrap().clone())
}

#[test]
fn a_server_of_version_1_is_not_asked_for_offers() {
    // Version 1 takes not a byte more than this Open, and gives not a byte more than this Opened.
    assert_eq!(with_offers(1..=2, 1..=1), (request(), opened()));
    assert_eq!(with_offers(1..=1, 1..=2), (request(), opened()));
    let (asked, told) = with_offers(1..=2, 1..=2);
    assert_eq!((asked.wanted_offers_frames, told.offers), (vec![4_464, 12_000], offers()));
}

#[test]
fn a_refusal_brings_its_offers_or_goes_without_them() {
    for (offers, told) in [(offers(), offers()), (vec![offers()[0].clone(); 17], Vec::new())] {
        let (mut client, mut server) = (client(), server());
        server.receive(&client.take_outgoing(), ms(1)).unwrap();
        let refusal = Refusal::new(RefusalCode::BudgetTooSmall, "more", Some(9_000));
        server.refuse(Refusal { offers, ..refusal.clone() });
        let events = client.receive(&server.take_outgoing(), ms(1)).unwrap();
        let expected = ClientEvent::Refused(Refusal { offers: told, ..refusal });
        assert_eq!(events.last(), Some(&expected));
    }
}

#[test]
fn nonsense_in_a_request_is_refused_and_never_sent_by_us() {
    let bad = OpenRequest { rate_hz: 96_000, ..request() };
    assert!(ClientSession::new("c", bad.clone(), Duration::ZERO).is_err());
    let mut server = server();
    let hello = ClientMessage::Hello { min_version: 1, max_version: 1, client_name: String::new() };
    server.receive(&bytes_of(&hello), ms(1)).unwrap();
    let events = server.receive(&bytes_of(&ClientMessage::Open(bad)), ms(1)).unwrap();
    let [ServerEvent::Refused(refusal)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(refusal.code, RefusalCode::BadRequest);
    assert!(refusal.message.contains("rate_hz") && refusal.message.contains("96000"));
}

#[test]
fn a_server_may_refuse_before_and_after_the_request() {
    for asked in [false, true] {
        let (mut client, mut server) = (client(), server());
        server.receive(&client.take_outgoing(), ms(1)).unwrap();
        if asked {
            client.receive(&server.take_outgoing(), ms(1)).unwrap();
            server.receive(&client.take_outgoing(), ms(1)).unwrap();
        }
        let refusal = Refusal::new(RefusalCode::BudgetTooSmall, "give it 93 ms", Some(4_464));
        server.refuse(refusal.clone());
        let events = client.receive(&server.take_outgoing(), ms(2)).unwrap();
        assert_eq!(events.last(), Some(&ClientEvent::Refused(refusal)));
        server.refuse(Refusal::new(RefusalCode::Full, "again", None));
        assert!(server.take_outgoing().is_empty(), "one answer is enough");
    }
}

#[test]
fn heartbeats_go_out_each_100_ms_and_silence_kills_at_500() {
    let start = ms(10_000);
    let (mut client, mut server) = open_at(start);
    // 2 s with a server that answers: the ticks come just when they are asked for.
    let mut now = start;
    let mut beats = Vec::new();
    while now < start + ms(2_000) {
        now = client.next_tick().unwrap();
        client.tick(now).unwrap();
        let bytes = client.take_outgoing();
        if !bytes.is_empty() {
            beats.push(now - start);
        }
        server.receive(&bytes, now).unwrap();
        server.tick(now).unwrap();
        client.receive(&server.take_outgoing(), now).unwrap();
    }
    assert_eq!(beats, (0..=20).map(|i| ms(100 * i)).collect::<Vec<_>>());
    // Then it falls silent.
    let last_heard = now;
    let error = loop {
        now = client.next_tick().unwrap();
        if let Err(error) = client.tick(now) {
            break error;
        }
    };
    assert_eq!((now - last_heard, error), (ms(500), SessionError::Silent(ms(500))));
    assert!(client.is_over());
    assert!(client.take_outgoing().ends_with(&hex("0200 04 05")), "it still says why");
}

#[test]
fn a_bounce_has_more_patience_with_a_silent_server() {
    let start = ms(10_000);
    let (mut client, _server) = open_with(OpenRequest { mode: Mode::Reliable, ..request() }, start);
    let (now, error) = loop {
        let now = client.next_tick().unwrap();
        if let Err(error) = client.tick(now) {
            break (now, error);
        }
    };
    assert_eq!((now - start, error), (ms(5_000), SessionError::Silent(ms(5_000))));
}

#[test]
fn who_was_away_does_not_take_it_for_the_others_silence() {
    let (mut client, mut server) = open_at(ms(0));
    client.tick(ms(0)).unwrap();
    let beat = client.take_outgoing();
    // Eight hours of a closed lid. One stretch counts as 200 ms, so there is time to read what is there.
    let woken = Duration::from_secs(8 * 3_600);
    client.tick(woken).unwrap();
    server.receive(&beat, woken).unwrap();
    let echo = client.receive(&server.take_outgoing(), woken + ms(1)).unwrap();
    assert!(matches!(echo[..], [ClientEvent::Echo { sequence: 0, .. }]));
    // If nothing comes, it is over soon nevertheless.
    let mut now = woken + ms(1);
    let error = loop {
        now += ms(50);
        if let Err(error) = client.tick(now) {
            break error;
        }
    };
    assert_eq!((now - woken, error), (ms(501), SessionError::Silent(ms(500))));
}

#[test]
fn a_server_gives_a_silent_client_three_seconds() {
    let (_client, mut server) = open_at(ms(0));
    let dead = loop {
        let now = server.next_tick().unwrap();
        if let Err(error) = server.tick(now) {
            break (now, error);
        }
    };
    assert_eq!(dead, (ms(3_000), SessionError::Silent(ms(3_000))));
    assert_eq!(server.take_outgoing(), hex("0200 85 05"));
}

#[test]
fn a_handshake_has_its_time() {
    let mut client = client();
    client.tick(ms(9_999)).unwrap();
    assert_eq!(client.next_tick(), Some(ms(10_000)));
    assert_eq!(client.tick(ms(10_000)), Err(SessionError::Handshake));
    let mut idle = server();
    assert_eq!(idle.tick(idle.next_tick().unwrap()), Err(SessionError::Handshake));
    assert_eq!(idle.take_outgoing(), hex("0200 85 04"));
}

#[test]
fn messages_out_of_place_end_the_session_with_a_goodbye() {
    let hello = ClientMessage::Hello { min_version: 1, max_version: 1, client_name: String::new() };
    let open = ClientMessage::Open(request());
    let beat = ClientMessage::Heartbeat { sequence: 0 };
    for messages in [vec![&open], vec![&beat], vec![&hello, &hello], vec![&hello, &open, &open]] {
        let mut server = server();
        let bytes: Vec<u8> = messages.into_iter().flat_map(bytes_of).collect();
        let error = server.receive(&bytes, ms(1)).unwrap_err();
        assert!(matches!(error, SessionError::Unexpected { .. }), "{error}");
        assert!(server.take_outgoing().ends_with(&hex("0200 85 03")));
        assert_eq!(server.receive(&bytes, ms(2)), Ok(vec![]), "nothing is read any more");
    }
    let welcome = ServerMessage::Welcome { version: 1, server_name: String::new(), models: vec![] };
    let echo = ServerMessage::HeartbeatEcho { sequence: 0 };
    let opened = ServerMessage::Opened(opened());
    let no = ServerMessage::Refused(Refusal::new(RefusalCode::Full, "", None));
    let cases = [
        vec![&opened],
        vec![&echo],
        vec![&welcome, &welcome],
        vec![&welcome, &opened, &no],
        vec![&welcome, &opened, &echo],
    ];
    for messages in cases {
        let mut client = client();
        let bytes: Vec<u8> = messages.into_iter().flat_map(server_bytes_of).collect();
        let error = client.receive(&bytes, ms(1)).unwrap_err();
        assert!(matches!(error, SessionError::Unexpected { .. }), "{error}");
        assert!(client.take_outgoing().ends_with(&hex("0200 04 03")));
    }
}

#[test]
fn another_protocol_is_told_as_such() {
    let mut server = server();
    let error = server.receive(b"GET / HTTP/1.1\r\n\r\n", ms(1)).unwrap_err();
    assert!(matches!(error, SessionError::Message(MessageError::FrameLength { .. })));
    let mut server = self::server();
    let error = server.receive(&hex("0900 01 48485448 0100 0100"), ms(1)).unwrap_err();
    assert_eq!(error, SessionError::Message(MessageError::Magic));
    assert_eq!(error.reason(), CloseReason::ProtocolError);
}

#[test]
fn a_shutdown_reaches_the_client() {
    let (mut client, mut server) = open_at(ms(0));
    server.close(CloseReason::ServerShutdown);
    let events = client.receive(&server.take_outgoing(), ms(1)).unwrap();
    assert_eq!(events, [ClientEvent::Closing(CloseReason::ServerShutdown)]);
    assert!(client.is_over() && client.opened().is_none());
}

fn code() -> PairingCode {
    PairingCode::from_number(12_345_678)
}

/// Moves everything that is there from one end to the other, until a server's driver has something to do.
fn to_server(client: &mut PairingSession, server: &mut ServerSession) -> Vec<ServerEvent> {
    loop {
        let events = server.receive(&client.take_outgoing(), ms(1)).unwrap();
        let done = events.iter().any(|event| !matches!(event, ServerEvent::Hello { .. }));
        if done {
            return events;
        }
        assert_eq!(client.receive(&server.take_outgoing()).unwrap(), None);
    }
}

#[test]
fn a_pairing_from_hello_to_token_and_back_with_the_token() {
    use rehearsekit_protocol::pairing::ServerPairing;

    let channel = [9; 32];
    let mut client = PairingSession::new(&code(), "drummer's laptop", channel, Duration::ZERO).unwrap();
    let mut server = server();
    let events = to_server(&mut client, &mut server);
    let Some(ServerEvent::PairStart(start)) = events.last() else { panic!("{events:?}") };
    assert_eq!(start.name, "drummer's laptop");
    let (pairing, half) = ServerPairing::answer(&code(), start, channel).unwrap();
    server
        .paired(Paired { proof: PairProof { of_code: [0; 32], of_channel: [0; 32] }, token: Token([0; 32]) });
    assert!(server.take_outgoing().is_empty(), "no token without a proof");
    server.pair_reply(half);
    assert_eq!(client.receive(&server.take_outgoing()).unwrap(), None);
    let events = to_server(&mut client, &mut server);
    let [ServerEvent::PairProof(proof)] = &events[..] else { panic!("{events:?}") };
    let token = Token([5; 32]);
    server.paired(Paired { proof: pairing.check(proof).unwrap(), token: token.clone() });
    assert!(server.is_over());
    // Byte by byte: nothing depends on how the stream was cut.
    let mut last = None;
    for byte in server.take_outgoing() {
        last = client.receive(&[byte]).unwrap().or(last);
    }
    assert_eq!(last, Some(PairingEvent::Paired { server_name: "closet".into(), token: token.clone() }));

    let mut client = ClientSession::paired("laptop", token.clone(), request(), ms(5)).unwrap();
    let mut server = ServerSession::speaking(LAN_VERSIONS, "closet", &["m".into()], ms(5)).unwrap();
    server.receive(&client.take_outgoing(), ms(5)).unwrap();
    client.receive(&server.take_outgoing(), ms(5)).unwrap();
    let events = server.receive(&client.take_outgoing(), ms(5)).unwrap();
    assert_eq!(events, [ServerEvent::Identify(token), ServerEvent::Open(request())]);
    server.open(opened()).unwrap();
    client.receive(&server.take_outgoing(), ms(6)).unwrap();
    let health = Health { underruns: 1, late: 2, lost: 3, needed_frames: 4 };
    client.report(health);
    assert_eq!(server.receive(&client.take_outgoing(), ms(7)).unwrap(), [ServerEvent::Health(health)]);
}

#[test]
fn a_server_that_does_not_know_the_code_gets_no_token_believed() {
    let mut client = PairingSession::new(&code(), "laptop", [9; 32], Duration::ZERO).unwrap();
    let mut server = server();
    let events = to_server(&mut client, &mut server);
    let Some(ServerEvent::PairStart(start)) = events.last() else { panic!("{events:?}") };
    let guess = PairingCode::from_number(1);
    let (_, half) = rehearsekit_protocol::pairing::ServerPairing::answer(&guess, start, [9; 32]).unwrap();
    server.pair_reply(half);
    client.receive(&server.take_outgoing()).unwrap();
    to_server(&mut client, &mut server);
    server
        .paired(Paired { proof: PairProof { of_code: [1; 32], of_channel: [1; 32] }, token: Token([0; 32]) });
    let told = client.receive(&server.take_outgoing()).unwrap_err();
    assert!(matches!(told, SessionError::Pairing(_)), "{told}");
    assert_eq!(client.receive(&[0; 40]), Ok(None), "nothing is read any more");
}

#[test]
fn another_machine_that_speaks_an_older_version_is_refused_and_not_believed() {
    // A client from before tokens at the LAN's door.
    let mut old = ClientSession::speaking(1..=2, "laptop", request(), ms(0)).unwrap();
    let mut server = ServerSession::speaking(LAN_VERSIONS, "closet", &["m".into()], ms(0)).unwrap();
    let events = server.receive(&old.take_outgoing(), ms(0)).unwrap();
    assert!(
        matches!(&events[..], [ServerEvent::Refused(no)] if no.code == RefusalCode::Version),
        "{events:?}"
    );
    // Somebody who answers a new client with an old version, to be spoken to without a token.
    let downgraded = |version| {
        let mut bytes = Vec::new();
        let welcome = ServerMessage::Welcome { version, server_name: String::new(), models: Vec::new() };
        welcome.encode(&mut bytes).unwrap();
        bytes
    };
    let mut client = ClientSession::paired("laptop", Token([1; 32]), request(), ms(0)).unwrap();
    assert_eq!(client.receive(&downgraded(2), ms(0)), Err(SessionError::Version(2)));
    let mut pairing = PairingSession::new(&code(), "laptop", [0; 32], ms(0)).unwrap();
    assert_eq!(pairing.receive(&downgraded(2)), Err(SessionError::Version(2)));
}

#[test]
fn what_a_client_cannot_read_is_left_out() {
    let told = |versions| {
        let mut client = ClientSession::speaking(versions, "laptop", request(), ms(0)).unwrap();
        let mut server = server();
        server.receive(&client.take_outgoing(), ms(0)).unwrap();
        client.receive(&server.take_outgoing(), ms(0)).unwrap();
        server.receive(&client.take_outgoing(), ms(0)).unwrap();
        let mut needs = offers();
        needs[1].need_frames = Some(7);
        server.open(Opened { offers: needs, ..opened() }).unwrap();
        client.receive(&server.take_outgoing(), ms(0)).unwrap();
        client.report(Health::default());
        (client.opened().unwrap().offers[1].need_frames, client.take_outgoing().len())
    };
    assert_eq!(told(1..=2), (None, 0));
    assert_eq!(told(1..=3), (Some(7), 19));
}
