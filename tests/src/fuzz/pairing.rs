//! A pairing between the two real ends, with somebody on the way who may drop, change and invent whatever it likes.
//! Nobody is ever paired who was not told the code on this very connection.

use std::time::Duration;

use rehearsekit_protocol::{
    pairing::{ClientPairing, PairingError, ServerPairing},
    *,
};

use super::Script;

const CODE: u64 = 12_345_678;

/// The server's driver, as the real one goes on: half, proof, token.
struct Desk {
    session: ServerSession,
    code: PairingCode,
    channel: [u8; 32],
    pairing: Option<ServerPairing>,
    /// The token was given out.
    gave: bool,
}

impl Desk {
    fn hear(&mut self, bytes: &[u8], may_pair: bool, start: &PairStart) {
        let Ok(events) = self.session.receive(bytes, Duration::ZERO) else { return };
        for event in events {
            match event {
                ServerEvent::PairStart(theirs) => {
                    match ServerPairing::answer(&self.code, &theirs, self.channel) {
                        Ok((pairing, half)) => {
                            self.pairing = Some(pairing);
                            self.session.pair_reply(half);
                        }
                        Err(error) => {
                            assert_eq!(error, PairingError::WrongCode);
                            assert_ne!(theirs.half, start.half, "a real half is one");
                            self.session.refuse(Refusal::new(RefusalCode::WrongCode, "wrong", None));
                        }
                    }
                }
                ServerEvent::PairProof(proof) => {
                    let pairing = self.pairing.take().expect("a proof comes after a half");
                    match pairing.check(&proof) {
                        Ok(proof) => {
                            assert!(
                                may_pair,
                                "the server believes whoever has not the code, or another connection"
                            );
                            self.gave = true;
                            self.session.paired(Paired { proof, token: Token([9; Token::BYTES]) });
                        }
                        Err(_) => self.session.refuse(Refusal::new(RefusalCode::WrongCode, "wrong", None)),
                    }
                }
                _ => {}
            }
        }
    }
}

/// The same bytes, with one of them another if the script says so.
fn on_the_way(mut bytes: Vec<u8>, script: &mut Script<'_>) -> Vec<u8> {
    if script.byte() & 1 == 1 && !bytes.is_empty() {
        let at = usize::from(script.word()) % bytes.len();
        bytes[at] ^= script.byte();
    }
    bytes
}

/// Whole attempts to pair under a script, besides the two ends alone with halves and proofs of the script's.
pub(super) fn pairing(data: &[u8]) {
    let mut script = Script(data);
    let manner = script.byte();
    let code = PairingCode::from_number(CODE);
    let other = PairingCode::from_number(CODE + u64::from(manner >> 4 & 1));
    let (ours, theirs) = ([5; 32], [5 + (manner >> 5 & 1); 32]);
    let may_pair = code == other && ours == theirs;

    if manner & 1 == 1 {
        // The bare ends: what a script writes by itself is never a proof, and no half makes either of them fall over.
        let client = ClientPairing::new(&code, "laptop", ours);
        let start = client.start().clone();
        let half: [u8; HALF_BYTES] = std::array::from_fn(|_| script.byte());
        let proof = PairProof {
            of_code: std::array::from_fn(|_| script.byte()),
            of_channel: std::array::from_fn(|_| script.byte()),
        };
        let theirs_start = PairStart { half, name: "laptop".into() };
        if let Ok((server, _)) = ServerPairing::answer(&other, &theirs_start, theirs) {
            assert!(server.check(&proof).is_err(), "a guess of 2 to the 256");
        }
        if let Ok((proven, _)) = client.prove(&half) {
            assert!(proven.check(&proof).is_err(), "a guess of 2 to the 256");
        }
        let Ok((server, _)) = ServerPairing::answer(&other, &start, theirs) else { panic!("a real half") };
        assert!(server.check(&proof).is_err());
        return;
    }

    let mut client = PairingSession::new(&code, "laptop", ours, Duration::ZERO).expect("a good name");
    let start = ClientPairing::new(&code, "laptop", ours).start().clone();
    // A point of the curve whose key the script does not know, from the server's side.
    let mut forged = start.half;
    forged[0] = b'B';
    let session = ServerSession::speaking(LAN_VERSIONS, "closet", &["m".into()], Duration::ZERO);
    let mut server = Desk {
        session: session.expect("good names"),
        code: other,
        channel: theirs,
        pairing: None,
        gave: false,
    };
    let mut ended = false;
    let mut steps = 0;
    while !script.is_over() && steps < 24 {
        steps += 1;
        let arrived = match script.byte() % 8 {
            0..=2 => {
                let bytes = on_the_way(client.take_outgoing(), &mut script);
                server.hear(&bytes, may_pair, &start);
                continue;
            }
            3..=5 => on_the_way(server.session.take_outgoing(), &mut script),
            6 => {
                let count = usize::from(script.byte());
                let bytes = match count & 1 {
                    0 => script.bytes(count >> 1),
                    // What somebody who has heard of a pairing, but not the code, would prove.
                    _ => {
                        let proof =
                            PairProof { of_code: [script.byte(); 32], of_channel: [script.byte(); 32] };
                        let mut bytes = Vec::new();
                        ClientMessage::PairProof(proof).encode(&mut bytes).expect("a good message");
                        bytes
                    }
                };
                server.hear(&bytes, may_pair, &start);
                continue;
            }
            _ => {
                let count = usize::from(script.byte());
                match count & 3 {
                    0 => script.bytes(count >> 2),
                    // What somebody who pretends to be the server would say.
                    kind => {
                        let proof =
                            PairProof { of_code: [script.byte(); 32], of_channel: [script.byte(); 32] };
                        let message = match kind {
                            1 => ServerMessage::PairReply(forged),
                            2 => ServerMessage::Paired(Paired { proof, token: Token([9; Token::BYTES]) }),
                            _ => ServerMessage::Welcome {
                                version: 3,
                                server_name: "x".into(),
                                models: vec!["m".into()],
                            },
                        };
                        let mut bytes = Vec::new();
                        message.encode(&mut bytes).expect("a good message");
                        bytes
                    }
                }
            }
        };
        let heard = client.receive(&arrived);
        assert!(!ended || heard == Ok(None), "over is over");
        match heard {
            Ok(None) => {}
            Ok(Some(PairingEvent::Paired { .. })) => {
                assert!(may_pair && server.gave, "a token is believed without the server's proof");
                ended = true;
            }
            Ok(Some(PairingEvent::Refused(_))) | Err(_) => ended = true,
        }
    }
}
