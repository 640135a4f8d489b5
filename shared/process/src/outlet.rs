//! One way out of the process (a terminal, a pipe, a file) that may fail or block without holding anybody up: lines are
//! handed to a thread, which alone writes. What finds no room, or cannot be written, is lost and counted. Must not know
//! what the lines say.
//!
//! `tracing-appender` has such a thread too. It forgets what the system refuses, does not say how much was lost, and
//! prints with `println!` when it cannot end, which is the fault that this is here to prevent.

use std::{
    fs::File,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
    time::Duration,
};

/// What may wait to be written, in bytes: a thousand lines of a log and more.
const MOST_WAITING_BYTES: usize = 256 * 1024;
/// What a waiting line takes besides its text.
const LINE_BYTES: usize = 64;
/// After a write that would block, though nobody asked for that (a pipe that another program has set so).
const AGAIN: Duration = Duration::from_millis(20);

/// Hands lines to a thread that writes them. Cloning gives another handle on the same thread.
#[derive(Clone)]
pub struct Outlet {
    thread: Sender<Message>,
    room: Arc<Room>,
}

enum Message {
    Line(Vec<u8>),
    Written(SyncSender<()>),
}

/// What the handles and the thread know of each other.
struct Room {
    waiting_bytes: AtomicUsize,
    /// Lines that found no room and have not been told of yet.
    crowded_out: AtomicUsize,
    lost: fn(u64),
}

impl Outlet {
    /// Writes to standard error, or nowhere if there is none. `lost` is told of each line that is lost.
    pub fn stderr(lost: fn(u64)) -> io::Result<Self> {
        Self::new("log", duplicate(&io::stderr()), lost)
    }

    /// The same to standard output.
    pub fn stdout(lost: fn(u64)) -> io::Result<Self> {
        Self::new("output", duplicate(&io::stdout()), lost)
    }

    /// Writes to `out`, by a thread of this name. An error if there can be no thread.
    pub fn new(name: &str, out: impl Write + Send + 'static, lost: fn(u64)) -> io::Result<Self> {
        let room =
            Arc::new(Room { waiting_bytes: AtomicUsize::new(0), crowded_out: AtomicUsize::new(0), lost });
        let (thread, messages) = mpsc::channel();
        let writer = Writer { out, room: room.clone(), refused: 0, reason: String::new(), mid_line: false };
        thread::Builder::new().name(name.to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Self { thread, room })
    }

    /// Hands over whole lines. Never waits, never fails.
    pub fn write(&self, lines: &[u8]) {
        let bytes = lines.len().saturating_add(LINE_BYTES);
        let waiting = self.room.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        let has_room = waiting.saturating_add(bytes) <= MOST_WAITING_BYTES;
        if !has_room || self.thread.send(Message::Line(lines.to_vec())).is_err() {
            self.room.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.room.crowded_out.fetch_add(1, Ordering::AcqRel);
            (self.room.lost)(1);
        }
    }

    /// Waits until all that was handed over is written, but no longer than this; whether it is.
    pub fn flush(&self, within: Duration) -> bool {
        let (tell, told) = mpsc::sync_channel(1);
        self.thread.send(Message::Written(tell)).is_ok() && told.recv_timeout(within).is_ok()
    }
}

/// A descriptor of its own for the same place. Writing through the standard library's handles would hold their locks,
/// so that a print anywhere in the process would wait behind a line that does not get out.
fn duplicate(stream: &impl Stream) -> Box<dyn Write + Send> {
    match stream.duplicate() {
        Ok(file) => Box::new(file),
        Err(error) => Box::new(Nowhere(error.to_string())),
    }
}

trait Stream {
    fn duplicate(&self) -> io::Result<File>;
}

#[cfg(unix)]
impl<S: std::os::fd::AsFd> Stream for S {
    fn duplicate(&self) -> io::Result<File> {
        Ok(self.as_fd().try_clone_to_owned()?.into())
    }
}

#[cfg(windows)]
impl<S: std::os::windows::io::AsHandle> Stream for S {
    fn duplicate(&self) -> io::Result<File> {
        Ok(self.as_handle().try_clone_to_owned()?.into())
    }
}

/// There is no such stream.
struct Nowhere(String);

