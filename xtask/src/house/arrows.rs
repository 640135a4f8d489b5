//! Which crate may know which. The one place where the arrows of ARCHITECTURE.md are written for a machine;
//! it judges what `cargo metadata` says and never guesses from source text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One room of the house: a crate and the crates of the house it may know, also in its tests.
struct Room {
    name: &'static str,
    knows: &'static [&'static str],
}

const AUDIO: &str = "rehearsekit-audio";
const PROTOCOL: &str = "rehearsekit-protocol";
const PLAYOUT: &str = "rehearsekit-playout";
const CLIENT: &str = "rehearsekit-client";
const DISCOVERY: &str = "rehearsekit-discovery";
const MEDIA: &str = "rehearsekit-media";
const PRIVATE: &str = "rehearsekit-private";
const BADLINK: &str = "rehearsekit-badlink";
const PROCESS: &str = "rehearsekit-process";
const PLUGIN_ENGINE: &str = "rehearsekit-plugin-engine";
const GUI: &str = "rehearsekit-gui";
const PLUGIN: &str = "rehearsekit-plugin";
const MODELS: &str = "rehearsekit-models";
const SCHEDULE: &str = "rehearsekit-schedule";
const SERVER: &str = "rehearsekit-server";
const CLI: &str = "rehearsekit-cli";
const TESTS: &str = "rehearsekit-tests";
const CORPUS: &str = "rehearsekit-corpus";
const HOST_TESTS: &str = "rehearsekit-host-tests";
const XTASK: &str = "xtask";

/// Every crate of the workspace. A crate that is not here has no place yet, and that is an error.
const ROOMS: &[Room] = &[
    Room { name: AUDIO, knows: &[] },
    Room { name: PROTOCOL, knows: &[AUDIO] },
    Room { name: PLAYOUT, knows: &[AUDIO] },
    // Files for their owner alone, on either side of the wire.
    Room { name: PRIVATE, knows: &[] },
    // The client ends in rings of playout's slots.
    Room { name: CLIENT, knows: &[AUDIO, PROTOCOL, PLAYOUT, PRIVATE] },
    Room { name: DISCOVERY, knows: &[] },
    // Files of sound, in and out; the command, the server and the standalone read songs with it.
    Room { name: MEDIA, knows: &[AUDIO, PRIVATE] },
    // Stands in for a network; nothing of a client or a server is its business.
    Room { name: BADLINK, knows: &[] },
    // For programs: their log and their signals.
    Room { name: PROCESS, knows: &[] },
    // The plugin without its framework.
    Room { name: PLUGIN_ENGINE, knows: &[AUDIO, PROTOCOL, PLAYOUT, CLIENT, DISCOVERY] },
    // Only for what people type: numbers and units are read in one place.
    Room { name: GUI, knows: &[AUDIO] },
    Room { name: PLUGIN, knows: &[AUDIO, PLUGIN_ENGINE, GUI, MEDIA, PROCESS] },
    Room { name: MODELS, knows: &[AUDIO] },
    Room { name: SCHEDULE, knows: &[] },
    Room { name: SERVER, knows: &[AUDIO, PROTOCOL, DISCOVERY, MEDIA, MODELS, PRIVATE, SCHEDULE] },
    // The command is both sides: it serves, it streams as the plugin will, and it loads a server over bad links.
    Room {
        name: CLI,
        knows: &[
            AUDIO, PROTOCOL, PLAYOUT, CLIENT, DISCOVERY, BADLINK, MEDIA, PRIVATE, PROCESS, MODELS, SERVER,
        ],
    },
    Room {
        name: TESTS,
        knows: &[
            AUDIO,
            PROTOCOL,
            PLAYOUT,
            CLIENT,
            DISCOVERY,
            BADLINK,
            MEDIA,
            PLUGIN_ENGINE,
            MODELS,
            SCHEDULE,
            SERVER,
        ],
    },
    // Files of sound and their truth.
    Room { name: CORPUS, knows: &[AUDIO, MEDIA] },
    // What is bundled and what is served are tested as programs.
    Room { name: HOST_TESTS, knows: &[AUDIO] },
    Room { name: XTASK, knows: &[] },
];

