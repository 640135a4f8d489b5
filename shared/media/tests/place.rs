//! What is written never takes the place of what is read, nor of anything else unless that was asked for.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_media::{
    Inputs, StemFiles, StemFormat, StemWriter, Tags, WholeFile, WriteError, WrittenStem, place,
};

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn names() -> [String; 2] {
    ["vocals", "accompaniment"].map(str::to_owned)
}

/// Writes a short song's stems into `folder`; `meanwhile` happens before they are put in place.
fn write(
    folder: &Path,
    inputs: &Inputs,
    overwrite: bool,
    meanwhile: impl FnOnce(),
) -> Result<Vec<WrittenStem>, WriteError> {
    let set = StemSet::new(&["vocals", "accompaniment"]).unwrap();
    let names = names();
    let files = StemFiles {
        folder,
        names: &names,
        format: StemFormat::Wav,
        inputs,
        overwrite,
        tags: &Tags::default(),
    };
    let mut writer = StemWriter::create(files, &set, SampleRate::HZ_44100, 1, None)?;
    let block = vec![0.25f32; 100];
    writer.write(&[&block], &[vec![block.clone()], vec![block.clone()]])?;
    meanwhile();
    writer.finish()
}

/// Every way in which `FOLDER/vocals.wav` may be the song that is read.
#[cfg(unix)]
#[test]
fn a_song_is_never_replaced_by_its_stem_whatever_the_path_to_it() {
    type Way = fn(&Path) -> PathBuf;
    let song = |folder: &Path| {
        let path = folder.join("vocals.wav");
        fs::write(&path, b"the song").unwrap();
        path
    };
    let ways: [(&str, Way); 6] = [
        ("path", |folder| folder.join("vocals.wav")),
        ("path with dots", |folder| {
            folder.join("../").join(folder.file_name().unwrap()).join("./vocals.wav")
        }),
        ("hard link", |folder| {
            let other = folder.join("../song.wav");
            fs::hard_link(folder.join("vocals.wav"), &other).unwrap();
            other
        }),
        ("symbolic link to it", |folder| {
            let link = folder.join("../song.wav");
            std::os::unix::fs::symlink(folder.join("vocals.wav"), &link).unwrap();
            link
        }),
        ("symbolic link to its folder", |folder| {
            let link = folder.join("../elsewhere");
            std::os::unix::fs::symlink(folder, &link).unwrap();
            link.join("vocals.wav")
        }),
        ("it is a symbolic link itself", |folder| {
            let real = folder.join("../song.wav");
            fs::rename(folder.join("vocals.wav"), &real).unwrap();
            std::os::unix::fs::symlink("../song.wav", folder.join("vocals.wav")).unwrap();
            real
        }),
    ];
    for (way, path_of) in ways {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("music");
        fs::create_dir(&folder).unwrap();
        song(&folder);
        let inputs = Inputs::new([path_of(&folder)]);
        for overwrite in [false, true] {
            let error = write(&folder, &inputs, overwrite, || {}).unwrap_err();
            assert!(matches!(error, WriteError::IsInput { .. }), "{way}: {error}");
            assert!(error.to_string().contains("never replaced"), "{error}");
            assert_eq!(fs::read(folder.join("vocals.wav")).unwrap(), b"the song", "{way}");
            assert_eq!(entries(&folder), ["vocals.wav"], "{way}");
        }
    }
}

#[test]
fn a_song_whose_name_differs_in_case_only_is_no_place_for_a_stem() {
    let folder = tempfile::tempdir().unwrap();
    let song = folder.path().join("VOCALS.Wav");
    fs::write(&song, b"the song").unwrap();
    let error = write(folder.path(), &Inputs::new([&song]), true, || {}).unwrap_err();
    assert!(matches!(error, WriteError::IsInput { .. }), "{error}");
    // In another folder it is no matter.
    write(&folder.path().join("stems"), &Inputs::new([&song]), false, || {}).unwrap();
}

