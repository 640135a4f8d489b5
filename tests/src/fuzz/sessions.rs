//! The two ends of a control stream under a script: real bytes of the other, invented bytes, time, answers, goodbyes.

use std::time::Duration;

use rehearsekit_audio::StemSet;
use rehearsekit_protocol::*;

use super::Script;

pub(super) fn request() -> OpenRequest {
    let model = "quarter".to_owned();
    OpenRequest {
        model,
        rate_hz: 48_000,
        budget_frames: 12_000,
        block_frames: 64,
        link_micros: 0,
        mode: Mode::Live,
        wanted_offers_frames: vec![4_464, 12_000],
    }
}

pub(super) fn opened() -> Opened {
    Opened {
        session: 1,
        model: "quarter".into(),
        stems: StemSet::new(&["vocals", "accompaniment"]).expect("two names"),
        packet_frames: 64,
        latency_frames: 12_000,
        algorithmic_frames: 64,
        hop_frames: 64,
        look_ahead_frames: 0,
        description: String::new(),
        offers: Vec::new(),
    }
}

pub(super) fn offers(count: usize) -> Vec<BudgetOffer> {
    let words = "w".repeat(MAX_OFFER_WORDS_BYTES);
    let offer = BudgetOffer {
        budget_frames: 12_000,
        holds: true,
        quality_db: Some(-0.5),
        words,
        need_frames: Some(1_000),
    };
    vec![offer; count]
}

/// What the server's driver has been asked for so far: nothing may come out that nobody asked for.
#[derive(Default)]
struct Asked {
    greeted: bool,
    session: bool,
    half: bool,
    proof: bool,
}

impl Asked {
    fn note(&mut self, events: &[ServerEvent]) {
        for event in events {
            match event {
                ServerEvent::Hello { version, .. } => {
                    assert!(!self.greeted && PROTOCOL_VERSIONS.contains(version));
                    self.greeted = true;
                }
                ServerEvent::Open(request) => {
                    assert!(self.greeted && !self.session && !self.half && request.check().is_ok());
                    self.session = true;
                }
                ServerEvent::PairStart(_) => {
                    assert!(self.greeted && !self.session && !self.half);
                    self.half = true;
                }
                ServerEvent::PairProof(_) => {
                    assert!(self.half && !self.proof);
                    self.proof = true;
                }
                ServerEvent::Identify(_) => assert!(self.greeted && !self.session && !self.half),
                ServerEvent::Health(_) => assert!(self.session),
                ServerEvent::Refused(_) | ServerEvent::Closed(_) => {}
            }
        }
    }
}

/// Whether the bytes a server wrote hold a message of this kind.
fn wrote(bytes: &[u8], kind: fn(&ServerMessage) -> bool) -> bool {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    while let Some(frame) = reader.next_frame().expect("a server frames well") {
        let message = ServerMessage::decode(frame).expect("a server writes what can be read");
        if kind(&message) {
            return true;
        }
    }
    false
}

/// Two sessions under a script.
pub(super) fn sessions(data: &[u8]) {
    let mut script = Script(data);
    let mut now = Duration::ZERO;
    let manner = script.byte();
    let token = Token([7; Token::BYTES]);
    let mut client = match manner & 1 {
        0 => ClientSession::new("c", request(), now),
        _ => ClientSession::paired("c", token, request(), now),
    }
    .expect("a good request");
    let versions = if manner & 2 == 0 { PROTOCOL_VERSIONS } else { LAN_VERSIONS };
    let mut server = ServerSession::speaking(versions, "s", &["quarter".into()], now).expect("good names");
    let mut asked = Asked::default();
    while !script.is_over() {
        let (client_was_over, server_was_over) = (client.is_over(), server.is_over());
        let mut client_events = Ok(Vec::new());
        let mut server_events = Ok(Vec::new());
        match script.byte() % 16 {
            0 | 1 => server_events = server.receive(&client.take_outgoing(), now),
            2 | 3 => {
                let bytes = server.take_outgoing();
                assert!(asked.session || !wrote(&bytes, |m| matches!(m, ServerMessage::Opened(_))));
                assert!(asked.half || !wrote(&bytes, |m| matches!(m, ServerMessage::PairReply(_))));
                assert!(asked.proof || !wrote(&bytes, |m| matches!(m, ServerMessage::Paired(_))));
                client_events = client.receive(&bytes, now);
            }
            4 | 5 => {
                let count = usize::from(script.byte());
                server_events = server.receive(&script.bytes(count), now);
            }
            6 => {
                let count = usize::from(script.byte());
                client_events = client.receive(&script.bytes(count), now);
            }
            7 => now += Duration::from_millis(script.word().into()),
            8 => {
                let opened = Opened { offers: offers(usize::from(script.byte()) % 17), ..opened() };
                server.open(opened).expect("a good answer");
            }
            9 => server.pair_reply([script.byte(); HALF_BYTES]),
            10 => {
                let proof = PairProof { of_code: [script.byte(); 32], of_channel: [1; 32] };
                server.paired(Paired { proof, token: Token([2; Token::BYTES]) });
            }
            11 => client.report(Health { underruns: script.byte().into(), ..Health::default() }),
            // Whole messages, each where it may not belong.
            12 => {
                let message = super::seeds::client_messages().swap_remove(usize::from(script.byte()) % 9);
                let mut bytes = Vec::new();
                message.encode(&mut bytes).expect("a good message");
                server_events = server.receive(&bytes, now);
            }
            13 => {
                let message = super::seeds::server_messages().swap_remove(usize::from(script.byte()) % 8);
                let mut bytes = Vec::new();
                message.encode(&mut bytes).expect("a good message");
                client_events = client.receive(&bytes, now);
            }
            14 => server.refuse(Refusal::new(RefusalCode::Full, "full", None)),
            _ => client.close(CloseReason::ClientDone),
        }
        asked.note(server_events.as_deref().unwrap_or_default());
        assert!(asked.session || !server.is_open(), "a session that nobody asked for");
        let ticked = (client.tick(now).is_err(), server.tick(now).is_err());
        assert!(!(client_was_over && (ticked.0 || client_events != Ok(vec![]))), "over is over");
        assert!(!(server_was_over && (ticked.1 || server_events != Ok(vec![]))), "over is over");
        assert!(client_events.is_ok() || client.is_over());
        assert!(server_events.is_ok() || server.is_over());
        assert!(!ticked.0 || client.is_over());
        assert_eq!(client.next_tick().is_none(), client.is_over());
        assert!(client.next_tick().is_none_or(|at| at > now), "a tick must get somewhere");
        assert!(server.next_tick().is_none_or(|at| at > now), "a tick must get somewhere");
    }
}
