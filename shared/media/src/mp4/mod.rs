//! MP4, M4A, MOV and 3GP: the sound track of a table of contents, or of fragments, beside any video.
//!
//! Durations in the tables are rounded by cameras and phones, so they are never held against the song: its packets
//! are. This module must never fail for what belongs to another track.

mod boxes;
pub(crate) mod entry;
mod samples;
mod trim;

use boxes::{find, inside, u32_at, u64_at};

use crate::{
    codec::Setup,
    error::Fault,
    source::Source,
    table::{Contents, TableStream},
};

/// A table of contents beyond this is no song's.
const MAX_MOOV_BYTES: u64 = 256 << 20;
/// One fragment's table.
const MAX_MOOF_BYTES: u64 = 16 << 20;
/// How much shorter than its header says a fragmented file may be: its parts are rounded one by one.
const TOLERANCE_SECONDS: u64 = 1;

/// Opens an MP4; a pipe becomes a file first, since the table may stand at the end.
pub(crate) fn open(mut source: Source) -> Result<TableStream, Fault> {
    source.spool()?;
    let top = Top::read(&mut source)?;
    let Some(moov) = &top.moov else {
        return Err(if top.is_cut_off || top.has_media {
            Fault::CutOff(None)
        } else {
            Fault::NotAudio("an MP4 without a table of contents".to_owned())
        });
    };
    let track = Track::choose(moov)?;
    let mut budget = source.end().unwrap_or(u64::MAX);
    let mut contents = track.contents(moov, &mut budget)?;
    contents.is_cut_off = top.is_cut_off;
    let scale = u64::from(track.scale.max(1));
    let fragments = find(moov, &[b"mvex"]);
    if let Some(mvex) = fragments {
        let trex =
            inside(mvex).find(|(kind, t)| kind == b"trex" && u32_at(t, 4) == Some(track.id)).map(|(_, t)| t);
        let mut ticks = 0;
        for &(start, length) in &top.fragments {
            source.seek(start)?;
            let moof = source.take_exact(length as usize)?;
            let content = boxes::header(&moof).and_then(|h| moof.get(h.2 as usize..)).unwrap_or_default();
            contents.packets.extend(samples::fragment(
                content,
                start,
                track.id,
                trex,
                &mut ticks,
                &mut budget,
            )?);
        }
        // The header may have been filled in at the end, with the whole duration; all ones is none.
        let promised = find(mvex, &[b"mehd"]).and_then(|mehd| match mehd.first()? {
            1 => u64_at(mehd, 4),
            _ => u32_at(mehd, 4).map(u64::from),
        });
        let movie_scale = find(moov, &[b"mvhd"]).and_then(trim::time_scale).map_or(1, u64::from).max(1);
        let promised = promised.filter(|&p| p > 0 && p < u64::from(u32::MAX)).map(|p| p / movie_scale);
        contents.is_cut_off |= promised.is_some_and(|seconds| ticks / scale + TOLERANCE_SECONDS < seconds);
    }
    contents.is_cut_off |= top.promised_end.is_some_and(|end| source.end().is_some_and(|there| there < end));
    TableStream::new(source, contents)
}

/// What lies at the top of the file.
#[derive(Default)]
struct Top {
    moov: Option<Vec<u8>>,
    /// Places and lengths of `moof` boxes.
    fragments: Vec<(u64, u64)>,
    has_media: bool,
    /// A box is longer than the file.
    is_cut_off: bool,
    /// Where an index of segments says that the file ends.
    promised_end: Option<u64>,
}

impl Top {
    fn read(source: &mut Source) -> Result<Self, Fault> {
        let mut top = Self::default();
        let end = source.end().unwrap_or(u64::MAX);
        while source.position() < end {
            let start = source.position();
            let Some((size, kind, header)) = boxes::header(source.peek(16)?) else {
                // A few bytes of padding, or a box whose header is cut off.
                top.is_cut_off |=
                    top.moov.is_none() || end - start < 8 && source.peek(8)?.iter().any(|&b| b != 0);
                break;
            };
            let size = if size == 0 { end - start } else { size };
            let is_there = start.checked_add(size).is_some_and(|behind| behind <= end);
            let is_known = kind.iter().all(|b| (b' '..=b'~').contains(b) || *b == 0xa9);
            if !is_known && top.moov.is_some() {
                break;
            }
            top.is_cut_off |= !is_there;
            match &kind {
                b"moov" if is_there && top.moov.is_none() => {
                    if size > MAX_MOOV_BYTES {
                        return Err(Fault::damaged("its table of contents is longer than a song's can be"));
                    }
                    let content = source.take_exact(size as usize)?;
                    top.moov = content.get(header as usize..).map(<[u8]>::to_vec);
                }
                b"moof" if is_there && size <= MAX_MOOF_BYTES => top.fragments.push((start, size)),
                b"mdat" => top.has_media = true,
                b"sidx" if is_there && size < MAX_MOOF_BYTES && top.promised_end.is_none() => {
                    let sidx = source.take_exact(size as usize)?;
                    top.promised_end = segments_end(&sidx[header as usize..], start + size);
                }
                _ => {}
            }
            if !is_there {
                break;
            }
            source.seek(start + size)?;
        }
        Ok(top)
    }
}

