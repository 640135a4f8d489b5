//! The clock: pairing codes live two minutes of it, and files carry its time. Must not set it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use rehearsekit_server::clients::ClientBook;

use super::finding::{Finding, Trouble};

/// This program did not exist before; seconds since 1970, as all times here. (June 2025.)
const WRITTEN_AT: u64 = 1_748_736_000;
/// When it was built, where the build was told: that of a reproducible image is.
const BUILT_AT: Option<&str> = option_env!("SOURCE_DATE_EPOCH");
/// So far a clock may have been put back since a client was paired.
const PUT_BACK: Duration = Duration::from_secs(120);

pub(crate) fn examine(data: &Path) -> Finding {
    let clients = ClientBook::of(data).read().unwrap_or_default();
    let paired_last = clients.iter().map(|client| client.paired_at).max();
    let made_at = BUILT_AT.and_then(|seconds| seconds.parse().ok()).unwrap_or(0).max(WRITTEN_AT);
    judge(SystemTime::now(), made_at, paired_last, is_synchronized())
}

/// `made_at`: when this program was; `paired_last`: when the youngest client was paired; `synchronized`: whether another clock is followed, if that is known.
fn judge(now: SystemTime, made_at: u64, paired_last: Option<u64>, synchronized: Option<bool>) -> Finding {
    let check = "clock";
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let way = "set it, or better let it follow a time server (NTP); TrueNAS: System, General, NTP Servers";
    if now < at(made_at) {
        let told = format!("this machine's clock stands before this program was made: {way}");
        return Finding::failed(check, Trouble::ClockWrong, told);
    }
    if paired_last.is_some_and(|seconds| now + PUT_BACK < at(seconds)) {
        let told = format!("this machine's clock stands before the moment a client was paired here: {way}");
        return Finding::failed(check, Trouble::ClockWrong, told);
    }
    match synchronized {
        Some(true) => Finding::good(check, "plausible, and follows a time server"),
        Some(false) => {
            let told = format!("plausible, but it follows no time server and will drift: {way}");
            Finding::warning(check, Trouble::ClockAlone, told)
        }
        None => Finding::good(check, "plausible; whether it follows a time server cannot be seen from here"),
    }
}

/// What systemd knows. In a container it is the host's business and cannot be seen.
fn is_synchronized() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_told() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let name = |finding: Finding| finding.verdict.trouble().map(Trouble::name);
        let (made, now) = (WRITTEN_AT, WRITTEN_AT + 1_000_000);
        assert_eq!(name(judge(at(0), made, None, Some(true))), Some("clock-wrong"));
        assert_eq!(name(judge(at(now), now + 1, None, Some(true))), Some("clock-wrong"));
        assert_eq!(name(judge(at(now), made, Some(now + 3_600), None)), Some("clock-wrong"));
        assert_eq!(name(judge(at(now), made, Some(now + 60), None)), None);
        assert_eq!(name(judge(at(now), made, Some(now - 60), Some(false))), Some("clock-alone"));
        assert_eq!(name(judge(at(now), made, None, Some(true))), None);
    }
}
