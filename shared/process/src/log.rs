//! The log of a program: `tracing` to standard error, through an [`Outlet`], so that neither a reader that went away nor
//! one that does not read ends or holds up whoever logs. Must not decide what is worth a line: the filter is an argument.

use std::{
    io::{self, IsTerminal as _, Write},
    panic::{self, PanicHookInfo},
    thread,
    time::Duration,
};

use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, SubscriberBuilder},
    util::SubscriberInitExt as _,
};

use crate::Outlet;

/// How long the last words of a program that ends by a panic may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With the time and the part of the program.
    Server,
    /// Only level and text.
    Short,
}

/// Logs what `filter` lets through to `outlet`. False if somebody else's logger is there already, which stays.
pub fn start(filter: impl Into<EnvFilter>, style: Style, outlet: &Outlet) -> bool {
    let builder = builder(filter.into(), outlet);
    match style {
        Style::Server => builder.finish().try_init(),
        Style::Short => builder.with_target(false).without_time().finish().try_init(),
    }
    .is_ok()
}

fn builder(
    filter: EnvFilter,
    outlet: &Outlet,
) -> SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    EnvFilter,
    Lines,
> {
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(wants_colours())
        // Its own complaints it would print, and end the thread that logs if that fails.
        .log_internal_errors(false)
        .with_writer(Lines(outlet.clone()))
}

/// Colours are for terminals, and not where the user has said so: no-color.org.
fn wants_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).unwrap_or_default();
    io::stderr().is_terminal() && set("NO_COLOR").is_empty() && set("TERM") != "dumb"
}

/// From here on panics are told by the log. The standard library prints them itself, and would wait for a reader.
pub fn take_panics(outlet: &Outlet) {
    let outlet = outlet.clone();
    panic::set_hook(Box::new(move |info| {
        outlet.write(told(info).as_bytes());
        // When the main thread ends, so does the one that writes.
        if thread::current().name() == Some("main") {
            outlet.flush(LAST_WORDS);
        }
    }));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    let trace = match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{backtrace}"),
        _ => String::new(),
    };
    format!("thread '{}' {info}{trace}\n", thread.name().unwrap_or("without a name"))
}

/// Gives each event a writer of its own.
#[derive(Clone)]
struct Lines(Outlet);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// Gets an event as a whole.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_event_is_one_line_and_a_filter_holds() {
        let (mut read, write) = io::pipe().unwrap();
        let outlet = Outlet::new("t", write, |_| ()).unwrap();
        let log = builder(EnvFilter::new("info"), &outlet).with_target(false).without_time().finish();
        tracing::subscriber::with_default(log, || {
            tracing::info!(answer = 42, "heard");
            tracing::debug!("not heard");
        });
        assert!(outlet.flush(Duration::from_secs(60)));
        drop(outlet);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, " INFO heard answer=42\n");
    }
}