/// Where the segments that a `sidx` box counts end.
fn segments_end(sidx: &[u8], behind: u64) -> Option<u64> {
    let long = *sidx.first()? == 1;
    let (first, at) = if long { (u64_at(sidx, 20)?, 28) } else { (u64::from(u32_at(sidx, 16)?), 20) };
    let references = sidx.get(at + 4..)?;
    let count = usize::from(boxes::u16_at(sidx, at + 2)?);
    references.chunks_exact(12).take(count).try_fold(behind.checked_add(first)?, |end, reference| {
        end.checked_add(u64::from(u32_at(reference, 0)? & 0x7fff_ffff))
    })
}

/// The track with the sound.
struct Track<'m> {
    id: u32,
    /// Ticks of its clock a second.
    scale: u32,
    trak: &'m [u8],
    stbl: &'m [u8],
    setup: Setup,
    shape: crate::stream::Shape,
}

impl<'m> Track<'m> {
    /// The first track whose sound can be decoded.
    fn choose(moov: &'m [u8]) -> Result<Self, Fault> {
        let mut fault = None;
        for (_, trak) in inside(moov).filter(|(kind, _)| kind == b"trak") {
            let is_sound = find(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)) == Some(b"soun");
            if !is_sound {
                continue;
            }
            match Self::read(trak) {
                Ok(track) => return Ok(track),
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        Err(fault.unwrap_or_else(|| Fault::NotAudio("a video or picture without sound".to_owned())))
    }

    fn read(trak: &'m [u8]) -> Result<Self, Fault> {
        let missing = || Fault::damaged("its table of contents is incomplete");
        let tkhd = find(trak, &[b"tkhd"]).ok_or_else(missing)?;
        let id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 }).ok_or_else(missing)?;
        let mdia = find(trak, &[b"mdia"]).ok_or_else(missing)?;
        let scale = find(mdia, &[b"mdhd"]).and_then(trim::time_scale).ok_or_else(missing)?;
        let stbl = find(mdia, &[b"minf", b"stbl"]).ok_or_else(missing)?;
        let (setup, mut shape) = entry::read(find(stbl, &[b"stsd"]).ok_or_else(missing)?)?;
        // Rates beyond 16 bits do not fit into their field.
        if shape.rate_hz == 0
            || shape.rate_hz < scale && scale % shape.rate_hz == 0 && !matches!(setup, Setup::Aac(_))
        {
            shape.rate_hz = scale;
        }
        Ok(Self { id, scale, trak, stbl, setup, shape })
    }

    fn contents(&self, moov: &[u8], budget: &mut u64) -> Result<Contents, Fault> {
        let pcm = match &self.setup {
            Setup::Pcm(format) => Some(format.frame_bytes()),
            _ => None,
        };
        let packets = samples::read(self.stbl, pcm, budget)?;
        let mut trim = trim::read(moov, self.trak, self.scale);
        // AAC's last packet is kept whole, as other players keep it, unless iTunes counts the frames.
        if matches!(self.setup, Setup::Aac(_)) && !trim.is_itunes {
            trim.length = None;
        }
        // Trims are counted by the track's clock.
        let per = |ticks: u64| ticks * u64::from(self.shape.rate_hz) / u64::from(self.scale.max(1));
        let skip = match &self.setup {
            Setup::Opus(head) if trim.delay == 0 => head.skip_frames,
            _ => per(trim.delay),
        };
        Ok(Contents {
            setup: self.setup.clone(),
            shape: self.shape,
            packets,
            delay_frames: skip,
            frames: trim.length.map(per),
            hint_frames: trim.about.map(per),
            is_cut_off: false,
        })
    }
}
