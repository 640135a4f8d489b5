//! The client's half of the roll call: asks all networks of this machine by broadcast, and gathers the answers
//! without waiting for them. Must not trust an answer more than an announcement.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

use crate::{
    Announcement,
    roll_call::{MOST_BYTES, Nonce, PORT, question, read_answer},
};

/// Most packets that are read at a time; who floods us gets no more.
const MOST_AT_ONCE: usize = 64;

/// One network of this machine: our address in it, and the one that reaches all in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    own: Ipv4Addr,
    everybody: Ipv4Addr,
}

/// Asks and hears.
pub(crate) struct Asker {
    nonce: Nonce,
    sockets: Vec<(Network, UdpSocket)>,
}

impl Asker {
    pub(crate) fn new() -> Self {
        // A hasher's keys are random; no answer can be made up without having heard the question.
        Self { nonce: RandomState::new().hash_one(std::process::id()).to_be_bytes(), sockets: Vec::new() }
    }

    /// Asks each network once. Where that is not possible nothing is heard, which is what there is to know.
    pub(crate) fn ask(&mut self) {
        let networks = networks();
        self.sockets.retain(|(network, _)| networks.contains(network));
        for network in networks {
            if !self.sockets.iter().any(|(known, _)| *known == network)
                && let Ok(socket) = open(network.own)
            {
                self.sockets.push((network, socket));
            }
        }
        let question = question(self.nonce);
        for (network, socket) in &self.sockets {
            // Some networks pass on only the one, some only the other.
            for to in [network.everybody, Ipv4Addr::BROADCAST] {
                if let Err(error) = socket.send_to(&question, (to, PORT)) {
                    tracing::debug!(%to, %error, "the roll call could not be sent");
                }
            }
        }
    }

    /// What has been answered since: who says what, and where its link is.
    pub(crate) fn hear(&self) -> Vec<(Announcement, SocketAddr)> {
        let mut heard = Vec::new();
        let mut packet = [0; MOST_BYTES];
        for (_, socket) in &self.sockets {
            for _ in 0..MOST_AT_ONCE {
                let Ok((bytes, from)) = socket.recv_from(&mut packet) else { break };
                match read_answer(&packet[..bytes], self.nonce) {
                    Some(Ok(announcement)) if is_believable(from.ip()) => {
                        let address = SocketAddr::new(from.ip(), announcement.quic_port);
                        heard.push((announcement, address));
                    }
                    Some(Err(error)) => tracing::debug!(%from, %error, "a broken answer to the roll call"),
                    _ => {}
                }
            }
        }
        heard
    }
}

fn is_believable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()
}

fn open(own: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The networks that this machine is part of, loopback and lines to a single other machine left out.
fn networks() -> Vec<Network> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let usable = interfaces.iter().filter(|i| i.is_oper_up() && !i.is_p2p() && !i.is_loopback());
    let mut networks: Vec<Network> = usable
        .filter_map(|interface| match &interface.addr {
            if_addrs::IfAddr::V4(own) => {
                let everybody = Ipv4Addr::from(u32::from(own.ip) | !u32::from(own.netmask));
                Some(Network { own: own.ip, everybody })
            }
            if_addrs::IfAddr::V6(_) => None,
        })
        .collect();
    networks.dedup();
    networks
}
