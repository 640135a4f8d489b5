//! Reads packets of the mix from strangers: every length is checked, every sample made usable.
//! Must not know streams or sessions.

use rehearsekit_protocol::{Packet, PacketError, PacketHeader, PacketKind};

/// Beyond this a sample is no audio (+80 dB) and would overflow inside a spectrum.
const ABSURD: f32 = 1.0e4;

/// A packet of the mix, and how many of its samples were NaN, infinite or absurd and are silence now: a
/// broken effect before the plugin must cost its player some silence, not the session.
pub(crate) fn read_mix(bytes: &[u8]) -> Result<(Packet, u64), PacketError> {
    let (header, payload) = PacketHeader::decode(bytes)?;
    let expected = header.payload_bytes();
    if payload.len() != expected {
        return Err(PacketError::Length { got: payload.len(), expected });
    }
    if header.kind != PacketKind::Mix {
        return Err(PacketError::Value { field: "kind", got: 2 });
    }
    let mut unusable = 0;
    let mut usable = |bytes: &[u8; 4]| {
        let sample = f32::from_le_bytes(*bytes);
        // A NaN is not below anything.
        if sample.abs() < ABSURD {
            sample
        } else {
            unusable += 1;
            0.0
        }
    };
    let samples = payload.as_chunks::<4>().0;
    let frames = header.frames as usize;
    let channels = (0..usize::from(header.channels))
        .map(|channel| samples[channel * frames..][..frames].iter().map(&mut usable).collect())
        .collect();
    Ok((Packet { header, channels }, unusable))
}

#[cfg(test)]
mod tests {
    use rehearsekit_protocol::encode_packet;

    use super::*;

    #[test]
    fn unusable_samples_become_silence_and_are_counted() {
        let header = PacketHeader::mix(1, 2, 3, 4);
        let mut bytes = Vec::new();
        encode_packet(&header, &[[0.5; 4], [-1.0; 4]], &mut bytes).unwrap();
        for (index, bad) in [f32::NAN, f32::INFINITY, -1.0e9].into_iter().enumerate() {
            bytes[PacketHeader::BYTES + 4 * index..][..4].copy_from_slice(&bad.to_le_bytes());
        }
        let (packet, unusable) = read_mix(&bytes).unwrap();
        assert_eq!((packet.header, unusable), (header, 3));
        assert_eq!(packet.channels, [[0.0, 0.0, 0.0, 0.5], [-1.0; 4]]);
    }

    #[test]
    fn stems_and_wrong_lengths_are_refused() {
        let mut bytes = Vec::new();
        encode_packet(&PacketHeader::mix(0, 0, 0, 2), &[[0.5; 2], [0.5; 2]], &mut bytes).unwrap();
        assert!(read_mix(&bytes[..bytes.len() - 1]).is_err());
        assert!(read_mix(&[]).is_err());
        bytes[0] = 2;
        assert!(matches!(read_mix(&bytes), Err(PacketError::Value { field: "kind", .. })));
    }
}
