//! The layers and how they are laid over one another. Must not know what any single key means.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    Config, ConfigError, Origin,
    keys::{self, KEYS, Key},
};

/// Prefix of the environment variables that are ours. Each of them must name a key.
const PREFIX: &str = "REHEARSEKIT_";
/// Names the configuration file; the only variable with our prefix that is no key.
const FILE_VARIABLE: &str = "REHEARSEKIT_CONFIG";

/// The file's usual name, in the user's folder of settings and in the data folder.
pub(crate) const SETTINGS: &str = "server.toml";

/// A value as it was written, before a key has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text, or a number or truth value as text. From the environment, commas separate the items of a list.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Something no key wants, such as a table, as it was written.
    Other(String),
}

impl Value {
    /// The value as one text.
    pub(super) fn one(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Other(_) => None,
        }
    }

    /// The value as a list. What is no list becomes an item that no key accepts as a name.
    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Vec::new(),
            Self::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            Self::List(items) => items.clone(),
            Self::Other(text) => vec![format!("({text})")],
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// A flag that was given, already tied to its key.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As typed, with dashes: `--model`.
    pub name: String,
    /// The key it sets: `models`.
    pub key: String,
    /// The value.
    pub value: Value,
}

/// Where [`Config::load`] reads from. Plain data, so that tests need no process environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named by a flag. Otherwise `REHEARSEKIT_CONFIG`, otherwise
    /// `$XDG_CONFIG_HOME/rehearsekit/server.toml` (or below `~/.config`) if it is there, otherwise `server.toml` in the
    /// data folder (where `restore` puts it) if it is there.
    pub file: Option<PathBuf>,
    /// All environment variables.
    pub environment: BTreeMap<OsString, OsString>,
    /// The flags that were given.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The environment of this process, and what the command line gave.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags }
    }

    fn folder(&self, xdg: &str, below_home: &str) -> Option<PathBuf> {
        let get = |name: &str| self.environment.get(&OsString::from(name)).map(PathBuf::from);
        // The XDG convention: a relative path there is to be ignored.
        let base = get(xdg).filter(|path| path.is_absolute());
        base.or_else(|| get("HOME").filter(|path| path.is_absolute()).map(|home| home.join(below_home)))
            .map(|base| base.join("rehearsekit"))
    }

    /// The data folder as far as it is known without any file.
    pub fn data_folder(&self) -> Option<PathBuf> {
        let flag = self.flags.iter().rev().find(|flag| flag.key == "data");
        let by_flag = flag.and_then(|flag| flag.value.one().map(PathBuf::from));
        let by_variable = || self.environment.get(&OsString::from("REHEARSEKIT_DATA")).map(PathBuf::from);
        by_flag.or_else(by_variable).or_else(|| self.folder("XDG_DATA_HOME", ".local/share"))
    }
}

/// One setting of one layer.
struct Setting {
    key: String,
    value: Value,
    origin: Origin,
}

pub(super) fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let default_data = sources.folder("XDG_DATA_HOME", ".local/share");
    let mut config = keys::defaults(default_data.clone().unwrap_or_default());
    let mut origins = vec![Origin::Default; KEYS.len()];

    let mut settings = from_file(sources)?;
    settings.extend(from_environment(sources)?);
    settings.extend(sources.flags.iter().map(|flag| Setting {
        key: flag.key.clone(),
        value: flag.value.clone(),
        origin: Origin::Flag(flag.name.clone()),
    }));
    let mut written = BTreeMap::new();
    for setting in settings {
        let (index, key) = apply(&mut config, &setting)?;
        written.insert(key.name, setting.value.to_string());
        origins[index] = setting.origin;
    }
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::NoDataFolder);
    }
    complete(&mut config, &written, &origins)?;
    config.origins = origins;
    Ok(config)
}

fn apply(config: &mut Config, setting: &Setting) -> Result<(usize, &'static Key), ConfigError> {
    let (index, key) = find(setting)?;
    match (key.set)(config, &setting.value) {
        Some(()) => Ok((index, key)),
        None => Err(bad(key, setting.value.to_string(), setting.origin.clone(), key.right)),
    }
}

pub(super) fn log_of_environment(sources: &Sources) -> Result<Option<String>, ConfigError> {
    let Some(setting) = from_environment(sources)?.into_iter().find(|setting| setting.key == "log") else {
        return Ok(None);
    };
    let mut config = keys::defaults(PathBuf::new());
    apply(&mut config, &setting)?;
    Ok(Some(config.log))
}

