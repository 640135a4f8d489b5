//! The system's own window to choose a file in: on Linux the desktop's portal, without it zenity, without that none.

use std::path::{Path, PathBuf};

/// What is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Song,
    Click,
}

/// Endings of songs, for the list that the window shows first; the other is all files.
const SONGS: [&str; 16] = [
    "wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "mp4", "aac", "aif", "aiff", "caf", "mka", "mkv",
    "webm", "wma",
];

/// A bus that is silent for so long is none.
#[cfg(target_os = "linux")]
const BUS_ANSWERS_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Shows the window and waits for the player: on a thread of its own. `None` where nothing was chosen.
pub(super) fn choose(what: What, folder: Option<&Path>) -> Option<PathBuf> {
    let dialog = match what {
        What::Song => rfd::FileDialog::new().set_title("Open a song").add_filter("Songs", &SONGS),
        What::Click => rfd::FileDialog::new().set_title("A sound to click with").add_filter("WAV", &["wav"]),
    };
    let dialog = dialog.add_filter("All files", &["*"]);
    let dialog = match folder {
        Some(folder) => dialog.set_directory(folder),
        None => dialog,
    };
    dialog.pick_file()
}

/// Whether there is one. Asks the desktop's bus, so on a thread of its own.
#[cfg(target_os = "linux")]
pub(super) fn is_there() -> bool {
    has_portal() || on_path("zenity")
}

/// Whether there is one: the system's own.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_there() -> bool {
    true
}

#[cfg(target_os = "linux")]
fn has_portal() -> bool {
    const PORTAL: &str = "org.freedesktop.portal.Desktop";
    ["ListNames", "ListActivatableNames"].iter().any(|question| {
        names_on_the_bus(question).is_some_and(|names| names.iter().any(|name| name == PORTAL))
    })
}

/// Names on the desktop's bus: `ListNames` of those that are there, `ListActivatableNames` of those that would come.
/// `None` without a bus. Waits for it, so not on the window's thread.
#[cfg(target_os = "linux")]
pub(super) fn names_on_the_bus(question: &str) -> Option<Vec<String>> {
    let bus = dbus::blocking::Connection::new_session().ok()?;
    let daemon = bus.with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", BUS_ANSWERS_WITHIN);
    let names: Result<(Vec<String>,), _> = daemon.method_call("org.freedesktop.DBus", question, ());
    names.ok().map(|(names,)| names)
}

#[cfg(target_os = "linux")]
fn on_path(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
