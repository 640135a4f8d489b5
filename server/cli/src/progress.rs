//! Progress bars with time left, on stderr, only where a terminal shows them.

use std::{borrow::Cow, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over frames of music, shown in seconds of it.
pub(crate) fn frames_bar(what: &'static str, total: u64) -> ProgressBar {
    styled(ProgressBar::new(total), "{msg:12} [{bar:40}] {percent:>3} %  {elapsed} elapsed, {eta} left", what)
}

/// A bar over bytes; without a known total it only counts.
pub(crate) fn bytes_bar(what: impl Into<Cow<'static, str>>, total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => styled(
            ProgressBar::new(total),
            "{msg:24} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
            what,
        ),
        None => {
            let bar = styled(ProgressBar::new_spinner(), "{msg:24} {spinner} {bytes} {elapsed}", what);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        }
    }
}

fn styled(bar: ProgressBar, template: &str, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    // The templates are our own and valid; the plain style is what remains if one were not.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}
