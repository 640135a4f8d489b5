//! What the standalone remembers from one evening to the next, as a project does for a plugin: settings, look and
//! parameters, in one file of the user's. What cannot be read is left aside: it is no reason not to play.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nice_plug::prelude::Params;
use rehearsekit_plugin::host_compat::{normalized, set_by_hand};
use rehearsekit_plugin::look::Look;
use rehearsekit_plugin::shared::Shared;
use rehearsekit_plugin_engine::{Settings, config_dir};
use serde::{Deserialize, Serialize};

/// The file's content.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    settings: Option<Settings>,
    look: Option<Look>,
    /// In 0..=1, by identifier.
    parameters: BTreeMap<String, f32>,
}

/// Where it is kept; `None` where the system names no place.
pub(crate) fn path() -> Option<PathBuf> {
    Some(config_dir()?.join("standalone.json"))
}

/// Sets everything as it was left.
///
/// # Errors
/// A sentence about a file that is there and cannot be understood.
pub(crate) fn recall(shared: &Shared, path: &Path) -> Result<(), String> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let memory: Memory = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not understood and left aside: {error}", path.display()))?;
    if let Some(settings) = memory.settings {
        shared.change_settings(|now| *now = settings);
    }
    if let Some(look) = memory.look {
        shared.params.look.change(|now| *now = look);
    }
    for (index, id) in identifiers(shared).iter().enumerate() {
        if let Some(value) = memory.parameters.get(id).filter(|value| (0.0..=1.0).contains(*value)) {
            set_by_hand(shared, index, *value);
        }
    }
    Ok(())
}

/// Writes down how everything is.
///
/// # Errors
/// A sentence about a file that cannot be written.
pub(crate) fn keep(shared: &Shared, path: &Path) -> Result<(), String> {
    let parameters = identifiers(shared).into_iter().enumerate();
    let memory = Memory {
        settings: Some(shared.instance.settings()),
        look: Some(shared.params.look.get()),
        parameters: parameters.map(|(index, id)| (id, normalized(shared, index))).collect(),
    };
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
        recall(&before, &path).unwrap();
        before.change_settings(|settings| {
            settings.server = Some("closet:7433".to_owned());
            settings.count_in_bars = 2;
        });
        before.params.look.change(|look| (look.size, look.large_type) = ([1000.0, 700.0], true));
        set_by_hand(&before, 2, 1.0);
        keep(&before, &path).unwrap();

        let after = Shared::default();
        recall(&after, &path).unwrap();
        assert_eq!(after.instance.settings(), before.instance.settings());
        assert_eq!(after.params.look.get(), before.params.look.get());
        assert!(after.params.vocals.mute.value());

        std::fs::write(&path, "{\"parameters\": {\"vocals_mute\": 7, \"gone\": 1}}").unwrap();
        let other = Shared::default();
        recall(&other, &path).unwrap();
        assert!(!other.params.vocals.mute.value());
        std::fs::write(&path, "what?").unwrap();
        let refused = recall(&other, &path).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(refused.contains("standalone.json"), "{refused}");
    }
}
