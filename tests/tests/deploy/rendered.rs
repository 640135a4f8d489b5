//! The catalogue's template, rendered with each file of test values and compared with what was looked at and kept. After a
//! change that is meant: `UPDATE_RENDERED=1 cargo nextest run -p rehearsekit-tests --test deploy rendered`, and look at
//! each file.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{entry, library, names, text, top, yaml};

/// Where the rendered files are kept: beside the entry, since it is none of its parts.
pub(crate) fn kept() -> PathBuf {
    top().join("deploy/truenas/catalogue/rendered")
}

/// Fixed values and answers, laid over one another as the catalogue does.
fn values(answers: &str) -> Value {
    let mut values = yaml(&entry().join("ix_values.yaml"));
    let answers = yaml(&entry().join("templates/test_values").join(format!("{answers}.yaml")));
    values.as_object_mut().unwrap().extend(answers.as_object().unwrap().clone());
    values
}

fn template() -> String {
    text(&entry().join("templates/docker-compose.yaml"))
}

#[test]
fn the_template_makes_what_was_looked_at() {
    let folder = entry().join("templates/test_values");
    for name in names(&folder, ".yaml") {
        let rendered = library::render(&template(), &values(&name)).unwrap();
        let path = kept().join(format!("{name}.json"));
        if std::env::var_os("UPDATE_RENDERED").is_some() {
            fs::create_dir_all(kept()).unwrap();
            fs::write(&path, serde_json::to_string_pretty(&rendered).unwrap() + "\n").unwrap();
        }
        let before: Value = serde_json::from_str(&text(&path)).unwrap();
        assert_eq!(rendered, before, "{name}");
    }
    assert_eq!(names(&kept(), ".json"), names(&folder, ".yaml"));
}

#[test]
fn what_the_template_must_not_do_is_refused() {
    let render = |from: &str, to: &str| {
        assert!(template().contains(from), "{from} is not there any more: choose another mistake");
        library::render(&template().replacen(from, to, 1), &values("basic-values")).unwrap_err()
    };
    for (from, to, told) in [
        ("c1.set_read_only(true)", "c1.set_readonly(true)", "has no set_readonly"),
        ("values.rehearsekit.max_sessions", "values.rehearsekit.sessions", "undefined"),
        ("\"REHEARSEKIT_HTTP\"", "\"REHEARSEKIT_LISTEN\"", "REHEARSEKIT_LISTEN is set twice"),
        ("values.storage.data)", "values.storage)", "cannot mount"),
    ] {
        let error = render(from, to);
        assert!(error.contains(told), "{from} → {to}: {error}");
    }
    // The catalogue's people keep warnings for what somebody has to do something about.
    assert!(!template().contains("add_warning"));
    let mut without = values("basic-values");
    without["images"].as_object_mut().unwrap().remove("container_utils_image");
    assert!(library::render(&template(), &without).unwrap_err().contains("no image container_utils_image"));
}

/// What the tests of the catalogue cannot try, since it would be mounted there.
#[test]
fn shares_of_other_machines_are_mounted_and_networks_joined() {
    let mut values = values("bridge-values");
    values["storage"]["additional_storage"] = serde_json::json!([
        { "type": "nfs", "mount_path": "/data/songs", "read_only": true,
          "nfs_config": { "server": "10.0.0.2", "path": "/mnt/tank/songs" } },
        { "type": "cifs", "mount_path": "/data/more",
          "cifs_config": { "server": "10.0.0.3", "path": "songs", "username": "band", "password": "x" } },
    ]);
    values["network"]["networks"] = serde_json::json!([
        { "name": "proxy", "containers": [{ "name": "rehearsekit", "config": { "aliases": ["stems"] } }] }]);
    let made = library::render(&template(), &values).unwrap();
    let service = &made["services"]["rehearsekit"];
    let targets: Vec<&str> = service["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|volume| volume["target"].as_str())
        .collect();
    assert_eq!(targets, ["/data", "/data/songs", "/data/more"]);
    assert_eq!(made["volumes"].as_object().unwrap().len(), 2);
    assert_eq!(service["networks"]["proxy"]["aliases"][0], "stems");
}

#[test]
fn the_notes_name_the_container_by_what_the_app_was_called() {
    let mut values = values("basic-values");
    let notes = |values: &Value| {
        library::render(&template(), values).unwrap()["x-notes"].as_str().unwrap().to_owned()
    };
    assert!(notes(&values).contains("docker exec -it ix-rehearsekit-rehearsekit-1 rehearsekit pair"));
    values["ix_context"] = serde_json::json!({ "app_name": "closet-stems" });
    assert!(notes(&values).contains("docker exec -it ix-closet-stems-rehearsekit-1 rehearsekit pair"));
}

#[test]
fn a_card_without_a_uuid_is_refused_before_docker_is_asked() {
    let mut values = values("nvidia-values");
    let card = |uuid: &str| serde_json::json!({ "use_all_gpus": false, "nvidia_gpu_selection": { "0000:01:00.0": { "use_gpu": true, "uuid": uuid } } });
    values["resources"]["gpus"] = card("");
    assert!(library::render(&template(), &values).unwrap_err().contains("no uuid"));
    values["resources"]["gpus"] = card("GPU-1");
    let made = library::render(&template(), &values).unwrap();
    let cards = &made["services"]["rehearsekit"]["deploy"]["resources"]["reservations"]["devices"][0];
    assert_eq!(cards["device_ids"][0], "GPU-1");
}
