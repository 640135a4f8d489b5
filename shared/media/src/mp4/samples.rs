//! Where an MP4's packets lie: the tables of `stbl`, and the runs of fragments.
//!
//! This module must never read the packets, and never make a table longer than the file can hold.

use super::boxes::{find, inside, u32_at, u64_at};
use crate::{error::Fault, table::Place};

/// Takes a packet's bytes from what the file can hold. A table that promises more was cut off, or is hostile: it
/// must not become memory.
fn spend(budget: &mut u64, bytes: u64) -> Result<(), Fault> {
    *budget = budget.checked_sub(bytes).ok_or(Fault::CutOff(None))?;
    Ok(())
}

/// Reads `stbl`, whose packets lie in `budget` bytes of file; `pcm_frame_bytes` is set where a "sample" is one frame of plain samples: then a packet is a chunk.
pub(crate) fn read(
    stbl: &[u8],
    pcm_frame_bytes: Option<usize>,
    budget: &mut u64,
) -> Result<Vec<Place>, Fault> {
    let nonsense = || Fault::damaged("its table of packets is nonsense");
    let offsets: Vec<u64> = match (find(stbl, &[b"stco"]), find(stbl, &[b"co64"])) {
        (Some(stco), _) => numbers(stco, 4).map(|b| u64::from(u32_at(b, 0).unwrap_or(0))).collect(),
        (None, Some(co64)) => numbers(co64, 8).map(|b| u64_at(b, 0).unwrap_or(0)).collect(),
        (None, None) => Vec::new(),
    };
    let stsc = find(stbl, &[b"stsc"]).unwrap_or_default();
    let runs: Vec<(u64, u32)> = numbers(stsc, 12)
        .map(|b| (u64::from(u32_at(b, 0).unwrap_or(0)), u32_at(b, 4).unwrap_or(0)))
        .collect();
    let sizes = Sizes::read(stbl)?;
    let mut places = Vec::new();
    let (mut run, mut sample) = (0, 0u32);
    for (chunk, &offset) in offsets.iter().enumerate() {
        while runs.get(run + 1).is_some_and(|next| next.0 <= chunk as u64 + 1) {
            run += 1;
        }
        let count = runs.get(run).map_or(0, |run| run.1).min(sizes.count - sample);
        if let Some(frame_bytes) = pcm_frame_bytes {
            let bytes = u64::from(count) * frame_bytes as u64;
            places.push(Place { offset, bytes: u32::try_from(bytes).map_err(|_| nonsense())? });
        } else {
            let mut offset = offset;
            for index in sample..sample + count {
                let bytes = sizes.get(index).ok_or_else(nonsense)?;
                spend(budget, u64::from(bytes))?;
                places.push(Place { offset, bytes });
                offset = offset.checked_add(u64::from(bytes)).ok_or_else(nonsense)?;
            }
        }
        sample += count;
    }
    // Packets that no chunk holds are packets that are missing.
    if sample < sizes.count { Err(nonsense()) } else { Ok(places) }
}

/// The entries of a full box with a count.
fn numbers(content: &[u8], each: usize) -> impl Iterator<Item = &[u8]> {
    let count = u32_at(content, 4).unwrap_or(0) as usize;
    content.get(8..).unwrap_or_default().chunks_exact(each).take(count)
}

struct Sizes<'b> {
    each: u32,
    count: u32,
    list: &'b [u8],
    bits: usize,
}

impl<'b> Sizes<'b> {
    fn read(stbl: &'b [u8]) -> Result<Self, Fault> {
        let sizes = match (find(stbl, &[b"stsz"]), find(stbl, &[b"stz2"])) {
            (Some(stsz), _) => Self {
                each: u32_at(stsz, 4).unwrap_or(0),
                count: u32_at(stsz, 8).unwrap_or(0),
                list: stsz.get(12..).unwrap_or_default(),
                bits: 32,
            },
            (None, Some(stz2)) => Self {
                each: 0,
                count: u32_at(stz2, 8).unwrap_or(0),
                list: stz2.get(12..).unwrap_or_default(),
                bits: usize::from(stz2.get(7).copied().unwrap_or(0)),
            },
            (None, None) => Self { each: 0, count: 0, list: &[], bits: 32 },
        };
        let there = (sizes.list.len() * 8).checked_div(sizes.bits).unwrap_or(0);
        if sizes.each == 0 && there < sizes.count as usize {
            return Err(Fault::damaged("its table of packets is too short"));
        }
        Ok(sizes)
    }

