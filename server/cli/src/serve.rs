//! `serve`: the separation server in this process, until a signal ends it.

use std::{path::Path, time::Duration};

use rehearsekit_server::{Event, Listeners, ServeError};
use serde_json::json;

use crate::{args::ServeArgs, config, failure::Failure, interrupt, logging, output};

/// How long after Ctrl-C the shutdown begins, at most.
const POLL: Duration = Duration::from_millis(50);

/// `rehearsekit serve`.
pub(crate) fn run(args: &ServeArgs, data: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(&args.settings, data)?;
    logging::start(&config.log);
    logging::detach()?;
    let listeners = Listeners::bind(&config).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("server")
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the server's threads: {error}")))?;
    let models = config.models.clone();
    let json_wanted = args.json;
    let mut addresses = None;
    let told = move |event: Event| match event {
        Event::Listening { quic, http, fingerprint } => {
            output::note(&format!("listening on {quic} (UDP); health and metrics on http://{http}"));
            output::note(&format!("fingerprint {fingerprint}"));
            output::note(&format!("loading {}", models.join(", ")));
            addresses = Some((quic, http, fingerprint.to_string()));
        }
        Event::Ready => {
            output::note("ready");
            if let Some((listen, http, fingerprint)) = addresses.as_ref().filter(|_| json_wanted) {
                // The reader of this line waits for it; that it cannot be written is not the server's end.
                let _ = output::json_line(&json!({
                    "ready": true,
                    "listen": listen.to_string(),
                    "http": http.to_string(),
                    "fingerprint": fingerprint,
                    "models": models,
                }));
            }
        }
        Event::Draining => output::note("shutting down; once more to end at once"),
    };
    let served = rehearsekit_server::run(listeners, config, told, shutdown());
    runtime.block_on(served).map_err(failure)
}

/// Ends when a signal has come.
async fn shutdown() {
    while !interrupt::requested() {
        tokio::time::sleep(POLL).await;
    }
}

fn failure(error: ServeError) -> Failure {
    match error {
        ServeError::DataDir(_)
        | ServeError::Layout(_)
        | ServeError::Listen { .. }
        | ServeError::Device(_)
        | ServeError::Memory(_) => Failure::usage(error),
        ServeError::Model { .. } => Failure::input(error),
        _ => Failure::run(error),
    }
}
