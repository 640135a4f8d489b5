//! One question to a server over HTTP, for commands that want an answer and no client. Must not load models or touch the
//! data folder: a container's health check asks every few seconds.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Where a server that listens on `address` is reached from its own machine.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One GET; all of it within `timeout`, however slowly the answer drips, and no more than `most_bytes` of it.
pub(crate) fn ask(address: SocketAddr, path: &str, timeout: Duration, most_bytes: u64) -> io::Result<Answer> {
    let until = Instant::now() + timeout;
    let late = || io::Error::new(io::ErrorKind::TimedOut, "nothing whole came in time");
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    loop {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or_else(late)?))?;
        let read = match (&stream).take(most_bytes - bytes.len() as u64).read(&mut part) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(late());
            }
            Err(error) => return Err(error),
        };
        bytes.extend_from_slice(&part[..read]);
    }
    understand(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers there does not speak HTTP"))
}

fn understand(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        for (listens, asked) in [
            ("0.0.0.0:7480", "127.0.0.1:7480"),
            ("[::]:7480", "[::1]:7480"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn only_http_is_understood() {
        let answer = understand("HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"ready\":false}");
        assert_eq!(answer, Some(Answer { status: 503, body: "{\"ready\":false}".to_owned() }));
        for nonsense in
            ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 many\r\n\r\n", "HTTP/1.1 200 OK"]
        {
            assert_eq!(understand(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn who_does_not_speak_http_is_no_server() {
        let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = somebody.local_addr().unwrap();
        let hello = std::thread::spawn(move || {
            let (mut peer, _) = somebody.accept().unwrap();
            peer.write_all(b"220 hello\r\n\r\n").unwrap();
        });
        let asked = || ask(address, "/healthz", Duration::from_secs(2), 1024).ok();
        assert_eq!(asked(), None);
        hello.join().unwrap();
        assert_eq!(asked(), None, "nobody");
    }
}
