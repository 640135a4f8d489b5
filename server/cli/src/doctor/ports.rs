//! The two addresses that a server listens at: free, our own server's, or taken, and by whom, as far as the system tells.

use std::{
    fs,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

use rehearsekit_server::config::Config;

use super::finding::{Finding, Trouble};
use crate::http::{Answer, ask, reachable};

/// A server answers at once; what takes longer is something else.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The metrics of a full house are some ten thousand bytes.
const MOST_BYTES: u64 = 1 << 20;

pub(crate) fn examine(config: &Config) -> Vec<Finding> {
    let link = UdpSocket::bind(config.listen).map(drop);
    let http = TcpListener::bind(config.http).map(drop);
    let is_ours =
        || asked(config.http, "/healthz").is_some_and(|answer| answer.status == 200 && answer.body == "ok\n");
    // A server that runs holds both. Whoever holds one alone is somebody else.
    let is_ours = [&link, &http].iter().any(|bound| is_taken(bound)) && is_ours();
    vec![
        judge("address listen", "listen", "udp", config.listen, link, is_ours),
        judge("address http", "http", "tcp", config.http, http, is_ours),
    ]
}

fn is_taken(bound: &io::Result<()>) -> bool {
    bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

fn judge(
    check: &str,
    key: &str,
    protocol: &str,
    address: SocketAddr,
    bound: io::Result<()>,
    is_ours: bool,
) -> Finding {
    match bound {
        Ok(()) => Finding::good(check, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_ours => {
            Finding::good(check, format!("{address} is taken by a rehearsekit server that runs and answers"))
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let who = holder(Path::new("/proc"), protocol, address.port()).map_or_else(
                || "another program".to_owned(),
                |(name, pid)| format!("{name} (process {pid})"),
            );
            let told =
                format!("{address} ({protocol}) is taken by {who}: end that, or set {key} to another port");
            Finding::failed(check, Trouble::PortTaken, told)
        }
        Err(error) => {
            let way = match error.kind() {
                ErrorKind::AddrNotAvailable => "set {key} to an address of this machine, or to 0.0.0.0",
                ErrorKind::PermissionDenied => "set {key} to a port above 1023",
                _ => "set {key} to another address",
            };
            let told = format!("cannot listen at {address}: {error}; {}", way.replace("{key}", key));
            Finding::failed(check, Trouble::AddressUnusable, told)
        }
    }
}

/// What our server at `http` answers to a question for `path`; `None` where nobody answers in HTTP.
pub(crate) fn asked(http: SocketAddr, path: &str) -> Option<Answer> {
    ask(reachable(http), path, ANSWER_WITHIN, MOST_BYTES).ok()
}

/// How many play on the server that runs here with this configuration; 0 where none runs.
pub(crate) fn sessions(config: &Config) -> u64 {
    let metrics = asked(config.http, "/metrics").map(|answer| answer.body).unwrap_or_default();
    let count = metrics.lines().find_map(|line| line.strip_prefix("rehearsekit_sessions "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Name and number of the process that holds a port, where Linux tells; of other users' processes only root is told.
fn holder(proc: &Path, protocol: &str, port: u16) -> Option<(String, u32)> {
    let tables = [protocol.to_owned(), format!("{protocol}6")];
    let sockets: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(proc.join("net").join(table)).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(|line| socket_at(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir(proc).ok()?.flatten();
    processes.into_iter().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let holds = open.any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
        });
        let name = holds.then(|| fs::read_to_string(process.path().join("comm")).unwrap_or_default())?;
        Some((name.trim().to_owned(), pid))
    })
}

/// The inode of a socket that is bound to `port`, out of a line of `/proc/net`: for TCP one that listens.
fn socket_at(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    let at = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    // 07 is what UDP calls its only state, 0A is listening.
    (at == port && ["07", "0A"].contains(state)).then(|| (*inode).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn who_holds_a_port_is_found() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
        let own = Some(std::process::id());
        let holder = |protocol: &str, address: SocketAddr| {
            holder(Path::new("/proc"), protocol, address.port()).map(|(_, pid)| pid)
        };
        assert_eq!(holder("udp", udp.local_addr().unwrap()), own);
        assert_eq!(holder("tcp", tcp.local_addr().unwrap()), own);
        let free = udp.local_addr().unwrap();
        drop(udp);
        assert_eq!(holder("udp", free), None);
    }
}
