//! `cargo xtask image`: the server as a container image, from scratch: the program, the libraries it really loads, one
//! model, their licences and the bill of it all; no shell, no Python, no package manager. The same commit, toolchain and
//! Debian packages give the same bytes. Linux only.

mod bill;
mod check;
pub(crate) mod crates;
mod libraries;
mod pack;
mod root;
mod settle;
mod variant;
mod wheels;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::kit::{SPLEETER, data_dir};
use crate::setup;
use crate::shell::{capture, cargo, repository, run};
use pack::Packed;
use root::{DOCS, LIBRARIES, Origin, Root};
use variant::{Variant, top};

/// Options of `image`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For NVIDIA cards too, with CUDA 12: some 3 GB, and three times as much while it is built
    #[arg(long)]
    cuda: bool,
    /// The same by name: cpu or cuda
    #[arg(long, value_name = "NAME", hide = true)]
    variant: Option<String>,
    /// Fetch all that a build needs, so that one without a network succeeds, and stop there
    #[arg(long)]
    prefetch: bool,
    /// Build everything a second time, the program too, and compare the two images to the bit
    #[arg(long)]
    twice: bool,
    /// Build it, then run it with podman as a NAS would: a song, a live session, mDNS, health, the end (needs root)
    #[arg(long)]
    check: bool,
    /// Only lay out the image's folder, as the Containerfile does
    #[arg(long, conflicts_with_all = ["twice", "check", "prefetch"])]
    lay_out: bool,
    /// Print the report as one line of JSON at the end
    #[arg(long)]
    json: bool,
}

/// What is built: a commit, or what its environment says.
pub(super) struct Source {
    version: String,
    revision: String,
    /// Seconds since 1970: the time that every file and layer gets.
    epoch: u64,
    /// The same, as RFC 3339.
    created: String,
}

impl Source {
    /// `SOURCE_DATE_EPOCH` and `REVISION` where they are set, else git's last commit.
    fn here() -> Result<Self> {
        let cargo_toml = fs::read_to_string(repository().join("Cargo.toml"))?;
        let cargo_toml: toml::Table = toml::from_str(&cargo_toml).context("Cargo.toml is not TOML")?;
        let version =
            cargo_toml.get("workspace").and_then(|at| at.get("package")).and_then(|at| at.get("version"));
        let version = version.and_then(toml::Value::as_str).context("Cargo.toml has no version")?.to_owned();
        let git = |words: &[&str]| capture(Command::new("git").current_dir(repository()).args(words));
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => git(&["log", "-1", "--format=%ct"])?,
        };
        let epoch: u64 = epoch.trim().parse().context("SOURCE_DATE_EPOCH is no number of seconds")?;
        let revision = match std::env::var("REVISION") {
            Ok(revision) => revision,
            Err(_) => {
                let changed = !git(&["status", "--porcelain"])?.trim().is_empty();
                let suffix = if changed { "-changed" } else { "" };
                format!("{}{suffix}", git(&["rev-parse", "HEAD"])?.trim())
            }
        };
        let created =
            capture(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"]).arg(format!("@{epoch}")))?;
        Ok(Self { version, revision, epoch, created: created.trim().to_owned() })
    }
}

/// Builds the image, and what else was asked for.
///
/// # Errors
/// When something cannot be had or built, two builds differ, or what ran was wrong.
pub(crate) fn run_image(args: &Args) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "images are built on Linux; elsewhere use deploy/image/Containerfile");
    let variant = match args.variant.as_deref() {
        Some("cuda") => Variant::Cuda,
        None if args.cuda => Variant::Cuda,
        None | Some("cpu") => Variant::Cpu,
        Some(other) => anyhow::bail!("there is no variant {other}: cpu or cuda"),
    };
    setup::prepare(match args {
        Args { check: true, .. } => setup::Purpose::ImageCheck,
        Args { lay_out: true, .. } => setup::Purpose::ImageFolder,
        _ => setup::Purpose::Image,
    })?;
    let source = Source::here()?;
    let began = Instant::now();
    let step = |what: &str| println!("\n[{:4.0} s] {what}", began.elapsed().as_secs_f64());

    step("the program");
    let program = build_program("build")?;
    step("the model and the wheels");
    let model = model(&program)?;
    let wheels = wheels::fetch(variant, &top().join("wheels"))?;
    if args.prefetch {
        step("everything else that cargo may want");
        run(cargo().args(["fetch", "--locked"]))?;
        println!("\n  all is here: a build without a network will do now");
        return Ok(());
    }
    step("the folder");
    let root = lay_out(variant, &source, &program, &wheels, &model)?;
    let mut report = json!({
        "variant": variant.name(),
        "revision": source.revision,
        "files": root.entries.len(),
        "bytes": root.entries.values().map(|entry| entry.bytes).sum::<u64>(),
        "parts": parts(&root),
    });
    if args.lay_out {
        println!("  laid out in {}", root.folder.display());
        return tell(args, &report);
    }
    step("the image");
    let packed = pack::pack(variant, &source)?;
    report["image"] = told(&packed)?;
    if args.twice {
        step("everything once more, the program too");
        let other = build_program("build-again")?;
        lay_out(variant, &source, &other, &wheels, &model)?;
        let again = pack::pack(variant, &source)?;
        fs::remove_dir_all(top().join("build-again"))?;
        let (one, other) = (&packed.archive_sha256, &again.archive_sha256);
        ensure!(packed.id == again.id && one == other, "two builds differ: {} and {}", packed.id, again.id);
        println!("  the same twice: sha256:{}", again.id);
        report["twice"] = json!(true);
    }
    if args.check {
        step("the image at work");
        report["check"] = check::check(variant, &packed, &program)?;
    }
    report["seconds"] = json!(began.elapsed().as_secs());
    tell(args, &report)
}

