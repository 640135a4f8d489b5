//! A folder as TrueNAS makes it with the preset *Apps*, played by a file system in user space, since ZFS is on no machine of
//! ours: what is made in it gets its mode from the folder's NFSv4 ACL and not from whoever makes it, has such a list of its
//! own besides, and keeps that through a chmod. Where that is allowed, its owner may take the list off; then the mode counts.
//! The content lies in an ordinary folder. Linux only, and only for root.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

/// The attribute in which TrueNAS shows such lists.
const LIST: &str = "system.nfs4_acl_xdr";
/// Nothing is remembered by the kernel.
const NOW: Duration = Duration::ZERO;

/// `owner@` may do everything, and so may the group 545 (`builtin_users`); five numbers each.
const ENTRIES: [u32; 12] = [0, 2, 0, 0x80, 1, 0x1f_01ff, 1, 0, 0xc0, 0, 0x1f_01ff, 545];

struct NasFolder {
    content: PathBuf,
    may_strip: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    paths: BTreeMap<u64, PathBuf>,
    /// By the content's own number: what is said instead of the content's own mode.
    modes: BTreeMap<u64, u16>,
    stripped: BTreeSet<u64>,
    open: BTreeMap<u64, File>,
    last: u64,
}

/// Mounts one at `at`, over the content of `content`; it is there as long as what is given back.
pub(crate) fn mount(content: &Path, at: &Path, may_strip: bool) -> BackgroundSession {
    let mut state = State::default();
    state.paths.insert(1, PathBuf::new());
    let folder = NasFolder { content: content.to_owned(), may_strip, state: Mutex::new(state) };
    fuser::spawn_mount(folder, at, &Config::default()).unwrap()
}

fn failed(error: &io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(5))
}

impl NasFolder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn path(&self, number: INodeNo) -> PathBuf {
        self.content.join(&self.state().paths[&number.0])
    }

    fn inside(&self, parent: INodeNo, name: &OsStr) -> PathBuf {
        self.path(parent).join(name)
    }

    /// What the content's file is called here. The root is 1, everything else what it is in the content.
    fn attributes(&self, path: &Path) -> io::Result<FileAttr> {
        let found = fs::symlink_metadata(path)?;
        let inside = path.strip_prefix(&self.content).unwrap();
        let number = if inside.as_os_str().is_empty() { 1 } else { found.ino() };
        let mut state = self.state();
        state.paths.insert(number, inside.to_owned());
        // What the list makes of it, whatever was asked for.
        let usual = if found.is_symlink() { 0o777 } else { 0o770 };
        let perm = state.modes.get(&number).copied().unwrap_or(usual);
        let time = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(FileAttr {
            ino: INodeNo(number),
            size: found.len(),
            blocks: found.blocks(),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: FileType::from_std(found.file_type()).unwrap(),
            perm,
            nlink: 1,
            uid: found.uid(),
            gid: found.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&self, path: &Path, reply: ReplyEntry) {
        match self.attributes(path) {
            Ok(found) => reply.entry(&NOW, &found, Generation(0)),
            Err(error) => reply.error(failed(&error)),
        }
    }

    /// A number that was somebody else's before has nothing of theirs.
    fn is_new(&self, path: &Path) -> io::Result<()> {
        let number = fs::symlink_metadata(path)?.ino();
        let mut state = self.state();
        state.modes.remove(&number);
        state.stripped.remove(&number);
        Ok(())
    }

    fn keep_open(&self, file: File) -> FileHandle {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.open.insert(number, file);
        FileHandle(number)
    }

    fn has_list(&self, number: INodeNo) -> bool {
        !self.state().stripped.contains(&number.0) && !self.path(number).is_symlink()
    }
}

fn done(result: io::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(failed(&error)),
    }
}

fn value(bytes: &[u8], size: u32, reply: ReplyXattr) {
    match size as usize {
        0 => reply.size(bytes.len() as u32),
        room if room < bytes.len() => reply.error(Errno::ERANGE),
        _ => reply.data(bytes),
    }
}

impl Filesystem for NasFolder {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(&self.inside(parent, name), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(&self.path(number)) {
            Ok(found) => reply.attr(&NOW, &found),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if let Some(mode) = mode {
            self.state().modes.insert(number.0, (mode & 0o7777) as u16);
        }
        let path = self.path(number);
        let cut = size.map_or(Ok(()), |size| OpenOptions::new().write(true).open(&path)?.set_len(size));
        match cut.and_then(|()| self.attributes(&path)) {
            Ok(found) => reply.attr(&NOW, &found),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match fs::read_link(self.path(number)) {
            Ok(to) => reply.data(to.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, to: &Path, reply: ReplyEntry) {
        let path = self.inside(parent, name);
        match std::os::unix::fs::symlink(to, &path).and_then(|()| self.is_new(&path)) {
            Ok(()) => self.entry(&path, reply),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let path = self.inside(parent, name);
        match fs::create_dir(&path).and_then(|()| self.is_new(&path)) {
            Ok(()) => self.entry(&path, reply),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(fs::remove_file(self.inside(parent, name)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(fs::remove_dir(self.inside(parent, name)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = (self.inside(parent, name), self.inside(new_parent, new_name));
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && to.exists() {
            return reply.error(Errno::EEXIST);
        }
        let renamed = fs::rename(&from, &to);
        if renamed.is_ok() {
            let inside = |path: &Path| path.strip_prefix(&self.content).unwrap().to_owned();
            let (from, to) = (inside(&from), inside(&to));
            for path in self.state().paths.values_mut() {
                if let Ok(rest) = path.strip_prefix(&from) {
                    *path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                }
            }
        }
        done(renamed, reply);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let path = self.inside(parent, name);
        let was_there = path.exists();
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        if made.is_ok() && !was_there {
            self.is_new(&path).unwrap();
        }
        match made.and_then(|file| Ok((file, self.attributes(&path)?))) {
            Ok((file, found)) => {
                reply.created(&NOW, &found, Generation(0), self.keep_open(file), FopenFlags::empty());
            }
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match OpenOptions::new().read(true).write(true).open(self.path(number)) {
            Ok(file) => reply.opened(self.keep_open(file), FopenFlags::empty()),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; size as usize];
        match self.state().open[&handle.0].read_at(&mut bytes, offset) {
            Ok(length) => reply.data(&bytes[..length]),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.state().open[&handle.0].write_all_at(bytes, offset) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(failed(&error)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.state().open.remove(&handle.0);
        reply.ok();
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let folder = self.path(number);
        let mut entries: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for (at, entry) in entries.iter().enumerate().skip(offset as usize) {
            let kind = FileType::from_std(entry.file_type().unwrap()).unwrap();
            let number = INodeNo(entry.metadata().unwrap().ino());
            if reply.add(number, at as u64 + 1, kind, entry.file_name()) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 24, 1 << 23, 1 << 23, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let names = if self.has_list(number) { format!("{LIST}\0") } else { String::new() };
        value(names.as_bytes(), size, reply);
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if name != LIST || !self.has_list(number) {
            return reply.error(Errno::NO_XATTR);
        }
        let bytes: Vec<u8> = ENTRIES.iter().flat_map(|number| number.to_be_bytes()).collect();
        value(&bytes, size, reply);
    }

    fn removexattr(&self, _: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if name != LIST || !self.has_list(number) {
            return reply.error(Errno::NO_XATTR);
        }
        if !self.may_strip {
            return reply.error(Errno::EPERM);
        }
        self.state().stripped.insert(number.0);
        reply.ok();
    }
}
