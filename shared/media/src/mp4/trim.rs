//! What an MP4 says of frames before and behind the music.
//!
//! AAC encoders put 1024 to 2112 frames of nothing before the music and say so in one of two places: an edit
//! list (`elst`), or iTunes's `iTunSMPB` comment. Players trim it; stems that are not trimmed would lie 23 to
//! 48 ms beside the song in a DAW. A file that says nothing, or nonsense, is taken as it is: this module must never
//! fail a song.

use super::boxes::{find, u32_at, u64_at};

/// More than any encoder's delay, in seconds: a longer "delay" is an editor's cut, and what was cut is played.
const MAX_DELAY_SECONDS: f64 = 0.25;

/// What to trim, in ticks of the track's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Trim {
    /// Before the music.
    pub(crate) delay: u64,
    /// Length of the music, where the file says so exactly.
    pub(crate) length: Option<u64>,
}

/// Reads what `moov` says about the track `trak` whose clock has `scale` ticks a second.
pub(crate) fn read(moov: &[u8], trak: &[u8], scale: u32) -> Trim {
    let is_delay = |ticks: u64| (ticks as f64) < MAX_DELAY_SECONDS * f64::from(scale);
    if let Some(trim) = itunes(moov).filter(|trim| is_delay(trim.delay)) {
        return trim;
    }
    let delay =
        find(trak, &[b"edts", b"elst"]).and_then(first_media_time).filter(|&d| is_delay(d)).unwrap_or(0);
    let length = find(trak, &[b"mdia", b"minf", b"stbl", b"stts"]).and_then(short_last);
    Trim { delay, length: length.and_then(|length| length.checked_sub(delay)) }
}

/// The whole duration, if every packet is as long as the first and only the last one is shorter: then, and only
/// then, it was not rounded but trimmed.
fn short_last(stts: &[u8]) -> Option<u64> {
    let entry = |at: usize| Some((u64::from(u32_at(stts, at)?), u64::from(u32_at(stts, at + 4)?)));
    if u32_at(stts, 4)? != 2 {
        return None;
    }
    let ((count, long), (last, short)) = (entry(8)?, entry(16)?);
    (last == 1 && count > 1 && short > 0 && short < long).then(|| count * long + short)
}

/// Ticks per second from an `mdhd` or `mvhd` box.
pub(crate) fn time_scale(header: &[u8]) -> Option<u32> {
    u32_at(header, if *header.first()? == 1 { 20 } else { 12 })
}

/// Where in the media the presentation begins: the first entry of the edit list that is no pause.
fn first_media_time(elst: &[u8]) -> Option<u64> {
    let long = *elst.first()? == 1;
    let each = if long { 20 } else { 12 };
    let count = (u32_at(elst, 4)? as usize).min(elst.len() / each);
    (0..count).find_map(|index| {
        let at = 8 + index * each;
        if long {
            u64::try_from(u64_at(elst, at + 8)? as i64).ok()
        } else {
            u64::try_from(u32_at(elst, at + 4)? as i32).ok()
        }
    })
}

/// iTunes's comment: hexadecimal words, the second is the delay, the third the padding, the fourth the length.
fn itunes(moov: &[u8]) -> Option<Trim> {
    let at = moov.windows(8).position(|w| w == b"iTunSMPB")?;
    // After the name comes a `data` box: size, kind, four bytes of type, four of locale, text.
    let rest = &moov[at + 8..];
    let data = rest.windows(4).take(64).position(|w| w == b"data")?;
    let text = rest.get(data + 12..)?;
    let text = &text[..text.len().min(120)];
    let end = text.iter().position(|b| !b.is_ascii_hexdigit() && *b != b' ').unwrap_or(text.len());
    let mut words =
        std::str::from_utf8(&text[..end]).ok()?.split_whitespace().map(|w| u64::from_str_radix(w, 16));
    let (delay, _padding, length) = (words.nth(1)?.ok()?, words.next()?.ok()?, words.next()?.ok()?);
    Some(Trim { delay, length: Some(length).filter(|&length| length > 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let mut out = (content.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend_from_slice(content);
        out
    }

    fn trak(edits: &[(u32, i32)]) -> Vec<u8> {
        let mut elst = vec![0u8; 8];
        elst[7] = edits.len() as u8;
        for (length, start) in edits {
            elst.extend_from_slice(&length.to_be_bytes());
            elst.extend_from_slice(&start.to_be_bytes());
            elst.extend_from_slice(&[0, 1, 0, 0]);
        }
        boxed(b"edts", &boxed(b"elst", &elst))
    }

    #[test]
    fn an_edit_list_tells_the_delay_and_a_pause_before_it_is_none() {
        let delay = |edits: &[(u32, i32)]| read(&[], &trak(edits), 44_100).delay;
        assert_eq!(delay(&[(500, 1_024)]), 1_024);
        assert_eq!(delay(&[(20, -1), (500, 1_024)]), 1_024);
        assert_eq!(delay(&[(500, 441_000)]), 0, "an editor's cut is no delay");
        assert_eq!(delay(&[]), 0);
    }

    #[test]
    fn itunes_tells_more() {
        let text = b"\0\0\0\x01\0\0\0\0 00000000 00000840 000001CA 00000000003F31F6 00000000";
        let comment = [b"....iTunSMPB".to_vec(), boxed(b"data", text)].concat();
        let trim = read(&boxed(b"free", &comment), &trak(&[(500, 1_024)]), 44_100);
        assert_eq!(trim, Trim { delay: 2_112, length: Some(0x3F31F6) });
    }

    #[test]
    fn only_a_shorter_last_packet_is_padding() {
        let stts = |entries: &[(u32, u32)]| {
            let mut out = vec![0, 0, 0, 0, 0, 0, 0, entries.len() as u8];
            entries
                .iter()
                .for_each(|(count, ticks)| out.extend([count.to_be_bytes(), ticks.to_be_bytes()].concat()));
            out
        };
        assert_eq!(short_last(&stts(&[(10, 1_024), (1, 500)])), Some(10_740));
        // A phone's camera: the first one is late, the others are rounded.
        assert_eq!(short_last(&stts(&[(1, 1_354), (130, 1_024)])), None);
        assert_eq!(short_last(&stts(&[(131, 1_024)])), None);
        assert_eq!(short_last(&stts(&[(1, 1_354), (128, 1_024), (1, 1_000)])), None);
    }
}
