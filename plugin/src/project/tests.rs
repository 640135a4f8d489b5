//! Projects of other versions, damaged ones and made-up ones.

use proptest::prelude::*;
use rehearsekit_plugin_engine::{PartMode, Trust, click};

use super::*;
use crate::click_params::TEMPO_BPM;
use crate::params::{GAIN_FOOT_DB, GAIN_TOP_DB, PARAM_COUNT};

fn saved(shared: &Shared) -> Value {
    serde_json::from_slice(&save(shared)).unwrap()
}

/// What a project says of the settings or the look.
fn inside(project: &Value, field: &str) -> Value {
    serde_json::from_str(project["fields"][field].as_str().unwrap()).unwrap()
}

fn with_inside(mut project: Value, field: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut value = inside(&project, field);
    change(&mut value);
    project["fields"][field] = json!(value.to_string());
    project
}

fn loaded(project: &Value) -> Shared {
    let shared = Shared::default();
    load(&shared, project.to_string().as_bytes()).unwrap();
    shared
}

#[test]
fn a_project_comes_back_as_it_was_saved() {
    let before = Shared::default();
    for index in 0..PARAM_COUNT {
        values::set(&before, index, index as f32 / PARAM_COUNT as f32);
    }
    before.change_settings(|settings| {
        settings.server = Some("closet:7433".to_owned());
        settings.trust = Trust::Fingerprint("ab".repeat(32));
        settings.budget_millis = 93.4;
    });
    before.params.look.change(|look| look.large_type = true);
    let after = Shared::default();
    load(&after, &save(&before)).unwrap();
    assert_eq!(save(&after), save(&before));
    assert_eq!(after.params.mixer(), before.params.mixer());
    assert_eq!(after.instance.settings(), before.instance.settings());
    assert_eq!(after.params.look.get(), before.params.look.get());
}

#[test]
fn numbers_out_of_range_are_the_nearest_in_force_and_when_saved() {
    let mut project = saved(&Shared::default());
    for (id, value) in [
        ("master_gain", json!({"f32": 60.0})),
        ("vocals_gain", json!({"f32": -1e30})),
        ("vocals_pan", json!({"f32": -0.0})),
        ("click_tempo", json!({"f32": 1e39})),
        ("click_meter", json!({"i32": 2_000_000_000})),
        ("dry_wet", json!({"f32": null})),
        ("drums_pan", json!({"i32": 7})),
    ] {
        project["params"][id] = value;
    }
    let shared = loaded(&project);
    let mixer = shared.params.mixer();
    assert_eq!((mixer.master_db, mixer.strips[0].gain_db), (GAIN_TOP_DB, f32::NEG_INFINITY));
    assert_eq!((mixer.strips[0].pan.to_bits(), mixer.strips[1].pan, mixer.wetness), (0, 1.0, 1.0));
    assert_eq!((mixer.click.own_tempo_bpm, mixer.click.own_beats_per_bar), (400.0, 16));
    let again = saved(&shared);
    assert_eq!(again["params"]["master_gain"], json!({"f32": GAIN_TOP_DB}));
    assert_eq!(again["params"]["vocals_gain"], json!({"f32": GAIN_FOOT_DB}));
    assert_eq!(again["params"]["click_tempo"], json!({"f32": TEMPO_BPM[1]}));
    assert_eq!(again["params"]["dry_wet"], json!({"f32": 1.0}));
    assert_eq!(saved(&loaded(&again)), again);
}

