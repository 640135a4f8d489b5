//! The form of the catalogue's entry. What the catalogue's own validator would say besides is written down in
//! `deploy/truenas/catalogue/README.md`.

use serde_json::Value;

use crate::{entry, names, parse, questions, text, top, version, yaml};

/// What the catalogue asks of `app.yaml`, and of what kind it is.
const APP: &[questions::Fits] = &[
    ("app_version", Value::is_string),
    ("capabilities", Value::is_array),
    ("categories", Value::is_array),
    ("date_added", Value::is_string),
    ("description", Value::is_string),
    ("home", Value::is_string),
    ("host_mounts", Value::is_array),
    ("icon", Value::is_string),
    ("keywords", Value::is_array),
    ("lib_version", Value::is_string),
    ("lib_version_hash", Value::is_string),
    ("maintainers", Value::is_array),
    ("name", Value::is_string),
    ("run_as_context", Value::is_array),
    ("screenshots", Value::is_array),
    ("sources", Value::is_array),
    ("title", Value::is_string),
    ("train", Value::is_string),
    ("version", Value::is_string),
];

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn app_complaints(app: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, fits) in APP {
        if !app.get(key).is_some_and(fits) {
            wrong.push(format!("app.yaml: {key} is missing or of another kind"));
        }
    }
    let known: Vec<&str> = APP.iter().map(|(key, _)| *key).chain(["annotations", "changelog_url"]).collect();
    wrong.extend(app.as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())).cloned());
    for key in ["version", "lib_version", "app_version"] {
        if !app[key].as_str().is_some_and(is_version) {
            wrong.push(format!("app.yaml: {key} is no version"));
        }
    }
    let minimum = &app["annotations"]["min_scale_version"];
    if !minimum.as_str().is_some_and(|text| text.split('.').all(|part| part.parse::<u32>().is_ok())) {
        wrong.push("app.yaml: min_scale_version is no version".to_owned());
    }
    // Their schema wants this of the date, though it takes no month or day that ends in 0.
    let date = app["date_added"].as_str().unwrap_or("");
    let fits = |at: usize, range: std::ops::RangeInclusive<char>| {
        date.chars().nth(at).is_some_and(|digit| range.contains(&digit))
    };
    if date.len() != 10 || !date.starts_with("20") || !fits(6, '1'..='9') || !fits(9, '1'..='9') {
        wrong.push(format!("app.yaml: date_added {date} is not taken"));
    }
    for someone in app["maintainers"].as_array().unwrap() {
        if !someone["name"].is_string() || !someone["email"].is_string() {
            wrong.push("app.yaml: a maintainer needs a name and an address".to_owned());
        }
    }
    for context in app["run_as_context"].as_array().unwrap() {
        if !context["description"].is_string() || !context["uid"].is_u64() || !context["gid"].is_u64() {
            wrong.push("app.yaml: run_as_context needs a description, a uid and a gid".to_owned());
        }
    }
    wrong
}

#[test]
fn the_entry_has_what_the_catalogue_asks_for() {
    let app = yaml(&entry().join("app.yaml"));
    assert_eq!(app_complaints(&app), Vec::<String>::new());
    assert_eq!(app["name"], "rehearsekit", "the folder's name");
    assert_eq!(app["app_version"], version());
    assert_eq!(app["run_as_context"][0]["uid"], 568);
    assert_eq!(app["capabilities"], Value::Array(Vec::new()), "it needs none");
    // The newest of their library, since they keep one at a time; both as in other apps of that day.
    assert_eq!(app["lib_version"], "2.3.11");
    assert!(app["lib_version_hash"].as_str().is_some_and(|hash| hash.len() == 64));
    for page in ["home", "changelog_url"] {
        assert!(app[page].as_str().is_some_and(|page| page.starts_with("https://github.com/")), "{page}");
    }
    let media = "https://media.sys.truenas.net/apps/rehearsekit/icons/";
    assert!(app["icon"].as_str().is_some_and(|icon| icon.starts_with(media)), "their own server has it");
    assert!(app["sources"].as_array().is_some_and(|sources| sources.len() >= 2));
    let item = yaml(&entry().join("item.yaml"));
    for (of_item, of_app) in [("categories", "categories"), ("icon_url", "icon"), ("tags", "keywords")] {
        assert_eq!(item[of_item], app[of_app], "{of_item}: their script makes item.yaml of app.yaml");
    }
    for file in ["README.md", "questions.yaml", "ix_values.yaml", "templates/docker-compose.yaml"] {
        assert!(entry().join(file).is_file(), "{file}");
    }
}

