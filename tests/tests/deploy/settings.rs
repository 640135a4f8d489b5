//! Variables, held against the server's own configuration: each one that our files set must be a setting with a value that
//! fits, as the server itself reads it.

use std::{collections::BTreeMap, ffi::OsString};

use rehearsekit_server::config::{Config, Sources};

/// What the server makes of these variables and no other.
///
/// # Errors
/// With what the server would say.
pub(crate) fn config(variables: &BTreeMap<String, String>) -> Result<Config, String> {
    let environment =
        variables.iter().map(|(key, value)| (OsString::from(key), OsString::from(value))).collect();
    Config::load(&Sources { environment, ..Sources::default() }).map_err(|error| error.to_string())
}

#[test]
fn the_server_is_asked_what_it_takes() {
    let data = ("REHEARSEKIT_DATA".to_owned(), "/data".to_owned());
    let with =
        |key: &str, value: &str| config(&BTreeMap::from([data.clone(), (key.to_owned(), value.to_owned())]));
    assert_eq!(with("REHEARSEKIT_LISTEN", "0.0.0.0:7433").unwrap().listen.port(), 7433);
    assert!(with("REHEARSEKIT_LISTENS", "0.0.0.0:7433").unwrap_err().contains("LISTENS"));
    assert!(with("REHEARSEKIT_HTTP", "7480").is_err());
}