/// Libraries from outside that only some rooms may name: `(library, who, why)`.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("ort", &[MODELS], "one place knows ONNX Runtime"),
    ("prost", &[MODELS], "one place edits ONNX files"),
    ("quinn", &[CLIENT, SERVER, TESTS], "the wire format is sans-IO"),
    ("rustls", &[CLIENT, SERVER, TESTS], "the wire format is sans-IO"),
    ("mdns-sd", &[DISCOVERY], "one place speaks multicast DNS"),
    ("axum", &[SERVER, TESTS], "only the server speaks HTTP"),
    ("symphonia", &[MEDIA], "one place decodes songs"),
    ("rusty_aac", &[MEDIA], "one place decodes songs"),
    ("opus-decoder", &[MEDIA], "one place decodes songs"),
    ("lofty", &[MEDIA], "one place reads tags"),
    ("nice-plug", &[PLUGIN], "one place knows the plugin framework"),
    // And one stands in for a host.
    ("vst3", &[PLUGIN, HOST_TESTS], "one place knows the plugin formats"),
    ("clap-sys", &[PLUGIN], "one place knows the plugin formats"),
    ("egui", &[GUI, PLUGIN], "only the window draws"),
    ("clap", &[CLI, XTASK], "libraries take values, not command lines"),
    ("anyhow", &[CLI, XTASK, TESTS], "libraries have typed errors"),
    ("ctrlc", &[CLI, XTASK], "signals belong to programs, not to libraries"),
];

/// Libraries that must not be linked into a room at all, however far away they are: `(room, library, why)`.
const NEVER_UNDER: &[(&str, &str, &str)] = &[
    (AUDIO, "tokio", "values know no I/O"),
    (PROTOCOL, "tokio", "the protocol is sans-IO"),
    (PLAYOUT, "tokio", "playout lives in the audio callback"),
    (PLAYOUT, "tracing", "the audio thread logs nothing"),
    (PLAYOUT, "crossbeam-channel", "the audio thread waits for nothing"),
    (MODELS, "tokio", "inference runs on threads of its own"),
    (CLIENT, "axum", "the plugin carries no HTTP server"),
    (CLIENT, "ort", "the plugin carries no inference"),
    (MEDIA, "tokio", "a song is read where the caller says, without an async runtime"),
    (DISCOVERY, "tokio", "a plugin carries one async runtime at most"),
    (PLUGIN_ENGINE, "nice-plug", "the engine knows no plugin framework"),
    (GUI, "nice-plug", "the window knows no plugin framework"),
    (GUI, "tokio", "the window knows no network"),
    (PLUGIN, "ort", "the plugin carries no inference"),
    (PLUGIN, "axum", "the plugin carries no HTTP server"),
    (CLI, "alsa-sys", "the command builds without audio libraries"),
    (XTASK, "cc", "xtask prepares machines that have no compiler for C yet"),
    (XTASK, "cmake", "xtask prepares machines that have no build tools yet"),
    (XTASK, "pkg-config", "xtask prepares machines that have no libraries yet"),
];

/// The broken rules in what `cargo metadata` says, each a sentence.
pub(super) fn check(metadata: &Value) -> Vec<String> {
    let graph = Graph::read(metadata);
    let mut broken = Vec::new();
    for name in &graph.members {
        match ROOMS.iter().find(|room| room.name == name) {
            None => broken.push(format!("{name} has no room: give it one in xtask/src/house/arrows.rs")),
            Some(room) => broken.extend(graph.strangers(room)),
        }
        for (library, who, why) in ONLY_IN {
            if graph.names_directly(name, library) && !who.contains(&name.as_str()) {
                broken.push(format!("{name} depends on {library}, which only {who:?} may: {why}"));
            }
        }
    }
    for (room, library, why) in NEVER_UNDER {
        if graph.reaches(room, library) {
            broken.push(format!("{room} links {library} (somewhere below it): {why}"));
        }
    }
    broken
}

