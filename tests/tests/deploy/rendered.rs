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
    let mut without = values("basic-values");
    without["images"].as_object_mut().unwrap().remove("container_utils_image");
    assert!(library::render(&template(), &without).unwrap_err().contains("no image container_utils_image"));
}