    fn get(&self, index: u32) -> Option<u32> {
        let index = index as usize;
        match self.bits {
            _ if self.each > 0 => Some(self.each),
            4 => self
                .list
                .get(index / 2)
                .map(|b| u32::from(if index.is_multiple_of(2) { b >> 4 } else { b & 15 })),
            8 => self.list.get(index).map(|&b| u32::from(b)),
            16 => super::boxes::u16_at(self.list, index * 2).map(u32::from),
            _ => u32_at(self.list, index * 4),
        }
    }
}

/// Packets of a track in one `moof` box that begins at `start` in the file.
pub(crate) fn fragment(
    moof: &[u8],
    start: u64,
    track: u32,
    trex: Option<&[u8]>,
    ticks: &mut u64,
    budget: &mut u64,
) -> Result<Vec<Place>, Fault> {
    let nonsense = || Fault::damaged("a fragment's table of packets is nonsense");
    let default = |at: usize| trex.and_then(|t| u32_at(t, at)).unwrap_or(0);
    let mut places = Vec::new();
    // Where data begins that says nothing of it: behind the data before.
    let mut end_before = start;
    for (_, traf) in inside(moof).filter(|(kind, _)| kind == b"traf") {
        let tfhd = find(traf, &[b"tfhd"]).ok_or_else(nonsense)?;
        let flags = u32_at(tfhd, 0).ok_or_else(nonsense)? & 0xff_ffff;
        let mut at = 8;
        let mut field = |flag: u32, bytes: usize| {
            let place = (flags & flag != 0).then_some(at);
            at += if place.is_some() { bytes } else { 0 };
            place
        };
        let (base, _, duration, size) = (field(1, 8), field(2, 4), field(8, 4), field(16, 4));
        let base = match base {
            Some(at) => u64_at(tfhd, at).ok_or_else(nonsense)?,
            None if flags & 0x2_0000 != 0 => start,
            None => end_before,
        };
        let duration = duration.and_then(|at| u32_at(tfhd, at)).unwrap_or(default(12));
        let size = size.and_then(|at| u32_at(tfhd, at)).unwrap_or(default(16));
        let is_ours = u32_at(tfhd, 4) == Some(track);
        let mut offset = base;
        for (_, trun) in inside(traf).filter(|(kind, _)| kind == b"trun") {
            let flags = u32_at(trun, 0).ok_or_else(nonsense)? & 0xff_ffff;
            let count = u32_at(trun, 4).ok_or_else(nonsense)? as usize;
            let mut at = 8;
            if flags & 1 != 0 {
                let shift = u32_at(trun, at).ok_or_else(nonsense)? as i32;
                offset = base.checked_add_signed(i64::from(shift)).ok_or_else(nonsense)?;
                at += 4;
            }
            at += if flags & 4 != 0 { 4 } else { 0 };
            let each = [0x100, 0x200, 0x400, 0x800].iter().filter(|&&f| flags & f != 0).count() * 4;
            let entries = trun.get(at..).unwrap_or_default();
            if each > 0 && entries.len() / each < count || each == 0 && size == 0 {
                return Err(nonsense());
            }
            for index in 0..count {
                let entry = &entries[index * each..];
                let (mut long, mut bytes, mut at) = (duration, size, 0);
                if flags & 0x100 != 0 {
                    (long, at) = (u32_at(entry, 0).ok_or_else(nonsense)?, 4);
                }
                if flags & 0x200 != 0 {
                    bytes = u32_at(entry, at).ok_or_else(nonsense)?;
                }
                spend(budget, u64::from(bytes))?;
                if is_ours {
                    places.push(Place { offset, bytes });
                    *ticks = ticks.saturating_add(u64::from(long));
                }
                offset = offset.checked_add(u64::from(bytes)).ok_or_else(nonsense)?;
            }
        }
        end_before = offset;
    }
    Ok(places)
}
