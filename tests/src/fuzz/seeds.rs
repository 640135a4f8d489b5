//! Inputs that get past the first checks, for every target to start from.

use rehearsekit_protocol::*;

use super::sessions::{offers, opened, request};

const HALF: Half = [b'A'; HALF_BYTES];
const PROOF: PairProof = PairProof { of_code: [1; 32], of_channel: [2; 32] };

/// One of each message a client may say, nine in all.
pub(super) fn client_messages() -> Vec<ClientMessage> {
    vec![
        ClientMessage::Hello { min_version: 1, max_version: 2, client_name: "laptop".into() },
        ClientMessage::Open(request()),
        ClientMessage::Open(OpenRequest { wanted_offers_frames: vec![4_464, 12_000], ..request() }),
        ClientMessage::Heartbeat { sequence: 7 },
        ClientMessage::Close { reason: CloseReason::ClientDone },
        ClientMessage::Identify(Token([7; Token::BYTES])),
        ClientMessage::PairStart(PairStart { half: HALF, name: "laptop".into() }),
        ClientMessage::PairProof(PROOF),
        ClientMessage::Health(Health { underruns: 1, late: 2, lost: 3, needed_frames: 4_000 }),
    ]
}

/// One of each message a server may say, eight in all.
pub(super) fn server_messages() -> Vec<ServerMessage> {
    vec![
        ServerMessage::Welcome {
            version: 1,
            server_name: "closet".into(),
            models: vec!["a".into(), "b".into()],
        },
        ServerMessage::Opened(opened()),
        ServerMessage::Refused(Refusal::new(RefusalCode::BudgetTooSmall, "more", Some(4_096))),
        ServerMessage::Refused(Refusal {
            offers: offers(2),
            ..Refusal::new(RefusalCode::BudgetTooSmall, "", None)
        }),
        ServerMessage::HeartbeatEcho { sequence: 7 },
        ServerMessage::Closing { reason: CloseReason::ServerShutdown },
        ServerMessage::Paused { paused: true },
        ServerMessage::PairReply(HALF),
        ServerMessage::Paired(Paired { proof: PROOF, token: Token([9; Token::BYTES]) }),
    ]
}

/// A few inputs that get past the first checks, for every target to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let (client, server) = (client_messages(), server_messages());
    let mut seeds = Vec::new();
    for (kind, channels) in [(PacketKind::Mix, 2u8), (PacketKind::Stems, 6)] {
        let header = PacketHeader { kind, channels, ..PacketHeader::mix(1, 2, 3, 5) };
        seeds.extend(Packet { header, channels: vec![vec![0.5; 5]; channels.into()] }.encode());
    }
    for message in &client {
        let mut bytes = Vec::new();
        if message.encode(&mut bytes).is_ok() {
            seeds.push(bytes[2..].to_vec());
            seeds.push(bytes);
        }
    }
    for message in &server {
        let mut bytes = Vec::new();
        if message.encode(&mut bytes).is_ok() {
            seeds.push(bytes[2..].to_vec());
            seeds.push(bytes);
        }
    }
    // At the limits, where one more is one too many.
    let name = "n".repeat(MAX_NAME_BYTES);
    let longest = [
        ServerMessage::Welcome {
            version: 1,
            server_name: name.clone(),
            models: vec![name.clone(); MAX_MODELS],
        },
        ServerMessage::Opened(Opened {
            model: name,
            description: "d".repeat(MAX_SENTENCE_BYTES),
            offers: offers(MAX_OFFERS),
            ..opened()
        }),
    ];
    for message in &longest {
        let mut bytes = Vec::new();
        if message.encode(&mut bytes).is_ok() {
            seeds.push(bytes[2..].to_vec());
        }
    }
    // A whole pairing of two real ends, and texts.
    for manner in [0, 0x10, 0x20] {
        seeds.push(vec![manner, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 0]);
    }
    seeds.push([&[1], &HALF[..], &[0; 64]].concat());
    let fingerprint = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let lines = [
        "name=closet",
        &format!("fp={fingerprint}"),
        "version=0.1.0",
        "protocol=1-3",
        "models=spleeter-2stems,htdemucs",
        "load=2/16",
        "http=7480",
    ];
    seeds.push(lines.join("\n").into());
    seeds
        .push(format!("Bearer {fingerprint}\n1234-5678\nnas.local.:80\nhttp://[::1]:7480\nlocalhost").into());
    // Scripts: a handshake with heartbeats; packets in a row; slots and blocks.
    seeds.push(vec![0, 0, 2, 0, 8, 2, 2, 7, 100, 0, 0, 2, 7, 100, 0, 0, 2, 11, 13, 0]);
    seeds.push(vec![3, 0, 2, 0, 9, 7, 2, 0, 10, 3, 2, 12, 0, 2]);
    seeds.push((0..60).flat_map(|i| [0x80, 8, i, 8 * (i % 30)]).collect());
    seeds.push([vec![100, 2, 1, 0], (0..40).flat_map(|_| [2, 63, 0, 64, 1, 64, 9]).collect()].concat());
    seeds
}
