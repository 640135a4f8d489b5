//! Control messages both ways and audio packets: what is accepted can be sent on, and comes back the same.

use rehearsekit_protocol::*;

use super::server::samples::read_mix;

/// Control frames and messages: whatever is accepted can be sent on and comes back the same.
pub(super) fn messages(data: &[u8]) {
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
pub(super) fn packets(data: &[u8]) {
    if let Ok((header, payload)) = PacketHeader::decode(data) {
        assert!(header.payload_bytes() < MAX_PACKET_BYTES);
        assert!(header.end() >= header.first_frame && payload.len() + PacketHeader::BYTES == data.len());
    }
    // The server takes what a broken effect makes of a mix, and nothing else that the strict reader does not.
    if let Ok((mix, unusable)) = read_mix(data) {
        assert_eq!((mix.header.kind, mix.channels.len()), (PacketKind::Mix, 2));
        assert!(mix.channels.iter().all(|channel| channel.len() == mix.header.frames as usize));
        assert!(mix.channels.iter().flatten().all(|s| s.abs() <= 1.0e4));
        let strict = Packet::decode(data);
        assert!(unusable > 0 || strict == Ok(mix));
    }
    if let Ok(packet) = Packet::decode(data) {
        assert!(packet.channels.iter().flatten().all(|s| s.is_finite()));
        assert_eq!(packet.encode().expect("what was accepted can be sent"), data);
    }
}