#[test]
fn every_question_is_whole() {
    assert_eq!(questions::complaints(&yaml(&entry().join("questions.yaml"))), Vec::<String>::new());
}

/// A mistake in the real files, and the words with which it must be found.
#[test]
fn mistakes_in_the_questions_are_found() {
    let whole = text(&entry().join("questions.yaml"));
    for (from, to, told) in [
        ("group: Storage Configuration", "group: Storage", "there is no group Some(\"Storage\")"),
        ("  - name: Labels Configuration", "  - name: Labels", "group Labels is empty"),
        ("- variable: http_hosts", "- variable: server_name", "rehearsekit.server_name is there twice"),
        ("          label: Players\n", "", "rehearsekit.max_sessions has no label"),
        ("default: 7433", "default: 74330", "link_port.port_number: 74330 is too large"),
        ("default: 16\n", "default: 0\n", "max_sessions: 0 is too small"),
        ("default: 16\n", "default: many\n", "the default \"many\" is no int"),
        ("default: \"image\"", "default: \"picture\"", "\"picture\" is none of the choices"),
        ("show_if: [[\"type\"", "show_if: [[\"kind\"", "names nothing beside it"),
        ("type: hostpath", "type: folder", "there is no type \"folder\""),
        ("gpu_configuration\"\n            attrs: []\n", "gpu\"\n", "resources.gpus: a dict needs attrs"),
    ] {
        assert!(whole.contains(from), "{from} is not there any more: choose another mistake");
        let complaints = questions::complaints(&parse(&whole.replacen(from, to, 1)).unwrap());
        assert!(complaints.iter().any(|complaint| complaint.contains(told)), "{told}: {complaints:?}");
    }
    assert!(parse("a: 1\na: 2\n").is_err(), "a key that is there twice");
}

#[test]
fn mistakes_in_the_app_file_are_found() {
    let whole = text(&entry().join("app.yaml"));
    for (from, to) in [
        ("title: RehearseKit\n", ""),
        ("version: 1.0.0", "version: one"),
        ("'2026-11-26'", "'2026-10-26'"),
        ("'2026-11-26'", "'26.11.2026'"),
        ("min_scale_version: 25.04.0", "min_scale_version: soon"),
        ("  uid: 568\n", ""),
        ("- email: dev@truenas.com\n  name: truenas", "- name: truenas"),
        ("home: https", "hom: https"),
        ("train: community", "train: 1"),
    ] {
        assert!(whole.contains(from), "{from} is not there any more: choose another mistake");
        let complaints = app_complaints(&parse(&whole.replacen(from, to, 1)).unwrap());
        assert!(!complaints.is_empty(), "{from} → {to}");
    }
}

/// All `values.a.b` of the template.
fn used(template: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let found = template.match_indices("values.").filter(|(at, _)| {
        let before = template[..*at].chars().next_back();
        !before.is_some_and(|c| is_part(c) || c == '/')
    });
    let mut used: Vec<String> = found
        .map(|(at, word)| template[at + word.len()..].chars().take_while(|c| is_part(*c)).collect())
        .collect();
    used.sort();
    used.dedup();
    used
}

/// Answers that the library reads by itself.
const READ_BY_THE_LIBRARY: &[&str] =
    &["TZ", "resources.", "labels", "network.host_network", "network.networks"];
/// What the system says of the app besides the answers.
const BY_THE_SYSTEM: &str = "ix_context";