impl Write for Nowhere {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other(self.0.clone()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side.
struct Writer<W> {
    out: W,
    room: Arc<Room>,
    /// Lines that the system refused and that have not been told of yet, and why it did.
    refused: usize,
    reason: String,
    /// Whether the last line went out in part.
    mid_line: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::Line(line) => {
                    self.line(&line);
                    self.room.waiting_bytes.fetch_sub(line.len() + LINE_BYTES, Ordering::AcqRel);
                }
                // Who asked may have given up waiting.
                Message::Written(tell) => drop(tell.send(())),
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        if self.tell_lost().and_then(|()| self.put(line)).is_err() {
            self.refused += 1;
            (self.room.lost)(1);
        }
    }

    /// Says what is missing here, if anything is.
    fn tell_lost(&mut self) -> io::Result<()> {
        let crowded_out = self.room.crowded_out.swap(0, Ordering::AcqRel);
        let Some(told) = self.lost(crowded_out) else { return Ok(()) };
        let result = self.put(told.as_bytes());
        if result.is_ok() {
            self.refused = 0;
        } else {
            self.room.crowded_out.fetch_add(crowded_out, Ordering::AcqRel);
        }
        result
    }

    fn lost(&self, crowded_out: usize) -> Option<String> {
        let why = match (self.refused, crowded_out) {
            (0, 0) => return None,
            (0, _) => "nobody read them in time".to_owned(),
            _ => format!("they could not be written: {}", self.reason),
        };
        let count = self.refused + crowded_out;
        let lines = if count == 1 { "line is" } else { "lines are" };
        Some(format!("[{count} {lines} missing here; {why}]\n"))
    }

    fn put(&mut self, text: &[u8]) -> io::Result<()> {
        let result = self.put_all(text);
        if let Err(error) = &result {
            self.reason = error.to_string();
        }
        result
    }

    fn put_all(&mut self, text: &[u8]) -> io::Result<()> {
        if self.mid_line {
            self.put_some(b"\n")?;
            self.mid_line = false;
        }
        let mut left = text;
        while !left.is_empty() {
            left = &left[self.put_some(left)?..];
            self.mid_line = !left.is_empty();
        }
        Ok(())
    }

    fn put_some(&mut self, text: &[u8]) -> io::Result<usize> {
        loop {
            match self.out.write(text) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _},
        sync::atomic::AtomicU64,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_handed_over_is_written_in_order_and_flush_waits_for_it() {
        let (mut read, write) = io::pipe().unwrap();
        let outlet = Outlet::new("t", write, |_| ()).unwrap();
        (0..100).for_each(|n| outlet.write(format!("{n}\n").as_bytes()));
        assert!(outlet.flush(LONG));
        drop(outlet);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, (0..100).map(|n| format!("{n}\n")).collect::<String>());
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_says_later_how_much_is_missing() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let (read, write) = io::pipe().unwrap();
        let outlet = Outlet::new("t", write, |n| {
            LOST.fetch_add(n, Ordering::Relaxed);
        })
        .unwrap();
        let line = format!("{}\n", "x".repeat(999));
        // Far more than the pipe and the room hold. If this could block, the test would never end.
        (0..2_000).for_each(|_| outlet.write(line.as_bytes()));
        let lost = LOST.load(Ordering::Relaxed);
        assert!((1..2_000).contains(&lost), "{lost}");
        assert!(!outlet.flush(Duration::from_millis(50)), "nobody has read");
        let mut read = BufReader::new(read);
        let mut got = String::new();
        let missing = |line: &str| -> Option<u64> {
            let count = line.strip_prefix('[')?.strip_suffix("missing here; nobody read them in time]\n")?;
            count.split(' ').next()?.parse().ok()
        };
        let (mut lines, mut told) = (0, 0);
        // In one word or in several, as the thread came to it.
        while lines < 2_000 - lost || told < lost {
            got.clear();
            read.read_line(&mut got).unwrap();
            match missing(&got) {
                Some(count) => told += count,
                None => lines += 1,
            }
        }
        assert_eq!((lines, told), (2_000 - lost, lost));
        outlet.write(b"after\n");
        got.clear();
        read.read_line(&mut got).unwrap();
        assert_eq!(got, "after\n");
    }

    /// Takes a part of a line, then refuses until it is repaired.
    struct Disk {
        text: Arc<std::sync::Mutex<Vec<u8>>>,
        room: Arc<AtomicUsize>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room.load(Ordering::Acquire));
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count, Ordering::AcqRel);
            self.text.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_lines_and_once_there_is_room_the_next_line_says_so() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let (text, room) = (Arc::default(), Arc::new(AtomicUsize::new(7)));
        let disk = Disk { text: Arc::clone(&text), room: room.clone() };
        let outlet = Outlet::new("t", disk, |n| {
            LOST.fetch_add(n, Ordering::Relaxed);
        })
        .unwrap();
        for line in ["one\n", "two two\n", "three\n", "four\n"] {
            outlet.write(line.as_bytes());
        }
        assert!(outlet.flush(LONG));
        assert_eq!(LOST.load(Ordering::Relaxed), 3);
        room.store(10_000, Ordering::Release);
        outlet.write(b"five\n");
        outlet.write(b"six\n");
        assert!(outlet.flush(LONG));
        let told = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let reason = io::Error::from(io::ErrorKind::StorageFull);
        let expected =
            format!("one\ntwo\n[3 lines are missing here; they could not be written: {reason}]\nfive\nsix\n");
        assert_eq!(told, expected);
    }
}
