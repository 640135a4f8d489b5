//! The server's half of the roll call: answers the question with what it announces, to this network only and never
//! with more bytes than were asked with. A thread of its own; must not know what a session is.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    Announcement, Load,
    roll_call::{MOST_BYTES, PORT, answer},
};

/// How often the thread looks whether it shall end.
const LOOK: Duration = Duration::from_millis(250);

/// Answers until it is dropped.
pub struct Answerer {
    announcement: Arc<Mutex<Announcement>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answerer {
    /// Answers with `announcement` for a server that listens at `listening`, whose port is told. `may_answer` is asked
    /// before each answer and limits their rate.
    ///
    /// # Errors
    /// When `listening` is loopback or IPv6 alone, or the socket cannot be opened.
    pub fn start(
        announcement: Announcement,
        listening: SocketAddr,
        may_answer: impl FnMut(Instant) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let from = match listening.ip().to_canonical() {
            IpAddr::V4(ip) if !ip.is_loopback() => ip,
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::UNSPECIFIED,
            ip => {
                return Err(io::Error::new(
                    ErrorKind::Unsupported,
                    format!("{ip} hears no broadcast of IPv4"),
                ));
            }
        };
        // Broadcasts come to a socket that is bound to no address; answers leave by the address that is listened on.
        let ear = open(Ipv4Addr::UNSPECIFIED)?;
        let mouth = if from.is_unspecified() { ear.try_clone()? } else { open(from)? };
        let announcement = Arc::new(Mutex::new(Announcement { quic_port: listening.port(), ..announcement }));
        let stop = Arc::new(AtomicBool::new(false));
        let (said, ended) = (announcement.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("discovery".to_owned()).spawn(move || {
            listen(&ear, &mouth, &said, &ended, may_answer);
        })?;
        Ok(Self { announcement, stop, thread: Some(thread) })
    }

    /// Tells from now on that the server is this busy.
    pub fn update(&self, load: Load) {
        self.announcement.lock().unwrap_or_else(PoisonError::into_inner).load = load;
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // If it panicked, it has ended too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn open(ip: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Two servers on one machine hear a broadcast both.
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((ip, PORT)).into())?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket.into())
}

fn listen(
    ear: &UdpSocket,
    mouth: &UdpSocket,
    announcement: &Mutex<Announcement>,
    stop: &AtomicBool,
    mut may_answer: impl FnMut(Instant) -> bool,
) {
    let mut packet = [0; MOST_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let (bytes, from) = match ear.recv_from(&mut packet) {
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => {
                std::thread::sleep(LOOK);
                continue;
            }
        };
        let said = answer(&packet[..bytes], &announcement.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(said) = said
            && may_answer(Instant::now())
            && is_of_this_network(from.ip())
            && let Err(error) = mouth.send_to(&said, from)
        {
            tracing::debug!(%from, %error, "an answer to the roll call could not be sent");
        }
    }
}

/// Whether one of our interfaces has this address in its own network. A sender's address can be made up; so nothing
/// is ever sent beyond the networks that we are part of.
fn is_of_this_network(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { return false };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().any(|interface| match &interface.addr {
        if_addrs::IfAddr::V4(own) => {
            let mask = u32::from(own.netmask);
            !own.ip.is_loopback() && u32::from(own.ip) & mask == u32::from(ip) & mask
        }
        if_addrs::IfAddr::V6(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::tests::closet;

    #[test]
    fn a_server_that_only_this_machine_can_reach_answers_nobody() {
        for address in ["127.0.0.1:7433", "[::1]:7433", "[fd77::1]:7433"] {
            let refused = Answerer::start(closet(), address.parse().unwrap(), |_| true);
            assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::Unsupported), "{address}");
        }
    }

    #[test]
    fn addresses_beyond_our_networks_are_strangers() {
        assert!(!is_of_this_network("198.51.100.7".parse().unwrap()));
        assert!(!is_of_this_network("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_network("::1".parse().unwrap()));
    }
}
