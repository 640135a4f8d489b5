//! The table of keys: name, purpose, what a right value looks like, how it is read and shown.
//! A new setting is one row here and one field of `Config`. Must not know where values come from.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use super::{Config, Device, Value};

/// One key. `set` gives `None` when the value does not fit.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Ends the sentence "… does not fit; ".
    pub(super) right: &'static str,
    pub(super) set: fn(&mut Config, &Value) -> Option<()>,
    pub(super) show: fn(&Config) -> String,
}

/// Most workers or threads; beyond it lies a typing error, not a machine.
const MAX_THREADS: usize = 256;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        about: "UDP address of the link (QUIC); clients from other machines must be paired",
        right: "write an IP address and a port, like 127.0.0.1:7433, 0.0.0.0:7433 or [::]:7433",
        set: |config, value| assign(&mut config.listen, address(value)),
        show: |config| quoted(&config.listen.to_string()),
    },
    Key {
        name: "http",
        about: "TCP address of /healthz, /readyz and /metrics, plain and TLS; other machines need a token for the last",
        right: "write an IP address and a port, like 127.0.0.1:7480, 0.0.0.0:7480 or [::]:7480",
        set: |config, value| assign(&mut config.http, address(value)),
        show: |config| quoted(&config.http.to_string()),
    },
    Key {
        name: "http_hosts",
        about: "further host names that HTTP requests may name",
        right: "write a list of host names without scheme or port, like [\"nas.local\"]",
        set: |config, value| {
            let hosts: Vec<String> = value.list().iter().map(|host| host.to_ascii_lowercase()).collect();
            let good = |host: &String| {
                let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
                (1..=253).contains(&host.len()) && host.chars().all(allowed)
            };
            hosts.iter().all(good).then(|| config.http_hosts = hosts)
        },
        show: |config| list(&config.http_hosts),
    },
    Key {
        name: "data",
        about: "folder of models, the server's key and measurements",
        right: "write the path of a folder, whole and without ~, like /var/lib/rehearsekit",
        set: |config, value| {
            let path = Path::new(value.one()?);
            let good = !path.as_os_str().is_empty() && !path.starts_with("~");
            let absolute = good.then(|| std::path::absolute(path).ok()).flatten();
            assign(&mut config.data, absolute)
        },
        show: |config| quoted(&config.data.display().to_string()),
    },
    Key {
        name: "models",
        about: "models to load at start",
        right: "write a list of different model names as `rehearsekit models list` shows them, like \
                [\"spleeter-2stems\"]; from 1 to 16 of them",
        set: |config, value| {
            let models = value.list();
            let mut unique = models.clone();
            unique.sort();
            unique.dedup();
            let good = (1..=16).contains(&models.len()) && unique.len() == models.len();
            (good && models.iter().all(|name| is_model_name(name))).then(|| config.models = models)
        },
        show: |config| list(&config.models),
    },
    Key {
        name: "default_model",
        about: "model of a client that names none (default: the first of models)",
        right: "write one of the models that the server loads (key models)",
        set: |config, value| {
            assign(
                &mut config.default_model,
                value.one().filter(|name| is_model_name(name)).map(str::to_owned),
            )
        },
        show: |config| quoted(&config.default_model),
    },
    Key {
        name: "device",
        about: "what the models run on; auto takes the first graphics card that can be used, else the processor",
        right: "write auto, cpu or cuda:0 (the number of the card)",
        set: |config, value| assign(&mut config.device, device(value.one()?.trim())),
        show: |config| quoted(&config.device.to_string()),
    },
    Key {
        name: "cuda_memory_mb",
        about: "the most of a card's memory that each network takes, in MB; auto is as much as it needs",
        right: "write auto or a whole number from 64 to 1000000",
        set: |config, value| assign(&mut config.cuda_memory_mb, auto_or(value, |v| number(v, 64, 1_000_000))),
        show: |config| config.cuda_memory_mb.map_or_else(|| quoted("auto"), |mb| mb.to_string()),
    },
    Key {
        name: "cuda_tf32",
        about: "multiply with TensorFloat-32 on a card: quicker, a little less exact",
        right: "write true or false",
        set: |config, value| assign(&mut config.cuda_tf32, truth(value)),
        show: |config| config.cuda_tf32.to_string(),
    },
    Key {
        name: "threads",
        about: "threads inside one inference; auto picks what suits each model",
        right: "write auto or a whole number from 1 to 256",
        set: |config, value| assign(&mut config.threads, auto_or(value, |v| number(v, 1, MAX_THREADS))),
        show: |config| config.threads.map_or_else(|| quoted("auto"), |threads| threads.to_string()),
    },
    Key {
        name: "workers",
        about: "sessions that are worked on at a time (default: one per core)",
        right: "write a whole number from 1 to 256",
        set: |config, value| assign(&mut config.workers, number(value, 1, MAX_THREADS)),
        show: |config| config.workers.to_string(),
    },
    Key {
        name: "max_sessions",
        about: "sessions at a time; further ones are refused",
        right: "write a whole number from 1 to 1000",
        set: |config, value| assign(&mut config.max_sessions, number(value, 1, 1000)),
        show: |config| config.max_sessions.to_string(),
    },
    Key {
        name: "log",
        about: "what goes to the log, on stderr; RUST_LOG is not looked at",
        right: "write off, error, warn, info, debug or trace, or per part, like warn,rehearsekit_server=debug",
        set: |config, value| {
            assign(&mut config.log, value.one().filter(|text| is_log_filter(text)).map(str::to_owned))
        },
        show: |config| quoted(&config.log),
    },
    Key {
        name: "server_name",
        about: "name that clients show for this server (default: the host's name)",
        right: "write a name of 1 to 64 bytes without control characters",
        set: |config, value| {
            let fits = |name: &&str| (1..=64).contains(&name.len()) && !name.chars().any(char::is_control);
            assign(&mut config.server_name, value.one().filter(fits).map(str::to_owned))
        },
        show: |config| quoted(&config.server_name),
    },
    Key {
        name: "announce",
        about: "announce this server to its network (multicast DNS), unless it listens on loopback only",
        right: "write true or false",
        set: |config, value| assign(&mut config.announce, truth(value)),
        show: |config| config.announce.to_string(),
    },
    Key {
        name: "drain_seconds",
        about: "how long sessions may still play after a shutdown was asked for",
        right: "write whole seconds from 0 to 3600",
        set: |config, value| assign(&mut config.drain, number(value, 0, 3600).map(Duration::from_secs)),
        show: |config| config.drain.as_secs().to_string(),
    },
];

