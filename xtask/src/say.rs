//! What xtask says. These macros take the place of the standard library's in all of xtask: those panic when nobody reads
//! any more (`| head`, a closed terminal), and what was started would run on. Must not decide what is said.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output is for the result alone.
static PROGRESS_TO_STDERR: AtomicBool = AtomicBool::new(false);

macro_rules! println {
    () => { $crate::say::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::say::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! print {
    ($($text:tt)*) => { $crate::say::out(format_args!($($text)*)) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::say::error(format_args!("{}\n", format_args!($($text)*))) };
}

/// From here on only [`result`] goes to standard output.
pub(crate) fn progress_to_stderr() {
    PROGRESS_TO_STDERR.store(true, Ordering::Relaxed);
}

/// To standard output, whatever else is said.
pub(crate) fn result(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// To standard output, if anybody reads it.
pub(crate) fn out(text: fmt::Arguments<'_>) {
    if PROGRESS_TO_STDERR.load(Ordering::Relaxed) {
        return error(text);
    }
    let _ = io::stdout().write_fmt(text);
}

/// To standard error, if anybody reads it.
pub(crate) fn error(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}