/// Dependencies by package name.
struct Graph {
    members: BTreeSet<String>,
    /// Everything a package names, tests included.
    direct: BTreeMap<String, BTreeSet<String>>,
    /// What is linked into a package or run to build it, tests excluded.
    linked: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: BTreeMap<String, String> =
            list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let name_of = |id: &Value| names.get(&text(id)).cloned().unwrap_or_default();
        let members = list(&metadata["workspace_members"]).iter().map(name_of).collect();
        let mut direct = BTreeMap::<String, BTreeSet<String>>::new();
        let mut linked = BTreeMap::<String, BTreeSet<String>>::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let name = name_of(&node["id"]);
            for dependency in list(&node["deps"]) {
                let other = name_of(&dependency["pkg"]);
                let kinds = list(&dependency["dep_kinds"]);
                if kinds.is_empty() || kinds.iter().any(|kind| kind["kind"] != "dev") {
                    linked.entry(name.clone()).or_default().insert(other.clone());
                }
                direct.entry(name.clone()).or_default().insert(other);
            }
        }
        Self { members, direct, linked }
    }

    /// The crates of the house that `room` knows without being allowed to.
    fn strangers(&self, room: &Room) -> Vec<String> {
        let known = self.direct.get(room.name).into_iter().flatten();
        known
            .filter(|other| self.members.contains(*other) && !room.knows.contains(&other.as_str()))
            .map(|other| format!("{} must not know {other} (it may know {:?})", room.name, room.knows))
            .collect()
    }

    fn names_directly(&self, room: &str, library: &str) -> bool {
        self.direct.get(room).is_some_and(|known| known.contains(library))
    }

    fn reaches(&self, room: &str, library: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![room];
        while let Some(name) = open.pop() {
            if name == library {
                return true;
            }
            if seen.insert(name) {
                open.extend(self.linked.get(name).into_iter().flatten().map(String::as_str));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace with these members and these `(from, to, kind)` dependencies.
    fn workspace(members: &[&str], arrows: &[(&str, &str, Option<&str>)]) -> Value {
        let all: BTreeSet<&str> =
            members.iter().copied().chain(arrows.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
        let deps = |name: &str| -> Vec<Value> {
            let mine = arrows.iter().filter(|(from, ..)| *from == name);
            mine.map(|(_, to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]})).collect()
        };
        json!({
            "packages": all.iter().map(|name| json!({"id": name, "name": name})).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": {"nodes": all.iter().map(|name| json!({"id": name, "deps": deps(name)})).collect::<Vec<_>>()},
        })
    }

    #[test]
    fn the_allowed_arrows_pass() {
        let house =
            workspace(&[AUDIO, PROTOCOL, SERVER], &[(PROTOCOL, AUDIO, None), (SERVER, PROTOCOL, None)]);
        assert_eq!(check(&house), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let broken = check(&workspace(&[AUDIO, CLIENT, MODELS], &[(CLIENT, MODELS, None)]));
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].contains("rehearsekit-client must not know rehearsekit-models"), "{broken:?}");
    }

    #[test]
    fn a_forbidden_arrow_of_a_test_is_found_too() {
        let broken = check(&workspace(&[AUDIO, TESTS], &[(AUDIO, TESTS, Some("dev"))]));
        assert!(broken[0].contains("rehearsekit-audio must not know rehearsekit-tests"), "{broken:?}");
    }

    #[test]
    fn nothing_knows_xtask_and_a_new_crate_needs_a_room() {
        assert_eq!(check(&workspace(&[CLI, XTASK], &[(CLI, XTASK, None)])).len(), 1);
        let broken = check(&workspace(&["rehearsekit-attic"], &[]));
        assert!(broken[0].contains("rehearsekit-attic has no room"), "{broken:?}");
    }

    #[test]
    fn a_library_in_the_wrong_room_is_found_near_and_far() {
        let broken = check(&workspace(&[SERVER], &[(SERVER, "ort", None)]));
        assert!(broken[0].contains("depends on ort"), "{broken:?}");
        let far = check(&workspace(&[PROTOCOL], &[(PROTOCOL, "helper", None), ("helper", "tokio", None)]));
        assert!(far[0].contains("links tokio"), "{far:?}");
        let in_tests_only =
            workspace(&[PROTOCOL], &[(PROTOCOL, "helper", Some("dev")), ("helper", "tokio", None)]);
        assert_eq!(check(&in_tests_only), Vec::<String>::new());
    }

    #[test]
    fn the_table_is_a_house_without_circles() {
        // Each room may only know rooms above it in the table, so no circle can be drawn.
        for (floor, room) in ROOMS.iter().enumerate() {
            for known in room.knows {
                assert!(ROOMS[..floor].iter().any(|above| above.name == *known), "{} and {known}", room.name);
            }
        }
    }
}
