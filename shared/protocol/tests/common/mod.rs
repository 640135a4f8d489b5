//! Examples and strategies of everything that travels.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use proptest::prelude::*;
use rehearsekit_audio::StemSet;
use rehearsekit_protocol::*;

/// Bytes of a hex literal; blanks are for the reader.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

pub(crate) fn bytes_of(message: &ClientMessage) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

pub(crate) fn server_bytes_of(message: &ServerMessage) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

pub(crate) fn request() -> OpenRequest {
    OpenRequest {
        model: "m".into(),
        rate_hz: 48_000,
        budget_frames: 12_000,
        block_frames: 512,
        link_micros: 20_000,
        mode: Mode::Live,
        wanted_offers_frames: Vec::new(),
    }
}

pub(crate) fn opened() -> Opened {
    Opened {
        session: 0x1122_3344_5566_7788,
        model: "m".into(),
        stems: StemSet::new(&["vocals", "accompaniment"]).unwrap(),
        packet_frames: 1_024,
        latency_frames: 12_000,
        algorithmic_frames: 6_789,
        hop_frames: 4_459,
        look_ahead_frames: 1_115,
        description: "hi".into(),
        offers: Vec::new(),
    }
}

/// Two offers: one that holds and was measured, one that does not.
pub(crate) fn offers() -> Vec<BudgetOffer> {
    vec![
        BudgetOffer {
            budget_frames: 4_464,
            holds: false,
            quality_db: None,
            words: "no".into(),
            need_frames: None,
        },
        BudgetOffer {
            budget_frames: 12_000,
            holds: true,
            quality_db: Some(-0.5),
            words: "hop".into(),
            need_frames: None,
        },
    ]
}

/// Text of up to `bytes` bytes, with characters of more than one byte in it.
pub(crate) fn text(bytes: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..=bytes).prop_map(move |chars| {
        let mut text = String::new();
        for c in chars {
            if text.len() + c.len_utf8() <= bytes {
                text.push(c);
            }
        }
        text
    })
}

fn reason() -> impl Strategy<Value = CloseReason> {
    prop::sample::select(vec![
        CloseReason::ClientDone,
        CloseReason::ServerShutdown,
        CloseReason::ProtocolError,
        CloseReason::TooSlow,
        CloseReason::Silent,
        CloseReason::Internal,
        CloseReason::Revoked,
    ])
}

pub(crate) fn client_message() -> impl Strategy<Value = ClientMessage> {
    let mode = prop::sample::select(vec![Mode::Live, Mode::Reliable]);
    let wanted = prop::collection::vec(any::<u32>(), 0..=MAX_OFFERS);
    prop_oneof![
        (any::<u16>(), any::<u16>(), text(64)).prop_map(|(min_version, max_version, client_name)| {
            ClientMessage::Hello { min_version, max_version, client_name }
        }),
        (text(64), any::<[u32; 4]>(), mode, wanted).prop_map(|(model, n, mode, wanted_offers_frames)| {
            ClientMessage::Open(OpenRequest {
                model,
                rate_hz: n[0],
                budget_frames: n[1],
                block_frames: n[2],
                link_micros: n[3],
                mode,
                wanted_offers_frames,
            })
        }),
        any::<u32>().prop_map(|sequence| ClientMessage::Heartbeat { sequence }),
        reason().prop_map(|reason| ClientMessage::Close { reason }),
        bytes32().prop_map(|token| ClientMessage::Identify(Token(token))),
        (half(), text(64)).prop_map(|(half, name)| ClientMessage::PairStart(PairStart { half, name })),
        proof().prop_map(ClientMessage::PairProof),
        any::<[u32; 4]>().prop_map(|n| {
            let [underruns, late, lost, needed_frames] = n;
            ClientMessage::Health(Health { underruns, late, lost, needed_frames })
        }),
    ]
}

fn bytes32() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn half() -> impl Strategy<Value = Half> {
    (any::<u8>(), bytes32()).prop_map(|(side, point)| {
        let mut half = [side; HALF_BYTES];
        half[1..].copy_from_slice(&point);
        half
    })
}

fn proof() -> impl Strategy<Value = PairProof> {
    (bytes32(), bytes32()).prop_map(|(of_code, of_channel)| PairProof { of_code, of_channel })
}

