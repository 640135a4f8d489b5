//! Ogg with Vorbis, Opus or FLAC in it, also several songs in a chain and sound beside a video.
//!
//! Where a song begins and ends within its first and last page is told by the pages' stamps. A stamp is no promise:
//! what is missing shows in page numbers and checksums. This module must never drop a packet of sound.

use crate::{
    codec::{Codec, OPUS_HZ, OpusHead, Setup},
    error::Fault,
    flac_frames::StreamInfo,
    ogg_pages::{Packets, Page, next_page},
    source::Source,
    stream::{self, Block, Shape, Stream},
};

/// One song of the chain.
struct Link {
    serial: u32,
    packets: Packets,
    codec: Codec,
    shape: Shape,
    /// Header packets still to come.
    headers_left: usize,
    is_flac: bool,
    /// Headers of Vorbis until all are there.
    headers: Vec<u8>,
    /// Frames decoded, with those that will be taken from the front.
    decoded: u64,
    /// Frames to take from the front, once the first page's stamp is known.
    skip: u64,
    /// The stamp that frame 0 of what is decoded would have.
    base: Option<i64>,
    last_granule: Option<i64>,
    is_ended: bool,
    /// Frames that the header of FLAC promises; 0 for unknown.
    promised: u64,
}

pub(crate) struct OggStream {
    source: Source,
    link: Link,
    shape: Shape,
    /// A page that was read and is not decoded yet.
    waiting: Option<Page>,
    /// The last page's frames, until it is known whether the song ends with it.
    held: Block,
    piece: Block,
    is_chain: bool,
    over: bool,
}

impl OggStream {
    /// The source stands at the first page.
    pub(crate) fn new(mut source: Source) -> Result<Self, Fault> {
        let mut waiting = None;
        let link = open_link(&mut source, &mut waiting)?.ok_or(Fault::CutOff(None))?;
        let shape = link.shape;
        let held = vec![Vec::new(); shape.channels];
        Ok(Self { source, link, shape, waiting, held, piece: Vec::new(), is_chain: false, over: false })
    }

    /// Decodes the packets of `page` behind what is held.
    fn decode(&mut self, page: &Page) -> Result<(), Fault> {
        let link = &mut self.link;
        let packets = link.packets.push(page)?;
        let mut here = 0;
        for packet in packets {
            if link.headers_left > 0 {
                link.header(packet)?;
                continue;
            }
            // Packets of no bytes mean nothing; headers are known by their first byte.
            let is_header = match packet.first() {
                Some(byte) if link.is_vorbis() => byte & 1 == 1,
                Some(byte) if link.is_flac => *byte != 0xff,
                first => first.is_none(),
            };
            if is_header {
                continue;
            }
            link.codec.decode(&packet, &mut self.piece)?;
            if stream::frames(&self.piece) > 0 && self.piece.len() != self.shape.channels {
                return Err(Fault::Changes);
            }
            here += stream::frames(&self.piece) as u64;
            for (held, new) in self.held.iter_mut().zip(&self.piece) {
                held.extend_from_slice(new);
            }
        }
        link.decoded += here;
        if let Some(granule) = page.granule.filter(|_| link.decoded > 0) {
            if link.base.is_none() {
                let base = granule.saturating_sub_unsigned(link.decoded);
                // A stamp before what was decoded: there are frames before the beginning, unless the song also ends
                // in this page, when there are frames behind the end.
                link.skip += if page.is_last { 0 } else { u64::try_from(-base).unwrap_or(0) };
                link.base = Some(if page.is_last { base.max(0) } else { base });
            }
            link.last_granule = Some(granule);
        }
        link.is_ended |= page.is_last;
        Ok(())
    }

    /// Takes what lies before the beginning from what is held.
    fn skip(&mut self) {
        let head = self.link.skip.min(stream::frames(&self.held) as u64);
        self.link.skip -= head;
        stream::trim(&mut self.held, head, u64::MAX);
    }

    /// Ends a song of the chain: takes what lies behind its end from what is held.
    fn end_link(&mut self) -> Result<(), Fault> {
        let link = &mut self.link;
        if link.headers_left > 0 {
            return Err(Fault::CutOff(None));
        }
        if let (Some(last), Some(base)) = (link.last_granule, link.base) {
            let wanted = u64::try_from(last.saturating_sub(base)).unwrap_or(0);
            let extra = link.decoded.saturating_sub(wanted);
            let keep = (stream::frames(&self.held) as u64).saturating_sub(extra);
            stream::trim(&mut self.held, 0, keep);
        }
        if link.promised > link.decoded {
            return Err(Fault::CutOff(Some(link.promised).filter(|_| !self.is_chain)));
        }
        if link.codec.checksum_fits() == Some(false) {
            return Err(Fault::damaged("its audio does not match the checksum in its header"));
        }
        self.skip();
        Ok(())
    }
}

