//! The bytes of a song, from a file or a pipe: read ahead, stepped over, and cut at the tags behind the song.
//!
//! A pipe is opened once and read once, front to back. This module must never know what the bytes mean.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

/// Bytes fetched at once.
const CHUNK: usize = 64 << 10;
/// Most bytes that may be looked at ahead: a damaged length must not become memory.
const MAX_PEEK: usize = 32 << 20;
/// A pipe whose format needs jumps is kept in a temporary file, up to this size.
const MAX_SPOOL: u64 = 4 << 30;

enum Inner {
    File(File),
    Pipe(Box<dyn Read + Send>),
}

/// A song's bytes with one place in them.
pub(crate) struct Source {
    inner: Inner,
    /// Bytes read from `inner` and not yet taken are `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    /// Where `buffer[start]` lies in the song.
    position: u64,
    /// Where the song ends, if known: the file's end, or where tags begin behind it.
    end: Option<u64>,
    /// Nothing more comes from `inner`.
    dry: bool,
}

impl Source {
    /// A file; what is not a regular one (a named pipe, a device) is read as a pipe.
    pub(crate) fn file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a song"));
        }
        if !metadata.is_file() {
            return Ok(Self::pipe(Box::new(file)));
        }
        let position = file.stream_position()?;
        Ok(Self::new(Inner::File(file), position, Some(metadata.len())))
    }

    /// Anything that can only be read on.
    pub(crate) fn pipe(reader: Box<dyn Read + Send>) -> Self {
        Self::new(Inner::Pipe(reader), 0, None)
    }

    fn new(inner: Inner, position: u64, end: Option<u64>) -> Self {
        Self { inner, buffer: Vec::new(), start: 0, position, end, dry: false }
    }

    /// Whether places can be jumped to.
    pub(crate) fn is_seekable(&self) -> bool {
        matches!(self.inner, Inner::File(_))
    }

    /// Where the next byte lies.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the song ends, where that is known.
    pub(crate) fn end(&self) -> Option<u64> {
        self.end
    }

    /// Says that what lies at `end` and behind it is not the song's.
    pub(crate) fn set_end(&mut self, end: u64) {
        self.end = Some(self.end.map_or(end, |known| known.min(end)));
    }

    /// Looks at up to `count` bytes; fewer only at the end.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        let count = count.min(MAX_PEEK);
        let count = self.end.map_or(count, |end| count.min(usize_of(end.saturating_sub(self.position))));
        while self.buffer.len() - self.start < count && !self.dry {
            if self.start > 0 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let have = self.buffer.len();
            self.buffer.resize(have + CHUNK.max(count - have), 0);
            let read = match &mut self.inner {
                Inner::File(file) => read_some(file, &mut self.buffer[have..]),
                Inner::Pipe(pipe) => read_some(pipe, &mut self.buffer[have..]),
            };
            self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
            self.dry = read? == 0;
        }
        Ok(&self.buffer[self.start..(self.start + count).min(self.buffer.len())])
    }

    /// Takes exactly `count` bytes, or fewer at the end.
    pub(crate) fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let piece = self.peek((count - taken.len()).min(CHUNK))?;
            if piece.is_empty() {
                break;
            }
            let length = piece.len();
            taken.extend_from_slice(piece);
            self.advance(length);
        }
        Ok(taken)
    }

    /// Takes exactly `count` bytes; an error of the kind `UnexpectedEof` if they are not all there.
    pub(crate) fn take_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let taken = self.take(count)?;
        if taken.len() < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(taken)
    }

    /// Steps over `count` bytes and says how many there were.
    pub(crate) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let count = self.end.map_or(count, |end| count.min(end.saturating_sub(self.position)));
        let buffered = (self.buffer.len() - self.start) as u64;
        if self.is_seekable() && count > buffered {
            self.seek(self.position + count)?;
            return Ok(count);
        }
        let mut left = count;
        while left > 0 {
            let length = self.peek(usize_of(left).min(CHUNK))?.len();
            if length == 0 {
                break;
            }
            self.advance(length);
            left -= length as u64;
        }
        Ok(count - left)
    }

    /// Goes to `position`. In a pipe only ahead.
    pub(crate) fn seek(&mut self, position: u64) -> io::Result<()> {
        if let Some(ahead) = position.checked_sub(self.position)
            && ahead <= (self.buffer.len() - self.start) as u64
        {
            self.advance(ahead as usize);
            return Ok(());
        }
        match &mut self.inner {
            Inner::File(file) => {
                file.seek(SeekFrom::Start(position))?;
                self.buffer.clear();
                (self.start, self.position, self.dry) = (0, position, false);
                Ok(())
            }
            Inner::Pipe(_) if position > self.position => {
                self.skip(position - self.position)?;
                Ok(())
            }
            Inner::Pipe(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a pipe has no way back")),
        }
    }

    /// Makes a pipe a file, for formats that need jumps. A file stays what it is.
    pub(crate) fn spool(&mut self) -> io::Result<()> {
        if self.is_seekable() {
            return Ok(());
        }
        let mut file = tempfile::tempfile()?;
        let mut length = 0u64;
        loop {
            let piece = self.peek(CHUNK)?;
            if piece.is_empty() {
                break;
            }
            file.write_all(piece)?;
            let taken = piece.len();
            length += taken as u64;
            self.advance(taken);
            if length > MAX_SPOOL {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "more than 4 GiB came through a pipe, in a format that needs a file",
                ));
            }
        }
        file.seek(SeekFrom::Start(0))?;
        *self = Self::new(Inner::File(file), 0, Some(length));
        Ok(())
    }

    /// The file itself, rewound, for a program that reads it on its own. Spools a pipe.
    pub(crate) fn into_file(mut self) -> io::Result<File> {
        self.spool()?;
        match self.inner {
            Inner::File(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(file)
            }
            Inner::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        self.position += count as u64;
    }
}

fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn usize_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
