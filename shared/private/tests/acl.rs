//! Files and folders made where a folder hands POSIX entries on, on this machine's own file system.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

use rehearsekit_private::{Danger, List, close, exposure, list_of, make_folder, owner_only};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set(words: &[&str], path: &Path) {
    assert!(Command::new("setfacl").args(words).arg(path).status().unwrap().success(), "{words:?}");
}

#[test]
fn what_a_folder_hands_on_is_taken_off_and_what_was_given_later_is_told() {
    let top = tempfile::tempdir().unwrap();
    set(&["--default", "--modify", "user:1234:rwx,group::rwx,mask::rwx"], top.path());
    assert_eq!(list_of(top.path()), Some(List::Posix));
    let folder = top.path().join("a/b");
    assert!(make_folder(&folder).unwrap() && !make_folder(&folder).unwrap());
    assert_eq!((mode(&folder), list_of(&folder)), (0o700, None));
    assert_eq!(mode(&top.path().join("a")), 0o700);

    // A file that asks for its mode gets no more; one that does not, gets what is handed on.
    for asks in [true, false] {
        let path = top.path().join(if asks { "asks" } else { "does-not" });
        let file = if asks {
            owner_only().create_new(true).open(&path).unwrap()
        } else {
            File::options().read(true).write(true).create_new(true).open(&path).unwrap()
        };
        assert_eq!(exposure(&file, Danger::Use).unwrap().is_some(), !asks);
        close(&file, Danger::Use);
        assert_eq!((mode(&path), exposure(&file, Danger::Use).unwrap(), list_of(&path)), (0o600, None, None));
        set(&["--modify", "user:1234:r"], &path);
        let found = exposure(&file, Danger::Use).unwrap().unwrap();
        assert_eq!((found.mode, found.list), (0o640, Some(List::Posix)));
        assert!(found.to_string().contains("(mode 0640, and an ACL): take the ACL off"), "{found}");
        assert_eq!(exposure(&file, Danger::Replace).unwrap(), None, "it may be read, not changed");
    }
}

#[test]
fn a_plain_mode_is_told_with_the_plain_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let file = owner_only().create_new(true).open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let told = exposure(&file, Danger::Use).unwrap().unwrap().to_string();
    assert_eq!(told, "(mode 0644): run chmod 600 on it");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let opened = File::open(folder.path()).unwrap();
    assert_eq!(
        exposure(&opened, Danger::Replace).unwrap().unwrap().to_string(),
        "(mode 0777): run chmod 700 on it"
    );
}
