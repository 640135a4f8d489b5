//! The guides: what they name must be there. Whether they are well said is for readers to judge.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{names, text, top, version};

fn folder() -> PathBuf {
    top().join("docs/guides")
}

fn guides() -> Vec<(String, String)> {
    let names = names(&folder(), ".md");
    names.into_iter().map(|name| (name.clone(), text(&folder().join(format!("{name}.md"))))).collect()
}

/// The names in the doctor's table (`Self::DiskFull => "disk-full"`).
fn names_in(table: &str) -> BTreeSet<String> {
    let literals = table.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""));
    let names = literals.filter_map(|(_, rest)| rest.split_once('"')).map(|(name, _)| name.to_owned());
    names.filter(|name| name.contains('-')).collect()
}

/// Its headings (`### disk-full`).
fn headings(guide: &str) -> BTreeSet<String> {
    guide.lines().filter_map(|line| line.strip_prefix("### ")).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn troubleshooting_has_every_finding_of_the_doctor_and_no_other() {
    let known = names_in(&text(&top().join("server/cli/src/doctor/finding.rs")));
    assert!(known.len() >= 10, "{known:?}");
    let told = headings(&text(&folder().join("troubleshooting.md")));
    let missing: Vec<&String> = known.difference(&told).collect();
    let invented: Vec<&String> = told.difference(&known).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not told: {missing:?}; not found by doctor: {invented:?}"
    );
}

#[test]
fn the_tables_are_read_as_they_are_written() {
    let table =
        "Self::DiskFull => \"disk-full\",\n  Self::NoNetwork => \"no-network\",\nSelf::Good => \"ok\",\n";
    assert_eq!(names_in(table), BTreeSet::from(["disk-full".to_owned(), "no-network".to_owned()]));
    assert_eq!(headings("## a\n### disk-full\ntext ### b\n"), BTreeSet::from(["disk-full".to_owned()]));
}

/// What stands between `](` and `)`.
fn links(guide: &str) -> Vec<&str> {
    guide.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect()
}

/// A heading as GitHub and others make an anchor of it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_and_pictures_lead_somewhere() {
    let mut followed = 0;
    for (name, guide) in guides() {
        for link in links(&guide).into_iter().filter(|link| !link.starts_with("http")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { folder().join(format!("{name}.md")) } else { folder().join(path) };
            assert!(target.exists(), "{name}: {link}");
            if target.extension().is_some_and(|kind| kind == "png") {
                let bytes = target.metadata().unwrap().len();
                assert!(bytes < 150_000, "{name}: {link} has {bytes} bytes");
            }
            if !fragment.is_empty() {
                let there = text(&target);
                let mut anchors = there
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(|line| line.trim_start_matches('#'));
                assert!(anchors.any(|heading| anchor(heading) == fragment), "{name}: {link}");
            }
            followed += 1;
        }
    }
    assert!(followed > 10, "{followed}");
    assert_eq!(anchor("What the card's *driver* must be"), "what-the-cards-driver-must-be");
}

/// Words that look like settings or commands of ours, wherever they stand.
#[test]
fn settings_that_are_named_are_settings() {
    let keys = text(&top().join("server/src/config/keys.rs"));
    for (name, guide) in guides() {
        for (_, rest) in guide.match_indices("REHEARSEKIT_").map(|(at, word)| guide.split_at(at + word.len()))
        {
            let key: String = rest.chars().take_while(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_')).collect();
            let known = ["KEY", "CONFIG", ""].contains(&key.as_str())
                || keys.contains(&format!("name: \"{}\"", key.to_lowercase()));
            assert!(known, "{name}: there is no setting REHEARSEKIT_{key}");
        }
    }
}

#[test]
fn versions_that_are_named_are_this_one() {
    let mut named = 0;
    for (name, guide) in guides() {
        for word in ["rehearsekit:", "rehearsekit-"] {
            for (at, _) in guide.match_indices(word) {
                let rest = &guide[at + word.len()..];
                if rest.starts_with(|c: char| c.is_ascii_digit()) {
                    assert!(rest.starts_with(version()), "{name}: {word}{}", &rest[..10.min(rest.len())]);
                    named += 1;
                }
            }
        }
    }
    assert!(named > 0);
}