/// Defaults and checks that look at more than one key.
fn complete(
    config: &mut Config,
    written: &BTreeMap<&str, String>,
    origins: &[Origin],
) -> Result<(), ConfigError> {
    if config.workers == 0 {
        config.workers = std::thread::available_parallelism().map_or(1, usize::from);
    }
    if config.default_model.is_empty() {
        config.default_model = config.models.first().cloned().unwrap_or_default();
    } else if !config.models.contains(&config.default_model) {
        let own = KEYS.iter().zip(origins).find(|(key, _)| key.name == "default_model");
        if let Some((key, origin)) = own {
            let right = format!("{}: {}", key.right, config.models.join(", "));
            let value = written.get(key.name).cloned().unwrap_or_default();
            return Err(bad(key, value, origin.clone(), &right));
        }
    }
    Ok(())
}

fn bad(key: &Key, value: String, origin: Origin, right: &str) -> ConfigError {
    ConfigError::BadValue { key: key.name, value, origin, right: right.to_owned() }
}

fn find(setting: &Setting) -> Result<(usize, &'static Key), ConfigError> {
    let found = KEYS.iter().enumerate().find(|(_, key)| key.name == setting.key);
    found.ok_or_else(|| ConfigError::UnknownKey {
        key: setting.key.clone(),
        origin: setting.origin.clone(),
        hint: hint(&setting.key, matches!(setting.origin, Origin::Environment(_))),
    })
}

/// "did you mean …", or all there is.
fn hint(key: &str, environment: bool) -> String {
    let spell = |name: &str| {
        if environment { format!("{PREFIX}{}", name.to_ascii_uppercase()) } else { name.to_owned() }
    };
    let distance = |known: &&Key| strsim::damerau_levenshtein(known.name, &key.to_ascii_lowercase());
    match KEYS.iter().min_by_key(distance).filter(|near| distance(near) <= 2.max(near.name.len() / 3)) {
        Some(near) => format!("did you mean {}?", spell(near.name)),
        None => {
            let all: Vec<String> = KEYS.iter().map(|known| spell(known.name)).collect();
            format!("the keys are {}", all.join(", "))
        }
    }
}

fn from_environment(sources: &Sources) -> Result<Vec<Setting>, ConfigError> {
    let mut settings = Vec::new();
    for (variable, value) in &sources.environment {
        let Some(name) = variable.to_str().and_then(|text| text.strip_prefix(PREFIX)) else { continue };
        let variable = format!("{PREFIX}{name}");
        if variable == FILE_VARIABLE {
            continue;
        }
        // Lossy text is refused below rather than taken for another path.
        let value = match value.to_str() {
            Some(text) => Value::Text(text.to_owned()),
            None => Value::Other(format!("{value:?}")),
        };
        let key = name.to_ascii_lowercase();
        settings.push(Setting { key, value, origin: Origin::Environment(variable) });
    }
    Ok(settings)
}

fn from_file(sources: &Sources) -> Result<Vec<Setting>, ConfigError> {
    let by_flag = sources.file.clone().map(|path| (path, Origin::Flag("--config".to_owned())));
    let by_variable = || {
        let path = sources.environment.get(&OsString::from(FILE_VARIABLE))?;
        Some((PathBuf::from(path), Origin::Environment(FILE_VARIABLE.to_owned())))
    };
    let by_default = || {
        let folders = [sources.folder("XDG_CONFIG_HOME", ".config"), sources.data_folder()];
        let mut paths = folders.into_iter().flatten().map(|folder| folder.join(SETTINGS));
        paths.find(|path| path.exists()).map(|path| (path, Origin::Default))
    };
    let Some((path, origin)) = by_flag.or_else(by_variable).or_else(by_default) else {
        return Ok(Vec::new());
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // Nobody asked for the file at a usual place.
        Err(error) if origin == Origin::Default && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(ConfigError::Unreadable { path, origin, source }),
    };
    parse_file(&path, &text)
}

fn parse_file(path: &Path, text: &str) -> Result<Vec<Setting>, ConfigError> {
    let at = |byte: usize| Origin::File {
        path: path.to_owned(),
        line: 1 + text.as_bytes().iter().take(byte).filter(|&&b| b == b'\n').count(),
    };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        origin: at(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut settings: Vec<(usize, Setting)> = Vec::new();
    for (key, value) in table.into_inner() {
        let start = key.span().start;
        let written = text.get(value.span()).unwrap_or_default();
        let value = value_of(value.get_ref(), written);
        settings.push((start, Setting { key: key.get_ref().to_string(), value, origin: at(start) }));
    }
    // In the order of the file, so that the first mistake is told first.
    settings.sort_by_key(|(start, _)| *start);
    Ok(settings.into_iter().map(|(_, setting)| setting).collect())
}

fn value_of(value: &DeValue<'_>, written: &str) -> Value {
    let texts = |items: &toml::de::DeArray<'_>| {
        items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Array(items) => match texts(items) {
            Some(list) => Value::List(list),
            None => Value::Other(written.to_owned()),
        },
        DeValue::Table(_) => Value::Other("a table".to_owned()),
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => Value::Other(written.to_owned()),
    }
}