#[test]
fn the_template_uses_what_is_asked_and_nothing_else() {
    let file = yaml(&entry().join("questions.yaml"));
    let fixed = yaml(&entry().join("ix_values.yaml"));
    let used = used(&text(&entry().join("templates/docker-compose.yaml")));
    assert!(used.contains(&"consts.data_path".to_owned()) && used.len() > 10, "{used:?}");
    for name in &used {
        let constant = fixed.pointer(&format!("/{}", name.replace('.', "/")));
        assert!(
            constant.is_some() || name == BY_THE_SYSTEM || questions::find(&file, name).is_some(),
            "nobody says what values.{name} is"
        );
    }
    for name in questions::leaves(&file) {
        let covered = used.iter().any(|word| name == *word || name.starts_with(&format!("{word}.")));
        let library = READ_BY_THE_LIBRARY.iter().any(|known| name.starts_with(known));
        assert!(covered || library, "{name} is asked for and not used");
    }
    for constant in fixed["consts"].as_object().unwrap().keys() {
        assert!(used.contains(&format!("consts.{constant}")), "{constant} is not used");
    }
}

#[test]
fn the_images_are_there_to_choose_and_of_this_version() {
    let images = yaml(&entry().join("ix_values.yaml"))["images"].clone();
    let file = yaml(&entry().join("questions.yaml"));
    let choices = questions::find(&file, "rehearsekit.image_selector").unwrap()["enum"].clone();
    for choice in choices.as_array().unwrap() {
        let image = &images[choice["value"].as_str().unwrap()];
        let tag = image["tag"].as_str().unwrap();
        assert!(image["repository"].is_string() && tag.starts_with(version()), "{choice}: {image}");
    }
    for (name, image) in images.as_object().unwrap() {
        assert!(name.ends_with("image"), "{name}: their tools find images by this end of the name");
        assert!(image["tag"].is_string(), "{name}");
    }
}

/// What their reviewers look for in every app that can have it.
#[test]
fn what_every_app_asks_is_asked() {
    let file = yaml(&entry().join("questions.yaml"));
    assert_eq!(questions::find(&file, "TZ").unwrap()["$ref"][0], "definitions/timezone");
    assert!(questions::find(&file, "network.networks").is_some());
    let kinds =
        &questions::find(&file, "storage.additional_storage").unwrap()["items"][0]["schema"]["attrs"][0];
    let kinds: Vec<&str> =
        kinds["schema"]["enum"].as_array().unwrap().iter().filter_map(|one| one["value"].as_str()).collect();
    assert_eq!(kinds, ["host_path", "ix_volume", "cifs", "nfs"]);
    // The next that were free when it was written; their script says which are then.
    let port = questions::find(&file, "network.web_port.port_number").unwrap()["default"].as_u64().unwrap();
    assert!((30477..=30481).contains(&port), "{port}");
}

#[test]
fn test_values_are_answers_to_the_questions() {
    let file = yaml(&entry().join("questions.yaml"));
    let folder = entry().join("templates/test_values");
    for name in names(&folder, ".yaml") {
        let answers = yaml(&folder.join(format!("{name}.yaml")));
        assert_eq!(questions::misfits(&file, &answers, &["ix_volumes"]), Vec::<String>::new(), "{name}");
        // Their script writes one run_as_context for all of them, and their machine has no card.
        let context = &yaml(&entry().join("app.yaml"))["run_as_context"][0];
        assert_eq!(
            (&answers["run_as"]["user"], &answers["run_as"]["group"]),
            (&context["uid"], &context["gid"])
        );
        assert!(answers["resources"].get("gpus").is_none(), "{name}: it is started where there is no card");
    }
    let wrong =
        parse("rehearsekit: {max_session: 3}\nnetwork: {host_network: 1}\nrun_as: {user: 0}\n").unwrap();
    assert_eq!(questions::misfits(&file, &wrong, &[]).len(), 3);
    assert!(top().join("deploy/truenas/catalogue/README.md").is_file());
}
