//! `doctor`: everything a start-up checks, and one real inference per installed model; each failure with what
//! to do. It changes nothing but a test file in the data folder, which it removes again.

use std::{
    net::{TcpListener, UdpSocket},
    path::Path,
    time::Instant,
};

use rehearsekit_audio::{Audio, SampleRate};
use rehearsekit_models::{ModelError, StemBlock, store::Store};
use rehearsekit_server::{clients::ClientBook, config::Config, data_dir, identity::Identity};
use serde_json::json;

use crate::{args::DoctorArgs, config, engine, failure::Failure, output};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, but somebody should know.
    Warning,
    Failed,
}

/// One thing that was looked at.
struct Finding {
    check: String,
    verdict: Verdict,
    /// What was found; for a failure, with what to do.
    detail: String,
}

/// `rehearsekit doctor`.
pub(crate) fn run(args: &DoctorArgs, data: Option<&Path>) -> Result<(), Failure> {
    let findings = examine(args, data);
    let failed = findings.iter().filter(|f| f.verdict == Verdict::Failed).count();
    if args.json {
        let checks: Vec<_> = findings
            .iter()
            .map(|f| json!({ "check": f.check, "verdict": f.verdict.word(), "detail": f.detail }))
            .collect();
        output::json(&json!({ "healthy": failed == 0, "checks": checks }))?;
    } else {
        let width = findings.iter().map(|f| f.check.chars().count()).max().unwrap_or(0);
        for finding in &findings {
            let Finding { check, verdict, detail } = finding;
            output::line(&format!("{:7} {check:width$}  {detail}", verdict.word()));
        }
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::run("one check failed; what to do stands beside it")),
        n => Err(Failure::run(format!("{n} checks failed; what to do stands beside each"))),
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// Looks at one thing after the other; what depends on a failed one is left out.
fn examine(args: &DoctorArgs, data: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut note = |check: &str, result: Result<String, String>| {
        let (verdict, detail) = match result {
            Ok(detail) => (Verdict::Good, detail),
            Err(detail) => (Verdict::Failed, detail),
        };
        findings.push(Finding { check: check.to_owned(), verdict, detail });
        verdict == Verdict::Good
    };
    let config = match config::load(&args.settings, data) {
        Ok(config) => config,
        Err(error) => {
            note("configuration", Err(error.to_string()));
            return findings;
        }
    };
    note("configuration", Ok(format!("{} keys, all understood", config.show().len())));
    let writable = data_dir::check(&config.data)
        .map(|()| format!("{} can be written to", config.data.display()))
        .map_err(|error| error.to_string());
    if !note("data folder", writable) {
        return findings;
    }
    let identity = Identity::open(&config.data)
        .map(|identity| format!("fingerprint {}", identity.fingerprint()))
        .map_err(|error| error.to_string());
    note("server identity", identity);
    let clients = ClientBook::of(&config.data)
        .read()
        .map(|clients| format!("{} paired", clients.iter().filter(|client| client.is_paired()).count()))
        .map_err(|error| error.to_string());
    note("clients", clients);
    findings.extend(addresses(&config));
    match Store::open(&config.data) {
        Ok(store) => findings.extend(models(&config, &store)),
        Err(error) => findings.push(failure("models", error.to_string())),
    }
    findings
}

fn failure(check: &str, detail: String) -> Finding {
    Finding { check: check.to_owned(), verdict: Verdict::Failed, detail }
}

/// Whether the server could listen. A server that already runs holds the addresses; that is only worth a word.
fn addresses(config: &Config) -> Vec<Finding> {
    let link = UdpSocket::bind(config.listen).map(drop);
    let http = TcpListener::bind(config.http).map(drop);
    [("listen", config.listen, link), ("http", config.http, http)]
        .map(|(key, address, bound)| {
            let check = format!("address {key}");
            match bound {
                Ok(()) => Finding { check, verdict: Verdict::Good, detail: format!("{address} is free") },
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    let detail = format!("{address} is taken; fine if that is the server itself, else set {key} to another port");
                    Finding { check, verdict: Verdict::Warning, detail }
                }
                Err(error) => failure(&check, format!("cannot listen at {address}: {error}; set {key} to an address of this machine")),
            }
        })
        .into()
}

/// One inference with every installed model; a model the server is to keep warm must be there.
fn models(config: &Config, store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    let installed: Vec<String> = match store.list() {
        Ok(listed) => {
            listed.into_iter().filter(|m| m.installed_bytes.is_some()).map(|m| m.manifest.name).collect()
        }
        Err(error) => return vec![failure("models", error.to_string())],
    };
    for name in config.models.iter().filter(|name| !installed.contains(name)) {
        let detail =
            format!("not installed, but the server is to keep it warm: `rehearsekit models pull {name}`");
        findings.push(failure(&format!("model {name}"), detail));
    }
    for name in &installed {
        let check = format!("model {name}");
        match try_model(store, name) {
            Ok(detail) => findings.push(Finding { check, verdict: Verdict::Good, detail }),
            Err(detail) => findings.push(failure(&check, detail)),
        }
    }
    findings
}

/// Loads the model (which checks its files) and separates a second of tones.
fn try_model(store: &Store, name: &str) -> Result<String, String> {
    let began = Instant::now();
    let model = engine::load_from(store, name, None).map_err(|error| error.to_string())?;
    let loaded = began.elapsed();
    let song = tones().map_err(|error| error.to_string())?;
    let mut finite = true;
    let mut energy = 0.0f64;
    let mut sink = |block: StemBlock| -> Result<(), ModelError> {
        for &sample in block.stems.iter().flatten().flatten() {
            finite &= sample.is_finite();
            energy += f64::from(sample).powi(2);
        }
        Ok(())
    };
    let began = Instant::now();
    model.separate(&song, &mut sink, &mut |_, _| {}).map_err(|error| error.to_string())?;
    if !finite || energy == 0.0 {
        return Err(format!(
            "it computes nonsense; fetch it again: `rehearsekit models remove {name}`, then `rehearsekit models pull {name}`"
        ));
    }
    Ok(format!(
        "{} stems; loaded in {:.1} s, one second of sound separated in {:.1} s",
        model.stems().count(),
        loaded.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ))
}

/// One second of three tones.
fn tones() -> Result<Audio, rehearsekit_audio::audio::AudioError> {
    let rate = SampleRate::HZ_44100;
    let tone =
        |hz: f64, frame: u32| (std::f64::consts::TAU * hz * f64::from(frame) / f64::from(rate.hz())).sin();
    let channel = |shift: f64| {
        (0..rate.hz())
            .map(|f| (0.1 * (tone(110.0, f) + tone(440.0 + shift, f) + tone(2_500.0, f))) as f32)
            .collect()
    };
    Audio::new(rate, vec![channel(0.0), channel(3.0)])
}
