//! `models`: list, pull, verify, remove, export, import.

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use indicatif::ProgressBar;
use rehearsekit_media::{Inputs, WholeFile, place::shown};
use rehearsekit_models::{
    fetch::{FetchError, FetchProgress, FetchStep, runtime},
    store::{Imported, Installed, Listed, PullOptions, RuntimeArrival, Store, StoreError},
};
use serde_json::{Value, json};

use crate::{
    args::{ModelsArgs, ModelsCommand},
    engine,
    failure::Failure,
    interrupt, output, progress,
};

/// `rehearsekit models …`.
pub(crate) fn run(args: &ModelsArgs, data: Option<&Path>) -> Result<(), Failure> {
    let store = engine::open_store(data)?;
    match &args.command {
        ModelsCommand::List { json } => list(&store, *json),
        ModelsCommand::Pull { names, accept_licence, json } => pull(&store, names, accept_licence, *json),
        ModelsCommand::Verify { names, json } => verify(&store, names, *json),
        ModelsCommand::Remove { name, json } => {
            store.remove(name).map_err(failure)?;
            done(*json, &json!({ "removed": name }), &format!("{name} is removed"))
        }
        ModelsCommand::Export { name, file, overwrite, json } => {
            export(&store, name, file, *overwrite, *json)
        }
        ModelsCommand::Import { file, accept_licence, json } => import(&store, file, accept_licence, *json),
    }
}

fn done(as_json: bool, value: &Value, told: &str) -> Result<(), Failure> {
    if as_json {
        return output::json(value);
    }
    output::line(told);
    Ok(())
}

fn export(store: &Store, name: &str, path: &Path, overwrite: bool, as_json: bool) -> Result<(), Failure> {
    let inputs = Inputs::new(store.exported_files(name).map_err(failure)?);
    let file = WholeFile { path, inputs: &inputs, overwrite, owner_only: false };
    file.check()?;
    let mut bar = Bar::new(name);
    let library = file.write(|out| {
        store.export(name, out, path, &interrupt::cancel(), &mut |p| bar.show(p)).map_err(failure)
    });
    bar.end();
    let library = library?;
    if library.is_none() {
        output::note("no ONNX Runtime went along, because the data folder holds none");
    }
    let mut value = json!({ "exported": name, "runtime": library });
    output::put_path(&mut value, "file", path);
    let told = format!("{name} is in {}; on the other machine: rehearsekit models import {0}", shown(path));
    done(as_json, &value, &told)
}

fn list(store: &Store, as_json: bool) -> Result<(), Failure> {
    let listed = store.list().map_err(failure)?;
    if as_json {
        return output::json(&listed.iter().map(listed_json).collect::<Vec<_>>());
    }
    for Listed { manifest, installed_bytes } in &listed {
        let state = match installed_bytes {
            Some(bytes) => format!("installed, {:.0} MB", *bytes as f64 / 1e6),
            None => "not installed".to_owned(),
        };
        output::line(&format!("{:18} {state:20} {}", manifest.name, manifest.stems.join(", ")));
        output::line(&format!("{:39} {}; {}", "", manifest.licence.name, manifest.role));
    }
    Ok(())
}

fn listed_json(listed: &Listed) -> Value {
    let manifest = &listed.manifest;
    json!({
        "name": manifest.name,
        "description": manifest.description,
        "role": manifest.role,
        "stems": manifest.stems,
        "rate_hz": manifest.rate_hz,
        "licence": manifest.licence.name,
        "licence_summary": manifest.licence.summary,
        "needs_acceptance": manifest.licence.needs_acceptance,
        "installed": listed.installed_bytes.is_some(),
        "installed_bytes": listed.installed_bytes,
    })
}

