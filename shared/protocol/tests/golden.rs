//! The wire as bytes, written out by hand from the tables in `message` and `packet`, not from the encoder.
//! If one of these changes, builds in the field stop understanding each other: raise the version instead.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use common::*;
use rehearsekit_protocol::*;

fn client(expected: &str, message: ClientMessage) {
    assert_eq!(bytes_of(&message), hex(expected), "{message:?}");
    assert_eq!(ClientMessage::decode(&hex(expected)[2..]), Ok(message));
}

fn server(expected: &str, message: ServerMessage) {
    assert_eq!(server_bytes_of(&message), hex(expected), "{message:?}");
    assert_eq!(ServerMessage::decode(&hex(expected)[2..]), Ok(message));
}

#[test]
fn hello() {
    client(
        "0d00 01 5248534b 0100 0300 0200 6162",
        ClientMessage::Hello { min_version: 1, max_version: 3, client_name: "ab".into() },
    );
}

#[test]
fn open() {
    client("1500 02 0100 6d 80bb0000 e02e0000 00020000 204e0000 00", ClientMessage::Open(request()));
    let bounce = OpenRequest { model: String::new(), mode: Mode::Reliable, ..request() };
    client("1400 02 0000 80bb0000 e02e0000 00020000 204e0000 01", ClientMessage::Open(bounce));
}

#[test]
fn heartbeat_and_echo() {
    client("0500 03 04030201", ClientMessage::Heartbeat { sequence: 0x0102_0304 });
    server("0500 84 04030201", ServerMessage::HeartbeatEcho { sequence: 0x0102_0304 });
}

#[test]
fn pauses() {
    server("0200 88 01", ServerMessage::Paused { paused: true });
    server("0200 88 00", ServerMessage::Paused { paused: false });
}

#[test]
fn goodbyes() {
    let reasons = [
        ("01", CloseReason::ClientDone),
        ("02", CloseReason::ServerShutdown),
        ("03", CloseReason::ProtocolError),
        ("04", CloseReason::TooSlow),
        ("05", CloseReason::Silent),
        ("06", CloseReason::Internal),
        ("07", CloseReason::Revoked),
    ];
    for (code, reason) in reasons {
        client(&format!("0200 04 {code}"), ClientMessage::Close { reason });
        server(&format!("0200 85 {code}"), ServerMessage::Closing { reason });
    }
}

#[test]
fn welcome() {
    server(
        "1000 81 0100 0300 737276 02 0100 61 0200 6263",
        ServerMessage::Welcome {
            version: 1,
            server_name: "srv".into(),
            models: vec!["a".into(), "bc".into()],
        },
    );
}

#[test]
fn opened_session() {
    server(
        "3c00 82 8877665544332211 0100 6d 02 0600 766f63616c73 0d00 6163636f6d70616e696d656e74
         00040000 e02e0000 851a0000 6b110000 5b040000 0200 6869",
        ServerMessage::Opened(opened()),
    );
}

#[test]
fn refused() {
    let no = |code, smallest_budget_frames| {
        ServerMessage::Refused(Refusal::new(code, "no", smallest_budget_frames))
    };
    server("0b00 83 03 0200 6e6f 01 28230000", no(RefusalCode::BudgetTooSmall, Some(9_000)));
    let codes = [
        ("01", RefusalCode::Version),
        ("02", RefusalCode::UnknownModel),
        ("03", RefusalCode::BudgetTooSmall),
        ("04", RefusalCode::Full),
        ("05", RefusalCode::NotReady),
        ("06", RefusalCode::ShuttingDown),
        ("07", RefusalCode::BadRequest),
        ("08", RefusalCode::Busy),
        ("09", RefusalCode::NotPaired),
        ("0a", RefusalCode::Revoked),
        ("0b", RefusalCode::WrongCode),
        ("0c", RefusalCode::NoCode),
        ("0d", RefusalCode::CodeExpired),
        ("0e", RefusalCode::TriesOver),
        ("0f", RefusalCode::Replayed),
        ("10", RefusalCode::Intercepted),
        ("ee", RefusalCode::Other(0xee)),
    ];
    for (byte, code) in codes {
        server(&format!("0700 83 {byte} 0200 6e6f 00"), no(code, None));
    }
}

#[test]
fn hello_and_refused_may_grow_at_their_ends() {
    let hello = hex("01 5248534b 0100 0300 0200 6162 ffff");
    assert!(matches!(ClientMessage::decode(&hello), Ok(ClientMessage::Hello { max_version: 3, .. })));
    let refused = hex("83 01 0200 6e6f 00 ffff");
    assert!(matches!(ServerMessage::decode(&refused), Ok(ServerMessage::Refused(_))));
    let heartbeat = hex("03 04030201 ff");
    assert_eq!(ClientMessage::decode(&heartbeat), Err(MessageError::Trailing { bytes: 1 }));
}

