//! What the words in a request's headers mean: hosts, origins, tokens. Pure functions of text that strangers wrote,
//! which is why they stand alone: `tests` fuzzes this very file. Must not know requests.

use std::net::IpAddr;

/// The hosts a request may name.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: Vec<String>,
    /// The address we listen on, when it is one and not "any".
    listen: Option<IpAddr>,
    /// Listening on every address: any address may be named, but still no strange name.
    any_address: bool,
}

impl AllowedHosts {
    /// `localhost`, loopback addresses, the address we listen on, and the configured names. Listening on
    /// every address allows any *address* (rebinding needs a name), never any name.
    pub fn new(listen: IpAddr, names: &[String]) -> Self {
        let any_address = listen.is_unspecified();
        let listen = (!any_address).then_some(listen);
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect(), listen, any_address }
    }

    /// Whether `authority` (`host` or `host:port`) is one of ours. The port is not looked at: a container
    /// may publish another one.
    pub fn allow(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.any_address || address.is_loopback() || Some(address) == self.listen;
        }
        // A trailing dot is the same name to DNS.
        let name = host.strip_suffix('.').unwrap_or(&host);
        name == "localhost" || self.names.iter().any(|known| known == name)
    }

    /// Whether a browser's `Origin` is one of ours.
    pub(crate) fn allow_origin(&self, origin: &str) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| self.allow(authority))
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, in lower case; `None` if it is neither.
fn host_of(authority: &str) -> Option<String> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (after.is_empty() || after.strip_prefix(':').is_some_and(is_port)).then_some(host)?
        }
        None => match authority.split_once(':') {
            Some((host, port)) => is_port(port).then_some(host)?,
            None => authority,
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
    (!host.is_empty() && host.chars().all(plain)).then(|| host.to_ascii_lowercase())
}

/// What is shown by an `Authorization` of the kind `Bearer`.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_pass() {
        let hosts = AllowedHosts::new(IpAddr::from([127, 0, 0, 1]), &["NAS.local".to_owned()]);
        for ours in [
            "localhost",
            "LOCALHOST:7480",
            "127.0.0.1:1",
            "[::1]:7480",
            "[::1]",
            "nas.local",
            "nas.local.:80",
        ] {
            assert!(hosts.allow(ours), "{ours} was turned away");
        }
        for strange in [
            "",
            "evil.example",
            "evil.example:7480",
            "localhost.evil.example",
            "192.168.1.2",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "::1",
            "user@localhost",
            "localhost/",
            "nas.local..",
        ] {
            assert!(!hosts.allow(strange), "{strange} passed");
        }
    }

    #[test]
    fn listening_everywhere_allows_addresses_but_no_strange_names() {
        let hosts = AllowedHosts::new(IpAddr::from([0, 0, 0, 0]), &[]);
        assert!(hosts.allow("192.168.1.2:7480") && hosts.allow("[fd00::1]:7480"));
        assert!(!hosts.allow("evil.example"));
    }
}
