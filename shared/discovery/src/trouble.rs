//! What may keep servers from being found, each as a sentence that says what to do. Pure: it judges what the probe
//! and the list have seen. Must not guess where it can know.

use std::time::Duration;

use crate::probe::Probed;

/// Until then silence means nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why servers may not be found. Prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No thread, no sockets.
    #[error("the search for servers does not start ({0}): type the server's address instead")]
    CannotStart(String),
    /// Only loopback is up.
    #[error(
        "this machine is on no network: connect it by cable or Wi-Fi. A server on this machine has the address 127.0.0.1"
    )]
    NoNetwork,
    /// Somebody holds the port without sharing it.
    #[error(
        "another program on this machine keeps UDP port 5353 to itself (on TrueNAS its own avahi does), so multicast DNS \
         does not work here, and no server answers the question by broadcast (UDP port 7432) either: end that program, \
         or type the server's address instead"
    )]
    PortTaken,
    /// The kernel refuses to send: a firewall here.
    #[error(
        "a firewall on this machine blocks multicast: it lets no question out to UDP port 5353. Allow that, or type \
         the server's address instead"
    )]
    SendingBlocked,
    /// Sending fails in another way.
    #[error(
        "questions to the network cannot be sent ({0}): check this machine's network, or type the server's address \
         instead"
    )]
    SendingFails(String),
    /// Our own question does not come back to us: a firewall here.
    #[error(
        "a firewall on this machine blocks multicast: nothing that is sent to UDP port 5353 arrives. Allow that (ufw: \
         `ufw allow 5353/udp`, firewalld: the service mdns), or type the server's address instead"
    )]
    HearingBlocked,
    /// A server that answers at its address is not heard.
    #[error(
        "the server answers at its address, but its announcements do not arrive: multicast (UDP port 5353) is blocked \
         on the way, by a firewall, a Wi-Fi that keeps its clients apart, or a container without host networking; or \
         the server is told to be silent (announce = false). Go on with its typed address"
    )]
    BlockedOnTheWay,
    /// Nobody says anything.
    #[error(
        "nobody on this network answers. If a server is on, multicast (UDP port 5353) is blocked on the way: by a \
         firewall, a Wi-Fi that keeps its clients apart, or a container without host networking. Type the server's \
         address instead"
    )]
    Silence,
    /// Others answer, no server does.
    #[error(
        "other devices answer on this network, but no RehearseKit server. Is it on, does it listen on the network \
         (listen = \"0.0.0.0:7433\"), may it announce itself (announce = true)? Or type its address"
    )]
    NoServer,
}

/// What is wrong, as far as it is known after `searching` so long. `found`: some server is in the list; `unheard`:
/// one that is known to answer is not.
pub(crate) fn judge(
    probed: Option<&Probed>,
    searching: Duration,
    found: bool,
    unheard: bool,
) -> Option<Trouble> {
    if found && !unheard {
        return None;
    }
    let here = probed.and_then(Probed::trouble_here);
    // What is wrong on this machine explains the rest.
    here.filter(|_| !found).or_else(|| match (unheard, probed) {
        _ if searching < PATIENCE => None,
        (true, _) => Some(Trouble::BlockedOnTheWay),
        (false, Some(probed)) if probed.heard_others => Some(Trouble::NoServer),
        (false, Some(_)) => Some(Trouble::Silence),
        (false, None) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(9);
    const WELL: Probed =
        Probed { no_network: false, failed: None, port_taken: false, heard_self: true, heard_others: true };

    #[test]
    fn what_was_found_is_no_trouble() {
        let deaf = Probed { heard_self: false, ..WELL };
        assert_eq!(judge(Some(&deaf), LONG, true, false), None);
        assert_eq!(judge(None, LONG, true, false), None);
    }

    #[test]
    fn this_machine_is_blamed_first_and_silence_needs_time() {
        let deaf = Probed { heard_self: false, heard_others: false, ..WELL };
        assert_eq!(judge(Some(&deaf), Duration::ZERO, false, false), Some(Trouble::HearingBlocked));
        assert_eq!(judge(Some(&deaf), LONG, false, true), Some(Trouble::HearingBlocked));
        let alone = Probed { heard_others: false, ..WELL };
        assert_eq!(judge(Some(&alone), Duration::ZERO, false, false), None);
        assert_eq!(judge(Some(&alone), LONG, false, false), Some(Trouble::Silence));
        assert_eq!(judge(Some(&WELL), LONG, false, false), Some(Trouble::NoServer));
        assert_eq!(judge(None, LONG, false, false), None, "not probed yet");
    }

    #[test]
    fn a_server_that_answers_and_is_not_heard_says_it_all() {
        for probed in [None, Some(&WELL)] {
            assert_eq!(judge(probed, LONG, false, true), Some(Trouble::BlockedOnTheWay));
            assert_eq!(judge(probed, LONG, true, true), Some(Trouble::BlockedOnTheWay));
        }
    }

    #[test]
    fn every_sentence_says_what_to_do() {
        let all = [
            Trouble::CannotStart("no threads".to_owned()),
            Trouble::PortTaken,
            Trouble::SendingBlocked,
            Trouble::SendingFails("no route".to_owned()),
            Trouble::HearingBlocked,
            Trouble::BlockedOnTheWay,
            Trouble::Silence,
            Trouble::NoServer,
        ];
        for trouble in all {
            let sentence = trouble.to_string();
            assert!(sentence.contains("address") && !sentence.contains("  "), "{sentence}");
        }
    }
}
