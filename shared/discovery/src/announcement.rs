//! What a server says of itself, to and from the properties of a TXT record. Pure functions with hard limits: what
//! arrives was written by anybody on the network. Must not touch a socket.

use std::{collections::BTreeSet, fmt::Write as _};

/// Longest name of a server and of a model, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Longest version, in bytes.
const MAX_VERSION_BYTES: usize = 32;
/// Most models, the limit of the server's own configuration.
const MAX_MODELS: usize = 16;
/// DNS puts a length of one byte before each property `key=value`.
const MAX_PROPERTY_BYTES: usize = 255;
/// Longest label in DNS.
const MAX_LABEL_BYTES: usize = 63;

/// How busy a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Sessions that are open.
    pub open: u32,
    /// Sessions that may be open at a time.
    pub most: u32,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What people call it, like "closet"; 1 to 64 bytes without control characters. Not unique.
    pub name: String,
    /// SHA-256 of its certificate: its identity.
    pub fingerprint: [u8; 32],
    /// Its release, like "0.1.0".
    pub version: String,
    /// Lowest and highest version of the wire protocol that it speaks.
    pub protocol: (u16, u16),
    /// Its models, the default first; what does not fit into one property (about 250 bytes) is left out.
    pub models: Vec<String>,
    /// How busy it is.
    pub load: Load,
    /// UDP port of the link; travels beside the properties.
    pub quic_port: u16,
    /// TCP port of HTTP, if that can be reached from the network.
    pub http_port: Option<u16>,
}

/// What was received is no announcement of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the property '{property}' is missing or makes no sense")]
pub struct NotAnAnnouncement {
    property: &'static str,
}

impl Announcement {
    /// The properties, each `key=value` of at most 255 bytes.
    pub fn to_properties(&self) -> Vec<(String, String)> {
        let property = |key: &str, value: String| (key.to_owned(), value);
        let mut models = String::new();
        for model in self.models.iter().take(MAX_MODELS) {
            let separator = if models.is_empty() { "" } else { "," };
            if "models=".len() + models.len() + separator.len() + model.len() > MAX_PROPERTY_BYTES {
                break;
            }
            models.push_str(separator);
            models.push_str(model);
        }
        let mut properties = vec![
            property("name", cut(&self.name, MAX_NAME_BYTES).to_owned()),
            property("fp", hex(&self.fingerprint)),
            property("version", cut(&self.version, MAX_VERSION_BYTES).to_owned()),
            property("protocol", format!("{}-{}", self.protocol.0, self.protocol.1)),
            property("models", models),
            property("load", format!("{}/{}", self.load.open, self.load.most)),
        ];
        properties.extend(self.http_port.map(|port| property("http", port.to_string())));
        properties
    }

    /// Reads the properties that came with `quic_port`. Keys that are not known are ignored, so that later releases
    /// may say more.
    ///
    /// # Errors
    /// When a property is missing, too long, not UTF-8, or makes no sense.
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        quic_port: u16,
    ) -> Result<Self, NotAnAnnouncement> {
        let properties: Vec<_> = properties.into_iter().collect();
        let text = |property: &'static str| {
            let found = properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(property));
            let text = found.and_then(|(_, value)| std::str::from_utf8(value).ok());
            let good = text.filter(|t| t.len() <= MAX_PROPERTY_BYTES && !t.chars().any(char::is_control));
            good.ok_or(NotAnAnnouncement { property })
        };
        let bad = |property: &'static str| NotAnAnnouncement { property };
        let pair = |property, separator| text(property)?.split_once(separator).ok_or(bad(property));
        let words = |property: &'static str, most: usize| {
            let fits = |word: &&str| (1..=most).contains(&word.len()) && !word.trim().is_empty();
            Some(text(property)?).filter(fits).map(str::to_owned).ok_or(bad(property))
        };

        let (low, high) = pair("protocol", '-')?;
        let protocol = (number(low).ok_or(bad("protocol"))?, number(high).ok_or(bad("protocol"))?);
        let (open, most) = pair("load", '/')?;
        let load = Load { open: number(open).ok_or(bad("load"))?, most: number(most).ok_or(bad("load"))? };
        let models: Vec<String> =
            text("models")?.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
        let unique: BTreeSet<&String> = models.iter().collect();
        if models.is_empty()
            || models.len() > MAX_MODELS
            || unique.len() < models.len()
            || !models.iter().all(|model| is_model_name(model))
        {
            return Err(bad("models"));
        }
        let http_port = match text("http") {
            Ok(port) => Some(number(port).filter(|port| *port > 0).ok_or(bad("http"))?),
            Err(_) => None,
        };
        if quic_port == 0 || protocol.0 > protocol.1 {
            return Err(bad(if quic_port == 0 { "port" } else { "protocol" }));
        }
        Ok(Self {
            name: words("name", MAX_NAME_BYTES)?,
            fingerprint: unhex(text("fp")?).ok_or(bad("fp"))?,
            version: words("version", MAX_VERSION_BYTES)?,
            protocol,
            models,
            load,
            quic_port,
            http_port,
        })
    }

    /// The name of this server among all services of its kind, one DNS label: two servers may have the same name,
    /// so the fingerprint's beginning stands behind it.
    pub fn instance(&self) -> String {
        let digits = &hex(&self.fingerprint)[..8];
        format!("{} {digits}", cut(&self.name, MAX_LABEL_BYTES - 1 - digits.len()))
    }

    /// A host name of its own, so that its addresses never mix with what others say of this machine.
    pub(crate) fn host(&self) -> String {
        format!("rehearsekit-{}.local.", &hex(&self.fingerprint)[..16])
    }
}

/// Model names are file names at the server, so they are plain words.
fn is_model_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(allowed)
}

/// A number in plain digits (`parse` alone would take a sign).
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The beginning of `text`, at most `bytes` long and whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "announcement_tests.rs"]
pub(crate) mod tests;
