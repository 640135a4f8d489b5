//! What an announcement becomes as properties, and what is refused of what arrives. No sockets.

use proptest::prelude::*;

use super::*;

pub(crate) fn closet() -> Announcement {
    Announcement {
        name: "closet".to_owned(),
        fingerprint: std::array::from_fn(|i| i as u8),
        version: "0.1.0".to_owned(),
        protocol: (1, 3),
        models: vec!["spleeter-2stems".to_owned(), "htdemucs".to_owned()],
        load: Load { open: 2, most: 16 },
        quic_port: 7433,
        http_port: None,
    }
}

fn read(properties: &[(String, String)], port: u16) -> Result<Announcement, NotAnAnnouncement> {
    let properties = properties.iter().map(|(key, value)| (key.as_str(), value.as_bytes()));
    Announcement::from_properties(properties, port)
}

/// `closet` with one property replaced, or without it.
fn changed(key: &str, value: Option<&str>) -> Result<Announcement, NotAnAnnouncement> {
    let mut properties = Announcement { http_port: Some(7480), ..closet() }.to_properties();
    assert!(properties.iter().any(|(k, _)| k == key), "{key}");
    properties.retain(|(k, _)| k != key);
    properties.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    read(&properties, 7433)
}

#[test]
fn the_words_of_the_wire_stay() {
    let words: Vec<String> = Announcement { http_port: Some(7480), ..closet() }
        .to_properties()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let fingerprint = "fp=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    assert_eq!(
        words,
        [
            "name=closet",
            fingerprint,
            "version=0.1.0",
            "protocol=1-3",
            "models=spleeter-2stems,htdemucs",
            "load=2/16",
            "http=7480"
        ]
    );
}

#[test]
fn what_is_broken_is_refused_and_what_is_unknown_is_not() {
    let long = "x".repeat(65);
    let many = (0..17).map(|i| format!("m{i}")).collect::<Vec<_>>().join(",");
    for (key, values) in [
        ("name", &["", " ", &long, "a\u{7}b", "a\nb"][..]),
        ("fp", &["", "00", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)]),
        ("version", &["", &"1".repeat(33)]),
        ("protocol", &["", "3", "3-1", "-3", "1-", "1-70000", "+1-3", "1-3-4"]),
        ("models", &["", ",", "a,a", "../x", "A", &many]),
        ("load", &["", "1", "1/", "/2", "-1/2", "1/2/3", "1/99999999999"]),
        ("http", &["0", "-1", "65536", "x"]),
    ] {
        for value in values {
            assert_eq!(changed(key, Some(value)).unwrap_err().property, key, "{value:?}");
        }
        if key != "http" {
            assert_eq!(changed(key, None).unwrap_err().property, key);
        }
    }
    assert_eq!(changed("http", None).unwrap().http_port, None);
    assert!(read(&closet().to_properties(), 0).is_err());
    let mut more = closet().to_properties();
    more.push(("gpu".to_owned(), "yes".to_owned()));
    assert_eq!(read(&more, 7433).unwrap(), closet());
    let not_text: &[u8] = &[0xff, 0xfe];
    assert!(Announcement::from_properties([("name", not_text)], 1).is_err());
}

#[test]
fn two_servers_of_one_name_are_two_instances() {
    let one = closet();
    let other = Announcement { fingerprint: [7; 32], ..closet() };
    assert_eq!(one.instance(), "closet 00010203");
    assert_eq!(other.instance(), "closet 07070707");
    assert_ne!(one.host(), other.host());
}

pub(crate) fn announcements() -> impl Strategy<Value = Announcement> {
    let words =
        (prop::collection::btree_set("[a-z0-9][a-z0-9._-]{0,63}", 1..=16), "\\PC{1,64}", "[ -~]{1,32}");
    let numbers = (any::<[u8; 32]>(), any::<(u16, u16)>(), any::<(u32, u32)>(), 1u16.., any::<Option<u16>>());
    (words, numbers).prop_map(|((models, name, version), (fingerprint, protocol, load, quic_port, http))| {
        Announcement {
            name,
            fingerprint,
            version,
            protocol: (protocol.0.min(protocol.1), protocol.0.max(protocol.1)),
            models: models.into_iter().collect(),
            load: Load { open: load.0, most: load.1 },
            quic_port,
            http_port: http.filter(|port| *port > 0),
        }
    })
}

proptest! {
    /// Whatever a server may be called, it fits into DNS, and what is read is what was meant, cut where it had to be.
    #[test]
    fn what_is_announced_arrives(sent in announcements()) {
        prop_assume!(!cut(&sent.name, 64).trim().is_empty() && !sent.version.trim().is_empty());
        let properties = sent.to_properties();
        for (key, value) in &properties {
            prop_assert!(key.len() + 1 + value.len() <= 255);
        }
        prop_assert!(sent.instance().len() <= 63);
        let read = read(&properties, sent.quic_port).unwrap();
        prop_assert!(sent.name.starts_with(&read.name) && (read.name.len() > 60 || read.name == sent.name));
        prop_assert!(!read.models.is_empty() && sent.models.starts_with(&read.models));
        prop_assert_eq!(Announcement { name: sent.name.clone(), models: sent.models.clone(), ..read }, sent);
    }

    /// Nothing that arrives can do more than be refused; what is taken keeps the limits and can be said again.
    #[test]
    fn nonsense_is_refused(
        properties in prop::collection::vec(
            ("name|fp|version|protocol|models|load|http|[a-z]{0,4}", prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "[0-9a-f]{64}|[0-9]{1,6}[-/][0-9]{1,6}|[a-z,]{0,20}".prop_map(String::into_bytes),
            ]),
            0..12,
        ),
        port in any::<u16>(),
    ) {
        let given = properties.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        if let Ok(taken) = Announcement::from_properties(given, port) {
            prop_assert!(taken.name.len() <= 64 && taken.models.len() <= 16 && taken.version.len() <= 32);
            prop_assert_eq!(read(&taken.to_properties(), port).unwrap(), taken);
        }
    }
}
