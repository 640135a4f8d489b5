//! The licences of everything we link, against the list that cargo-deny reads too (`deny.toml`).
//! cargo-deny looks deeper (licence texts, duplicates, sources) but takes minutes to install and is therefore
//! not asked of a fresh machine; this check needs nothing but cargo and is always made.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

/// The allowed licences named in the text of `deny.toml`.
///
/// # Errors
/// When it is not TOML or has no `licenses.allow`.
pub(super) fn allowed(deny_toml: &str) -> Result<BTreeSet<String>> {
    let deny: toml::Table = toml::from_str(deny_toml).context("deny.toml is not TOML")?;
    let list =
        deny.get("licenses").and_then(|licences| licences.get("allow")).and_then(toml::Value::as_array);
    let list = list.context("deny.toml has no list `licenses.allow`")?;
    Ok(list.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect())
}

/// The packages whose licence is not allowed, each a sentence.
pub(super) fn check(metadata: &Value, allowed: &BTreeSet<String>) -> Vec<String> {
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let refused = packages.iter().filter_map(|package| {
        let name = package["name"].as_str().unwrap_or_default();
        match package["license"].as_str() {
            None => Some(format!("{name} states no licence")),
            Some(terms) if !permits(terms, allowed) => {
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
        assert_eq!(check(&metadata, &list()), ["a states no licence"]);
    }

    #[test]
    fn the_list_is_read_from_deny_toml() {
        assert_eq!(allowed("[licenses]\nallow = [\"MIT\"]").unwrap(), ["MIT".to_owned()].into());
        assert!(allowed("[licences]").is_err());
    }
}
