//! A bad network in front of a server on this machine, for benches and for trying things by hand.
//!
//! `udp_proxy SERVER [NAME VALUE]...`, with names out of `seed`, `loss` (percent), `delay`, `jitter`, `stall-every`,
//! `stall`, `outage-at`, `outage` and `rebind-every` (milliseconds). It prints the address to connect to, and runs until
//! its standard input ends; then one JSON object says what became of the datagrams.

use std::{io::Read, time::Duration};

use rehearsekit_tests::udp_proxy::{Impairments, Traffic, UdpProxy};

fn main() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let server = words.next().ok_or("which server? udp_proxy HOST:PORT [NAME VALUE]...")?;
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    let mut impairments = Impairments::default();
    while let Some(name) = words.next() {
        let text = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        let value: f64 = text.parse().map_err(|_| format!("{name}: {text} is no number"))?;
        let time = Duration::try_from_secs_f64(value / 1e3).map_err(|error| format!("{name}: {error}"))?;
        match name.as_str() {
            "seed" => impairments.seed = value as u64,
            "loss" => impairments.loss = value / 100.0,
            "delay" => impairments.delay = time,
            "jitter" => impairments.jitter = time,
            "stall-every" => impairments.stall_every = Some(time),
            "stall" => impairments.stall = time,
            "outage-at" => impairments.outage_at = Some(time),
            "outage" => impairments.outage = time,
            "rebind-every" => impairments.rebind_every = Some(time),
            _ => return Err(format!("there is no {name}")),
        }
    }
    let proxy = UdpProxy::start(server, impairments);
    println!("{}", proxy.address);
    // Whoever started it may be gone without a word; then this ends too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let Traffic { passed, lost, overflowed, rebound } = proxy.traffic();
    println!(
        "{{\"passed\": {passed}, \"lost\": {lost}, \"overflowed\": {overflowed}, \"rebound\": {rebound}}}"
    );
    Ok(())
}