impl Link {
    fn is_vorbis(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Takes a header packet behind the first.
    fn header(&mut self, packet: Vec<u8>) -> Result<(), Fault> {
        self.headers_left -= 1;
        if self.is_vorbis() {
            if packet.first() == Some(&5) {
                self.headers.extend_from_slice(&packet);
                self.codec = Codec::new(Setup::Vorbis(self.headers.clone()))?;
                self.headers_left = 0;
            } else if self.headers_left == 0 {
                return Err(Fault::damaged("its Vorbis headers are incomplete"));
            }
        }
        Ok(())
    }
}

/// Reads the first pages of all streams that begin here and opens the first with sound. The page behind them is
/// left in `waiting`; `None` where no page is.
fn open_link(source: &mut Source, waiting: &mut Option<Page>) -> Result<Option<Link>, Fault> {
    let mut link = None;
    let mut other = None;
    loop {
        let page = match waiting.take() {
            Some(page) => Some(page),
            None => next_page(source)?,
        };
        let Some(page) = page else { break };
        if !page.is_first {
            *waiting = Some(page);
            break;
        }
        let mut packets = Packets::default();
        let Some(head) = packets.push(&page)?.pop_front() else { continue };
        match open_codec(&page, packets, &head) {
            Ok(Some(found)) if link.is_none() => link = Some(found),
            Ok(_) => {}
            Err(fault) => other = other.or(Some(fault)),
        }
    }
    match (link, other) {
        (Some(link), _) => Ok(Some(link)),
        (None, Some(fault)) => Err(fault),
        (None, None) if waiting.is_some() => Err(Fault::NotAudio("an Ogg file without sound".to_owned())),
        (None, None) => Ok(None),
    }
}

/// The codec that a stream's first packet names; `None` for a video or a table of contents.
fn open_codec(page: &Page, packets: Packets, head: &[u8]) -> Result<Option<Link>, Fault> {
    let link = |setup: Option<Setup>, shape: Shape, headers_left: usize| {
        // Vorbis cannot begin before its third header; until then any decoder holds the place.
        let codec = Codec::new(setup.unwrap_or(Setup::Mpeg(3)))?;
        Ok::<_, Fault>(Link {
            serial: page.serial,
            packets,
            codec,
            shape,
            headers_left,
            is_flac: false,
            headers: Vec::new(),
            decoded: 0,
            skip: 0,
            base: None,
            last_granule: None,
            is_ended: false,
            promised: 0,
        })
    };
    if let Some(body) = head.strip_prefix(b"\x01vorbis") {
        let channels =
            usize::from(*body.get(4).ok_or_else(|| Fault::damaged("its Vorbis header is too short"))?);
        let rate = body.get(5..9).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
        let mut link = link(None, Shape { rate_hz: rate, channels }, 2)?;
        link.headers = head.to_vec();
        return Ok(Some(link));
    }
    if head.starts_with(b"OpusHead") {
        let opus = OpusHead::parse(head, false)?;
        let shape = Shape { rate_hz: OPUS_HZ, channels: opus.channels };
        let mut link = link(Some(Setup::Opus(opus)), shape, 1)?;
        link.skip = opus.skip_frames;
        return Ok(Some(link));
    }
    if head.starts_with(b"\x7fFLAC") {
        let info = StreamInfo::parse(head.get(17..).unwrap_or_default())?;
        let shape = Shape { rate_hz: info.rate_hz, channels: info.channels };
        let mut link = link(Some(Setup::Flac(info.bytes.clone())), shape, 0)?;
        link.is_flac = true;
        link.promised = info.total_frames;
        return Ok(Some(link));
    }
    let unsupported = |name: &str| Err(Fault::Unsupported(name.to_owned()));
    match head {
        h if h.starts_with(b"Speex") => unsupported("Ogg Speex"),
        h if h.starts_with(b"fLaC") => unsupported("FLAC in an early kind of Ogg"),
        h if h.starts_with(b"PCM     ") => unsupported("Ogg PCM"),
        h if h.starts_with(b"CELT") => unsupported("Ogg CELT"),
        _ => Ok(None),
    }
}

impl Stream for OggStream {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn expected_frames(&self) -> Option<u64> {
        Some(self.link.promised).filter(|&p| p > 0 && !self.is_chain)
    }

    fn is_lossy(&self) -> bool {
        self.link.codec.is_lossy()
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        stream::clear(block, self.shape.channels);
        if self.over {
            return Ok(false);
        }
        let page = match self.waiting.take() {
            Some(page) => Some(page),
            None => next_page(&mut self.source)?,
        };
        match page {
            None => {
                self.end_link()?;
                std::mem::swap(block, &mut self.held);
                self.over = true;
            }
            Some(page) if page.is_first => {
                self.end_link()?;
                std::mem::swap(block, &mut self.held);
                self.waiting = Some(page);
                self.link = open_link(&mut self.source, &mut self.waiting)?.ok_or(Fault::CutOff(None))?;
                self.is_chain = true;
                if self.link.shape != self.shape {
                    return Err(Fault::Changes);
                }
            }
            Some(page) if page.serial == self.link.serial && !self.link.is_ended => {
                // What is held was not the last page's.
                if self.link.base.is_some() {
                    self.skip();
                    std::mem::swap(block, &mut self.held);
                }
                self.decode(&page)?;
            }
            // Of a video beside it.
            Some(_) => {}
        }
        Ok(true)
    }

    fn remark(&self) -> Option<String> {
        let is_open = self.over && !self.link.is_ended;
        is_open
            .then(|| "its last page is not marked as the end: perhaps something is missing there".to_owned())
    }
}
