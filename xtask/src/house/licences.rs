//! The licences of everything we link, against the list that cargo-deny reads too (`deny.toml`).
//! cargo-deny looks deeper (licence texts, duplicates, sources) but takes minutes to install and is therefore
//! not asked of a fresh machine; this check needs nothing but cargo and is always made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

/// What may come in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    /// For every package.
    everywhere: BTreeSet<String>,
    /// For one package each, on top.
    exceptions: BTreeMap<String, BTreeSet<String>>,
}

/// The allowed licences named in the text of `deny.toml`, exceptions included.
///
/// # Errors
/// When it is not TOML or has no `licenses.allow`.
pub(super) fn allowed(deny_toml: &str) -> Result<Allowed> {
    let deny: toml::Table = toml::from_str(deny_toml).context("deny.toml is not TOML")?;
    let licences = deny.get("licenses");
    let names = |of: &toml::Value| -> Option<BTreeSet<String>> {
        let list = of.get("allow")?.as_array()?;
        Some(list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
    };
    let everywhere = licences.and_then(names).context("deny.toml has no list `licenses.allow`")?;
    let exceptions = licences.and_then(|l| l.get("exceptions")).and_then(toml::Value::as_array);
    let exceptions = exceptions
        .into_iter()
        .flatten()
        .filter_map(|exception| Some((exception.get("crate")?.as_str()?.to_owned(), names(exception)?)));
    Ok(Allowed { everywhere, exceptions: exceptions.collect() })
}

/// The packages whose licence is not allowed, each a sentence.
pub(super) fn check(metadata: &Value, allowed: &Allowed) -> Vec<String> {
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let refused = packages.iter().filter_map(|package| {
        let name = package["name"].as_str().unwrap_or_default();
        let mut for_it = allowed.everywhere.clone();
        for_it.extend(allowed.exceptions.get(name).into_iter().flatten().cloned());
        match package["license"].as_str() {
            None => Some(format!("{name} states no licence")),
            Some(terms) if !permits(terms, &for_it) => {
                Some(format!("{name} is under `{terms}`, which deny.toml does not allow"))
            }
            Some(_) => None,
        }
    });
    refused.collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `A/B` is the old way to write `A OR B`;
/// `A WITH B` is A with an extra permission, so A suffices.
fn permits(terms: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = terms.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at, allowed) && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut ok = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        ok |= both(words, at, allowed);
    }
    ok
}

fn both(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut ok = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        ok &= one(words, at, allowed);
    }
    ok
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let ok = either(words, at, allowed);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return ok && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    allowed.contains(*word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> BTreeSet<String> {
        ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into()
    }

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        for terms in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(permits(terms, &list()), "{terms}");
        }
        for terms in
            ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND AGPL-3.0", "", "(MIT", "MIT Apache-2.0"]
        {
            assert!(!permits(terms, &list()), "{terms}");
        }
    }

    #[test]
    fn a_package_without_a_licence_is_refused() {
        let metadata = serde_json::json!({"packages": [{"name": "a", "license": null}, {"name": "b", "license": "MIT"}]});
        let allowed = Allowed { everywhere: list(), ..Allowed::default() };
        assert_eq!(check(&metadata, &allowed), ["a states no licence"]);
    }

    #[test]
    fn an_exception_is_for_one_package() {
        let deny = "[licenses]\nallow = [\"MIT\"]\n[[licenses.exceptions]]\ncrate = \"fonts\"\nallow = [\"OFL-1.1\"]";
        let terms = "MIT AND OFL-1.1";
        let metadata = serde_json::json!({"packages": [{"name": "fonts", "license": terms}, {"name": "b", "license": terms}]});
        let broken = check(&metadata, &allowed(deny).unwrap());
        assert_eq!(broken, ["b is under `MIT AND OFL-1.1`, which deny.toml does not allow"]);
    }

    #[test]
    fn the_list_is_read_from_deny_toml() {
        let read = allowed("[licenses]\nallow = [\"MIT\"]").unwrap();
        assert_eq!(read, Allowed { everywhere: ["MIT".to_owned()].into(), ..Allowed::default() });
        assert!(allowed("[licences]").is_err());
    }
}
