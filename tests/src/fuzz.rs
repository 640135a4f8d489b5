//! What is fuzzed: functions that take any bytes and panic if the wire, the sessions or the playout break a
//! promise. Used by `fuzz_wire` (any toolchain) and by the libFuzzer targets in `tests/fuzz`; so this file
//! must depend on nothing but the crates it tests.

use std::time::Duration;

use rehearsekit_audio::StemSet;
use rehearsekit_playout::{Layout, MAX_TRAVELLING_CHANNELS, Playout, PlayoutConfig, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::*;

/// A target's name and function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("messages", messages),
    ("packets", packets),
    ("sessions", sessions),
    ("arranger", arranger),
    ("playout", playout),
];

/// Bytes taken one after the other; zeros when they are used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head.to_vec()
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// Control frames and messages: whatever is accepted can be sent on and comes back the same.
pub fn messages(data: &[u8]) {
    let cut = data.first().map_or(0, |&b| usize::from(b).min(data.len()));
    let frames = |pieces: [&[u8]; 2]| {
        let (mut reader, mut all) = (FrameReader::new(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => all.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (all, Some(error)),
                }
            }
        }
        (all, None)
    };
    let whole = frames([data, &[]]);
    assert_eq!(whole, frames([&data[..cut], &data[cut..]]), "how the bytes are split must not matter");
    for frame in whole.0.iter().map(Vec::as_slice).chain([data]) {
        if let Ok(message) = ClientMessage::decode(frame) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes).expect("what was accepted can be sent");
            assert_eq!(ClientMessage::decode(&bytes[2..]), Ok(message));
        }
        if let Ok(message) = ServerMessage::decode(frame) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes).expect("what was accepted can be sent");
            assert!(bytes.len() <= 2 + MAX_MESSAGE_BYTES);
            assert_eq!(ServerMessage::decode(&bytes[2..]), Ok(message));
        }
    }
}

/// Audio packets: what is accepted is bit by bit what was sent, and all of it finite.
pub fn packets(data: &[u8]) {
    if let Ok((header, payload)) = PacketHeader::decode(data) {
        assert!(header.payload_bytes() < MAX_PACKET_BYTES);
        assert!(header.end() >= header.first_frame && payload.len() + PacketHeader::BYTES == data.len());
    }
    if let Ok(packet) = Packet::decode(data) {
        assert!(packet.channels.iter().flatten().all(|s| s.is_finite()));
        assert_eq!(packet.encode().expect("what was accepted can be sent"), data);
    }
}

fn request() -> OpenRequest {
    let model = "quarter".to_owned();
    OpenRequest {
        model,
        rate_hz: 48_000,
        budget_frames: 12_000,
        block_frames: 64,
        link_micros: 0,
        mode: Mode::Live,
        wanted_offers_frames: Vec::new(),
    }
}

