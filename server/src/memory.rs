//! Whether the models fit into the memory that this server may take: the kernel is asked for the limit, the models for
//! what they need. Must not load a model, or take memory to try.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use rehearsekit_models::{Compute, memory::most_bytes, store::Store};

use crate::{config::Config, engine::options};

/// What this server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In all.
    pub bytes: u64,
    /// Whether it is a container's or a service's, and not all of the machine's.
    pub is_group: bool,
}

/// What the models of a server may take at most, and what there is for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// By model, as far as it is installed.
    pub needs: Vec<(String, u64)>,
    /// `None` where the kernel does not tell.
    pub limit: Option<Limit>,
}

impl Memory {
    /// Of the models that `config` keeps warm, on `compute`.
    pub fn of(config: &Config, compute: Compute) -> Self {
        let store = Store::open(&config.data).ok();
        let need = |name: &String| {
            let family = store.as_ref()?.installed(name).ok()?.manifest.family;
            Some((name.clone(), most_bytes(&family, &options(config, compute, &family))))
        };
        Self { needs: config.models.iter().filter_map(need).collect(), limit: limit(Path::new("/")) }
    }

    /// All models together.
    pub fn needed_bytes(&self) -> u64 {
        self.needs.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Why it is too little, and what to do; `None` if it is enough.
    pub fn shortage(&self) -> Option<String> {
        let limit = self.limit.filter(|limit| limit.bytes < self.needed_bytes())?;
        let each: Vec<String> =
            self.needs.iter().map(|(name, bytes)| format!("{name} {}", Gigabytes(*bytes))).collect();
        let (what, remedy) = if limit.is_group {
            ("this container or service may take", "raise that limit")
        } else {
            ("this machine has", "use a machine with more")
        };
        Some(format!(
            "the models may need {} of memory ({}), and {what} {}: {remedy}, or keep fewer models warm (key models)",
            Gigabytes(self.needed_bytes()),
            each.join(", "),
            Gigabytes(limit.bytes)
        ))
    }
}

/// Decimal gigabytes, as one is told them.
pub struct Gigabytes(pub u64);

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} GB", self.0 as f64 / 1e9)
    }
}

/// The least of the machine's memory and the limits of the control groups that this process is in; `root` is where the
/// file system begins.
fn limit(root: &Path) -> Option<Limit> {
    let machine = memory_total(root).map(|bytes| Limit { bytes, is_group: false });
    let groups = group_files(root).into_iter().filter_map(|path| {
        // "max" is none; version 1 has a number that is none in practice.
        let bytes = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        Some(Limit { bytes, is_group: true })
    });
    machine.into_iter().chain(groups).min_by_key(|limit| limit.bytes)
}

fn memory_total(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The files with this process's limits, from its own group up to the one that is the topmost here.
fn group_files(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut files = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (top, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let top = root.join(top);
        let group = top.join(group.trim_start_matches('/'));
        // In a container the group's name is of a tree that is not seen from there; its limit is at the top.
        let above = group.ancestors().take_while(|path| path.starts_with(&top));
        files.extend(above.map(|path| path.join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(limit(root), None);
        write(root, "proc/meminfo", "MemFree: 1 kB\nMemTotal:       8000 kB\n");
        assert_eq!(limit(root), Some(Limit { bytes: 8_192_000, is_group: false }));
        // Version 2: a service in a slice.
        write(root, "proc/self/cgroup", "0::/system.slice/rehearsekit.service\n");
        write(root, "sys/fs/cgroup/system.slice/rehearsekit.service/memory.max", "max\n");
        write(root, "sys/fs/cgroup/system.slice/memory.max", "4096000\n");
        assert_eq!(limit(root), Some(Limit { bytes: 4_096_000, is_group: true }));
        // Version 1 in a container: the group's own folder is not there, its limit is.
        write(root, "proc/self/cgroup", "5:devices:/docker/ab\n4:memory:/docker/ab\n0::/\n");
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "2048000\n");
        assert_eq!(limit(root), Some(Limit { bytes: 2_048_000, is_group: true }));
        // None in practice.
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(root), Some(Limit { bytes: 8_192_000, is_group: false }));
    }

    #[test]
    fn too_little_is_told_with_what_to_do() {
        let needs = vec![("a".to_owned(), 3_500_000_000), ("b".to_owned(), 800_000_000)];
        let of = |bytes, is_group| Memory { needs: needs.clone(), limit: Some(Limit { bytes, is_group }) };
        assert_eq!(of(4_300_000_000, true).shortage(), None);
        let told = of(4_294_000_000, true).shortage().unwrap();
        assert_eq!(
            told,
            "the models may need 4.3 GB of memory (a 3.5 GB, b 0.8 GB), and this container or service may take 4.3 GB: \
             raise that limit, or keep fewer models warm (key models)"
        );
        assert!(of(2_000_000_000, false).shortage().unwrap().contains("this machine has 2.0 GB"));
        assert_eq!(Memory { needs, limit: None }.shortage(), None);
    }
}
