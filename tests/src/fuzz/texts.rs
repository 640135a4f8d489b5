//! What is read of the network's texts: announcements, hosts and origins, tokens, codes. Whatever passes is what it
//! says it is, judged in another way than by the code that let it pass.

use std::net::IpAddr;

use rehearsekit_discovery::Announcement;
use rehearsekit_protocol::PairingCode;

use super::server::{
    hex::{from_hex, hex},
    names::{AllowedHosts, bearer},
};

/// The same bytes as each of the texts that strangers may write.
pub(super) fn texts(data: &[u8]) {
    announcement(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        host(line);
        token(line);
        code(line);
    }
}

/// Lines as the properties of a TXT record.
fn announcement(data: &[u8]) {
    let properties: Vec<(&str, &[u8])> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            Some((std::str::from_utf8(&line[..at]).ok()?, &line[at + 1..]))
        })
        .collect();
    let port = data.len() as u16;
    let Ok(read) = Announcement::from_properties(properties, port) else { return };
    assert!((1..=64).contains(&read.name.len()) && !read.name.chars().any(char::is_control));
    assert!((1..=32).contains(&read.version.len()) && !read.version.chars().any(char::is_control));
    assert!((1..=16).contains(&read.models.len()) && read.protocol.0 <= read.protocol.1);
    assert!(read.quic_port == port && port > 0 && read.http_port != Some(0));
    for model in &read.models {
        // It may become part of a path at the client's, should that ever be so careless.
        assert!(!model.is_empty() && !model.contains(['/', '\\', '\0', ' ', '\n']));
    }
    let told = read.to_properties();
    assert!(told.iter().all(|(key, value)| key.len() + 1 + value.len() <= 255));
    let told = told.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
    let again = Announcement::from_properties(told, port).expect("what was accepted can be told on");
    assert!(read.models.starts_with(&again.models));
    assert_eq!(Announcement { models: read.models.clone(), ..again }, read);
}

/// A host in a request, or an origin.
fn host(line: &str) {
    let listen = IpAddr::from([192, 168, 1, 5]);
    let hosts = AllowedHosts::new(listen, &["NAS.local".to_owned()]);
    let everywhere = AllowedHosts::new(IpAddr::from([0, 0, 0, 0]), &["NAS.local".to_owned()]);
    let lower = line.to_ascii_lowercase();
    // Without a port, without brackets, without a last dot.
    let bare = match lower.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !before.is_empty() => before,
        _ => &lower,
    };
    let bare = if lower.starts_with('[') && lower.ends_with(']') { &lower } else { bare };
    let inner = bare.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let address = inner.unwrap_or(bare).parse::<IpAddr>().ok();
    let name = inner.unwrap_or(bare);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = ["localhost", "nas.local"].contains(&name);
    if hosts.allow(line) {
        assert!(is_name || address.is_some_and(|a| a.is_loopback() || a == listen), "{line:?} passed");
        assert!(everywhere.allow(line), "{line:?} passes nearly everywhere");
    }
    if everywhere.allow(line) {
        assert!(is_name || address.is_some(), "{line:?} passed");
    }
    if hosts.allow_origin(line) {
        let authority = line.split_once("://").map(|(_, authority)| authority);
        assert!(authority.is_some_and(|authority| hosts.allow(authority)), "{line:?} passed as an origin");
    }
}

/// An `Authorization`.
fn token(line: &str) {
    let Some(token) = bearer(line).and_then(from_hex) else { return };
    let lower = line.to_ascii_lowercase();
    assert!(lower.starts_with("bearer ") && lower.trim_end().ends_with(&hex(&token)));
}

/// A code that somebody typed.
fn code(line: &str) {
    let Ok(code) = line.parse::<PairingCode>() else { return };
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, code.digits());
    assert_eq!(code.to_string().parse(), Ok(code));
}
