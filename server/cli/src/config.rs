//! `config show`, and the one way every command learns its settings: file, environment, flags.

use std::path::{Path, PathBuf};

use rehearsekit_server::{
    config::{Config, Flag, Sources, Value},
    layout::{self, LayoutError},
};
use serde_json::json;

use crate::{
    args::{ConfigArgs, ConfigCommand, SettingArgs},
    failure::Failure,
    output,
};

/// `rehearsekit config show`.
pub(crate) fn run(args: &ConfigArgs, data: Option<&Path>) -> Result<(), Failure> {
    let ConfigCommand::Show { settings, json } = &args.command;
    let config = load(settings, data)?;
    let rows = config.show();
    if *json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| json!({ "key": row.key, "value": row.value, "origin": row.origin.to_string(), "about": row.about }))
            .collect();
        return output::json(&rows);
    }
    let width = rows.iter().map(|row| row.key.len() + row.value.len() + 3).max().unwrap_or(0);
    for row in rows {
        let setting = format!("{} = {}", row.key, row.value);
        output::line(&format!("{setting:width$}  # {}; from {}", row.about, row.origin));
    }
    Ok(())
}

/// The configuration from all its layers, `settings` and `--data` on top.
pub(crate) fn load(settings: &SettingArgs, data: Option<&Path>) -> Result<Config, Failure> {
    let mut flags = Vec::new();
    let mut text = |name: &str, key: &str, value: String| {
        flags.push(Flag { name: name.to_owned(), key: key.to_owned(), value: Value::Text(value) });
    };
    for assignment in &settings.set {
        let (key, value) = assignment.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--set {assignment} is not KEY=VALUE, like --set workers=2"))
        })?;
        text(&format!("--set {key}"), key.trim(), value.trim().to_owned());
    }
    if let Some(address) = settings.listen {
        text("--listen", "listen", address.to_string());
    }
    if let Some(address) = settings.http {
        text("--http", "http", address.to_string());
    }
    if let Some(folder) = data {
        text("--data", "data", folder.display().to_string());
    }
    if !settings.model.is_empty() {
        let value = Value::List(settings.model.clone());
        flags.push(Flag { name: "--model".to_owned(), key: "models".to_owned(), value });
    }
    Config::load(&Sources::of_process(settings.config.clone(), flags)).map_err(|error| {
        match newer_state(data) {
            // Settings that only a later version knows lie there because of it.
            Some(newer) => Failure::usage(newer),
            None => Failure::usage(error),
        }
    })
}

/// What `REHEARSEKIT_LOG` says, the only setting that every command looks at.
pub(crate) fn log_of_environment() -> Result<Option<String>, Failure> {
    Config::log_of_environment(&Sources::of_process(None, Vec::new())).map_err(Failure::usage)
}

/// Whether a later version has written the data folder, as far as that is known without any settings.
pub(crate) fn newer_state(data: Option<&Path>) -> Option<LayoutError> {
    let folder = named_folder(data).or_else(|| Sources::of_process(None, Vec::new()).data_folder())?;
    layout::check(&folder).err().filter(|error| matches!(error, LayoutError::Newer { .. }))
}

/// The folder that the command line or the environment names; what stands in it has no say.
pub(crate) fn named_folder(data: Option<&Path>) -> Option<PathBuf> {
    let by_variable =
        || std::env::var_os("REHEARSEKIT_DATA").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = data.map(Path::to_owned).or_else(by_variable)?;
    std::path::absolute(path).ok()
}

/// The data folder that the server on this machine would use too. One that a later version has written is left alone.
pub(crate) fn data_folder(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = load(&SettingArgs::default(), data)?.data;
    layout::check(&folder).map_err(Failure::usage)?;
    Ok(folder)
}

/// The same for a command that leaves something there for the server; a folder nobody has made is a typing error.
pub(crate) fn server_data(data: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = data_folder(data)?;
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Failure::usage(format!(
        "there is no data folder {}: run this where the server runs, with the same --data or REHEARSEKIT_DATA",
        folder.display()
    )))
}
