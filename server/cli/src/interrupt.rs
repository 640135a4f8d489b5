//! Ctrl-C and SIGTERM as a flag: loops look at it, end in order and leave nothing half-written.
//! Who presses twice is taken at their word. A signal that was ignored when the program began, as by `nohup`, stays so.

use std::{
    process,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rehearsekit_models::fetch::Cancel;

use crate::failure::Failure;

static SIGNALS: AtomicU32 = AtomicU32::new(0);
static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::new);

/// Starts listening for signals. Once per process.
pub(crate) fn install() -> Result<(), Failure> {
    #[cfg(unix)]
    let ignored = rehearsekit_process::inherited::ignored();
    ctrlc::set_handler(|| {
        if SIGNALS.fetch_add(1, Ordering::Relaxed) > 0 {
            process::exit(1);
        }
        CANCEL.cancel();
    })
    .map_err(|error| Failure::run(format!("cannot listen for Ctrl-C: {error}")))?;
    #[cfg(unix)]
    if !ignored.restore() {
        return Err(Failure::run("cannot leave ignored signals ignored"));
    }
    Ok(())
}

/// Whether somebody asked us to stop.
pub(crate) fn requested() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 0
}

/// The same wish for what fetches and checks models.
pub(crate) fn cancel() -> Cancel {
    CANCEL.clone()
}