fn device(text: &str) -> Option<Device> {
    match text {
        "auto" => Some(Device::Auto),
        "cpu" => Some(Device::Processor),
        _ => text.strip_prefix("cuda:")?.parse().ok().map(Device::Card),
    }
}

/// `None` inside for the word auto.
fn auto_or<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.one()?.trim() == "auto" { Some(None) } else { read(value).map(Some) }
}

/// What holds when nobody says anything. `data` must already be absolute.
pub(super) fn defaults(data: PathBuf) -> Config {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Config {
        listen: loopback(7433),
        http: loopback(7480),
        http_hosts: Vec::new(),
        data,
        models: vec!["spleeter-2stems".to_owned()],
        default_model: String::new(),
        device: Device::Auto,
        cuda_memory_mb: None,
        cuda_tf32: false,
        threads: None,
        workers: 0,
        max_sessions: 16,
        log: "info".to_owned(),
        server_name: host_name(),
        announce: true,
        drain: Duration::from_secs(10),
        origins: Vec::new(),
    }
}

/// This machine's name without its domain, or the program's where that is no name for people.
fn host_name() -> String {
    let full = gethostname::gethostname();
    let name = full.to_str().and_then(|name| name.split('.').next()).unwrap_or_default();
    let good = (1..=64).contains(&name.len()) && name != "localhost" && !name.chars().any(char::is_control);
    if good { name.to_owned() } else { "RehearseKit".to_owned() }
}

fn assign<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

fn address(value: &Value) -> Option<SocketAddr> {
    value.one()?.trim().parse().ok()
}

fn number<T: FromStr + PartialOrd>(value: &Value, low: T, high: T) -> Option<T> {
    let number: T = value.one()?.trim().parse().ok()?;
    (number >= low && number <= high).then_some(number)
}

/// A truth value: no text in the file, but text in the environment.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Text(text) | Value::Other(text) => text.trim().parse().ok(),
        Value::List(_) => None,
    }
}

/// Model names become folder names, so nothing but plain words may pass.
fn is_model_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.')
}

fn is_log_filter(text: &str) -> bool {
    let is_level = |level: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(level))
    };
    let is_target = |target: &str| {
        !target.is_empty()
            && target.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
    };
    text.split(',').map(str::trim).all(|directive| match directive.split_once('=') {
        Some((target, level)) => is_target(target.trim()) && is_level(level.trim()),
        None => is_level(directive),
    })
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: &[String]) -> String {
    toml::Value::Array(items.iter().cloned().map(toml::Value::String).collect()).to_string()
}
