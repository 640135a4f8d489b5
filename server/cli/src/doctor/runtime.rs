//! ONNX Runtime: which one would be loaded, and whether it is the right one. It is really loaded.

use std::path::Path;

use rehearsekit_media::place::shown;
use rehearsekit_models::{
    fetch::{
        FetchError,
        runtime::{OVERRIDE, installed_runtime, needed_version, stored_versions},
    },
    runtime::{Runtime, RuntimeError},
};

use serde_json::json;

use super::finding::{Finding, Trouble};
use crate::output;

const CHECK: &str = "onnx runtime";
const GET_IT: &str = "rehearsekit models pull of any model brings the right one, and so does a file made by models export on a \
                      machine of the same kind";

pub(crate) fn examine(data: &Path) -> Finding {
    let library = match installed_runtime(data) {
        Ok(Some(library)) => library,
        Ok(None) => return missing(data),
        Err(error @ FetchError::WrongHash { .. }) => {
            let told = format!("{error}: delete its folder; then {GET_IT}");
            return Finding::failed(CHECK, Trouble::RuntimeDamaged, told);
        }
        Err(error) => return Finding::failed(CHECK, Trouble::RuntimeMissing, error.to_string()),
    };
    match Runtime::load(&library) {
        Ok(runtime) => {
            // What lies in the data folder was told by its checksum.
            let version = match needed_version().filter(|_| library.starts_with(data)) {
                Some(version) => format!("version {version}"),
                None => format!("named by {OVERRIDE}"),
            };
            let mut facts = json!({ "about": runtime.about() });
            output::put_path(&mut facts, "library", &library);
            Finding::good(CHECK, format!("{version}, {}", shown(&library))).with(facts)
        }
        Err(error @ RuntimeError::Version { .. }) => {
            Finding::failed(CHECK, Trouble::RuntimeVersion, error.to_string())
        }
        Err(error) => Finding::failed(CHECK, Trouble::RuntimeDamaged, error.to_string()),
    }
}

fn missing(data: &Path) -> Finding {
    let needed = needed_version().unwrap_or_else(|| "another".to_owned());
    let found = stored_versions(data);
    if found.is_empty() {
        let told = format!("ONNX Runtime is not here: {GET_IT}; {OVERRIDE} may name one of your own");
        return Finding::failed(CHECK, Trouble::RuntimeMissing, told);
    }
    let found = found.join(", ");
    let told = format!(
        "the data folder holds ONNX Runtime {found}, but this version of rehearsekit needs {needed}: {GET_IT}"
    );
    Finding::failed(CHECK, Trouble::RuntimeVersion, told)
}
