//! The servers that this user's computer is paired with: identities, tokens and where each was met last, in one file
//! that only the user can read.
//!
//! The plugin in several hosts and the command use the same file, so every change is made under a lock and put in place
//! as a whole. A file that cannot be understood is never replaced; what a later version added to it, and servers of a
//! kind that only it knows, stay in it as they are. This module must not use the network.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rehearsekit_private::{Danger, Exposure, close, exposure, make_folder, owner_only};
use rehearsekit_protocol::Token;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Fingerprint, NewPairing, ServerTrust};

/// The newest form of the file that this build understands.
const VERSION: u32 = 1;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServer {
    /// Who it is.
    pub fingerprint: Fingerprint,
    /// What it called itself.
    pub name: String,
    /// What it wants to see.
    pub token: Token,
    /// Where it answered last, `HOST:PORT`.
    pub address: String,
    /// What this computer is called in its list.
    pub paired_as: String,
    /// When it was last picked, in seconds since 1970: the newest is the usual one.
    pub used_at: u64,
}

/// Why the file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// The system names no place for a user's settings.
    #[error("this system names no folder for settings: set HOME or XDG_CONFIG_HOME")]
    NoPlace,
    /// The file cannot be read or written.
    #[error("cannot use the list of paired servers {}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Others can read the tokens.
    #[error("the list of paired servers {} can be read by others {how}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// How, and the way out.
        how: Exposure,
    },
    /// Nothing we wrote, or written by a later version.
    #[error("the list of paired servers {} is not understood ({why}); update this program, or delete the file and pair again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServers {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    servers: Vec<Value>,
    /// What a later version put beside them.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Entry {
    fingerprint: String,
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    paired_as: String,
    #[serde(default)]
    used_at: Value,
}

/// Where this user's settings of RehearseKit are; `None` where the system names no place.
pub fn config_dir() -> Option<PathBuf> {
    config_dir_by(|name| std::env::var_os(name).map(PathBuf::from))
}

fn config_dir_by(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // A relative one means another folder wherever a program is started; the XDG convention has it ignored.
    let variable = |name: &str| variable(name).filter(|path| path.is_absolute());
    let folder = match std::env::consts::OS {
        "windows" => variable("APPDATA")?,
        "macos" => variable("HOME")?.join("Library").join("Application Support"),
        _ => variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?,
    };
    Some(folder.join("rehearsekit"))
}

impl KnownServers {
    /// This user's.
    pub fn of_user() -> Result<Self, KnownError> {
        Ok(Self::at(config_dir().ok_or(KnownError::NoPlace)?.join("servers.json")))
    }

    /// The file at `path`, which need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Whether a new pairing could be kept: reads the list and looks whether it can be changed.
    pub fn prepare(&self) -> Result<(), KnownError> {
        self.list()?;
        self.lock().map(drop)
    }

    /// All of them, the one that was used last first.
    pub fn list(&self) -> Result<Vec<KnownServer>, KnownError> {
        Ok(self.content()?.known())
    }

    fn content(&self) -> Result<Content, KnownError> {
        let text = match read_owned(&self.path) {
            Ok(text) => text,
            Err(Unread::NotThere) => {
                return Ok(Content { version: VERSION, servers: Vec::new(), others: Map::new() });
            }
            Err(Unread::Io(error)) => return Err(self.io(&error)),
            Err(Unread::Exposed(how)) => return Err(KnownError::Exposed { path: self.path.clone(), how }),
        };
        let damaged = |why: String| KnownError::Damaged { path: self.path.clone(), why };
        let content: Content = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if content.version > VERSION {
            return Err(damaged("a later version wrote it".to_owned()));
        }
        Ok(content)
    }

    /// The one with this identity.
    pub fn find(&self, fingerprint: Fingerprint) -> Result<Option<KnownServer>, KnownError> {
        Ok(self.list()?.into_iter().find(|server| server.fingerprint == fingerprint))
    }

    /// Keeps a new pairing, in the place of an older one with the same server.
    pub fn remember(&self, new: NewPairing, paired_as: &str) -> Result<(), KnownError> {
        let NewPairing { fingerprint, token, server_name: name, address } = new;
        let server = KnownServer {
            fingerprint,
            name,
            token,
            address,
            paired_as: paired_as.to_owned(),
            used_at: now(),
        };
        self.change(|servers| {
            servers.retain(|known| known.fingerprint != fingerprint);
            servers.push(server);
        })
    }

    /// The player has picked this one, and it was found there (an empty address says nothing).
    pub fn used(&self, fingerprint: Fingerprint, address: &str) -> Result<(), KnownError> {
        self.change(|servers| {
            for server in servers.iter_mut().filter(|server| server.fingerprint == fingerprint) {
                server.used_at = now();
                if !address.is_empty() {
                    address.clone_into(&mut server.address);
                }
            }
        })
    }

