//! What the standalone remembers from one evening to the next, as a project does for a plugin: settings, look and
//! parameters, in one file of the user's. What cannot be read is left aside: it is no reason not to play. What this
//! version does not understand is written back as it was; a file that is none of ours is never replaced.

use std::path::{Path, PathBuf};

use rehearsekit_plugin::host_compat::{normalized, set_by_hand};
use rehearsekit_plugin::kept::{self, Kept, Object};
use rehearsekit_plugin::look::Look;
use rehearsekit_plugin::shared::Shared;
use rehearsekit_plugin_engine::{Settings, config_dir};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// What the file had in it that this version does not understand; see [`keep`].
#[derive(Debug, Default)]
pub(crate) struct NotUnderstood {
    outside: Kept,
    settings: Kept,
    look: Kept,
    parameters: Kept,
    /// A sentence about a file that is there and is no memory at all.
    pub(crate) foreign: Option<String>,
}

/// Where it is kept; `None` where the system names no place.
pub(crate) fn path() -> Option<PathBuf> {
    Some(config_dir()?.join("standalone.json"))
}

/// Sets everything as it was left, and gives what was not understood.
pub(crate) fn recall(shared: &Shared, path: &Path) -> NotUnderstood {
    match read(path) {
        Ok(Some(memory)) => set(shared, memory),
        Ok(None) => NotUnderstood::default(),
        Err(problem) => NotUnderstood { foreign: Some(problem), ..NotUnderstood::default() },
    }
}

/// What the file holds; `None` if there is none yet.
fn read(path: &Path) -> Result<Option<Object>, String> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let aside = |why: String| format!("{} is not understood and left aside: {why}", path.display());
    match kept::parse(&text).map_err(aside)? {
        Value::Object(memory) => Ok(Some(memory)),
        _ => Err(aside("it is no object".to_owned())),
    }
}

fn set(shared: &Shared, mut memory: Object) -> NotUnderstood {
    let (settings, unread_settings) = part::<Settings>(&mut memory, "settings");
    if let Some(settings) = settings {
        shared.change_settings(|now| *now = settings);
    }
    let (look, unread_look) = part::<Look>(&mut memory, "look");
    if let Some(look) = look {
        shared.params.look.change(|now| *now = look);
    }
    let mut unread_parameters = match memory.remove("parameters") {
        Some(Value::Object(parameters)) => parameters,
        Some(other) => {
            memory.insert("parameters".to_owned(), other);
            Object::new()
        }
        None => Object::new(),
    };
    for (index, id) in shared.params_by_id().iter().enumerate() {
        match unread_parameters.get(id) {
            // The nearest in 0..=1.
            Some(Value::Number(value)) => {
                set_by_hand(shared, index, value.as_f64().unwrap_or(f64::NAN) as f32);
            }
            Some(Value::Null) | None => {}
            Some(_) => continue,
        }
        unread_parameters.remove(id);
    }
    let saved = memory_of(shared);
    let inside = |key: &str| saved[key].as_object().cloned().unwrap_or_default();
    NotUnderstood {
        outside: Kept::new(memory, &saved),
        settings: Kept::new(unread_settings, &inside("settings")),
        look: Kept::new(unread_look, &inside("look")),
        parameters: Kept::new(unread_parameters, &inside("parameters")),
        foreign: None,
    }
}

/// Takes one part out and reads what can be read of it; one that is no object stays where it is.
fn part<T: Default + Serialize + DeserializeOwned>(memory: &mut Object, key: &str) -> (Option<T>, Object) {
    match memory.remove(key) {
        Some(Value::Object(object)) => {
            let (part, unread) = kept::read(&object);
            (Some(part), unread)
        }
        Some(other) if !other.is_null() => {
            memory.insert(key.to_owned(), other);
            (None, Object::new())
        }
        _ => (None, Object::new()),
    }
}

fn memory_of(shared: &Shared) -> Object {
    let parameters = shared.params_by_id().iter().enumerate();
    let parameters: Object =
        parameters.map(|(index, id)| (id.clone(), json!(normalized(shared, index)))).collect();
    Object::from_iter([
        ("settings".to_owned(), kept::to_object(&shared.instance.settings()).into()),
        ("look".to_owned(), kept::to_object(&shared.params.look.get()).into()),
        ("parameters".to_owned(), parameters.into()),
    ])
}

