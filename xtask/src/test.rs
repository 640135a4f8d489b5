//! `cargo xtask test`, what the CI runs, and `cargo xtask lint`, its quick part. Every check runs to its end
//! and passes or fails by itself; what was not run is said. No check here may depend on how fast the machine is.

use std::process::{Command, Stdio};

use anyhow::Result;

use crate::kit::{Kit, SPLEETER, shared_dir};
use crate::shell::{cargo, run};
use crate::{bundle, failing, house, python_hosts, setup};

/// Options of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Words for the test runner, like the name of a test
    #[arg(trailing_var_arg = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Prepares the machine, fetches what the tests need, checks the house and runs every test.
///
/// # Errors
/// At the first check that fails, or when the machine cannot be prepared.
pub(crate) fn run_tests(args: &Args) -> Result<()> {
    heading("The machine");
    setup::prepare(setup::Purpose::Everything)?;

    heading("The house: arrows, files, licences, format, lints");
    lint()?;

    heading("The models that tests use");
    let kit = Kit::for_tests()?;
    kit.pull(SPLEETER, false)?;

    heading("The plugin in its bundles, hosts for it, and what reads Compose");
    bundle::bundle_for_tests()?;
    python_hosts::prepare()?;

    heading("Tests");
    let mut environment = vec![("REHEARSEKIT_DATA", kit.data().to_path_buf())];
    match shared_dir() {
        Some(shared) => environment.push(("SONGS_AND_REFERENCE", shared)),
        None => {
            println!("  no recordings beside the repository: the comparison with other pipelines is not run")
        }
    }
    let mut runner = cargo();
    if has("nextest") {
        runner.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        println!(
            "  cargo-nextest is not installed: using `cargo test`, the same tests with a plainer report"
        );
        runner.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]);
    }
    run(runner.args(&args.filter).envs(environment.iter().cloned()))?;
    run(cargo().args(["test", "--workspace", "--doc", "--quiet"]).envs(environment.iter().cloned()))?;
    if shared_dir().is_some() {
        heading("The engine against the reference recordings");
        // The whole workspace again, so that nothing is built anew with other features.
        let mut reference = cargo();
        if has("nextest") {
            reference.args(["nextest", "run", "--workspace", "--run-ignored", "only", "reference_spleeter"]);
        } else {
            reference.args(["test", "--workspace", "--lib", "reference_spleeter", "--", "--ignored"]);
        }
        run(reference.envs(environment))?;
    }
    if let Some(failing) = shared_dir().map(|shared| shared.join("failing")).filter(|folder| folder.is_dir())
    {
        heading("Inputs that once failed");
        failing::check(&kit, &failing)?;
    }

    heading("Every check and every test passed");
    Ok(())
}

/// Arrows, file rules, licences, formatting, clippy; cargo-deny where it is installed.
///
/// # Errors
/// At the first check that fails.
pub(crate) fn lint() -> Result<()> {
    house::check_arrows()?;
    house::check_licences()?;
    if has("deny") {
        // Advisories need a database from the internet, so they are asked for by hand: `cargo deny check`.
        run(cargo().args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    } else {
        println!(
            "  not run: cargo-deny is not installed (`cargo install --locked cargo-deny` takes some minutes);"
        );
        println!("  the licences were checked against deny.toml all the same, bans and sources were not");
    }
    run(cargo().args(["fmt", "--all", "--", "--check", "--files-with-diff"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn has(subcommand: &str) -> bool {
    let mut ask: Command = cargo();
    ask.args([subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}

fn heading(text: &str) {
    println!("\n── {text}");
}