/// The release program without what only debuggers read, and without this machine's paths in it.
fn build_program(folder: &str) -> Result<PathBuf> {
    let target = top().join(folder);
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut flags = format!("--remap-path-prefix={}=/rehearsekit", repository().display());
    if let Some(home) = home {
        flags += &format!(" --remap-path-prefix={}=/cargo", home.display());
    }
    let mut build = cargo();
    build.args(["build", "--release", "--package", "rehearsekit-cli", "--locked", "--target-dir"]);
    build.arg(&target).args(["--config", "profile.release.debug=false"]);
    run(build.args(["--config", "profile.release.strip=\"debuginfo\""]).env("RUSTFLAGS", flags))?;
    Ok(target.join("release/rehearsekit"))
}

/// The model's folder, fetched by the program itself unless it is there.
fn model(program: &Path) -> Result<PathBuf> {
    let data = data_dir();
    run(Command::new(program).args(["models", "pull", SPLEETER]).env("REHEARSEKIT_DATA", &data))?;
    Ok(data.join("models").join(SPLEETER))
}

fn lay_out(
    variant: Variant,
    source: &Source,
    program: &Path,
    wheels: &[wheels::Kept],
    model: &Path,
) -> Result<Root> {
    let data = variant.folder().join("data");
    fs::create_dir_all(&data)?;
    let mut root = Root::new(variant.folder().join("root"))?;
    root.fill(variant, program, wheels, model)?;
    let crates = crates::linked("rehearsekit-cli")?;
    let docs = format!("{DOCS}/rehearsekit");
    root.write(&format!("{docs}/crates.txt"), &crates::licence_texts(&crates)?, Origin::Us)?;
    root.copy(&crates::rust_licences()?, &format!("{docs}/rust.html"), Origin::Us, 0o644)?;
    let about =
        bill::About { version: &source.version, revision: &source.revision, created: &source.created };
    let bill = serde_json::to_string_pretty(&bill::bill(&about, &crates, &root))?;
    fs::write(variant.folder().join("sbom.cdx.json"), &bill)?;
    root.write(&format!("{docs}/sbom.cdx.json"), &bill, Origin::Us)?;
    let closed = libraries::closed(&root.folder, LIBRARIES, variant.drivers_own())?;
    println!(
        "  {} libraries are loaded, all of them in the image; the driver brings {:?}",
        closed.libraries.len(),
        closed.missing
    );
    for (path, bytes) in parts_of(&root) {
        println!("  {:7.1} MB  {path}", bytes as f64 / 1e6);
    }
    Ok(root)
}

/// Bytes by folder, two levels deep under `usr`.
fn parts_of(root: &Root) -> std::collections::BTreeMap<String, u64> {
    let mut parts = std::collections::BTreeMap::new();
    for (path, entry) in &root.entries {
        let depth = if path.starts_with("usr/") { 3 } else { 1 };
        let part = path.split('/').take(depth).collect::<Vec<_>>().join("/");
        *parts.entry(part).or_insert(0) += entry.bytes;
    }
    parts
}

fn parts(root: &Root) -> Value {
    json!(parts_of(root))
}

fn told(packed: &Packed) -> Result<Value> {
    let compressed = pack::compressed_bytes(&packed.archive)?;
    println!("  {}", packed.tag);
    println!("  id      sha256:{}", packed.id);
    println!("  layer   {}", packed.layer);
    println!("  file    {} (sha256 {})", packed.archive.display(), packed.archive_sha256);
    println!(
        "  size    {:.1} MB, {:.1} MB compressed",
        packed.archive_bytes as f64 / 1e6,
        compressed as f64 / 1e6
    );
    Ok(json!({
        "tag": packed.tag,
        "id": format!("sha256:{}", packed.id),
        "layer": packed.layer,
        "archive": packed.archive,
        "archive_sha256": packed.archive_sha256,
        "archive_bytes": packed.archive_bytes,
        "compressed_bytes": compressed,
    }))
}

/// Keeps the report below `target/`, and prints it where that was asked for.
fn tell(args: &Args, report: &Value) -> Result<()> {
    let variant = report["variant"].as_str().unwrap_or_default();
    fs::write(top().join(format!("report-{variant}.json")), serde_json::to_string_pretty(report)?)?;
    if args.json {
        println!("{report}");
    }
    Ok(())
}
