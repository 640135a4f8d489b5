//! What holds for all messages, all packets and all bytes whatever.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use common::*;
use proptest::prelude::*;
use rehearsekit_protocol::*;

/// All frames of a stream delivered in the given pieces.
fn frames(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, MessageError> {
    let mut reader = FrameReader::new();
    let mut all = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(frame) = reader.next_frame()? {
            all.push(frame.to_vec());
        }
    }
    Ok(all)
}

proptest! {
    #[test]
    fn client_messages_come_back_as_they_went(message in client_message()) {
        prop_assert_eq!(ClientMessage::decode(&bytes_of(&message)[2..]), Ok(message));
    }

    #[test]
    fn server_messages_come_back_as_they_went(message in server_message()) {
        let bytes = server_bytes_of(&message);
        prop_assert!(bytes.len() <= 2 + MAX_MESSAGE_BYTES);
        prop_assert_eq!(ServerMessage::decode(&bytes[2..]), Ok(message));
    }

    #[test]
    fn packets_come_back_as_they_went(packet in packet()) {
        let bytes = packet.encode().unwrap();
        prop_assert_eq!(bytes.len(), packet_bytes(packet.header.channels, packet.header.frames));
        prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = frames(&[&bytes]);
        // What is accepted keeps every limit, so that it can be sent on and comes back the same.
        if let Ok(message) = ClientMessage::decode(&bytes) {
            prop_assert_eq!(ClientMessage::decode(&bytes_of(&message)[2..]), Ok(message));
        }
        if let Ok(message) = ServerMessage::decode(&bytes) {
            prop_assert_eq!(ServerMessage::decode(&server_bytes_of(&message)[2..]), Ok(message));
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(packet.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn damaged_messages_are_survived(
        client in client_message(), server in server_message(), packet in packet(), damage in mutations(),
    ) {
        if let Ok(message) = ClientMessage::decode(&mutated(bytes_of(&client)[2..].to_vec(), &damage)) {
            prop_assert_eq!(ClientMessage::decode(&bytes_of(&message)[2..]), Ok(message));
        }
        if let Ok(message) = ServerMessage::decode(&mutated(server_bytes_of(&server)[2..].to_vec(), &damage)) {
            prop_assert_eq!(ServerMessage::decode(&server_bytes_of(&message)[2..]), Ok(message));
        }
        let bytes = mutated(packet.encode().unwrap(), &damage);
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(packet.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_frames(
        messages in prop::collection::vec(server_message(), 1..4), cut in any::<[prop::sample::Index; 3]>(),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(server_bytes_of).collect();
        let whole = frames(&[&bytes]).unwrap();
        prop_assert_eq!(whole.len(), messages.len());
        let mut cuts = cut.map(|c| c.index(bytes.len() + 1));
        cuts.sort_unstable();
        let [a, b, c] = cuts;
        prop_assert_eq!(frames(&[&bytes[..a], &bytes[a..b], &bytes[b..c], &bytes[c..]]).unwrap(), whole);
    }
}

#[test]
fn one_of_each_message_cut_at_every_byte_gives_the_same_frames() {
    let refusal = Refusal::new(RefusalCode::Full, "come back later", Some(3));
    let messages = [
        ServerMessage::Welcome { version: 1, server_name: "s".into(), models: vec!["a".into()] },
        ServerMessage::Opened(Opened { offers: offers(), ..opened() }),
        ServerMessage::Refused(Refusal { offers: offers(), ..refusal }),
        ServerMessage::HeartbeatEcho { sequence: 9 },
        ServerMessage::Closing { reason: CloseReason::TooSlow },
    ];
    let bytes: Vec<u8> = messages.iter().flat_map(server_bytes_of).collect();
    let decode = |pieces: &[&[u8]]| -> Vec<ServerMessage> {
        frames(pieces).unwrap().iter().map(|frame| ServerMessage::decode(frame).unwrap()).collect()
    };
    for cut in 0..=bytes.len() {
        assert_eq!(decode(&[&bytes[..cut], &bytes[cut..]]), messages, "cut at {cut}");
    }
    assert_eq!(decode(&bytes.chunks(1).collect::<Vec<_>>()), messages);
}

#[test]
fn what_breaks_a_limit_is_not_sent_and_leaves_nothing_behind() {
    let mut out = vec![1, 2, 3];
    let long = "x".repeat(65);
    let hello = ClientMessage::Hello { min_version: 1, max_version: 1, client_name: long.clone() };
    let many =
        ServerMessage::Welcome { version: 1, server_name: String::new(), models: vec![String::new(); 17] };
    let too_long = MessageError::TooLong { field: "client_name", got: 65, limit: 64 };
    assert_eq!(hello.encode(&mut out), Err(too_long));
    assert_eq!(many.encode(&mut out), Err(MessageError::TooLong { field: "models", got: 17, limit: 16 }));
    let endless = ServerMessage::Opened(Opened { latency_frames: MAX_BUDGET_FRAMES + 1, ..opened() });
    assert!(matches!(endless.encode(&mut out), Err(MessageError::Value { field: "latency_frames", .. })));
    let opened_with = |offer: BudgetOffer, count: usize| {
        ServerMessage::Opened(Opened { offers: vec![offer; count], ..opened() })
    };
    let offer = &offers()[1];
    let limit = MAX_OFFERS;
    let crowd = opened_with(offer.clone(), limit + 1).encode(&mut out);
    assert_eq!(crowd, Err(MessageError::TooLong { field: "offers", got: 17, limit }));
    let wordy = BudgetOffer { words: "x".repeat(97), ..offer.clone() };
    let told = MessageError::TooLong { field: "offer.words", got: 97, limit: 96 };
    assert_eq!(opened_with(wordy, 1).encode(&mut out), Err(told));
    for db in [f32::NAN, f32::INFINITY, -100.5] {
        let no_figure = opened_with(BudgetOffer { quality_db: Some(db), ..offer.clone() }, 1);
        let told = no_figure.encode(&mut out);
        assert!(matches!(told, Err(MessageError::Value { field: "offer.quality_db", .. })), "{told:?}");
    }
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn a_refusal_is_cut_between_characters() {
    let refusal = Refusal::new(RefusalCode::Busy, &"ä".repeat(400), None);
    assert_eq!(refusal.message, "ä".repeat(256));
    let odd = Refusal::new(RefusalCode::Busy, &format!("x{}", "ä".repeat(400)), None);
    assert_eq!(odd.message.len(), 511);
}

#[test]
fn each_wrong_header_is_told_by_its_field() {
    let good =
        Packet { header: PacketHeader::mix(0, 0, 0, 1), channels: vec![vec![0.5]; 2] }.encode().unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        Packet::decode(&bad)
    };
    let value = |field, got| Err(PacketError::Value { field, got });
    assert_eq!(with(0, &[3]), value("kind", 3));
    assert_eq!(with(1, &[2]), value("flags", 2));
    assert_eq!(with(2, &[1]), value("channels", 1));
    assert_eq!(with(2, &[4]), value("channels", 4));
    assert_eq!(with(3, &[1]), value("reserved", 1));
    assert_eq!(with(12, &[0]), value("frames", 0));
    assert_eq!(with(12, &[1, 0, 4, 0]), value("frames", 262_145));
    assert_eq!(with(12, &[2]), Err(PacketError::Length { got: 8, expected: 16 }));
    assert_eq!(with(16, &[0xff; 8]), value("first_frame", u64::MAX));
    assert_eq!(with(44, &f32::NAN.to_le_bytes()), Err(PacketError::NotFinite { channel: 1, frame: 0 }));
    assert_eq!(Packet::decode(&good[..39]), Err(PacketError::Short { got: 39 }));
    let mut odd_stems = good.clone();
    odd_stems[0] = 2;
    odd_stems[2] = 14;
    assert_eq!(Packet::decode(&odd_stems), value("channels", 14));
}

#[test]
fn what_is_no_number_is_sent_as_silence() {
    let header = PacketHeader::mix(0, 0, 0, 3);
    let channels = vec![vec![f32::NAN, 0.5, f32::NEG_INFINITY]; 2];
    let bytes = Packet { header, channels }.encode().unwrap();
    assert_eq!(Packet::decode(&bytes).unwrap().channels, vec![vec![0.0, 0.5, 0.0]; 2]);
    let uneven = Packet { header, channels: vec![vec![0.0; 3], vec![0.0; 2]] };
    assert_eq!(uneven.encode(), Err(PacketError::Value { field: "frames", got: 2 }));
}
