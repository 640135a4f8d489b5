//! The four bytes before every MPEG audio frame (layers 1 to 3), and the tag that encoders put into the first.
//!
//! This module must never read on: it judges the bytes it is given.

/// What a frame's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// 1, 2 or 3.
    pub(crate) layer: u8,
    /// MPEG-1, and not one of the two with half the rates.
    pub(crate) is_mpeg1: bool,
    pub(crate) rate_hz: u32,
    pub(crate) channels: usize,
    /// Bytes of the frame with its header.
    pub(crate) bytes: usize,
    has_crc: bool,
}

impl Header {
    /// The header in the first four of `bytes`, if they are one. Free format is not: its length is unknown.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d] = bytes.first_chunk::<4>()?;
        if a != 0xff || b & 0xe0 != 0xe0 {
            return None;
        }
        let version = b >> 3 & 3;
        let layer = match b >> 1 & 3 {
            1 => 3,
            2 => 2,
            3 => 1,
            _ => return None,
        };
        let (rate_index, kbps_index) = (usize::from(c >> 2 & 3), usize::from(c >> 4));
        if version == 1 || rate_index == 3 || kbps_index == 0 || kbps_index == 15 || d & 3 == 2 {
            return None;
        }
        let is_mpeg1 = version == 3;
        let shift = match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        let rate_hz = [44_100, 48_000, 32_000][rate_index] >> shift;
        let kbps = KBPS[match (is_mpeg1, layer) {
            (true, 1) => 0,
            (true, 2) => 1,
            (true, _) => 2,
            (false, 1) => 3,
            (false, _) => 4,
        }][kbps_index];
        let padding = u32::from(c >> 1 & 1);
        let bytes = match layer {
            1 => (12_000 * kbps / rate_hz + padding) * 4,
            3 if !is_mpeg1 => 72_000 * kbps / rate_hz + padding,
            _ => 144_000 * kbps / rate_hz + padding,
        };
        let channels = if d >> 6 == 3 { 1 } else { 2 };
        Some(Self { layer, is_mpeg1, rate_hz, channels, bytes: bytes as usize, has_crc: b & 1 == 0 })
    }

    /// Whether `other` may be a frame of the same stream.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        (self.layer, self.is_mpeg1, self.rate_hz) == (other.layer, other.is_mpeg1, other.rate_hz)
    }

    /// Frames (of sound) in the frame.
    pub(crate) fn frames(&self) -> u64 {
        match self.layer {
            1 => 384,
            3 if !self.is_mpeg1 => 576,
            _ => 1_152,
        }
    }

    fn side_info_bytes(&self) -> usize {
        match (self.is_mpeg1, self.channels) {
            (true, 1) => 17,
            (true, _) => 32,
            (false, 1) => 9,
            (false, _) => 17,
        }
    }

    /// Layer 3: how far back the frame's bits begin, and how many bytes of bits it brings.
    pub(crate) fn reservoir(&self, frame: &[u8]) -> (usize, usize) {
        let begin = 4 + if self.has_crc { 2 } else { 0 };
        let back = match (self.is_mpeg1, frame.get(begin..begin + 2)) {
            (true, Some(bytes)) => usize::from(bytes[0]) << 1 | usize::from(bytes[1] >> 7),
            (false, Some(bytes)) => usize::from(bytes[0]),
            (_, None) => 0,
        };
        (back, self.bytes.saturating_sub(begin + self.side_info_bytes()))
    }
}

const KBPS: [[u32; 15]; 5] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Frames that a decoder of layer 3 adds before the music.
const DECODER_DELAY_FRAMES: u64 = 529;

/// What encoders write into a first frame that holds no sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tag {
    /// MPEG frames of sound behind it.
    pub(crate) mpeg_frames: Option<u64>,
    /// Frames to take from the front and from the end, where the encoder says.
    pub(crate) delay: Option<(u64, u64)>,
}

impl Tag {
    /// The tag in `frame`, if this is one: `Xing`, `Info` (LAME, Lavc) or `VBRI` (Fraunhofer).
    pub(crate) fn find(header: &Header, frame: &[u8]) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let word = |at: usize| frame.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        if frame.get(36..40) == Some(b"VBRI") {
            return Some(Self { mpeg_frames: word(36 + 14).map(u64::from), delay: None });
        }
        let plain = 4 + header.side_info_bytes();
        // A few encoders count the checksum before it, most forget it.
        let at = [plain, plain + 2]
            .into_iter()
            .find(|&at| frame.get(at..at + 4).is_some_and(|id| id == b"Xing" || id == b"Info"))?;
        let flags = word(at + 4)?;
        let mut place = at + 8;
        let mpeg_frames = (flags & 1 != 0).then(|| word(place)).flatten().map(u64::from);
        for (flag, bytes) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
            place += if flags & flag != 0 { bytes } else { 0 };
        }
        let known = frame
            .get(place..place + 4)
            .is_some_and(|e| [b"LAME", b"Lavf", b"Lavc"].contains(&e.first_chunk().unwrap_or(&[0; 4])));
        let delay = frame.get(place + 21..place + 24).filter(|_| known).map(|b| {
            let (delay, padding) =
                (u64::from(b[0]) << 4 | u64::from(b[1] >> 4), u64::from(b[1] & 15) << 8 | u64::from(b[2]));
            (delay + DECODER_DELAY_FRAMES, padding.saturating_sub(DECODER_DELAY_FRAMES))
        });
        Some(Self { mpeg_frames: mpeg_frames.filter(|&f| f > 0), delay })
    }
}
