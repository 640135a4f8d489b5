//! `health`: asks the server of this machine over HTTP whether it can play, as a container's health check does. It
//! must not load models or touch the data folder: it runs every few seconds beside the server.

use std::{path::Path, time::Instant};

use serde_json::json;

use crate::{
    args::HealthArgs,
    config,
    failure::Failure,
    http::{Answer, ask, reachable},
    output,
};

/// Longest answer that is read; the server's own are some hundred bytes.
const MOST_BYTES: u64 = 16 * 1024;

/// `rehearsekit health`.
pub(crate) fn run(args: &HealthArgs, data: Option<&Path>) -> Result<(), Failure> {
    let address = reachable(config::load(&args.settings, data)?.http);
    let path = if args.live { "/healthz" } else { "/readyz" };
    let began = Instant::now();
    let answer = ask(address, path, args.timeout, MOST_BYTES);
    let millis = began.elapsed().as_millis() as u64;
    let (healthy, said) = match &answer {
        Ok(Answer { status: 200, .. }) => (true, None),
        Ok(answer) => (false, Some(format!("the server at {address} is not ready: {}", reason(answer)))),
        Err(error) => (false, Some(format!("no server answers at http://{address}{path}: {error}"))),
    };
    if args.json {
        let url = format!("http://{address}{path}");
        let causes = answer.as_ref().map(causes).unwrap_or_default();
        output::json(
            &json!({ "healthy": healthy, "url": url, "millis": millis, "reason": said, "causes": causes }),
        )?;
    } else if healthy {
        output::line(&format!("healthy: http://{address}{path} answered after {millis} ms"));
    }
    said.map_or(Ok(()), |said| Err(Failure::server(said)))
}

/// The server's own words, where it is ours.
fn reason(answer: &Answer) -> String {
    let said = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
    let reason = said.as_ref().and_then(|said| said["reason"].as_str());
    reason.map_or_else(|| format!("it says {} {}", answer.status, answer.body.trim()), str::to_owned)
}

/// Its own names for what is wrong.
fn causes(answer: &Answer) -> Vec<String> {
    let said = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default();
    let causes = said["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    causes.iter().filter_map(|cause| cause.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_own_words_are_told() {
        let answer = |status, body: &str| Answer { status, body: body.to_owned() };
        assert_eq!(reason(&answer(503, "{\"ready\":false,\"reason\":\"models load\"}")), "models load");
        assert_eq!(reason(&answer(404, "gone")), "it says 404 gone");
        assert_eq!(
            causes(&answer(503, "{\"causes\":[\"door\",7,\"data_folder\"]}")),
            ["door", "data_folder"]
        );
        assert!(causes(&answer(404, "gone")).is_empty());
    }
}
