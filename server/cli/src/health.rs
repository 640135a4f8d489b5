//! `health`: asks the server of this machine over HTTP whether it can play, as a container's health check does. It
//! must not load models or touch the data folder: it runs every few seconds beside the server.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{args::HealthArgs, config, failure::Failure, output};

/// Longest answer that is read; the server's own are some hundred bytes.
const MOST_BYTES: u64 = 16 * 1024;

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: String,
}

/// `rehearsekit health`.
pub(crate) fn run(args: &HealthArgs, data: Option<&Path>) -> Result<(), Failure> {
    let address = reachable(config::load(&args.settings, data)?.http);
    let path = if args.live { "/healthz" } else { "/readyz" };
    let began = Instant::now();
    let answer = ask(address, path, args.timeout);
    let millis = began.elapsed().as_millis() as u64;
    let (healthy, said) = match &answer {
        Ok(Answer { status: 200, .. }) => (true, None),
        Ok(answer) => (false, Some(format!("the server at {address} is not ready: {}", reason(answer)))),
        Err(error) => (false, Some(format!("no server answers at http://{address}{path}: {error}"))),
    };
    if args.json {
        let url = format!("http://{address}{path}");
        output::json(&json!({ "healthy": healthy, "url": url, "millis": millis, "reason": said }))?;
    } else if healthy {
        output::line(&format!("healthy: http://{address}{path} answered after {millis} ms"));
    }
    said.map_or(Ok(()), |said| Err(Failure::server(said)))
}

/// Where a server that listens on `address` is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One GET; all of it within `timeout`, however slowly the answer drips.
fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Answer> {
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
        let read = match (&stream).take(MOST_BYTES - bytes.len() as u64).read(&mut part) {
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
    Some(Answer { status, body: body.trim().to_owned() })
}

/// The server's own words, where it is ours.
fn reason(answer: &Answer) -> String {
    let said = serde_json::from_str::<serde_json::Value>(&answer.body).ok();
    let reason = said.as_ref().and_then(|said| said["reason"].as_str());
    reason.map_or_else(|| format!("it says {} {}", answer.status, answer.body), str::to_owned)
}

#[cfg(test)]
mod tests {
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
        let text =
            "HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\n{\"ready\":false,\"reason\":\"models load\"}";
        let answer = understand(text).unwrap();
        assert_eq!((answer.status, reason(&answer).as_str()), (503, "models load"));
        assert_eq!(reason(&Answer { status: 404, body: "gone".to_owned() }), "it says 404 gone");
        for nonsense in
            ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 many\r\n\r\n", "HTTP/1.1 200 OK"]
        {
            assert_eq!(understand(nonsense), None, "{nonsense:?}");
        }
    }
}