    /// Forgets one; whether it was known. The server goes on knowing this client until it is revoked there.
    pub fn forget(&self, fingerprint: Fingerprint) -> Result<bool, KnownError> {
        let mut known = false;
        self.change(|servers| {
            let before = servers.len();
            servers.retain(|server| server.fingerprint != fingerprint);
            known = servers.len() < before;
        })?;
        Ok(known)
    }

    /// Reads, changes and replaces the file, alone.
    fn change(&self, change: impl FnOnce(&mut Vec<KnownServer>)) -> Result<(), KnownError> {
        let io = |error: io::Error| self.io(&error);
        let lock = self.lock()?;
        lock.lock().map_err(io)?;
        let mut content = self.content()?;
        let mut servers = content.known();
        change(&mut servers);
        content.replace(&servers);
        let text = serde_json::to_string_pretty(&content).map_err(|error| self.io(&error.into()))?;
        // One name is enough under the lock, and what a killed process left there is written over.
        let fresh = self.path.with_extension("new");
        let mut file: File = owner_only().create(true).truncate(true).open(&fresh).map_err(io)?;
        // Where the folder's ACL made the mode, it is closed before anything stands in it.
        close(&file, Danger::Use);
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&fresh, &self.path).map_err(io)
    }

    /// The file that is locked by whoever changes the list.
    fn lock(&self) -> Result<File, KnownError> {
        let io = |error: io::Error| self.io(&error);
        make_folder(self.path.parent().unwrap_or(Path::new("."))).map_err(io)?;
        owner_only().create(true).truncate(false).open(self.path.with_extension("lock")).map_err(io)
    }

    fn io(&self, error: &io::Error) -> KnownError {
        KnownError::Io { path: self.path.clone(), why: error.to_string() }
    }
}

impl KnownServer {
    /// What believes this server, and shows it the token.
    pub fn trust(&self) -> ServerTrust {
        ServerTrust::Pinned { fingerprint: self.fingerprint, token: Some(self.token.clone()) }
    }
}

impl Content {
    /// Those that this version can speak to, the one that was used last first.
    fn known(&self) -> Vec<KnownServer> {
        let mut servers: Vec<KnownServer> = self.servers.iter().filter_map(read).collect();
        servers.sort_by_key(|server| std::cmp::Reverse(server.used_at));
        servers
    }

    /// Makes the known ones these. What this version does not understand of them, and of the file, stays.
    fn replace(&mut self, servers: &[KnownServer]) {
        let mut left: Vec<&KnownServer> = servers.iter().collect();
        let old = std::mem::take(&mut self.servers);
        for mut entry in old {
            let same = left.iter().position(|server| identity(&entry) == Some(server.fingerprint));
            if let (Some(place), Some(object)) = (same, entry.as_object_mut()) {
                object.extend(written(left.swap_remove(place)));
            } else if read(&entry).is_some() {
                // Forgotten.
                continue;
            }
            self.servers.push(entry);
        }
        self.servers.extend(left.into_iter().map(|server| Value::Object(written(server))));
    }
}

fn identity(entry: &Value) -> Option<Fingerprint> {
    entry.get("fingerprint")?.as_str()?.parse().ok()
}

/// One entry of the file; `None` for what this version does not understand.
fn read(entry: &Value) -> Option<KnownServer> {
    let Entry { fingerprint, token, name, address, paired_as, used_at } = Entry::deserialize(entry).ok()?;
    // Both are 32 bytes, written as 64 digits.
    let bytes: Fingerprint = token.parse().ok()?;
    let fingerprint = fingerprint.parse().ok()?;
    // Nobody has used it in the future, and whoever is used now is the last.
    let used_at = used_at.as_u64().unwrap_or(0).min(now());
    Some(KnownServer { fingerprint, name, token: Token(bytes.0), address, paired_as, used_at })
}

fn written(server: &KnownServer) -> Map<String, Value> {
    let entries = [
        ("fingerprint", json!(server.fingerprint.to_string())),
        ("name", json!(server.name)),
        ("token", json!(Fingerprint(server.token.0).to_string())),
        ("address", json!(server.address)),
        ("paired_as", json!(server.paired_as)),
        ("used_at", json!(server.used_at)),
    ];
    entries.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

enum Unread {
    NotThere,
    Io(io::Error),
    Exposed(Exposure),
}

/// The content of a file that only its owner may read.
fn read_owned(path: &Path) -> Result<String, Unread> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::NotThere,
        _ => Unread::Io(error),
    };
    let mut file = File::open(path).map_err(told)?;
    if let Some(how) = exposure(&file, Danger::Use).map_err(told)? {
        return Err(Unread::Exposed(how));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(told)?;
    Ok(text)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