fn pull(store: &Store, names: &[String], accepted: &[String], as_json: bool) -> Result<(), Failure> {
    if let Some(stray) = accepted.iter().find(|name| !names.contains(name)) {
        return Err(Failure::usage(format!("--accept-licence {stray}: that model is not being pulled")));
    }
    let mut bar = Bar::new("onnxruntime");
    let library = runtime::ensure_runtime(store.data(), &interrupt::cancel(), &mut |p| bar.show(p))
        .map_err(fetch_failure)?;
    bar.end();
    let mut pulled = Vec::new();
    for name in names {
        let accept_licence = accepted.contains(name) || agreed_on_terminal(store, name)?;
        let options = PullOptions { accept_licence, cancel: interrupt::cancel(), ..PullOptions::default() };
        let mut bar = Bar::new(name);
        let installed = store.pull(name, &options, &mut |p| bar.show(p)).map_err(failure)?;
        bar.end();
        if !as_json {
            output::line(&installed_line(&installed));
        }
        pulled.push(installed_json(&installed));
    }
    if !as_json {
        return Ok(());
    }
    let mut told = json!({ "models": pulled });
    output::put_path(&mut told, "runtime", &library);
    output::json(&told)
}

/// Asks on a terminal about a licence that needs it. Without a terminal nobody has agreed.
fn agreed_on_terminal(store: &Store, name: &str) -> Result<bool, Failure> {
    let Some(manifest) = store.known(name).filter(|m| m.licence.needs_acceptance) else { return Ok(false) };
    let both = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !both || store.installed(name).is_ok() {
        return Ok(false);
    }
    let licence = &manifest.licence;
    let mut stderr = std::io::stderr().lock();
    // If the question cannot be shown, the answer cannot be yes.
    let asked = write!(stderr, "{name}: {}\n{}\nDo you agree? [y/N] ", licence.name, licence.summary)
        .and_then(|()| stderr.flush());
    drop(stderr);
    if asked.is_err() {
        return Ok(false);
    }
    let Ok(answer) = interrupt::line_from_stdin()? else { return Ok(false) };
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        Ok(true)
    } else {
        Err(Failure::usage(format!("{name} was not fetched, because its licence was not agreed to")))
    }
}

fn verify(store: &Store, names: &[String], as_json: bool) -> Result<(), Failure> {
    let mut names = names.to_vec();
    if names.is_empty() {
        // Also those that are there but damaged, which a list shows as not installed.
        let listed = store.list().map_err(failure)?.into_iter().map(|line| line.manifest.name);
        names = listed
            .filter(|name| !matches!(store.installed(name), Err(StoreError::NotInstalled { .. })))
            .collect();
    }
    let mut results = Vec::new();
    let mut damaged = Vec::new();
    for name in &names {
        let mut bar = Bar::new(name);
        let result = store
            .installed(name)
            .and_then(|installed| installed.verify(&interrupt::cancel(), &mut |p| bar.show(p)));
        bar.end();
        match result {
            Ok(()) => results.push(json!({ "name": name, "good": true })),
            Err(StoreError::Fetch(FetchError::Cancelled)) => return Err(Failure::cancelled()),
            Err(error) => {
                results.push(json!({ "name": name, "good": false, "reason": error.to_string() }));
                damaged.push(error.to_string());
            }
        }
        if !as_json && damaged.is_empty() {
            output::line(&format!("{name} is what it should be"));
        }
    }
    if as_json {
        output::json(&results)?;
    } else if names.is_empty() {
        output::note("no model is installed; rehearsekit models pull spleeter-2stems gets the first");
    }
    if damaged.is_empty() { Ok(()) } else { Err(Failure::input(damaged.join("; "))) }
}