#[test]
fn offers_of_version_2() {
    let wanted = OpenRequest { wanted_offers_frames: vec![4_464, 12_000], ..request() };
    client(
        "1e00 02 0100 6d 80bb0000 e02e0000 00020000 204e0000 00  02 70110000 e02e0000",
        ClientMessage::Open(wanted),
    );
    let both = "02  70110000 00 00 0200 6e6f  e02e0000 01 01 000000bf 0300 686f70";
    server(
        &format!(
            "5600 82 8877665544332211 0100 6d 02 0600 766f63616c73 0d00 6163636f6d70616e696d656e74
             00040000 e02e0000 851a0000 6b110000 5b040000 0200 6869 {both}"
        ),
        ServerMessage::Opened(Opened { offers: offers(), ..opened() }),
    );
    let refusal =
        Refusal { offers: offers(), ..Refusal::new(RefusalCode::BudgetTooSmall, "no", Some(9_000)) };
    let no = "83 03 0200 6e6f 01 28230000";
    server(&format!("2500 {no} {both}"), ServerMessage::Refused(refusal.clone()));

    // A list of none is the same as no list.
    assert_eq!(ClientMessage::decode(&hex(&format!("{OPEN} 00"))), Ok(ClientMessage::Open(request())));
    // What follows the offers belongs to a later Refused; an Open and an Opened end here.
    assert_eq!(ServerMessage::decode(&hex(&format!("{no} {both} ff"))), Ok(ServerMessage::Refused(refusal)));
    let more = hex(&format!("{OPEN} 01 70110000 ff"));
    assert_eq!(ClientMessage::decode(&more), Err(MessageError::Trailing { bytes: 1 }));
    // What a later Refused has in the place of offers must not hide its sentence.
    for tail in ["11", "01 00000000 01 00 0000", "01 70110000 01 01 0000c07f 0000"] {
        let read = ServerMessage::decode(&hex(&format!("{no} {tail}")));
        let told = Refusal::new(RefusalCode::BudgetTooSmall, "no", Some(9_000));
        assert_eq!(read, Ok(ServerMessage::Refused(told)), "{tail}");
    }
}

/// An Open of version 1, without its length.
const OPEN: &str = "02 0100 6d 80bb0000 e02e0000 00020000 204e0000 00";

#[test]
fn pairing_tokens_and_health_of_version_3() {
    let (ones, twos, threes) = ("01".repeat(32), "02".repeat(32), "03".repeat(32));
    let proof = PairProof { of_code: [1; 32], of_channel: [2; 32] };
    client(&format!("2100 05 {threes}"), ClientMessage::Identify(Token([3; 32])));
    let mut half = [1; HALF_BYTES];
    half[0] = 0x41;
    let start = PairStart { half, name: "ab".into() };
    client(&format!("2600 06 41{ones} 0200 6162"), ClientMessage::PairStart(start));
    client(&format!("4100 07 {ones}{twos}"), ClientMessage::PairProof(proof.clone()));
    let health = Health { underruns: 1, late: 2, lost: 3, needed_frames: 4 };
    client("1100 08 01000000 02000000 03000000 04000000", ClientMessage::Health(health));
    server(&format!("2200 86 41{ones}"), ServerMessage::PairReply(half));
    let paired = Paired { proof, token: Token([3; 32]) };
    server(&format!("6100 87 {ones}{twos}{threes}"), ServerMessage::Paired(paired));
}

#[test]
fn what_offers_need_of_version_3() {
    let mut told = offers();
    told[1].need_frames = Some(4_660);
    let both = "02  70110000 00 00 0200 6e6f  e02e0000 01 01 000000bf 0300 686f70";
    let refusal = Refusal { offers: told, ..Refusal::new(RefusalCode::BudgetTooSmall, "no", Some(9_000)) };
    let no = "83 03 0200 6e6f 01 28230000";
    server(&format!("2e00 {no} {both} 02 00000000 34120000"), ServerMessage::Refused(refusal));
    let one_too_few = ServerMessage::decode(&hex(&format!("{no} {both} 01 34120000")));
    assert!(matches!(one_too_few, Ok(ServerMessage::Refused(no)) if no.offers == offers()));
}

#[test]
fn packets() {
    let mix = Packet {
        header: PacketHeader { end_of_epoch: true, ..PacketHeader::mix(3, 7, 0x1_0000_0002, 2) },
        channels: vec![vec![1.0, -0.5], vec![0.25, 0.0]],
    };
    let expected = "01 01 02 00 03000000 07000000 02000000 0200000001000000 00000000 00000000
                    0000000000000000  0000803f 000000bf  0000803e 00000000";
    assert_eq!(mix.encode().unwrap(), hex(expected));
    assert_eq!(Packet::decode(&hex(expected)), Ok(mix));

    let stems = Packet {
        header: PacketHeader {
            kind: PacketKind::Stems,
            end_of_epoch: false,
            channels: 2,
            epoch: 0xaabb_ccdd,
            sequence: 0x1122_3344,
            frames: 1,
            first_frame: 0x0102_0304_0506_0708,
            inference_micros: 0x0001_0203,
            server_micros: 0x0a0b_0c0d,
            needed_through: 0x1112_1314_1516_1718,
        },
        channels: vec![vec![2.0], vec![-1.0]],
    };
    let expected = "02 00 02 00 ddccbbaa 44332211 01000000 0807060504030201 03020100 0d0c0b0a
                    1817161514131211  00000040  000080bf";
    assert_eq!(stems.encode().unwrap(), hex(expected));
    assert_eq!(Packet::decode(&hex(expected)), Ok(stems));
    assert_eq!(packet_bytes(2, 1), hex(expected).len());
}
