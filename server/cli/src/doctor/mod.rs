//! `doctor`: what may be wrong on a server's machine, or, with `--server`, on the way from a player's to it. Each file
//! looks at one subject and gives findings; this one asks them in turn and tells. It changes nothing but a test file in
//! the data folder, which it removes again, and what a device costs, which is remembered as at a server's start.

mod clock;
mod finding;
mod folder;
mod gpu;
mod link;
mod memory;
mod models;
mod multicast;
mod ports;
mod report;
mod runtime;
mod songs;

use std::path::Path;

use rehearsekit_media::WholeFile;
use rehearsekit_server::{
    config::Config,
    engine::{ModelEngine, choose_device},
};
use serde_json::json;

use crate::{args::DoctorArgs, config, failure::Failure, output};
use finding::{Finding, Trouble};

/// `rehearsekit doctor`.
pub(crate) fn run(args: &DoctorArgs, data: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(&args.settings, data);
    let inputs = report::inputs(config.as_ref().ok());
    let report = args.report.as_deref().map(|path| WholeFile {
        path,
        inputs: &inputs,
        overwrite: args.overwrite,
        owner_only: false,
    });
    // Before all that takes time.
    report.as_ref().map_or(Ok(()), WholeFile::check)?;
    let findings = match (&args.server, &config) {
        (Some(server), _) => link::examine(server, args),
        (None, Ok(config)) => examine(config, args.quick),
        (None, Err(error)) => {
            let newer = config::newer_state(data);
            let trouble = if newer.is_some() { Trouble::StateNewer } else { Trouble::ConfigWrong };
            vec![Finding::failed("configuration", trouble, error.to_string())]
        }
    };
    if let Some(report) = &report {
        report::write(report, config.as_ref().ok(), &findings)?;
    }
    let failed = findings.iter().filter(|finding| finding.has_failed()).count();
    if args.json {
        let checks: Vec<_> = findings.iter().map(Finding::json).collect();
        output::json(&json!({ "healthy": failed == 0, "checks": checks }))?;
    } else {
        print(&findings);
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::run("one check failed; what to do stands beside it")),
        n => Err(Failure::run(format!("{n} checks failed; what to do stands beside each"))),
    }
}

fn print(findings: &[Finding]) {
    let width = findings.iter().map(|f| f.check.chars().count()).max().unwrap_or(0);
    for Finding { check, verdict, detail, .. } in findings {
        let name = verdict.trouble().map_or_else(String::new, |trouble| format!("[{}] ", trouble.name()));
        output::line(&format!("{:7} {check:width$}  {name}{detail}", verdict.word()));
    }
}

/// Looks at one thing after the other; what depends on a failed one is left out.
fn examine(config: &Config, quick: bool) -> Vec<Finding> {
    let keys = config.show();
    let set = keys.iter().filter(|row| row.origin != rehearsekit_server::config::Origin::Default).count();
    let told = format!("{} keys, {set} of them set, all understood", keys.len());
    let mut findings = vec![Finding::good("configuration", told)];
    let folder = folder::examine(&config.data);
    let is_usable = !folder.iter().any(Finding::has_failed);
    findings.extend(folder);
    findings.push(clock::examine(&config.data));
    findings.extend(ports::examine(config));
    findings.push(multicast::of_server(config));
    findings.push(songs::examine());
    let chosen = choose_device(config);
    findings.push(gpu::examine(config, &chosen));
    if is_usable {
        let runtime = runtime::examine(&config.data);
        let memory = chosen.as_ref().ok().map(|chosen| memory::examine(config, chosen.compute));
        let engine = match &chosen {
            _ if runtime.has_failed() => Err("not run without ONNX Runtime"),
            // It has a finding of its own.
            Err(_) => Err("not run, since there is no device for it"),
            _ if memory.as_ref().is_some_and(Finding::has_failed) => Err("not run without the memory for it"),
            _ if quick => Err("not run (--quick)"),
            // What is measured takes all cores, and would be wrong besides.
            _ if ports::sessions(config) > 0 => {
                Err("not run, since somebody plays on this server: look again when nobody does")
            }
            Ok(chosen) => Ok(ModelEngine::on(config, chosen.compute)),
        };
        findings.extend(memory);
        findings.push(runtime);
        findings.extend(models::examine(config, engine.as_ref()));
        folder::give_back(&config.data);
    }
    findings
}
