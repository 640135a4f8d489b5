//! The workflow of a release follows GitHub's own schema, and each of its jobs ends by itself. Whether its commands are
//! understood and its permissions small, xtask's own tests say.

use crate::{compose, text, top};

const SCHEMAS: [&str; 2] = ["vendor.github-workflows", "custom.github-workflows-require-timeout"];

#[test]
fn it_follows_githubs_schema() {
    let workflow = top().join(".github/workflows/release.yml");
    for schema in SCHEMAS {
        assert!(compose::follows(schema, &workflow), "{schema}");
    }
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("release.yml");
    for (from, to, schema) in [
        ("runs-on: ubuntu-24.04", "run-on: ubuntu-24.04", SCHEMAS[0]),
        ("      packages: write", "      packages: all", SCHEMAS[0]),
        ("    timeout-minutes: 20\n", "", SCHEMAS[1]),
    ] {
        assert!(text(&workflow).contains(from), "{from} is not there any more: choose another mistake");
        std::fs::write(&wrong, text(&workflow).replacen(from, to, 1)).unwrap();
        assert!(!compose::follows(schema, &wrong), "{from} → {to}");
    }
}