#[test]
fn numbers_that_json_cannot_have_cost_nothing_else() {
    let project = saved(&Shared::default()).to_string();
    for (odd, db) in
        [("NaN", 0.0), ("Infinity", GAIN_TOP_DB), ("-Infinity", GAIN_FOOT_DB), ("1e999", GAIN_TOP_DB)]
    {
        let mended =
            project.replace(r#""master_gain":{"f32":0.0}"#, &format!(r#""master_gain":{{"f32":{odd}}}"#));
        let mended = mended.replace(r#""bypass":{"bool":false}"#, r#""bypass":{"bool":true}"#);
        assert!(mended.contains(odd));
        let shared = Shared::default();
        load(&shared, mended.as_bytes()).unwrap();
        assert_eq!(shared.params.output.master.value(), db, "{odd}");
        assert!(shared.params.bypass.value(), "{odd}");
    }
}

#[test]
fn one_value_of_a_later_kind_costs_no_other_and_is_saved_again() {
    let mut project = with_inside(saved(&Shared::default()), "settings", |settings| {
        settings["server"] = json!("closet");
        settings["model"] = json!("htdemucs");
        settings["budget_millis"] = json!(1500.0);
        settings["trust"] = json!({"later": "x"});
        settings["colour"] = json!([1, 2.5, {"deep": null}]);
    });
    project = with_inside(project, "look", |look| {
        look["size"] = json!("full screen");
        look["scale_percent"] = json!(150);
        look["theme"] = json!("paper");
    });
    project["params"]["click_mode"] = json!({"string": "ramp"});
    project["params"]["click_sound"] = json!({"i32": 99});
    project["params"]["vocals_gain"] = json!({"curve": [0, 1]});
    project["params"]["vocals_mute"] = json!("soft");
    project["params"]["reverb"] = json!({"f32": 0.5});
    project["fields"]["songs"] = json!("[\"a.flac\"]");
    project["made_with"] = json!({"later": 3});

    let shared = loaded(&project);
    let settings = shared.instance.settings();
    assert_eq!((settings.server.as_deref(), settings.model.as_deref()), (Some("closet"), Some("htdemucs")));
    assert_eq!((settings.budget_millis, &settings.trust), (1_500.0, &Trust::Loopback));
    assert_eq!(shared.params.look.get().scale_percent, 150);
    let mixer = shared.params.mixer();
    assert_eq!(
        (mixer.click.mode, mixer.click.sound, mixer.strips[0].gain_db),
        (click::ClickMode::Off, 0, 0.0)
    );

    let again = saved(&shared);
    for id in ["click_mode", "click_sound", "vocals_gain", "vocals_mute", "reverb"] {
        assert_eq!(again["params"][id], project["params"][id], "{id}");
    }
    assert_eq!(inside(&again, "settings"), inside(&project, "settings"));
    assert_eq!(inside(&again, "look"), inside(&project, "look"));
    assert_eq!(
        (&again["fields"]["songs"], &again["made_with"]),
        (&project["fields"]["songs"], &project["made_with"])
    );
    assert_eq!(saved(&loaded(&again)), again);

    // What is changed here is saved as it was changed.
    values::set(&shared, 1, 0.5);
    shared.change_settings(|settings| settings.trust = Trust::Fingerprint("cd".repeat(32)));
    let changed = saved(&shared);
    assert_eq!(changed["params"]["vocals_gain"], json!({"f32": -36.0}));
    assert_eq!(inside(&changed, "settings")["trust"], json!({"fingerprint": "cd".repeat(32)}));
    assert_eq!(inside(&changed, "settings")["colour"], json!([1, 2.5, {"deep": null}]));
    // The next project brings its own.
    load(&shared, &save(&Shared::default())).unwrap();
    assert_eq!(saved(&shared)["made_with"], Value::Null);
}

#[test]
fn a_field_that_is_no_object_is_kept_until_something_in_it_is_changed() {
    for odd in [json!("[]"), json!("nonsense {"), json!(7), json!({"later": true})] {
        let mut project = saved(&Shared::default());
        project["fields"]["settings"] = odd.clone();
        project["params"]["bypass"] = json!({"bool": true});
        let shared = loaded(&project);
        assert!(shared.params.bypass.value());
        assert_eq!(saved(&shared)["fields"]["settings"], odd);
        shared.change_settings(|settings| settings.budget_millis = 100.0);
        assert_eq!(inside(&saved(&shared), "settings")["budget_millis"], json!(100.0));
    }
}

#[test]
fn what_an_older_version_did_not_save_is_what_a_new_instance_has() {
    let mut old = saved(&Shared::default());
    let params = old["params"].as_object_mut().unwrap();
    params.retain(|id, _| !id.starts_with("click_"));
    params.insert("part".to_owned(), json!({"string": "only"}));
    let shared = Shared::default();
    for index in 0..PARAM_COUNT {
        values::set(&shared, index, 1.0);
    }
    load(&shared, old.to_string().as_bytes()).unwrap();
    let mixer = shared.params.mixer();
    assert_eq!(
        (mixer.click.mode, mixer.part, mixer.bypassed),
        (click::ClickMode::Off, PartMode::OnlyMine, false)
    );
}

#[test]
fn what_is_no_project_changes_nothing() {
    let shared = Shared::default();
    values::set(&shared, 0, 1.0);
    shared.change_settings(|settings| settings.budget_millis = 100.0);
    let before = save(&shared);
    let deep = "[".repeat(100_000);
    for bytes in [
        &b""[..],
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"{\"params\": {}}",
        b"{\"params\": [], \"fields\": {}}",
        b"{\"params\": {}, \"fields\": null}",
        deep.as_bytes(),
    ] {
        assert!(load(&shared, bytes).is_err(), "{:?}", &bytes[..bytes.len().min(40)]);
        assert_eq!(save(&shared), before);
    }
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(-0.0), Just(60.0), Just(1e39), Just(-1e300), Just(0.3)].prop_map(Value::from),
        prop_oneof![Just("count_in"), Just("ramp"), Just("NaN"), Just("3,5"), Just("")].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![Just("f32"), Just("i32"), Just("bool"), Just("string"), Just("later")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..3)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// A project of which some entries are anything.
fn any_project() -> impl Strategy<Value = Value> {
    let ids = Shared::default().params_by_id().to_vec();
    let settings = kept::to_object(&Settings::default()).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let look = kept::to_object(&Look::default()).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let some = |keys: Vec<String>| {
        let key = prop_oneof![4 => prop::sample::select(keys), 1 => Just("unheard_of".to_owned())];
        prop::collection::vec((key, any_json()), 0..6)
    };
    (some(ids), some(settings), some(look), prop::option::of(any_json())).prop_map(
        |(params, settings, look, beside)| {
            let mut project = saved(&Shared::default());
            let put = |object: &mut Value, changes: Vec<(String, Value)>| {
                changes.into_iter().for_each(|(key, value)| object[key] = value);
            };
            put(&mut project["params"], params);
            project = with_inside(project, "settings", |object| put(object, settings));
            project = with_inside(project, "look", |object| put(object, look));
            if let Some(beside) = beside {
                project["fields"]["beside"] = beside.clone();
                project["beside"] = beside;
            }
            project
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_loaded_is_saved_so_that_it_loads_again_as_the_same(project in any_project()) {
        let shared = loaded(&project);
        for (index, id) in shared.params_by_id().iter().enumerate() {
            let value = values::normalized(&shared, index);
            prop_assert!((0.0..=1.0).contains(&value), "{} is {}", id, value);
        }
        let settings = shared.instance.settings();
        prop_assert_eq!(settings.clone().sane(), settings);
        let once = save(&shared);
        let again = Shared::default();
        prop_assert!(load(&again, &once).is_ok(), "what was saved does not load");
        prop_assert_eq!(again.params.mixer(), shared.params.mixer());
        prop_assert_eq!(
            String::from_utf8(save(&again)).unwrap(),
            String::from_utf8(once).unwrap(),
        );
    }

    #[test]
    fn bytes_of_any_kind_are_a_project_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let shared = Shared::default();
        let _ = load(&shared, &bytes);
        prop_assert!(load(&Shared::default(), &save(&shared)).is_ok());
    }
}
