//! Formats that are known by name and not decoded here go through an `ffmpeg` command, where the machine has one.
//!
//! It runs as a child without a shell or an input, may open nothing but the one file, gets limits on memory, output
//! and time without progress, and is ended and reaped with the song. This module must never run it for a format that
//! is read here, nor look for it anywhere but in `PATH`.

use std::{
    collections::VecDeque,
    env,
    ffi::{OsStr, OsString},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    error::Fault,
    pcm::PcmStream,
    riff::{self, Wav},
    source::Source,
    stream::{Block, Shape, Stream},
};

/// Longest time in which nothing at all may come.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than a day of stereo at 192 kHz.
const MAX_OUTPUT_BYTES: u64 = 192 << 30;
/// Memory that the child may have.
#[cfg(target_os = "linux")]
const MAX_CHILD_BYTES: u64 = 2 << 30;
/// Bytes handed over at once, and pieces that may wait.
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 8;
/// Characters of the child's words that are passed on.
const MAX_REASON: usize = 200;

/// The `ffmpeg` command in `PATH`; looked for once.
pub fn find() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| find_in(env::var_os("PATH").as_deref())).clone()
}

/// The `ffmpeg` command in a list of folders like `PATH`. Relative folders are not looked into.
pub fn find_in(path: Option<&OsStr>) -> Option<PathBuf> {
    let name = if cfg!(windows) { "ffmpeg.exe" } else { "ffmpeg" };
    env::split_paths(path?)
        .filter(|folder| folder.is_absolute())
        .map(|f| f.join(name))
        .find(|p| is_program(p))
}

fn is_program(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}

/// What the child says on its standard error: the last lines.
type Words = Arc<Mutex<VecDeque<u8>>>;

/// A song that comes from `ffmpeg`, as 32-bit float WAV through a pipe.
pub(crate) struct FfmpegStream {
    name: String,
    samples: PcmStream,
    helper: Helper,
    over: bool,
}

/// The child and the threads that empty its pipes.
struct Helper {
    child: Child,
    words: Words,
    listener: Option<JoinHandle<()>>,
}

impl FfmpegStream {
    /// Starts `program` on the file at `path`, whose format is called `name`.
    pub(crate) fn new(program: &Path, path: &Path, name: String) -> Result<Self, Fault> {
        let (mut helper, output) = Helper::start(program, path)?;
        let opened = riff::open(Source::pipe(Box::new(output)));
        let samples = match opened {
            Ok(Wav::Samples(samples)) => samples,
            Ok(Wav::Mpeg(_)) => return Err(Fault::Ffmpeg(name, "it answered in another format".to_owned())),
            Err(Fault::Channels(channels)) => return Err(Fault::Channels(channels)),
            Err(_) => {
                let reason = helper.end().err().unwrap_or_else(|| "it gave no sound".to_owned());
                return Err(Fault::Ffmpeg(name, reason));
            }
        };
        Ok(Self { name, samples, helper, over: false })
    }
}

impl Stream for FfmpegStream {
    fn shape(&self) -> Shape {
        self.samples.shape()
    }

    fn expected_frames(&self) -> Option<u64> {
        None
    }

    fn is_lossy(&self) -> bool {
        true
    }

    fn next(&mut self, block: &mut Block) -> Result<bool, Fault> {
        match self.samples.next(block) {
            Ok(false) if !self.over => {
                self.over = true;
                self.helper.end().map(|()| false).map_err(|reason| Fault::Ffmpeg(self.name.clone(), reason))
            }
            Err(Fault::Io(error)) => Err(Fault::Ffmpeg(self.name.clone(), safe(&error.to_string()))),
            other => other,
        }
    }

    fn remark(&self) -> Option<String> {
        let words = self.helper.last_words().filter(|_| self.over)?;
        Some(format!("ffmpeg decoded it and said: {words}"))
    }
}

impl Helper {
    fn start(program: &Path, path: &Path) -> Result<(Self, Output), Fault> {
        // "file:" keeps a name with a colon or a dash from meaning anything else.
        let mut input = OsString::from("file:");
        input.push(path);
        let mut child = Command::new(program)
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-xerror"])
            .args(["-protocol_whitelist", "file,pipe", "-i"])
            .arg(input)
            .args(["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-bitexact"])
            .args(["-c:a", "pcm_f32le", "-f", "wav", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        limit(&child);
        let words = Words::default();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut helper = Self { child, words, listener: None };
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(io::Error::other("no pipes").into());
        };
        let words = helper.words.clone();
        helper.listener =
            Some(thread::Builder::new().name("ffmpeg-words".to_owned()).spawn(|| listen(stderr, words))?);
        let (send, receive) = sync_channel(PIECES);
        thread::Builder::new().name("ffmpeg-sound".to_owned()).spawn(move || fetch(stdout, &send))?;
        Ok((helper, Output { receive, piece: Vec::new(), at: 0, given: 0 }))
    }

    /// Waits for the child, whose output is over, and says why it failed, if it did.
    fn end(&mut self) -> Result<(), String> {
        // Nothing is read any more: a child that still writes is in the way.
        let status = match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => self.wait(),
        };
        if let Some(listener) = self.listener.take() {
            // It ends with the pipe.
            let _ = listener.join();
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.last_words().unwrap_or_else(|| format!("it ended with {status}"))),
            Err(error) => Err(error.to_string()),
        }
    }

    fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        // Its output is closed, so it is about to end by itself.
        for _ in 0..100 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait()
    }

    /// The last line that the child said.
    fn last_words(&self) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = words.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().map(safe).find(|line| !line.is_empty())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // Both fail only if it is gone already; a child that was not reaped would stay as a zombie.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Text from a child, fit for a terminal.
fn safe(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

/// Limits the child's memory, where the system can.
fn limit(child: &Child) {
    #[cfg(target_os = "linux")]
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let limit =
            rustix::process::Rlimit { current: Some(MAX_CHILD_BYTES), maximum: Some(MAX_CHILD_BYTES) };
        // A child that has ended already needs no limit.
        let _ = rustix::process::prlimit(Some(pid), rustix::process::Resource::Data, limit);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = child;
}

fn listen(mut stderr: ChildStderr, words: Words) {
    let mut piece = [0u8; 1_024];
    while let Ok(count @ 1..) = stderr.read(&mut piece) {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend(&piece[..count]);
        let extra = words.len().saturating_sub(4_096);
        words.drain(..extra);
    }
}

fn fetch(mut stdout: ChildStdout, send: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0u8; PIECE_BYTES];
        let read = match stdout.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_over = read.is_err();
        if send.send(read).is_err() || is_over {
            return;
        }
    }
}

/// What comes out of the child, with limits on time and length.
struct Output {
    receive: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    given: u64,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            self.piece = match self.receive.recv_timeout(PATIENCE) {
                Ok(piece) => piece?,
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it gave nothing for a minute"));
                }
            };
            self.at = 0;
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        self.given += count as u64;
        if self.given > MAX_OUTPUT_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it gave more than a day of sound"));
        }
        Ok(count)
    }
}