#[test]
fn files_that_are_there_are_replaced_only_if_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("accompaniment.wav");
    fs::write(&there, b"somebody's").unwrap();
    let error = write(folder.path(), &Inputs::default(), false, || {}).unwrap_err();
    assert!(matches!(&error, WriteError::Exists(path) if *path == there), "{error}");
    assert!(error.to_string().contains("--overwrite"), "{error}");
    assert_eq!(entries(folder.path()), ["accompaniment.wav"]);
    write(folder.path(), &Inputs::default(), true, || {}).unwrap();
    assert!(fs::read(&there).unwrap().starts_with(b"RIFF"));
    assert_eq!(entries(folder.path()), ["accompaniment.wav", "vocals.wav"]);
}

#[test]
fn what_comes_to_a_place_while_the_stems_are_made_stays_and_no_stem_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("accompaniment.wav");
    let error =
        write(folder.path(), &Inputs::default(), false, || fs::write(&there, b"new").unwrap()).unwrap_err();
    assert!(matches!(error, WriteError::Exists(_)), "{error}");
    assert_eq!(fs::read(&there).unwrap(), b"new");
    assert_eq!(entries(folder.path()), ["accompaniment.wav"]);
}

#[test]
fn a_folder_in_the_place_of_a_stem_is_named_and_the_other_stem_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vocals.wav"), b"before").unwrap();
    let meanwhile = || fs::create_dir_all(folder.path().join("accompaniment.wav/in the way")).unwrap();
    let error = write(folder.path(), &Inputs::default(), true, meanwhile).unwrap_err();
    assert!(matches!(error, WriteError::NotAFile(_)), "{error}");
    assert_eq!(fs::read(folder.path().join("vocals.wav")).unwrap(), b"before");
    assert_eq!(entries(folder.path()), ["accompaniment.wav", "vocals.wav"]);
}

/// Writes `bytes` to `path` by [`WholeFile`].
fn write_whole(path: &Path, inputs: &Inputs, overwrite: bool, bytes: &[u8]) -> Result<(), WriteError> {
    let file = WholeFile { path, inputs, overwrite, owner_only: true };
    file.write(|out| out.write_all(bytes).map_err(|source| WriteError::Io { path: path.to_owned(), source }))
}

#[test]
fn a_single_file_comes_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup.tar");
    write_whole(&path, &Inputs::default(), false, b"one").unwrap();
    assert!(matches!(write_whole(&path, &Inputs::default(), false, b"two"), Err(WriteError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"one");
    write_whole(&path, &Inputs::default(), true, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    let error = write_whole(&path, &Inputs::new([&path]), true, b"three").unwrap_err();
    assert!(matches!(error, WriteError::IsInput { .. }), "{error}");
    let stopped = WholeFile { path: &path, inputs: &Inputs::default(), overwrite: true, owner_only: false }
        .write(|out| -> Result<(), WriteError> {
            out.write_all(b"half").unwrap();
            Err(WriteError::TooLong { frames: 0 })
        });
    assert!(stopped.is_err());
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(entries(folder.path()), ["backup.tar"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}

/// As root, a file put in the place of a device would be the end of the device.
#[cfg(target_os = "linux")]
#[test]
fn a_device_or_a_pipe_is_written_into_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt as _;
    write_whole(Path::new("/dev/null"), &Inputs::default(), false, b"gone").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write_whole(&pipe, &Inputs::default(), false, b"through it").unwrap();
    assert_eq!(reader.join().unwrap(), b"through it");
    assert_eq!(entries(folder.path()), ["pipe"]);
}

#[test]
fn names_are_shown_without_what_moves_a_cursor() {
    let shown = place::shown(Path::new("a\x1b[2Jb\nerror: c\u{9b}d\u{202e}e é")).to_string();
    assert_eq!(shown, "a\\u{1b}[2Jb\\nerror: c\\u{9b}d\\u{202e}e é");
}
