//! `backup` and `restore`: files and streams in and out, progress, and what is said at the end. What a backup is, the
//! server's library knows.

use std::{
    fs::File,
    io::{self, BufReader, IsTerminal as _, Read},
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use rehearsekit_media::{Inputs, WholeFile, place::shown};
use rehearsekit_models::{fetch::FetchError, store::StoreError};
use rehearsekit_private::{Danger, Exposure};
use rehearsekit_server::backup::{self, BackedUp, BackupError, Restored};
use serde_json::json;

use crate::{
    args::{BackupArgs, RestoreArgs, SettingArgs},
    config,
    failure::Failure,
    interrupt, output, progress,
};

/// `rehearsekit backup`.
pub(crate) fn back_up(args: &BackupArgs, data: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(&args.settings, data)?;
    let is_stdout = args.file.as_os_str() == "-";
    if is_stdout && (args.json || io::stdout().is_terminal()) {
        return Err(Failure::usage(
            "the backup itself goes to stdout: send that into a file, and leave out --json",
        ));
    }
    let inputs = everything_in(&config.data);
    // It holds the server's key.
    let file = WholeFile { path: &args.file, inputs: &inputs, overwrite: args.overwrite, owner_only: true };
    if !is_stdout {
        file.check()?;
    }
    let bar = progress::bytes_bar("backing up", None);
    let cancel = interrupt::cancel();
    let mut told = |done, total| show(&bar, done, total);
    let mut write = |out: &mut dyn io::Write| {
        backup::back_up(&config, !args.without_models, out, &cancel, &mut told).map_err(failure)
    };
    let result = if is_stdout { write(&mut io::stdout().lock()) } else { file.write(&mut write) };
    bar.finish_and_clear();
    let open = (!is_stdout).then(|| exposure_of(&args.file)).flatten();
    let BackedUp { fingerprint, clients, models, settings, bytes } = result?;
    if let Some(how) = open {
        // Where it goes was asked for, and a stick between two computers keeps no modes.
        output::note(&format!(
            "warning: {} holds the server's key and can be read by others {how}; or keep it in another folder",
            shown(&args.file)
        ));
    }
    if args.json {
        let mut told = json!({
            "fingerprint": fingerprint.to_string(),
            "clients": clients,
            "models": models,
            "settings": settings,
            "bytes": bytes,
        });
        output::put_path(&mut told, "file", &args.file);
        return output::json(&told);
    }
    let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
    output::note(&format!(
        "backed up: the identity {}…, {clients} paired clients, {settings} settings, {models} ({:.1} MB); it holds the \
         server's key, so keep it safe",
        &fingerprint.to_string()[..8],
        bytes as f64 / 1e6
    ));
    Ok(())
}

/// How others can read a file that was written, if they can and the system tells.
fn exposure_of(path: &Path) -> Option<Exposure> {
    rehearsekit_private::exposure(&File::open(path).ok()?, Danger::Use).ok()?
}

/// All files of the data folder, for none is replaced by a copy of all.
fn everything_in(data: &Path) -> Inputs {
    let mut inputs = Inputs::default();
    let mut open: Vec<PathBuf> = vec![data.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            } else {
                inputs.add(&entry.path());
            }
        }
    }
    inputs
}

/// `rehearsekit restore`.
pub(crate) fn restore(args: &RestoreArgs, data: Option<&Path>) -> Result<(), Failure> {
    // Settings in the folder itself may be what is to be replaced.
    let folder = match config::named_folder(data) {
        Some(folder) => folder,
        None => config::load(&SettingArgs::default(), None)?.data,
    };
    let is_stdin = args.file.as_os_str() == "-";
    let (from, total): (Box<dyn Read>, Option<u64>) = if is_stdin {
        (Box::new(io::stdin().lock()), None)
    } else {
        let unread = |error: io::Error| Failure::input(format!("cannot read {}: {error}", shown(&args.file)));
        let file = File::open(&args.file).map_err(unread)?;
        let length = file.metadata().map_err(unread)?.len();
        (Box::new(BufReader::new(file)), Some(length))
    };
    let bar = progress::bytes_bar("restoring", total);
    let cancel = interrupt::cancel();
    let mut told = |done, total| show(&bar, done, total);
    let restored = backup::restore(&folder, from, args.replace, total, &cancel, &mut told);
    bar.finish_and_clear();
    let Restored { fingerprint, clients, models, settings, made_by, replaced, other_platform } =
        restored.map_err(failure)?;
    if let Some(platform) = &other_platform {
        output::note(&format!(
            "warning: ONNX Runtime in the backup is for {platform} and was left out; rehearsekit models pull of any model \
             brings the right one"
        ));
    }
    if args.json {
        let mut told = json!({
            "fingerprint": fingerprint.to_string(),
            "clients": clients,
            "models": models,
            "settings": settings,
            "made_by": made_by.0,
            "made_at": made_by.1,
            "replaced": null,
            "other_platform": other_platform,
        });
        output::put_path(&mut told, "data", &folder);
        if let Some(replaced) = &replaced {
            output::put_path(&mut told, "replaced", replaced);
        }
        return output::json(&told);
    }
    let models = if models.is_empty() { "no model".to_owned() } else { models.join(", ") };
    output::line(&format!(
        "{} is the server {}… again: {clients} paired clients, {models}{}",
        shown(&folder),
        &fingerprint.to_string()[..8],
        if settings { ", its settings in server.toml" } else { "" }
    ));
    if let Some(kept) = replaced {
        output::note(&format!("what was there before is in {}; delete it when all is well", shown(&kept)));
    }
    Ok(())
}

fn show(bar: &ProgressBar, done: u64, total: Option<u64>) {
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(done);
}

fn failure(error: BackupError) -> Failure {
    match error {
        BackupError::Stopped
        | BackupError::Fetch(FetchError::Cancelled)
        | BackupError::Model(StoreError::Fetch(FetchError::Cancelled)) => {
            Failure::run("stopped; nothing was changed")
        }
        BackupError::Nothing(_) | BackupError::NotEmpty { .. } | BackupError::Layout(_) => {
            Failure::usage(error)
        }
        error if error.is_bad_input() => Failure::input(error),
        error => Failure::run(error),
    }
}
