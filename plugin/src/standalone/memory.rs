//! What the standalone remembers from one evening to the next, as a project does for a plugin: settings, look and
//! parameters, and the songs that were open, in one file of the user's. What cannot be read is left aside: it is no reason not to play.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nice_plug::prelude::Params;
use rehearsekit_plugin::host_compat::{normalized, set_by_hand};
use rehearsekit_plugin::shared::Shared;
use rehearsekit_plugin_engine::config_dir;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::recent::Recent;

/// Where it is kept; `None` where the system names no place.
pub(crate) fn path() -> Option<PathBuf> {
    Some(config_dir()?.join("standalone.json"))
}

/// Sets everything as it was left, and gives the songs that were open. Each part stands for itself: one that is not
/// understood is left aside, and the others are not lost with it.
///
/// # Errors
/// A sentence about a file that is there and cannot be understood at all.
pub(super) fn recall(shared: &Shared, path: &Path) -> Result<Recent, String> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Recent::default()),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let memory: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not understood and left aside: {error}", path.display()))?;
    if let Some(settings) = part(&memory, "settings") {
        shared.change_settings(|now| *now = settings);
    }
    if let Some(look) = part(&memory, "look") {
        shared.params.look.change(|now| *now = look);
    }
    for (index, id) in identifiers(shared).iter().enumerate() {
        let value = memory.get("parameters").and_then(|all| all.get(id)).and_then(Value::as_f64);
        if let Some(value) = value.filter(|value| (0.0..=1.0).contains(value)) {
            set_by_hand(shared, index, value as f32);
        }
    }
    let songs = memory.get("songs").and_then(Value::as_array).into_iter().flatten();
    Ok(Recent::of(songs.filter_map(Value::as_str).map(PathBuf::from)))
}

/// One part of it, if it is there and understood.
fn part<T: DeserializeOwned>(memory: &Map<String, Value>, name: &str) -> Option<T> {
    let value = memory.get(name).filter(|value| !value.is_null())?;
    let read = serde_json::from_value(value.clone());
    read.inspect_err(|error| tracing::warn!("the {name} that were kept are not understood: {error}")).ok()
}

/// Writes down how everything is. A path that is no Unicode cannot be written as text, and is not.
///
/// # Errors
/// A sentence about a file that cannot be written.
pub(super) fn keep(shared: &Shared, recent: &Recent, path: &Path) -> Result<(), String> {
    /// Songs are opened on threads of their own, and each opened one is kept.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _writing = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let parameters = identifiers(shared).into_iter().enumerate();
    let parameters: BTreeMap<String, f32> =
        parameters.map(|(index, id)| (id, normalized(shared, index))).collect();
    let songs: Vec<&str> = recent.paths().iter().filter_map(|path| path.to_str()).collect();
    let memory = json!({
        "settings": shared.instance.settings(),
        "look": shared.params.look.get(),
        "parameters": parameters,
        "songs": songs,
    });
    let write = || -> Result<(), Box<dyn std::error::Error>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Beside it first: a half-written file would forget everything.
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_string_pretty(&memory)?)?;
        Ok(std::fs::rename(&beside, path)?)
    };
    write().map_err(|error| format!("what was set could not be kept in {}: {error}", path.display()))
}

fn identifiers(shared: &Shared) -> Vec<String> {
    shared.params.param_map().into_iter().map(|(id, ..)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_as_it_was_left_and_nonsense_is_left_aside() {
        let folder = std::env::temp_dir().join(format!("rehearsekit-memory-{}", std::process::id()));
        let path = folder.join("deep").join("standalone.json");
        let before = Shared::default();
        assert_eq!(recall(&before, &path).unwrap(), Recent::default());
        before.change_settings(|settings| {
            settings.server = Some("closet:7433".to_owned());
            settings.count_in_bars = 2;
        });
        before.params.look.change(|look| (look.size, look.large_type) = ([1000.0, 700.0], true));
        set_by_hand(&before, 2, 1.0);
        let songs = Recent::of(["/songs/ä b.opus", "/songs/old.mp3"].map(PathBuf::from));
        keep(&before, &songs, &path).unwrap();

        let after = Shared::default();
        assert_eq!(recall(&after, &path).unwrap(), songs);
        assert_eq!(after.instance.settings(), before.instance.settings());
        assert_eq!(after.params.look.get(), before.params.look.get());
        assert!(after.params.vocals.mute.value());

        std::fs::write(&path, "{\"parameters\": {\"vocals_mute\": 7, \"gone\": 1}}").unwrap();
        let other = Shared::default();
        recall(&other, &path).unwrap();
        assert!(!other.params.vocals.mute.value());
        // A later version's file: what is not understood takes nothing else with it.
        let odd = r#"{"settings": {"budget_millis": {}}, "look": 7, "parameters": {"vocals_mute": 1.0, "drums_mute": []},
            "songs": ["/a.mp3", 5, "b.mp3", "/a.mp3", null], "later": {}}"#;
        std::fs::write(&path, odd).unwrap();
        let later = Shared::default();
        assert_eq!(recall(&later, &path).unwrap().paths(), [PathBuf::from("/a.mp3")]);
        assert!(later.params.vocals.mute.value());
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/songs/\xff.mp3"));
            keep(&later, &Recent::of([odd, PathBuf::from("/b.mp3")]), &path).unwrap();
            assert_eq!(recall(&later, &path).unwrap().paths(), [PathBuf::from("/b.mp3")]);
        }
        std::fs::write(&path, "what?").unwrap();
        let refused = recall(&other, &path).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(refused.contains("standalone.json"), "{refused}");
    }
}
