//! Whether a server can be found: multicast DNS out of and into this machine. What is on the way shows only to a client
//! that reaches a server and does not hear it.

use rehearsekit_discovery::{self as discovery, Trouble as Heard};
use rehearsekit_server::{avahi, config::Config};

use super::finding::{Finding, Trouble};

const CHECK: &str = "multicast";

/// For a server's machine: only where it would announce itself.
pub(crate) fn of_server(config: &Config) -> Finding {
    if config.listen.ip().is_loopback() {
        return Finding::good(
            CHECK,
            "not needed: the server listens for programs on this machine only (key listen)",
        );
    }
    if !config.announce {
        return Finding::good(CHECK, "not needed: the server is told to be silent (announce = false)");
    }
    match discovery::examine() {
        Some(Heard::PortTaken) => beside_another(avahi::version().map_err(|error| error.to_string())),
        seen => judge(seen),
    }
}

/// A server whose machine has another program that keeps the port of multicast DNS; `avahi`: which one announces for
/// us, or why none does.
fn beside_another(avahi: Result<String, String>) -> Finding {
    match avahi {
        Ok(version) => Finding::good(
            CHECK,
            format!(
                "another program keeps UDP port 5353 to itself; {version} announces the server, and players who ask by broadcast are answered"
            ),
        ),
        Err(error) => Finding::warning(
            CHECK,
            Trouble::MulticastBlocked,
            format!(
                "another program keeps UDP port 5353 to itself (on TrueNAS its own avahi does), and avahi cannot be asked \
                 to announce the server ({error}): mount /run/dbus/system_bus_socket into the container. Players find the \
                 server by a question to UDP port 7432 all the same, unless a firewall is in the way"
            ),
        ),
    }
}

/// What this very machine does with multicast; takes a second.
pub(crate) fn here() -> Finding {
    judge(discovery::examine())
}

/// What is known of trouble, as a finding.
pub(crate) fn judge(trouble: Option<Heard>) -> Finding {
    match trouble {
        None => Finding::good(CHECK, "questions get out of this machine and announcements in"),
        Some(error @ Heard::NoNetwork) => Finding::warning(CHECK, Trouble::NoNetwork, error.to_string()),
        Some(error) => Finding::warning(CHECK, Trouble::MulticastBlocked, error.to_string()),
    }
}
