//! Two machines with two cables between them, made of Linux's network namespaces: each has its own interfaces,
//! addresses and firewall, and multicast goes from one to the other as on a LAN. Needs root, or sudo that does not ask
//! for a password, and the programs `ip` and `nft`. Knows nothing of what runs in them, and no crate of the house, so
//! that other packages may include it by its path.
#![allow(dead_code, reason = "who includes it uses a part of it")]
#![allow(clippy::unwrap_used, reason = "what stands in for a house may fall down")]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// One of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Its addresses end in 1.
    Closet,
    /// Its addresses end in 2.
    Stage,
}

/// Both machines; gone when dropped. Cable 0 is `lan0` at both ends (10.77.0.x and fd77:0::x), cable 1 is `lan1`
/// (10.77.1.x and fd77:1::x).
pub struct Lan {
    closet: String,
    stage: String,
}

/// A program that runs on one of the machines; killed when dropped.
pub struct Running {
    child: Child,
    /// Of the program itself, not of what started it there.
    pid: String,
    out: BufReader<ChildStdout>,
}

impl Lan {
    /// Two machines that nobody else uses.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rk{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let lan = Self { closet: format!("{name}-closet"), stage: format!("{name}-stage") };
        for side in [Side::Closet, Side::Stage] {
            privileged(&["ip", "netns", "add", lan.name(side)]);
        }
        for cable in ["lan0", "lan1"] {
            let (one, other) = (&lan.closet, &lan.stage);
            privileged(&[
                "ip", "link", "add", cable, "netns", one, "type", "veth", "peer", cable, "netns", other,
            ]);
        }
        for (side, last) in [(Side::Closet, 1), (Side::Stage, 2)] {
            lan.ip(side, &["link", "set", "lo", "up"]);
            for cable in [0, 1] {
                let device = format!("lan{cable}");
                lan.ip(side, &["addr", "add", &format!("10.77.{cable}.{last}/24"), "dev", &device]);
                // Nobody else can have these addresses, so there is no need to wait until they are checked.
                lan.ip(side, &["addr", "add", &format!("fd77:{cable}::{last}/64"), "dev", &device, "nodad"]);
                lan.ip(side, &["link", "set", &device, "up"]);
            }
        }
        lan
    }

    /// The name of its namespace.
    pub fn name(&self, side: Side) -> &str {
        match side {
            Side::Closet => &self.closet,
            Side::Stage => &self.stage,
        }
    }

    /// Runs `ip` for the machine, to move addresses or pull cables.
    pub fn ip(&self, side: Side, words: &[&str]) {
        privileged(&[&["ip", "-n", self.name(side)], words].concat());
    }

    /// A firewall of one rule: what matches `rule` is dropped at `hook` (`input` or `output`).
    pub fn block(&self, side: Side, hook: &str, rule: &str) {
        let rules = format!(
            "add table inet wall; add chain inet wall {hook} {{ type filter hook {hook} priority 0; }}; \
             add rule inet wall {hook} {rule} drop"
        );
        privileged(&["ip", "netns", "exec", self.name(side), "nft", &rules]);
    }

    /// No firewall any more.
    pub fn unblock(&self, side: Side) {
        privileged(&["ip", "netns", "exec", self.name(side), "nft", "flush ruleset"]);
    }

    /// A command on that machine, with these variables besides this process's own `PATH` and `HOME`.
    pub fn command<S: AsRef<OsStr>>(&self, side: Side, program: S, variables: &[(&str, &OsStr)]) -> Command {
        let mut command = as_root("ip");
        // sudo keeps no variables, so they are set behind it.
        command.args(["netns", "exec", self.name(side), "env"]);
        for (name, value) in variables {
            let mut setting = std::ffi::OsString::from(format!("{name}="));
            setting.push(value);
            command.arg(setting);
        }
        command.arg(program);
        command
    }

    /// Starts a command made by [`Lan::command`], with its stdout to be read.
    pub fn start(&self, command: &Command) -> Running {
        let words: Vec<&OsStr> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        // Whatever stands before the program replaces itself by it, so a shell's number becomes the program's.
        let at = words.iter().position(|word| *word == "env").unwrap();
        let mut told = Command::new(words[0]);
        told.args(&words[1..at]).args(["sh", "-c", "echo $$; exec \"$@\"", "sh"]).args(&words[at..]);
        let mut child = told.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut pid = String::new();
        out.read_line(&mut pid).unwrap();
        Running { child, pid: pid.trim().to_owned(), out }
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for side in [Side::Closet, Side::Stage] {
            // Interfaces go with their namespace. What failed half-way is cleared as far as it came.
            let _ = as_root("ip").args(["netns", "del", self.name(side)]).stderr(Stdio::null()).status();
        }
    }
}

impl Running {
    /// The next line of its stdout; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Sends it a signal, like `TERM` or `KILL`.
    pub fn signal(&self, name: &str) {
        privileged(&["kill", "-s", name, &self.pid]);
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its number is free only after it was waited for, so it is still this program's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = as_root("kill").args(["-s", "KILL", &self.pid]).stderr(Stdio::null()).status();
            let _ = self.child.wait();
        }
    }
}

/// A program as root: directly, or by sudo, which must not ask.
fn as_root(program: &str) -> Command {
    let is_root = fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.strip_prefix("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0")));
    if is_root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn privileged(words: &[&str]) {
    let output = as_root(words[0]).args(&words[1..]).output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot run {}: {error}; `cargo xtask test` installs what brings it", words[0])
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{words:?}: {said}\nnetwork namespaces need root, or sudo without a password"
    );
}
