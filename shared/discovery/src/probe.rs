//! One look at multicast with a socket of our own, since the library keeps its failures to itself: can we ask, do we
//! hear ourselves, does anybody else say anything? IPv4 only, at most a second. Must not be open longer than that.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{SERVICE_TYPE, Trouble};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Answers are delayed by up to an eighth of a second, slow devices take longer.
const LISTEN: Duration = Duration::from_millis(900);
const SLICE: Duration = Duration::from_millis(100);

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probed {
    /// No interface but loopback has an address.
    pub(crate) no_network: bool,
    /// Why the question could be sent on no interface.
    pub(crate) failed: Option<(ErrorKind, String)>,
    /// Another program does not share the port.
    pub(crate) port_taken: bool,
    /// Our question came back to us.
    pub(crate) heard_self: bool,
    /// Something came from another machine.
    pub(crate) heard_others: bool,
}

impl Probed {
    /// What is wrong on this very machine.
    pub(crate) fn trouble_here(&self) -> Option<Trouble> {
        match &self.failed {
            _ if self.no_network => Some(Trouble::NoNetwork),
            _ if self.port_taken => Some(Trouble::PortTaken),
            Some((ErrorKind::PermissionDenied, _)) => Some(Trouble::SendingBlocked),
            Some((_, error)) => Some(Trouble::SendingFails(error.clone())),
            None => (!self.heard_self && !self.heard_others).then_some(Trouble::HearingBlocked),
        }
    }
}

/// Looks for about a second whether multicast works on this machine: what would keep an announcement from being
/// heard or a question from arriving. That somebody else is in the way cannot be seen from here.
pub fn examine() -> Option<Trouble> {
    probe(&AtomicBool::new(false)).trouble_here()
}

/// One look; ends early when `stop` is set.
pub(crate) fn probe(stop: &AtomicBool) -> Probed {
    let mut probed =
        Probed { no_network: false, failed: None, port_taken: false, heard_self: false, heard_others: false };
    let (ipv4, any) = own_addresses();
    if ipv4.is_empty() {
        // With IPv6 alone nothing is known from here, and nothing is claimed.
        (probed.no_network, probed.heard_self) = (!any, any);
        return probed;
    }
    let socket = match open(&ipv4) {
        Ok(socket) => socket,
        Err(error) => {
            probed.port_taken = error.kind() == ErrorKind::AddrInUse;
            probed.failed = Some((error.kind(), error.to_string()));
            return probed;
        }
    };
    let question = question();
    let mut sent = false;
    for address in &ipv4 {
        let asked = socket.set_multicast_if_v4(address);
        let to = SocketAddr::V4(SocketAddrV4::new(GROUP, PORT)).into();
        match asked.and_then(|()| socket.send_to(&question, &to)) {
            Ok(_) => sent = true,
            Err(error) => probed.failed = Some((error.kind(), error.to_string())),
        }
    }
    if sent {
        probed.failed = None;
        listen(&socket.into(), &question, &ipv4, stop, &mut probed);
    }
    probed
}

fn listen(socket: &UdpSocket, question: &[u8], own: &[Ipv4Addr], stop: &AtomicBool, probed: &mut Probed) {
    let until = Instant::now() + LISTEN;
    let mut packet = [0; 9000];
    while Instant::now() < until
        && !stop.load(Ordering::Relaxed)
        && !(probed.heard_self && probed.heard_others)
    {
        match socket.recv_from(&mut packet) {
            Ok((bytes, from)) if own.iter().any(|address| IpAddr::V4(*address) == from.ip()) => {
                probed.heard_self |= packet.get(..bytes) == Some(question);
            }
            Ok((_, from)) => probed.heard_others |= !from.ip().is_loopback(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => std::thread::sleep(SLICE),
        }
    }
}

/// IPv4 addresses of the interfaces that are up, and whether there is any address at all, loopback left out.
fn own_addresses() -> (Vec<Ipv4Addr>, bool) {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let usable = interfaces.iter().filter(|i| i.is_oper_up() && !i.is_p2p() && !i.is_loopback());
    let addresses: Vec<IpAddr> = usable.map(if_addrs::Interface::ip).collect();
    let ipv4 = |address: &IpAddr| if let IpAddr::V4(v4) = address { Some(*v4) } else { None };
    (addresses.iter().filter_map(ipv4).collect(), !addresses.is_empty())
}

fn open(interfaces: &[Ipv4Addr]) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Bound to the group, no unicast packet that is meant for this machine's own responder comes to us instead.
    let ip = if cfg!(target_os = "linux") { GROUP } else { Ipv4Addr::UNSPECIFIED };
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(ip, PORT)).into())?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_multicast_loop_v4(true)?;
    socket.set_read_timeout(Some(SLICE))?;
    for address in interfaces {
        // Two addresses of one interface are one membership; without any, nothing is heard, which is then seen.
        let _ = socket.join_multicast_v4(&GROUP, address);
    }
    Ok(socket)
}

/// Who offers our service, and who offers anything at all? Its identifier, which multicast DNS ignores, makes it ours.
fn question() -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let id = now.subsec_micros() ^ std::process::id();
    let mut packet = (id as u16).to_be_bytes().to_vec();
    // Flags; two questions; no answers, authorities, additionals.
    packet.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
    for name in [SERVICE_TYPE, "_services._dns-sd._udp.local."] {
        for label in name.split('.') {
            // All labels are ours and short. The empty one behind the last dot ends the name.
            packet.push(label.len() as u8);
            packet.extend(label.as_bytes());
        }
        // PTR, IN.
        packet.extend([0, 12, 0, 1]);
    }
    packet
}