fn stems() -> impl Strategy<Value = StemSet> {
    prop::collection::btree_set("[a-z0-9_-]{1,32}", 2..=6)
        .prop_map(|names| StemSet::new(&names.into_iter().collect::<Vec<_>>()).unwrap())
}

fn some_offers() -> impl Strategy<Value = Vec<BudgetOffer>> {
    let need = prop::option::of(1..=MAX_BUDGET_FRAMES);
    let one = (1..=MAX_BUDGET_FRAMES, any::<bool>(), prop::option::of(-100.0f32..=100.0), text(96), need);
    let one = one.prop_map(|(budget_frames, holds, quality_db, words, need_frames)| BudgetOffer {
        budget_frames,
        holds,
        quality_db,
        words,
        need_frames,
    });
    prop::collection::vec(one, 0..=MAX_OFFERS)
}

pub(crate) fn server_message() -> impl Strategy<Value = ServerMessage> {
    let numbers =
        (1..=MAX_PACKET_FRAMES, 1..=MAX_BUDGET_FRAMES, 0..=MAX_BUDGET_FRAMES, 1..=MAX_BUDGET_FRAMES);
    prop_oneof![
        (any::<u16>(), text(64), prop::collection::vec(text(64), 0..=16)).prop_map(
            |(version, server_name, models)| ServerMessage::Welcome { version, server_name, models }
        ),
        (any::<u64>(), text(64), stems(), numbers, 0..=MAX_BUDGET_FRAMES, text(512), some_offers()).prop_map(
            |(session, model, stems, n, look_ahead_frames, description, offers)| {
                ServerMessage::Opened(Opened {
                    session,
                    model,
                    stems,
                    packet_frames: n.0,
                    latency_frames: n.1,
                    algorithmic_frames: n.2,
                    hop_frames: n.3,
                    look_ahead_frames,
                    description,
                    offers,
                })
            }
        ),
        (17u8.., text(512), any::<Option<u32>>(), some_offers()).prop_map(
            |(code, message, smallest_budget_frames, offers)| {
                ServerMessage::Refused(Refusal {
                    code: RefusalCode::Other(code),
                    message,
                    smallest_budget_frames,
                    offers,
                })
            }
        ),
        any::<u32>().prop_map(|sequence| ServerMessage::HeartbeatEcho { sequence }),
        reason().prop_map(|reason| ServerMessage::Closing { reason }),
        any::<bool>().prop_map(|paused| ServerMessage::Paused { paused }),
        half().prop_map(ServerMessage::PairReply),
        (proof(), bytes32())
            .prop_map(|(proof, token)| ServerMessage::Paired(Paired { proof, token: Token(token) })),
    ]
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    let sample = any::<f32>().prop_filter("the wire carries finite numbers", |s| s.is_finite());
    let kind =
        prop::sample::select(vec![(PacketKind::Mix, 2u8), (PacketKind::Stems, 2), (PacketKind::Stems, 10)]);
    (kind, any::<bool>(), 0usize..200, any::<[u32; 4]>(), any::<u64>(), any::<u64>()).prop_flat_map(
        move |((kind, channels), end, frames, n, first_frame, needed_through)| {
            let header = PacketHeader {
                kind,
                end_of_epoch: end || frames == 0,
                channels,
                epoch: n[0],
                sequence: n[1],
                frames: frames as u32,
                first_frame: first_frame >> 1,
                inference_micros: n[2],
                server_micros: n[3],
                needed_through,
            };
            let channels =
                prop::collection::vec(prop::collection::vec(sample.clone(), frames), usize::from(channels));
            channels.prop_map(move |channels| Packet { header, channels })
        },
    )
}

/// What happens to bytes on a bad day: places and values, applied by [`mutated`].
pub(crate) fn mutations() -> impl Strategy<Value = Vec<(u8, usize, u8)>> {
    prop::collection::vec((0u8..5, any::<usize>(), any::<u8>()), 1..6)
}

pub(crate) fn mutated(mut bytes: Vec<u8>, mutations: &[(u8, usize, u8)]) -> Vec<u8> {
    for &(how, at, value) in mutations {
        let at = at % (bytes.len() + 1);
        match how {
            0 => bytes.insert(at, value),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(at..),
            _ if at == bytes.len() => bytes.push(value),
            3 => bytes[at] = value,
            _ => bytes[at] ^= 1 << (value % 8),
        }
    }
    bytes
}
