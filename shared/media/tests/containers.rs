//! Containers around plain samples and packets, made byte by byte: order of bytes, open durations, rounded tables.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use rehearsekit_media::DecodeError;

/// A chunk of AIFF.
fn form(kind: &[u8; 4], chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunk =
        |kind: &[u8; 4], content: &[u8]| [&kind[..], &(content.len() as u32).to_be_bytes(), content].concat();
    let body: Vec<u8> = chunks.iter().flat_map(|(kind, content)| chunk(kind, content)).collect();
    chunk(b"FORM", &[&kind[..], &body].concat())
}

/// `COMM` for 16-bit stereo at 44.1 kHz, with a codec's letters for AIFF-C.
fn comm(frames: u32, codec: Option<&[u8; 4]>) -> Vec<u8> {
    let mut out = [&2u16.to_be_bytes()[..], &frames.to_be_bytes(), &16u16.to_be_bytes()].concat();
    out.extend([0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0]);
    out.extend(codec.into_iter().flat_map(|c| [&c[..], &[0, 0]].concat()));
    out
}

#[test]
fn aiff_is_read_to_the_bit_in_both_orders_and_told_when_it_is_cut_off() {
    let samples = samples(3_000, 2);
    let sound = |bytes: Vec<u8>| [vec![0; 8], bytes].concat();
    let aiff = form(b"AIFF", &[(b"COMM", comm(1_500, None)), (b"SSND", sound(big(&samples)))]);
    let sowt = form(
        b"AIFC",
        &[
            (b"FVER", vec![0xa2, 0x80, 0x51, 0x40]),
            (b"COMM", comm(1_500, Some(b"sowt"))),
            (b"SSND", sound(little(&samples))),
        ],
    );
    let late = form(b"AIFF", &[(b"SSND", sound(big(&samples))), (b"COMM", comm(1_500, None))]);
    for (name, bytes) in [("AIFF", &aiff), ("AIFF-C, little-endian", &sowt), ("COMM behind", &late)] {
        let audio = read_bytes(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(holds(&audio, &samples), "{name}");
        assert_eq!(audio.rate().hz(), 44_100);
    }
    let error = refusal(&aiff[..aiff.len() / 2]);
    assert!(matches!(error, DecodeError::Truncated { expected_frames: Some(1_500), .. }), "{error}");
    let squeezed = form(b"AIFC", &[(b"COMM", comm(1_500, Some(b"XYZ9"))), (b"SSND", sound(vec![0; 100]))]);
    let error = refusal(&squeezed).to_string();
    assert!(error.contains("XYZ9"), "{error}");
}

#[test]
fn caf_and_au_are_read_to_the_bit_also_without_a_length() {
    let samples = samples(3_000, 2);
    let chunk =
        |kind: &[u8; 4], size: i64, content: &[u8]| [&kind[..], &size.to_be_bytes(), content].concat();
    let desc = |flags: u32| {
        let words = [flags, 4, 1, 2, 16].map(u32::to_be_bytes).concat();
        [&44_100f64.to_be_bytes()[..], b"lpcm", &words].concat()
    };
    let caf = |flags: u32, data: &[u8], size: i64| {
        let head = [b"caff\0\x01\0\0".to_vec(), chunk(b"desc", 32, &desc(flags))].concat();
        [head, chunk(b"data", size, &[&[0; 4], data].concat())].concat()
    };
    let (be, le) = (big(&samples), little(&samples));
    let size = be.len() as i64 + 4;
    for (name, bytes) in
        [("big", caf(0, &be, size)), ("little", caf(2, &le, size)), ("open", caf(2, &le, -1))]
    {
        assert!(holds(&read_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}")), &samples), "{name}");
    }
    let cut = caf(0, &be[..be.len() / 2], size);
    assert!(matches!(refusal(&cut), DecodeError::Truncated { .. }));
    for length in [be.len() as u32, u32::MAX] {
        let head = [28, length, 3, 44_100, 2, 0].map(u32::to_be_bytes).concat();
        assert!(
            holds(&read_bytes(&[b".snd", &head[..], &be].concat()).unwrap(), &samples),
            "AU, {length:#x}"
        );
    }
}

/// A MOV whose one track has the codec `kind` and one chunk of `data`; `extra` are boxes in its sample entry.
fn mov(kind: &[u8; 4], bits: u16, extra: &[u8], data: &[u8], frames: u32) -> Vec<u8> {
    let ftyp = mp4_box(b"ftyp", b"qt  \0\0\0\0qt  ");
    let mdat = mp4_box(b"mdat", data);
    let stbl = sample_table(kind, bits, extra, frames, ftyp.len() as u32 + 8);
    [ftyp, mdat, mp4_box(b"moov", &trak(&stbl))].concat()
}

fn sample_table(kind: &[u8; 4], bits: u16, extra: &[u8], frames: u32, offset: u32) -> Vec<u8> {
    let mut entry = vec![0u8; 28];
    entry[7] = 1;
    entry[9] = u8::from(!extra.is_empty());
    entry[17] = 2;
    entry[18..20].copy_from_slice(&bits.to_be_bytes());
    entry[24..26].copy_from_slice(&44_100u16.to_be_bytes());
    if !extra.is_empty() {
        entry.resize(44, 0);
        entry.extend_from_slice(extra);
    }
    let full = |words: &[u32]| [0u32].iter().chain(words).flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let stsd = [full(&[1]), mp4_box(kind, &entry)].concat();
    let (chunks, runs): (&[u32], &[u32]) =
        if frames > 0 { (&[1, offset], &[1, 1, frames, 1]) } else { (&[0], &[0]) };
    [
        mp4_box(b"stsd", &stsd),
        mp4_box(b"stts", &full(&[1, frames, 1])),
        mp4_box(b"stsc", &full(runs)),
        mp4_box(b"stsz", &full(&[1, frames])),
        mp4_box(b"stco", &full(chunks)),
    ]
    .concat()
}

fn trak(stbl: &[u8]) -> Vec<u8> {
    let mut tkhd = vec![0u8; 84];
    tkhd[15] = 1;
    let mut mdhd = vec![0u8; 24];
    mdhd[12..16].copy_from_slice(&44_100u32.to_be_bytes());
    let hdlr = mp4_box(b"hdlr", b"\0\0\0\0\0\0\0\0soun\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let minf = mp4_box(b"minf", &mp4_box(b"stbl", stbl));
    let mdia = mp4_box(b"mdia", &[mp4_box(b"mdhd", &mdhd), hdlr, minf].concat());
    mp4_box(b"trak", &[mp4_box(b"tkhd", &tkhd), mdia].concat())
}

#[test]
fn quicktime_is_read_in_the_order_of_bytes_that_it_says() {
    let samples = samples(3_000, 8);
    let wide = |order: fn(i32) -> [u8; 4], from: usize| -> Vec<u8> {
        samples.iter().flat_map(|&s| order(i32::from(s) << 16)[from..from + 3].to_vec()).collect()
    };
    let floats = |order: fn(f32) -> [u8; 4]| -> Vec<u8> {
        samples.iter().flat_map(|&s| order(f32::from(s) / 32_768.0)).collect()
    };
    let enda = mp4_box(b"wave", &mp4_box(b"enda", &[0, 1]));
    type Kind<'k> = (&'k [u8; 4], u16, &'k [u8], Vec<u8>);
    let kinds: [Kind<'_>; 6] = [
        (b"twos", 16, &[], big(&samples)),
        (b"sowt", 16, &[], little(&samples)),
        (b"in24", 16, &[], wide(i32::to_be_bytes, 0)),
        (b"in24", 16, &enda, wide(i32::to_le_bytes, 1)),
        (b"fl32", 16, &[], floats(f32::to_be_bytes)),
        (b"fl32", 16, &enda, floats(f32::to_le_bytes)),
    ];
    for (kind, bits, extra, data) in kinds {
        let name = String::from_utf8_lossy(kind);
        let bytes = mov(kind, bits, extra, &data, 1_500);
        assert!(holds(&read_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {e}")), &samples), "{name}");
    }
    let named = refusal(&mov(b"ac-3", 16, &[], &[0; 600], 10)).to_string();
    assert!(named.contains("AC-3"), "{named}");
}

#[test]
fn fragments_of_open_duration_are_read_to_their_end_and_told_when_cut_off() {
    let samples = samples(6_000, 9);
    let fragment = |part: &[i16], number: u32| {
        let data = big(part);
        // One packet of plain samples, its data right behind.
        let moof = |shift: u32| {
            let tfhd = mp4_box(b"tfhd", &[0x02_0000u32, 1].map(u32::to_be_bytes).concat());
            let trun =
                mp4_box(b"trun", &[0x201u32, 1, shift, data.len() as u32].map(u32::to_be_bytes).concat());
            let mfhd = mp4_box(b"mfhd", &[0, number].map(u32::to_be_bytes).concat());
            mp4_box(b"moof", &[mfhd, mp4_box(b"traf", &[tfhd, trun].concat())].concat())
        };
        let length = moof(0).len() as u32;
        [moof(length + 8), mp4_box(b"mdat", &data)].concat()
    };
    let trex = mp4_box(b"trex", &[0u32, 1, 1, 1, 0, 0].map(u32::to_be_bytes).concat());
    // All ones: the length was not known.
    let mehd = mp4_box(b"mehd", &[1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let moov = mp4_box(
        b"moov",
        &[trak(&sample_table(b"twos", 16, &[], 0, 0)), mp4_box(b"mvex", &[mehd, trex].concat())].concat(),
    );
    let head = [mp4_box(b"ftyp", b"iso5\0\0\0\0iso5"), moov].concat();
    let whole = [head.clone(), fragment(&samples[..2_000], 1), fragment(&samples[2_000..], 2)].concat();
    assert!(holds(&read_bytes(&whole).unwrap(), &samples));
    for part in [whole.len() - 1, whole.len() - 3_000, head.len() + 5] {
        let error = refusal(&whole[..part]);
        assert!(matches!(error, DecodeError::Truncated { .. }), "{part}: {error}");
    }
}

#[test]
fn a_table_that_promises_more_than_the_file_can_hold_becomes_no_memory() {
    // Four thousand million packets of one byte, in a table of a few words and in a run of a fragment.
    let alac = mp4_box(
        b"alac",
        &[&[0; 4][..], &[0, 0, 16, 0, 0, 16, 40, 10, 14, 2, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 172, 68]]
            .concat(),
    );
    let mut song = mov(b"alac", 16, &alac, &[0; 100], 25);
    for kind in [&b"stsz"[..], b"stsc"] {
        let at = song.windows(4).position(|w| w == kind).unwrap();
        song[at + 12..at + 16].copy_from_slice(&[255; 4]);
    }
    let stsc = song.windows(4).position(|w| w == b"stsc").unwrap();
    song[stsc + 12..stsc + 20].copy_from_slice(&[0, 0, 0, 1, 255, 255, 255, 255]);
    let error = refusal(&song);
    assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
    let tfhd = mp4_box(b"tfhd", &[0x02_0010u32, 1, 1].map(u32::to_be_bytes).concat());
    let runs = mp4_box(b"trun", &[0u32, u32::MAX].map(u32::to_be_bytes).concat()).repeat(1_000);
    let moof = mp4_box(b"moof", &mp4_box(b"traf", &[tfhd, runs].concat()));
    let trex = mp4_box(b"trex", &[0u32, 1, 1, 1, 0, 0].map(u32::to_be_bytes).concat());
    let moov = [trak(&sample_table(b"twos", 16, &[], 0, 0)), mp4_box(b"mvex", &trex)].concat();
    let error = refusal(&[mp4_box(b"ftyp", b"iso5\0\0\0\0iso5"), mp4_box(b"moov", &moov), moof].concat());
    assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
}

#[test]
fn a_camera_s_rounded_durations_are_not_held_against_the_song() {
    let mut song = song_bytes("tone-aac.m4a");
    let whole = read_bytes(&song).unwrap().frames();
    let stts = song.windows(4).position(|w| w == b"stts").unwrap();
    let count = u32::from_be_bytes(song[stts + 12..stts + 16].try_into().unwrap());
    let entries = [1, 1_354, count, 1_024].map(u32::to_be_bytes).concat();
    song[stts + 12..stts + 28].copy_from_slice(&entries);
    assert_eq!(read_bytes(&song).unwrap().frames(), whole);
}

#[test]
fn opus_and_aac_sound_alike_in_every_container() {
    let opus = read(&song("tone.opus")).unwrap();
    let webm = read(&song("tone.webm")).unwrap();
    assert_eq!((opus.rate().hz(), opus.frames(), opus.channels().len()), (48_000, 24_000, 2));
    assert_eq!(webm.frames(), opus.frames());
    assert!(webm.channels() == opus.channels(), "the same packets sound otherwise in WebM");
    let tone = |hz: f64, f: usize| (0.3 * (std::f64::consts::TAU * hz * f as f64 / 48_000.0).sin()) as f32;
    let reference = [440.0, 660.0].map(|hz| (4_000..20_000).map(|f| tone(hz, f)).collect::<Vec<f32>>());
    let got: Vec<&[f32]> = opus.channels().iter().map(|c| &c[4_000..20_000]).collect();
    let sdr_db = rehearsekit_audio::measure::sdr_db(&reference, &got).unwrap();
    assert!(sdr_db > 20.0, "{sdr_db} dB");
    // The bare stream has the encoder's delay in front, and so have fragments without an edit list.
    let (bare, fragments) = (read(&song("tone.aac")).unwrap(), read(&song("tone-fragments.mp4")).unwrap());
    assert_eq!(bare.frames() % 1_024, 0);
    assert!(bare.channels() == fragments.channels(), "the same packets sound otherwise in fragments");
}
