//! Ctrl-C and SIGTERM as a flag: loops look at it, end in order and leave nothing half-written.
//! A second one is taken at its word, and a command that does not come to look is ended from here. A signal that was
//! ignored when the program began, as by `nohup`, stays so.

use std::{
    io::{self, BufRead as _},
    process,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rehearsekit_models::fetch::Cancel;

use crate::failure::Failure;

/// How long a command may take to end in order. One that waits for a pipe, a prompt or a lost share may not look at all.
const GRACE: Duration = Duration::from_secs(5);
/// How often one that waits looks.
const LOOK: Duration = Duration::from_millis(50);

static SIGNALS: AtomicU32 = AtomicU32::new(0);
static INSISTS: AtomicBool = AtomicBool::new(false);
static CANCEL: LazyLock<Cancel> = LazyLock::new(Cancel::new);

/// Starts listening for signals. Once per process.
pub(crate) fn install() -> Result<(), Failure> {
    #[cfg(unix)]
    let ignored = rehearsekit_process::inherited::ignored();
    ctrlc::set_handler(|| {
        if SIGNALS.fetch_add(1, Ordering::Relaxed) > 0 {
            end();
        }
        CANCEL.cancel();
        if INSISTS.load(Ordering::Relaxed) {
            thread::spawn(|| {
                thread::sleep(GRACE);
                // Stderr may be what is stuck.
                thread::spawn(|| crate::output::complain("cancelled"));
                thread::sleep(LOOK);
                end();
            });
        }
    })
    .map_err(|error| Failure::run(format!("cannot listen for Ctrl-C: {error}")))?;
    #[cfg(unix)]
    if !ignored.restore() {
        return Err(Failure::run("cannot leave ignored signals ignored"));
    }
    Ok(())
}

/// For a command that somebody waits for: it is ended some seconds after the first signal, whatever it waits for itself.
pub(crate) fn insist() {
    INSISTS.store(true, Ordering::Relaxed);
}

/// Ends the process; files that are not finished go with it.
fn end() -> ! {
    rehearsekit_media::abandon();
    process::exit(1);
}

/// What `from` sends next; nothing when it has sent all. Who sends may wait for ever, this ends with the first signal.
pub(crate) fn receive<T>(from: &mpsc::Receiver<T>) -> Result<Option<T>, Failure> {
    loop {
        if requested() {
            return Err(Failure::cancelled());
        }
        match from.recv_timeout(LOOK) {
            Ok(sent) => return Ok(Some(sent)),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

/// A line that somebody types, or nothing where there is no more; asked for on a thread of its own, which may wait for ever.
pub(crate) fn line_from_stdin() -> Result<io::Result<String>, Failure> {
    let (to, from) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map(|_| line);
        // The receiver may have stopped waiting.
        let _ = to.send(read);
    });
    Ok(receive(&from)?.unwrap_or_else(|| Ok(String::new())))
}

/// Whether somebody asked us to stop.
pub(crate) fn requested() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 0
}

/// The same wish for what fetches and checks models.
pub(crate) fn cancel() -> Cancel {
    CANCEL.clone()
}
