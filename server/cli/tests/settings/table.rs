//! The table of all keys with the effect of each, and how keys are set in the three layers. Must not start anything.

use std::{fs, path::Path, process::Command};

use crate::seen::Seen;

pub(crate) const COPY: &str = "spleeter-copy";

/// A key, and what to set it to.
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) value: Set,
    pub(crate) effect: Effect,
}

pub(crate) enum Set {
    /// A word, for the file in quotes.
    Word(&'static str),
    /// A number or a truth value.
    Bare(&'static str),
    List(&'static [&'static str]),
    /// What the test has picked: a free port, or the data folder.
    Picked,
}

pub(crate) enum Effect {
    /// On a server of this machine.
    Here(fn(&Seen) -> bool),
    /// On a start that must fail, with these words.
    Refusal(&'static str),
    /// On what another machine finds.
    OnTheLan,
}

/// All keys.
pub(crate) const ROWS: &[Row] = &[
    Row { key: "listen", value: Set::Picked, effect: Effect::Here(|seen| seen.listen.0 == seen.listen.1) },
    Row { key: "http", value: Set::Picked, effect: Effect::Here(|seen| seen.http.0 == seen.http.1) },
    Row {
        key: "http_hosts",
        value: Set::List(&["rehearsal.example", "other.example"]),
        effect: Effect::Here(|seen| seen.other_host == 200),
    },
    Row { key: "data", value: Set::Picked, effect: Effect::Here(|seen| seen.has_key) },
    Row {
        key: "models",
        value: Set::List(&["spleeter-2stems", COPY]),
        effect: Effect::Here(|seen| seen.models == ["spleeter-2stems", COPY]),
    },
    Row {
        key: "default_model",
        value: Set::Word(COPY),
        effect: Effect::Here(|seen| seen.unnamed_model == COPY),
    },
    // A card that no machine has: whoever asks for a card gets it or an error.
    Row { key: "device", value: Set::Word("cuda:77"), effect: Effect::Refusal("device = cuda:77") },
    // Nothing of a card can be seen without one, but that they arrive where it is chosen: there they are said to be idle.
    Row {
        key: "cuda_memory_mb",
        value: Set::Bare("512"),
        effect: Effect::Here(|seen| {
            seen.log.contains("cuda_memory_mb (") && seen.log.contains("of no effect")
        }),
    },
    Row {
        key: "cuda_tf32",
        value: Set::Bare("true"),
        effect: Effect::Here(|seen| seen.log.contains("cuda_tf32 (") && seen.log.contains("of no effect")),
    },
    Row {
        key: "threads",
        value: Set::Bare("2"),
        effect: Effect::Here(|seen| seen.plan.contains("inference 3 ms")),
    },
    Row {
        key: "workers",
        value: Set::Bare("3"),
        effect: Effect::Here(|seen| seen.metrics.lines().any(|line| line == "rehearsekit_workers 3")),
    },
    Row {
        key: "max_sessions",
        value: Set::Bare("1"),
        effect: Effect::Here(|seen| seen.second_client.contains("all 1 places of this server are taken")),
    },
    Row {
        key: "log",
        value: Set::Word("warn,rehearsekit_server=debug"),
        effect: Effect::Here(|seen| seen.log.contains("DEBUG") && seen.log.contains("hello")),
    },
    Row {
        key: "server_name",
        value: Set::Word("the attic"),
        effect: Effect::Here(|seen| seen.name == "the attic"),
    },
    Row { key: "announce", value: Set::Bare("false"), effect: Effect::OnTheLan },
    Row {
        key: "drain_seconds",
        value: Set::Bare("1"),
        effect: Effect::Here(|seen| seen.log.contains("1 open sessions may play on for 1 s")),
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    File,
    Environment,
    Flag,
}

pub(crate) const LAYERS: [Layer; 3] = [Layer::File, Layer::Environment, Layer::Flag];

/// Sets `rows` of `(key, value)` in this layer of the command.
pub(crate) fn set(command: &mut Command, layer: Layer, rows: &[(&str, String)], folder: &Path) {
    let words = |value: &str| value.trim_matches(['[', ']']).replace(['"', ' '], "");
    let plain =
        |value: &str| if value.starts_with('[') { words(value) } else { value.trim_matches('"').to_owned() };
    match layer {
        Layer::File => {
            let lines: String = rows.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            let file = folder.join("settings.toml");
            fs::write(&file, lines).unwrap();
            command.arg("--config").arg(file);
        }
        Layer::Environment => {
            command.envs(
                rows.iter()
                    .map(|(key, value)| (format!("REHEARSEKIT_{}", key.to_ascii_uppercase()), plain(value))),
            );
        }
        Layer::Flag => {
            for (key, value) in rows {
                match *key {
                    // Those that have a flag of their own.
                    "listen" | "http" | "data" => command.arg(format!("--{key}")).arg(plain(value)),
                    "models" => command.args(plain(value).split(',').flat_map(|name| ["--model", name])),
                    _ => command.arg("--set").arg(format!("{key}={}", plain(value))),
                };
            }
        }
    }
}
