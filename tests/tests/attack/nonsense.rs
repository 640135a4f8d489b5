//! Oversized and nested lengths, on the control stream and in packets: each ends its own connection.

use rehearsekit_protocol::{
    ALPN, ClientMessage, MAX_MESSAGE_BYTES, MAX_PACKET_FRAMES, Mode, PROTOCOL_VERSIONS, PacketHeader,
    ServerMessage,
};

use crate::{
    common::{Client, client_tls, endpoint_at, request},
    stage::{NEAR, Stage, attackers},
};

const PROTOCOL_ERROR: u64 = 2;

/// A frame of this type and body, as long as it says or not.
fn frame(says: usize, kind: u8, body: &[u8]) -> Vec<u8> {
    [&(says as u16).to_le_bytes()[..], &[kind], body].concat()
}

fn whole(kind: u8, body: &[u8]) -> Vec<u8> {
    frame(1 + body.len(), kind, body)
}

/// An Open with this behind its mode.
fn open_with(rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ClientMessage::Open(request(Mode::Live, 48_000)).encode(&mut bytes).unwrap();
    whole(2, &[&bytes[3..], rest].concat())
}

/// What breaks the protocol before a hello, and behind one.
fn control() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let hello = |text: &[u8]| whole(1, &[b"RHSK\x01\x00\x03\x00", text].concat());
    let first = vec![
        // Frames of no length, of one byte too many, of all there is; and of a length that fits with nonsense in it.
        frame(0, 1, &[]),
        frame(MAX_MESSAGE_BYTES + 1, 1, &[0; 64]),
        frame(0xffff, 1, &[0xff; 64]),
        frame(MAX_MESSAGE_BYTES, 1, &[0xff; MAX_MESSAGE_BYTES - 1]),
        // Names that say they are longer than the message, than the limit, than anything.
        hello(&[64, 0]),
        hello(&[&[65, 0][..], &[b'n'; 65]].concat()),
        hello(&[0xff, 0xff]),
        whole(1, b"RHSX\x01\x00\x03\x00\x00\x00"),
        // A pairing and a token before a hello, a message of the server's, one that does not exist.
        whole(6, &[0x41; 35]),
        whole(5, &[7; 32]),
        whole(0x82, &[0; 100]),
        whole(0x7f, &[]),
    ];
    let second = vec![
        // Lists of offers: one more than there may be, 255 of them, a count without items, items of half a number.
        open_with(&[&[17][..], &[1; 17 * 4]].concat()),
        open_with(&[&[255][..], &[1; 255 * 4]].concat()),
        open_with(&[16]),
        open_with(&[2, 1, 0, 0, 0, 1, 0]),
        // Lists behind lists, which nobody asked for.
        open_with(&[1, 1, 0, 0, 0, 16, 16, 16, 16]),
        // A pairing whose name is longer than the rest; a token that is too short and too long; health cut short.
        whole(6, &[&[0x41; 33][..], &[0xff, 0xff], b"n"].concat()),
        whole(5, &[7; 31]),
        whole(5, &[7; 33]),
        whole(7, &[0; 64]),
        whole(8, &[0; 15]),
        whole(1, b"RHSK\x01\x00\x03\x00\x00\x00"),
        whole(3, &[0; 5]),
    ];
    (first, second)
}

/// Packets that lie about themselves.
fn packets() -> Vec<Vec<u8>> {
    let mut good = Vec::new();
    rehearsekit_protocol::encode_packet(&PacketHeader::mix(0, 0, 0, 4), &[[0.5; 4]; 2], &mut good).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut packet = good.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    vec![
        with(12, &(MAX_PACKET_FRAMES + 1).to_le_bytes()),
        with(12, &u32::MAX.to_le_bytes()),
        // As many frames as may be, of which four are there; one fewer, one more than there are; none.
        with(12, &MAX_PACKET_FRAMES.to_le_bytes()),
        with(12, &3u32.to_le_bytes()),
        with(12, &5u32.to_le_bytes()),
        with(12, &0u32.to_le_bytes()),
        // Channels: none, all, stems; positions at the end of all positions; flags and kinds that do not exist.
        with(2, &[0]),
        with(2, &[255]),
        with(0, &[2]),
        with(0, &[255]),
        with(1, &[0xfe]),
        with(3, &[1]),
        with(16, &u64::MAX.to_le_bytes()),
        good[..PacketHeader::BYTES - 1].to_vec(),
        good[..PacketHeader::BYTES].to_vec(),
        // More than was agreed on, of the largest size.
        [&good[..], &[0; 512 * 1024]].concat(),
    ]
}

async fn stranger(stage: &Stage) -> Client {
    Client::connect_with(endpoint_at(NEAR, 16, client_tls(ALPN)), stage.link).await
}

#[test]
fn oversized_and_nested_lengths_end_their_own_connection() {
    attackers().block_on(async {
        let stage = Stage::set().await;
        let errors_before = stage.metric("protocol_errors_total").await;
        let (first, second) = control();
        let packets = packets();
        let count = first.len() + second.len() + packets.len();
        let attack = async {
            for bytes in &first {
                let client = stranger(&stage).await;
                let _ = client.send.lock().await.write_all(bytes).await;
                // Who only says that more will come is not wrong yet; the end of the stream says that it will not.
                let _ = client.send.lock().await.finish();
                assert_eq!(client.closed().await.0, PROTOCOL_ERROR, "{bytes:?}");
            }
            for bytes in &second {
                let mut client = stranger(&stage).await;
                assert!(matches!(client.hello(PROTOCOL_VERSIONS).await, Some(ServerMessage::Welcome { .. })));
                let _ = client.send.lock().await.write_all(bytes).await;
                let _ = client.send.lock().await.finish();
                assert_eq!(client.closed().await.0, PROTOCOL_ERROR, "{bytes:?}");
            }
            for bytes in &packets {
                let mut client = stranger(&stage).await;
                let opened = client.ask(request(Mode::Live, 48_000)).await;
                assert!(matches!(opened, Some(ServerMessage::Opened(_))), "{opened:?}");
                client.beat();
                client.push_bytes(bytes).await;
                assert_eq!(client.closed().await.0, PROTOCOL_ERROR, "{:?}", &bytes[..bytes.len().min(64)]);
            }
        };
        stage.under("oversized and nested lengths", attack).await;
        assert_eq!(stage.metric("protocol_errors_total").await - errors_before, count as f64);
    });
}
