//! Where files go: never into the place of anything that was read, over other files only if that was asked for, and
//! whole or not at all. Must not know what stands in the files.

use std::{
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{hidden::Hidden, write::WriteError};

/// Held while finished files are put in place, so that an end by [`crate::abandon`] comes before or after all of them.
static PLACING: Mutex<()> = Mutex::new(());

pub(crate) fn placing() -> MutexGuard<'static, ()> {
    PLACING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path as people see it: what is no text is replaced, and what would move a terminal's cursor or begin another line
/// is written out.
pub fn shown(path: &Path) -> impl fmt::Display {
    printable(&path.to_string_lossy(), |c| c.is_control())
}

/// Whether `c` turns the direction of what follows, so that one text looks like another.
pub fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with every character that `is_hidden` or turns the direction written out.
pub fn printable(text: &str, is_hidden: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) || turns_direction(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// What a command reads or has written itself: nothing else of it may take these places.
#[derive(Debug, Clone, Default)]
pub struct Inputs(Vec<Input>);

#[derive(Debug, Clone)]
struct Input {
    path: PathBuf,
    ids: Vec<FileId>,
    place: Option<(PathBuf, String)>,
}

impl Inputs {
    /// These files, which need not all be there.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut inputs = Self::default();
        paths.into_iter().for_each(|path| inputs.add(path.as_ref()));
        inputs
    }

    /// One more.
    pub fn add(&mut self, path: &Path) {
        self.0.push(Input { path: path.to_owned(), ids: ids(path), place: place(path) });
    }

    /// The one whose place a file at `target` would take: by its path, by a link of any kind, or on a file system that
    /// does not tell upper from lower case.
    pub fn taken_by(&self, target: &Path) -> Option<&Path> {
        let (ids, place) = (ids(target), place(target));
        let is_same = |input: &&Input| {
            input.ids.iter().any(|id| ids.contains(id)) || (place.is_some() && input.place == place)
        };
        self.0.iter().find(is_same).map(|input| input.path.as_path())
    }
}

/// What tells one file from all others.
#[cfg(unix)]
type FileId = (u64, u64);
#[cfg(not(unix))]
type FileId = PathBuf;

/// Of the file that `path` leads to, and of the link that it may be itself.
#[cfg(unix)]
fn ids(path: &Path) -> Vec<FileId> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |found: fs::Metadata| (found.dev(), found.ino());
    [fs::metadata(path), fs::symlink_metadata(path)].into_iter().flatten().map(id).collect()
}

#[cfg(not(unix))]
fn ids(path: &Path) -> Vec<FileId> {
    fs::canonicalize(path).into_iter().collect()
}

/// The folder that `path` is really in, and its name there in one case.
fn place(path: &Path) -> Option<(PathBuf, String)> {
    let name = path.file_name()?.to_string_lossy();
    Some((fs::canonicalize(folder_of(path)).ok()?, folded(&name)))
}

/// `name` as file systems compare it that do not tell upper from lower case, or a little coarser.
pub fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

/// The folder of a file at `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a file may be put at `target`.
///
/// # Errors
/// When one of `inputs` is there, always; when anything else is there and is no plain file, or was not to be replaced.
pub fn check(target: &Path, inputs: &Inputs, overwrite: bool) -> Result<(), WriteError> {
    if let Some(input) = inputs.taken_by(target) {
        return Err(WriteError::IsInput { path: target.to_owned(), input: input.to_owned() });
    }
    match fs::symlink_metadata(target) {
        // What a link leads to stays; the link itself is replaced.
        Ok(found) if !found.is_file() && !found.is_symlink() => Err(WriteError::NotAFile(target.to_owned())),
        Ok(_) if !overwrite => Err(WriteError::Exists(target.to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        Err(error) => Err(WriteError::at(target)(error)),
    }
}

/// Puts the finished file `from` at `to` on the same disk. Without `overwrite`, what has come there meanwhile stays.
pub(crate) fn put(from: &Path, to: &Path, overwrite: bool) -> Result<(), WriteError> {
    if overwrite {
        return fs::rename(from, to).map_err(WriteError::at(to));
    }
    rename_to_nothing(from, to).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => WriteError::Exists(to.to_owned()),
        _ => WriteError::at(to)(error),
    })
}

fn rename_to_nothing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
    }
    // Not every file system can do that in one step, nor has links.
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if fs::symlink_metadata(to).is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// One file that is written as a whole or not at all.
#[derive(Debug, Clone, Copy)]
pub struct WholeFile<'a> {
    /// Where; its folder must be there.
    pub path: &'a Path,
    /// What it may never replace.
    pub inputs: &'a Inputs,
    /// Whether it may replace anything else.
    pub overwrite: bool,
    /// Whether nobody but its owner may read it.
    pub owner_only: bool,
}

impl WholeFile<'_> {
    /// Whether it may be written, to be asked before there is any work in it.
    ///
    /// # Errors
    /// As [`check`]. A device or a pipe is written into and not replaced.
    pub fn check(&self) -> Result<(), WriteError> {
        match check(self.path, self.inputs, self.overwrite) {
            Err(WriteError::NotAFile(_)) if self.is_stream() => Ok(()),
            checked => checked,
        }
    }

    fn is_stream(&self) -> bool {
        fs::metadata(self.path).is_ok_and(|found| !found.is_file() && !found.is_dir())
    }

    /// Writes what `fill` gives.
    ///
    /// # Errors
    /// As [`Self::check`], what `fill` says, and what the file system says. Nothing is left behind then.
    pub fn write<T, E: From<WriteError>>(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check()?;
        let told = WriteError::at(self.path);
        if self.is_stream() {
            let mut out = fs::File::options().write(true).open(self.path).map_err(told)?;
            let filled = fill(&mut out)?;
            out.flush().map_err(WriteError::at(self.path))?;
            return Ok(filled);
        }
        let hidden = Hidden::beside(self.path).map_err(told)?;
        let half = hidden.path().join("file");
        let mut options = fs::File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if self.owner_only {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let file = options.open(&half).map_err(WriteError::at(self.path))?;
        if self.owner_only {
            // Where the folder's ACL made the mode, it is closed before anything stands in it.
            rehearsekit_private::close(&file, rehearsekit_private::Danger::Use);
        }
        let mut out = io::BufWriter::new(file);
        let filled = fill(&mut out)?;
        let file = out.into_inner().map_err(|error| WriteError::at(self.path)(error.into_error()))?;
        file.sync_all().map_err(WriteError::at(self.path))?;
        drop(file);
        let _placing = placing();
        self.check()?;
        put(&half, self.path, self.overwrite)?;
        Ok(filled)
    }
}