fn opened() -> Opened {
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

fn offers(count: usize) -> Vec<BudgetOffer> {
    let words = "w".repeat(MAX_OFFER_WORDS_BYTES);
    vec![
        BudgetOffer {
            budget_frames: 12_000,
            holds: true,
            quality_db: Some(-0.5),
            words,
            need_frames: Some(1_000)
        };
        count
    ]
}

/// Two sessions under a script: real bytes of the other, invented bytes, time, answers, goodbyes.
pub fn sessions(data: &[u8]) {
    let mut script = Script(data);
    let mut now = Duration::ZERO;
    let mut client = ClientSession::new("c", request(), now).expect("a good request");
    let mut server = ServerSession::new("s", &["quarter".into()], now).expect("good names");
    while !script.is_over() {
        let (client_was_over, server_was_over) = (client.is_over(), server.is_over());
        let mut client_events = Ok(Vec::new());
        let mut server_events = Ok(Vec::new());
        match script.byte() % 10 {
            0 | 1 => server_events = server.receive(&client.take_outgoing(), now),
            2 | 3 => client_events = client.receive(&server.take_outgoing(), now),
            4 => {
                let count = usize::from(script.byte());
                server_events = server.receive(&script.bytes(count), now);
            }
            5 => {
                let count = usize::from(script.byte());
                client_events = client.receive(&script.bytes(count), now);
            }
            6 => now += Duration::from_millis(script.word().into()),
            7 => {
                let opened = Opened { offers: offers(usize::from(script.byte()) % 17), ..opened() };
                server.open(opened).expect("a good answer");
            }
            8 => server.refuse(Refusal::new(RefusalCode::Full, "full", None)),
            _ => client.close(CloseReason::ClientDone),
        }
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

/// Packets in an order of the script's: runs are well formed, nothing comes twice, nothing goes back.
pub fn arranger(data: &[u8]) {
    let mut script = Script(data);
    let max_packets = usize::from(script.byte() % 8);
    let mut arranger = Arranger::new(Duration::from_millis(script.byte().into()), max_packets);
    let (mut now, mut open, mut end) = (Duration::ZERO, false, 0u64);
    let mut check = |run: Run| match run {
        Run::Start { position, .. } => {
            assert!(!open && position >= end);
            (open, end) = (true, position);
        }
        Run::Frames { first_frame, channels, .. } => {
            assert!(open && first_frame == end && !channels[0].is_empty());
            end += channels[0].len() as u64;
        }
        Run::End { position } => {
            assert!(open && position == end);
            open = false;
        }
    };
    while !script.is_over() {
        let flags = script.byte();
        let frames = u32::from(script.byte() % 16);
        let header = PacketHeader {
            end_of_epoch: flags & 1 != 0,
            ..PacketHeader::mix(
                (flags >> 1 & 3).into(),
                script.byte().into(),
                u64::from(script.byte()) * u64::from(1 + (flags >> 3 & 15)),
                frames,
            )
        };
        let channels = vec![vec![0.0; frames as usize]; 2];
        let Ok(packet) = Packet { header, channels }.encode() else { continue };
        let packet = Packet::decode(&packet).expect("just encoded");
        if arranger.push(packet, now).is_err() {
            return;
        }
        now += Duration::from_millis(u64::from(flags >> 7) * 50);
        loop {
            match arranger.next_run(now) {
                Ok(Some(run)) => check(run),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(arranger.next_deadline().is_none_or(|at| at > now), "what is due is given up");
    }
    if let Ok(rest) = arranger.finish() {
        rest.into_iter().for_each(&mut check);
        assert!(!open);
    }
}

/// A playout under a script: at 0 dB the main output is the mix bit by bit, whatever arrives, in whatever
/// order, however often, and the stems sum to it.
pub fn playout(data: &[u8]) {
    const MAX: usize = 256;
    let mut script = Script(data);
    let latency_frames = u32::from(script.word() % 1_500);
    let stem_count = 2 + usize::from(script.byte() % 5);
    let closing = usize::from(script.byte()) % stem_count;
    let config = PlayoutConfig { latency_frames, stem_count, closing, max_block_frames: MAX as u32 };
    let mut playout = Playout::new(config);
    let counters = playout.counters();
    let mix = |position: u64| ((position % 997) as f32 - 498.0) / 512.0;
    let stem = |channel: usize, position: u64| ((position * (channel as u64 + 3)) % 89 + 11) as f32 / 128.0;
    let mut origin = 0;
    while !script.is_over() {
        let start = playout.position();
        match script.byte() % 4 {
            0 | 1 => {
                let back = u64::from(script.word() % 2_048);
                let (mut position, mut frames) =
                    ((start + MAX as u64).wrapping_sub(back), script.byte() % 70);
                if frames % 2 == 0 {
                    // Half of them whole, as most are on the wire.
                    (position, frames) = (position & !(SLOT_FRAMES as u64 - 1), SLOT_FRAMES as u8);
                }
                let mut samples = [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS];
                for (channel, row) in samples[..2 * (stem_count - 1)].iter_mut().enumerate() {
                    for (i, sample) in row.iter_mut().enumerate() {
                        *sample = stem(channel, position.wrapping_add(i as u64) % (1 << 32));
                    }
                }
                let frames = frames.into();
                let layout = Layout::in_order(stem_count, closing);
                playout.push_slot(&StemSlot { position, frames, layout, samples });
            }
            2 => {
                let frames = usize::from(script.byte()) + 1;
                let input: Vec<f32> = (start..start + frames as u64).map(mix).collect();
                let mut stems = vec![[[0.0f32; MAX]; 2]; stem_count];
                let mut main = [[0.0f32; MAX]; 2];
                {
                    let mut rows: Vec<[&mut [f32]; 2]> =
                        stems.iter_mut().map(|[l, r]| [&mut l[..frames], &mut r[..frames]]).collect();
                    let [l, r] = &mut main;
                    playout.process([&input, &input], &[], &mut rows, [&mut l[..frames], &mut r[..frames]]);
                }
                for i in 0..frames {
                    let played =
                        (start + i as u64).checked_sub(latency_frames.into()).filter(|&p| p >= origin);
                    let dry = played.map_or(0.0, mix);
                    for channel in 0..2 {
                        assert_eq!(main[channel][i].to_bits(), dry.to_bits());
                        let sum: f64 = stems.iter().map(|s| f64::from(s[channel][i])).sum();
                        assert!((sum - f64::from(dry)).abs() < 1e-5);
                    }
                    // Every travelling channel is its own audio of this position, all faded alike.
                    let Some(played) = played else { continue };
                    let travelling = stems.iter().enumerate().filter(|(stem, _)| *stem != closing);
                    let outputs = travelling.flat_map(|(_, channels)| channels.iter().map(|c| c[i]));
                    let faded: Vec<f32> =
                        outputs.enumerate().map(|(channel, out)| out / stem(channel, played)).collect();
                    assert!(
                        faded.iter().all(|w| (0.0..=1.0 + 1e-5).contains(w) && (w - faded[0]).abs() < 1e-5)
                    );
                }
            }
            _ => {
                playout.reset();
                origin = playout.position();
                assert!(origin >= start + MAX as u64);
            }
        }
        let counts = counters.read();
        assert!(counts.bridged_frames <= counts.frames && counts.holes <= counts.underruns);
        assert!(counts.missing_frames <= 64 * counts.underruns && counts.underruns <= counts.missing_frames);
    }
}

/// A few inputs that get past the first checks, for every target to start from.
pub fn seeds() -> Vec<Vec<u8>> {
    let client = [
        ClientMessage::Hello { min_version: 1, max_version: 2, client_name: "laptop".into() },
        ClientMessage::Open(request()),
        ClientMessage::Open(OpenRequest { wanted_offers_frames: vec![4_464, 12_000], ..request() }),
        ClientMessage::Heartbeat { sequence: 7 },
        ClientMessage::Close { reason: CloseReason::ClientDone },
    ];
    let server = [
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
    ];
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
    // Scripts: a handshake with heartbeats; packets in a row; slots and blocks.
    seeds.push(vec![0, 2, 0, 7, 2, 6, 100, 0, 0, 2, 6, 100, 0, 0, 2, 8, 9, 0]);
    seeds.push((0..60).flat_map(|i| [0x80, 8, i, 8 * (i % 30)]).collect());
    seeds.push([vec![100, 2, 1, 0], (0..40).flat_map(|_| [2, 63, 0, 64, 1, 64, 9]).collect()].concat());
    seeds
}