/// Writes down how everything is, and what was not understood as it was.
///
/// # Errors
/// A sentence about a file that cannot be written, or that is none of ours.
pub(crate) fn keep(shared: &Shared, path: &Path, not_understood: &NotUnderstood) -> Result<(), String> {
    let not_kept = |why: String| format!("what was set could not be kept in {}: {why}", path.display());
    if not_understood.foreign.is_some() {
        return Err(not_kept("it is not understood; move it away".to_owned()));
    }
    let mut memory = memory_of(shared);
    let parts = [
        ("settings", &not_understood.settings),
        ("look", &not_understood.look),
        ("parameters", &not_understood.parameters),
    ];
    for (key, kept) in parts {
        if let Some(Value::Object(part)) = memory.get_mut(key) {
            kept.put_back(part);
        }
    }
    not_understood.outside.put_back(&mut memory);
    let write = || -> Result<(), Box<dyn std::error::Error>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Beside it first: a half-written file would forget everything.
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_string_pretty(&memory)?)?;
        Ok(std::fs::rename(&beside, path)?)
    };
    write().map_err(|error| not_kept(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_as_it_was_left_and_nonsense_is_left_aside() {
        let folder = std::env::temp_dir().join(format!("rehearsekit-memory-{}", std::process::id()));
        let path = folder.join("deep").join("standalone.json");
        let before = Shared::default();
        let nothing = recall(&before, &path);
        before.change_settings(|settings| {
            settings.server = Some("closet:7433".to_owned());
            settings.count_in_bars = 2;
        });
        before.params.look.change(|look| (look.size, look.large_type) = ([1000.0, 700.0], true));
        set_by_hand(&before, 2, 1.0);
        keep(&before, &path, &nothing).unwrap();

        let after = Shared::default();
        recall(&after, &path);
        assert_eq!(after.instance.settings(), before.instance.settings());
        assert_eq!(after.params.look.get(), before.params.look.get());
        assert!(after.params.vocals.mute.value());

        let other = Shared::default();
        std::fs::write(&path, "what?").unwrap();
        let not_understood = recall(&other, &path);
        assert!(not_understood.foreign.as_ref().is_some_and(|told| told.contains("standalone.json")));
        let refused = keep(&other, &path, &not_understood).unwrap_err();
        assert!(refused.contains("standalone.json") && refused.contains("move it away"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "what?", "somebody else's file stays");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_later_version_left_is_kept_and_what_is_out_of_range_is_not() {
        let folder = std::env::temp_dir().join(format!("rehearsekit-later-{}", std::process::id()));
        let path = folder.join("standalone.json");
        std::fs::create_dir_all(&folder).unwrap();
        let left = json!({
            "settings": {"budget_millis": 1e39, "server": "closet", "trust": {"later": 1}, "new": [1]},
            "look": {"size": "huge", "large_type": true},
            "parameters": {"vocals_mute": 7, "vocals_gain": "loud", "vocals_pan": null, "reverb": 0.5},
            "songs": ["a.flac"],
        });
        std::fs::write(&path, left.to_string()).unwrap();
        let shared = Shared::default();
        let not_understood = recall(&shared, &path);
        let settings = shared.instance.settings();
        assert_eq!((settings.budget_millis, settings.server.as_deref()), (20_000.0, Some("closet")));
        assert!(shared.params.look.get().large_type && shared.params.vocals.mute.value());
        keep(&shared, &path, &not_understood).unwrap();
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for (part, key) in [
            ("settings", "trust"),
            ("settings", "new"),
            ("look", "size"),
            ("parameters", "vocals_gain"),
            ("parameters", "reverb"),
        ] {
            assert_eq!(kept[part][key], left[part][key], "{part} {key}");
        }
        assert_eq!(kept["songs"], left["songs"]);
        assert_eq!(
            (&kept["parameters"]["vocals_mute"], &kept["parameters"]["vocals_pan"]),
            (&json!(1.0), &json!(0.5))
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
