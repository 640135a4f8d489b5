//! `cargo xtask`: prepares the machine, runs the demo, the tests and the benches, and checks the house.
//! It has no native dependency and knows none of the project's crates: it drives them as programs, so that
//! it builds first on a machine that has only a Rust toolchain. Nothing that ships may depend on it.

#[macro_use]
mod say;

mod bench;
mod bundle;
mod daw_check;
mod demo;
mod failing;
mod findings;
mod guide_check;
mod house;
mod image;
#[path = "../../shared/process/src/inherited.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "it is public where it is at home")]
mod inherited;
mod kit;
mod lan_check;
mod python_hosts;
mod release;
mod setup;
mod shell;
#[cfg(unix)]
mod soak;
mod test;
mod wav;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Sets up the machine, runs the demo, the tests and the benches, checks the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
#[command(
    after_help = "Everything it makes goes below target/; models are kept in $REHEARSEKIT_DATA, else in \
                        target/rehearsekit-data.\n\nExample:\n  cargo xtask demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a real song through a real server, live and in studio quality, and write a page to listen to
    #[command(
        after_help = "It ends with 0 if every live take is whole, with 3 if the page is written but a live take on it is \
                            broken, and with 1 if something failed.\n\nExample:\n  cargo xtask demo\n  \
                            cargo xtask demo --accept-licence htdemucs"
    )]
    Demo(demo::Args),
    /// Run every check and test, as the CI does
    #[command(after_help = "Example:\n  cargo xtask test")]
    Test(test::Args),
    /// Try inputs that once failed on today's build: songs, and scripts that end with 1 while their fault is there
    #[command(
        after_help = "Example:\n  cargo xtask failing ../shared/failing\n  cargo xtask failing --only mp3 --json"
    )]
    Failing(failing::Args),
    /// Check formatting, lints and licences
    #[command(after_help = "Example:\n  cargo xtask lint")]
    Lint,
    /// Check who depends on whom, and the rules for source files
    #[command(after_help = "Example:\n  cargo xtask arrows")]
    Arrows,
    /// Build the plugin and lay out its VST3 and CLAP bundles and the standalone below target/bundled
    #[command(after_help = "Example:\n  cargo xtask bundle --release")]
    Bundle(bundle::Args),
    /// Build the plugin and copy it to where hosts look for plugins of this user
    #[command(after_help = "Example:\n  cargo xtask install\n\nOnly Linux was tried so far.")]
    Install,
    /// Scan, load, play, export and reload the plugin in Ardour, with a server and real music (outside the CI)
    #[command(
        after_help = "Example:\n  cargo xtask daw-check\n  cargo xtask daw-check --player\n\nInstalls Ardour 7 and a \
                            screen to show it on; with --player only the screen."
    )]
    DawCheck(daw_check::Args),
    /// Find, pair with, lose and find again a server from another machine, made of network namespaces (outside the CI)
    #[command(
        after_help = "Example:\n  cargo xtask lan-check\n\nNeeds root, or sudo without a password; installs a screen without a monitor."
    )]
    LanCheck,
    /// Walk the ten-minute guide with a watch: image, app in Docker, plugin in Ardour, stems heard (outside the CI)
    #[command(
        after_help = "Example:\n  cargo xtask guide-check\n\nNeeds root. Installs Docker, Ardour 7 and a screen \
                            to show it on; Docker runs in namespaces of its own and leaves nothing behind."
    )]
    GuideCheck(guide_check::Args),
    /// Build the server's container image from scratch, below target/image, and see it run (Linux)
    #[command(after_help = "Example:\n  cargo xtask image\n  cargo xtask image --cuda\n  \
                            cargo xtask image --check --json\n\nThe image is a file for `docker load` and `podman load`. \
                            Installs buildah, and for --check podman.")]
    Image(image::Args),
    /// Run real servers for half an hour while everything beside them fails, and clients come and go (outside the CI)
    #[cfg(unix)]
    #[command(
        after_help = "Example:\n  cargo xtask soak\n  cargo xtask soak --minutes 5 --clients 20 --json\n\n\
                            Linux, root. Kills who reads the log, closes the terminal, makes the data folder read-only \
                            and moves the clock, each for these servers alone, and asks /readyz all the while."
    )]
    Soak(soak::Args),
    /// The steps of a release, as the workflow of a pushed tag takes them
    #[command(
        after_help = "Example:\n  cargo xtask release check-version v0.1.0\n  cargo xtask release push cpu --dry-run"
    )]
    Release(release::Args),
    /// Measure what docs/benchmarks.md states: quality, live, overhead, speed
    #[command(after_help = "Example:\n  cargo xtask bench quality\n  cargo xtask bench live --minutes 3")]
    Bench(bench::Args),
}

/// The demo's page is written, but a live take is broken. (2 is clap's, for a command line that is none.)
const BROKEN_TAKES: u8 = 3;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            let is_broken = error.downcast_ref::<demo::BrokenTakes>().is_some();
            if is_broken { ExitCode::from(BROKEN_TAKES) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> Result<()> {
    shell::end_children_on_interrupt()?;
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run_tests(&args),
        Command::Failing(args) => failing::run(&args),
        Command::Lint => test::lint(),
        Command::Arrows => house::check_arrows(),
        Command::Bundle(args) => bundle::bundle(&args).map(drop),
        Command::Install => bundle::install(),
        Command::DawCheck(args) => daw_check::check(&args),
        Command::LanCheck => lan_check::check(),
        Command::GuideCheck(args) => guide_check::check(&args),
        Command::Image(args) => image::run_image(&args),
        #[cfg(unix)]
        Command::Soak(args) => soak::soak(&args),
        Command::Release(args) => release::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}
