//! What every reader of a container is to the song: a stream of decoded frames.
//!
//! This module must never know a container.

use crate::error::Fault;

/// Rate and channels, which stay the same through a song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rate_hz: u32,
    pub(crate) channels: usize,
}

/// Decoded planar samples, full scale 1: `[channel][frame]`.
pub(crate) type Block = Vec<Vec<f32>>;

/// A song being decoded front to back. The reader itself tells whether the song is whole.
pub(crate) trait Stream: Send {
    fn shape(&self) -> Shape;

    /// A hint for a progress bar; never a reason to stop.
    fn expected_frames(&self) -> Option<u64>;

    /// Whether the samples went through a lossy codec.
    fn is_lossy(&self) -> bool;

    /// Replaces `block` with the next frames (none is possible); `false` behind the last ones.
    fn next(&mut self, block: &mut Block) -> Result<bool, Fault>;

    /// Something the user should know about a song that is read in full, once it is over.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Goes to `frame` or somewhat before it, and says where; `None` where that cannot be done exactly.
    /// Promises about the whole song (a checksum) are not looked at any more.
    fn seek(&mut self, _frame: u64) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
}

/// Empties `block` and gives it `channels` channels.
pub(crate) fn clear(block: &mut Block, channels: usize) {
    block.resize_with(channels, Vec::new);
    block.iter_mut().for_each(Vec::clear);
}

/// Frames in `block`.
pub(crate) fn frames(block: &Block) -> usize {
    block.first().map_or(0, Vec::len)
}

/// Takes `head` frames from the front of `block`, then all but `keep` from its end.
pub(crate) fn trim(block: &mut Block, head: u64, keep: u64) {
    for channel in block {
        channel.drain(..usize::try_from(head).unwrap_or(usize::MAX).min(channel.len()));
        channel.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }
}
