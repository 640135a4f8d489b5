//! FLAC stems say of themselves what the song says, as other people's programs read it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what it saw and could not look at")]

use std::{path::Path, process::Command};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_media::{Cover, Inputs, StemFiles, StemFormat, StemWriter, Tags, decode, read_tags};

fn write(folder: &Path, tags: &Tags) {
    let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
    let names = ["vocals", "accompaniment"].map(str::to_owned);
    let inputs = Inputs::default();
    let files = StemFiles {
        folder,
        names: &names,
        format: StemFormat::Flac,
        inputs: &inputs,
        overwrite: false,
        tags,
    };
    let mut writer = StemWriter::create(files, &set, SampleRate::HZ_44100, 1, None).unwrap();
    let block: Vec<f32> = (0..10_000).map(|f| (f as f32 * 0.01).sin() * 0.5).collect();
    writer.write(&[&block], &[vec![block.clone()], vec![block.clone()]]).unwrap();
    writer.finish().unwrap();
}

/// What a program of the `flac` package says; nothing where it is not installed.
fn told(program: &str, args: &[&str], file: &Path) -> Option<Vec<u8>> {
    let Ok(output) = Command::new(program).args(args).arg(file).output() else {
        println!("{program} is not installed: not looked at with it");
        return None;
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn everything_that_is_carried_is_read_by_others_and_the_sound_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // The smallest PNG there is.
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDATx\x9cc\xfa\x0f\0\x01\x05\x01\x02\xcf\xa0\x2e\xcd\0\0\0\0IEND\xaeB`\x82";
    let tags = Tags {
        artist: some("Sigur Rós"),
        title: some("Svefn-g-englar = 9\n10"),
        album: some("Ágætis byrjun"),
        album_artist: some("Sigur Rós & others"),
        track: some("2/10"),
        date: some("1999-06-12"),
        genre: some("Post-rock"),
        cover: Some(Cover { mime: "image/png".to_owned(), bytes: png.to_vec() }),
    };
    write(folder.path(), &tags);
    let vocals = folder.path().join("vocals.flac");
    let title = some("Svefn-g-englar = 9\n10 (vocals)");
    assert_eq!(read_tags(&vocals).unwrap(), Tags { title, track: some("2"), ..tags });
    assert_eq!(decode(&vocals, &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap().frames(), 10_000);

    told("flac", &["--test", "--silent", "--warnings-as-errors"], &vocals);
    if let Some(said) = told("metaflac", &["--export-tags-to=-", "--no-utf8-convert"], &vocals) {
        let said = String::from_utf8(said).unwrap();
        for line in
            ["ARTIST=Sigur Rós", "ALBUM=Ágætis byrjun", "TRACKNUMBER=2", "TRACKTOTAL=10", "DATE=1999-06-12"]
        {
            assert!(said.lines().any(|said| said == line), "{line} is missing in {said}");
        }
    }
    if let Some(picture) = told("metaflac", &["--export-picture-to=-"], &vocals) {
        assert!(picture == png, "another cover came out");
    }
}

#[test]
fn a_song_that_says_nothing_and_a_cover_that_is_none_make_a_plain_file() {
    for cover in [
        None,
        Some(Cover { mime: "-->".to_owned(), bytes: b"http://somewhere".to_vec() }),
        Some(Cover { mime: "image/jpeg".to_owned(), bytes: Vec::new() }),
        // Larger than a FLAC file can hold.
        Some(Cover { mime: "image/jpeg".to_owned(), bytes: vec![0; 16 << 20] }),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &Tags { cover, ..Tags::default() });
        let vocals = folder.path().join("vocals.flac");
        assert_eq!(read_tags(&vocals).unwrap(), Tags::default());
        told("flac", &["--test", "--silent", "--warnings-as-errors"], &vocals);
    }
}