fn import(store: &Store, file: &Path, accepted: &[String], as_json: bool) -> Result<(), Failure> {
    // Nobody can be asked before the file is read; the store says whose licence it is and how to agree.
    let accept_licence = !accepted.is_empty();
    let options = PullOptions { accept_licence, cancel: interrupt::cancel(), ..PullOptions::default() };
    let mut bar = Bar::new("import");
    let is_manifest = file.is_dir() || file.extension().is_some_and(|e| e == "toml");
    let imported = if is_manifest {
        let model = store.import_manifest(file, &options, &mut |p| bar.show(p));
        model.map(|model| Imported { model, runtime: RuntimeArrival::None })
    } else {
        store.import(file, &options, &mut |p| bar.show(p))
    }
    .map_err(failure)?;
    bar.end();
    let Imported { model: installed, runtime: arrival } = imported;
    let manifest = &installed.manifest;
    if manifest.licence.needs_acceptance && accept_licence && !accepted.contains(&manifest.name) {
        store.remove(&manifest.name).map_err(failure)?;
        let message = format!(
            "{} holds {1}; to agree to its licence: --accept-licence {1}",
            shown(file),
            manifest.name
        );
        return Err(Failure::usage(message));
    }
    tell_arrival(store, &arrival);
    done(as_json, &installed_json(&installed), &installed_line(&installed))
}

/// Says what became of the library in an archive, and how to get one where there is none.
fn tell_arrival(store: &Store, arrival: &RuntimeArrival) {
    match arrival {
        RuntimeArrival::Installed(library) => {
            output::note(&format!("ONNX Runtime is installed: {}", shown(library)));
        }
        RuntimeArrival::OtherBuild { brought, needed } => {
            let needed = needed.as_deref().unwrap_or("none that is known");
            output::note(&format!(
                "warning: the file brings {brought}, but this machine needs {needed}; only the model was taken"
            ));
        }
        RuntimeArrival::None | RuntimeArrival::AlreadyThere => {}
    }
    match runtime::installed_runtime(store.data()) {
        Ok(Some(_)) => {}
        Ok(None) => output::note(&format!(
            "warning: this machine has no ONNX Runtime yet; rehearsekit models pull gets one over the network, \
             a file exported on a machine of its kind brings one, and {} names one of your own",
            runtime::OVERRIDE
        )),
        // The model is in all the same.
        Err(error) => output::note(&format!("warning: {error}")),
    }
}

fn installed_line(installed: &Installed) -> String {
    let megabytes = installed.bytes() as f64 / 1e6;
    format!("{} is installed in {} ({megabytes:.0} MB)", installed.manifest.name, shown(&installed.dir))
}

fn installed_json(installed: &Installed) -> Value {
    let mut told = json!({
        "name": installed.manifest.name,
        "stems": installed.manifest.stems,
        "bytes": installed.bytes(),
    });
    output::put_path(&mut told, "folder", &installed.dir);
    told
}

fn failure(error: StoreError) -> Failure {
    match error {
        StoreError::Fetch(error) => fetch_failure(error),
        StoreError::LicenceNotAccepted { .. } | StoreError::NoDataFolder => Failure::usage(error),
        StoreError::Busy { .. } => Failure::run(error),
        other => Failure::input(other),
    }
}

fn fetch_failure(error: FetchError) -> Failure {
    match error {
        FetchError::Cancelled => Failure::cancelled(),
        FetchError::WrongHash { .. } | FetchError::BadPackage { .. } => Failure::input(error),
        other => Failure::run(other),
    }
}

/// A progress bar that begins anew with every step of a fetch.
struct Bar {
    name: String,
    now: Option<(FetchStep, ProgressBar)>,
}

impl Bar {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), now: None }
    }

    fn show(&mut self, at: FetchProgress) {
        let is_new = self.now.as_ref().is_none_or(|(step, _)| *step != at.step);
        if is_new {
            self.end();
            let step = match at.step {
                FetchStep::Downloading => "fetching",
                FetchStep::Extracting => "unpacking",
                FetchStep::Converting => "converting",
                FetchStep::Verifying => "checking",
            };
            self.now = Some((at.step, progress::bytes_bar(format!("{step} {}", self.name), at.total_bytes)));
        }
        if let Some((_, bar)) = &self.now {
            if let Some(total) = at.total_bytes {
                bar.set_length(total);
            }
            bar.set_position(at.done_bytes);
        }
    }

    fn end(&mut self) {
        if let Some((_, bar)) = self.now.take() {
            bar.finish_and_clear();
        }
    }
}
