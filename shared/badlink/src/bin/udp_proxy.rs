//! A bad network in front of a server, for benches and for trying things by hand.
//!
//! `udp_proxy SERVER [IMPAIRMENTS]`, like `udp_proxy 127.0.0.1:7433 loss=1%,delay=3ms,jitter=2ms`. It prints the address
//! to connect to, and runs until its standard input ends; then one JSON object says what became of the datagrams.

use std::io::{self, Read as _, Write as _};

use rehearsekit_badlink::{Impairments, Traffic, UdpProxy};

fn main() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let server = words.next().ok_or("which server? udp_proxy HOST:PORT [NAME=VALUE,...]")?;
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    let impairments: Impairments =
        words.next().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
    if let Some(more) = words.next() {
        return Err(format!("{more}: what is wrong with the link is one word, separated by commas"));
    }
    let proxy = UdpProxy::start(server, impairments).map_err(|error| format!("cannot begin: {error}"))?;
    writeln!(io::stdout(), "{}", proxy.address)
        .map_err(|error| format!("nobody reads the address: {error}"))?;
    // Whoever started it may be gone without a word; then this ends too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let Traffic { passed, lost, overflowed, rebound } = proxy.traffic();
    // The receiver may be gone.
    let _ = writeln!(
        io::stdout(),
        "{{\"passed\": {passed}, \"lost\": {lost}, \"overflowed\": {overflowed}, \"rebound\": {rebound}}}"
    );
    Ok(())
}
